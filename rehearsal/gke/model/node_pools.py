"""Node pools: Google's defaults and validation, and the methods of node pools.

A record: {"live": the NodePool without the fields derived when it is shown, "status", "message",
"suffixes": the last part of its instance groups' names by zone, "etag", "before": "live" before
the last upgrade, "upgrade": the running blue-green upgrade's BlueGreenInfo or None}.
`live["initialNodeCount"]` is the number of nodes in each zone: resizing changes it, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import catalog, operations, quotas, records, refusals, target, values

if TYPE_CHECKING:
    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State

NAME = r"(?:[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)"
SCOPES = (
    "https://www.googleapis.com/auth/devstorage.read_only",
    "https://www.googleapis.com/auth/logging.write",
    "https://www.googleapis.com/auth/monitoring",
    "https://www.googleapis.com/auth/service.management.readonly",
    "https://www.googleapis.com/auth/servicecontrol",
    "https://www.googleapis.com/auth/trace.append",
)
SCOPES_WHERE_NONE_ARE_GIVEN = SCOPES[1:3]
EFFECTS = ("NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE")
DISK_TYPES = ("pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced")
SMALLEST_DISK_GB = 10
DISK_GB = 100
MAX_NODES = 1000
UPGRADE_ZERO = "At least one of max_surge and max_unavailable must be greater than 0."
AUTOPILOT_REFUSAL = "Autopilot node pools cannot be accessed or modified."
NO_FIELD = (
    "At least one of ['node_version', 'image_type', 'updated_node_pool', 'locations', "
    "'workload_metadata_config', 'upgrade_settings', 'kubelet_config', 'linux_node_config', "
    "'tags', 'taints', 'labels', 'node_network_config', 'gcfs_config', 'gvnic', "
    "'confidential_nodes', 'logging_config', 'fast_socket', 'resource_labels', 'accelerators', "
    "'windows_node_config', 'machine_type', 'disk_type', 'disk_size_gb', 'containerd_config', "
    "'resource_manager_tags', 'queued_provisioning', 'storage_pools'] must be specified."
)

# Fields of UpdateNodePoolRequest that can be combined; any other field must be alone.
TOGETHER = (
    frozenset({"nodeVersion", "imageType", "image", "imageProject"}),
    frozenset({"machineType", "diskType", "diskSizeGb", "bootDisk", "storagePools"}),
    frozenset({"labels", "taints", "tags"}),
)
ADDRESSING = frozenset({"name", "projectId", "zone", "clusterId", "nodePoolId", "etag"})
# Fields that replace a member of NodePool.config: the name of the member in which they are wrapped,
# empty if in none.
CONFIG_FIELDS = {
    "machineType": "",
    "diskType": "",
    "imageType": "",
    "labels": "labels",
    "resourceLabels": "labels",
    "taints": "taints",
    "tags": "tags",
    "workloadMetadataConfig": "",
    "kubeletConfig": "",
    "linuxNodeConfig": "",
    "gcfsConfig": "",
    "gvnic": "",
    "loggingConfig": "",
    "confidentialNodes": "",
    "fastSocket": "",
    "accelerators": "",
    "windowsNodeConfig": "",
    "containerdConfig": "",
    "resourceManagerTags": "",
    "bootDisk": "",
    "storagePools": "",
    "taintConfig": "",
    "maxRunDuration": "",
    "flexStart": "",
    "consolidationDelay": "",
}
POOL_FIELDS = frozenset({"queuedProvisioning", "nodeDrainConfig", "maintenancePolicy"})


def autopilot_pool() -> dict[str, Any]:
    """Return the node pool of a new Autopilot cluster."""
    return {
        "name": "default-pool",
        "initialNodeCount": 1,
        "autoscaling": {
            "autoprovisioned": True,
            "enabled": True,
            "locationPolicy": "BALANCED",
            "maxNodeCount": MAX_NODES,
        },
        "config": {
            "diskSizeGb": 100,
            "machineType": "e2-small",
            "oauthScopes": list(SCOPES),
            "shieldedInstanceConfig": {
                "enableIntegrityMonitoring": True,
                "enableSecureBoot": True,
            },
        },
    }


def check(pool: dict[str, Any], cluster: dict[str, Any], *, new: bool) -> None:
    """Raise Refused if a pool is invalid in the cluster with this record."""
    name = pool.get("name", "")
    if not re.fullmatch(NAME, name):
        raise refusals.invalid(
            f'Invalid value for field "node_pool.name": "{name}". '
            f'Must be a match of regex "{NAME}".'
        )
    live = cluster["live"]
    records.zones_asked(catalog.region_of(live["location"]), pool.get("locations", []))
    zones = pool.get("locations") or live["locations"]
    config = pool.get("config", {})
    check_config(config, zones)
    count = pool.get("initialNodeCount", 0)
    autoscaled = bool(pool.get("autoscaling", {}).get("enabled"))
    if count < 0 or count > MAX_NODES:
        raise refusals.invalid(
            f"Node_pool.initial_node_count must be between 0 and {MAX_NODES}: {count}."
        )
    check_autoscaling(pool.get("autoscaling", {}))
    if autoscaled and new and "maxNodeCount" in pool["autoscaling"]:
        bounds = pool["autoscaling"]
        if not bounds.get("minNodeCount", 0) <= count <= bounds["maxNodeCount"] and count:
            raise refusals.invalid(
                f"Node_pool.initial_node_count {count} must be between autoscaling.min_node_count "
                f"and autoscaling.max_node_count."
            )
    check_management(pool.get("management"), live)
    check_upgrade_settings(pool.get("upgradeSettings", {}))
    version = pool.get("version", "")
    if version:
        check_node_version(version, live)


def check_config(config: dict[str, Any], zones: list[str]) -> None:
    """Raise Refused if a NodeConfig is invalid."""
    machine = config.get("machineType", "")
    if machine and machine not in catalog.MACHINE_TYPES:
        raise refusals.invalid(
            f'Machine type with name "{machine}" does not exist in zone "{zones[0]}".'
        )
    if machine == "f1-micro":
        raise refusals.invalid(
            "Machine type f1-micro is not supported: nodes need at least 1 GiB of memory."
        )
    if config.get("preemptible") and config.get("spot"):
        raise refusals.invalid(
            "Only one of node_config.preemptible and node_config.spot can be set."
        )
    size = int(config.get("diskSizeGb", SMALLEST_DISK_GB) or SMALLEST_DISK_GB)
    if size < SMALLEST_DISK_GB:
        raise refusals.invalid(
            f"Node_config.disk_size_gb must be at least {SMALLEST_DISK_GB} GB: {size}."
        )
    disk = config.get("diskType", "")
    if disk and disk not in DISK_TYPES:
        raise refusals.invalid(f'Disk type with name "{disk}" does not exist in zone "{zones[0]}".')
    image = config.get("imageType", "")
    if image and image.upper() not in catalog.IMAGE_TYPES:
        raise refusals.invalid(
            f'Image type "{image}" is not supported; valid ones: {", ".join(catalog.IMAGE_TYPES)}.'
        )
    check_taints(config.get("taints", []))
    for key in config.get("labels", {}):
        check_node_label(key)
    records.check_labels(config.get("resourceLabels", {}))
    for tag in config.get("tags", []):
        if not re.fullmatch(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", tag):
            raise refusals.invalid(f'Invalid network tag "{tag}".')


def check_taints(taints: list[dict[str, Any]]) -> None:
    """Raise Refused if a taint has no key or effect, or is a duplicate."""
    seen = set()
    for taint in taints:
        if not taint.get("key") or taint.get("effect") not in EFFECTS:
            raise refusals.invalid(
                f'Invalid taint "{taint.get("key", "")}={taint.get("value", "")}:'
                f'{taint.get("effect", "")}": key and effect are required.'
            )
        if (taint["key"], taint["effect"]) in seen:
            raise refusals.invalid(
                f'Duplicate taint with key "{taint["key"]}" and effect "{taint["effect"]}".'
            )
        seen.add((taint["key"], taint["effect"]))


def check_node_label(key: str) -> None:
    """Raise Refused if a node label is invalid or reserved by Kubernetes."""
    prefix, _, name = key.rpartition("/")
    reserved = re.search(r"(^|\.)(kubernetes|k8s)\.io$", prefix)
    if reserved and not re.search(r"(^|\.)node(-restriction)?\.kubernetes\.io$", prefix):
        raise refusals.invalid(
            f'Node label "{key}" uses a reserved prefix: kubernetes.io and k8s.io are not allowed.'
        )
    if not re.fullmatch(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", name):
        raise refusals.invalid(f'Node label key "{key}" is invalid.')


def check_autoscaling(autoscaling: dict[str, Any]) -> None:
    """Raise Refused if bounds contradict each other."""
    if not autoscaling.get("enabled"):
        if any(autoscaling.get(f) for f in ("minNodeCount", "maxNodeCount")):
            raise refusals.invalid(
                "Node_pool.autoscaling.min_node_count and max_node_count can only be set "
                "when autoscaling is enabled."
            )
        return
    each = ("minNodeCount", "maxNodeCount")
    total = ("totalMinNodeCount", "totalMaxNodeCount")
    if any(autoscaling.get(f) for f in each) and any(autoscaling.get(f) for f in total):
        raise refusals.invalid(
            "The total_*_node_count fields are mutually exclusive with the *_node_count fields."
        )
    low, high = total if any(autoscaling.get(f) for f in total) else each
    least, most = autoscaling.get(low, 0), autoscaling.get(high, 0)
    words = {low: _snake(low), high: _snake(high)}
    if most < 1:
        raise refusals.invalid(f"Node_pool.autoscaling.{words[high]} must be greater than 0.")
    if least < 0 or least > most:
        raise refusals.invalid(
            f"Node_pool.autoscaling.{words[low]} ({least}) must be between 0 and "
            f"{words[high]} ({most})."
        )


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def check_management(management: dict[str, Any] | None, live: dict[str, Any]) -> None:
    """Raise Refused if auto-upgrade or auto-repair is disabled in a release channel."""
    channel = live.get("releaseChannel", {}).get("channel")
    if management is None or not channel:
        return
    if not (management.get("autoUpgrade") and management.get("autoRepair")):
        raise refusals.invalid(
            f"Auto_upgrade and auto_repair cannot be false when release_channel {channel} is set."
        )


def check_upgrade_settings(settings: dict[str, Any]) -> None:
    """Raise Refused if upgrade settings would never upgrade, or mix strategies."""
    if not settings:
        return
    strategy = settings.get("strategy", "SURGE")
    if strategy == "BLUE_GREEN":
        if settings.get("maxSurge") or settings.get("maxUnavailable"):
            raise refusals.invalid(
                "max_surge and max_unavailable cannot be set with the BLUE_GREEN strategy."
            )
        rollout = settings.get("blueGreenSettings", {}).get("standardRolloutPolicy", {})
        if rollout.get("batchNodeCount") and rollout.get("batchPercentage"):
            raise refusals.invalid("Only one of batch_node_count and batch_percentage can be set.")
        return
    if settings.get("blueGreenSettings"):
        raise refusals.invalid("blue_green_settings can only be set with the BLUE_GREEN strategy.")
    if settings.get("maxSurge", 0) < 0 or settings.get("maxUnavailable", 0) < 0:
        raise refusals.invalid("max_surge and max_unavailable must not be negative.")
    if not settings.get("maxSurge") and not settings.get("maxUnavailable"):
        raise refusals.invalid(UPGRADE_ZERO)


def check_node_version(version: str, live: dict[str, Any]) -> str:
    """Return the resolved version; raise Refused if the control plane does not support it."""
    if version in ("", "-"):
        return str(live["currentMasterVersion"])
    channel = live.get("releaseChannel", {}).get("channel", "")
    if version == live["currentMasterVersion"]:
        return version
    resolved = catalog.resolve(version, channel) or catalog.resolve(version, "")
    if resolved is None:
        raise refusals.invalid(f'Node version "{version}" is unsupported.')
    if catalog.numbers(resolved) > catalog.numbers(live["currentMasterVersion"]):
        raise refusals.invalid(
            f'Node version "{resolved}" must not have a greater minor version than master version '
            f'"{live["currentMasterVersion"]}".'
        )
    return resolved


def filled_in(state: State, cluster: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a new pool: the requested members, completed by Google's defaults."""
    live = cluster["live"]
    given = asked.get("config", {})
    spot = bool(given.get("spot") or given.get("preemptible"))
    config: dict[str, Any] = {
        "diskSizeGb": DISK_GB,
        "diskType": "pd-balanced",
        "effectiveCgroupMode": "EFFECTIVE_CGROUP_MODE_V2",
        "imageType": "COS_CONTAINERD",
        "kubeletConfig": {"insecureKubeletReadonlyPortEnabled": False},
        "machineType": "e2-medium",
        "metadata": {"disable-legacy-endpoints": "true"},
        "oauthScopes": list(SCOPES_WHERE_NONE_ARE_GIVEN),
        "resourceLabels": {
            "goog-gke-node-pool-provisioning-model": "spot" if spot else "on-demand"
        },
        "serviceAccount": "default",
        "shieldedInstanceConfig": {"enableIntegrityMonitoring": True},
        "windowsNodeConfig": {},
    }
    if live.get("workloadIdentityConfig", {}).get("workloadPool"):
        config["workloadMetadataConfig"] = {"mode": "GKE_METADATA"}
    config = values.merged(config, {k: v for k, v in given.items() if v not in ("", [])})
    config["diskSizeGb"] = config["diskSizeGb"] or DISK_GB
    config["imageType"] = config["imageType"].upper()
    policy = live["ipAllocationPolicy"]
    below: dict[str, Any] = {
        "autoscaling": {},
        "initialNodeCount": 0,
        "locations": list(live["locations"]),
        "management": {"autoRepair": True, "autoUpgrade": True},
        "maxPodsConstraint": dict(live["defaultMaxPodsConstraint"]),
        "networkConfig": {
            "enablePrivateNodes": live["networkConfig"]["defaultEnablePrivateNodes"],
            "podIpv4CidrBlock": policy["clusterIpv4CidrBlock"],
            "podRange": policy["clusterSecondaryRangeName"],
        },
        "podIpv4CidrSize": 24,
        "upgradeSettings": {"maxSurge": 1, "strategy": "SURGE"},
    }
    pool = values.merged(below, {k: v for k, v in asked.items() if k != "config" and v != []})
    if "management" in asked:
        pool["management"] = dict(asked["management"])
    pool["upgradeSettings"] = upgrade_settings(asked.get("upgradeSettings", {}))
    if pool["autoscaling"].get("enabled"):
        pool["autoscaling"].setdefault("locationPolicy", "ANY" if spot else "BALANCED")
    pool["locations"] = sorted(pool["locations"])
    pool["config"] = config
    pool["version"] = check_node_version(asked.get("version", ""), live)
    for field in ("instanceGroupUrls", "selfLink", "status", "statusMessage", "etag", "conditions"):
        pool.pop(field, None)
    record: dict[str, Any] = {
        "live": pool,
        "status": "PROVISIONING",
        "message": "",
        "suffixes": {},
        "before": None,
        "upgrade": None,
    }
    name_groups(state, cluster, record)
    touch(state, cluster, record)
    return record


