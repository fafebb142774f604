"""Compares a wanted GKE cluster with the live one, and determines the calls that make them equal.

Values that were not requested explicitly and that Google filled in are not differences. Neither are
Google's own changes: the nodes of an autoscaled pool, a newer version, its own labels and taints.

A change is one call of the API: `{"target": "cluster hello", "pool": "", "call":
"clusters.update", "method": "PUT", "path": "", "body": {…}, "fields": [{"path", "before",
"after"}], "summary": "…"}`; `path` is relative to the cluster's URL, and a field's path is that of
the option (`labels.env`, `node_pools.main.machine_type`).
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import (
    cluster_options,
    create_request,
    lifetime,
    maintenance_windows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    Options = Mapping[str, Any]
    Object = Mapping[str, Any]

ERROR = "ERROR"
STOPPING = "STOPPING"
# Google adds taints to the nodes of special machines.
_GOOGLES_TAINTS = ("kubernetes.io/arch", "nvidia.com/gpu", "google.com/tpu", "cloud.google.com/")
# The HTTP method of each call, and its path relative to the URL of the cluster or pool.
CALLS = {
    "clusters.update": ("PUT", ""),
    "clusters.setResourceLabels": ("POST", ":setResourceLabels"),
    "clusters.setMaintenancePolicy": ("POST", ":setMaintenancePolicy"),
    "nodePools.update": ("PUT", ""),
    "nodePools.setManagement": ("POST", ":setManagement"),
    "nodePools.setAutoscaling": ("POST", ":setAutoscaling"),
    "nodePools.setSize": ("POST", ":setSize"),
    "nodePools.delete": ("DELETE", ""),
}


@dataclass(frozen=True)
class Field:
    """A field that differs: the option's path, the live value, the wanted value."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """Return the field for messages."""
        return f"{self.path}: {_brief(self.before)} → {_brief(self.after)}"

    def shown(self) -> dict[str, Any]:
        """Return the field for a module's result."""
        return {"path": self.path, "before": self.before, "after": self.after}


def _brief(value: Any) -> str:
    if value is None or value in ({}, []):
        return "none"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


@dataclass
class Differences:
    """The result of a comparison.

    first: calls that must come before `cluster`.
    pools: calls for existing pools.
    fixed: the cluster's fields that cannot change in place.
    fixed_pools: such fields by pool.
    """

    first: list[dict[str, Any]] = field(default_factory=list)
    cluster: list[dict[str, Any]] = field(default_factory=list)
    pools: list[dict[str, Any]] = field(default_factory=list)
    fixed: list[Field] = field(default_factory=list)
    fixed_pools: dict[str, list[Field]] = field(default_factory=dict)


def plan(
    wanted: Options,
    live: Object | None,
    project: str,
    managed_by: str,
    created: datetime,
    *,
    sizes: Mapping[str, int] | None = None,
    allow_replace: bool = False,
) -> dict[str, Any]:
    """Return everything that changes the live cluster to the wanted one.

    live: the API's Cluster with its pools, None if it does not exist.
    sizes: the number of nodes of a pool in each zone, if known more accurately than by the pool.

    Returns `create` (`cluster` and `pools`, as in create_request), `updates`, `replace` (`cluster`,
    `pools`), `delete`, and `refused`, the fields that require another cluster or pool.
    """
    create: dict[str, Any] = {"cluster": None, "pools": []}
    replace: dict[str, Any] = {"cluster": None, "pools": []}
    result: dict[str, Any] = {
        "create": create,
        "updates": [],
        "replace": replace,
        "delete": [],
        "refused": [],
    }
    found = Differences()
    if live is not None:
        found = differences(wanted, live, project, managed_by, sizes or {})
        broken = _broken_cluster(live)
        fixed = broken or found.fixed
        if fixed and not (allow_replace or (broken and not _own_pools(live))):
            result["refused"] = [one.shown() for one in fixed]
            return result
        if fixed:
            replace["cluster"] = {
                "name": wanted["name"],
                "location": wanted["location"],
                "fields": [one.shown() for one in fixed],
            }
            live = None
    if live is None:
        create["cluster"] = create_request.create_cluster(wanted, project, managed_by, created)
        made = create["cluster"]["body"]
        found = differences(wanted, {**made, "nodePools": []}, project, managed_by, {})
        create["pools"] = [create_request.create_pool(one, wanted) for one in wanted["node_pools"]]
        # What the google.cloud module cannot set follows before any pool is created.
        result["updates"] = found.cluster
        return result
    for name, fields in found.fixed_pools.items():
        broken_pool = [one for one in fields if one.path.endswith(".status")]
        if not (allow_replace or broken_pool):
            result["refused"] += [one.shown() for one in fields]
            continue
        call = _call("nodePools.delete", wanted, None, fields, name)
        replace["pools"].append(call)
    if result["refused"]:
        replace["pools"] = []
        return result
    replaced = {one["pool"] for one in replace["pools"]}
    there = {one["name"] for one in _own_pools(live) if one.get("status") != STOPPING}
    create["pools"] = [
        create_request.create_pool(one, wanted)
        for one in wanted["node_pools"]
        if one["name"] in replaced or one["name"] not in there
    ]
    result["updates"] = [*found.first, *found.cluster, *found.pools]
    result["delete"] = list(_unwanted(wanted, live))
    return result


