"""The request that creates a wanted cluster or pool, and the choice of the module that sends it.

The modules of google.cloud create everything that they have parameters for. What they lack and what
can be changed in place later (Workload Identity, maintenance window, logging, monitoring) follows
as an update before any pool is created. If something that must be set at creation is required
(Autopilot, Spot, a pool's own zones, upgrade settings), the API is used instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options, maintenance_windows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    Options = Mapping[str, Any]

GOOGLE_CLOUD = "google_cloud"
API = "api"

# gcp_container_cluster has no parameters for these; they are updated after the creation.
_LATER = ("workloadIdentityConfig", "maintenancePolicy", "loggingConfig", "monitoringConfig")
# Google's default for a new pool.
_DEFAULT_UPGRADE = {"strategy": "SURGE", "maxSurge": 1, "maxUnavailable": 0}
# Maps with the user's own keys, which are not fields.
_FREE = ("resourceLabels", "labels")


def workload_pool(project: str) -> str:
    """Return the pool of identities for Workload Identity, which is always the project's."""
    return f"{project}.svc.id.goog"


def channel(cluster: Options) -> str:
    """Return the API's value for the release channel."""
    wanted: str = cluster["release_channel"]
    return "UNSPECIFIED" if wanted == "NONE" else wanted


def create_cluster(
    cluster: Options, project: str, managed_by: str, created: datetime
) -> dict[str, Any]:
    """Return how to create the cluster, and its state after that.

    `by`: google_cloud or api.
    `parameters`: those of google.cloud.gcp_container_cluster, or None.
    `body`: the Cluster of the API as it is sent.
    `reasons`: the options that the google.cloud module lacks.
    """
    body = cluster_body(cluster, project, managed_by, created)
    if cluster_options.is_autopilot(cluster):
        reasons = ["mode"]
        return {"by": API, "parameters": None, "body": body, "reasons": reasons}
    body = {key: value for key, value in body.items() if key not in _LATER}
    parameters = {**_snake(body), "location": cluster["location"]}
    return {"by": GOOGLE_CLOUD, "parameters": parameters, "body": body, "reasons": []}


def create_pool(pool: Options, cluster: Options) -> dict[str, Any]:
    """Return how to create a pool; like `create_cluster`, with the NodePool of the API."""
    body = pool_body(pool, cluster)
    reasons = [name for name in ("spot", "locations") if pool[name]]
    if body["upgradeSettings"] != _DEFAULT_UPGRADE:
        reasons.append("upgrade")
    result: dict[str, Any] = {"name": pool["name"], "reasons": reasons}
    if reasons:
        return {**result, "by": API, "parameters": None, "body": body}
    # The omitted fields get the wanted values from Google.
    body = {key: value for key, value in body.items() if key != "upgradeSettings"}
    body["config"] = {
        key: value for key, value in body["config"].items() if key != "workloadMetadataConfig"
    }
    parameters = {
        **_snake(body),
        "cluster": {"name": cluster["name"]},
        "location": cluster["location"],
    }
    return {**result, "by": GOOGLE_CLOUD, "parameters": parameters, "body": body}


def cluster_body(
    cluster: Options, project: str, managed_by: str, created: datetime
) -> dict[str, Any]:
    """Return the wanted cluster as the API's Cluster; a standard one without its pools."""
    body: dict[str, Any] = {
        "name": cluster["name"],
        "resourceLabels": cluster_options.labels(cluster, managed_by, created),
        "releaseChannel": {"channel": channel(cluster)},
        "network": cluster["network"],
        "ipAllocationPolicy": _addresses(cluster),
    }
    optional = {
        "initialClusterVersion": cluster["kubernetes_version"],
        "subnetwork": cluster["subnetwork"],
        "locations": cluster["locations"],
        "loggingConfig": components(cluster["logging"]),
        "monitoringConfig": components(cluster["monitoring"]),
    }
    body |= {key: value for key, value in optional.items() if value is not None}
    if cluster["private_nodes"]:
        body["privateClusterConfig"] = _private(cluster)
    if cluster["authorized_networks"] is not None:
        body["masterAuthorizedNetworksConfig"] = authorized_networks(cluster["authorized_networks"])
    if cluster["maintenance_window"]:
        window = maintenance_windows.body(cluster["maintenance_window"])
        body["maintenancePolicy"] = {"window": window}
    if cluster_options.is_autopilot(cluster):
        return {**body, "autopilot": {"enabled": True}}
    if cluster["workload_identity"]:
        body["workloadIdentityConfig"] = {"workloadPool": workload_pool(project)}
    # The default pool is deleted immediately; until then its nodes are secured like the others.
    first = cluster["node_pools"][0]
    config = pool_config(first, cluster)
    kept = ("machineType", "serviceAccount", "oauthScopes", "imageType", "shieldedInstanceConfig")
    return {
        **body,
        "shieldedNodes": {"enabled": cluster["shielded_nodes"]},
        "initialNodeCount": 1,
        "nodeConfig": {key: config[key] for key in kept if key in config},
    }


