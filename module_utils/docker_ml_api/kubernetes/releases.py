"""The releases of a workload that were found good, each recorded in a ConfigMap.

A record's name is NAME-release-NUMBER. Its data: `objects`, the manifests as a JSON list;
`image`; `configuration`, the hash over the objects; `checks`, what the release was asked, as a
JSON list, if anything. It is immutable and carries the project's labels, the workload's instance
label and the number. Nothing here asks anybody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

INSTANCE = "app.kubernetes.io/instance"
RELEASE = "docker-ml-api/release"
_CONFIGURATION = "docker-ml-api/configuration"
CONTROLLERS = ("Deployment", "ReplicationController")

Object = dict[str, Any]


class DamagedRecordError(Exception):
    """A record's content is not what was recorded; the message says how."""


@dataclass(frozen=True)
class Release:
    """One recorded release; `created` is in the API's own form, content and asked are JSON text."""

    number: int
    name: str
    uid: str
    image: str
    configuration: str
    created: str
    content: str
    asked: str

    def objects(self) -> list[Object]:
        """Return the manifests. Raises DamagedRecordError."""
        return self._list("objects", self.content)

    def checks(self) -> list[Object]:
        """Return what it was asked; nothing if that was not recorded. Raises DamagedRecordError."""
        return self._list("checks", self.asked or "[]")

    def controller_configuration(self) -> str:
        """Return the hash of what ran its pods; empty for a damaged record."""
        try:
            return next(
                configuration(item) for item in self.objects() if item.get("kind") in CONTROLLERS
            )
        except (DamagedRecordError, StopIteration):
            return ""

    def _list(self, what: str, text: str) -> list[Object]:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise DamagedRecordError(f"its ConfigMap {self.name} holds no list of {what}")
        return found

    def summary(self) -> dict[str, Any]:
        """Return it without its objects."""
        return {
            "release": self.number,
            "image": self.image,
            "configuration": self.configuration,
            "created": self.created,
        }


@dataclass(frozen=True)
class Plan:
    """What makes the records right.

    create: the ConfigMap to create, if any; delete: the records to delete afterwards; release and
    previous: the newest number then, and the one before it (None if there is none).
    """

    create: Object | None
    delete: tuple[Release, ...]
    release: int
    previous: int | None


def configuration(thing: Mapping[str, Any]) -> str:
    """Return the hash that an object was rendered with; empty if it says none."""
    annotations = thing.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(_CONFIGURATION, ""))


def selector(labels: Mapping[str, str], *, records: bool = True) -> str:
    """Return the label selector of all records, or of all that is ours."""
    ours = [f"{key}={value}" for key, value in sorted(labels.items())]
    return ",".join([*ours, RELEASE] if records else ours)


def of_workloads(config_maps: Iterable[Object]) -> dict[str, list[Release]]:
    """Return the records of each workload, the newest first."""
    found: dict[str, list[Release]] = {}
    for config_map in config_maps:
        metadata = config_map["metadata"]
        labels = metadata.get("labels") or {}
        data = config_map.get("data") or {}
        if not labels.get(RELEASE, "").isdecimal():
            continue
        found.setdefault(labels.get(INSTANCE, ""), []).append(
            Release(
                number=int(labels[RELEASE]),
                name=metadata["name"],
                uid=metadata.get("uid", ""),
                image=data.get("image", ""),
                configuration=data.get("configuration", ""),
                created=metadata.get("creationTimestamp", ""),
                content=data.get("objects", ""),
                asked=data.get("checks", ""),
            )
        )
    for records in found.values():
        records.sort(key=lambda record: record.number, reverse=True)
    return found


def plan(
    workload: Mapping[str, Any],
    records: Sequence[Release],
    labels: Mapping[str, str],
    limit: int,
    taken: Collection[int] = (),
) -> Plan:
    """Return how to record what a workload is now.

    workload: {name, namespace, configuration, image, objects, checks}; records: its own, newest
    first; taken: numbers that something else has. A configuration that is recorded already becomes
    the newest release under a new number, as with `kubectl rollout undo`; its old record goes.
    """
    create = None
    if records and records[0].configuration == workload["configuration"]:
        number = records[0].number
        older = records[1:]
    else:
        number = max([record.number for record in records] + list(taken), default=0) + 1
        create = record(workload, number, labels)
        older = records
    kept: list[Release] = []
    seen = {workload["configuration"]}
    for one in older:
        if one.configuration not in seen and len(kept) < limit - 1:
            seen.add(one.configuration)
            kept.append(one)
    return Plan(
        create=create,
        delete=tuple(one for one in older if one not in kept),
        release=number,
        previous=kept[0].number if kept else None,
    )


