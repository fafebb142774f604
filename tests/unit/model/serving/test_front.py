"""The fast path, and what applies to all requests; test_main tests the real server."""

import io
import json
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, request, stream_with_context
from prometheus_client.parser import text_string_to_metric_families

from model.service.contract.features import Feature
from model.service.contract.predictor import OverflowedError
from model.service.serving import front as module
from model.service.serving import json_batches, request_id
from model.service.serving.app import create_app
from model.service.serving.front import Front
from model.service.serving.metrics import Metrics
from model.service.serving.request_id import ACCEPTED
from model.service.serving.request_log import JsonFormatter, RequestLog

LIMIT = 60.0


class Double:
    """A model that doubles its input; it fails at 13 and overflows above 1e300."""

    form = "coefficients"
    task = "regression"
    outputs = 1
    classes = ()
    weighted_sum = None

    def __init__(self) -> None:
        shares = (0.5, 0.5)
        self.features = (
            Feature(
                name="f", column="f", kind="number", least=0, most=5, edges=(2.5,), shares=shares
            ),
        )

    def text(self, row: Any) -> str:
        if row[0] == 13:
            raise RuntimeError("secret")
        if row[0] > 1e300:
            raise OverflowedError
        return f"[{2 * row[0]:g}.]"

    def predict(self, columns: Any) -> list[float]:
        if 13 in columns[0]:
            raise RuntimeError("secret")
        return [2 * value for value in columns[0]]


class Asked:
    """A response."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = int(status[:3])
        self.headers = {name.lower(): value for name, value in headers}
        assert len(self.headers) == len(headers)
        self.body = body


class Service:
    """A front with its application, called without a server."""

    def __init__(self, log: RequestLog, **options: Any) -> None:
        self.predictor: Any = Double()
        self.metrics = Metrics(self.predictor.features)
        self.app: Flask = create_app({"PROPAGATE_EXCEPTIONS": False}, self.predictor, self.metrics)
        self.log = log
        self.options = {"max_body_bytes": 100, "concurrency": 1} | options

    def front(self) -> Front:
        return Front(self.app, self.predictor, self.metrics, self.log, **self.options)

    def samples(self) -> dict[tuple[str, ...], float]:
        """Return the samples that are neither buckets nor sums."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.metrics.exposition("")[0].decode())
            for sample in family.samples
            if not sample.name.endswith(("_bucket", "_sum"))
        }

    def lines(self) -> list[dict[str, Any]]:
        """Return the requests logged so far."""
        self.log._drain()
        if not select.select([self.log.reading], [], [], 0)[0]:
            return []
        return [json.loads(line) for line in os.read(self.log.reading, 1 << 16).splitlines()]


