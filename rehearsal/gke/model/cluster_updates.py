"""Changes of a cluster: clusters.update and the methods that set a single property."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import (
    catalog,
    clusters,
    node_pools,
    operations,
    quotas,
    records,
    refusals,
    target,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State

    Cluster = dict[str, Any]
    Changes = dict[str, Any]
    """{"kind": operation type, "changes": members of live, "pools": {name: members}}"""

NO_FIELD = "Must specify a field to update."

# Fields of ClusterUpdate that can be combined in one request; any other field must be alone.
TOGETHER = (
    frozenset(
        {
            "desiredNodeVersion",
            "desiredNodePoolId",
            "desiredImageType",
            "desiredImage",
            "desiredImageProject",
        }
    ),
    frozenset({"desiredNodePoolAutoscaling", "desiredNodePoolId"}),
    frozenset({"desiredLoggingService", "desiredMonitoringService"}),
    frozenset({"desiredLoggingConfig", "desiredMonitoringConfig"}),
    frozenset({"additionalPodRangesConfig", "removedAdditionalPodRangesConfig"}),
)

# Fields that replace a member of the cluster.
REPLACED = {
    "desiredAuthenticatorGroupsConfig": "authenticatorGroupsConfig",
    "desiredAnonymousAuthenticationConfig": "anonymousAuthenticationConfig",
    "desiredBinaryAuthorization": "binaryAuthorization",
    "desiredControlPlaneEgress": "controlPlaneEgress",
    "desiredCostManagementConfig": "costManagementConfig",
    "desiredFleet": "fleet",
    "desiredIdentityServiceConfig": "identityServiceConfig",
    "desiredK8sBetaApis": "enableK8sBetaApis",
    "desiredMeshCertificates": "meshCertificates",
    "desiredNotificationConfig": "notificationConfig",
    "desiredPodAutoscaling": "podAutoscaling",
    "desiredRbacBindingConfig": "rbacBindingConfig",
    "desiredResourceUsageExportConfig": "resourceUsageExportConfig",
    "desiredSecretManagerConfig": "secretManagerConfig",
    "desiredSecurityPostureConfig": "securityPostureConfig",
    "desiredShieldedNodes": "shieldedNodes",
    "desiredVerticalPodAutoscaling": "verticalPodAutoscaling",
    "gkeAutoUpgradeConfig": "gkeAutoUpgradeConfig",
    "enableK8sBetaApis": "enableK8sBetaApis",
}
# Fields that are merged into a member of the cluster.
MERGED = {
    "desiredAddonsConfig": "addonsConfig",
    "desiredClusterAutoscaling": "autoscaling",
    "desiredLoggingConfig": "loggingConfig",
    "desiredMonitoringConfig": "monitoringConfig",
}
# Members of networkConfig.
NETWORK = {
    "desiredDatapathProvider": "datapathProvider",
    "desiredDefaultSnatStatus": "defaultSnatStatus",
    "desiredDnsConfig": "dnsConfig",
    "desiredEnableFqdnNetworkPolicy": "enableFqdnNetworkPolicy",
    "desiredEnableMultiNetworking": "enableMultiNetworking",
    "desiredEnableCiliumClusterwideNetworkPolicy": "enableCiliumClusterwideNetworkPolicy",
    "desiredGatewayApiConfig": "gatewayApiConfig",
    "desiredNetworkPerformanceConfig": "networkPerformanceConfig",
    "desiredPrivateIpv6GoogleAccess": "privateIpv6GoogleAccess",
    "desiredServiceExternalIpsConfig": "serviceExternalIpsConfig",
    "desiredDisableL4LbFirewallReconciliation": "disableL4LbFirewallReconciliation",
    "desiredInTransitEncryptionConfig": "inTransitEncryptionConfig",
}


def _begin(
    state: State, call: Call, at: target.Target, kind: str, changes: Changes
) -> dict[str, Any]:
    """Start the operation that applies the changes when it ends."""
    cluster = records.found(state, at)
    pools = changes.get("pools", {})
    after = [
        {**pool, "live": {**pool["live"], **pools.get(name, {})}}
        for name, pool in cluster["pools"].items()
    ]
    shortage = quotas.shortage(state, cluster, after)
    operation = operations.begin(
        state,
        kind,
        at,
        {"kind": "change-cluster", **copy.deepcopy(changes)},
        seconds=state.settings.update_seconds,
        fault=call.operation or shortage,
    )
    cluster["status"] = "RECONCILING"
    for name in pools:
        cluster["pools"][name]["status"] = "RECONCILING"
    return operations.public(state, operation)


def update(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.update: one change per call."""
    cluster = records.usable(state, at)
    asked = dict((call.body or {}).get("update", {}))
    clusters.check_etag(asked.pop("etag", ""), cluster)
    fields = frozenset(asked)
    if not fields - {"desiredNodePoolId"}:
        raise refusals.invalid(NO_FIELD)
    if len(fields) > 1 and not any(fields <= group for group in TOGETHER):
        raise refusals.invalid(
            "Only one field can be updated at a time; these were given together: "
            f"{', '.join(sorted(_snake(field) for field in fields))}."
        )
    kind, changes = _wanted(state, cluster, asked, fields)
    return _begin(state, call, at, kind, changes)


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _wanted(
    state: State, cluster: Cluster, asked: dict[str, Any], fields: frozenset[str]
) -> tuple[str, Changes]:
    """Return the operation's type and the changes; raise Refused if they are invalid."""
    live = cluster["live"]
    if fields & {"desiredNodeVersion", "desiredImageType"}:
        return "UPGRADE_NODES", _nodes(cluster, asked)
    if "desiredMasterVersion" in fields:
        return "UPGRADE_MASTER", {"changes": _master(live, asked["desiredMasterVersion"])}
    if "desiredNodePoolAutoscaling" in fields:
        name = _pool_meant(cluster, asked)
        change = node_pools.autoscaling_change(asked["desiredNodePoolAutoscaling"])
        return "UPDATE_CLUSTER", {"pools": {name: change}}
    if "desiredLocations" in fields:
        return "UPDATE_CLUSTER", _locations(cluster, asked["desiredLocations"])
    changes: dict[str, Any] = {}
    for field in sorted(fields):
        changes.update(_change(state, live, field, asked[field]))
    return "UPDATE_CLUSTER", {"changes": changes}


