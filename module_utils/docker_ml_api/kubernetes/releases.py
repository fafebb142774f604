"""The verified releases of a workload, each recorded in a ConfigMap.

A record's name is NAME-release-NUMBER. Its data: `objects`, the manifests as a JSON list;
`image`; `configuration`, the hash over the objects; `checks`, the checks of the release as a
JSON list, if there are any. It is immutable and has the project's labels, the workload's instance
label and the number. This module sends no requests.
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
    """The content of a record is damaged; the message describes how."""


@dataclass(frozen=True)
class Release:
    """One recorded release; `created` is in the API's format, content and asked are JSON text."""

    number: int
    name: str
    uid: str
    image: str
    configuration: str
    created: str
    content: str
    asked: str

    def objects(self) -> list[Object]:
        """Return the manifests; raise DamagedRecordError."""
        return self._list("objects", self.content)

    def checks(self) -> list[Object]:
        """Return the checks; empty if they were not recorded; raise DamagedRecordError."""
        return self._list("checks", self.asked or "[]")

    def controller_configuration(self) -> str:
        """Return the hash of the controller of its pods; empty for a damaged record."""
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
        """Return the release without its objects."""
        return {
            "release": self.number,
            "image": self.image,
            "configuration": self.configuration,
            "created": self.created,
        }


@dataclass(frozen=True)
class Plan:
    """The changes that update the records.

    create: the ConfigMap to create, or None.
    delete: the records to delete afterwards.
    release, previous: the newest number after that, and the one before it (None if there is none).
    """

    create: Object | None
    delete: tuple[Release, ...]
    release: int
    previous: int | None


def configuration(thing: Mapping[str, Any]) -> str:
    """Return the hash that an object was rendered with; empty if it has none."""
    annotations = thing.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(_CONFIGURATION, ""))


def selector(labels: Mapping[str, str], *, records: bool = True) -> str:
    """Return the label selector of all records, or of all objects of this project."""
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
    """Return how to record the current state of a workload.

    workload: {name, namespace, configuration, image, objects, checks}.
    records: its records, the newest first.
    taken: numbers that are already in use.

    A configuration that is already recorded becomes the newest release under a new number, as with
    `kubectl rollout undo`, and its old record is deleted.
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
    """Return the release to roll back to; None if there is none.

    records: the newest first.
    configuration: that of the failed release. It has no record, unless it was verified before. If
        it is the newest record, a newer release is not the cause, and there is nothing to roll
        back to. If empty, the target is the release before the running one.
    running: the hash of the running controller. If it is not recorded, it was never verified, and
        the target is the newest release. Otherwise it is the release before the newest, so that
        an interrupted rollback is completed and not undone.
    """
    if not configuration:
        if records and running:
            known = {record.controller_configuration() for record in records}
            # The running release may be the damaged record.
            if running not in known and "" not in known:
                return records[0]
        return records[1] if len(records) > 1 else None
    if not records or records[0].configuration == configuration:
        return None
    return records[0]


def why_no_target(records: Sequence[Release], configuration: str = "") -> str:
    """Return why there is no release to roll back to, as the end of a sentence."""
    if records and configuration:
        return (
            f"what fails is release {records[0].number}, which was good when it was recorded, so "
            "there is nothing newer to undo"
        )
    if records:
        return "it has no earlier release to go back to"
    return "no release of it was good so far, so there is none to go back to"


def shape(name: str, namespace: str, release: Release) -> dict[str, Any]:
    """Return a recorded release as a workload, with what is needed to apply it and wait for it.

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
