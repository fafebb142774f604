"""What the server and the model of Google's side say to each other.

The server resolves, checks and authenticates a request and hands it on as a `Call`; the model
(`rehearsal.gke.model.World`) decides, and gives an `Answer`. Neither knows of the other's inside.
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
"""The canonical name that Google gives beside each HTTP status."""


class Clock(Protocol):
    """Time as the rehearsal has it: real, put forward, or a test's own."""

    def now(self) -> float:
        """Return the seconds since 1970."""


@dataclass(frozen=True)
class OperationFault:
    """What is to become of the operation that a call starts, instead of a good end."""

    message: str | None = None
    """Ends DONE with an error of this message; None: never ends."""
    code: int = 13
    """google.rpc.Code of the error: 8 RESOURCE_EXHAUSTED (quota), 13 INTERNAL, 14 UNAVAILABLE."""


@dataclass(frozen=True)
class Call:
    """A request that was resolved, checked against the discovery document and authenticated."""

    api: str
    """The API's name in its discovery document: "container", "compute", …"""
    method_id: str
    """"container.projects.locations.clusters.create"."""
    params: Mapping[str, Any]
    """Path and query parameters by the document's names ({"parent": "projects/p/locations/l"});
    integers and booleans are such, repeated parameters are lists, absent ones are absent."""
    body: Mapping[str, Any] | None
    """The request's JSON without its nulls; None where the method takes none."""
    caller: str
    """E-mail address of the caller's service account."""
    path: Mapping[str, str] = field(default_factory=dict)
    """The pieces of the path by the flat path's names: {"projectsId": "p", "clustersId": "c"}."""
    operation: OperationFault | None = None
    """What the operation that this call starts, if any, is to suffer."""
    version: str = "v1"
    """Of the API: cloudresourcemanager has v1 and v3, with the same method ids."""
    url: str = ""
    """The whole address as the client wrote it, query included, for selfLinks of that form."""


@dataclass(frozen=True)
class Answer:
    """What the client is told."""

    status: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What affects the requests that match, instead of, before or after their handling."""

    kind: str
    """One of `KINDS`."""
    api: str = ""
    """The API's name; empty: every API ("token" is the token endpoint)."""
    method: str = ""
    """Regular expression, searched in the method id; empty: every method."""
    count: int | None = 1
    """How many requests it affects; None: all, until the faults are cleared."""
    after: int = 0
    """How many matching requests pass unharmed before it."""
    lasting: float | None = None
    """Seconds after the first one that it affects, when it is over whatever `count` says."""
    retry_after: int | None = None
    """Seconds of the header Retry-After (kinds rate-limit, unavailable)."""
    seconds: float = 0.0
    """How long the answer is held back (kind slow)."""
    message: str = ""
    """Google's words instead of the usual ones; the error's text for operation-error."""
    code: int = 13
    """google.rpc.Code of an operation-error."""

    KINDS = (
        "rate-limit",  # 429 RESOURCE_EXHAUSTED
        "unavailable",  # 503
        "internal",  # 500
        "slow",
        "drop-before",  # connection closed, nothing was done
        "drop-after",  # connection closed, it was done
        "token-expired",  # 401, and the access token is worth nothing any more
        "permission-denied",  # 403
        "operation-error",  # DONE with an error
        "operation-never-ends",
    )


class NotModelled(Exception):  # noqa: N818 - it is no error of the double, but its limit
    """The world has no handler for a method: the client gets 501."""


class World(Protocol):
    """The model of Google's side. One call at a time: the server holds a lock."""

    def call(self, call: Call) -> Answer:
        """Answer the call; a refusal by Google is an Answer too (`refusal`).

        :raises NotModelled: no handler for the method id.
        """

    def dump(self) -> dict[str, Any]:
        """Return everything it knows, as JSON."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `dump` once returned."""

    def control(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Do what only a rehearsal's director can (leave compute leftovers, set a quota …).

        :raises ValueError: no such action, or not such arguments; says which there are.
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
    """Return an error as Google words it: {"error": {code, message, errors, status, details}}.

    `reason` is the old-style one ("notFound", "rateLimitExceeded"), `name` the canonical status
    where it is not the HTTP status' usual one (400 FAILED_PRECONDITION, 403 …).
    """
    canonical = name or STATUS_NAMES[status]
    error: dict[str, Any] = {"code": status, "message": message, "status": canonical}
    if reason:
        error["errors"] = [{"message": message, "domain": "global", "reason": reason}]
    if details:
        error["details"] = details
    return Answer(status, {"error": error}, headers or {})
