"""JSON in the format of Google's servers, and names that Google generates."""

from __future__ import annotations

import base64
import copy
import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

# Fields that Google's servers write even if they are false or zero ("optional" in proto3).
ALWAYS_WRITTEN = frozenset(
    {
        "allowExternalTraffic",
        "defaultEnablePrivateNodes",
        "enableInsecureBindingSystemAuthenticated",
        "enableInsecureBindingSystemUnauthenticated",
        "enableK8sCertsViaDns",
        "enableK8sTokensViaDns",
        "enablePrivateNodes",
        "enablePublicEndpoint",
        "gcpPublicCidrsAccessEnabled",
        "insecureKubeletReadonlyPortEnabled",
        "privateEndpointEnforcementEnabled",
        "satisfiesPzi",
        "satisfiesPzs",
    }
)
# Exceptions: messages in which a field of the same name is not optional.
PLAIN = {"privateClusterConfig": {"enablePrivateNodes"}}

# Maps are omitted if they are empty, unlike messages; their members are kept unchanged.
MAPS = frozenset({"labels", "maintenanceExclusions", "metadata", "resourceLabels"})


def written(value: Any, parent: str = "") -> Any:
    """Return a message as Google writes it: without false, 0, "", empty lists and empty maps.

    Empty messages are kept ("autoscaling": {}).
    """
    if isinstance(value, dict):
        if parent in MAPS:
            return copy.deepcopy(value)
        kept = {}
        for name, member in value.items():
            always = name in ALWAYS_WRITTEN and name not in PLAIN.get(parent, set())
            empty = not member and (not isinstance(member, dict) or name in MAPS)
            if member is None or (empty and not always):
                continue
            kept[name] = written(member, name)
        return kept
    if isinstance(value, list):
        return [written(each, parent) for each in value]
    return value


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` updated with `above`; messages are merged member by member."""
    result = copy.deepcopy(below)
    for name, member in above.items():
        if isinstance(member, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], member)
        else:
            result[name] = copy.deepcopy(member)
    return result


def time_of(seconds: float) -> str:
    """Return seconds since the epoch in RFC 3339, as the container API writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def precise_time_of(seconds: float) -> str:
    """Return seconds since the epoch in RFC 3339 with fractions, as operations show them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def compute_time_of(seconds: float) -> str:
    """Return seconds since the epoch as the compute API writes them."""
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[:-3]}+00:00"


def digest(*parts: object) -> str:
    """Return a hash of the parts: 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()


def uuid_of(*parts: object) -> str:
    """Return a UUID derived from the parts."""
    return str(uuid.UUID(digest(*parts)[:32], version=4))


NO_LABELS = "a9dc16a7"
"""GKE's fingerprint of an empty set of labels."""


def label_fingerprint(labels: dict[str, str]) -> str:
    """Return the fingerprint of a set of labels."""
    if not labels:
        return NO_LABELS
    return digest(*(f"{key}={value}" for key, value in sorted(labels.items())))[:8]


def instance_group_name(cluster: str, pool: str, suffix: str) -> str:
    """Return the name of a pool's managed instance group, truncated like GKE's."""
    room = 33
    cluster = cluster[: max(room - len(pool), 12)]
    return f"gke-{cluster}-{pool[: room - len(cluster)]}-{suffix}-grp"


def base32_of(hexadecimal: str) -> str:
    """Return a cluster's ID as in labels: base 32, lower case, unpadded."""
    return base64.b32encode(bytes.fromhex(hexadecimal)).decode().rstrip("=").lower()


CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def content_hash(text: str) -> str:
    """Return the hash of 8 characters that GKE's load balancer controller uses in names."""
    found = hashlib.sha256(text.encode()).digest()[:8]
    return "".join(CHARACTERS[byte % len(CHARACTERS)] for byte in found)
