"""The effects of operations when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import node_pools, records

if TYPE_CHECKING:
    from rehearsal.gke.model.state import State


def settle(state: State) -> None:
    """End all operations that are due; a cluster has only one at a time."""
    for record in state.operations.values():
        due = record["due"]
        if record["end"] is None and due is not None and due <= state.now:
            finish(state, record)
    for record in state.operations.values():
        if record["end"] is None and record["effect"].get("blue_green"):
            cluster = state.clusters[record["cluster"]]
            node_pools.advance(state, _pool(cluster, record), record)


def finish(state: State, record: dict[str, Any]) -> None:
    """End one operation: apply its effect or record its error."""
    record["end"] = record["due"]
    record["error"] = record["planned_error"]
    # While it ran, nothing else could remove the cluster or the pool.
    EFFECTS[record["effect"]["kind"]](state, state.clusters[record["cluster"]], record)


def _pool(cluster: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = cluster["pools"][record["rest"].partition("/nodePools/")[2]]
    return found


def _create_cluster(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    error = record["error"]
    cluster["status"] = "ERROR" if error else "RUNNING"
    cluster["message"] = error["message"] if error else ""
    cluster["ready"] = error is None
    for pool in cluster["pools"].values():
        pool["status"] = cluster["status"]
        pool["message"] = cluster["message"]
    records.touch(state, cluster)


def _delete_cluster(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    if record["error"] is None:
        del state.clusters[record["cluster"]]
        return
    cluster["status"] = "ERROR"
    cluster["message"] = record["error"]["message"]
    for pool in cluster["pools"].values():
        pool["status"] = "ERROR"


def _change_cluster(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    """Effect: {"changes": members of live, "pools": {name: members of live}}."""
    cluster["status"] = "RUNNING"
    effect = record["effect"]
    for name in effect.get("pools", {}):
        cluster["pools"][name]["status"] = "RUNNING"
    if record["error"] is not None:
        return
    cluster["live"].update(effect.get("changes", {}))
    for name, changes in effect.get("pools", {}).items():
        pool = cluster["pools"][name]
        pool["live"].update(changes)
        node_pools.name_groups(state, cluster, pool)
        node_pools.touch(state, cluster, pool)
    records.touch(state, cluster)


def _create_pool(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    cluster["status"] = "RUNNING"
    pool = _pool(cluster, record)
    error = record["error"]
    pool["status"] = "ERROR" if error else "RUNNING"
    pool["message"] = error["message"] if error else ""
    node_pools.touch(state, cluster, pool)


def _delete_pool(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    cluster["status"] = "RUNNING"
    pool = _pool(cluster, record)
    if record["error"] is None:
        del cluster["pools"][pool["live"]["name"]]
        records.touch(state, cluster)
    else:
        pool.update(status="ERROR", message=record["error"]["message"])


def _change_pool(state: State, cluster: dict[str, Any], record: dict[str, Any]) -> None:
    """Effect: {"changes": members of live, "blue_green": whether the nodes are replaced}."""
    cluster["status"] = "RUNNING"
    pool = _pool(cluster, record)
    pool["upgrade"] = None
    effect = record["effect"]
    before = {name: pool["live"].get(name) for name in effect["changes"]}
    if record["error"] is not None:
        pool.update(status="RUNNING_WITH_ERROR", message=record["error"]["message"], before=before)
        return
    pool.update(status="RUNNING", message="", before=before)
    pool["live"].update(effect["changes"])
    node_pools.name_groups(state, cluster, pool, again=effect.get("blue_green", False))
    node_pools.touch(state, cluster, pool)


def _nothing(_state: State, cluster: dict[str, Any], _record: dict[str, Any]) -> None:
    cluster["status"] = "RUNNING"


EFFECTS = {
    "create-cluster": _create_cluster,
    "delete-cluster": _delete_cluster,
    "change-cluster": _change_cluster,
    "create-pool": _create_pool,
    "delete-pool": _delete_pool,
    "change-pool": _change_pool,
    "nothing": _nothing,
}
