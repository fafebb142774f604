"""Determines the changes that make live Kubernetes objects equal to the rendered ones.

Objects are plain dicts, as in the API's JSON. They are applied server-side, so a field belongs
to the manager that set it last (`metadata.managedFields`). Fields that the API server or others
added to an object are not differences.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from ansible.module_utils.docker_ml_api.kubernetes import quantity
from ansible.module_utils.docker_ml_api.kubernetes.manifests import CONFIGURATION_ANNOTATION, Object
from ansible.module_utils.docker_ml_api.kubernetes.workload_input import INSTANCE_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Key = tuple[str, str, str]
    # A tree as in fieldsV1. None: not owned; empty: owned, including everything below.
    Owned = Mapping[str, Any] | None

# The kinds that a workload can consist of, in the order of deletion: first those that would
# recreate what is deleted later, last those that requests pass through.
KINDS = (
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicationController",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Service",
)

# Lists whose items the API server identifies by these keys, so that others can have items of their
# own in them. All other lists are compared as a whole.
_POD = "spec.template.spec"
_ITEM_KEYS = {
    "spec.ports": ("port", "protocol"),  # of a Service
    f"{_POD}.containers": ("name",),
    f"{_POD}.containers.env": ("name",),
    f"{_POD}.containers.ports": ("containerPort", "protocol"),
    f"{_POD}.containers.volumeMounts": ("mountPath",),
    f"{_POD}.imagePullSecrets": ("name",),
    f"{_POD}.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    f"{_POD}.volumes": ("name",),
}
_QUANTITIES_IN = ("requests", "limits")
_QUANTITY = "sizeLimit"
_NUMBER_OR_TEXT = ("maxSurge", "maxUnavailable", "minAvailable", "port", "targetPort")


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
# A field manager that owns nothing.
NOBODY = ""


@dataclass(frozen=True)
class Difference:
    """One field: its path (`spec.template.spec.containers[web].image`) and both values.

    Either value may be ABSENT.
    """

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Plan:
    """The changes to make.

    apply: the objects to apply, in this order.
    prune: objects of ours that are no longer rendered, as apiVersion, kind and metadata (name,
        namespace, labels, uid).
    foreign: `Kind namespace/name` of existing objects that are not ours.
    blocked: sentences on objects that cannot be applied.
    diff: the differences, in Ansible's format.
    """

    apply: list[Object] = field(default_factory=list)
    prune: list[Object] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


def key_of(one: Object) -> Key:
    """Return kind, namespace (empty if it has none) and name."""
    metadata = one["metadata"]
    return one["kind"], metadata.get("namespace", ""), metadata["name"]


def title(one: Object) -> str:
    """Return `Kind namespace/name`."""
    kind, namespace, name = key_of(one)
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def is_ours(live: Object, labels: Mapping[str, str]) -> bool:
    """Return whether the object has all of our labels."""
    found = live["metadata"].get("labels") or {}
    return all(found.get(name) == value for name, value in labels.items())


def plan(
    workloads: Sequence[Mapping[str, Any]],
    namespaces: Iterable[Object],
    live: Mapping[Key, Object],
    labels: Mapping[str, str],
    manager: str,
    *,
    adopt: bool = False,
) -> Plan:
    """Compare the rendered objects with the live ones.

    workloads: mappings with name, namespace and objects.
    namespaces: the Namespaces to keep as rendered.
    live: the existing objects, ours and others.
    manager: our field manager.
    adopt: whether to take over objects of others.
    """
    made = Plan()
    wanted: list[tuple[Object, list[Object]]] = [(one, []) for one in namespaces]
    wanted += [(one, workload["objects"]) for workload in workloads for one in workload["objects"]]
    for rendered, siblings in wanted:
        found = live.get(key_of(rendered))
        if found is not None:
            if not adopt and not is_ours(found, labels):
                made.foreign.append(title(rendered))
                continue
            obstacle = _obstacle(rendered, found, manager)
            if obstacle:
                made.blocked.append(obstacle)
                continue
            if not needs_apply(rendered, found, manager):
                continue
        made.apply.append(applicable(rendered, found, siblings, manager))
        made.diff.append(_shown(rendered, found, manager))
    for one in superfluous(workloads, live, labels):
        made.prune.append(_reference(one))
        made.diff.append(_texts(title(one), "present\n", "absent\n"))
    return made


def needs_apply(rendered: Object, live: Object, manager: str) -> bool:
    """Return whether the live object differs from the rendered one.

    The hash alone does not reveal later changes by others; the fields alone do not reveal fields
    that are no longer rendered.
    """
    if _hash(rendered) != _hash(live):
        return True
    return bool(differences(rendered, live, manager))


def differences(rendered: Object, live: Object, manager: str) -> list[Difference]:
    """Return the rendered fields whose live value differs.

    If `manager` still owns a field with another value, an admission controller of the cluster
    changed it during the apply. It would do so again, so this is not a difference.
    """
    return [*_compare(rendered, live, _Place((), "", owned_fields(live, manager)))]


def owned_fields(live: Object, manager: str) -> Owned:
    """Return the fields that `manager` applied last, as a tree of fieldsV1."""
    for entry in live["metadata"].get("managedFields") or []:
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            return entry.get("fieldsV1") or None
    return None


def applicable(
    rendered: Object, live: Object | None, siblings: Iterable[Object], manager: str
) -> Object:
    """Return the object to send.

    A Deployment with an autoscaler is rendered without `replicas`. A new one starts with the
    autoscaler's minimum. If we own the live number, because the workload had no autoscaler before
    or is new, it is sent as well: a field that its owner no longer sends is reset, here to 1.
    """
    if rendered["kind"] != "Deployment" or "replicas" in rendered["spec"]:
        return rendered
    replicas = None
    if live is None:
        scalers = [one for one in siblings if one["kind"] == "HorizontalPodAutoscaler"]
        replicas = scalers[0]["spec"]["minReplicas"] if scalers else None
    elif _below(_below(owned_fields(live, manager), "f:spec"), "f:replicas") is not None:
        replicas = live["spec"].get("replicas")
    if replicas is None:
        return rendered
    return {**rendered, "spec": {**rendered["spec"], "replicas": replicas}}


def superfluous(
    workloads: Sequence[Mapping[str, Any]], live: Mapping[Key, Object], labels: Mapping[str, str]
) -> list[Object]:
    """Return our objects of these workloads that are no longer rendered, in deletion order."""
    rendered = {key_of(one) for workload in workloads for one in workload["objects"]}
    places = {(workload["namespace"], workload["name"]) for workload in workloads}
    found = [
        one
        for key, one in live.items()
        if key[0] in KINDS
        and key not in rendered
        and is_ours(one, labels)
        and (key[1], one["metadata"]["labels"].get(INSTANCE_LABEL)) in places
        and not one["metadata"].get("deletionTimestamp")
    ]
    return sorted(found, key=lambda one: (KINDS.index(one["kind"]), key_of(one)))


def _reference(one: Object) -> Object:
    metadata = one["metadata"]
    keys = ("name", "namespace", "labels", "uid")
    return {
        "apiVersion": one["apiVersion"],
        "kind": one["kind"],
        "metadata": {key: metadata[key] for key in keys if key in metadata},
    }


def _hash(one: Object) -> str | None:
    annotation: str | None = (one["metadata"].get("annotations") or {}).get(
        CONFIGURATION_ANNOTATION
    )
    return annotation


# --- Field by field


def _below(owned: Owned, key: str) -> Owned:
    """Return the owned part of a field, given the owned part of its parent."""
    return owned.get(key) if owned else owned


@dataclass(frozen=True)
class _Place:
    """The position of a value in an object: field names, path, and the owned part below it."""

    fields: tuple[str, ...]
    path: str
    owned: Owned

    def field(self, name: str) -> _Place:
        path = f"{self.path}.{name}" if self.path else name
        return _Place((*self.fields, name), path, _below(self.owned, f"f:{name}"))

    def item(self, label: Any, owned: Owned) -> _Place:
        return _Place(self.fields, f"{self.path}[{label}]", owned)


def _compare(wanted: Any, live: Any, place: _Place) -> Iterator[Difference]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for name, value in wanted.items():
            yield from _compare(value, live.get(name, ABSENT), place.field(name))
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _compare_items(wanted, live, place)
    elif place.owned is None and not _same(wanted, live, place.fields):
        yield Difference(place.path, live, wanted)


def _compare_items(wanted: list[Any], live: list[Any], place: _Place) -> Iterator[Difference]:
    keys = _ITEM_KEYS.get(".".join(place.fields))
    if keys:
        for item in wanted:
            identity = {key: item[key] for key in keys}
            below = place.item(item[keys[0]], _owned_item(place.owned, identity))
            yield from _compare(item, _item(live, identity), below)
    elif len(wanted) == len(live):
        for number, (item, found) in enumerate(zip(wanted, live, strict=True)):
            yield from _compare(item, found, place.item(number, place.owned))
    elif place.owned is None:
        yield Difference(place.path, live, wanted)


def _item(items: Any, identity: Mapping[str, Any]) -> Any:
    for item in items or []:
        if all(item.get(key) == value for key, value in identity.items()):
            return item
    return ABSENT


def _owned_item(owned: Owned, identity: Mapping[str, Any]) -> Owned:
    if not owned:
        return owned
    for key, below in owned.items():
        if key.startswith("k:") and json.loads(key[2:]) == identity:
            found: Owned = below
            return found
    return None


def _same(wanted: Any, live: Any, fields: tuple[str, ...]) -> bool:
    if isinstance(live, _Absent):
        return False
    name = fields[-1] if fields else ""
    if name == _QUANTITY or (len(fields) > 1 and fields[-2] in _QUANTITIES_IN):
        try:
            return bool(quantity.parse(wanted) == quantity.parse(live))
        except ValueError:
            return False
    if name in _NUMBER_OR_TEXT:
        return str(wanted) == str(live)
    return type(wanted) is type(live) and bool(wanted == live)


def removals(rendered: Object, live: Object, manager: str) -> list[Difference]:
    """Return the live fields that `manager` owns and that are no longer rendered."""
    return [*_removed(rendered, live, owned_fields(live, manager) or {}, "")]


def _removed(wanted: Any, live: Any, owned: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for key, below in owned.items():
        kind, _, rest = key.partition(":")
        if kind == "f" and isinstance(live, dict):
            found = live.get(rest, ABSENT)
            now = wanted.get(rest, ABSENT) if isinstance(wanted, dict) else ABSENT
            place = f"{path}.{rest}" if path else rest
        elif kind == "k" and isinstance(live, list):
            identity = json.loads(rest)
            found = _item(live, identity)
            now = _item(wanted, identity) if isinstance(wanted, list) else ABSENT
            place = f"{path}[{next(iter(identity.values()))}]"
        else:
            continue
        if found is ABSENT:
            continue
        if below and now is not ABSENT:
            yield from _removed(now, found, below, place)
        elif now is ABSENT:
            yield Difference(place, found, ABSENT)


# --- What cannot be applied


def _obstacle(rendered: Object, live: Object, manager: str) -> str | None:
    """Return a sentence if the live object cannot be changed to the rendered one."""
    kind, namespace, name = key_of(rendered)
    if live["metadata"].get("deletionTimestamp"):
        return (
            f"{title(rendered)} is being deleted: run this again when it is gone "
            f"(kubectl get {kind.lower()} {name} --namespace {namespace})."
        )
    for what, before, after in _fixed(rendered, live, manager):
        return (
            f"{title(rendered)} has {what} {before}, which cannot be changed to {after}: "
            f"delete it (kubectl delete {kind.lower()} {name} --namespace "
            f"{namespace}) and run this again, or give the workload another name."
        )
    return None


def _brief(value: Any) -> str:
    return "none" if value is None else json.dumps(value, sort_keys=True)


def _fixed(rendered: Object, live: Object, manager: str) -> Iterator[tuple[str, str, str]]:
    """Yield the differing fields that are immutable in the API, with both values."""
    wanted, found = rendered.get("spec", {}), live.get("spec", {})
    if rendered["kind"] in ("Deployment", "ReplicationController"):
        if wanted["selector"] != found.get("selector"):
            yield "spec.selector", _brief(found.get("selector")), _brief(wanted["selector"])
    elif rendered["kind"] == "Service":
        if found.get("clusterIP") == "None":
            yield "spec.clusterIP", "None (headless)", "an address"
        before, after = found.get("loadBalancerClass"), wanted.get("loadBalancerClass")
        owned = _below(_below(owned_fields(live, manager), "f:spec"), "f:loadBalancerClass")
        # A class that others set is kept, unless another one is requested.
        keeps = before == after or (after is None and owned is None)
        if wanted["type"] == found.get("type") == "LoadBalancer" and not keeps:
            yield "spec.loadBalancerClass", _brief(before), _brief(after)


# --- What is shown


def _shown(rendered: Object, live: Object | None, manager: str) -> dict[str, str]:
    if live is None:
        text = yaml.safe_dump(rendered, default_flow_style=False, sort_keys=True)
        return _texts(title(rendered), "", text)
    # If the hash differs, our own fields have changed. If it is equal, only an admission controller
    # has changed them.
    judge = manager if _hash(rendered) == _hash(live) else NOBODY
    found = differences(rendered, live, judge) + removals(rendered, live, manager)
    note = f"metadata.annotations.{CONFIGURATION_ANNOTATION}"
    autoscaled = rendered["kind"] == "Deployment" and "replicas" not in rendered["spec"]
    hidden = {note, "spec.replicas"} if autoscaled else {note}
    # The hash is meaningless to users, so it is shown only if nothing else differs.
    found = [one for one in found if one.path not in hidden] or [
        Difference(note, _hash(live) or ABSENT, _hash(rendered))
    ]
    before = {one.path: one.before for one in found if one.before is not ABSENT}
    after = {one.path: one.after for one in found if one.after is not ABSENT}
    return _texts(title(rendered), _fields_text(before), _fields_text(after))


def _fields_text(fields: Mapping[str, Any]) -> str:
    if not fields:
        return ""
    return yaml.safe_dump(dict(fields), default_flow_style=False, sort_keys=True)


def _texts(header: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": header, "before": before, "after_header": header, "after": after}
