"""Deletes a GKE cluster: waits for what is going on with it, and until it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import gke_input, gke_urls
from ansible.module_utils.docker_ml_api.google_errors import GoogleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.docker_ml_api.google_api import GoogleSession

_FIRST = 0.5
_LONGEST = 5.0
_BAD_REQUEST = 400
_NOT_FOUND = 404
_CONFLICT = 409
_PRECONDITION = 412
_DONE = "DONE"
_DELETE = "DELETE_CLUSTER"
_STOPPING = "STOPPING"


class DeletionError(Exception):
    """The cluster is not deleted: one sentence."""


def why_not(cluster: Mapping[str, Any], managed_by: str) -> str:
    """Return why a cluster (the API's JSON) must not be deleted; empty if it may be."""
    called = f"Cluster {cluster['name']} in {cluster['location']}"
    labels = cluster.get("resourceLabels") or {}
    if not gke_input.is_ours(cluster, managed_by):
        carried = labels.get(gke_input.OWNER_LABEL)
        found = f"its label {gke_input.OWNER_LABEL} is '{carried}'" if carried else "it lacks that"
        return (
            f"{called} is not deleted, because this project did not make it (without the label "
            f"{gke_input.OWNER_LABEL}={managed_by}; {found}): give the cluster of the inventory "
            "another name, or delete this one by hand."
        )
    if labels.get(gke_input.PROTECTION_LABEL) == "true":
        return (
            f"{called} is protected against deletion: set deletion_protection: false for it, "
            "run --tags clusters, and then this again."
        )
    return ""


def belongs(operation: Mapping[str, Any], name: str) -> bool:
    """Return whether an operation is one on the cluster, or on a node pool of it."""
    after = str(operation.get("targetLink") or "").partition("/clusters/")[2]
    return after.partition("/")[0] == name


def words_of(operation: Mapping[str, Any]) -> str:
    """Return what an operation says of its failure; empty if it did not fail."""
    error = operation.get("error") or {}
    said = error.get("message") or (operation.get("statusMessage") if error else "")
    return " ".join(str(said or "").split()).rstrip(".")


class Deletion:
    """One cluster's end. operations: the names of those waited for; sent: whether it was asked."""

    def __init__(self, session: GoogleSession, location: str, name: str, timeout: float) -> None:
        """Take the session, whose clock and sleep are used."""
        self._session = session
        self._location = location
        self._name = name
        self._timeout = timeout
        self._end = session.clock() + timeout
        self._pause = _FIRST
        self._seen = ""
        self.operations: list[str] = []
        self.sent = False

    def find(self) -> dict[str, Any] | None:
        """Return the cluster, or None if there is none."""
        url = gke_urls.cluster(self._session.project, self._location, self._name)
        found: dict[str, Any] | None = self._session.find(url)
        return found

    def run(self) -> None:
        """Delete it and wait until it is gone. Raises DeletionError, GoogleError."""
        while (cluster := self.find()) is not None:
            operation = self._running()
            if operation is None and cluster.get("status") != _STOPPING:
                operation = self._send()
            if operation is not None:
                self._follow(operation)
            else:
                said = str(cluster.get("statusMessage") or "").rstrip(".")
                self._seen = f"its status is {cluster.get('status')}" + (f": {said}" * bool(said))
                self._wait()

    def _running(self) -> dict[str, Any] | None:
        url = gke_urls.operations(self._session.project, self._location)
        for one in self._session.get(url).get("operations") or []:
            if belongs(one, self._name) and one.get("status") != _DONE:
                return dict(one)
        return None

    def _send(self) -> dict[str, Any] | None:
        url = gke_urls.cluster(self._session.project, self._location, self._name)
        try:
            operation: dict[str, Any] = self._session.request("DELETE", url)
        except GoogleError as error:
            if error.status == _NOT_FOUND:
                return None
            # Another operation began meanwhile, perhaps this very deletion, its answer lost.
            if error.status in {_CONFLICT, _PRECONDITION} or (
                error.status == _BAD_REQUEST and "operation" in error.message
            ):
                self._seen = error.message.rstrip(".")
                self._wait()
                return None
            raise
        self.sent = True
        return operation

    def _follow(self, operation: Mapping[str, Any]) -> None:
        """Wait until an operation is over; one that deletes has to succeed."""
        name = str(operation["name"])
        self.operations.append(name)
        self._pause = _FIRST
        url = f"{gke_urls.operations(self._session.project, self._location)}/{name}"
        while operation.get("status") != _DONE:
            self._seen = (
                f"its operation {operation.get('operationType')} ({name}) is "
                f"{operation.get('status')} since {operation.get('startTime')}"
            )
            self._wait()
            operation = self._session.get(url)
        failure = words_of(operation)
        if failure and operation.get("operationType") == _DELETE:
            raise DeletionError(
                f"Google could not delete cluster {self._name} in {self._location} ({failure}): "
                "mend that, and run the same command again."
            )

    def _wait(self) -> None:
        left = self._end - self._session.clock()
        if left <= 0:
            raise DeletionError(
                f"Cluster {self._name} in {self._location} is still there after "
                f"{self._timeout:g} s; seen last: {self._seen}. Run the same command again, "
                "which goes on waiting, or look with 'gcloud container operations list'."
            )
        self._session.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, _LONGEST)
