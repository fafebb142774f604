"""Actions of a rehearsal's director: what otherwise users, time or Google itself would cause."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import (
    attachments,
    compute,
    effects,
    node_pools,
    operations,
    other_apis,
    records,
)
from rehearsal.gke.model.target import Target
from rehearsal.gke.model.values import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State

    Action = Callable[[State, dict[str, Any]], dict[str, Any]]

GOOGLES_OWN = ("REPAIR_CLUSTER", "UPGRADE_MASTER", "AUTO_REPAIR_NODES", "AUTO_UPGRADE_NODES")


def direct(state: State, action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Perform one of `ACTIONS` and return its result.

    :raises ValueError: unknown action or arguments.
    """
    if action not in ACTIONS:
        message = f"no such action: {action}; there are {', '.join(sorted(ACTIONS))}"
        raise ValueError(message)
    arguments = dict(given)
    answer = ACTIONS[action](state, arguments)
    if arguments:
        message = f"{action} takes no {', '.join(sorted(arguments))}"
        raise ValueError(message)
    return answer


def _take(arguments: dict[str, Any], name: str, default: Any = None) -> Any:
    """Remove and return an argument; it is required if there is no default."""
    if name not in arguments and default is None:
        message = f"{name} is missing"
        raise ValueError(message)
    return arguments.pop(name, default)


def _cluster(state: State, arguments: dict[str, Any]) -> tuple[Target, dict[str, Any]]:
    """Return the cluster that the argument "cluster" names, by name or "location/name"."""
    name = str(_take(arguments, "cluster"))
    for key, record in state.clusters.items():
        if name in (key, record["live"]["name"]):
            location, _, cluster = key.partition("/")
            return Target(state.settings.project, location, cluster), record
    message = f"no cluster {name}; there are {', '.join(state.clusters) or 'none'}"
    raise ValueError(message)


def attach(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Add a Service, Ingress or Volume to a cluster: {"cluster", "object", …`FIELDS`}."""
    _, cluster = _cluster(state, arguments)
    kind = str(_take(arguments, "object"))
    made = attachments.attach(state, cluster, kind, arguments)
    arguments.clear()
    return {"made": made}


def detach(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove such an object and its cloud resources: {"cluster", "object", "namespace", "name"}."""
    _, cluster = _cluster(state, arguments)
    kind = str(_take(arguments, "object"))
    namespace = str(_take(arguments, "namespace", "default"))
    name = str(_take(arguments, "name"))
    return {"gone": attachments.detach(state, cluster, kind, namespace, name)}


def plant(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Create a compute resource, as if by a user: {"collection", "scope", "body"}."""
    collection, scope = str(_take(arguments, "collection")), str(_take(arguments, "scope"))
    return {"link": compute.put(state, collection, scope, dict(_take(arguments, "body")))}


def change(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Change a cluster or pool, as if manually: {"cluster", "pool", "changes"}."""
    _, cluster = _cluster(state, arguments)
    pool = str(_take(arguments, "pool", ""))
    changes = dict(_take(arguments, "changes"))
    if not pool:
        cluster["live"] = merged(cluster["live"], changes)
        records.touch(state, cluster)
        return {}
    if pool not in cluster["pools"]:
        message = f"no pool {pool}; there are {', '.join(cluster['pools'])}"
        raise ValueError(message)
    record = cluster["pools"][pool]
    record["live"] = merged(record["live"], changes)
    node_pools.name_groups(state, cluster, record)
    node_pools.touch(state, cluster, record)
    return {}


def choose(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Change settings: {setting: value}."""
    state.choose(dict(arguments))
    arguments.clear()
    return {}


def deny(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Deny a caller permissions: {"permissions", "caller": its e-mail address, or "*"}."""
    caller = str(_take(arguments, "caller", "*"))
    lost = [str(each) for each in _take(arguments, "permissions")]
    present = state.settings.denied.get(caller, [])
    state.choose({"denied": {**state.settings.denied, caller: [*present, *lost]}})
    return {}


def allow(state: State, _arguments: dict[str, Any]) -> dict[str, Any]:
    """Grant all permissions to everybody again."""
    state.choose({"denied": {}})
    return {}


def busy(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Start an operation of Google's own on a cluster: {"cluster", "seconds", "type"}."""
    at, cluster = _cluster(state, arguments)
    kind = str(_take(arguments, "type", GOOGLES_OWN[0]))
    seconds = float(_take(arguments, "seconds", state.settings.update_seconds))
    if kind not in GOOGLES_OWN:
        message = f"type {kind}: there are {', '.join(GOOGLES_OWN)}"
        raise ValueError(message)
    running = operations.running(state, at.key)
    if running is not None:
        message = f"{running['name']} is running already"
        raise ValueError(message)
    record = operations.begin(state, kind, at, {"kind": "nothing"}, seconds=seconds)
    cluster["status"] = "RECONCILING"
    return {"operation": record["name"]}


def intervene(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Let Google block the next calls: {"method", "pool", "count", "seconds", "type"}.

    Just before a call whose method ID matches the regular expression (and, if given, for that node
    pool), an operation of Google's own starts, so that the call is refused.
    """
    method = str(_take(arguments, "method"))
    try:
        re.compile(method)
    except re.error as error:
        message = f"method {method!r} is no regular expression: {error}"
        raise ValueError(message) from error
    state.interventions.append(
        {
            "method": method,
            "pool": str(_take(arguments, "pool", "")),
            "count": int(_take(arguments, "count", 1)),
            "seconds": float(_take(arguments, "seconds", state.settings.update_seconds)),
            "type": str(_take(arguments, "type", GOOGLES_OWN[0])),
        }
    )
    return {}


def step_in(state: State, call: Call, at: Target) -> None:
    """Start the operation of Google's own that an intervention requires before this call."""
    for each in state.interventions:
        fits = re.search(each["method"], call.method_id) and each["pool"] in ("", at.pool)
        if not fits or at.key not in state.clusters:
            continue
        if operations.running(state, at.key) is None:
            each["count"] -= 1
            busy(state, {"cluster": at.key, "seconds": each["seconds"], "type": each["type"]})
    state.interventions = [each for each in state.interventions if each["count"] > 0]


def end(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """End an operation now: {"operation", "error": its message, or empty}."""
    name = str(_take(arguments, "operation"))
    error = str(_take(arguments, "error", ""))
    record = state.operations.get(name)
    if record is None or record["end"] is not None:
        running = [n for n, each in state.operations.items() if each["end"] is None]
        message = f"no running operation {name}; there are {', '.join(running) or 'none'}"
        raise ValueError(message)
    record["due"] = state.now
    record["planned_error"] = {"code": 13, "message": error} if error else None
    effects.settle(state)
    return {}


def push(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """Add an image to a repository: {"repository": "projects/…/repositories/r", "image": "a/b"}."""
    repository, image = str(_take(arguments, "repository")), str(_take(arguments, "image"))
    other_apis.push(state, repository, image)
    return {}


def show(state: State, _arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a short overview of the state."""
    return {
        "clusters": {key: record["status"] for key, record in state.clusters.items()},
        "operations": [n for n, each in state.operations.items() if each["end"] is None],
        "compute": sorted(state.compute),
        "repositories": sorted(state.repositories),
        "kubernetes_unread": state.unread,
    }


ACTIONS: dict[str, Action] = {
    "allow": allow,
    "attach": attach,
    "busy": busy,
    "change": change,
    "deny": deny,
    "detach": detach,
    "end": end,
    "intervene": intervene,
    "plant": plant,
    "push": push,
    "set": choose,
    "show": show,
}
