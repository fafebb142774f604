"""wrk's report, and the real wrk against a server with known errors."""

import contextlib
import http.server
import threading

import pytest

from benchmarks import wrk
from support import loopback, ports

COUNTS = (
    'counts: {"sent": 10, "answered": 7, "connect": 1, "read": 2, "write": 0, "timeout": 0, '
    '"status": 1, "wrong": 0, "example": "HTTP status \\u0035\\u0030\\u0033", "seconds": 2.0, '
    '"p50_ms": 0.5, "p99_ms": 1.5, "max_ms": 3.0}'
)


def test_parse_takes_the_line_of_counts():
    counts = wrk.parse(f"Running 2s test\n  10 requests in 2.00s\n{COUNTS}\n")
    assert (counts.sent, counts.read, counts.p99_ms) == (10, 2, 1.5)
    assert counts.example == "HTTP status 503"


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        ("", "wrk ended without counts: it said nothing"),
        ("unable to connect to 127.0.0.1:1\n", "unable to connect to 127.0.0.1:1$"),
    ],
)
def test_parse_without_counts(report, sentence):
    with pytest.raises(wrk.LoadError, match=sentence):
        wrk.parse(report)


@pytest.mark.parametrize(
    ("counts", "unanswered", "lost", "causes"),
    [
        (wrk.Counts(sent=5, answered=5), 0, 0, ""),
        (wrk.Counts(sent=5, answered=4), 1, 1, "1 unanswered"),
        (wrk.Counts(sent=5, answered=3, read=1, write=1), 0, 2, "1 read, 1 write"),
        # A connection that breaks between two requests counts as lost, too.
        (wrk.Counts(sent=5, answered=5, read=1), 0, 1, "1 read"),
        (wrk.Counts(sent=0, connect=8), 0, 8, "8 connect"),
        (wrk.Counts(sent=5, answered=5, status=2, example="HTTP status 500"), 0, 2,
         "2 status (HTTP status 500)"),
        (wrk.Counts(sent=5, answered=5, wrong=1, timeout=1, example="x"), 0, 2,
         "1 timeout, 1 wrong (x)"),
    ],
)  # fmt: skip
def test_lost(counts, unanswered, lost, causes):
    assert (counts.unanswered, counts.lost, counts.causes()) == (unanswered, lost, causes)


def test_attempts_are_more_than_what_was_sent_where_no_connection_is_made():
    assert wrk.Counts(sent=5, answered=4).attempts == 5
    assert wrk.Counts(sent=5, answered=3, read=900).attempts == 903


def test_rate():
    assert wrk.Counts(answered=50, seconds=2.0).rate == 25.0
    assert wrk.Counts().rate == 0.0


def test_total_sums_counts_and_keeps_the_longest_times():
    parts = [
        wrk.Counts(sent=2, answered=1, read=1, seconds=2.0, max_ms=5.0),
        wrk.Counts(sent=3, answered=3, wrong=1, example="no", seconds=3.0, max_ms=4.0),
    ]
    assert wrk.total(parts) == wrk.Counts(
        sent=5, answered=4, read=1, wrong=1, example="no", seconds=3.0, max_ms=5.0
    )
    assert wrk.total([]) == wrk.Counts()


@pytest.mark.parametrize("url", ["http://192.0.2.1:80/", "http://localhost/", "https://127.0.0.1/"])
def test_load_stays_on_this_machine(url):
    with pytest.raises(wrk.LoadError, match="no load is sent there"):
        wrk.Load(url, "")


def test_wrk_that_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(wrk.LoadError, match="wrk is missing"), wrk.Load("http://127.0.0.1/", ""):
        pass


class Erring(http.server.BaseHTTPRequestHandler):
    """Fails request 100 in the way that the path names."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()

    def do_GET(self):
        self.server.asked += 1
        kind = self.path if self.server.asked == 100 else ""
        if kind == "/break":
            self.close_connection = True
            return
        if kind == "/hang":
            self.release.wait(60)
        body = b"no" if kind == "/wrong" else b"[199.6]"
        self.send_response(503 if kind == "/status" else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.headers["Connection"] == "close":
            self.server.closed += 1
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def erring():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Erring)
    server.asked = server.closed = 0
    server.handle_error = lambda *_: None
    with loopback.answering(server):
        try:
            yield server
        finally:
            Erring.release.set()


def load_on(server, path, **options):
    url = f"http://127.0.0.1:{server.server_port}{path}"
    return wrk.Load(url, "[199.", connections=2, pause=0.001, **options)


def test_each_lost_request_is_counted():
    causes = {
        "/": "",
        "/break": "1 read",
        "/hang": "1 unanswered",
        "/wrong": "1 wrong (no)",
        "/status": "1 status (HTTP status 503)",
    }
    Erring.release.clear()
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(erring()) for _ in causes]
        anew = stack.enter_context(erring())

        def until_asked():
            patience = threading.Event()
            while any(server.asked < 150 for server in (*servers, anew)):
                patience.wait(0.05)

        loads = [load_on(server, path) for server, path in zip(servers, causes, strict=True)]
        loads.append(load_on(anew, "/", keep_alive=False))
        *kept, counts = wrk.under_load(loads, until_asked, lead=0)

    assert [one.causes() for one in kept] == list(causes.values())
    assert [one.lost for one in kept] == [bool(cause) for cause in causes.values()]
    assert [one.sent for one in kept] == [server.asked for server in servers]
    assert not any(server.closed for server in servers)

    assert counts.lost == 0
    assert counts.answered == anew.closed >= 150


def test_nobody_listens():
    load = wrk.Load(f"http://127.0.0.1:{ports.closed()}/", "")
    with pytest.raises(wrk.LoadError, match="wrk ended too early: unable to connect"):
        wrk.under_load([load], lambda: None, lead=0.5)


def test_wrk_is_ended_when_the_action_fails():
    def fail():
        raise RuntimeError

    with erring() as server:
        load = load_on(server, "/")
        with pytest.raises(RuntimeError):
            wrk.under_load([load], fail, lead=0)
    assert load._running().poll() is not None
    assert not load._folder.exists()


def test_a_load_that_was_not_started():
    with pytest.raises(wrk.LoadError, match="was not started"):
        wrk.Load("http://127.0.0.1/", "").counts()
