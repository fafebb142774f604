"""The WSGI entry point: a fast path for single predictions, in front of Flask.

Flask's overhead per request is several times the cost of the prediction. So the two most requested
endpoints, and JSON batches of the usual size, are answered here, with the same code as in the Flask
application, which handles all other requests. This module also counts and logs every response, adds
the request ID, and rejects requests beyond the limits.
"""

import io
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from time import monotonic, perf_counter_ns
from typing import TYPE_CHECKING, Any

from model.service.contract.predictor import Predictor, RefusedError
from model.service.serving import json_batches, problem, request_id
from model.service.serving.answer import ALIVE, InvalidParametersError, parser, refused
from model.service.serving.metrics import OTHER, Metrics
from model.service.serving.request_log import RequestLog

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from flask import Flask

logger = logging.getLogger("prediction")

# The key of the request's ID in the WSGI environment.
REQUEST_ID = "prediction.request_id"
ALIVE_PATH = "/isAlive"
PREDICTION_PATH = "/prediction/"
BATCH_PATH = "/v1/predictions"
PREDICTION_PATHS = frozenset((PREDICTION_PATH, "/prediction"))
READ_METHODS = ("GET", "HEAD")
ANY = "*/*"
TEXT = ("Content-Type", "text/plain; charset=utf-8")
JSON = ("Content-Type", json_batches.JSON)
CLOSE = ("Connection", "close")
RETRY = ("Retry-After", "1")
# A response of the application with a Content-Length up to this many bytes is sent in one piece.
COLLECTED = 1 << 22

TOO_LARGE = (
    "The body is larger than {} bytes: send less, or start the service with a greater "
    "PREDICTION_MAX_BODY_BYTES."
)
# The block size for reading a whole body.
READ_BYTES = 1 << 16
# Seconds for which a request waits for a permit, and without progress after which new requests are
# rejected at once.
PATIENCE = 0.25
BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

Headers = list[tuple[str, str]]


