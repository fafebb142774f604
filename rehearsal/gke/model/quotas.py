"""Regional quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rehearsal.gke.call import OperationFault
from rehearsal.gke.model import catalog, refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rehearsal.gke.model.state import State

SSD = ("pd-balanced", "pd-ssd")
RESOURCE_EXHAUSTED = 8


def needed(pool: dict[str, Any]) -> dict[str, float]:
    """Return the quota usage of a node pool, by metric."""
    live = pool["live"]
    config = live["config"]
    nodes = live.get("initialNodeCount", 0) * len(live["locations"])
    disks = nodes * int(config["diskSizeGb"])
    private = live["networkConfig"].get("enablePrivateNodes", False)
    return {
        "CPUS": nodes * catalog.MACHINE_TYPES[config["machineType"]].cpus,
        "INSTANCES": nodes,
        "IN_USE_ADDRESSES": 0 if private else nodes,
        "SSD_TOTAL_GB": disks if config["diskType"] in SSD else 0,
        "DISKS_TOTAL_GB": disks if config["diskType"] == "pd-standard" else 0,
    }


def used(state: State, region: str, *, but: str = "") -> dict[str, float]:
    """Return the usage by the region's clusters except the one with the UID `but`, by metric."""
    total: dict[str, float] = {}
    for cluster in state.clusters.values():
        live = cluster["live"]
        if catalog.region_of(live["location"]) != region or cluster["uid"] == but:
            continue
        for pool in cluster["pools"].values():
            if pool["status"] != "ERROR":
                add(total, needed(pool))
    external = sum(
        1
        for resource in state.compute.values()
        if resource["collection"] in ("forwardingRules", "addresses")
        and resource["scope"] == f"regions/{region}"
        and resource["body"].get("loadBalancingScheme", "EXTERNAL") == "EXTERNAL"
    )
    add(total, {"IN_USE_ADDRESSES": external})
    return total


def add(total: dict[str, float], more: dict[str, float]) -> None:
    """Add `more` to `total`, metric by metric."""
    for metric, amount in more.items():
        total[metric] = total.get(metric, 0) + amount


def shortage(
    state: State, cluster: dict[str, Any], pools: Iterable[dict[str, Any]]
) -> OperationFault | None:
    """Raise Refused for pools that exceed the quota, or return the fault of their operation.

    Only additional usage is checked, so that a cluster beyond a lowered quota can shrink.
    """
    limits = state.settings.quotas
    if not limits:
        return None
    live = cluster["live"]
    region = catalog.region_of(live["location"])
    others = used(state, region, but=cluster["uid"])
    present: dict[str, float] = {}
    if state.clusters.get(f"{live['location']}/{live['name']}", {}).get("uid") == cluster["uid"]:
        for pool in cluster["pools"].values():
            add(present, needed(pool))
    wanted: dict[str, float] = {}
    for pool in pools:
        add(wanted, needed(pool))
    for metric, limit in limits.items():
        more = wanted.get(metric, 0) - present.get(metric, 0)
        free = max(limit - others.get(metric, 0) - present.get(metric, 0), 0)
        if more <= free:
            continue
        if state.settings.quota_shows == "request":
            raise refusals.quota(metric, more, limit, free, state.settings.project)
        return OperationFault(
            "Google Compute Engine: Not all instances running in IGM after 33.401238551s. "
            f"Expected {int(wanted['INSTANCES'])}, running 0, transitioning "
            f"{int(wanted['INSTANCES'])}. Current errors: [GCE_QUOTA_EXCEEDED]: Instance "
            f"'gke-{live['name']}' creation failed: Quota '{metric}' exceeded.  Limit: "
            f"{float(limit)} in region {region}.",
            RESOURCE_EXHAUSTED,
        )
    return None