def record(workload: Mapping[str, Any], number: int, labels: Mapping[str, str]) -> Object:
    """Return the ConfigMap that records a release."""
    checks = workload.get("checks")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{workload['name']}-release-{number}",
            "namespace": workload["namespace"],
            "labels": {**labels, INSTANCE: workload["name"], RELEASE: str(number)},
        },
        "immutable": True,
        "data": {
            "configuration": workload["configuration"],
            "image": workload["image"],
            "objects": _dump(workload["objects"]),
            **({"checks": _dump(checks)} if checks else {}),
        },
    }


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def target(
    records: Sequence[Release], configuration: str = "", running: str = ""
) -> Release | None:
    """Return the release to go back to, if there is one.

    records: newest first. configuration: of the release that is no good. It has no record, unless
    it was good once. Where it is the newest release that was good, nothing newer is at fault, and
    there is nothing to go back to. Without a configuration it is the release before the one that
    runs: running is the hash of what runs the pods now. If no record has that, it was never found
    good, and the newest release is the one before it; else it is the release before the newest,
    so that a rollback that was stopped half-way is finished and not undone.
    """
    if not configuration:
        if records and running:
            known = {record.controller_configuration() for record in records}
            # A damaged record may be the one.
            if running not in known and "" not in known:
                return records[0]
        return records[1] if len(records) > 1 else None
    if not records or records[0].configuration == configuration:
        return None
    return records[0]


def why_no_target(records: Sequence[Release], configuration: str = "") -> str:
    """Return why there is no release to go back to, as the rest of a sentence."""
    if records and configuration:
        return (
            f"what fails is release {records[0].number}, which was good when it was recorded, so "
            "there is nothing newer to undo"
        )
    if records:
        return "it has no earlier release to go back to"
    return "no release of it was good so far, so there is none to go back to"


def shape(name: str, namespace: str, release: Release) -> dict[str, Any]:
    """Return a recorded release as a workload: what applies it, and what its pods are waited by.

    Returns {name, namespace, release, kind, app, image, replicas, autoscaled, service_name,
    service_port, expose, port, configuration, objects, checks}. Raises DamagedRecordError.
    """
    objects = release.objects()
    by_kind = {item.get("kind"): item for item in objects}
    controller = next((by_kind[kind] for kind in CONTROLLERS if kind in by_kind), None)
    service = by_kind.get("Service")
    if controller is None or service is None:
        missing = "Service" if controller else " or ".join(CONTROLLERS)
        raise DamagedRecordError(f"its ConfigMap {release.name} holds no {missing}")
    scaler = by_kind.get("HorizontalPodAutoscaler")
    try:
        container = controller["spec"]["template"]["spec"]["containers"][0]
        if scaler:
            replicas = scaler["spec"].get("minReplicas", 1)
        else:
            replicas = controller["spec"].get("replicas", 1)
        return {
            "name": name,
            "namespace": namespace,
            "release": release.number,
            "kind": controller["kind"],
            "app": controller["metadata"]["labels"].get("app.kubernetes.io/name", ""),
            "image": container["image"],
            "replicas": replicas,
            "autoscaled": scaler is not None,
            "service_name": service["metadata"]["name"],
            "service_port": service["spec"]["ports"][0]["port"],
            "expose": service["spec"].get("type", "ClusterIP"),
            "port": container["ports"][0]["containerPort"],
            "configuration": release.configuration,
            "objects": objects,
            "checks": release.checks(),
        }
    except (KeyError, IndexError, TypeError) as error:
        raise DamagedRecordError(
            f"its ConfigMap {release.name} lacks a field of its {controller['kind']} or Service "
            f"({error})"
        ) from error