class Front:
    """The WSGI application that the server runs."""

    def __init__(
        self,
        app: "Flask",
        predictor: Predictor,
        metrics: Metrics,
        log: RequestLog,
        *,
        instance: str = "",
        max_body_bytes: int,
        concurrency: int,
    ) -> None:
        """Initialize with the Flask application for all other requests, and the settings.

        Created before the workers are forked, each of which calls `in_worker`.
        """
        self.app = app
        self.metrics = metrics
        self.log = log
        self.max_body_bytes = max_body_bytes
        self._concurrency = concurrency
        self.predictor = predictor
        self._features = predictor.features
        self._served_by: Headers = [("X-Served-By", instance)] if instance else []
        # Looked up once here, not in each request.
        self._accepted = request_id.ACCEPTED.fullmatch
        self._parse = parser(predictor.features)
        self._text = predictor.text
        self._observe = metrics.observe
        self._add = log.add if log.requests else _ignore
        # The metrics must know all endpoints before the fork.
        self._endpoints = {rule.rule for rule in app.url_map.iter_rules()}
        for endpoint in (*sorted(self._endpoints), OTHER):
            metrics.series(endpoint, "GET", HTTPStatus.OK)
        self._predicted, self._alive = (
            {method: metrics.series(path, method, HTTPStatus.OK) for method in READ_METHODS}
            for path in (PREDICTION_PATH, ALIVE_PATH)
        )
        self._batch = metrics.series(BATCH_PATH, "POST", HTTPStatus.OK)
        self._most_of_a_batch = min(max_body_bytes, json_batches.LARGE_BYTES)
        self._begin()

    def in_worker(self) -> None:
        """Set up the state of this process; call it once in each worker."""
        self.metrics.claim()
        self.log.start()
        self._begin()

    def _begin(self) -> None:
        self._next_id = request_id.generator()
        self._permits = threading.BoundedSemaphore(self._concurrency)
        # When a permit was last acquired without waiting, or released.
        self._got_on = monotonic()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        start = perf_counter_ns()
        get = environ.get
        id_ = get("HTTP_X_REQUEST_ID")
        if id_ is None or not self._accepted(id_):
            id_ = self._next_id()
        path = environ["PATH_INFO"]
        method = environ["REQUEST_METHOD"]
        if path in PREDICTION_PATHS and method in READ_METHODS:
            try:
                row = self._parse(get("QUERY_STRING", ""))
                body = self._text(row).encode()
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                return _Exchange(self, environ, start_response, start, id_).failed(error)
            headers = [TEXT, (request_id.HEADER, id_), *self._served_by]
            size = len(body)
            if method == "HEAD":
                headers.append(("Content-Length", str(size)))
                body, size = b"", 0
            start_response("200 OK", headers)
            end = perf_counter_ns()
            self._observe(self._predicted[method], end - start, row)
            remote, trace = get("REMOTE_ADDR", ""), get("HTTP_TRACEPARENT")
            self._add((end, end - start, id_, method, path, 200, size, remote, trace))
            return [body]
        if path == ALIVE_PATH and method in READ_METHODS:
            headers = [TEXT, (request_id.HEADER, id_), *self._served_by]
            headers.append(("Content-Length", str(len(ALIVE))))
            start_response("200 OK", headers)
            self._observe(self._alive[method], perf_counter_ns() - start)
            return [ALIVE.encode() if method == "GET" else b""]
        if path == BATCH_PATH and method == "POST":
            answered = self._answered_batch(environ)
            if answered is not None:
                size = len(answered)
                headers = [JSON, ("Content-Length", str(size)), (request_id.HEADER, id_)]
                start_response("200 OK", headers + self._served_by)
                end = perf_counter_ns()
                self._observe(self._batch, end - start)
                remote, trace = get("REMOTE_ADDR", ""), get("HTTP_TRACEPARENT")
                self._add((end, end - start, id_, method, path, 200, size, remote, trace))
                return [answered]
        return _Exchange(self, environ, start_response, start, id_).by_application()

    def _answered_batch(self, environ: "WSGIEnvironment") -> bytes | None:
        """Return the response to a batch of the usual form; None if the application must answer."""
        get = environ.get
        given = get("CONTENT_LENGTH", "")
        if (
            get("CONTENT_TYPE") != json_batches.JSON
            or get("HTTP_ACCEPT", ANY) not in (ANY, json_batches.JSON)
            or "HTTP_CONTENT_ENCODING" in environ
            or not (given.isascii() and given.isdigit())
            or (length := int(given)) > self._most_of_a_batch
            or not self.acquire(BATCH_PATH)
        ):
            return None
        try:
            data = environ["wsgi.input"].read(length)
            environ["wsgi.input"] = io.BytesIO(data)
            if len(data) < length:
                return None
            return json_batches.answer(data, self.predictor, self.metrics)
        except Exception:  # noqa: BLE001 - the application says what it is
            return None
        finally:
            self.release()

    def failed(self, error: Exception, id_: str) -> tuple[HTTPStatus, bytes]:
        """Return the status and the problem document for a prediction that failed."""
        if isinstance(error, RefusedError):
            error = refused(self._features, error)
        if isinstance(error, InvalidParametersError):
            return HTTPStatus.BAD_REQUEST, problem.invalid_parameters(error, request_id=id_)
        logger.error("The prediction failed.", exc_info=error, extra={"request_id": id_})
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return status, problem.problem(status, status.description, request_id=id_)

    def acquire(self, path: str) -> bool | None:
        """Return whether a request got a permit to be processed; None if it needs none.

        A request waits for a permit only while other requests make progress. So a queue of short
        requests is processed, but threads needed for single predictions do not wait for slow
        clients.
        """
        if is_probe(path):
            return None
        if self._permits.acquire(blocking=False):
            # In a burst after an idle period, requests without a permit wait for those with one.
            self._got_on = monotonic()
            return True
        return monotonic() - self._got_on < PATIENCE and self._permits.acquire(timeout=PATIENCE)

    def release(self) -> None:
        """Release a permit."""
        self._got_on = monotonic()
        self._permits.release()

    def headers(self, id_: str, given: Sequence[tuple[str, str]]) -> Headers:
        """Return a response's headers, extended by those that every response has."""
        names = {name.lower() for name, _ in given}
        return [
            *given,
            *(
                header
                for header in ((request_id.HEADER, id_), *self._served_by)
                if header[0].lower() not in names
            ),
        ]

    def finished(self, exchange: "_Exchange", size: int) -> None:
        """Count and log a response that has been sent."""
        environ, status = exchange.environ, exchange.status
        end = perf_counter_ns()
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        series = self.metrics.series(exchange.endpoint, method, status)
        self._observe(series, end - exchange.start)
        if is_probe(path) and status < HTTPStatus.BAD_REQUEST:
            return
        self._add(
            (
                *(end, end - exchange.start, exchange.id, method, path, status, size),
                *(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_TRACEPARENT")),
            )
        )

    def endpoint(self, request: Any) -> str:
        """Return the route of a Werkzeug request, or OTHER if it has none."""
        rule = getattr(request, "url_rule", None)  # another framework's request has none
        return rule.rule if rule and rule.rule in self._endpoints else OTHER


class _Exchange:
    """A request outside the fast path, until the end of its response."""

    def __init__(
        self,
        front: Front,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        start: int,
        id_: str,
    ) -> None:
        self.environ = environ
        self.start = start
        self.id = id_
        self.status = 0
        self.endpoint = OTHER
        self._front = front
        self._start_response = start_response
        # The length of the response's body, if known.
        self._length: int | None = None

    def failed(self, error: Exception) -> Iterable[bytes]:
        """Return the error response of the fast path."""
        self.endpoint = PREDICTION_PATH
        status, body = self._front.failed(error, self.id)
        return self._answer(status, body, problem.CONTENT_TYPE)

    def by_application(self) -> Iterable[bytes]:
        """Return the application's response, or an error if a limit is exceeded."""
        front, environ = self._front, self.environ
        path = environ["PATH_INFO"]
        most = front.max_body_bytes
        if int(environ.get("CONTENT_LENGTH") or 0) > most:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE.format(most))
        permit = front.acquire(path)
        if permit is False:
            return self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The service works on as many requests as it can at once "
                "(PREDICTION_CONCURRENCY): ask again in a second.",
                [RETRY],
            )
        if "CONTENT_LENGTH" not in environ and environ["REQUEST_METHOD"] not in READ_METHODS:
            environ["wsgi.input"] = _LimitedInput(environ["wsgi.input"], most)
        environ[REQUEST_ID] = self.id
        named = request_id.CURRENT.set(self.id)
        release = front.release if permit else _nothing
        chunks: Iterable[bytes] = ()
        streamed = False
        try:
            chunks = front.app(environ, self._started)
            streamed = not isinstance(chunks, list) and (
                self._length is None or self._length > COLLECTED
            )
            if streamed:
                return _Stream(self, chunks, release)
            parts = list(chunks)
        except Exception:
            logger.exception("The request failed.")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return self._refuse(status, status.description)
        finally:
            request_id.CURRENT.reset(named)
            if not streamed:
                _close(chunks)
                release()
        front.finished(self, sum(map(len, parts)))
        return parts

    def finished(self, size: int) -> None:
        """Report that the response has been sent."""
        self._front.finished(self, size)

    def _started(self, status: str, headers: Headers, *error: Any) -> Any:
        self.status = int(status[:3])
        # Flask removes its request from the environment when it has answered.
        if request := self.environ.get("werkzeug.request"):
            self.endpoint = self._front.endpoint(request)
        self._length = 0 if self.status in BODILESS else None
        for name, value in headers:
            if name.lower() == "content-length":
                self._length = int(value)
        return self._start_response(status, self._front.headers(self.id, headers), *error)

    def _refuse(
        self, status: HTTPStatus, detail: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Iterable[bytes]:
        """Return an error without reading the body."""
        environ = self.environ
        body, content_type = problem.error_document(environ["PATH_INFO"], status, detail, self.id)
        unread = environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ
        # On HTTP/1.1 the unread body would be parsed as the next request; HTTP/2 uses streams.
        if unread and environ.get("SERVER_PROTOCOL") != "HTTP/2":
            headers = [*headers, CLOSE]
        return self._answer(status, body, content_type, headers)

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        content_type: str,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Iterable[bytes]:
        self._started(
            f"{status.value} {status.phrase}",
            [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers],
        )
        if self.environ["REQUEST_METHOD"] == "HEAD":
            body = b""
        self.finished(len(body))
        return [body]


class _LimitedInput:
    """A body without a Content-Length, read up to the limit."""

    def __init__(self, body: Any, most: int) -> None:
        self._body = body
        self._most = self._left = most

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, or all if it is negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(READ_BYTES), b""))
        # The server blocks until it has this many bytes: one byte beyond the limit is enough.
        return self._count(self._body.read(min(size, self._left + 1)))

    def readline(self, size: int = -1) -> bytes:
        """Return the next line."""
        del size
        return self._count(self._body.readline())

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Return all lines."""
        del hint
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise problem.ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE.format(self._most)
            )
        return data


class _Stream:
    """A streamed response; the request lasts until the response ends."""

    def __init__(self, exchange: _Exchange, chunks: Iterable[bytes], release: Any) -> None:
        self._exchange = exchange
        self._chunks = chunks
        self._next = iter(chunks).__next__
        self._release = release
        self._size = 0
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        named = request_id.CURRENT.set(self._exchange.id)
        try:
            chunk = self._next()
        except StopIteration:
            raise
        except Exception:
            logger.exception("The answer broke off.")
            raise
        finally:
            request_id.CURRENT.reset(named)
        self._size += len(chunk)
        return chunk

    def close(self) -> None:
        """End the request: the response was sent, or the client has disconnected."""
        if self._open:
            self._open = False
            try:
                _close(self._chunks)
            finally:
                self._release()
                self._exchange.finished(self._size)

    # For servers that do not close a response which they did not send completely.
    __del__ = close


def is_probe(path: str) -> bool:
    """Return whether a path is polled by probes and monitoring, however busy the service is."""
    return (
        path in (ALIVE_PATH, "/metrics")
        or path.startswith("/v2/health/")
        or (path.startswith("/v2/models/") and path.endswith("/ready"))
    )


def _close(chunks: Iterable[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close:
        close()


def _ignore(_: object) -> None:
    """Log nothing."""


def _nothing() -> None:
    """Release nothing."""
