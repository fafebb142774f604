"""Operations of the container API: they take time, may fail, and lock their cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import refusals, target, values

if TYPE_CHECKING:
    from rehearsal.gke.call import Call, OperationFault
    from rehearsal.gke.model.state import State

Record = dict[str, Any]
"""{name, type, location, rest: "clusters/c/nodePools/p", cluster: key, start, seconds, due: the
time of its end or None for never, end, error: google.rpc.Status or None, effect: its effect when it
ends (`effects`)}; times in seconds since the epoch."""

CANCELLED = 1
ABORTING_SECONDS = 0.2


def begin(
    state: State,
    kind: str,
    at: target.Target,
    effect: dict[str, Any],
    *,
    seconds: float,
    fault: OperationFault | None = None,
) -> Record:
    """Start an operation on a cluster or pool.

    :raises Refused: another operation is running on the cluster.
    """
    refuse_if_busy(state, at.key)
    rest = f"clusters/{at.cluster}" + (f"/nodePools/{at.pool}" if at.pool else "")
    name = f"operation-{int(state.now * 1000)}-{values.uuid_of(state.next_number())}"
    record: Record = {
        "name": name,
        "type": kind,
        "location": at.location,
        "rest": rest,
        "cluster": at.key,
        "start": state.now,
        "seconds": seconds,
        "due": state.now + seconds,
        "end": None,
        "error": None,
        "planned_error": None,
        "cancelled": False,
        "effect": effect,
    }
    if fault is not None and fault.message is None:
        record["due"] = None
    elif fault is not None:
        record["planned_error"] = {"code": fault.code, "message": fault.message}
    state.operations[name] = record
    return record


def running(state: State, cluster: str) -> Record | None:
    """Return the operation that is running on the cluster, or None."""
    return next(
        (
            each
            for each in state.operations.values()
            if each["cluster"] == cluster and each["end"] is None
        ),
        None,
    )


def refuse_if_busy(state: State, cluster: str) -> None:
    """Raise Refused if an operation is running on the cluster."""
    record = running(state, cluster)
    if record is not None:
        raise refusals.busy(record["name"])


def public(state: State, record: Record) -> dict[str, Any]:
    """Return the Operation as the API shows it."""
    settings = state.settings
    shown: dict[str, Any] = {
        "name": record["name"],
        "operationType": record["type"],
        "status": status(state, record),
        "selfLink": target.operation_link(
            settings, record["location"], f"operations/{record['name']}"
        ),
        "targetLink": target.operation_link(settings, record["location"], record["rest"]),
        "startTime": values.precise_time_of(record["start"]),
        "zone": record["location"],
        "location": record["location"],
    }
    if record["end"] is not None:
        shown["endTime"] = values.precise_time_of(record["end"])
    if record["error"] is not None:
        shown["error"] = {**record["error"], "details": []}
        shown["statusMessage"] = record["error"]["message"]
        shown["clusterConditions"] = [condition(record["error"])]
    elif record["end"] is None:
        shown["progress"] = {
            "metrics": [
                {"name": "CLUSTER_CONFIGURING", "intValue": "1"},
                {"name": "CLUSTER_CONFIGURING_TOTAL", "intValue": "2"},
            ]
        }
    return shown


CANONICAL = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
}


def condition(error: dict[str, Any]) -> dict[str, Any]:
    """Return the StatusCondition of an error."""
    shown = {
        "canonicalCode": CANONICAL.get(error["code"], "UNKNOWN"),
        "message": error["message"],
    }
    if "QUOTA_EXCEEDED" in error["message"]:
        shown["code"] = "GCE_QUOTA_EXCEEDED"
    elif "ZONE_RESOURCE_POOL_EXHAUSTED" in error["message"]:
        shown["code"] = "GCE_STOCKOUT"
    return shown


def status(state: State, record: Record) -> str:
    """Return PENDING, RUNNING, ABORTING or DONE."""
    if record["end"] is not None:
        return "DONE"
    if record["cancelled"]:
        return "ABORTING"
    pending = record["seconds"] * state.settings.pending_part
    return "PENDING" if state.now < record["start"] + pending else "RUNNING"


def _found(state: State, at: target.Target) -> Record:
    record = state.operations.get(at.operation)
    if record is None or record["location"] != at.location:
        raise refusals.not_found(at.relative)
    return record


def get(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """operations.get."""
    return public(state, _found(state, at))


def list_(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """operations.list; "-" means all locations."""
    shown = [
        public(state, record)
        for record in state.operations.values()
        if at.location in ("-", record["location"])
    ]
    return {"operations": shown} if shown else {}


def cancel(state: State, _call: Call, at: target.Target) -> dict[str, Any]:
    """operations.cancel: the operation ends soon, with an error; deletions cannot be cancelled."""
    record = _found(state, at)
    if record["end"] is not None:
        raise refusals.not_now(f"Operation {record['name']} is already done.")
    if record["type"].startswith("DELETE_"):
        raise refusals.not_now(
            f"Operation {record['name']} of type {record['type']} cannot be cancelled."
        )
    record["cancelled"] = True
    record["due"] = state.now + ABORTING_SECONDS
    record["planned_error"] = {"code": CANCELLED, "message": "Operation was aborted."}
    return {}


HANDLERS = {
    f"container.projects.{form}.operations.{name}": handler
    for form in ("locations", "zones")
    for name, handler in (("get", get), ("list", list_), ("cancel", cancel))
}
