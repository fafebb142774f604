"""The parts of the compute API that a GKE run reads, or has to clean up.

A record of `State.compute`, by "collection/scope/name": {"collection": "forwardingRules",
"scope": "regions/europe-west1" | "zones/…" | "global", "body": the resource without its links,
"owner": "location/cluster Service/namespace/name" or "", "deleting": whether it is being deleted}.
Instance groups of node pools, their nodes' disks and a cluster's own firewall rules are derived
from the clusters, so they exist as long as these.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.call import refusal
from rehearsal.gke.model import catalog, filters, node_pools, quotas, values
from rehearsal.gke.model.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State
    from rehearsal.gke.model.target import Target

    Handler = Callable[[State, Call, Target], dict[str, Any]]

ROOT = "https://www.googleapis.com/compute/v1"

# Collection: the singular used in kinds and in Google's messages.
COLLECTIONS = {
    "addresses": "address",
    "backendServices": "backendService",
    "disks": "disk",
    "firewalls": "firewall",
    "forwardingRules": "forwardingRule",
    "healthChecks": "healthCheck",
    "httpHealthChecks": "httpHealthCheck",
    "instanceGroupManagers": "instanceGroupManager",
    "instanceGroups": "instanceGroup",
    "networkEndpointGroups": "networkEndpointGroup",
    "sslCertificates": "sslCertificate",
    "targetHttpProxies": "targetHttpProxy",
    "targetHttpsProxies": "targetHttpsProxy",
    "targetPools": "targetPool",
    "targetTcpProxies": "targetTcpProxy",
    "urlMaps": "urlMap",
}
# Resource of the discovery document: its collection and kind of scope.
RESOURCES = {
    "addresses": ("addresses", "regions"),
    "globalAddresses": ("addresses", "global"),
    "backendServices": ("backendServices", "global"),
    "regionBackendServices": ("backendServices", "regions"),
    "disks": ("disks", "zones"),
    "regionDisks": ("disks", "regions"),
    "firewalls": ("firewalls", "global"),
    "forwardingRules": ("forwardingRules", "regions"),
    "globalForwardingRules": ("forwardingRules", "global"),
    "healthChecks": ("healthChecks", "global"),
    "regionHealthChecks": ("healthChecks", "regions"),
    "httpHealthChecks": ("httpHealthChecks", "global"),
    "instanceGroupManagers": ("instanceGroupManagers", "zones"),
    "instanceGroups": ("instanceGroups", "zones"),
    "networkEndpointGroups": ("networkEndpointGroups", "zones"),
    "globalNetworkEndpointGroups": ("networkEndpointGroups", "global"),
    "regionNetworkEndpointGroups": ("networkEndpointGroups", "regions"),
    "sslCertificates": ("sslCertificates", "global"),
    "regionSslCertificates": ("sslCertificates", "regions"),
    "targetHttpProxies": ("targetHttpProxies", "global"),
    "regionTargetHttpProxies": ("targetHttpProxies", "regions"),
    "targetHttpsProxies": ("targetHttpsProxies", "global"),
    "regionTargetHttpsProxies": ("targetHttpsProxies", "regions"),
    "targetPools": ("targetPools", "regions"),
    "targetTcpProxies": ("targetTcpProxies", "global"),
    "regionTargetTcpProxies": ("targetTcpProxies", "regions"),
    "urlMaps": ("urlMaps", "global"),
    "regionUrlMaps": ("urlMaps", "regions"),
}
AGGREGATED = (
    "addresses",
    "backendServices",
    "disks",
    "forwardingRules",
    "healthChecks",
    "instanceGroupManagers",
    "instanceGroups",
    "networkEndpointGroups",
    "sslCertificates",
    "targetHttpProxies",
    "targetHttpsProxies",
    "targetPools",
    "targetTcpProxies",
    "urlMaps",
)
NOT_DELETABLE = ("instanceGroupManagers",)


def link(state: State, scope: str, *rest: str) -> str:
    """Return the full link of a scope or of a resource in it."""
    return "/".join((ROOT, "projects", state.settings.project, scope, *rest))


def number_of(*parts: object) -> str:
    """Return an ID as in the compute API: a number with 19 digits."""
    return str(10**18 + int(values.digest(*parts)[:14], 16))


def key(collection: str, scope: str, name: str) -> str:
    """Return the key of a record."""
    return f"{collection}/{scope}/{name}"


def put(state: State, collection: str, scope: str, body: dict[str, Any], owner: str = "") -> str:
    """Create a resource unless it exists; return its link.

    :raises ValueError: unknown collection or scope, or a body without a name.
    """
    possible = {kind for name, kind in RESOURCES.values() if name == collection}
    where = scope.partition("/")
    if where[0] not in possible or (where[1] and not catalog.exists(where[2])):
        scopes = ", ".join(sorted(possible)) or f"none; collections are {', '.join(COLLECTIONS)}"
        message = f"{collection} cannot be in {scope}: its scopes are {scopes}"
        raise ValueError(message)
    if not body.get("name"):
        message = f"a resource of {collection} needs a name"
        raise ValueError(message)
    at = key(collection, scope, body["name"])
    if at not in state.compute:
        state.compute[at] = {
            "collection": collection,
            "scope": scope,
            "body": {
                "id": number_of(at, state.next_number()),
                "creationTimestamp": values.compute_time_of(state.now),
                **copy.deepcopy(body),
            },
            "owner": owner,
            "deleting": False,
        }
    return link(state, scope, collection, body["name"])


def shown(state: State, record: dict[str, Any]) -> dict[str, Any]:
    """Return a resource as the API shows it."""
    body, scope = record["body"], record["scope"]
    kind = scope.partition("/")[0]
    own = link(state, scope, record["collection"], body["name"])
    result = {"kind": f"compute#{COLLECTIONS[record['collection']]}", **body, "selfLink": own}
    if kind != "global":
        result[kind[:-1]] = link(state, scope)
    if record["collection"] == "addresses":
        users = [link(state, each["scope"], _path(each)) for each in _users(state, record)]
        result["status"] = "IN_USE" if users else "RESERVED"
        if users:
            result["users"] = users
    return result


def _path(record: dict[str, Any]) -> str:
    return f"{record['collection']}/{record['body']['name']}"


def records(state: State) -> Iterator[dict[str, Any]]:
    """Yield all resources, both derived and stored ones."""
    yield from state.compute.values()
    for cluster in state.clusters.values():
        yield from _firewalls(state, cluster)
        for pool in cluster["pools"].values():
            if pool["status"] != "PROVISIONING":
                yield from _of_pool(state, cluster, pool)


def _derived(collection: str, scope: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "collection": collection,
        "scope": scope,
        "body": {"id": number_of(collection, scope, body["name"]), **body},
        "owner": "derived",
        "deleting": False,
    }


def node_tag(cluster: dict[str, Any]) -> str:
    """Return the network tag of a cluster's nodes."""
    return f"gke-{cluster['live']['name']}-{cluster['uid'][:8]}-node"


