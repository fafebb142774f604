"""GKE's operations, which run one at a time per cluster: waiting, and their errors."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.gke import urls
from ansible.module_utils.docker_ml_api.google import errors
from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

    Operation = Mapping[str, Any]

_BUSY = re.compile(
    r"incompatible operation|ALREADY_HAS_OPERATION|is currently \w+ing |once it is done"
    r"|operation \S+ is (?:already )?(?:in progress|running)",
    re.IGNORECASE,
)
# google.rpc.Code
_RESOURCE_EXHAUSTED = 8
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


class Deadline:
    """A timeout: a number of seconds from now, by the session's clock."""

    def __init__(self, session: GoogleSession, seconds: float) -> None:
        """Start the timeout."""
        self.seconds = seconds
        self._session = session
        self._end: float = session.clock() + seconds
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Return the remaining seconds, at least 0."""
        left: float = self._end - self._session.clock()
        return max(0.0, left)

    def pause(self) -> bool:
        """Sleep for a short time that increases with each call; return False on timeout."""
        left = self.left()
        if left <= 0:
            return False
        self._session.sleep(min(self._pause, left))
        self._pause = min(1.5 * self._pause, _LONGEST_PAUSE)
        return True

    def restart(self) -> None:
        """Reset the pause, when waiting for something else."""
        self._pause = _FIRST_PAUSE


def is_busy(error: GoogleError) -> bool:
    """Return whether an error means that another operation is running on the cluster."""
    refused = error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, 412}
    return refused and bool(_BUSY.search(f"{error.message} {error.reason}"))


def of_cluster(operation: Operation, name: str) -> bool:
    """Return whether an operation (of the cluster's location) is on the cluster or its pools."""
    return re.search(rf"/clusters/{re.escape(name)}(?:/|$)", _target(operation)) is not None


def _target(operation: Operation) -> str:
    return str(operation.get("targetLink") or "")


def known(session: GoogleSession, location: str, name: str) -> list[dict[str, Any]]:
    """Return the operations on a cluster that Google still lists, the oldest first."""
    answer = session.get(urls.operations(session.project, location))
    found = [one for one in answer.get("operations") or [] if of_cluster(one, name)]
    return sorted(found, key=lambda one: str(one.get("startTime", "")))


def running(session: GoogleSession, location: str, name: str) -> list[dict[str, Any]]:
    """Return the operations that are running on a cluster."""
    return [one for one in known(session, location, name) if one.get("status") != "DONE"]


def failure(operation: Operation, project: str) -> GoogleError | None:
    """Return the error of a failed operation; None if it is running or succeeded."""
    error = operation.get("error") or {}
    message = str(error.get("message") or operation.get("statusMessage") or "")
    if operation.get("status") != "DONE" or not message:
        return None
    exhausted = " RESOURCE_EXHAUSTED" if error.get("code") == _RESOURCE_EXHAUSTED else ""
    advice = errors.quota_advice(message + exhausted, project)
    fixes = f"Then: {advice}." if advice else "Fix that and run the same command again."
    return GoogleError(
        0,
        "OPERATION_FAILED",
        message,
        f"The operation {described(operation)} ended in an error; Google said: "
        f"{message.rstrip('.')}. {fixes}",
    )


def described(operation: Operation) -> str:
    """Return the name of an operation for messages."""
    target = re.sub(r"^.*/clusters/", "", _target(operation)).replace("/nodePools/", ", node pool ")
    return f"{operation.get('operationType')} of cluster {target} ({operation.get('name')})"


def wait(
    session: GoogleSession, location: str, operation: Operation, deadline: Deadline
) -> dict[str, Any]:
    """Wait until an operation has succeeded, and return its last state.

    Raises GoogleError with the operation's own error, or on timeout.
    """
    seen = dict(operation)
    url = f"{urls.operations(session.project, location)}/{seen['name']}"
    deadline.restart()
    while seen.get("status") != "DONE":
        progress.say(f"{described(seen)}: {seen.get('status')}{_progress(seen)}")
        if not deadline.pause():
            raise timeout(
                f"The operation {described(seen)} has not ended within {deadline.seconds:g} "
                f"seconds: it was last seen {seen.get('status')}"
                f"{_progress(seen)}. See gcloud container operations describe {seen['name']} "
                f"--location {location} --project {session.project}; run the same command again "
                "to go on waiting, if need be with more time (gke_cluster_timeout)."
            )
        seen = session.get(url)
    error = failure(seen, session.project)
    if error:
        raise error
    return seen


def timeout(sentence: str) -> GoogleError:
    """Return the error for a timeout."""
    return GoogleError(0, errors.TIMEOUT, sentence)


def _progress(operation: Operation) -> str:
    detail = operation.get("detail")
    return f" ({detail})" if detail else ""


def wait_for_all(session: GoogleSession, location: str, name: str, deadline: Deadline) -> None:
    """Wait until no operation is running on the cluster, whatever their results."""
    for operation in running(session, location, name):
        try:
            wait(session, location, operation, deadline)
        except GoogleError as error:
            if error.reason == errors.TIMEOUT or error.status:
                raise


def start(
    session: GoogleSession,
    location: str,
    name: str,
    send: Callable[[], dict[str, Any]],
    deadline: Deadline,
) -> dict[str, Any]:
    """Send a request that starts an operation as soon as no other one is running on the cluster.

    Raises the errors of `send`, including LostAnswerError, or GoogleError on timeout.
    """
    while True:
        try:
            return send()
        except LostAnswerError:
            raise
        except GoogleError as error:
            if not is_busy(error):
                raise
            wait_for_all(session, location, name, deadline)
            # Google may reject requests slightly longer than it lists the operation.
            if not deadline.pause():
                raise timeout(
                    f"Cluster {name} has been busy for {deadline.seconds:g} seconds; Google said "
                    f"last: {error.message.rstrip('.')}. Run the same command again later."
                ) from error
