"""Clusters of the container API: created with all of Google's defaults, shown, deleted.

A record of `State.clusters`: {"live": the Cluster without the fields derived when it is shown,
"status", "message": statusMessage, "ready": whether there is a control plane, "created": seconds
since the epoch, "uid": 64 hexadecimal digits, "pools": {name: record of `node_pools`}}.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import (
    catalog,
    node_pools,
    operations,
    quotas,
    records,
    refusals,
    target,
    values,
)

if TYPE_CHECKING:
    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State

NAME = r"(?:[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)"
PODS = "10.{}.0.0/14"
SERVICES = "34.118.224.0/20"
NODES = "10.128.0.2"

MONITORED = ["SYSTEM_COMPONENTS", "STORAGE", "POD", "DEPLOYMENT", "STATEFULSET", "DAEMONSET"]
MONITORED += ["HPA", "JOBSET", "CADVISOR", "KUBELET", "DCGM"]
LOGGING_SERVICE = "logging.googleapis.com/kubernetes"
MONITORING_SERVICE = "monitoring.googleapis.com/kubernetes"

DERIVED = ("nodePools", "nodeConfig", "initialNodeCount", "etag", "status", "endpoint", "id")


def check_etag(asked: str, record: dict[str, Any]) -> None:
    """Raise Refused if an update is based on an outdated state."""
    if asked and asked != record["etag"]:
        raise refusals.stale(
            f'Supplied etag "{asked}" does not match the current etag "{record["etag"]}".'
        )


def _channel_and_version(asked: dict[str, Any]) -> tuple[str, str]:
    """Return the channel ("" for none) and the version of a new cluster."""
    version = asked.get("initialClusterVersion", "")
    given = asked.get("releaseChannel")
    channel = (given or {}).get("channel", "")
    if channel == "UNSPECIFIED" or (given is not None and not channel):
        channel = ""
    elif not channel and version in ("", "-", "latest"):
        channel = catalog.DEFAULT_CHANNEL
    elif not channel:
        channel = next((c for c in catalog.MATURITY if catalog.resolve(version, c)), "")
    resolved = catalog.resolve(version, channel)
    if resolved is None:
        where = f" in channel {channel}" if channel else ""
        raise refusals.invalid(f'Master version "{version}" is unsupported{where}.')
    return channel, resolved


def create(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.create."""
    asked = dict((call.body or {}).get("cluster", {}))
    name = asked.get("name", "")
    if not re.fullmatch(NAME, name):
        raise refusals.invalid(
            f'Invalid value for field "cluster.name": "{name}". Must be a match of regex "{NAME}".'
        )
    if not catalog.exists(at.location):
        raise refusals.invalid(f'Location "{at.location}" does not exist.')
    at = target.Target(at.project, at.location, name)
    if at.key in state.clusters:
        raise refusals.exists(at.relative)
    records.check_labels(asked.get("resourceLabels", {}))
    channel, version = _channel_and_version(asked)
    autopilot = bool(asked.get("autopilot", {}).get("enabled"))
    if autopilot:
        _check_autopilot(asked, at.location)
    else:
        _check_pools_given_once(asked)
    _check_network(asked)

    uid = values.digest("cluster", at.key, state.next_number())
    live = _filled_in(state, at, asked, uid, channel=channel, version=version)
    record: dict[str, Any] = {
        "live": live,
        "status": "PROVISIONING",
        "message": "",
        "ready": False,
        "created": state.now,
        "uid": uid,
        "pools": {},
    }
    records.touch(state, record)
    for pool in _pools_asked(asked, autopilot=autopilot):
        node_pools.check(pool, record, new=True)
        record["pools"][pool["name"]] = node_pools.filled_in(state, record, pool)
    shortage = quotas.shortage(state, record, record["pools"].values())
    state.clusters[at.key] = record
    operation = operations.begin(
        state,
        "CREATE_CLUSTER",
        at,
        {"kind": "create-cluster"},
        seconds=state.settings.create_cluster_seconds,
        fault=call.operation or shortage,
    )
    return operations.public(state, operation)


