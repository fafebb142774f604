"""The part common to all Google APIs: authentication, permissions, validation and faults."""

from __future__ import annotations

import html
import json
import re
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

from rehearsal.gke import accounts, discovery
from rehearsal.gke.call import Answer, Call, NotModelled, OperationFault, refusal
from rehearsal.gke.requestlog import Entry
from rehearsal.gke.schemas import without_nulls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rehearsal.gke.accounts import Accounts, Token
    from rehearsal.gke.call import Clock, Fault, World
    from rehearsal.gke.discovery import Meant, Method
    from rehearsal.gke.faults import Faults
    from rehearsal.gke.requestlog import RequestLog

_TOKEN_HOST = "oauth2.googleapis.com"  # noqa: S105 - an address
_TOKEN_PATHS = ("/token", "/oauth2/v4/token")
_MISSING = (
    "Request is missing required authentication credential. Expected OAuth 2 access token, login "
    "cookie or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_INVALID = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_NOT_FOUND = (
    "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n"
    "<p><b>404.</b> <ins>That&rsquo;s an error.</ins>\n<p>The requested URL <code>{path}</code> "
    "was not found on this server. <ins>That&rsquo;s all we know.</ins>\n"
)
_SECRET = re.compile(r"\b(access_token|oauth_token|id_token|key)=[^&]*")
_UNAVAILABLE = "The service is currently unavailable."
_INTERNAL = "Internal error encountered."


class Dropped(Exception):  # noqa: N818 - what is to happen
    """The connection must be closed without a response."""


class Saver(Protocol):
    """Persists the state."""

    def save(self) -> None:
        """Write the state if it has changed."""


