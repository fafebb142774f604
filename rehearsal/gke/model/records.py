"""Common functions on the records of clusters, used by clusters and node pools."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import catalog, operations, refusals, target, values

if TYPE_CHECKING:
    from rehearsal.gke.model.state import State

LABEL_KEY = r"[a-z][-_a-z0-9]{0,62}"
LABEL_VALUE = r"[-_a-z0-9]{0,63}"
MAX_LABELS = 64


def found(state: State, at: target.Target) -> dict[str, Any]:
    """Return the cluster's record; raise Refused (404) if it does not exist."""
    record = state.clusters.get(at.key)
    if record is None:
        name = target.Target(at.project, at.location, at.cluster).relative
        raise refusals.not_found(name)
    return record


def usable(state: State, at: target.Target) -> dict[str, Any]:
    """Return the cluster's record; raise Refused if it cannot be changed now."""
    record = found(state, at)
    operations.refuse_if_busy(state, at.key)
    if record["status"] not in ("RUNNING", "DEGRADED"):
        raise refusals.not_now(
            f"Cluster is in state {record['status']} and cannot be updated; "
            "it must be RUNNING or deleted."
        )
    return record


def touch(state: State, record: dict[str, Any]) -> None:
    """Give a changed cluster a new etag."""
    record["etag"] = values.uuid_of("etag", record["uid"], state.next_number())


def check_labels(labels: dict[str, str]) -> None:
    """Raise Refused if resource labels violate Google's rules."""
    if len(labels) > MAX_LABELS:
        raise refusals.invalid(f"Too many labels: {len(labels)}; at most {MAX_LABELS} are allowed.")
    for key, value in labels.items():
        if not re.fullmatch(LABEL_KEY, key):
            raise refusals.invalid(
                f'Label key "{key}" violates format constraints. The key must start with a '
                "lowercase character, can only contain lowercase letters, numeric characters, "
                "underscores and dashes. The key can be at most 63 characters long."
            )
        if not re.fullmatch(LABEL_VALUE, value):
            raise refusals.invalid(
                f'Label value "{value}" violates format constraints. The value can only contain '
                "lowercase letters, numeric characters, underscores and dashes. The value can be "
                "at most 63 characters long."
            )


def zones_asked(location: str, asked: list[str]) -> list[str]:
    """Return the zones of a cluster's nodes; raise Refused if they are invalid."""
    region = catalog.region_of(location)
    possible = catalog.zones_of(region)
    for zone in asked:
        if zone not in possible:
            raise refusals.invalid(f'Zone "{zone}" is not in region "{region}" of the cluster.')
    if catalog.is_zone(location):
        if asked and location not in asked:
            raise refusals.invalid(
                f'Cluster.locations must include the cluster\'s primary zone "{location}".'
            )
        return sorted(asked) or [location]
    return sorted(asked) or possible[: catalog.ZONES_OF_A_REGIONAL_CLUSTER]