def _check_autopilot(asked: dict[str, Any], location: str) -> None:
    if catalog.is_zone(location):
        raise refusals.invalid("Autopilot clusters must be regional clusters.")
    for field in ("nodePools", "nodeConfig"):
        if asked.get(field) and not _is_gclouds_default(asked[field]):
            raise refusals.invalid(
                f"Cluster.{field} cannot be specified when Autopilot is enabled: "
                "Autopilot node pools cannot be accessed or modified."
            )
    if asked.get("shieldedNodes", {}).get("enabled") is False:
        raise refusals.invalid("Shielded nodes must be enabled for Autopilot clusters.")
    if asked.get("releaseChannel", {}).get("channel") == "UNSPECIFIED":
        raise refusals.invalid("Autopilot clusters must be enrolled in a release channel.")


def _is_gclouds_default(pools: Any) -> bool:
    """Return whether the pools are those of `gcloud container clusters create-auto`: accepted."""
    return (
        isinstance(pools, list)
        and [pool.get("name") for pool in pools] == ["default-pool"]
        and pools[0].get("config", {}).keys() <= {"oauthScopes", "serviceAccount"}
    )


def _check_pools_given_once(asked: dict[str, Any]) -> None:
    pools = asked.get("nodePools")
    if pools and (asked.get("initialNodeCount") or asked.get("nodeConfig")):
        raise refusals.invalid(
            "Cluster.initial_node_count and Cluster.node_config must not be set "
            "when Cluster.node_pools is set."
        )
    if not pools and asked.get("initialNodeCount", 0) <= 0:
        raise refusals.invalid("Cluster.initial_node_count must be greater than zero.")
    names = [pool.get("name", "") for pool in pools or ()]
    for name in names:
        if names.count(name) > 1:
            raise refusals.invalid(f'Node pool name "{name}" is used more than once.')


def _check_network(asked: dict[str, Any]) -> None:
    private = asked.get("privateClusterConfig", {})
    network = asked.get("networkConfig", {})
    endpoints = asked.get("controlPlaneEndpointsConfig", {}).get("ipEndpointsConfig", {})
    for old, new, names in (
        (private, network, ("enablePrivateNodes", "defaultEnablePrivateNodes")),
        (private, endpoints, ("enablePrivateEndpoint", "enablePublicEndpoint")),
    ):
        if names[0] in old and names[1] in new:
            raise refusals.invalid(f"It is invalid to specify both {names[0]} and {names[1]}.")
    if "masterAuthorizedNetworksConfig" in asked and "authorizedNetworksConfig" in endpoints:
        raise refusals.invalid(
            "It is invalid to specify both masterAuthorizedNetworksConfig and "
            "controlPlaneEndpointsConfig.ipEndpointsConfig.authorizedNetworksConfig."
        )
    if private.get("enablePrivateEndpoint") and not (
        private.get("enablePrivateNodes") or network.get("defaultEnablePrivateNodes")
    ):
        raise refusals.invalid(
            "Private endpoint can only be enabled for clusters with private nodes."
        )
    block = private.get("masterIpv4CidrBlock")
    if block:
        check_cidr(block, "master_ipv4_cidr_block")
        if not block.endswith("/28"):
            raise refusals.invalid(f"Master IPv4 CIDR block {block} must be of size /28.")
    networks = asked.get("masterAuthorizedNetworksConfig") or endpoints.get(
        "authorizedNetworksConfig", {}
    )
    check_authorized_networks(networks)