class PipedLog(RequestLog):
    """A log that writes to a pipe, from which it can be read."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        super().__init__(descriptor=self.writing)

    def close(self) -> None:
        super().close()
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def log() -> Iterator[PipedLog]:
    log = PipedLog()
    yield log
    log.close()


@pytest.fixture
def service(log: PipedLog) -> Service:
    return Service(log)


def begin(front: Front, path: str, **changes: Any) -> tuple[list[Any], Iterable[bytes]]:
    """Return the arguments of start_response, and the body."""
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": None,
    }
    given: list[Any] = []
    body = front(environ | changes, lambda *arguments: given.extend(arguments[:2]))
    return given, body


def ask(front: Front, path: str, **changes: Any) -> Asked:
    given, chunks = begin(front, path, **changes)
    body = b"".join(chunks)
    if close := getattr(chunks, "close", None):
        close()
    return Asked(*given, body)


@pytest.mark.parametrize(
    ("path", "text"),
    [("/isAlive", "true"), ("/prediction/?f=1", "[2.]"), ("/prediction?f=1", "[2.]")],
)
def test_the_short_path_answers_as_the_application(service: Service, path: str, text: str) -> None:
    front = service.front()
    client = service.app.test_client()
    for method in ("GET", "HEAD"):
        asked = ask(front, path, REQUEST_METHOD=method)
        expected = client.open(path, method=method)
        assert (asked.status, asked.body) == (200, expected.data)
        assert asked.body == (text.encode() if method == "GET" else b"")
        assert asked.headers["content-type"] == expected.content_type
        # The server adds the Content-Length of a response that it sends in one piece.
        assert asked.headers.get("content-length", "4") == str(expected.content_length)


@pytest.mark.parametrize("query", ["", "?f=", "?f=a", "?f=1&f=2", "?f=1e301", "?f=13", "?g=1"])
def test_errors_are_the_applications(
    service: Service, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = service.app.test_client().get(f"/prediction/{query}")
    front = service.front()
    asked = ask(front, f"/prediction/{query}", HTTP_X_REQUEST_ID="abc")
    document = json.loads(asked.body)
    assert document.pop("request_id") == "abc"
    theirs = json.loads(expected.data)
    if query == "?f=13":
        # The wording differs, and neither reveals the cause.
        assert "secret" not in document.pop("detail") + theirs.pop("detail")
        assert "RuntimeError: secret" in caplog.text
    assert (asked.status, document) == (expected.status_code, theirs)
    assert asked.headers["content-type"] == expected.content_type
    assert asked.headers["content-length"] == str(len(asked.body))
    head = ask(front, f"/prediction/{query}", REQUEST_METHOD="HEAD", HTTP_X_REQUEST_ID="abc")
    assert (head.status, head.body) == (asked.status, b"")
    assert head.headers == asked.headers


def test_the_short_path_calls_no_flask(service: Service) -> None:
    front = service.front()
    front.app = None  # type: ignore[assignment] # calling it fails
    for path in ("/isAlive", "/prediction/?f=1", "/prediction?f=a", "/prediction/?f=13"):
        for method in ("GET", "HEAD"):
            assert ask(front, path, REQUEST_METHOD=method).status in (200, 400, 500)


JSON = "application/json"
BATCH = b'{"columns":{"f":[1,2.5]}}'


def post(front: Front, body: bytes, **changes: Any) -> Asked:
    return ask(
        front,
        "/v1/predictions",
        **{
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": JSON,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        | changes,
    )


@pytest.mark.parametrize("body", [BATCH, b'{"records":[{"f":1},{"f":2}]}', b'{"records":[{}]}'])
@pytest.mark.parametrize("accept", [None, "*/*", JSON])
def test_a_usual_batch_is_answered_without_flask(
    service: Service, body: bytes, accept: str | None
) -> None:
    expected = service.app.test_client().post("/v1/predictions", data=body, content_type=JSON)
    before = service.samples()
    front = service.front()
    front.app = None  # type: ignore[assignment] # calling it fails
    asked = post(front, body, **({"HTTP_ACCEPT": accept} if accept else {}))
    assert (asked.status, asked.body) == (200, expected.data)
    assert asked.headers["content-type"] == expected.content_type
    assert asked.headers["content-length"] == str(len(asked.body))
    assert asked.headers["x-request-id"]
    (line,) = service.lines()
    assert (line["path"], line["bytes"]) == ("/v1/predictions", len(asked.body))
    after = service.samples()
    rows = len(json.loads(asked.body)["predictions"])
    counted = {"predictions_total", "prediction_rejected_rows_total"}
    assert sum(after[name,] - before[name,] for name in counted) == rows
    assert after["http_request_duration_seconds_count", "/v1/predictions", "POST", "2xx"] == 1


# Batches for the application: (the body, changes to the request, the status)
UNUSUAL: dict[str, tuple[bytes, dict[str, Any], int]] = {
    "another type": (b"f\n1\n", {"CONTENT_TYPE": "text/csv"}, 200),
    "a charset": (BATCH, {"CONTENT_TYPE": f"{JSON}; charset=utf-8"}, 200),
    "a table is wanted": (BATCH, {"HTTP_ACCEPT": "text/csv"}, 200),
    "nothing that there is is wanted": (BATCH, {"HTTP_ACCEPT": "image/png"}, 406),
    "compressed": (BATCH, {"HTTP_CONTENT_ENCODING": "gzip"}, 415),
    "cut short": (BATCH, {"CONTENT_LENGTH": "99"}, 400),
    "no JSON": (b"{", {}, 400),
    "another shape": (b"[]", {}, 422),
    "the model breaks": (b'{"columns":{"f":[13]}}', {}, 500),
    "another method": (b"", {"REQUEST_METHOD": "PUT"}, 405),
}


@pytest.mark.parametrize(("body", "changes", "status"), UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_batch_is_the_applications(
    service: Service, body: bytes, changes: dict[str, Any], status: int
) -> None:
    front = service.front()
    application, asked_it = front.app, []
    front.app = lambda *given: asked_it.append(1) or application(*given)  # type: ignore[assignment]
    asked = post(front, body, **changes)
    assert (asked.status, asked_it) == (status, [1])
    assert b"secret" not in asked.body


def test_a_large_batch_is_the_applications(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_batches, "LARGE_BYTES", len(BATCH) - 1)
    front = service.front()
    application, asked_it = front.app, []
    front.app = lambda *given: asked_it.append(1) or application(*given)  # type: ignore[assignment]
    assert (post(front, BATCH).status, asked_it) == (200, [1])


def test_a_query_that_is_not_there(service: Service) -> None:
    given: list[Any] = []
    service.front()(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/prediction/"}, lambda *a: given.extend(a)
    )
    assert given[0] == "400 Bad Request"


def test_the_rest_is_the_applications(service: Service) -> None:
    front = service.front()
    assert ask(front, "/nope").status == 404
    post = ask(front, "/prediction/?f=1", REQUEST_METHOD="POST")
    assert (post.status, {*post.headers["allow"].split(", ")}) == (405, {"GET", "HEAD", "OPTIONS"})
    assert ask(front, "/model", REQUEST_METHOD="HEAD").body == b""


@pytest.mark.parametrize(
    "path", ["/isAlive", "/prediction/?f=1", "/prediction/", "/nope", "/model"]
)
def test_every_answer_has_an_id_and_names_the_instance(service: Service, path: str) -> None:
    service.options["instance"] = "pod-1"
    front = service.front()
    for method in ("GET", "HEAD", "DELETE"):
        one, other = (ask(front, path, REQUEST_METHOD=method) for _ in range(2))
        assert ACCEPTED.fullmatch(one.headers["x-request-id"])
        assert one.headers["x-request-id"] != other.headers["x-request-id"]
        assert one.headers["x-served-by"] == "pod-1"
        own = ask(front, path, REQUEST_METHOD=method, HTTP_X_REQUEST_ID="a.B-c_1")
        assert own.headers["x-request-id"] == "a.B-c_1"
    service.options["instance"] = ""
    assert "x-served-by" not in ask(service.front(), path).headers


@pytest.mark.parametrize("id_", ["", "a b", "a\r\nX: y", "ä", "x" * 65, "a\n"])
def test_what_is_no_id_is_replaced(service: Service, id_: str) -> None:
    front = service.front()
    for path in ("/isAlive", "/nope"):
        assert ask(front, path, HTTP_X_REQUEST_ID=id_).headers["x-request-id"] != id_


def test_headers_of_the_application_stay(service: Service) -> None:
    service.app.add_url_rule(
        "/own", "own", lambda: Response("x", headers={"X-Request-Id": "its", "X-Own": "1"})
    )
    asked = ask(service.front(), "/own")
    assert (asked.headers["x-request-id"], asked.headers["x-own"]) == ("its", "1")


def test_each_request_is_counted_once(service: Service) -> None:
    front = service.front()
    for path in (
        "/prediction/?f=1",
        "/prediction?f=9",
        "/prediction/",
        "/isAlive",
        "/model",
        "/no",
    ):
        ask(front, path)
    ask(front, "/prediction/?f=1", REQUEST_METHOD="HEAD")
    ask(front, "/isAlive", REQUEST_METHOD="POST")
    ask(front, "/model", REQUEST_METHOD="PROPFIND")
    counts = {
        name[1:]: value
        for name, value in service.samples().items()
        if name[0] == "http_request_duration_seconds_count"
    }
    assert counts == {
        ("/prediction/", "GET", "2xx"): 2,
        ("/prediction/", "HEAD", "2xx"): 1,
        ("/prediction/", "GET", "4xx"): 1,
        ("/isAlive", "GET", "2xx"): 1,
        ("/model", "GET", "2xx"): 1,
        ("other", "GET", "4xx"): 1,
        ("other", "POST", "4xx"): 1,
        ("other", "other", "4xx"): 1,
    }
    samples = service.samples()
    assert samples["predictions_total",] == 3
    assert samples["prediction_input_out_of_range_total", "f"] == 1


def test_each_request_is_logged_once_and_probes_are_not(service: Service) -> None:
    front = service.front()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ask(front, "/prediction/?f=1", HTTP_X_REQUEST_ID="a", HTTP_TRACEPARENT=trace)
    ask(front, "/prediction/?f=", HTTP_X_REQUEST_ID="b")
    ask(front, "/nope?secret=1", REQUEST_METHOD="POST", HTTP_X_REQUEST_ID="c")
    for path in ("/isAlive", "/metrics", "/v2/health/live", "/v2/health/ready"):
        assert ask(front, path).status == 200
    ask(front, "/v2/health/nothing", HTTP_X_REQUEST_ID="d")
    lines = service.lines()
    assert [(line["request_id"], line["status"], line["path"]) for line in lines] == [
        ("a", 200, "/prediction/"),
        ("b", 400, "/prediction/"),
        ("c", 404, "/nope"),
        ("d", 404, "/v2/health/nothing"),
    ]
    assert lines[0] == lines[0] | {
        "level": "info",
        "method": "GET",
        "bytes": len("[2.]"),
        "remote": "192.0.2.7",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    assert "secret" not in json.dumps(lines)
    assert all(line["bytes"] > 100 for line in lines[1:3])


def test_without_a_request_log(log: PipedLog, service: Service) -> None:
    log.requests = False
    front = service.front()
    ask(front, "/prediction/?f=1")
    ask(front, "/nope")
    assert not log._queue


# Case: (the request, whether the response closes the connection)
LARGE: dict[str, tuple[dict[str, Any], bool]] = {
    "by its length": ({"CONTENT_LENGTH": "101"}, True),
    "by far": ({"CONTENT_LENGTH": "9" * 30}, True),
    "HTTP/2": ({"CONTENT_LENGTH": "101", "SERVER_PROTOCOL": "HTTP/2"}, False),
}


@pytest.mark.parametrize(("changes", "closes"), LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("path", ["/v1/predictions", "/v2/models/model/infer", "/nope"])
def test_a_body_that_is_too_large(
    service: Service, path: str, changes: dict[str, Any], closes: bool
) -> None:
    front = service.front()
    front.app = None  # type: ignore[assignment] # refused before it is called
    asked = ask(front, path, REQUEST_METHOD="POST", **changes)
    assert asked.status == 413
    assert asked.headers.get("connection") == ("close" if closes else None)
    document = json.loads(asked.body)
    sentence = (
        "The body is larger than 100 bytes: send less, or start the service with a greater "
        "PREDICTION_MAX_BODY_BYTES."
    )
    if path.startswith("/v2"):
        assert document == {"error": sentence}
    else:
        assert (document["status"], document["detail"]) == (413, sentence)
        assert document["request_id"] == asked.headers["x-request-id"]


# Ways in which a view may read the body.
READS: dict[str, Callable[[], Iterable[bytes]]] = {
    "all by Flask": lambda: [request.get_data()],
    "parts by Flask": lambda: iter(lambda: request.stream.read(7), b""),
    "lines": lambda: request.environ["wsgi.input"],
    "all lines": lambda: [*request.environ["wsgi.input"].readlines()],
    "all": lambda: [request.environ["wsgi.input"].read()],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("pieces", [1, 10, 11, 5000])
def test_a_body_that_does_not_tell_its_length(
    service: Service, read: Callable[[], Iterable[bytes]], pieces: int
) -> None:
    service.app.add_url_rule("/read", "read", lambda: str(sum(map(len, read()))), methods=["POST"])
    body = io.BytesIO(b"012345678\n" * pieces)
    asked = ask(
        service.front(), "/read",
        REQUEST_METHOD="POST", HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input": body},
    )  # fmt: skip
    if pieces <= 10:
        assert (asked.status, asked.body) == (200, str(10 * pieces).encode())
    else:
        assert (asked.status, json.loads(asked.body)["status"]) == (413, 413)


class Busy:
    """A view whose requests last until `end` is set."""

    def __init__(self, service: Service) -> None:
        self.begun = threading.Semaphore(0)
        self.end = threading.Event()
        service.app.add_url_rule("/busy", "busy", self._view, methods=["GET", "POST"])

    def _view(self) -> str:
        self.begun.release()
        assert self.end.wait(LIMIT)
        return "done"

    def ask(self, front: Front) -> threading.Thread:
        """Start a request; return its thread when the view is running."""
        thread = threading.Thread(target=ask, args=(front, "/busy"), daemon=True)
        thread.start()
        assert self.begun.acquire(timeout=LIMIT)
        return thread


def test_more_than_can_be_worked_on_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    busy = Busy(service)
    front = service.front()
    thread = busy.ask(front)
    refused = ask(front, "/model")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "connection" not in refused.headers
    assert "PREDICTION_CONCURRENCY" in json.loads(refused.body)["detail"]
    for body in ({"CONTENT_LENGTH": "5"}, {"HTTP_TRANSFER_ENCODING": "chunked"}):
        posted = ask(front, "/v1/predictions", REQUEST_METHOD="POST", **body)
        assert (posted.status, posted.headers["connection"]) == (503, "close")
    for path in ("/isAlive", "/prediction/?f=1", "/v2/health/ready", "/metrics"):
        assert ask(front, path).status == 200
    busy.end.set()
    thread.join(LIMIT)
    assert ask(front, "/model").status == 200


@pytest.mark.parametrize("rest", [0, 2 * LIMIT])
def test_one_waits_for_its_turn_while_others_get_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, rest: float
) -> None:
    monkeypatch.setattr(module, "PATIENCE", LIMIT)
    busy = Busy(service)
    front = service.front()
    monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + rest)
    first = busy.ask(front)
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(ask(front, "/model").status))
    waiting.start()
    busy.end.set()
    waiting.join(LIMIT)
    first.join(LIMIT)
    assert answers == [200]


def stream(service: Service, chunks: Iterable[bytes], **options: Any) -> list[str]:
    """Add a view that streams; return a list that gets an item when the stream is closed."""
    closed: list[str] = []

    @stream_with_context
    def generate() -> Iterator[bytes]:
        try:
            yield from chunks
        finally:
            closed.append("closed")

    service.app.add_url_rule("/stream", "stream", lambda: Response(generate(), **options))
    return closed


def test_a_stream_lasts_until_it_is_closed(service: Service) -> None:
    closed = stream(service, [b"one", b"two"])
    front = service.front()
    given, chunks = begin(front, "/stream")
    assert given[0] == "200 OK"
    iterator = iter(chunks)
    assert next(iterator) == b"one"
    assert not front._permits.acquire(blocking=False)
    assert not service.lines()
    assert [*iterator] == [b"two"]
    for _ in range(2):
        chunks.close()  # type: ignore[attr-defined]
    assert closed == ["closed"]
    assert front._permits.acquire(blocking=False)
    assert [(line["path"], line["bytes"]) for line in service.lines()] == [("/stream", 6)]
    assert service.samples()["http_request_duration_seconds_count", "/stream", "GET", "2xx"] == 1


@pytest.mark.parametrize("ends", ["closed", "dropped"])
def test_a_client_that_goes_away_keeps_nothing(service: Service, ends: str) -> None:
    closed = stream(service, [b"one", b"two"])
    front = service.front()
    _, chunks = begin(front, "/stream")
    next(iter(chunks))
    if ends == "closed":
        chunks.close()  # type: ignore[attr-defined]
    del chunks
    assert closed == ["closed"]
    assert front._permits.acquire(blocking=False)
    assert [line["bytes"] for line in service.lines()] == [3]


def test_a_stream_that_breaks_off(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("secret")

    stream(service, chunks())
    front = service.front()
    _, body = begin(front, "/stream", HTTP_X_REQUEST_ID="abc")
    with pytest.raises(RuntimeError):
        b"".join(body)
    body.close()  # type: ignore[attr-defined]
    assert "The answer broke off" in caplog.text
    assert front._permits.acquire(blocking=False)


def test_small_answers_are_lists(service: Service) -> None:
    """The server sends a list in one piece."""
    service.app.add_url_rule("/gone", "gone", lambda: ("", 204))
    front = service.front()
    for path in ("/isAlive", "/prediction/?f=1", "/prediction/", "/nope", "/model", "/gone"):
        assert isinstance(begin(front, path)[1], list)


def test_whatever_the_application_does_not_catch(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("secret")

    front = service.front()
    front.app = fail  # type: ignore[assignment]
    asked = ask(front, "/model", HTTP_X_REQUEST_ID="abc")
    assert (asked.status, json.loads(asked.body)["request_id"]) == (500, "abc")
    assert "secret" not in asked.body.decode()
    assert "RuntimeError: secret" in caplog.text
    assert front._permits.acquire(blocking=False)


def test_errors_are_logged_with_the_requests_id(service: Service) -> None:
    def fail() -> str:
        raise RuntimeError("secret")

    service.app.add_url_rule("/fail", "fail", fail)
    front = service.front()
    handler = Collecting()
    handler.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(handler)
    try:
        for path in ("/fail", "/prediction/?f=13"):
            assert ask(front, path, HTTP_X_REQUEST_ID=f"id{path[1]}").status == 500
    finally:
        logging.getLogger().removeHandler(handler)
    lines = [json.loads(line) for line in handler.lines]
    assert [line["request_id"] for line in lines] == ["idf", "idp"]
    # Later log records do not belong to that request.
    assert not request_id.CURRENT.get()
    assert all("RuntimeError: secret" in line["traceback"] for line in lines)


class Collecting(logging.Handler):
    """A handler that collects the formatted log records."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
