"""Decides which objects of a cluster are deleted with its workloads, without side effects.

The objects are the API's JSON. The project's own objects have its labels; those of a workload
also have its name as the instance label. All other objects belong to others, and are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Object = dict[str, Any]

INSTANCE = "app.kubernetes.io/instance"
PULL_SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - the name of a type

# The order of deletion: Services first, since their load balancers take longest; then the objects
# that keep pods running, before the pods' controller.
KINDS = (
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Deployment",
    "ReplicationController",
    "ConfigMap",
)
# Kinds of which only our own objects are read; the others are irrelevant, and may be many.
OURS_ONLY = ("ConfigMap",)
CONTROLLERS = ("Deployment", "ReplicationController")

# Kinds that are derived from other objects.
_DERIVED = {
    ("", "events"),
    ("events.k8s.io", "events"),
    ("", "endpoints"),
    ("discovery.k8s.io", "endpointslices"),
    ("coordination.k8s.io", "leases"),
}
_DERIVED_GROUPS = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
# Objects that a cluster creates in each namespace.
_GIVEN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}

_NAMED = 4


class Resource(NamedTuple):
    """A kind of object that can be listed in a namespace; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    def path(self, namespace: str) -> str:
        """Return the API path of the namespace's objects of this kind."""
        prefix = f"apis/{self.group}" if self.group else "api"
        return f"/{prefix}/{self.version}/namespaces/{namespace}/{self.plural}"


@dataclass
class Plan:
    """The deletion plan of one namespace.

    remove: objects to delete, in this order.
    going: objects that are already being deleted.
    foreign: objects that have a workload's name, but not the project's labels.
    """

    remove: list[Object] = field(default_factory=list)
    going: list[Object] = field(default_factory=list)
    foreign: list[Object] = field(default_factory=list)


def is_ours(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether the object has the project's labels."""
    own = item["metadata"].get("labels") or {}
    return all(own.get(key) == value for key, value in labels.items())


def instance(item: Mapping[str, Any]) -> str:
    """Return the workload that the object belongs to, by its label."""
    return str((item["metadata"].get("labels") or {}).get(INSTANCE, ""))


def is_going(item: Mapping[str, Any]) -> bool:
    """Return whether the object is being deleted."""
    return "deletionTimestamp" in item["metadata"]


def is_orphan(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod has no controller, so that it must be deleted itself.

    This includes pods of a ReplicationController that was deleted with the API's default
    propagation.
    """
    owners = pod["metadata"].get("ownerReferences") or []
    return not is_going(pod) and not any(owner.get("controller") for owner in owners)


def plan(
    found: Mapping[str, Sequence[Object]],
    secrets: Sequence[Object],
    names: Collection[str],
    labels: Mapping[str, str],
) -> Plan:
    """Return the plan for the objects of one namespace.

    found: its objects of each of KINDS.
    secrets: its Secrets of this project.
    names: the workloads to delete.

    The registry credentials are deleted with the last workload of this project that uses them.
    """
    result = Plan()
    for kind in KINDS:
        for item in found[kind]:
            if is_ours(item, labels):
                if instance(item) in names:
                    (result.going if is_going(item) else result.remove).append(item)
            elif item["metadata"]["name"] in names and kind not in OURS_ONLY:
                result.foreign.append(item)
    others = [
        item
        for kind in CONTROLLERS
        for item in found[kind]
        if is_ours(item, labels) and instance(item) not in names
    ]
    if not others:
        for item in secrets:
            if item.get("type") == PULL_SECRET_TYPE and not instance(item):
                (result.going if is_going(item) else result.remove).append(item)
    return result


def resources(discovery: Iterable[Mapping[str, Any]]) -> tuple[list[Resource], list[str]]:
    """Return the kinds that a namespace can contain, and the API groups that do not answer.

    discovery: the answers of /api and /apis, each an APIGroupDiscoveryList. Each kind is used in
        the preferred version of its group, which comes first, or else in another version.
    """
    found: dict[tuple[str, str], Resource] = {}
    silent: list[str] = []
    for answer in discovery:
        for group in answer.get("items") or []:
            name = str(group["metadata"].get("name") or "")
            if name in _DERIVED_GROUPS:
                continue
            for version in group.get("versions") or []:
                if version.get("freshness") == "Stale":
                    silent.append(f"{name}/{version['version']}")
                for item in version.get("resources") or []:
                    key = (name, item["resource"])
                    listed = item.get("scope") == "Namespaced" and "list" in item.get("verbs", [])
                    if listed and key not in _DERIVED:
                        kind = (item.get("responseKind") or {}).get("kind") or item["resource"]
                        found.setdefault(key, Resource(name, version["version"], key[1], kind))
    return list(found.values()), silent


def is_left(
    kind: str, item: Mapping[str, Any], names: Collection[str], labels: Mapping[str, str]
) -> bool:
    """Return whether an object prevents the deletion of its namespace.

    names: the workloads to delete. Their objects do not, nor do our objects without a workload.
    """
    if is_ours(item, labels):
        return bool(instance(item)) and instance(item) not in names
    return (kind, item["metadata"]["name"]) not in _GIVEN


def without_owned(items: Iterable[tuple[str, Object]]) -> list[tuple[str, Object]]:
    """Return (kind, object) without the objects whose owner is in the list as well."""
    items = list(items)
    uids = {item["metadata"].get("uid") for _, item in items}
    return [
        (kind, item)
        for kind, item in items
        if not any(
            owner.get("uid") in uids for owner in item["metadata"].get("ownerReferences") or []
        )
    ]


def naming(items: Sequence[tuple[str, Object]]) -> str:
    """Return the names of the first few (kind, object), and the number of the others."""
    named = [f"{kind} {item['metadata']['name']}" for kind, item in items[:_NAMED]]
    if len(items) > _NAMED:
        named.append(f"{len(items) - _NAMED} more")
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def last_warning(events: Iterable[Mapping[str, Any]]) -> str:
    """Return the message of the newest event of type Warning, as one line; empty without one."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    if not warnings:
        return ""
    return " ".join(str(max(warnings, key=_moment).get("message") or "").split())


def _moment(event: Mapping[str, Any]) -> str:
    # In one format and time zone, the order of the texts is chronological.
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def obstacle(namespace: Mapping[str, Any]) -> str:
    """Return the conditions of a Namespace that is not removed; empty if it has none."""
    conditions = (namespace.get("status") or {}).get("conditions") or []
    said = [
        str(condition.get("message") or condition.get("reason") or "")
        for condition in conditions
        if condition.get("status") == "True"
    ]
    return " ".join(" ".join(said).split())
