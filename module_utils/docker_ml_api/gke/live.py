"""Reads the live state of a GKE cluster, as the API's JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options, urls
from ansible.module_utils.docker_ml_api.google import api
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

FOREIGN = "FOREIGN"
_GROUP = re.compile(r"/(projects/[^/]+/zones/[^/]+/instanceGroupManagers/[^/]+)$")
# Temporary states of a cluster or pool.
PASSING = ("PROVISIONING", "RECONCILING", "STOPPING", "STATUS_UNSPECIFIED")


def find(
    session: GoogleSession, location: str, name: str, managed_by: str
) -> dict[str, Any] | None:
    """Return the cluster with its pools, or None; raise GoogleError if it is not ours."""
    url = urls.cluster(session.project, location, name)
    cluster: dict[str, Any] | None = session.find(url)
    if cluster is not None and not cluster_options.is_ours(cluster, managed_by):
        label = f"{cluster_options.OWNER_LABEL}: {managed_by}"
        raise GoogleError(
            0,
            FOREIGN,
            name,
            f"There already is a cluster {name} in {location} that is not ours (it lacks the "
            f"label {label}): choose another name or location. If it is yours after all, give it "
            f"the label (gcloud container clusters update {name} --location {location} --project "
            f"{session.project} --update-labels {cluster_options.OWNER_LABEL}={managed_by}).",
        )
    return cluster


def is_passing(cluster: Mapping[str, Any]) -> bool:
    """Return whether the cluster or one of its pools is in a temporary state."""
    things = (cluster, *(cluster.get("nodePools") or []))
    return any(one.get("status") in PASSING for one in things)


def sizes(session: GoogleSession, cluster: Mapping[str, Any]) -> dict[str, int]:
    """Return the target number of nodes per zone of each fixed pool, from its instance groups.

    A pool's own number does not reflect changes that bypass GKE. If the zones differ, the number
    that differs most from the pool's is returned. Pools whose groups the user may not read are
    omitted.
    """
    found = {}
    for pool in cluster.get("nodePools") or []:
        if (pool.get("autoscaling") or {}).get("enabled") or pool.get("status") != "RUNNING":
            continue
        own = pool.get("initialNodeCount", 0)
        counts = [_count(session, url) for url in pool.get("instanceGroupUrls") or []]
        known = [count for count in counts if count is not None]
        if known:
            found[pool["name"]] = max(known, key=lambda count: abs(count - own))
    return found


def _count(session: GoogleSession, url: str) -> int | None:
    group = _GROUP.search(url)
    if not group:
        return None
    try:
        answer = session.find(f"{api.COMPUTE}/{group.group(1)}")
    except GoogleError:
        return None
    return None if answer is None else answer.get("targetSize")
