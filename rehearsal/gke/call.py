"""The interface between the server and the model of Google's side.

The server resolves, validates and authenticates a request and passes it on as a `Call`. The model
(`rehearsal.gke.model.World`) decides and returns an `Answer`. Neither depends on the other's
internals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The canonical status name that Google returns with each HTTP status."""


class Clock(Protocol):
    """The rehearsal's time: real, advanced, or controlled by a test."""

    def now(self) -> float:
        """Return the seconds since the epoch."""


@dataclass(frozen=True)
class OperationFault:
    """The outcome of the operation that a call starts, instead of success."""

    message: str | None = None
    """The operation ends DONE with an error with this message; None: it never ends."""
    code: int = 13
    """google.rpc.Code of the error: 8 RESOURCE_EXHAUSTED (quota), 13 INTERNAL, 14 UNAVAILABLE."""


@dataclass(frozen=True)
class Call:
    """A request that was resolved, validated against the discovery document and authenticated."""

    api: str
    """The API's name in its discovery document: "container", "compute", …"""
    method_id: str
    """"container.projects.locations.clusters.create"."""
    params: Mapping[str, Any]
    """Path and query parameters by the document's names ({"parent": "projects/p/locations/l"}).
    Integers and booleans are converted, repeated parameters are lists, absent ones are omitted."""
    body: Mapping[str, Any] | None
    """The request's JSON without null fields; None if the method takes no body."""
    caller: str
    """E-mail address of the caller's service account."""
    path: Mapping[str, str] = field(default_factory=dict)
    """The path's segments by the flat path's names: {"projectsId": "p", "clustersId": "c"}."""
    operation: OperationFault | None = None
    """The fault of the operation that this call starts, if any."""
    version: str = "v1"
    """The API's version: cloudresourcemanager has v1 and v3, with the same method IDs."""
    url: str = ""
    """The full URL as sent by the client, including the query, for selfLinks of the same form."""


@dataclass(frozen=True)
class Answer:
    """The response to the client."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A fault that affects matching requests, instead of, before or after their handling."""

    kind: str
    """One of `KINDS`."""
    api: str = ""
    """The API's name ("token" is the token endpoint); empty: every API."""
    method: str = ""
    """Regular expression, searched in the method ID; empty: every method."""
    count: int | None = 1
    """The number of requests that it affects; None: all, until the faults are cleared."""
    after: int = 0
    """The number of matching requests that pass unaffected before it."""
    lasting: float | None = None
    """Seconds after the first affected request when the fault ends, regardless of `count`."""
    retry_after: int | None = None
    """Seconds of the header Retry-After (kinds rate-limit, unavailable)."""
    seconds: float = 0.0
    """Seconds by which the response is delayed (kind slow)."""
    message: str = ""
    """The message instead of Google's usual one; for operation-error, the error's text."""
    code: int = 13
    """google.rpc.Code of an operation-error."""

    KINDS = (
        "rate-limit",  # 429 RESOURCE_EXHAUSTED
        "unavailable",  # 503
        "internal",  # 500
        "slow",
        "drop-before",  # connection closed before the request is processed
        "drop-after",  # connection closed after the request was processed
        "token-expired",  # 401, and the access token is revoked
        "permission-denied",  # 403
        "operation-error",  # DONE with an error
        "operation-never-ends",
    )


class NotModelled(Exception):  # noqa: N818 - it is no error of the double, but its limit
    """The world has no handler for a method: the client gets a 501."""


class World(Protocol):
    """The model of Google's side. It gets one call at a time: the server holds a lock."""

    def call(self, call: Call) -> Answer:
        """Return the answer to a call; an error of Google is an Answer, too (`refusal`).

        :raises NotModelled: no handler for the method ID.
        """

    def dump(self) -> dict[str, Any]:
        """Return the whole state as JSON."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `dump` returned."""

    def control(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Perform an action of the rehearsal's director (add a compute resource, set a quota …).

        :raises ValueError: unknown action or arguments; the message lists the known ones.
        """


def refusal(
    status: int,
    message: str,
    *,
    reason: str = "",
    name: str = "",
    details: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an error in Google's format: {"error": {code, message, errors, status, details}}.

    `reason` is the legacy error reason ("notFound", "rateLimitExceeded"), `name` the canonical
    status if it is not the HTTP status' usual one (400 FAILED_PRECONDITION, 403 …).
    """
    canonical = name or STATUS_NAMES[status]
    error: dict[str, Any] = {"code": status, "message": message, "status": canonical}
    if reason:
        error["errors"] = [{"message": message, "domain": "global", "reason": reason}]
    if details:
        error["details"] = details
    return Answer(status, {"error": error}, headers or {})
