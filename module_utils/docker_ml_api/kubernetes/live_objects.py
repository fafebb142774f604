"""Reads the live counterparts of rendered objects, with few requests and without changes.

The objects of this project are read with one list request for each kind and namespace. Only objects
that are not in the lists, because they do not exist or are not ours, are requested by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import object_changes
from ansible.module_utils.docker_ml_api.kubernetes.cluster import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster
    from ansible.module_utils.docker_ml_api.kubernetes.manifests import Object
    from ansible.module_utils.docker_ml_api.kubernetes.object_changes import Key

_FORBIDDEN = 403


@dataclass
class Places:
    """The state of the rendered namespaces.

    ours: the live objects of our namespaces.
    missing: names of those that do not exist.
    kept: names of those that exist and are not ours; they are used unchanged. If the user may not
        read namespaces, somebody else created the namespace, so it is kept as well.
    ending: names of those that are being deleted.
    """

    ours: dict[Key, Object] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    ending: list[str] = field(default_factory=list)


def selector(labels: Mapping[str, str]) -> str:
    """Return the label selector for objects with all of these labels."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def read_namespaces(
    cluster: Cluster, rendered: Iterable[Object], labels: Mapping[str, str]
) -> Places:
    """Read the rendered namespaces; raise ApiError."""
    names = [one["metadata"]["name"] for one in rendered]
    places = Places()
    if not names:
        return places
    try:
        found = {
            one["metadata"]["name"]: one
            for one in cluster.list("Namespace", labels=selector(labels))
        }
    except ApiError as error:
        _unless_forbidden(error)
        found = {}
    for name in names:
        try:
            live = found.get(name) or cluster.get("Namespace", "", name)
        except ApiError as error:
            _unless_forbidden(error)
            places.kept.append(name)
            continue
        if live is None:
            places.missing.append(name)
            continue
        if (live.get("status") or {}).get("phase") == "Terminating":
            places.ending.append(name)
        elif object_changes.is_ours(live, labels):
            places.ours[object_changes.key_of(live)] = live
        else:
            places.kept.append(name)
    return places


def read_objects(
    cluster: Cluster,
    workloads: Sequence[Mapping[str, Any]],
    missing_namespaces: Iterable[str],
    labels: Mapping[str, str],
) -> dict[Key, Object]:
    """Return the live objects: all of ours in the workloads' namespaces, and the rendered ones."""
    missing = set(missing_namespaces)
    rendered = {
        object_changes.key_of(one): one
        for workload in workloads
        for one in workload["objects"]
        if workload["namespace"] not in missing
    }
    live: dict[Key, Object] = {}
    for namespace in sorted({workload["namespace"] for workload in workloads} - missing):
        kinds = {kind for kind, place, _ in rendered if place == namespace}
        for kind in object_changes.KINDS:
            found = _list_ours(cluster, kind, namespace, labels, needed=kind in kinds)
            live.update({object_changes.key_of(one): one for one in found})
    for key in rendered.keys() - live.keys():
        kind, namespace, name = key
        other = cluster.get(kind, namespace, name)
        if other is not None:
            live[key] = other
    return live


def _list_ours(
    cluster: Cluster, kind: str, namespace: str, labels: Mapping[str, str], *, needed: bool
) -> list[Object]:
    try:
        found: list[Object] = cluster.list(kind, namespace, labels=selector(labels))
    except ApiError as error:
        # A user who may not list a kind that is not rendered cannot have created such objects.
        if needed:
            raise
        _unless_forbidden(error)
        found = []
    return found


def _unless_forbidden(error: ApiError) -> None:
    if error.status != _FORBIDDEN:
        raise error