def upgrade_settings(asked: dict[str, Any]) -> dict[str, Any]:
    """Return upgrade settings, completed by Google's defaults."""
    if not asked:
        return {"maxSurge": 1, "strategy": "SURGE"}
    if asked.get("strategy", "SURGE") != "BLUE_GREEN":
        return {**asked, "strategy": "SURGE"}
    below = {
        "blueGreenSettings": {
            "nodePoolSoakDuration": "3600s",
            "standardRolloutPolicy": {"batchNodeCount": 1, "batchSoakDuration": "0s"},
        },
        "strategy": "BLUE_GREEN",
    }
    result = values.merged(below, asked)
    rollout = result["blueGreenSettings"]["standardRolloutPolicy"]
    if rollout.get("batchPercentage"):
        rollout.pop("batchNodeCount", None)
    if result["blueGreenSettings"].get("autoscaledRolloutPolicy") is not None:
        result["blueGreenSettings"].pop("standardRolloutPolicy")
    return result


def name_groups(
    state: State, cluster: dict[str, Any], record: dict[str, Any], *, again: bool = False
) -> None:
    """Name an instance group for each zone of the pool; if `again`, rename existing ones, too."""
    had = {} if again else record["suffixes"]
    record["suffixes"] = {
        zone: had.get(zone) or values.digest(cluster["uid"], zone, state.next_number())[:8]
        for zone in record["live"]["locations"]
    }


