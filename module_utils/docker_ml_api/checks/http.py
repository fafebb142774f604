"""One HTTP request of a prediction check, with a strict timeout.

The requests use ansible.module_utils.urls, so that proxies and certificates
behave as in any Ansible module. Its measured overhead per request is half a
millisecond if the TLS context is shared (creating one takes 25 ms).
"""

from __future__ import annotations

import errno
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ansible.module_utils.urls import Request, make_context

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_CHUNK = 65536
# The socket's own timeout results in a better message, so it may expire first.
_GRACE = 0.25
# They are two classes before Python 3.10, which a managed host may have.
_TIMEOUTS = (TimeoutError, socket.timeout)
_HEALING_ERRNOS = {
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EPIPE,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
}


@dataclass(frozen=True)
class Question:
    """A request: method, absolute URL, headers, body in bytes."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Answer:
    """A response: status, reason, headers by lower-case name, body, duration in seconds.

    `complete` is false if the body exceeded the limit and was truncated.
    """

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    seconds: float
    complete: bool = True


class RequestFailedError(Exception):
    """There was no answer; `kind` is a keyword, the message is for users.

    `heals`: whether the same request may succeed later.
    """

    def __init__(self, kind: str, message: str, *, heals: bool) -> None:
        """Set the message, its kind, and whether the failure is temporary."""
        super().__init__(message)
        self.kind = kind
        self.heals = heals


class Client(Protocol):
    """Sends a request, for at most `timeout` seconds; raises RequestFailedError."""

    def __call__(self, question: Question, timeout: float) -> Answer:
        """Send the request and return the answer."""


def is_loopback(host: str) -> bool:
    """Return whether a URL's host is this machine, which a proxy cannot reach."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def proxied(url: str) -> bool:
    """Return whether the environment sets a proxy for the URL."""
    parts = urllib.parse.urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return False
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
        parts.netloc
    )


def bounded(work: Callable[[], T], timeout: float) -> T:
    """Return the result of `work`; raise TimeoutError if it takes more than `timeout` seconds.

    A socket's own timeout applies to each packet, and not to the lookup of a name. With it alone,
    a server that sends one byte at a time could delay the answer indefinitely. Therefore the work
    runs in a thread, which is abandoned on timeout. An exception of `work` is raised here.
    """
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def target() -> None:
        try:
            results.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            results.put((None, error))

    threading.Thread(target=target, daemon=True).start()
    try:
        result, error = results.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


class UrlsClient:
    """A Client that uses ansible.module_utils.urls, with a new connection for each request."""

    def __init__(
        self,
        *,
        max_bytes: int,
        use_proxy: bool = True,
        validate_certs: bool = True,
        ca_path: str | None = None,
        unix_socket: str | None = None,
    ) -> None:
        """Set the options; at most `max_bytes` of a body are read.

        unix_socket: the socket to connect to instead of the URL's host, to which it leads.
        """
        self._max_bytes = max_bytes
        self._use_proxy = use_proxy
        self._validate_certs = validate_certs
        self._ca_path = ca_path
        self._unix_socket = unix_socket
        self._context: ssl.SSLContext | None = None

    def __call__(self, question: Question, timeout: float) -> Answer:
        """Send one request. Redirects are not followed, but treated like any other answer."""
        proxy = self._use_proxy and not self._unix_socket and proxied(question.url)
        context = self._context_for(question.url)
        place = _place(question.url) + (" (through the environment's proxy)" if proxy else "")
        try:
            return bounded(
                lambda: self._exchange(question, timeout, proxy=proxy, context=context),
                timeout + _GRACE,
            )
        except _TIMEOUTS:
            raise RequestFailedError(
                "timed_out", f"no complete answer came within {timeout:.3g} s", heals=True
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise explain(error, place, timeout) from error
        except ValueError as error:
            raise RequestFailedError(
                "invalid", f"the request cannot be sent: {error}", heals=False
            ) from error

    def _context_for(self, url: str) -> ssl.SSLContext:
        if self._context is None:
            if url.startswith("https:"):
                try:
                    self._context = make_context(
                        cafile=self._ca_path, validate_certs=self._validate_certs
                    )
                except OSError as error:
                    raise RequestFailedError(
                        "certificate",
                        f"the certificates in ca_path {self._ca_path} cannot be read: {error}",
                        heals=False,
                    ) from error
            else:
                # Not used for HTTP, but otherwise each request would create a context.
                self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self._context

    def _exchange(
        self, question: Question, timeout: float, *, proxy: bool, context: ssl.SSLContext
    ) -> Answer:
        start = time.perf_counter()
        try:
            response = Request().open(
                question.method,
                question.url,
                data=question.body,
                headers=question.headers,
                timeout=timeout,
                use_proxy=proxy,
                context=context,
                follow_redirects="none",
                http_agent="prediction_check",
                decompress=False,
                use_netrc=False,
                unix_socket=self._unix_socket,
            )
        except urllib.error.HTTPError as error:
            response = error
        with response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            body, complete = self._read(response, headers)
            return Answer(
                status=response.status,
                reason=str(response.reason or ""),
                headers=headers,
                body=body,
                seconds=time.perf_counter() - start,
                complete=complete,
            )

    def _read(self, response: Any, headers: dict[str, str]) -> tuple[bytes, bool]:
        """Return the body, and whether it is complete."""
        body = b""
        while len(body) <= self._max_bytes:
            chunk = response.read1(_CHUNK)
            if not chunk:
                length = headers.get("content-length", "")
                # A read with a size limit does not report a lost connection.
                if length.isdigit() and len(body) < int(length):
                    raise http.client.IncompleteRead(body, int(length) - len(body))
                return body, True
            body += chunk
        return body[: self._max_bytes], False


def _place(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explain(error: BaseException, place: str, timeout: float) -> RequestFailedError:
    """Return the explanation of a failed request: kind, sentence, whether it is temporary."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
        if isinstance(error, _TIMEOUTS):
            return RequestFailedError(
                "timed_out", f"{place} took no connection within {timeout:.3g} s", heals=True
            )
    number = getattr(error, "errno", None)
    if isinstance(error, ssl.SSLCertVerificationError):
        found = ("certificate", f"the certificate of {place} is refused: {error.verify_message}")
        heals = False
    elif isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        found = ("dropped", f"{place} dropped the connection while TLS began")
        heals = True
    elif isinstance(error, ssl.SSLError):
        why = getattr(error, "reason", None) or error
        found = ("tls", f"{place} does not speak TLS as expected: {why}")
        heals = False
    elif isinstance(error, socket.gaierror):
        heals = number == socket.EAI_AGAIN
        word = "cannot be looked up for now" if heals else "is unknown"
        found = ("name_unknown", f"the name of {place} {word}: {error.strerror}")
    elif isinstance(error, ConnectionRefusedError):
        found, heals = ("nothing_listens", f"nothing listens at {place}"), True
    elif isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead)):
        found, heals = ("dropped", f"{place} dropped the connection before its answer ended"), True
    elif isinstance(error, http.client.HTTPException):
        found, heals = ("not_http", f"{place} does not answer in HTTP: {error!r}"), False
    else:
        heals = number in _HEALING_ERRNOS
        word = "dropped the connection" if isinstance(error, ConnectionError) else "is out of reach"
        kind = "dropped" if isinstance(error, ConnectionError) else "unreachable"
        found = (kind, f"{place} {word}: {getattr(error, 'strerror', None) or error}")
    return RequestFailedError(*found, heals=heals)
