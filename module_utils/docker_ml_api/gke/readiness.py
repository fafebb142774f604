"""Waits until a GKE cluster has the requested state, independent of google.cloud's results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.gke import cluster_options, operations, urls
from ansible.module_utils.docker_ml_api.gke import live as gke_live
from ansible.module_utils.docker_ml_api.google import errors
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

NOT_READY = "NOT_READY"
# Google upgrades and repairs nodes at any time; the cluster remains available.
_GOOGLES_OWN = ("AUTO_UPGRADE_NODES", "AUTO_REPAIR_NODES")
_GOOD = ("RUNNING", "RECONCILING")
_BAD = ("ERROR", "DEGRADED", "RUNNING_WITH_ERROR")
# A degraded cluster has problems with nodes or add-ons, but has an API server.
_SERVING = (*_GOOD, "DEGRADED")


class Readiness:
    """Waits for one cluster."""

    def __init__(
        self,
        session: GoogleSession,
        wanted: Mapping[str, Any],
        managed_by: str,
        pools: Sequence[str],
    ) -> None:
        """Set the wanted cluster, and the names of the pools that must exist."""
        self.session = session
        self.location: str = wanted["location"]
        self.name: str = wanted["name"]
        self.managed_by = managed_by
        self.pools = pools
        kept = {one["name"] for one in wanted["node_pools"]}
        # Autopilot's own pools have this name, too.
        self.superfluous = not cluster_options.is_autopilot(wanted) and (
            cluster_options.DEFAULT_POOL not in kept
        )
        # Whether the default pool had to be deleted.
        self.deleted = False

    def find(self) -> dict[str, Any] | None:
        """Return the live cluster, None if it does not exist."""
        live: dict[str, Any] | None = gke_live.find(
            self.session, self.location, self.name, self.managed_by
        )
        return live

    def wait(self, timeout: float) -> dict[str, Any]:
        """Return the live cluster as soon as it is ready, after deleting the default pool.

        Raises GoogleError with Google's message on what is broken, or with the last state.
        """
        deadline = operations.Deadline(self.session, timeout)
        refused: GoogleError | None = None
        while True:
            live = self.find()
            if live is None:
                raise self._error(f"There is no cluster {self.name} in {self.location}")
            missing = self.missing(live)
            if not missing:
                return live
            progress.say(*missing)
            under_way = self._under_way()
            if not under_way:
                self._refuse_broken(live)
            if not under_way and self._has_default_pool(live):
                self.deleted = True
                refused = self._delete_default_pool(deadline) or refused
            for operation in under_way:
                self._wait_for(operation, deadline)
            if not deadline.pause():
                last = f"; Google refused last: {refused.message.rstrip('.')}" if refused else ""
                raise operations.timeout(
                    f"Cluster {self.name} in {self.location} is not ready after "
                    f"{deadline.seconds:g} seconds: {', '.join(missing)}{last}. Run the same "
                    "command again to go on waiting (gcloud container operations list shows "
                    "what goes on)."
                )

    def missing(self, live: Mapping[str, Any]) -> list[str]:
        """Return what is not ready yet, as texts; empty if the cluster is ready."""
        found = []
        status = live.get("status")
        if status not in _GOOD:
            found.append(f"its status is {status}")
        if not live.get("endpoint") or not (live.get("masterAuth") or {}).get(
            "clusterCaCertificate"
        ):
            found.append("it has no endpoint")
        there = {one["name"]: one.get("status") for one in live.get("nodePools") or []}
        found += [
            f"node pool {name} is {there.get(name) or 'missing'}"
            for name in self.pools
            if there.get(name) not in _GOOD
        ]
        if self._has_default_pool(live):
            found.append(f"{cluster_options.DEFAULT_POOL} is still there")
        if not found and gke_live.is_passing(live):
            found += [_going_on(one) for one in self._under_way()]
        return found

    def _has_default_pool(self, live: Mapping[str, Any]) -> bool:
        names = {one["name"] for one in live.get("nodePools") or []}
        return self.superfluous and cluster_options.DEFAULT_POOL in names

    def _under_way(self) -> list[dict[str, Any]]:
        return [
            one
            for one in operations.running(self.session, self.location, self.name)
            if one.get("operationType") not in _GOOGLES_OWN
        ]

    def _wait_for(self, operation: dict[str, Any], deadline: operations.Deadline) -> None:
        try:
            operations.wait(self.session, self.location, operation, deadline)
        except GoogleError as error:
            # The resulting state is checked; the deletion of the default pool is retried.
            if error.reason != "OPERATION_FAILED":
                raise

    def _delete_default_pool(self, deadline: operations.Deadline) -> GoogleError | None:
        """Delete the default pool; return Google's error, which may be temporary."""
        url = urls.pool(
            self.session.project, self.location, self.name, cluster_options.DEFAULT_POOL
        )
        try:
            operation = self.session.request("DELETE", url)
            operations.wait(self.session, self.location, operation, deadline)
        except GoogleError as error:
            # Errors of permissions and credentials are permanent.
            if error.status in {401, 403}:
                raise
            return None if error.reason == errors.TIMEOUT else error
        return None

    def _refuse_broken(self, live: Mapping[str, Any]) -> None:
        """Raise GoogleError for a permanent problem, with the message of the failed operation."""
        things = {f"Cluster {self.name}": live}
        for pool in live.get("nodePools") or []:
            if pool["name"] in self.pools:
                things[f"Node pool {pool['name']} of cluster {self.name}"] = pool
        absent = [name for name in self.pools if not _named(live, name)]
        for title, thing in things.items():
            if thing.get("status") in _BAD:
                raise self._error(f"{title} is {thing['status']}{self._why(live, thing)}")
        for name in absent:
            gone = {"name": name, "status": "missing"}
            raise self._error(f"Cluster {self.name} has no node pool {name}{self._why(live, gone)}")

    def _why(self, live: Mapping[str, Any], thing: Mapping[str, Any]) -> str:
        said = str(thing.get("statusMessage") or "")
        conditions = thing.get("conditions") or []
        said = said or "; ".join(str(one.get("message")) for one in conditions if one)
        if not said:
            ending = "" if thing is live else f"/nodePools/{thing['name']}"
            for operation in reversed(operations.known(self.session, self.location, self.name)):
                target = str(operation.get("targetLink") or "")
                error = operations.failure(operation, self.session.project)
                if error and target.endswith(f"/clusters/{self.name}{ending}"):
                    said = error.message
                    break
        return f"; Google said: {said.rstrip('.')}" if said else ""

    def _error(self, said: str) -> GoogleError:
        return GoogleError(
            0,
            NOT_READY,
            said,
            f"{said}. Fix that and run the same command again; what could not be created is "
            "made anew.",
        )


def serves(live: Mapping[str, Any]) -> bool:
    """Return whether a live cluster has an API server, whatever its other problems."""
    authority = (live.get("masterAuth") or {}).get("clusterCaCertificate")
    return live.get("status") in _SERVING and bool(live.get("endpoint") and authority)


def _named(live: Mapping[str, Any], name: str) -> bool:
    return any(one["name"] == name for one in live.get("nodePools") or [])


def _going_on(operation: Mapping[str, Any]) -> str:
    return f"{operations.described(operation)} is {operation.get('status')}"
