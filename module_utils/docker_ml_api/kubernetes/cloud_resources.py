"""Identifies the objects of a cluster that have resources in the cloud, which outlive the cluster.

The objects are the API's JSON. A Service of type LoadBalancer, an Ingress and a Gateway have load
balancers, a Service with the annotation for NEGs has network endpoint groups, and the volume of a
PersistentVolumeClaim is a disk. Only the cluster's own controllers remove these resources when the
object is deleted, so the objects must be deleted before the cluster.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Object = dict[str, Any]

# The order of deletion: an Ingress is deleted before the Services that it uses.
KINDS = ("Ingress", "Gateway", "Service", "PersistentVolumeClaim")
# Kinds that a cluster may lack.
OPTIONAL = ("Gateway",)
VOLUME = "PersistentVolume"
CLAIM = "PersistentVolumeClaim"

_NEG = "cloud.google.com/neg"
_CLEANUP = (
    "service.kubernetes.io/load-balancer-cleanup",
    "gke.networking.io/",
    "networking.gke.io/",
)
_DISK_DRIVERS = ("pd.csi.storage.gke.io", "filestore.csi.storage.gke.io")
# Controllers, which recreate pods and therefore keep their volumes in use. Other pods are deleted
# themselves.
CONTROLLERS = (
    *("CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController"),
    "StatefulSet",
)


def title(item: Mapping[str, Any]) -> str:
    """Return the display name of an object: KIND NAMESPACE/NAME."""
    namespace = item["metadata"].get("namespace")
    return f"{item['kind']} {namespace + '/' if namespace else ''}{item['metadata']['name']}"


def in_cloud(item: Mapping[str, Any]) -> bool:
    """Return whether an object of one of KINDS has resources in the cloud."""
    if item["kind"] != "Service":
        return True
    metadata = item["metadata"]
    finalizers = metadata.get("finalizers") or []
    if (item.get("spec") or {}).get("type") == "LoadBalancer":
        return True
    # A former load balancer that still has to be cleaned up.
    if any(str(one).startswith(_CLEANUP) for one in finalizers):
        return True
    try:
        wanted = json.loads((metadata.get("annotations") or {}).get(_NEG) or "{}")
    except ValueError:
        return False
    return isinstance(wanted, dict) and bool(wanted.get("exposed_ports"))


def key(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return an object's namespace and name."""
    return str(item["metadata"].get("namespace") or ""), str(item["metadata"]["name"])


def claims_of(pod: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the namespaces and names of the claims that a pod mounts."""
    namespace, name = key(pod)
    found = set()
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        claim = volume.get("persistentVolumeClaim")
        if claim:
            found.add((namespace, str(claim["claimName"])))
        elif volume.get("ephemeral") is not None:
            found.add((namespace, f"{name}-{volume['name']}"))
    return found


def owner(item: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the kind and name of the controller that recreates an object, if it is known."""
    for one in item["metadata"].get("ownerReferences") or []:
        if one.get("controller") and one.get("kind") in CONTROLLERS:
            return str(one["kind"]), str(one["name"])
    return None


def claim_of(volume: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the namespace and name of a volume's current or former claim; None without one."""
    reference = (volume.get("spec") or {}).get("claimRef")
    return (str(reference["namespace"]), str(reference["name"])) if reference else None


def disk_of(volume: Mapping[str, Any]) -> str:
    """Return the name of a volume's disk in Google's cloud; empty if it has none."""
    spec = volume.get("spec") or {}
    driver = spec.get("csi") or {}
    if driver.get("driver") in _DISK_DRIVERS:
        # projects/P/zones/Z/disks/D
        return str(driver.get("volumeHandle") or "").rpartition("/")[2]
    return str((spec.get("gcePersistentDisk") or {}).get("pdName") or "")


def goes(volume: Mapping[str, Any]) -> bool:
    """Return whether the storage of a volume is deleted with its claim."""
    return (volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") == "Delete"


def going_volumes(volumes: Iterable[Object], claims: Collection[tuple[str, str]]) -> list[Object]:
    """Return the volumes to be deleted: their claim is one of `claims`, or no longer exists."""
    return [
        volume
        for volume in volumes
        if goes(volume)
        and (
            claim_of(volume) in claims
            or (volume.get("status") or {}).get("phase") in {"Released", "Failed"}
        )
    ]


def retained(volumes: Iterable[Object]) -> list[Object]:
    """Return the volumes whose disks intentionally remain in the cloud."""
    return [volume for volume in volumes if not goes(volume) and disk_of(volume)]