def check_cidr(text: str, field: str) -> None:
    """Raise Refused if a text is not a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise refusals.invalid(f'Invalid value for field "{field}": "{text}": {error}.') from error


def check_authorized_networks(config: dict[str, Any]) -> None:
    """Raise Refused if authorized networks are invalid, or given but not enabled."""
    blocks = config.get("cidrBlocks", [])
    if blocks and not config.get("enabled"):
        raise refusals.invalid(
            "master_authorized_networks_config.cidr_blocks cannot be set "
            "when master_authorized_networks_config.enabled is false."
        )
    for block in blocks:
        check_cidr(block.get("cidrBlock", ""), "master_authorized_networks_config.cidr_blocks")


def _pools_asked(asked: dict[str, Any], *, autopilot: bool) -> list[dict[str, Any]]:
    if autopilot:
        return [node_pools.autopilot_pool()]
    if asked.get("nodePools"):
        return [dict(pool) for pool in asked["nodePools"]]
    pool = {"name": "default-pool", "initialNodeCount": asked["initialNodeCount"]}
    if asked.get("nodeConfig"):
        pool["config"] = asked["nodeConfig"]
    return [pool]


def _filled_in(
    state: State, at: target.Target, asked: dict[str, Any], uid: str, *, channel: str, version: str
) -> dict[str, Any]:
    """Return the members of a new cluster: the requested ones, completed by Google's defaults."""
    settings = state.settings
    autopilot = bool(asked.get("autopilot", {}).get("enabled"))
    region = catalog.region_of(at.location)
    network = asked.get("network", "default").rpartition("/")[2]
    subnetwork = asked.get("subnetwork", network).rpartition("/")[2]
    pods = PODS.format(4 * (1 + len(state.clusters) % 60))
    below: dict[str, Any] = {
        "addonsConfig": {
            "dnsCacheConfig": {"enabled": autopilot},
            "gcePersistentDiskCsiDriverConfig": {"enabled": True},
            "kubernetesDashboard": {"disabled": True},
            "networkPolicyConfig": {"disabled": True},
        },
        "autopilot": {},
        "autoscaling": {"autoscalingProfile": "BALANCED"},
        "anonymousAuthenticationConfig": {"mode": "ENABLED"},
        "databaseEncryption": {
            "currentState": "CURRENT_STATE_DECRYPTED",
            "state": "DECRYPTED",
        },
        "defaultMaxPodsConstraint": {"maxPodsPerNode": "110"},
        "ipAllocationPolicy": {
            "clusterIpv4Cidr": pods,
            "clusterIpv4CidrBlock": pods,
            "clusterSecondaryRangeName": f"gke-{at.cluster}-pods-{uid[:8]}",
            "podCidrOverprovisionConfig": {},
            "servicesIpv4Cidr": SERVICES,
            "servicesIpv4CidrBlock": SERVICES,
            "stackType": "IPV4",
            "useIpAliases": True,
        },
        "legacyAbac": {},
        "loggingConfig": {
            "componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"]}
        },
        "loggingService": LOGGING_SERVICE,
        "maintenancePolicy": {},
        "masterAuth": {"clientCertificateConfig": {}},
        "monitoringConfig": {
            "advancedDatapathObservabilityConfig": {},
            "componentConfig": {"enableComponents": list(MONITORED)},
            "managedPrometheusConfig": {"enabled": True},
        },
        "monitoringService": MONITORING_SERVICE,
        "networkConfig": {"defaultEnablePrivateNodes": False, "serviceExternalIpsConfig": {}},
        "nodePoolDefaults": {
            "nodeConfigDefaults": {
                "loggingConfig": {"variantConfig": {"variant": "DEFAULT"}},
                "nodeKubeletConfig": {"insecureKubeletReadonlyPortEnabled": False},
            }
        },
        "notificationConfig": {"pubsub": {}},
        "podAutoscaling": {"hpaProfile": "PERFORMANCE"},
        "privateClusterConfig": {},
        "rbacBindingConfig": {
            "enableInsecureBindingSystemAuthenticated": True,
            "enableInsecureBindingSystemUnauthenticated": True,
        },
        "releaseChannel": {},
        "satisfiesPzi": True,
        "satisfiesPzs": False,
        "securityPostureConfig": {
            "mode": "BASIC",
            "vulnerabilityMode": "VULNERABILITY_MODE_UNSPECIFIED",
        },
        "shieldedNodes": {"enabled": True},
    }
    if autopilot:
        below = values.merged(below, _autopilot(settings.project))
    given = {k: v for k, v in asked.items() if k not in DERIVED}
    live = values.merged(below, given)
    live.update(
        name=at.cluster,
        network=network,
        subnetwork=subnetwork,
        locations=records.zones_asked(at.location, asked.get("locations", [])),
        releaseChannel={"channel": channel} if channel else {},
        initialClusterVersion=version,
        currentMasterVersion=version,
        location=at.location,
        zone=at.location,
    )
    live["networkConfig"].update(
        network=f"projects/{settings.project}/global/networks/{network}",
        subnetwork=f"projects/{settings.project}/regions/{region}/subnetworks/{subnetwork}",
    )
    policy = live["ipAllocationPolicy"]
    if asked.get("clusterIpv4Cidr"):
        policy["clusterIpv4CidrBlock"] = asked["clusterIpv4Cidr"]
    for new, old in (
        ("clusterIpv4CidrBlock", "clusterIpv4Cidr"),
        ("servicesIpv4CidrBlock", "servicesIpv4Cidr"),
    ):
        if policy.get(new, "").startswith("/") or not policy.get(new):
            policy[new] = below["ipAllocationPolicy"][new]
        policy[old] = live[old] = policy[new]
    if policy.get("createSubnetwork") or not policy.get("clusterSecondaryRangeName"):
        policy["clusterSecondaryRangeName"] = below["ipAllocationPolicy"][
            "clusterSecondaryRangeName"
        ]
    mirror_network_settings(live, asked)
    set_maintenance_policy(live, asked.get("maintenancePolicy", {}))
    # Fields that are deprecated and meaningless for a new cluster, or output only.
    for field in ("enableTpu", "instanceGroupUrls", "labelFingerprint"):
        live.pop(field, None)
    return live