def _broken_cluster(live: Object) -> list[Field]:
    """Return why the cluster cannot be repaired: its creation failed."""
    if live.get("status") != ERROR:
        return []
    said = live.get("statusMessage")
    return [Field("status", f"ERROR ({said})" if said else "ERROR", "RUNNING")]


def _own_pools(live: Object) -> list[dict[str, Any]]:
    """Return the live pools except the one that Google creates with a cluster."""
    return [
        one for one in live.get("nodePools") or [] if one["name"] != cluster_options.DEFAULT_POOL
    ]


def _unwanted(wanted: Options, live: Object) -> Iterator[dict[str, Any]]:
    if cluster_options.is_autopilot(wanted):
        return
    names = {one["name"] for one in wanted["node_pools"]}
    for pool in live.get("nodePools") or []:
        name = pool["name"]
        autoprovisioned = (pool.get("autoscaling") or {}).get("autoprovisioned")
        if name in names or autoprovisioned or pool.get("status") == STOPPING:
            continue
        machine = (pool.get("config") or {}).get("machineType")
        fields = [Field(f"node_pools.{name}", machine or name, None)]
        yield _call("nodePools.delete", wanted, None, fields, name)


def differences(
    wanted: Options, live: Object, project: str, managed_by: str, sizes: Mapping[str, int]
) -> Differences:
    """Return the differences; see `plan` for the parameters."""
    found = Differences()
    found.fixed = list(_fixed(wanted, live))
    found.cluster = list(_cluster_calls(wanted, live, project, managed_by))
    if cluster_options.is_autopilot(wanted):
        return found
    by_name = {pool["name"]: pool for pool in live.get("nodePools") or []}
    for pool in wanted["node_pools"]:
        there = by_name.get(pool["name"])
        if there is None or there.get("status") == STOPPING:
            continue
        fixed = list(_fixed_of_pool(pool, there))
        if fixed:
            found.fixed_pools[pool["name"]] = fixed
            continue
        comparison = _PoolComparison(pool, there, wanted, live, sizes.get(pool["name"]))
        for call, early in comparison.calls():
            (found.first if early else found.pools).append(call)
    return found


def _call(
    name: str,
    wanted: Options,
    body: dict[str, Any] | None,
    fields: list[Field],
    pool: str = "",
) -> dict[str, Any]:
    method, verb = CALLS[name]
    cluster = f"cluster {wanted['name']}"
    return {
        "target": f"node pool {pool} of {cluster}" if pool else cluster,
        "pool": pool,
        "call": name,
        "method": method,
        "path": f"/nodePools/{pool}{verb}" if pool else verb,
        "body": body,
        "fields": [one.shown() for one in fields],
        "summary": "; ".join(map(str, fields)),
    }


# --- The cluster


def _cluster_calls(
    wanted: Options, live: Object, project: str, managed_by: str
) -> Iterator[dict[str, Any]]:
    autopilot = cluster_options.is_autopilot(wanted)
    for desired, one in (
        _release_channel(wanted, live),
        _version(wanted, live),
        _authorized_networks(wanted, live),
        _private_endpoint(wanted, live),
        *(() if autopilot else (_workload_identity(wanted, live, project),)),
        *(() if autopilot else (_shielded_nodes(wanted, live),)),
        _components(wanted, live, "logging"),
        _components(wanted, live, "monitoring"),
        *(() if autopilot else (_locations(wanted, live),)),
    ):
        if one.before != one.after:
            yield _call("clusters.update", wanted, {"update": desired}, [one])
    yield from _labels(wanted, live, managed_by)
    yield from _window(wanted, live)


_Update = tuple[dict[str, Any], Field]