@dataclass(frozen=True)
class Request:
    """An HTTP request to one of Google's hosts."""

    http_method: str
    host: str
    path: str
    """As sent: quoted, with the query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header names are in lower case."""
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """The response: JSON, or Google's HTML page for an unknown path."""

    status: int
    body: Mapping[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Frontend:
    """Answers requests to Google's hosts with the world behind it."""

    world: World
    accounts: Accounts
    faults: Faults
    log: RequestLog
    clock: Clock
    saver: Saver
    sleep: Callable[[float], None] = time.sleep
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held during calls of the world, which handles one call at a time."""

    def handle(self, request: Request) -> Reply:
        """Answer a request and log it.

        :raises Dropped: a fault requires that the connection is closed.
        """
        path = _SECRET.sub(r"\1=…", request.path)
        entry = Entry(self.clock.now(), request.http_method, request.host, path)
        try:
            reply = self._answered(request, entry)
        except Dropped:
            self.log.add(entry)
            raise
        entry.status = reply.status
        if isinstance(reply.body, dict):
            error = reply.body.get("error")
            if isinstance(error, dict):
                entry.message = error.get("message", "")
            elif error:
                entry.message = f"{error}: {reply.body.get('error_description', '')}"
        self.log.add(entry)
        return reply

    def _answered(self, request: Request, entry: Entry) -> Reply:
        path = urlsplit(request.path).path
        if request.host == _TOKEN_HOST and path in _TOKEN_PATHS and request.http_method == "POST":
            entry.api = entry.method_id = "token"
            return self._affected(request, entry, lambda _: self._token(request, entry))
        meant = discovery.find(request.host, request.http_method, path)
        if meant is None:
            return Reply(404, _NOT_FOUND.format(path=html.escape(path)))
        entry.api, entry.method_id = meant.method.document.api, meant.method.id
        entry.mutating = meant.method.mutating

        def handled(operation: OperationFault | None) -> Reply:
            answer = self._called(request, entry, meant, operation)
            return Reply(answer.status, answer.body, answer.headers)

        return self._affected(request, entry, handled)

    def _affected(
        self,
        request: Request,
        entry: Entry,
        handled: Callable[[OperationFault | None], Reply],
    ) -> Reply:
        """Handle the request, applying the fault that affects it, if any."""
        fault = self.faults.take(entry.api, entry.method_id)
        if fault is None:
            return handled(None)
        entry.fault = fault.kind
        if fault.kind == "drop-before":
            raise Dropped
        if entry.api == "token" and fault.kind in ("token-expired", "permission-denied"):
            said = fault.message or "Invalid grant: account not found"
            return Reply(400, {"error": "invalid_grant", "error_description": said})
        if fault.kind == "token-expired":
            self.accounts.revoke(_bearer(request))
            return _reply(_unauthenticated(_INVALID))
        if refused := _refused_by(fault, entry):
            return _reply(refused)
        if fault.kind == "slow":
            self.sleep(fault.seconds)
        reply = handled(_operation_fault(fault))
        if fault.kind == "drop-after":
            raise Dropped
        return reply

    def _token(self, request: Request, entry: Entry) -> Reply:
        """Answer a request to the token endpoint."""
        try:
            form = parse_qs(request.body.decode(), keep_blank_values=True)
            token = self.accounts.grant({name: values[-1] for name, values in form.items()})
        except UnicodeDecodeError:
            return Reply(400, {"error": "invalid_request"})
        except accounts.Refused as error:
            return Reply(400, {"error": error.code, "error_description": str(error)})
        entry.caller = token.email
        self.saver.save()
        return Reply(
            200,
            {
                "access_token": token.value,
                "expires_in": self.accounts.seconds_left(token),
                "token_type": "Bearer",
            },
        )

    def _called(
        self,
        request: Request,
        entry: Entry,
        meant: Meant,
        operation: OperationFault | None,
    ) -> Answer:
        method = meant.method
        token = self.accounts.find(_bearer(request))
        if method.scopes or not method.id.startswith("oauth2."):
            if token is None:
                return _unauthenticated(_INVALID if _bearer(request) else _MISSING)
            entry.caller = token.email
            if method.scopes and not set(method.scopes) & set(token.scopes):
                return _too_few_scopes(method)
        query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        try:
            typed = method.query(query)
            body = _body(request)
            method.check_body(body)
        except discovery.InvalidRequest as error:
            return refusal(400, str(error), reason="badRequest", details=_violations(str(error)))
        if entry.mutating:
            entry.body = body
        call = Call(
            api=method.document.api,
            version=method.document.version,
            method_id=method.id,
            params={**meant.params, **typed},
            body=body,
            caller=entry.caller,
            path=meant.pieces,
            operation=operation,
            url=f"https://{request.host}{request.path}",
        )
        with self.lock:
            answer = self._own(call, token) or self._asked(call, entry)
            if not entry.problem:
                answer = _checked(method, answer, entry)
            self.saver.save()
        return answer

    def _asked(self, call: Call, entry: Entry) -> Answer:
        try:
            return self.world.call(call)
        except NotModelled:
            entry.problem = f"{call.method_id} is not modelled"
            return refusal(501, f"The rehearsal has no model of {call.method_id}.")
        except Exception as error:  # noqa: BLE001 - whatever it is, the log must have it
            traceback.print_exception(error)
            entry.problem = f"{call.method_id} failed: {error!r}"
            return refusal(500, f"The rehearsal failed. {entry.problem}")

    def _own(self, call: Call, token: Token | None) -> Answer | None:
        """Answer a call about accounts or tokens, which the world does not handle, else None."""
        if call.method_id in ("oauth2.userinfo.get", "oauth2.userinfo.v2.me.get") and token:
            return Answer(
                body={"id": token.unique_id, "email": token.email, "verified_email": True}
                if token.names_email
                else {"id": token.unique_id}
            )
        if call.method_id == "iamcredentials.projects.serviceAccounts.getAllowedLocations":
            return Answer(body={"locations": [], "encodedLocations": "0x0"})
        if call.method_id == "oauth2.tokeninfo":
            asked = self.accounts.find(str(call.params.get("access_token", "")))
            if asked is None:
                return refusal(400, "Invalid Value", reason="invalid")
            return Answer(
                body={
                    "issued_to": asked.unique_id,
                    "audience": asked.unique_id,
                    "user_id": asked.unique_id,
                    "scope": " ".join(asked.scopes),
                    "expires_in": self.accounts.seconds_left(asked),
                    **({"email": asked.email, "verified_email": True} if asked.names_email else {}),
                }
            )
        return None

    def token_review(self, review: Any) -> dict[str, Any]:
        """Answer a TokenReview of a Kubernetes API server.

        As on GKE, a token without a scope for the e-mail address only identifies the account's
        numeric ID, to which no role is bound.
        """
        answer: dict[str, Any] = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "status": {"authenticated": False},
        }
        specified = review.get("spec") if isinstance(review, dict) else None
        value = specified.get("token") if isinstance(specified, dict) else None
        token = self.accounts.find(value) if isinstance(value, str) else None
        if token is None:
            answer["status"]["error"] = "the access token is unknown or expired"
        else:
            user = {"username": token.email if token.names_email else token.unique_id}
            user |= {"uid": token.unique_id}
            answer["status"] = {"authenticated": True, "user": user}
        return answer


def permission(method_id: str) -> str:
    """Return the IAM permission that a method needs, e.g. container.clusters.create."""
    api, *middle, verb = method_id.split(".")
    collection = middle[-1] if middle else ""
    if api != "container":
        return f"{api}.{collection}.{verb}"
    verb = {"aggregatedList": "list"}.get(verb, verb)
    if collection == "clusters" and verb in ("create", "delete", "get", "list"):
        return f"container.clusters.{verb}"
    if collection == "operations":
        return f"container.operations.{'list' if verb == 'list' else 'get'}"
    return f"container.clusters.{'get' if verb in ('get', 'list') else 'update'}"


def _refused_by(fault: Fault, entry: Entry) -> Answer | None:
    """Return the error that the fault injects; None for other kinds of faults."""
    later = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.kind == "rate-limit":
        said = fault.message or (
            "Quota exceeded for quota metric 'All requests' and limit 'All requests per minute' "
            f"of service '{entry.host}'."
        )
        details = [_error_info("RATE_LIMIT_EXCEEDED", {"service": entry.host})]
        return refusal(429, said, reason="rateLimitExceeded", headers=later, details=details)
    if fault.kind == "unavailable":
        return refusal(503, fault.message or _UNAVAILABLE, reason="backendError", headers=later)
    if fault.kind == "internal":
        return refusal(500, fault.message or _INTERNAL, reason="backendError")
    if fault.kind == "permission-denied":
        where = re.search(r"projects/[^/?:]+", entry.path)
        resource = where.group() if where else ""
        needed = permission(entry.method_id)
        said = fault.message or (
            f"Required '{needed}' permission for '{resource}'"
            if entry.api == "compute"
            else f'Required "{needed}" permission(s) for "{resource}".'
        )
        details = [_error_info("IAM_PERMISSION_DENIED", {"permission": needed})]
        return refusal(403, said, reason="forbidden", details=details)
    return None


def _operation_fault(fault: Fault) -> OperationFault | None:
    if fault.kind == "operation-error":
        return OperationFault(fault.message or _INTERNAL, fault.code)
    if fault.kind == "operation-never-ends":
        return OperationFault(None)
    return None


def _checked(method: Method, answer: Answer, entry: Entry) -> Answer:
    """Return the answer, or a 500 if the answer violates the discovery document."""
    if answer.status < 400:  # noqa: PLR2004 - the errors' first
        problems = method.answer_problems(answer.body)
    else:
        error = answer.body.get("error")
        error = error if isinstance(error, dict) else {}
        sound = error.get("code") == answer.status and error.get("message") and error.get("status")
        problems = [] if sound else [f"an error without code, message or status: {answer.body}"]
    if not problems:
        return answer
    entry.problem = f"{method.id} was answered with: {'; '.join(problems)}"
    return refusal(500, f"The rehearsal's answer is invalid. {entry.problem}")


def _body(request: Request) -> Any:
    """Return the JSON of the request, or None if it has no body.

    :raises InvalidRequest: the body is not a JSON object.
    """
    if not request.body.strip():
        return None
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise discovery.InvalidRequest(
            f"Invalid JSON payload received. Unexpected token.\n{error}"
        ) from None
    if not isinstance(body, dict):
        raise discovery.InvalidRequest(
            'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        )
    return without_nulls(body)


def _bearer(request: Request) -> str:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""


def _reply(answer: Answer) -> Reply:
    return Reply(answer.status, answer.body, answer.headers)


def _unauthenticated(message: str) -> Answer:
    reason = "CREDENTIALS_MISSING" if message == _MISSING else "ACCESS_TOKEN_EXPIRED"
    challenge = 'Bearer realm="https://accounts.google.com/"'
    if message != _MISSING:
        challenge += ', error="invalid_token"'
    return refusal(
        401,
        message,
        reason="authError",
        details=[_error_info(reason, {})],
        headers={"WWW-Authenticate": challenge},
    )


def _too_few_scopes(method: Method) -> Answer:
    wanted = " ".join(method.scopes)
    return refusal(
        403,
        "Request had insufficient authentication scopes.",
        reason="insufficientPermissions",
        details=[_error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", {"method": method.id})],
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'},
    )


def _error_info(reason: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": dict(metadata),
    }


def _violations(message: str) -> list[dict[str, Any]]:
    return [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"description": line} for line in message.splitlines()],
        }
    ]
