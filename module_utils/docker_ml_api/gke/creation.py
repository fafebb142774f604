"""Creates a GKE cluster or node pool exactly once, even if the answer of the request is lost."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import live, operations, urls
from ansible.module_utils.docker_ml_api.google import errors
from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

_MISSING = "NOT_FOUND"


class Creation:
    """The creation of one cluster, or of one pool of a cluster of ours."""

    def __init__(
        self, session: GoogleSession, location: str, name: str, managed_by: str, pool: str = ""
    ) -> None:
        """Set the cluster and the pool."""
        self.session = session
        self.location = location
        self.name = name
        self.managed_by = managed_by
        self.pool = pool
        self.title = f"Node pool {pool} of cluster {name}" if pool else f"Cluster {name}"

    def find(self) -> dict[str, Any] | None:
        """Return the cluster or pool, None if it does not exist.

        Raises GoogleError if the cluster is not ours, or missing although a pool is to be created.
        """
        cluster: dict[str, Any] | None = live.find(
            self.session, self.location, self.name, self.managed_by
        )
        if not self.pool:
            return cluster
        if cluster is None:
            raise GoogleError(
                0, _MISSING, self.name, f"There is no cluster {self.name} in {self.location} yet."
            )
        pools = cluster.get("nodePools") or []
        return next((one for one in pools if one["name"] == self.pool), None)

    def create(
        self,
        body: Mapping[str, Any],
        timeout: float,
        first: Callable[[float], None] | None = None,
    ) -> dict[str, Any]:
        """Create it if it does not exist, wait until it is complete, and return its state.

        first: a function that attempts the creation for at most the given seconds; if it does not
            even start it, the request is sent to the API.

        Returns `created`, whether it did not exist before, and `status`. Raises GoogleError.
        """
        deadline = operations.Deadline(self.session, timeout)
        there = self.find()
        begun = there is not None
        if not begun and first is not None:
            first(deadline.left())
            begun = self.find() is not None
        operation = None if begun else self._start(body, deadline)
        try:
            self._wait(operation, deadline)
        except GoogleError as error:
            raise GoogleError(
                error.status, error.reason, error.message, f"{self.title}: {error}"
            ) from error
        made = self.find()
        status = str((made or {}).get("status") or "missing")
        if made is None or status == "ERROR":
            said = str((made or {}).get("statusMessage") or "nothing of it").rstrip(".")
            advice = errors.quota_advice(said, self.session.project) or "fix that"
            raise GoogleError(
                0,
                "CREATION_FAILED",
                said,
                f"{self.title} could not be created, it is {status}; Google said: {said}. "
                f"{advice[0].upper()}{advice[1:]}, and run the same command again; what is broken "
                "is made anew.",
            )
        return {"created": there is None, "status": status}

    def _start(self, body: Mapping[str, Any], deadline: Any) -> dict[str, Any] | None:
        """Send the request; return None if it had been processed although its answer was lost."""
        place = urls.clusters(self.session.project, self.location)
        if self.pool:
            place = urls.pools(self.session.project, self.location, self.name)
        content = {"nodePool" if self.pool else "cluster": body}

        def send() -> dict[str, Any]:
            answer: dict[str, Any] = self.session.request("POST", place, content)
            return answer

        while True:
            try:
                started: dict[str, Any] = operations.start(
                    self.session, self.location, self.name, send, deadline
                )
            except LostAnswerError:
                # A name is unique, so a repeated request could not create a second one; but it
                # would be rejected, and the running creation has to be waited for.
                if self.find() is not None:
                    return None
                if not deadline.pause():
                    raise
            except GoogleError as error:
                if error.status == HTTPStatus.CONFLICT and self.find() is not None:
                    return None
                raise
            else:
                return started

    def _wait(self, operation: dict[str, Any] | None, deadline: Any) -> None:
        if operation is not None:
            operations.wait(self.session, self.location, operation, deadline)
            return
        for one in operations.running(self.session, self.location, self.name):
            operations.wait(self.session, self.location, one, deadline)