def _release_channel(wanted: Options, live: Object) -> _Update:
    before = (live.get("releaseChannel") or {}).get("channel") or "UNSPECIFIED"
    after = create_request.channel(wanted)
    names = ("NONE" if one == "UNSPECIFIED" else one for one in (before, after))
    return {"desiredReleaseChannel": {"channel": after}}, Field("release_channel", *names)


def _version(wanted: Options, live: Object) -> _Update:
    version = wanted["kubernetes_version"]
    before = live.get("currentMasterVersion") or live.get("initialClusterVersion")
    after = version if is_older(before, version) else before
    return {"desiredMasterVersion": after}, Field("kubernetes_version", before, after)


def is_older(live: str | None, wanted: str | None) -> bool:
    """Return whether a live version is older than the wanted minimum.

    wanted: may omit parts (`1.34`), or be `latest` or empty, for which any version is sufficient.
    """
    if not live or not wanted or not wanted[0].isdigit():
        return False
    return _numbers(live) < _numbers(wanted)


def _numbers(version: str) -> list[int]:
    return [int(one) for one in re.findall(r"[0-9]+", version)]


def _authorized_networks(wanted: Options, live: Object) -> _Update:
    there = live.get("masterAuthorizedNetworksConfig") or {}
    if not there:
        endpoints = (live.get("controlPlaneEndpointsConfig") or {}).get("ipEndpointsConfig") or {}
        there = endpoints.get("authorizedNetworksConfig") or {}
    networks = wanted["authorized_networks"]
    config: dict[str, Any] = {"enabled": False}
    after = None
    if networks is not None:
        config = create_request.authorized_networks(networks)
        after = _networks(config)
    before = _networks(there) if there.get("enabled") else None
    # Settings of others are kept.
    others = ("gcpPublicCidrsAccessEnabled", "privateEndpointEnforcementEnabled")
    kept = {key: there[key] for key in others if key in there and config["enabled"]}
    desired = {"desiredMasterAuthorizedNetworksConfig": {**kept, **config}}
    return desired, Field("authorized_networks", before, after)


def _networks(config: Object) -> list[str]:
    found = []
    for one in config.get("cidrBlocks") or []:
        name = one.get("displayName")
        network = ipaddress.ip_network(one["cidrBlock"], strict=False)
        found.append(f"{network} ({name})" if name else str(network))
    return sorted(found)


def _private_endpoint(wanted: Options, live: Object) -> _Update:
    private = (live.get("privateClusterConfig") or {}).get("enablePrivateEndpoint")
    if private is None:
        endpoints = (live.get("controlPlaneEndpointsConfig") or {}).get("ipEndpointsConfig") or {}
        private = endpoints.get("enablePublicEndpoint") is False
    after = wanted["private_endpoint"]
    config = {"ipEndpointsConfig": {"enablePublicEndpoint": not after}}
    return {"desiredControlPlaneEndpointsConfig": config}, Field(
        "private_endpoint", bool(private), after
    )


def _workload_identity(wanted: Options, live: Object, project: str) -> _Update:
    before = bool((live.get("workloadIdentityConfig") or {}).get("workloadPool"))
    after = wanted["workload_identity"]
    pool = create_request.workload_pool(project) if after else ""
    desired = {"desiredWorkloadIdentityConfig": {"workloadPool": pool}}
    return desired, Field("workload_identity", before, after)


def _shielded_nodes(wanted: Options, live: Object) -> _Update:
    before = bool((live.get("shieldedNodes") or {}).get("enabled"))
    after = wanted["shielded_nodes"]
    return {"desiredShieldedNodes": {"enabled": after}}, Field("shielded_nodes", before, after)


def _components(wanted: Options, live: Object, option: str) -> _Update:
    names = wanted[option]
    config = live.get(f"{option}Config")
    before = after = None
    if names is not None:
        # For a cluster that is being created, Google's own choice is not known.
        found = (config or {}).get("componentConfig") or {}
        before = sorted(found.get("enableComponents") or []) if config is not None else None
        after = sorted(names)
    desired = {f"desired{option.capitalize()}Config": create_request.components(after)}
    return desired, Field(option, before, after)


def _locations(wanted: Options, live: Object) -> _Update:
    before = sorted(live.get("locations") or [])
    after = sorted(wanted["locations"] or before)
    return {"desiredLocations": after}, Field("locations", before, after)


