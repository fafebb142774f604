"""What GKE and its controllers write into names, tags, labels and descriptions of resources.

The patterns are from the sources of kubernetes/cloud-provider-gcp (load balancers with target
pools), kubernetes/ingress-gce (Ingresses, NEGs, load balancers with backend services) and the disk
driver, and from Google's documentation of firewall rules. None of them is an API, so each use
states its certainty.

  a<31 hex digits of the Service's UID>        forwarding rule, target pool, address, health check
  k8s-fw-a…, k8s-a…-http-hc, a…-hc             its firewall rules
  k8s-<UID>-node[-http-hc|-hc]                 a cluster's shared health check, its firewall rule
  k8s-…--<UID>                                 an Ingress's parts, k8s-ig--<UID> among them
  k8s1-<8 of UID>-…                            NEGs, and the backend services on them
  k8s2-[tcp-|um-|…]<hash>-…, k8s3-<hash>-…     newer ones; hash of the namespace kube-system's UID
  gke-<cluster>-<8 of the cluster's id>-node   the network tag of its nodes

UID is that of the cluster, 16 hex digits, in the ConfigMap kube-system/ingress-uid.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Resource = dict[str, Any]

CLUSTER_LABEL = "goog-k8s-cluster-name"
LOCATION_LABEL = "goog-k8s-cluster-location"
ID_LABEL = "goog-gke-cluster-id-base32"

TAG = "tag"
UID = "uid"
SYSTEM = "system"
BALANCER = "balancer"

_HASH_LENGTH = 8
# Shorter remains of a UID in a truncated name are ambiguous; ingress-gce has the same limit.
_SHORTEST = 5
_LONGEST_NAME = 63
_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TAG = re.compile(r"gke-(?P<cluster>.+)-(?P<hash>[0-9a-f]{8})-node")
_BALANCER = re.compile(
    r"(?:k8s-fw-)?(?P<own>a[0-9a-f]{31})(?:-hc)?|k8s-(?P<hc>a[0-9a-f]{31})-http-hc"
)
_SYSTEM = re.compile(r"k8s[23]-(?:(?:tcp|udp|l3|um|rm|fr|fs|tp|ts|cr)-)?(?P<hash>[0-9a-z]{8})-.+")
_SHORT_UID = re.compile(r"k8s1-(?P<uid>[0-9a-f]{8})-.+")
_SHARED = re.compile(r"k8s-(?P<uid>[0-9a-f]{16})-(?:node|internal|external)(?:-.+)?")
_INGRESS = re.compile(r"k8s-.+?--(?P<uid>[0-9a-f]{1,16})")
_SERVICE_KEYS = (
    "kubernetes.io/service-name",
    "networking.gke.io/service-name",
    "kubernetes.io/ingress-name",
)


class Mark(NamedTuple):
    """An identifier of a resource's cluster; kind is TAG, UID, SYSTEM or BALANCER."""

    kind: str
    value: str


def content_hash(text: str, length: int = _HASH_LENGTH) -> str:
    """Return the hash of a text as computed by ingress-gce."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_CHARACTERS[byte % len(_CHARACTERS)] for byte in digest[:length])


def system_mark(namespace_uid: str) -> Mark:
    """Return the mark of a cluster from the UID of its namespace kube-system."""
    return Mark(SYSTEM, content_hash(namespace_uid))


def uid_mark(uid: str) -> Mark:
    """Return the mark of a cluster's UID, shortened because some names have only 8 digits."""
    return Mark(UID, uid[:_HASH_LENGTH])


def balancer_name(service_uid: str) -> str:
    """Return Kubernetes's default name for the load balancer of a Service."""
    return ("a" + service_uid.replace("-", ""))[:32]


def node_tag(cluster: str, cluster_id: str) -> str:
    """Return the network tag of a cluster's nodes, from the API's `name` and `id`."""
    return f"gke-{cluster}-{cluster_id[:_HASH_LENGTH]}-node"


def tag_hash(tag: str, cluster: str) -> str:
    """Return the hash in a node tag of a cluster of this name; empty for another cluster."""
    match = _TAG.fullmatch(tag)
    return match["hash"] if match and match["cluster"] == cluster else ""


def id_label(cluster_id: str) -> str:
    """Return the value of ID_LABEL for a cluster's `id`; empty if that is not hexadecimal."""
    try:
        raw = bytes.fromhex(cluster_id)
    except ValueError:
        return ""
    return base64.b32encode(raw).decode().rstrip("=").lower()


def id_of_label(value: str) -> str:
    """Return the cluster's `id` in a value of ID_LABEL; empty if it is invalid."""
    try:
        return base64.b32decode(value.upper() + "=" * (-len(value) % 8)).hex()
    except ValueError:
        return ""


def description(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON in a description, as the controllers write it; empty if there is none."""
    try:
        found = json.loads(resource.get("description") or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def made_for(resource: Mapping[str, Any]) -> str:
    """Return the Kubernetes object in a resource's description, such as `Service n/web`, or ""."""
    said = description(resource)
    for key in _SERVICE_KEYS:
        if said.get(key):
            kind = "Ingress" if "ingress" in key else "Service"
            return f"{kind} {said[key]}"
    if said.get("cluster-uid"):
        return f"Service {said.get('namespace')}/{said.get('service-name')}"
    claim = said.get("kubernetes.io/created-for/pvc/name")
    if claim:
        space = said.get("kubernetes.io/created-for/pvc/namespace")
        return f"PersistentVolumeClaim {space}/{claim}"
    return ""


def marks_of(resource: Mapping[str, Any]) -> set[Mark]:
    """Return all marks of a resource (the compute API's JSON)."""
    found = set(_by_name(str(resource["name"])))
    found |= {Mark(TAG, tag) for tag in resource.get("targetTags") or [] if _TAG.fullmatch(tag)}
    uid = description(resource).get("cluster-uid")
    if uid:
        found.add(system_mark(str(uid)))
    return found


def _by_name(name: str) -> Iterator[Mark]:
    if match := _BALANCER.fullmatch(name):
        yield Mark(BALANCER, match["own"] or match["hc"])
    elif match := _SYSTEM.fullmatch(name):
        yield Mark(SYSTEM, match["hash"])
    elif (match := _SHORT_UID.fullmatch(name)) or (match := _SHARED.fullmatch(name)):
        yield uid_mark(match["uid"])
    elif match := _INGRESS.fullmatch(name):
        uid = match["uid"]
        if len(name) >= _LONGEST_NAME and uid.endswith("0"):
            uid = uid[:-1]  # a truncated name ends with a 0
        if len(uid) >= _SHORTEST:
            yield uid_mark(uid)


def is_kubernetes(resource: Mapping[str, Any]) -> bool:
    """Return whether Kubernetes created a resource, for any cluster."""
    return bool(marks_of(resource) or made_for(resource))


def is_pool_group(name: str, cluster: str) -> bool:
    """Return whether the name of an instance group may be that of a cluster's node pool."""
    return bool(re.fullmatch(rf"gke-{re.escape(cluster)}-.+-[0-9a-f]{{8}}-grp", name))


def region_of(scope: str) -> str:
    """Return the region of `regions/R`, `zones/Z` or a location; empty for `global`."""
    place = scope.rpartition("/")[2]
    if place == "global":
        return ""
    return place.rpartition("-")[0] if place.count("-") > 1 else place