def network(state: State, cluster: dict[str, Any]) -> str:
    """Return the link to a cluster's network."""
    return link(state, "global", "networks", cluster["live"]["network"])


def _firewalls(state: State, cluster: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not cluster["ready"]:
        return
    pods = cluster["live"]["ipAllocationPolicy"]["clusterIpv4CidrBlock"]
    rules: tuple[tuple[str, list[str], list[dict[str, Any]]], ...] = (
        ("all", [pods], [{"IPProtocol": p} for p in ("ah", "sctp", "tcp", "udp", "icmp", "esp")]),
        ("exkubelet", ["0.0.0.0/0"], [{"IPProtocol": "tcp", "ports": ["10255"]}]),
        ("inkubelet", [pods], [{"IPProtocol": "tcp", "ports": ["10255"]}]),
        ("vms", ["10.128.0.0/9"], [{"IPProtocol": "icmp"}, {"IPProtocol": "tcp"}]),
    )
    for suffix, sources, protocols in rules:
        body = {
            "name": f"{node_tag(cluster).removesuffix('-node')}-{suffix}",
            "creationTimestamp": values.compute_time_of(cluster["created"]),
            "network": network(state, cluster),
            "direction": "INGRESS",
            "priority": 1000,
            "sourceRanges": sources,
            "targetTags": [node_tag(cluster)],
            ("denied" if suffix == "exkubelet" else "allowed"): protocols,
        }
        yield _derived("firewalls", "global", body)


def _of_pool(
    state: State, cluster: dict[str, Any], pool: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    live = pool["live"]
    size = live.get("initialNodeCount", 0)
    for zone, group in node_pools.groups(cluster, pool).items():
        scope, base = f"zones/{zone}", group.removesuffix("-grp")
        created = values.compute_time_of(cluster["created"])
        yield _derived(
            "instanceGroupManagers",
            scope,
            {
                "name": group,
                "creationTimestamp": created,
                "baseInstanceName": base,
                "currentActions": {"none": size},
                "instanceGroup": link(state, scope, "instanceGroups", group),
                "instanceTemplate": link(state, "global", "instanceTemplates", base),
                "status": {"isStable": pool["status"] == "RUNNING"},
                "targetSize": size,
            },
        )
        yield _derived(
            "instanceGroups",
            scope,
            {
                "name": group,
                "creationTimestamp": created,
                "description": "This instance group is controlled by Instance Group Manager "
                f"'{group}'. To modify instances in this group, use the Instance Group Manager "
                "API: https://cloud.google.com/compute/docs/reference/latest/"
                "instanceGroupManagers",
                "network": network(state, cluster),
                "size": size,
            },
        )
        for place in range(size):
            node = f"{base}-{values.digest(base, place)[:4]}"
            yield _derived(
                "disks",
                scope,
                {
                    "name": node,
                    "creationTimestamp": created,
                    "labels": labels(cluster, live["name"]) | {"goog-gke-node": ""},
                    "sizeGb": str(live["config"]["diskSizeGb"]),
                    "status": "READY",
                    "type": link(state, scope, "diskTypes", live["config"]["diskType"]),
                    "users": [link(state, scope, "instances", node)],
                },
            )


def labels(cluster: dict[str, Any], pool: str) -> dict[str, str]:
    """Return the labels that GKE puts on disks: its own, and the cluster's resource labels."""
    return {
        **cluster["live"].get("resourceLabels", {}),
        "goog-gke-cluster-id-base32": values.base32_of(cluster["uid"]),
        "goog-gke-volume": "",
        "goog-k8s-cluster-location": cluster["live"]["location"],
        "goog-k8s-cluster-name": cluster["live"]["name"],
        **({"goog-k8s-node-pool-name": pool} if pool else {}),
    }


def _refused(status: int, reason: str, message: str) -> Refused:
    return Refused(refusal(status, message, reason=reason))


def _relative(state: State, record: dict[str, Any]) -> str:
    return f"projects/{state.settings.project}/{record['scope']}/{_path(record)}"


def _scope_of(kind: str, at: Target) -> str:
    return kind if kind == "global" else f"{kind}/{at.location}"


def _check_scope(state: State, scope: str) -> None:
    kind, _, place = scope.partition("/")
    if kind == "global":
        return
    fits = catalog.is_zone(place) if kind == "zones" else place in catalog.REGIONS
    if not fits:
        name = f"projects/{state.settings.project}/{scope}"
        raise _refused(404, "notFound", f"The resource '{name}' was not found")


def _name_of(call: Call, collection: str) -> str:
    return str({**call.params, **call.path}[COLLECTIONS[collection]])


def found(state: State, call: Call, at: Target, resource: str) -> dict[str, Any]:
    """Return the record that a call of a method refers to; raise Refused (404) if there is none."""
    collection, kind = RESOURCES[resource]
    scope = _scope_of(kind, at)
    _check_scope(state, scope)
    name = _name_of(call, collection)
    for record in records(state):
        same = (record["collection"], record["scope"]) == (collection, scope)
        if same and name in (record["body"]["name"], record["body"]["id"]):
            return record
    path = f"projects/{state.settings.project}/{scope}/{collection}/{name}"
    raise _refused(404, "notFound", f"The resource '{path}' was not found")


def _getter(resource: str) -> Handler:
    def get(state: State, call: Call, at: Target) -> dict[str, Any]:
        return shown(state, found(state, call, at, resource))

    return get


def _lister(resource: str) -> Handler:
    collection, kind = RESOURCES[resource]

    def list_(state: State, call: Call, at: Target) -> dict[str, Any]:
        scope = _scope_of(kind, at)
        _check_scope(state, scope)
        items = [
            shown(state, record)
            for record in records(state)
            if (record["collection"], record["scope"]) == (collection, scope)
        ]
        return _listed(state, call, items, _list_kind(collection), f"{scope}/{collection}")

    return list_


def _list_kind(collection: str, *, aggregated: bool = False) -> str:
    one = COLLECTIONS[collection]
    return f"compute#{one}{'AggregatedList' if aggregated else 'List'}"


def _listed(
    state: State, call: Call, items: list[dict[str, Any]], kind: str, path: str
) -> dict[str, Any]:
    """Return a page of a list as the compute API shows it."""
    if call.params.get("filter"):
        passes = filters.test_of(str(call.params["filter"]))
        items = [item for item in items if passes(item)]
    some, token = filters.page(items, state.settings.page_size, call.params)
    answer: dict[str, Any] = {
        "kind": kind,
        "id": f"projects/{state.settings.project}/{path}",
        "selfLink": link(state, path),
    }
    if some:
        answer["items"] = some
    if token:
        answer["nextPageToken"] = token
    return answer


def _aggregator(collection: str) -> Handler:
    scopes = {kind for name, kind in RESOURCES.values() if name == collection}

    def aggregated(state: State, call: Call, _at: Target) -> dict[str, Any]:
        passes = filters.test_of(str(call.params.get("filter", "")))
        matching = [
            (record["scope"], shown(state, record))
            for record in records(state)
            if record["collection"] == collection
        ]
        matching = [each for each in matching if passes(each[1])]
        some, token = filters.page(matching, state.settings.page_size, call.params)
        items: dict[str, Any] = {}
        for scope in _scopes(scopes):
            here = [item for place, item in some if place == scope]
            items[scope] = {collection: here} if here else {"warning": _nothing_in(scope)}
        answer = {
            "kind": _list_kind(collection, aggregated=True),
            "id": f"projects/{state.settings.project}/aggregated/{collection}",
            "items": items,
            "selfLink": link(state, f"aggregated/{collection}"),
        }
        if token:
            answer["nextPageToken"] = token
        return answer

    return aggregated


def _scopes(kinds: set[str]) -> Iterator[str]:
    if "global" in kinds:
        yield "global"
    for region in catalog.REGIONS:
        if "regions" in kinds:
            yield f"regions/{region}"
        if "zones" in kinds:
            yield from (f"zones/{zone}" for zone in catalog.zones_of(region))


def _nothing_in(scope: str) -> dict[str, Any]:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "data": [{"key": "scope", "value": scope}],
        "message": f"There are no results for scope '{scope}' on this page.",
    }


def _users(state: State, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the resources that refer to a resource by its link or, for an address, by its IP."""
    own = link(state, record["scope"], record["collection"], record["body"]["name"])
    sought = {own}
    if record["collection"] == "addresses":
        sought.add(record["body"].get("address", ""))
    return [
        other
        for other in state.compute.values()
        if other is not record and sought & set(_strings(other["body"]))
    ]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))


def _deleter(resource: str) -> Handler:
    def delete(state: State, call: Call, at: Target) -> dict[str, Any]:
        record = found(state, call, at, resource)
        one = re.sub(r"(?=[A-Z])", "_", COLLECTIONS[record["collection"]]).lower()
        own = _relative(state, record)
        users = _users(state, record)
        by = record["body"].get("users", []) or [_relative(state, each) for each in users]
        if record["owner"] == "derived" and not by:
            by = [f"projects/{state.settings.project}: a cluster of Kubernetes Engine"]
        if by:
            user = str(by[0]).removeprefix(f"{ROOT}/")
            message = f"The {one} resource '{own}' is already being used by '{user}'"
            raise _refused(400, "resourceInUseByAnotherResource", message)
        if record["deleting"]:
            raise _refused(400, "resourceNotReady", f"The resource '{own}' is not ready")
        record["deleting"] = True
        return begin(state, call, record)

    return delete


def begin(state: State, call: Call, record: dict[str, Any]) -> dict[str, Any]:
    """Start the deletion of a resource."""
    name = f"operation-{int(state.now * 1000)}-{values.uuid_of(state.next_number())}"
    fault = call.operation
    operation = {
        "name": name,
        "scope": record["scope"],
        "target": key(record["collection"], record["scope"], record["body"]["name"]),
        "targetLink": link(state, record["scope"], record["collection"], record["body"]["name"]),
        "targetId": record["body"]["id"],
        "user": call.caller,
        "start": state.now,
        "due": state.now + state.settings.compute_seconds,
        "end": None,
        "error": None,
        "planned_error": None,
    }
    if fault is not None and fault.message is None:
        operation["due"] = None
    elif fault is not None:
        operation["planned_error"] = fault.message
    state.compute_operations[name] = operation
    return operation_shown(state, operation)


def settle(state: State) -> None:
    """End the operations that are due."""
    for operation in state.compute_operations.values():
        due = operation["due"]
        if operation["end"] is not None or due is None or due > state.now:
            continue
        operation["end"] = due
        operation["error"] = operation["planned_error"]
        if operation["error"] is None:
            state.compute.pop(operation["target"], None)
        else:
            state.compute.get(operation["target"], {})["deleting"] = False


def operation_shown(state: State, operation: dict[str, Any]) -> dict[str, Any]:
    """Return a compute operation as the API shows it."""
    kind, _, _ = operation["scope"].partition("/")
    pending = state.settings.compute_seconds * state.settings.pending_part
    status = "PENDING" if state.now < operation["start"] + pending else "RUNNING"
    done = operation["end"] is not None
    answer: dict[str, Any] = {
        "kind": "compute#operation",
        "id": number_of(operation["name"]),
        "name": operation["name"],
        "operationType": "delete",
        "targetLink": operation["targetLink"],
        "targetId": operation["targetId"],
        "user": operation["user"],
        "status": "DONE" if done else status,
        "progress": 100 if done else 0,
        "insertTime": values.compute_time_of(operation["start"]),
        "startTime": values.compute_time_of(operation["start"]),
        "selfLink": link(state, operation["scope"], "operations", operation["name"]),
    }
    if kind != "global":
        answer[kind[:-1]] = link(state, operation["scope"])
    if done:
        answer["endTime"] = values.compute_time_of(operation["end"])
    if operation["error"] is not None:
        answer["error"] = {"errors": [{"code": "INTERNAL_ERROR", "message": operation["error"]}]}
        answer["httpErrorStatusCode"] = 500
        answer["httpErrorMessage"] = "INTERNAL SERVER ERROR"
    return answer


def _operation_getter(kind: str) -> Handler:
    def get(state: State, _call: Call, at: Target) -> dict[str, Any]:
        scope = _scope_of(kind, at)
        operation = state.compute_operations.get(at.operation)
        if operation is None or operation["scope"] != scope:
            path = f"projects/{state.settings.project}/{scope}/operations/{at.operation}"
            raise _refused(404, "notFound", f"The resource '{path}' was not found")
        return operation_shown(state, operation)

    return get


def _operation_lister(kind: str) -> Handler:
    def list_(state: State, call: Call, at: Target) -> dict[str, Any]:
        scope = _scope_of(kind, at)
        _check_scope(state, scope)
        items = [
            operation_shown(state, operation)
            for operation in state.compute_operations.values()
            if operation["scope"] == scope
        ]
        return _listed(state, call, items, "compute#operationList", f"{scope}/operations")

    return list_


def _zone(state: State, zone: str) -> dict[str, Any]:
    return {
        "kind": "compute#zone",
        "id": number_of("zone", zone),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": zone,
        "description": zone,
        "status": "UP",
        "region": link(state, f"regions/{catalog.region_of(zone)}"),
        "selfLink": link(state, f"zones/{zone}"),
    }


def _region(state: State, region: str) -> dict[str, Any]:
    used = quotas.used(state, region)
    return {
        "kind": "compute#region",
        "id": number_of("region", region),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": region,
        "description": region,
        "status": "UP",
        "zones": [link(state, f"zones/{zone}") for zone in catalog.zones_of(region)],
        "quotas": [
            {"metric": metric, "limit": float(limit), "usage": float(used.get(metric, 0))}
            for metric, limit in state.settings.quotas.items()
        ],
        "selfLink": link(state, f"regions/{region}"),
    }


def _machine_type(state: State, zone: str, machine: catalog.MachineType) -> dict[str, Any]:
    return {
        "kind": "compute#machineType",
        "id": number_of("machineType", machine.name),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": machine.name,
        "guestCpus": machine.cpus,
        "memoryMb": machine.memory_mb,
        "isSharedCpu": machine.shared,
        "zone": zone,
        "selfLink": link(state, f"zones/{zone}", "machineTypes", machine.name),
    }


def _zones_list(state: State, call: Call, _at: Target) -> dict[str, Any]:
    items = [_zone(state, zone) for each in catalog.REGIONS for zone in catalog.zones_of(each)]
    return _listed(state, call, items, "compute#zoneList", "zones")


def _zones_get(state: State, _call: Call, at: Target) -> dict[str, Any]:
    _check_scope(state, f"zones/{at.location}")
    return _zone(state, at.location)


def _regions_list(state: State, call: Call, _at: Target) -> dict[str, Any]:
    items = [_region(state, region) for region in catalog.REGIONS]
    return _listed(state, call, items, "compute#regionList", "regions")


def _regions_get(state: State, _call: Call, at: Target) -> dict[str, Any]:
    _check_scope(state, f"regions/{at.location}")
    return _region(state, at.location)


def _machine_types_list(state: State, call: Call, at: Target) -> dict[str, Any]:
    scope = f"zones/{at.location}"
    _check_scope(state, scope)
    items = [_machine_type(state, at.location, each) for each in catalog.MACHINE_TYPES.values()]
    return _listed(state, call, items, "compute#machineTypeList", f"{scope}/machineTypes")


def _machine_types_get(state: State, call: Call, at: Target) -> dict[str, Any]:
    scope = f"zones/{at.location}"
    _check_scope(state, scope)
    name = str({**call.params, **call.path}["machineType"])
    if name not in catalog.MACHINE_TYPES:
        path = f"projects/{state.settings.project}/{scope}/machineTypes/{name}"
        raise _refused(404, "notFound", f"The resource '{path}' was not found")
    return _machine_type(state, at.location, catalog.MACHINE_TYPES[name])


HANDLERS: dict[str, Handler] = {
    **{f"compute.{name}.get": _getter(name) for name in RESOURCES},
    **{f"compute.{name}.list": _lister(name) for name in RESOURCES},
    **{f"compute.{name}.delete": _deleter(name) for name in RESOURCES if name not in NOT_DELETABLE},
    **{f"compute.{name}.aggregatedList": _aggregator(name) for name in AGGREGATED},
    **{
        f"compute.{name}Operations.{verb}": make(kind)
        for name, kind in (("zone", "zones"), ("region", "regions"), ("global", "global"))
        for verb, make in (
            ("get", _operation_getter),
            ("wait", _operation_getter),
            ("list", _operation_lister),
        )
    },
    "compute.zones.list": _zones_list,
    "compute.zones.get": _zones_get,
    "compute.regions.list": _regions_list,
    "compute.regions.get": _regions_get,
    "compute.machineTypes.list": _machine_types_list,
    "compute.machineTypes.get": _machine_types_get,
}
