"""Deletes a GKE cluster: waits for its running operations, and until it no longer exists."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options, urls
from ansible.module_utils.docker_ml_api.gke import operations as gke_operations
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

_STOPPING = "STOPPING"


def why_not(cluster: Mapping[str, Any], managed_by: str) -> str:
    """Return why a cluster (the API's JSON) must not be deleted; empty if it may be."""
    called = f"Cluster {cluster['name']} in {cluster['location']}"
    labels = cluster.get("resourceLabels") or {}
    if not cluster_options.is_ours(cluster, managed_by):
        carried = labels.get(cluster_options.OWNER_LABEL)
        found = f"is '{carried}'" if carried else "is not there"
        return (
            f"{called} is not deleted, because this project did not make it (its label "
            f"{cluster_options.OWNER_LABEL} {found}, not {managed_by}): give the cluster of the "
            "inventory another name, or delete this one by hand."
        )
    if labels.get(cluster_options.PROTECTION_LABEL) == "true":
        return (
            f"{called} is protected against deletion: set deletion_protection: false for it, "
            "run --tags clusters, and then this again."
        )
    return ""


class Deletion:
    """The deletion of one cluster. operations: the names of the operations waited for."""

    def __init__(self, session: GoogleSession, location: str, name: str, timeout: float) -> None:
        """Set the session, and the timeout for the whole deletion."""
        self._session = session
        self._where = location, name
        self._url = urls.cluster(session.project, location, name)
        self._deadline = gke_operations.Deadline(session, timeout)
        self._deleted = False
        self.operations: list[str] = []

    def find(self) -> dict[str, Any] | None:
        """Return the cluster, or None if it does not exist."""
        found: dict[str, Any] | None = self._session.find(self._url)
        return found

    def run(self, first: Callable[[float], None] | None = None) -> None:
        """Delete the cluster and wait until it no longer exists; raise GoogleError.

        first: a function that attempts the deletion for at most the given seconds; whatever its
            result, the deletion continues from the actual state.
        """
        while (cluster := self.find()) is not None:
            running = gke_operations.running(self._session, *self._where)
            if running:
                self.operations += [str(one["name"]) for one in running]
                # The result of these operations does not matter; only the actual state does.
                gke_operations.wait_for_all(self._session, *self._where, self._deadline)
            elif self._deleted or cluster.get("status") == _STOPPING:
                self._wait(cluster)
            elif first is not None:
                first(self._deadline.left())
                first = None
            else:
                self._delete()

    def _delete(self) -> None:
        def send() -> dict[str, Any]:
            answer: dict[str, Any] = self._session.request("DELETE", self._url)
            return answer

        try:
            operation = gke_operations.start(self._session, *self._where, send, self._deadline)
        except GoogleError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return
        self.operations.append(str(operation["name"]))
        gke_operations.wait(self._session, self._where[0], operation, self._deadline)
        self._deleted = True

    def _wait(self, cluster: Mapping[str, Any]) -> None:
        """Wait for a cluster that is being deleted although no operation is listed for it."""
        if self._deadline.pause():
            return
        location, name = self._where
        said = " ".join(str(cluster.get("statusMessage") or "").split()).rstrip(".")
        why = f" ({said})" if said else ""
        raise gke_operations.timeout(
            f"Cluster {name} in {location} is still there after {self._deadline.seconds:g} s, "
            f"though {cluster.get('status')}{why}: run the same command again, which goes on "
            "waiting."
        )