def touch(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    """Give a changed pool and its cluster new etags."""
    record["etag"] = values.uuid_of("pool", cluster["uid"], state.next_number())
    records.touch(state, cluster)


def nodes(cluster: dict[str, Any]) -> int:
    """Return the number of the cluster's nodes."""
    return sum(
        pool["live"].get("initialNodeCount", 0) * len(pool["live"]["locations"])
        for pool in cluster["pools"].values()
        if pool["status"] not in ("PROVISIONING", "ERROR")
    )


def groups(cluster: dict[str, Any], record: dict[str, Any]) -> dict[str, str]:
    """Return the names of the pool's instance groups by zone."""
    return {
        zone: values.instance_group_name(cluster["live"]["name"], record["live"]["name"], suffix)
        for zone, suffix in record["suffixes"].items()
    }


def public(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return the NodePool as the API shows it."""
    live, settings = record["live"], state.settings
    at = f"clusters/{cluster['live']['name']}/nodePools/{live['name']}"
    urls = [
        target.instance_group_link(settings, zone, name)
        for zone, name in groups(cluster, record).items()
    ]
    shown: dict[str, Any] = {
        **live,
        "instanceGroupUrls": urls if record["status"] != "PROVISIONING" else [],
        "selfLink": target.self_link(settings, cluster["live"]["location"], at),
        "etag": record["etag"],
        "status": record["status"],
        "statusMessage": record["message"],
    }
    if record["message"]:
        shown["conditions"] = [{"canonicalCode": "UNKNOWN", "message": record["message"]}]
    if record["upgrade"] is not None:
        shown["updateInfo"] = {"blueGreenInfo": record["upgrade"]}
    result: dict[str, Any] = values.written(shown)
    return result


def found(state: State, at: target.Target) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the records of the cluster and the pool; raise Refused (404) if one is missing."""
    cluster = records.found(state, at)
    record = cluster["pools"].get(at.pool)
    if record is None:
        raise refusals.not_found(at.relative)
    return cluster, record


def usable(state: State, at: target.Target) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both records; raise Refused if the pool cannot be changed now."""
    cluster, record = found(state, at)
    if cluster["live"]["autopilot"].get("enabled"):
        raise refusals.invalid(AUTOPILOT_REFUSAL)
    records.usable(state, at)
    return cluster, record


def _patch(
    state: State,
    call: Call,
    at: target.Target,
    kind: str,
    changes: dict[str, Any],
    *,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Start an operation that sets these members of the pool's `live` when it ends."""
    cluster, record = found(state, at)
    after = {**record, "live": {**record["live"], **changes}}
    others = [pool for name, pool in cluster["pools"].items() if name != at.pool]
    shortage = quotas.shortage(state, cluster, [*others, after])
    operation = operations.begin(
        state,
        kind,
        at,
        {"kind": "change-pool", "changes": changes},
        seconds=state.settings.update_seconds if seconds is None else seconds,
        fault=call.operation or shortage,
    )
    cluster["status"] = record["status"] = "RECONCILING"
    return operations.public(state, operation)


def create(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.create."""
    cluster = records.found(state, at)
    if cluster["live"]["autopilot"].get("enabled"):
        raise refusals.invalid(AUTOPILOT_REFUSAL)
    asked = dict((call.body or {}).get("nodePool", {}))
    at = target.Target(at.project, at.location, at.cluster, asked.get("name", ""))
    check(asked, cluster, new=True)
    if at.pool in cluster["pools"]:
        raise refusals.exists(at.relative)
    records.usable(state, at)
    record = filled_in(state, cluster, asked)
    shortage = quotas.shortage(state, cluster, [*cluster["pools"].values(), record])
    operation = operations.begin(
        state,
        "CREATE_NODE_POOL",
        at,
        {"kind": "create-pool"},
        seconds=state.settings.create_pool_seconds,
        fault=call.operation or shortage,
    )
    cluster["pools"][at.pool] = record
    cluster["status"] = "RECONCILING"
    return operations.public(state, operation)


def get(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.get."""
    return public(state, *found(state, at))


def list_(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.list."""
    cluster = records.found(state, at)
    shown = [public(state, cluster, pool) for pool in cluster["pools"].values()]
    return {"nodePools": shown} if shown else {}


def delete(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.delete."""
    cluster, record = usable(state, at)
    operation = operations.begin(
        state,
        "DELETE_NODE_POOL",
        at,
        {"kind": "delete-pool"},
        seconds=state.settings.delete_seconds,
        fault=call.operation,
    )
    record["status"] = "STOPPING"
    cluster["status"] = "RECONCILING"
    return operations.public(state, operation)


def set_size(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.setSize: the number of nodes in each zone."""
    usable(state, at)
    count = (call.body or {}).get("nodeCount", 0)
    if not 0 <= count <= MAX_NODES:
        raise refusals.invalid(f"Node_count must be between 0 and {MAX_NODES}: {count}.")
    return _patch(state, call, at, "SET_NODE_POOL_SIZE", {"initialNodeCount": count})


def set_autoscaling(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.setAutoscaling."""
    usable(state, at)
    asked = dict((call.body or {}).get("autoscaling", {}))
    return _patch(state, call, at, "UPDATE_CLUSTER", autoscaling_change(asked))


def autoscaling_change(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the new autoscaling of a pool; raise Refused if it is invalid."""
    check_autoscaling(asked)
    if not asked.get("enabled"):
        return {"autoscaling": {}}
    return {"autoscaling": {"locationPolicy": "BALANCED", **asked}}


def set_management(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.setManagement."""
    cluster, _ = usable(state, at)
    asked = dict((call.body or {}).get("management", {}))
    check_management(asked, cluster["live"])
    return _patch(state, call, at, "SET_NODE_POOL_MANAGEMENT", {"management": asked})


def update(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.update: one group of fields per call."""
    cluster, record = usable(state, at)
    body = dict(call.body or {})
    etag = body.get("etag", "")
    if etag and etag != record["etag"]:
        raise refusals.stale(
            f'Supplied etag "{etag}" does not match the current etag "{record["etag"]}".'
        )
    fields = frozenset(body) - ADDRESSING - {"nodeConfigUpdateMode"}
    if not fields:
        raise refusals.invalid(NO_FIELD)
    if len(fields) > 1 and not any(fields <= group for group in TOGETHER):
        raise refusals.invalid(
            "Only one kind of update can be made at a time; these were given together: "
            f"{', '.join(sorted(_snake(field) for field in fields))}."
        )
    changes = _changes(cluster, record, body, fields)
    upgraded = set(changes) & {"config", "version"} and not fields <= TOGETHER[2]
    kind = "UPGRADE_NODES" if fields & TOGETHER[0] else "UPDATE_CLUSTER"
    strategy = record["live"]["upgradeSettings"].get("strategy")
    if upgraded and strategy == "BLUE_GREEN":
        return _blue_green(state, call, at, kind, changes)
    return _patch(state, call, at, kind, changes)


def _changes(
    cluster: dict[str, Any], record: dict[str, Any], body: dict[str, Any], fields: frozenset[str]
) -> dict[str, Any]:
    """Return the new members of the pool."""
    live = record["live"]
    changes: dict[str, Any] = {}
    for field in sorted(fields - CONFIG_FIELDS.keys() - {"diskSizeGb"}):
        value = body[field]
        if field == "nodeVersion":
            changes["version"] = check_node_version(value, cluster["live"])
        elif field == "upgradeSettings":
            check_upgrade_settings(value)
            changes[field] = upgrade_settings(value)
        elif field == "nodeNetworkConfig":
            changes["networkConfig"] = values.merged(live["networkConfig"], value)
        elif field == "locations":
            region = catalog.region_of(cluster["live"]["location"])
            changes[field] = records.zones_asked(region, value)
        elif field in POOL_FIELDS:
            changes[field] = value
        else:
            raise refusals.invalid(f"Updating {_snake(field)} of a node pool is not supported.")
    config = _config_after(live["config"], body, fields)
    if config != live["config"]:
        check_config(config, changes.get("locations", live["locations"]))
        changes["config"] = config
    return changes


def _config_after(
    config: dict[str, Any], body: dict[str, Any], fields: frozenset[str]
) -> dict[str, Any]:
    """Return the pool's NodeConfig, updated with the fields of the request."""
    after = dict(config)
    for field, inner in CONFIG_FIELDS.items():
        if field not in fields:
            continue
        default: Any = {} if inner == "labels" else []
        after[field] = body[field].get(inner, default) if inner else body[field]
    if "diskSizeGb" in fields:
        after["diskSizeGb"] = int(body["diskSizeGb"])
    if "imageType" in fields:
        after["imageType"] = after["imageType"].upper()
    if "resourceLabels" in fields:
        googles = {k: v for k, v in config["resourceLabels"].items() if k.startswith("goog-")}
        after["resourceLabels"] = {**googles, **after["resourceLabels"]}
    return after


PHASES = (
    "CREATING_GREEN_POOL",
    "CORDONING_BLUE_POOL",
    "DRAINING_BLUE_POOL",
    "NODE_POOL_SOAKING",
    "DELETING_BLUE_POOL",
)


def _blue_green(
    state: State, call: Call, at: target.Target, kind: str, changes: dict[str, Any]
) -> dict[str, Any]:
    """Start a blue-green upgrade, which creates new nodes beside the present ones."""
    cluster, record = found(state, at)
    settings = state.settings
    blue = public(state, cluster, record).get("instanceGroupUrls", [])
    shown = _patch(
        state, call, at, kind, changes, seconds=settings.update_seconds + settings.soak_seconds
    )
    operation = state.operations[shown["name"]]
    operation["effect"]["blue_green"] = True
    record["upgrade"] = {
        "phase": PHASES[0],
        "blueInstanceGroupUrls": blue,
        "greenInstanceGroupUrls": [],
        "greenPoolVersion": changes.get("version", record["live"]["version"]),
    }
    return shown


def advance(state: State, record: dict[str, Any], operation: dict[str, Any]) -> None:
    """Set the phase of a blue-green upgrade according to the current time."""
    passed = state.now - operation["start"]
    upgrading = state.settings.update_seconds
    if passed >= upgrading:
        record["upgrade"]["phase"] = "NODE_POOL_SOAKING"
        record["upgrade"]["bluePoolDeletionStartTime"] = values.precise_time_of(
            operation["start"] + operation["seconds"]
        )
    else:
        step = min(int(passed / upgrading * 3), 2)
        record["upgrade"]["phase"] = PHASES[step]


def complete_upgrade(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.completeUpgrade: ends the soaking of a blue-green upgrade."""
    _, record = found(state, at)
    operation = operations.running(state, at.key)
    soaking = record["upgrade"] is not None and record["upgrade"]["phase"] == "NODE_POOL_SOAKING"
    if operation is None or not soaking:
        raise refusals.not_now(
            f"Node pool {at.pool} is not in the soaking phase of a blue-green upgrade."
        )
    operation["due"] = state.now
    return {}


def rollback(state: State, call: Call, at: target.Target) -> dict[str, Any]:
    """nodePools.rollback: restores the state before a failed upgrade."""
    cluster, record = found(state, at)
    if cluster["live"]["autopilot"].get("enabled"):
        raise refusals.invalid(AUTOPILOT_REFUSAL)
    operation = operations.running(state, at.key)
    if operation is not None and record["upgrade"] is not None:
        record["upgrade"]["phase"] = "ROLLBACK_STARTED"
        operation["end"] = state.now
        operation["error"] = {"code": operations.CANCELLED, "message": "Operation was aborted."}
        record["upgrade"] = None
        return _patch(state, call, at, "UPGRADE_NODES", {})
    records.usable(state, at)
    if record["before"] is None or record["status"] == "RUNNING":
        raise refusals.not_now(
            f"Node pool {at.pool} has no failed or aborted upgrade to roll back."
        )
    return _patch(state, call, at, "UPGRADE_NODES", record["before"])


NAMED_ALIKE = (
    ("create", create),
    ("get", get),
    ("list", list_),
    ("delete", delete),
    ("rollback", rollback),
    ("setSize", set_size),
    ("setManagement", set_management),
    ("update", update),
)
HANDLERS = {
    **{
        f"container.projects.{form}.clusters.nodePools.{name}": handler
        for form in ("locations", "zones")
        for name, handler in NAMED_ALIKE
    },
    "container.projects.locations.clusters.nodePools.setAutoscaling": set_autoscaling,
    "container.projects.zones.clusters.nodePools.autoscaling": set_autoscaling,
    "container.projects.locations.clusters.nodePools.completeUpgrade": complete_upgrade,
}