def _change(state: State, live: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Return the new members of `live` for one field of ClusterUpdate."""
    if live["autopilot"].get("enabled"):
        _check_autopilot(field, value)
    if field in REPLACED:
        return {REPLACED[field]: value}
    if field in MERGED:
        return {MERGED[field]: {**live.get(MERGED[field], {}), **value}}
    if field in NETWORK:
        return {"networkConfig": {**live["networkConfig"], NETWORK[field]: value}}
    special = SPECIAL.get(field)
    if special is None:
        raise refusals.invalid(f"Updating {_snake(field)} is not supported.")
    return special(state, live, value)


AUTOPILOT_KEEPS = (
    "desiredShieldedNodes",
    "desiredWorkloadIdentityConfig",
    "desiredDatapathProvider",
)


def _check_autopilot(field: str, value: Any) -> None:
    if field in AUTOPILOT_KEEPS:
        raise refusals.invalid(f"{_snake(field)} cannot be changed for Autopilot clusters.")
    if field == "desiredReleaseChannel" and value.get("channel", "UNSPECIFIED") == "UNSPECIFIED":
        raise refusals.invalid("Autopilot clusters must be enrolled in a release channel.")


def _pool_meant(cluster: Cluster, asked: dict[str, Any]) -> str:
    name = str(asked.get("desiredNodePoolId", ""))
    if not name and len(cluster["pools"]) == 1:
        return str(next(iter(cluster["pools"])))
    if not name:
        raise refusals.invalid("Node pool must be specified: there is more than one.")
    if name not in cluster["pools"]:
        raise refusals.invalid(f'Node pool "{name}" not found.')
    return name


def _nodes(cluster: Cluster, asked: dict[str, Any]) -> Changes:
    live = cluster["live"]
    if live["autopilot"].get("enabled"):
        raise refusals.invalid(node_pools.AUTOPILOT_REFUSAL)
    name = _pool_meant(cluster, asked)
    pool = cluster["pools"][name]["live"]
    changes: dict[str, Any] = {}
    if "desiredNodeVersion" in asked:
        changes["version"] = node_pools.check_node_version(asked["desiredNodeVersion"], live)
    if asked.get("desiredImageType"):
        config = {**pool["config"], "imageType": asked["desiredImageType"].upper()}
        node_pools.check_config(config, pool["locations"])
        changes["config"] = config
    return {"pools": {name: changes}}


def _master(live: dict[str, Any], asked: str) -> dict[str, Any]:
    channel = live["releaseChannel"].get("channel", "")
    version = catalog.resolve(asked, channel)
    if version is None:
        raise refusals.invalid(f'Master version "{asked}" is unsupported.')
    present = live["currentMasterVersion"]
    if catalog.numbers(version)[:2] < catalog.numbers(present)[:2]:
        raise refusals.invalid(
            f'Master cannot be downgraded from "{present}" to "{version}": '
            "the minor version can only be upgraded."
        )
    if catalog.numbers(version)[1] > catalog.numbers(present)[1] + 1:
        raise refusals.invalid(
            f'Master cannot be upgraded to "{version}": cannot upgrade the master more than '
            "one minor version at a time."
        )
    return {"currentMasterVersion": version}


def _locations(cluster: Cluster, asked: list[str]) -> Changes:
    live = cluster["live"]
    if not asked:
        raise refusals.invalid("Cluster.locations must not be empty.")
    zones = records.zones_asked(live["location"], asked)
    pools = {name: {"locations": zones} for name in cluster["pools"]}
    return {"changes": {"locations": zones}, "pools": pools}


def _private_nodes(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    return _network(live, {"networkConfig": {"defaultEnablePrivateNodes": value}})


def _private_endpoint(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    return _network(live, {"privateClusterConfig": {"enablePrivateEndpoint": value}})


def _private_cluster(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    if set(value) - {"masterGlobalAccessConfig"}:
        raise refusals.invalid(
            "master_global_access_config is the only field of desired_private_cluster_config "
            "that can be changed."
        )
    return {"privateClusterConfig": {**live["privateClusterConfig"], **value}}


def _authorized_networks(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    clusters.check_authorized_networks(value)
    return _network(live, {"masterAuthorizedNetworksConfig": value})


def _endpoints(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    endpoints = value.get("ipEndpointsConfig", {})
    clusters.check_authorized_networks(endpoints.get("authorizedNetworksConfig", {}))
    return _network(live, {"controlPlaneEndpointsConfig": value})


def _network(live: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the members with network settings, updated with the given ones."""
    names = (
        "networkConfig",
        "privateClusterConfig",
        "controlPlaneEndpointsConfig",
        "masterAuthorizedNetworksConfig",
    )
    after = copy.deepcopy({name: live[name] for name in names})
    after = values.merged(after, given)
    # A given list replaces the present one; messages were merged member by member.
    endpoints = given.get("controlPlaneEndpointsConfig", {}).get("ipEndpointsConfig", {})
    if "authorizedNetworksConfig" in endpoints:
        after["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]["authorizedNetworksConfig"] = (
            dict(endpoints["authorizedNetworksConfig"])
        )
    clusters.mirror_network_settings(after, given)
    return after


def _release_channel(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    channel = value.get("channel", "UNSPECIFIED")
    if channel == "UNSPECIFIED":
        return {"releaseChannel": {}}
    present = catalog.numbers(live["currentMasterVersion"])[:2]
    if present > catalog.numbers(catalog.CHANNELS[channel][0])[:2]:
        raise refusals.invalid(
            f'Cluster with master version "{live["currentMasterVersion"]}" cannot be enrolled in '
            f"release channel {channel}: the version is not available in it."
        )
    return {"releaseChannel": {"channel": channel}}


def _workload_identity(state: State, _live: dict[str, Any], value: Any) -> dict[str, Any]:
    pool = value.get("workloadPool", "")
    expected = f"{state.settings.project}.svc.id.goog"
    if pool and pool != expected:
        raise refusals.invalid(
            f'Currently, the only supported identity namespace is "{expected}": "{pool}".'
        )
    return {"workloadIdentityConfig": {"workloadPool": pool} if pool else {}}


def _logging_service(_state: State, _live: dict[str, Any], value: Any) -> dict[str, Any]:
    on = value != "none"
    parts = ["SYSTEM_COMPONENTS", "WORKLOADS"] if on else []
    return {
        "loggingService": value or clusters.LOGGING_SERVICE,
        "loggingConfig": {"componentConfig": {"enableComponents": parts} if parts else {}},
    }


def _monitoring_service(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    parts = ["SYSTEM_COMPONENTS"] if value != "none" else []
    component = {"enableComponents": parts} if parts else {}
    return {
        "monitoringService": value or clusters.MONITORING_SERVICE,
        "monitoringConfig": {**live["monitoringConfig"], "componentConfig": component},
    }


def _database_encryption(_state: State, _live: dict[str, Any], value: Any) -> dict[str, Any]:
    return {
        "databaseEncryption": {
            **value,
            "currentState": f"CURRENT_STATE_{value.get('state', 'DECRYPTED')}",
        }
    }


def _intra_node_visibility(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    network = {**live["networkConfig"], "enableIntraNodeVisibility": value.get("enabled", False)}
    return {"networkConfig": network}


def _l4_ilb_subsetting(_state: State, live: dict[str, Any], value: Any) -> dict[str, Any]:
    if live["networkConfig"].get("enableL4ilbSubsetting") and not value.get("enabled"):
        raise refusals.invalid("L4 ILB Subsetting cannot be disabled once it is enabled.")
    network = {**live["networkConfig"], "enableL4ilbSubsetting": value.get("enabled", False)}
    return {"networkConfig": network}


SPECIAL: dict[str, Callable[[State, dict[str, Any], Any], dict[str, Any]]] = {
    "desiredControlPlaneEndpointsConfig": _endpoints,
    "desiredDatabaseEncryption": _database_encryption,
    "desiredDefaultEnablePrivateNodes": _private_nodes,
    "desiredEnablePrivateEndpoint": _private_endpoint,
    "desiredIntraNodeVisibilityConfig": _intra_node_visibility,
    "desiredL4ilbSubsettingConfig": _l4_ilb_subsetting,
    "desiredLoggingService": _logging_service,
    "desiredMasterAuthorizedNetworksConfig": _authorized_networks,
    "desiredMonitoringService": _monitoring_service,
    "desiredPrivateClusterConfig": _private_cluster,
    "desiredReleaseChannel": _release_channel,
    "desiredWorkloadIdentityConfig": _workload_identity,
}


def set_resource_labels(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setResourceLabels: replaces all labels, given the present ones' fingerprint."""
    cluster = records.usable(state, at)
    body = call.body or {}
    expected = values.label_fingerprint(cluster["live"].get("resourceLabels", {}))
    supplied = body.get("labelFingerprint", "")
    if supplied != expected:
        raise refusals.not_now(
            "Labels could not be set due to fingerprint mismatch; try again with the proper "
            f'fingerprint: incorrect fingerprint supplied was "{supplied}", '
            f'the expected one is "{expected}".'
        )
    labels = dict(body.get("resourceLabels", {}))
    records.check_labels(labels)
    return _begin(state, call, at, "SET_LABELS", {"changes": {"resourceLabels": labels}})


def set_maintenance_policy(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setMaintenancePolicy: replaces the policy, given the version of the present one."""
    live = records.usable(state, at)["live"]
    policy = dict((call.body or {}).get("maintenancePolicy", {}))
    present = live["maintenancePolicy"]["resourceVersion"]
    supplied = policy.get("resourceVersion", "")
    if supplied and supplied != present:
        raise refusals.not_now(
            "The maintenance policy could not be set due to resource version mismatch; try again "
            f'with the proper version: supplied was "{supplied}", expected "{present}".'
        )
    after: dict[str, Any] = {}
    clusters.set_maintenance_policy(after, policy)
    return _begin(state, call, at, "SET_MAINTENANCE_POLICY", {"changes": after})


def set_network_policy(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setNetworkPolicy; the addon must be enabled first."""
    live = records.usable(state, at)["live"]
    policy = dict((call.body or {}).get("networkPolicy", {}))
    addon = live["addonsConfig"].get("networkPolicyConfig", {})
    if policy.get("enabled") and addon.get("disabled"):
        raise refusals.invalid(
            "Network policy addon must be enabled before enabling network policy."
        )
    return _begin(state, call, at, "SET_NETWORK_POLICY", {"changes": {"networkPolicy": policy}})


def set_addons(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setAddons."""
    live = records.usable(state, at)["live"]
    addons = {**live["addonsConfig"], **(call.body or {}).get("addonsConfig", {})}
    return _begin(state, call, at, "UPDATE_CLUSTER", {"changes": {"addonsConfig": addons}})


def set_locations(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setLocations."""
    cluster = records.usable(state, at)
    changes = _locations(cluster, list((call.body or {}).get("locations", [])))
    return _begin(state, call, at, "UPDATE_CLUSTER", changes)


def set_legacy_abac(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setLegacyAbac."""
    records.usable(state, at)
    changes = {"legacyAbac": {"enabled": bool((call.body or {}).get("enabled"))}}
    return _begin(state, call, at, "UPDATE_CLUSTER", {"changes": changes})


def set_logging(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setLogging."""
    live = records.usable(state, at)["live"]
    changes = _logging_service(state, live, (call.body or {}).get("loggingService", ""))
    return _begin(state, call, at, "UPDATE_CLUSTER", {"changes": changes})


def set_monitoring(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setMonitoring."""
    live = records.usable(state, at)["live"]
    changes = _monitoring_service(state, live, (call.body or {}).get("monitoringService", ""))
    return _begin(state, call, at, "UPDATE_CLUSTER", {"changes": changes})


def set_master_auth(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.setMasterAuth: always refused, as basic authentication was removed."""
    records.usable(state, at)
    raise refusals.invalid(
        "Basic authentication was removed for GKE cluster versions >= 1.19. The cluster cannot be "
        "updated with basic authentication enabled."
    )


def update_master(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """clusters.updateMaster."""
    live = records.usable(state, at)["live"]
    changes = _master(live, (call.body or {}).get("masterVersion", ""))
    return _begin(state, call, at, "UPGRADE_MASTER", {"changes": changes})


NAMES = (
    ("update", "update", update),
    ("setResourceLabels", "resourceLabels", set_resource_labels),
    ("setMaintenancePolicy", "setMaintenancePolicy", set_maintenance_policy),
    ("setNetworkPolicy", "setNetworkPolicy", set_network_policy),
    ("setAddons", "addons", set_addons),
    ("setLocations", "locations", set_locations),
    ("setLegacyAbac", "legacyAbac", set_legacy_abac),
    ("setLogging", "logging", set_logging),
    ("setMonitoring", "monitoring", set_monitoring),
    ("setMasterAuth", "setMasterAuth", set_master_auth),
    ("updateMaster", "master", update_master),
)
HANDLERS = {
    **{f"container.projects.locations.clusters.{name}": handler for name, _, handler in NAMES},
    **{f"container.projects.zones.clusters.{name}": handler for _, name, handler in NAMES},
}