def _autopilot(project: str) -> dict[str, Any]:
    return {
        "autopilot": {"enabled": True},
        "autoscaling": {
            "autoprovisioningNodePoolDefaults": {
                "imageType": "COS_CONTAINERD",
                "management": {"autoRepair": True, "autoUpgrade": True},
                "oauthScopes": list(node_pools.SCOPES),
                "serviceAccount": "default",
                "upgradeSettings": {"maxSurge": 1, "strategy": "SURGE"},
            },
            "autoscalingProfile": "OPTIMIZE_UTILIZATION",
            "enableNodeAutoprovisioning": True,
            "resourceLimits": [
                {"maximum": "1000000000", "resourceType": "cpu"},
                {"maximum": "1000000000", "resourceType": "memory"},
            ],
        },
        "defaultMaxPodsConstraint": {"maxPodsPerNode": "32"},
        "networkConfig": {
            "datapathProvider": "ADVANCED_DATAPATH",
            "dnsConfig": {
                "clusterDns": "CLOUD_DNS",
                "clusterDnsDomain": "cluster.local",
                "clusterDnsScope": "CLUSTER_SCOPE",
            },
        },
        "verticalPodAutoscaling": {"enabled": True},
        "workloadIdentityConfig": {"workloadPool": f"{project}.svc.id.goog"},
    }


def mirror_network_settings(live: dict[str, Any], given: dict[str, Any]) -> None:
    """Synchronize the old and the new field of each network setting, as Google does.

    `given` contains the latest values, in the form of either field.
    """
    old = given.get("privateClusterConfig", {})
    network = given.get("networkConfig", {})
    endpoints = given.get("controlPlaneEndpointsConfig", {}).get("ipEndpointsConfig", {})
    private = live.setdefault("privateClusterConfig", {})
    shown = live.setdefault("controlPlaneEndpointsConfig", {})
    shown.setdefault("dnsEndpointConfig", {}).setdefault("allowExternalTraffic", False)
    ip = shown.setdefault("ipEndpointsConfig", {})
    ip.setdefault("enabled", True)
    ip.setdefault("enablePublicEndpoint", True)
    if "enablePrivateNodes" in old:
        live["networkConfig"]["defaultEnablePrivateNodes"] = bool(old["enablePrivateNodes"])
    if "defaultEnablePrivateNodes" in network or "enablePrivateNodes" in old:
        private["enablePrivateNodes"] = live["networkConfig"]["defaultEnablePrivateNodes"]
    if "enablePrivateEndpoint" in old:
        ip["enablePublicEndpoint"] = not old["enablePrivateEndpoint"]
    if "enablePrivateEndpoint" in old or "enablePublicEndpoint" in endpoints:
        private["enablePrivateEndpoint"] = not ip["enablePublicEndpoint"]
    if "masterAuthorizedNetworksConfig" in given:
        authorized = dict(given["masterAuthorizedNetworksConfig"])
    else:
        authorized = dict(
            endpoints.get("authorizedNetworksConfig") or ip.get("authorizedNetworksConfig") or {}
        )
    authorized.setdefault("gcpPublicCidrsAccessEnabled", True)
    ip["authorizedNetworksConfig"] = authorized
    live["masterAuthorizedNetworksConfig"] = dict(authorized)


def set_maintenance_policy(live: dict[str, Any], policy: dict[str, Any]) -> None:
    """Set the maintenance policy's settable fields and its resource version, a hash."""
    kept = {name: policy[name] for name in ("window", "disruptionBudget") if policy.get(name)}
    text = repr(values.written(kept)) if kept else ""
    daily = kept.get("window", {}).get("dailyMaintenanceWindow")
    if daily is not None:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", daily.get("startTime", "")):
            raise refusals.invalid(
                f'Invalid start_time "{daily.get("startTime", "")}" of the daily maintenance '
                'window: must be in the format "HH:MM".'
            )
        daily = {"startTime": daily["startTime"], "duration": "PT4H0M0S"}
        kept["window"] = {**kept["window"], "dailyMaintenanceWindow": daily}
    recurring = kept.get("window", {}).get("recurringWindow")
    if recurring is not None:
        if daily is not None:
            raise refusals.invalid("Only one of the maintenance windows can be set.")
        times = recurring.get("window", {})
        if times.get("endTime", "") <= times.get("startTime", ""):
            raise refusals.invalid("The maintenance window must end after it starts.")
    live["maintenancePolicy"] = {**kept, "resourceVersion": policy_version(text)}


