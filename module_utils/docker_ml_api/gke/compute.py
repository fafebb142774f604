"""Lists and deletes the resources that a GKE cluster left behind, with the compute API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import attribution
from ansible.module_utils.docker_ml_api.gke.attribution import KINDS, Found
from ansible.module_utils.docker_ml_api.google.api import COMPUTE
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible.module_utils.docker_ml_api.gke.attribution import Leftover
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

_PAGE = 500
_FIRST_PAUSE = 0.25
_INTERVAL = 2.0
_PATIENCE = 60.0
_NOT_FOUND = 404
_DONE = "DONE"
# The reasons for a resource that is still in use, or is being deleted.
_IN_USE = "resourceInUseByAnotherResource"
_NOT_READY = "resourceNotReady"


class IncompleteError(Exception):
    """The list is incomplete; the message is one sentence."""


def list_resources(session: GoogleSession) -> list[Found]:
    """Return all resources of KINDS in the project, over all zones and regions.

    Sends one request for each kind, and one for each further page. Raises IncompleteError
    if a zone or region did not answer, since its resources are unknown.
    """
    found: list[Found] = []
    for kind in KINDS:
        query: dict[str, Any] = {"maxResults": _PAGE}
        base = f"{COMPUTE}/projects/{session.project}"
        if not kind.aggregated:
            url = f"{base}/global/{kind.collection}"
            items = session.pages(url, "items", query)
            found += [Found(kind, attribution.GLOBAL, one) for one in items]
            continue
        while True:
            answer = session.get(f"{base}/aggregated/{kind.collection}", query)
            for scope, content in (answer.get("items") or {}).items():
                _complete(kind, scope, content)
                found += [Found(kind, scope, one) for one in content.get(kind.collection) or []]
            if not answer.get("nextPageToken"):
                break
            query["pageToken"] = answer["nextPageToken"]
    return found


def _complete(kind: attribution.Kind, scope: str, content: dict[str, Any]) -> None:
    warning = content.get("warning") or {}
    if warning.get("code") in {"UNREACHABLE", "PARTIAL_SUCCESS"}:
        raise IncompleteError(
            f"What a cluster left cannot be told, since Google does not list each {kind.title} in "
            f"{scope} just now ({str(warning.get('message') or warning['code']).rstrip('.')}): "
            "run the same command again."
        )


class Sweep:
    """Deletes leftovers; `deleted` has their paths, `problems` the reasons for the others."""

    def __init__(self, session: GoogleSession, timeout: float) -> None:
        """Set the session, whose clock and sleep are used, and the timeout for the whole sweep."""
        self._session = session
        self._timeout = timeout
        self._end = session.clock() + timeout
        self.deleted: list[str] = []
        self.problems: dict[str, str] = {}

    def run(self, leftovers: Sequence[Leftover]) -> None:
        """Delete the leftovers in the order of KINDS, those of one kind in parallel.

        The deletion of resources that are still in use is retried after the others.
        """
        waiting = [one.found for one in leftovers]
        while True:
            later: list[Found] = []
            for kind in KINDS:
                later += self._together([one for one in waiting if one.kind == kind])
            if not later or self._session.clock() >= self._end:
                return
            waiting = later
            self._session.sleep(_INTERVAL)

    def _together(self, wanted: Iterable[Found]) -> list[Found]:
        """Delete resources; return those that are in use, so that a retry may succeed."""
        operations: list[tuple[Found, dict[str, Any]]] = []
        later: list[Found] = []
        for one in wanted:
            try:
                operations.append((one, self._session.request("DELETE", self._url(one.path))))
            except GoogleError as error:
                if error.status == _NOT_FOUND:
                    self._gone(one)
                else:
                    self._refused(one, error.reason, error.message, later)
        for one, operation in operations:
            self._follow(one, operation, later)
        return later

    def _follow(self, one: Found, operation: dict[str, Any], later: list[Found]) -> None:
        where = f"{one.scope}/operations/{operation['name']}"
        begin, pause = self._session.clock(), _FIRST_PAUSE
        # An operation that never ends must not use up the time of the others.
        limit = min(_PATIENCE, self._timeout)
        while operation.get("status") != _DONE:
            waited = self._session.clock() - begin
            if waited >= limit:
                self.problems[one.path] = (
                    f"its deletion is {operation.get('status')} after {waited:g} s"
                )
                return
            self._session.sleep(min(pause, limit - waited))
            pause = min(2 * pause, _INTERVAL)
            operation = self._session.get(self._url(where))
        errors = (operation.get("error") or {}).get("errors") or []
        if not errors:
            self._gone(one)
            return
        first = errors[0]
        self._refused(one, str(first.get("code")), str(first.get("message")), later)

    def _gone(self, one: Found) -> None:
        self.deleted.append(one.path)
        self.problems.pop(one.path, None)

    def _refused(self, one: Found, reason: str, message: str, later: list[Found]) -> None:
        self.problems[one.path] = message.rstrip(".")
        in_use = {_IN_USE, _NOT_READY, "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "RESOURCE_NOT_READY"}
        if reason in in_use or "being used by" in message:
            later.append(one)

    def _url(self, path: str) -> str:
        return f"{COMPUTE}/projects/{self._session.project}/{path}"
