"""The options of a wanted cluster: their definition, validation and derived values.

A wanted cluster is the value of the option `cluster` as processed by AnsibleModule: every option
is present, with its default, and is None if it was not given.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import lifetime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    Options = Mapping[str, Any]

AUTOPILOT = "autopilot"
DEFAULT_POOL = "default-pool"
OWNER = "docker-ml-api"

OWNER_LABEL = "managed-by"
PROTECTION_LABEL = "deletion-protection"
OUR_LABELS = (
    OWNER_LABEL,
    lifetime.CREATED_AT,
    lifetime.TTL,
    PROTECTION_LABEL,
)
# The prefix of Google's own labels, which are ignored.
GOOGLE_PREFIX = "goog-"

LOGGING = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "SCHEDULER", "CONTROLLER_MANAGER"]
MONITORING = [
    *("SYSTEM_COMPONENTS", "APISERVER", "SCHEDULER", "CONTROLLER_MANAGER", "STORAGE", "HPA"),
    *("POD", "DAEMONSET", "DEPLOYMENT", "STATEFULSET", "CADVISOR", "KUBELET", "DCGM", "JOBSET"),
]
EFFECTS = {
    "NoSchedule": "NO_SCHEDULE",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE",
    "NoExecute": "NO_EXECUTE",
}

# A custom node service account is limited by its roles. Google's default account may do nearly
# everything, and is limited by these scopes, which are gcloud's defaults.
_WIDE_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_NARROW_SCOPES = [
    f"https://www.googleapis.com/auth/{name}"
    for name in (
        *("devstorage.read_only", "logging.write", "monitoring", "service.management.readonly"),
        *("servicecontrol", "trace.append"),
    )
]

_UPGRADE: dict[str, Any] = {
    "strategy": {"type": "str", "choices": ["SURGE", "BLUE_GREEN"], "default": "SURGE"},
    "max_surge": {"type": "int", "default": 1},
    "max_unavailable": {"type": "int", "default": 0},
    "soak_seconds": {"type": "int", "default": 0},
}

_POOL: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "machine_type": {"type": "str", "default": "e2-small"},
    "nodes": {"type": "int", "default": 3},
    "locations": {"type": "list", "elements": "str"},
    "autoscaling": {
        "type": "dict",
        "options": {
            "min": {"type": "int", "required": True},
            "max": {"type": "int", "required": True},
        },
    },
    "disk_type": {"type": "str", "default": "pd-balanced"},
    "disk_size_gb": {"type": "int", "default": 50},
    "image_type": {"type": "str", "default": "COS_CONTAINERD"},
    "spot": {"type": "bool", "default": False},
    "service_account": {"type": "str"},
    "oauth_scopes": {"type": "list", "elements": "str"},
    "labels": {"type": "dict", "default": {}},
    "taints": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "key": {"type": "str", "required": True, "no_log": False},
            "value": {"type": "str", "default": ""},
            "effect": {"type": "str", "required": True, "choices": list(EFFECTS)},
        },
    },
    "tags": {"type": "list", "elements": "str", "default": []},
    "secure_boot": {"type": "bool", "default": True},
    "integrity_monitoring": {"type": "bool", "default": True},
    "auto_repair": {"type": "bool", "default": True},
    "auto_upgrade": {"type": "bool", "default": True},
    "upgrade": {"type": "dict", "apply_defaults": True, "options": _UPGRADE},
}

_CLUSTER: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "location": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["standard", AUTOPILOT], "default": "standard"},
    "release_channel": {
        "type": "str",
        "choices": ["RAPID", "REGULAR", "STABLE", "EXTENDED", "NONE"],
        "default": "REGULAR",
    },
    "kubernetes_version": {"type": "str"},
    "network": {"type": "str", "default": "default"},
    "subnetwork": {"type": "str"},
    "pod_range": {"type": "str"},
    "service_range": {"type": "str"},
    "locations": {"type": "list", "elements": "str"},
    "private_nodes": {"type": "bool", "default": False},
    "private_endpoint": {"type": "bool", "default": False},
    "control_plane_range": {"type": "str"},
    "authorized_networks": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "default": ""},
            "cidr": {"type": "str", "required": True},
        },
    },
    "workload_identity": {"type": "bool", "default": True},
    "shielded_nodes": {"type": "bool", "default": True},
    "maintenance_window": {
        "type": "dict",
        "options": {
            "start": {"type": "str", "required": True},
            "duration": {"type": "str"},
            "recurrence": {"type": "str"},
        },
    },
    "logging": {"type": "list", "elements": "str", "choices": LOGGING},
    "monitoring": {"type": "list", "elements": "str", "choices": MONITORING},
    "labels": {"type": "dict", "default": {}},
    "ttl": {"type": "str", "default": lifetime.FOREVER},
    "deletion_protection": {"type": "bool", "default": False},
    "node_pools": {"type": "list", "elements": "dict", "default": [], "options": _POOL},
}

# Options of the modules for one live cluster,
PLACE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "location": {"type": "str", "required": True},
}
# of those that distinguish our clusters from others,
OWNED: dict[str, Any] = {"managed_by": {"type": "str", "default": OWNER}}
# and of every module that takes a wanted cluster.
ARGUMENTS: dict[str, Any] = {
    "cluster": {"type": "dict", "required": True, "options": _CLUSTER},
    **OWNED,
}

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?")
_NAME_RULE = (
    "lower-case letters, digits and '-', at most 40 characters, a letter first and a letter or "
    "digit last"
)
_ZONE = re.compile(r"[a-z]+-[a-z]+[0-9]+-[a-z]")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")
_VERSION = re.compile(r"(?:[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-gke\.[0-9]+)?|latest)")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_DURATION = re.compile(r"(?:(?P<hours>[0-9]+)h)?(?:(?P<minutes>[0-9]+)m)?")
_NODE_LABEL = re.compile(r"(?:[a-z0-9.-]+/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NODE_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TAG = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SIZE = re.compile(r"/[0-9]{1,2}")
_RANGE_NAME = re.compile(r"[a-z][-a-z0-9]{0,62}")
_MOST_NODES = 1000
_SMALLEST_DISK = 15
_MINUTES_OF_HOUR = 60
_LEAST_WINDOW = 4 * _MINUTES_OF_HOUR
_DAY = 24 * _MINUTES_OF_HOUR
_SLASH_28 = 28


# --- Derived values


def is_autopilot(cluster: Options) -> bool:
    """Return whether Google manages the nodes."""
    return bool(cluster["mode"] == AUTOPILOT)


def is_region(location: str) -> bool:
    """Return whether a location is a region, not a zone."""
    return _REGION.fullmatch(location) is not None


def region_of(location: str) -> str:
    """Return the region of a zone; for a region, the region itself."""
    return location if is_region(location) else location.rpartition("-")[0]


def labels(cluster: Options, managed_by: str, created: datetime | None = None) -> dict[str, str]:
    """Return the cluster's labels, including ours; `created-at` only if `created` is given.

    created: the creation time in UTC.
    """
    found = {str(key): str(value) for key, value in cluster["labels"].items()}
    found |= {OWNER_LABEL: managed_by, lifetime.TTL: cluster["ttl"]}
    if cluster["deletion_protection"]:
        found[PROTECTION_LABEL] = "true"
    if created:
        found[lifetime.CREATED_AT] = lifetime.moment_label(created)
    return dict(sorted(found.items()))


def is_ours(cluster: Mapping[str, Any], managed_by: str = OWNER) -> bool:
    """Return whether a live cluster (the API's JSON) has our label."""
    return bool((cluster.get("resourceLabels") or {}).get(OWNER_LABEL) == managed_by)


def oauth_scopes(pool: Options) -> list[str]:
    """Return the scopes of the pool's nodes."""
    if pool["oauth_scopes"] is not None:
        return list(pool["oauth_scopes"])
    return list(_WIDE_SCOPES if pool["service_account"] else _NARROW_SCOPES)


def first_nodes(pool: Options) -> int:
    """Return the initial number of nodes of a pool in each zone."""
    bounds = pool["autoscaling"]
    nodes: int = pool["nodes"]
    return min(max(nodes, bounds["min"]), bounds["max"]) if bounds else nodes


def minutes(duration: str | None) -> int:
    """Return the minutes of a duration such as `4h` or `6h30m`; those of 4 hours without one.

    Raises ValueError.
    """
    found = _DURATION.fullmatch(duration or "4h")
    if not found or not found.group():
        raise ValueError(duration)
    return int(found["hours"] or 0) * _MINUTES_OF_HOUR + int(found["minutes"] or 0)


# --- Validation


def problems(cluster: Options) -> list[str]:
    """Return the problems of the options, each as a sentence that names the option."""
    return list(_cluster_problems(cluster)) + [
        f"{_title(pool)}: {problem}."
        for pool in cluster["node_pools"]
        for problem in _pool_problems(pool, cluster)
    ]


def _title(pool: Options) -> str:
    return f"node_pools, {pool['name']}"


def _cluster_problems(cluster: Options) -> Iterator[str]:
    for one in (
        *_naming(cluster),
        *_labelling(cluster),
        *_networking(cluster),
        *_window(cluster["maintenance_window"]),
        *_mode(cluster),
    ):
        yield f"{one}."


def _naming(cluster: Options) -> Iterator[str]:
    location, version = cluster["location"], cluster["kubernetes_version"]
    if not _NAME.fullmatch(cluster["name"]):
        yield f"name '{cluster['name']}' must be {_NAME_RULE}"
    if not (_ZONE.fullmatch(location) or is_region(location)):
        yield (
            f"location '{location}' (gcp_location) must be a zone (europe-west1-b) or a region "
            "(europe-west1)"
        )
    for zone in cluster["locations"] or []:
        yield from _zone(zone, cluster)
    if version is not None and not _VERSION.fullmatch(version):
        yield (
            f"kubernetes_version '{version}' must be a version (1.34, 1.34.4, 1.34.4-gke.1047000) "
            "or latest"
        )
    try:
        lifetime.read_ttl(cluster["ttl"])
    except ValueError:
        yield f"ttl '{cluster['ttl']}' must be minutes, hours or days as in 30m, 8h, 2d, or none"


def _zone(zone: str, cluster: Options) -> Iterator[str]:
    region = region_of(cluster["location"])
    if not _ZONE.fullmatch(zone) or region_of(zone) != region:
        yield f"locations: '{zone}' must be a zone of {region} ({region}-b)"


def _labelling(cluster: Options) -> Iterator[str]:
    for key, value in cluster["labels"].items():
        if key in OUR_LABELS:
            yield f"labels: {key} is set by this module; choose another key"
        elif not _LABEL_KEY.fullmatch(str(key)) or str(key).startswith(GOOGLE_PREFIX):
            yield (
                f"labels: the key '{key}' must be lower-case letters, digits, '_' and '-', at "
                f"most 63, a letter first, and not begin with {GOOGLE_PREFIX}"
            )
        elif not _LABEL_VALUE.fullmatch(str(value)):
            yield (
                f"labels: the value '{value}' of {key} must be lower-case letters, digits, '_' "
                "and '-', at most 63"
            )


def _networking(cluster: Options) -> Iterator[str]:
    for name in ("pod_range", "service_range"):
        value = cluster[name]
        if value is not None and not (
            _SIZE.fullmatch(value) or _is_network(value) or _RANGE_NAME.fullmatch(value)
        ):
            yield (
                f"{name} '{value}' must be a network (10.8.0.0/14), a size (/16) or the name of "
                "the subnetwork's secondary range"
            )
    for network in cluster["authorized_networks"] or []:
        if not _is_network(network["cidr"]):
            yield f"authorized_networks: '{network['cidr']}' must be a network (203.0.113.0/24)"
    if cluster["private_endpoint"] and not cluster["private_nodes"]:
        yield "private_endpoint: true needs private_nodes: true"
    plane = cluster["control_plane_range"]
    if plane is not None and not cluster["private_nodes"]:
        yield "control_plane_range is for clusters with private_nodes: true"
    elif plane is not None and not (
        _is_network(plane) and ipaddress.ip_network(plane).prefixlen == _SLASH_28
    ):
        yield f"control_plane_range '{plane}' must be a network of 16 addresses (172.16.0.0/28)"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return "/" in text


def _window(window: Options | None) -> Iterator[str]:
    if window is None:
        return
    if not _TIME.fullmatch(window["start"]):
        yield (
            f"maintenance_window: start '{window['start']}' must be a time in UTC as in \"03:00\""
        )
    try:
        possible = _LEAST_WINDOW <= minutes(window["duration"]) <= _DAY
    except ValueError:
        possible = False
    if not possible:
        yield (
            f"maintenance_window: duration '{window['duration']}' must be from 4h to 24h, as in "
            "4h or 6h30m"
        )
    if window["recurrence"] and not window["recurrence"].startswith("FREQ="):
        yield (
            f"maintenance_window: recurrence '{window['recurrence']}' must be a rule of RFC 5545 "
            "as in FREQ=WEEKLY;BYDAY=SA,SU"
        )


def _mode(cluster: Options) -> Iterator[str]:
    pools = cluster["node_pools"]
    if is_autopilot(cluster):
        if not is_region(cluster["location"]):
            yield (
                "mode autopilot needs a region as location: "
                f"{region_of(cluster['location'])} instead of {cluster['location']}"
            )
        if pools:
            yield "mode autopilot has no node_pools: Google manages the nodes, leave them out"
        if not cluster["workload_identity"]:
            yield "mode autopilot always has workload_identity: leave it out"
        if not cluster["shielded_nodes"]:
            yield "mode autopilot always has shielded_nodes: leave it out"
        if cluster["release_channel"] == "NONE":
            yield "mode autopilot needs a release_channel: RAPID, REGULAR, STABLE or EXTENDED"
    elif not pools:
        yield "node_pools must name at least one pool (name, machine_type, nodes)"
    for name, count in Counter(pool["name"] for pool in pools).items():
        if count > 1:
            yield f"node_pools: {name} is there {count} times; give each pool a name of its own"


def _pool_problems(pool: Options, cluster: Options) -> Iterator[str]:
    if not _NAME.fullmatch(pool["name"]):
        yield f"the name must be {_NAME_RULE}"
    if pool["name"] == DEFAULT_POOL:
        yield f"the name {DEFAULT_POOL} is Google's for a pool that is always deleted; use another"
    yield from _pool_size(pool)
    for zone in pool["locations"] or []:
        yield from _zone(zone, cluster)
    for key, value in pool["labels"].items():
        if not (_NODE_LABEL.fullmatch(str(key)) and _NODE_LABEL_VALUE.fullmatch(str(value))):
            yield f"labels: {key}: {value} is no Kubernetes label"
    for taint in pool["taints"]:
        if not (
            _NODE_LABEL.fullmatch(taint["key"]) and _NODE_LABEL_VALUE.fullmatch(taint["value"])
        ):
            yield f"taints: {taint['key']}={taint['value']} is no Kubernetes taint"
    for tag in pool["tags"]:
        if not _TAG.fullmatch(tag):
            yield f"tags: '{tag}' must be lower-case letters, digits and '-', a letter first"
    yield from _upgrading(pool, cluster)


def _pool_size(pool: Options) -> Iterator[str]:
    bounds = pool["autoscaling"]
    if not 0 <= pool["nodes"] <= _MOST_NODES:
        yield f"nodes: {pool['nodes']} must be from 0 to {_MOST_NODES}, for each zone"
    if bounds and not 0 <= bounds["min"] <= bounds["max"] <= _MOST_NODES:
        yield (
            f"autoscaling: min {bounds['min']} and max {bounds['max']} must be from 0 to "
            f"{_MOST_NODES}, min not above max"
        )
    if bounds and bounds["max"] < 1:
        yield "autoscaling: max must be at least 1"
    if pool["disk_size_gb"] < _SMALLEST_DISK:
        yield f"disk_size_gb: {pool['disk_size_gb']} must be at least {_SMALLEST_DISK}"


def _upgrading(pool: Options, cluster: Options) -> Iterator[str]:
    upgrade = pool["upgrade"]
    if min(upgrade["max_surge"], upgrade["max_unavailable"], upgrade["soak_seconds"]) < 0:
        yield "upgrade: max_surge, max_unavailable and soak_seconds must not be below 0"
    if upgrade["strategy"] == "SURGE" and upgrade["max_surge"] + upgrade["max_unavailable"] < 1:
        yield "upgrade: max_surge or max_unavailable must be at least 1"
    if cluster["release_channel"] != "NONE" and not (pool["auto_upgrade"] and pool["auto_repair"]):
        yield (
            "auto_upgrade and auto_repair must be true in a release channel; for anything else "
            "set the cluster's release_channel to NONE"
        )
    if cluster["shielded_nodes"] or not pool["secure_boot"]:
        return
    yield "secure_boot needs the cluster's shielded_nodes: true"