def pool_body(pool: Options, cluster: Options) -> dict[str, Any]:
    """Return the wanted pool as the API's NodePool."""
    body: dict[str, Any] = {
        "name": pool["name"],
        "initialNodeCount": cluster_options.first_nodes(pool),
        "config": pool_config(pool, cluster),
        "management": management(pool),
        "upgradeSettings": upgrade_settings(pool["upgrade"]),
    }
    if pool["autoscaling"]:
        body["autoscaling"] = autoscaling(pool["autoscaling"])
    if pool["locations"]:
        body["locations"] = pool["locations"]
    return body


def pool_config(pool: Options, cluster: Options) -> dict[str, Any]:
    """Return the wanted pool's NodeConfig."""
    config: dict[str, Any] = {
        "machineType": pool["machine_type"],
        "diskType": pool["disk_type"],
        "diskSizeGb": pool["disk_size_gb"],
        "imageType": pool["image_type"],
        "oauthScopes": cluster_options.oauth_scopes(pool),
        "shieldedInstanceConfig": {
            "enableSecureBoot": pool["secure_boot"],
            "enableIntegrityMonitoring": pool["integrity_monitoring"],
        },
    }
    if pool["service_account"]:
        config["serviceAccount"] = pool["service_account"]
    if pool["spot"]:
        config["spot"] = True
    if pool["labels"]:
        config["labels"] = node_labels(pool)
    if pool["taints"]:
        config["taints"] = [taint(one) for one in pool["taints"]]
    if pool["tags"]:
        config["tags"] = list(pool["tags"])
    if cluster["workload_identity"]:
        config["workloadMetadataConfig"] = {"mode": "GKE_METADATA"}
    return config


def node_labels(pool: Options) -> dict[str, str]:
    """Return the labels of a pool's nodes."""
    return {str(key): str(value) for key, value in pool["labels"].items()}


def taint(one: Options) -> dict[str, str]:
    """Return a wanted taint as the API's NodeTaint."""
    return {
        "key": one["key"],
        "value": one["value"],
        "effect": cluster_options.EFFECTS[one["effect"]],
    }


def management(pool: Options) -> dict[str, bool]:
    """Return a wanted pool's NodeManagement."""
    return {"autoUpgrade": pool["auto_upgrade"], "autoRepair": pool["auto_repair"]}


def autoscaling(bounds: Options) -> dict[str, Any]:
    """Return the NodePoolAutoscaling for bounds."""
    return {"enabled": True, "minNodeCount": bounds["min"], "maxNodeCount": bounds["max"]}


def upgrade_settings(upgrade: Options) -> dict[str, Any]:
    """Return the UpgradeSettings for an upgrade strategy."""
    if upgrade["strategy"] == "SURGE":
        return {
            "strategy": "SURGE",
            "maxSurge": upgrade["max_surge"],
            "maxUnavailable": upgrade["max_unavailable"],
        }
    return {
        "strategy": "BLUE_GREEN",
        "blueGreenSettings": {
            "standardRolloutPolicy": {"batchNodeCount": 1, "batchSoakDuration": "0s"},
            "nodePoolSoakDuration": f"{upgrade['soak_seconds']}s",
        },
    }


def authorized_networks(networks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the MasterAuthorizedNetworksConfig for networks."""
    blocks = []
    for one in networks:
        name = {"displayName": one["name"]} if one["name"] else {}
        blocks.append({**name, "cidrBlock": one["cidr"]})
    return {"enabled": True, "cidrBlocks": blocks}


def components(names: list[str] | None) -> dict[str, Any] | None:
    """Return the LoggingConfig or MonitoringConfig for components."""
    return None if names is None else {"componentConfig": {"enableComponents": names}}


def _addresses(cluster: Options) -> dict[str, Any]:
    policy: dict[str, Any] = {"useIpAliases": True}
    for option, block, name in (
        ("pod_range", "clusterIpv4CidrBlock", "clusterSecondaryRangeName"),
        ("service_range", "servicesIpv4CidrBlock", "servicesSecondaryRangeName"),
    ):
        value = cluster[option]
        if value:
            policy[block if "/" in value else name] = value
    return policy


def _private(cluster: Options) -> dict[str, Any]:
    private = {
        "enablePrivateNodes": True,
        "enablePrivateEndpoint": cluster["private_endpoint"],
    }
    plane = cluster["control_plane_range"]
    return {**private, "masterIpv4CidrBlock": plane} if plane else private


def _snake(value: Any, key: str = "") -> Any:
    """Return the API's JSON with the field names of google.cloud's modules."""
    if isinstance(value, list):
        return [_snake(one) for one in value]
    if not isinstance(value, dict) or key in _FREE:
        return value
    return {
        re.sub(r"[A-Z]", lambda found: f"_{found.group().lower()}", name): _snake(below, name)
        for name, below in value.items()
    }