def _labels(wanted: Options, live: Object, managed_by: str) -> Iterator[dict[str, Any]]:
    before = live.get("resourceLabels") or {}
    after = cluster_options.labels(wanted, managed_by)
    # The creation time keeps its original value, and Google's labels are kept as well.
    kept = {
        key: value
        for key, value in before.items()
        if key == lifetime.CREATED_AT or key.startswith(cluster_options.GOOGLE_PREFIX)
    }
    after = {**after, **kept}
    fields = list(_of_maps("labels", before, after))
    if not fields:
        return
    body = {"resourceLabels": after, "labelFingerprint": live.get("labelFingerprint", "")}
    yield _call("clusters.setResourceLabels", wanted, body, fields)


def _of_maps(path: str, before: Object, after: Object) -> Iterator[Field]:
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield Field(f"{path}.{key}", before.get(key), after.get(key))


def _window(wanted: Options, live: Object) -> Iterator[dict[str, Any]]:
    policy, option = live.get("maintenancePolicy"), wanted["maintenance_window"]
    before, after = maintenance_windows.live(policy), maintenance_windows.wanted(option)
    if before == after:
        return
    body = {"maintenancePolicy": maintenance_windows.changed_policy(policy, option)}
    fields = [Field("maintenance_window", *(one and str(one) for one in (before, after)))]
    yield _call("clusters.setMaintenancePolicy", wanted, body, fields)


def _fixed(wanted: Options, live: Object) -> Iterator[Field]:
    """Yield the differing fields of a cluster that cannot change after its creation."""
    autopilot = bool((live.get("autopilot") or {}).get("enabled"))
    mode = cluster_options.AUTOPILOT if autopilot else "standard"
    if mode != wanted["mode"]:
        yield Field("mode", mode, wanted["mode"])
    network = live.get("networkConfig") or {}
    for option in ("network", "subnetwork"):
        before = network.get(option) or live.get(option) or "default"
        after = wanted[option]
        if after is not None and not _same_name(before, after):
            yield Field(option, _last(before), after)
    policy = live.get("ipAllocationPolicy") or {}
    for option, kind, fallback in (
        ("pod_range", "cluster", "clusterIpv4Cidr"),
        ("service_range", "services", "servicesIpv4Cidr"),
    ):
        block = policy.get(f"{kind}Ipv4CidrBlock") or live.get(fallback) or ""
        name = policy.get(f"{kind}SecondaryRangeName") or ""
        after = wanted[option]
        if after is not None and not _same_range(after, block, name):
            yield Field(option, block or name, after)
    private = live.get("privateClusterConfig") or {}
    nodes = bool(private.get("enablePrivateNodes") or network.get("defaultEnablePrivateNodes"))
    if nodes != wanted["private_nodes"]:
        yield Field("private_nodes", nodes, wanted["private_nodes"])
    plane, after = private.get("masterIpv4CidrBlock"), wanted["control_plane_range"]
    if nodes and after is not None and plane != after:
        yield Field("control_plane_range", plane, after)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _same_name(live: str, wanted: str) -> bool:
    """Compare names of networks, which may be complete paths of a (shared) project."""
    live, wanted = (re.sub(r"^.*?(?=projects/)", "", one) for one in (live, wanted))
    return live == wanted if "/" in live and "/" in wanted else _last(live) == _last(wanted)


def _same_range(wanted: str, block: str, name: str) -> bool:
    if wanted.startswith("/"):
        return block.endswith(wanted)
    return wanted == block if "/" in wanted else wanted == name


# --- A pool


def _fixed_of_pool(pool: Options, live: Object) -> Iterator[Field]:
    """Yield the differing fields that cannot change after a pool's creation, or its failure."""
    path = f"node_pools.{pool['name']}"
    if live.get("status") == ERROR:
        said = live.get("statusMessage")
        yield Field(f"{path}.status", f"ERROR ({said})" if said else "ERROR", "RUNNING")
        return
    config = live.get("config") or {}
    shielded = config.get("shieldedInstanceConfig") or {}
    account = pool["service_account"]
    scopes = pool["oauth_scopes"]
    for option, before, after in (
        ("spot", bool(config.get("spot")), pool["spot"]),
        ("secure_boot", bool(shielded.get("enableSecureBoot")), pool["secure_boot"]),
        (
            "integrity_monitoring",
            bool(shielded.get("enableIntegrityMonitoring")),
            pool["integrity_monitoring"],
        ),
        ("service_account", account and (config.get("serviceAccount") or "default"), account),
        (
            "oauth_scopes",
            sorted(config.get("oauthScopes") or []) if scopes is not None else None,
            sorted(scopes) if scopes is not None else None,
        ),
    ):
        if before != after:
            yield Field(f"{path}.{option}", before, after)