def policy_version(text: str) -> str:
    """Return the hash of a maintenance policy; for an empty policy, Google's is e3b0c442."""
    return values.digest(text)[:8] if text else "e3b0c442"


def public(state: State, record: dict[str, Any]) -> dict[str, Any]:
    """Return the Cluster as the API shows it."""
    settings = state.settings
    live = record["live"]
    pools = [node_pools.public(state, record, pool) for pool in record["pools"].values()]
    shown: dict[str, Any] = {
        **live,
        "createTime": values.time_of(record["created"]),
        "etag": record["etag"],
        "id": record["uid"],
        "labelFingerprint": values.label_fingerprint(live.get("resourceLabels", {})),
        "selfLink": target.self_link(settings, live["location"], f"clusters/{live['name']}"),
        "status": record["status"],
        "statusMessage": record["message"],
    }
    if record["message"] and record["status"] in ("ERROR", "DEGRADED"):
        shown["conditions"] = [{"canonicalCode": "UNKNOWN", "message": record["message"]}]
    if pools:
        versions = [pool["version"] for pool in pools]
        shown.update(
            nodePools=pools,
            nodeConfig=pools[0]["config"],
            instanceGroupUrls=[url for pool in pools for url in pool.get("instanceGroupUrls", ())],
            currentNodeVersion=min(versions, key=catalog.numbers),
            currentNodeCount=node_pools.nodes(record),
            initialNodeCount=pools[0].get("initialNodeCount", 0),
        )
    if record["ready"]:
        shown = values.merged(shown, _endpoints(state, record))
    result: dict[str, Any] = values.written(shown)
    return result


def _endpoints(state: State, record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are shown only if there is a control plane."""
    settings, live = state.settings, record["live"]
    dns = f"gke-{record['uid'][:36]}-{settings.project_number}.{live['location']}.gke.goog"
    public = live["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]["enablePublicEndpoint"]
    private = {
        "privateEndpoint": NODES,
        **({"publicEndpoint": settings.endpoint} if public else {}),
    }
    shown: dict[str, Any] = {
        "endpoint": settings.endpoint,
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {"endpoint": dns},
            "ipEndpointsConfig": private,
        },
        "privateClusterConfig": private,
    }
    if settings.ca_certificate:
        shown["masterAuth"] = {"clusterCaCertificate": settings.ca_certificate}
    return shown


def get(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.get."""
    return public(state, records.found(state, at))


def list_(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.list; "-" means all locations."""
    lag = state.settings.list_lag_seconds
    shown = [
        public(state, record)
        for record in state.clusters.values()
        if at.location in ("-", record["live"]["location"]) and state.now >= record["created"] + lag
    ]
    return {"clusters": shown} if shown else {}


def delete(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.delete; the cloud resources of its workloads are not deleted."""
    record = records.found(state, at)
    operation = operations.begin(
        state,
        "DELETE_CLUSTER",
        at,
        {"kind": "delete-cluster"},
        seconds=state.settings.delete_seconds,
        fault=call.operation,
    )
    record["status"] = "STOPPING"
    for pool in record["pools"].values():
        pool["status"] = "STOPPING"
    return operations.public(state, operation)


def check_autopilot_compatibility(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.checkAutopilotCompatibility."""
    records.found(state, at)
    return {"summary": "The cluster has no Autopilot compatibility issues."}


def get_server_config(_state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """GetServerConfig."""
    if not catalog.exists(at.location):
        raise refusals.invalid(f'Location "{at.location}" does not exist.')
    return catalog.server_config()


HANDLERS = {
    "container.projects.locations.getServerConfig": get_server_config,
    "container.projects.zones.getServerconfig": get_server_config,
    "container.projects.locations.clusters.checkAutopilotCompatibility": (
        check_autopilot_compatibility
    ),
    **{
        f"container.projects.{form}.clusters.{name}": handler
        for form in ("locations", "zones")
        for name, handler in (
            ("create", create),
            ("get", get),
            ("list", list_),
            ("delete", delete),
        )
    },
}