class _PoolComparison:
    """Compares an existing pool with the wanted one."""

    def __init__(
        self, pool: Options, live: Object, wanted: Options, cluster: Object, size: int | None
    ) -> None:
        self.pool = pool
        self.live = live
        self.wanted = wanted
        self.cluster = cluster
        self.config: Object = live.get("config") or {}
        self.size: int = live.get("initialNodeCount", 0) if size is None else size

    def calls(self) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield the calls, each with whether it must come before those for the cluster.

        The upgrade settings come before any change that replaces nodes.
        """
        # A release channel requires management of all pools, and Workload Identity can be disabled
        # only if no pool uses it.
        yield from ((one, self.wanted["release_channel"] != "NONE") for one in self._management())
        for one in (*self._upgrade(), *self._version(), *self._image(), *self._machine()):
            yield one, False
        yield from ((one, not self.wanted["workload_identity"]) for one in self._metadata())
        for one in (*self._locations(), *self._labels(), *self._taints(), *self._tags()):
            yield one, False
        for one in self._nodes():
            yield one, False

    def _field(self, option: str, before: Any, after: Any) -> Field:
        return Field(f"node_pools.{self.pool['name']}.{option}", before, after)

    def _update(self, body: dict[str, Any], *fields: Field) -> Iterator[dict[str, Any]]:
        if fields:
            yield _call("nodePools.update", self.wanted, body, list(fields), self.pool["name"])

    def _post(self, verb: str, body: dict[str, Any], fields: list[Field]) -> dict[str, Any]:
        return _call(f"nodePools.{verb}", self.wanted, body, fields, self.pool["name"])

    def _management(self) -> Iterator[dict[str, Any]]:
        there = self.live.get("management") or {}
        fields = [
            self._field(option, bool(there.get(key)), self.pool[option])
            for option, key in (("auto_repair", "autoRepair"), ("auto_upgrade", "autoUpgrade"))
            if bool(there.get(key)) != self.pool[option]
        ]
        if fields:
            body = {"management": create_request.management(self.pool)}
            yield self._post("setManagement", body, fields)

    def _upgrade(self) -> Iterator[dict[str, Any]]:
        there = self.live.get("upgradeSettings") or {"maxSurge": 1}
        upgrade = self.pool["upgrade"]
        before = {"strategy": there.get("strategy") or "SURGE"}
        after = {"strategy": upgrade["strategy"]}
        settings = create_request.upgrade_settings(upgrade)
        if upgrade["strategy"] == "SURGE":
            before |= {
                "max_surge": there.get("maxSurge", 0),
                "max_unavailable": there.get("maxUnavailable", 0),
            }
            after |= {key: upgrade[key] for key in ("max_surge", "max_unavailable")}
        else:
            green = there.get("blueGreenSettings") or {}
            before["soak_seconds"] = _seconds(green.get("nodePoolSoakDuration"))
            after["soak_seconds"] = upgrade["soak_seconds"]
            policy = green.get("standardRolloutPolicy")
            if policy:
                settings["blueGreenSettings"]["standardRolloutPolicy"] = policy
        fields = [
            self._field(f"upgrade.{key}", before[key], after[key])
            for key in after
            if before[key] != after[key]
        ]
        yield from self._update({"upgradeSettings": settings}, *fields)

    def _version(self) -> Iterator[dict[str, Any]]:
        before, after = self.live.get("version"), self.wanted["kubernetes_version"]
        if is_older(before, after):
            field_ = self._field("version", before, after)
            yield from self._update({"nodeVersion": after}, field_)

    def _image(self) -> Iterator[dict[str, Any]]:
        before, after = self.config.get("imageType"), self.pool["image_type"]
        if before != after:
            version = self.live.get("version", "-")
            body = {"imageType": after, "nodeVersion": version}
            yield from self._update(body, self._field("image_type", before, after))

    def _machine(self) -> Iterator[dict[str, Any]]:
        """Machine and disk change together, so that the nodes are replaced only once."""
        body: dict[str, Any] = {}
        fields = []
        disk = self.config.get("bootDisk") or {}
        for option, key, before in (
            ("machine_type", "machineType", self.config.get("machineType")),
            ("disk_type", "diskType", self.config.get("diskType") or disk.get("diskType")),
            ("disk_size_gb", "diskSizeGb", self.config.get("diskSizeGb") or disk.get("sizeGb")),
        ):
            after = self.pool[option]
            if str(before) != str(after):
                # The API's JSON contains 64-bit numbers as text.
                body[key] = str(after) if key == "diskSizeGb" else after
                fields.append(self._field(option, before, after))
        yield from self._update(body, *fields)

    def _metadata(self) -> Iterator[dict[str, Any]]:
        before = (self.config.get("workloadMetadataConfig") or {}).get("mode") == "GKE_METADATA"
        after = self.wanted["workload_identity"]
        if before != after:
            mode = "GKE_METADATA" if after else "GCE_METADATA"
            body = {"workloadMetadataConfig": {"mode": mode}}
            yield from self._update(body, self._field("workload_identity", before, after))

    def _locations(self) -> Iterator[dict[str, Any]]:
        """A pool without zones of its own follows a change of the cluster's zones."""
        zones = self.pool["locations"]
        before = sorted(self.live.get("locations") or self.cluster.get("locations") or [])
        moved = sorted(self.wanted["locations"] or [])
        if moved and moved != sorted(self.cluster.get("locations") or []):
            before = moved
        after = sorted(zones or before)
        if before != after:
            body = {"locations": after}
            yield from self._update(body, self._field("locations", before, after))

    def _labels(self) -> Iterator[dict[str, Any]]:
        before = self.config.get("labels") or {}
        googles = {
            key: value
            for key, value in before.items()
            if key.startswith(("cloud.google.com/", cluster_options.GOOGLE_PREFIX))
        }
        after = {**googles, **create_request.node_labels(self.pool)}
        fields = list(_of_maps(f"node_pools.{self.pool['name']}.labels", before, after))
        yield from self._update({"labels": {"labels": after}}, *fields)

    def _taints(self) -> Iterator[dict[str, Any]]:
        there = self.config.get("taints") or []
        asked = [create_request.taint(one) for one in self.pool["taints"]]
        keys = {one["key"] for one in asked}
        googles = [
            one
            for one in there
            if one["key"].startswith(_GOOGLES_TAINTS) and one["key"] not in keys
        ]
        after = [*asked, *googles]
        if _taints(there) != _taints(after):
            fields = self._field("taints", _taints(there), _taints(after))
            yield from self._update({"taints": {"taints": after}}, fields)

    def _tags(self) -> Iterator[dict[str, Any]]:
        before, after = sorted(self.config.get("tags") or []), sorted(self.pool["tags"])
        if before != after:
            body = {"tags": {"tags": after}}
            yield from self._update(body, self._field("tags", before, after))

    def _nodes(self) -> Iterator[dict[str, Any]]:
        there = self.live.get("autoscaling") or {}
        bounds = self.pool["autoscaling"]
        before = _bounds(there)
        after = dict(bounds) if bounds else None
        scaled = bool(there.get("enabled"))
        if before != after:
            wanted: dict[str, Any] = {"enabled": False}
            if bounds:
                policy = there.get("locationPolicy")
                kept = {"locationPolicy": policy} if policy else {}
                wanted = {**kept, **create_request.autoscaling(bounds)}
            fields = [self._field("autoscaling", before, after)]
            yield self._post("setAutoscaling", {"autoscaling": wanted}, fields)
        # The number of nodes after autoscaling is unknown until it is disabled.
        if not bounds and (scaled or self.size != self.pool["nodes"]):
            nodes = self.pool["nodes"]
            fields = [self._field("nodes", "autoscaled" if scaled else self.size, nodes)]
            yield self._post("setSize", {"nodeCount": nodes}, fields)


def _seconds(duration: str | None) -> int:
    """Return the seconds of a duration such as `3600s`; Google's default of an hour without one."""
    return int(float((duration or "3600s").rstrip("s")))


def _taints(taints: list[dict[str, Any]]) -> list[str]:
    names = {value: key for key, value in cluster_options.EFFECTS.items()}
    return sorted(
        f"{one['key']}={one.get('value', '')}:{names.get(one['effect'], one['effect'])}"
        for one in taints
    )


def _bounds(autoscaling: Object) -> dict[str, int] | None:
    if not autoscaling.get("enabled"):
        return None
    found = {
        "min": autoscaling.get("minNodeCount", 0),
        "max": autoscaling.get("maxNodeCount", 0),
    }
    # Bounds for all zones together differ from ours, which are for each zone.
    totals = {
        "total_min": autoscaling.get("totalMinNodeCount", 0),
        "total_max": autoscaling.get("totalMaxNodeCount", 0),
    }
    return {**found, **totals} if any(totals.values()) else found
