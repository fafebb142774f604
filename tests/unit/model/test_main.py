"""The real server, over a socket: answers, limits, draining, and how it fails to start.

Draining ends with the last connection; where a client stays, the test sets a short limit.
"""

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from model import main
from model.service.serving import healthcheck
from model.service.serving.drain import REFUSE
from model.service.serving.settings import ServerSettings
from support import ROOT, ports

LIMIT = 300.0  # seconds, after which a server is killed and its test fails

# A server whose model takes as long as the test wants: it writes a line to one pipe when a
# request is under way, and answers when it has read one from the other.
SLOW = """
import sys
from model import main
from model.service.serving import app
from model.service.contract.features import Feature

class Slow:
    form, task, outputs, classes = "coefficients", "regression", 1, ()
    features = (Feature(name="f", column="f", kind="number"),)

    def text(self, row):
        with open(sys.argv[1], "w") as begun:
            begun.write("\\n")
        with open(sys.argv[2]) as end:
            end.readline()
        return f"[{row[0]:.0f}.]"

app.load_predictor = lambda _: Slow()
main.main()
"""

# A server with only the packages in the image of a linear model.
BARE = """
import sys
for name in ("numpy", "scipy", "sklearn", "pandas", "skops", "onnxruntime", "matplotlib"):
    sys.modules[name] = None
from model import main
main.main()
"""


class Server:
    """A server process, killed when LIMIT has passed."""

    def __init__(self, *arguments: str | Path, **environment: str | Path) -> None:
        self.port = ports.free()
        settings = {"PREDICTION_HOST": "127.0.0.1", "PORT": self.port} | environment
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments or ("-m", "model.main"))],
            cwd=ROOT,
            env={**os.environ, **{name: str(value) for name, value in settings.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A separate process group, so that its workers can be killed with it.
            start_new_session=True,
        )
        self.output = ""
        self._killer = threading.Timer(LIMIT, self._kill)
        self._killer.start()

    def read_until(self, text: str) -> str:
        """Read the output up to a line with this text, and return that line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return line
        raise AssertionError(f"ended without {text!r}: {self.output}")

    def wait_ready(self) -> None:
        """Return when the first worker has started and a connection is accepted."""
        self.read_until("Started worker-1")
        # A worker logs this just before it listens; the timer limits this loop.
        while self.process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port), LIMIT).close()
                return
        raise AssertionError(f"ended: {self.output}")

    def wait(self) -> int:
        assert self.process.stdout
        self.output += self.process.stdout.read()
        return self.process.wait()

    def close(self) -> None:
        self._killer.cancel()
        self._kill()
        assert self.process.stdout
        self.process.stdout.close()
        self.process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class SlowServer(Server):
    """A server whose requests last until the test ends them."""

    def __init__(self, folder: Path, **environment: str | Path) -> None:
        pipes = folder / "begun", folder / "end"
        for pipe in pipes:
            os.mkfifo(pipe)
        # Opened for reading and writing, so that no open waits for the other side.
        self._begun, self._end = (os.open(pipe, os.O_RDWR) for pipe in pipes)
        super().__init__("-c", SLOW, *pipes, **environment)

    def wait_begun(self) -> None:
        assert select.select([self._begun], [], [], LIMIT)[0], "no request came"

    def end_request(self) -> None:
        os.write(self._end, b"\n")

    def close(self) -> None:
        super().close()
        os.close(self._begun)
        os.close(self._end)


StartServer = Callable[..., Server]


@pytest.fixture(scope="module")
def environment(
    model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str | Path]:
    return {
        "PREDICTION_MODEL_FOLDER": model_folder,
        # Cached bytecode for the many starts, whatever the environment sets.
        "PYTHONPYCACHEPREFIX": tmp_path_factory.mktemp("bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }


@pytest.fixture(scope="module")
def start(environment: dict[str, str | Path]) -> Iterator[StartServer]:
    """Start servers that are ended with the module."""
    with contextlib.ExitStack() as stack:

        def start_server(*arguments: str | Path, **changes: str | Path) -> Server:
            server = Server(*arguments, **{**environment, **changes})
            stack.callback(server.close)
            return server

        yield start_server


@pytest.fixture(scope="module")
def server(start: StartServer) -> Server:
    server = start(PREDICTION_MAX_BODY_BYTES="1000")
    server.wait_ready()
    return server


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Return the answer's status, content type and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    with contextlib.closing(connection):
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"] or "", response.read().decode()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/isAlive", "true"),
        ("/prediction/?f=0.05", "[199.60524718]"),
        ("/prediction?f=-1e3", "[-949283.12689988]"),
    ],
)
def test_answers(server: Server, path: str, text: str) -> None:
    assert ask(server.port, path) == (200, "text/plain; charset=utf-8", text)
    assert ask(server.port, path, "HEAD") == (200, "text/plain; charset=utf-8", "")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/prediction/", 400),
        ("GET", "/prediction/?f=1&f=1", 400),
        ("GET", "/prediction/?f=1e308", 400),
        ("GET", "/prediction/?f=%D9%A3", 400),
        ("GET", "/prediction/?f=%", 400),
        ("GET", "/prediction/?f=" + "9" * 30_000, 400),
        ("GET", "/nope", 404),
        ("GET", "/%2e%2e/%ff", 404),
        ("POST", "/prediction/?f=1", 405),
    ],
    ids=lambda value: str(value)[:24],
)
def test_errors_are_problems(server: Server, method: str, path: str, status: int) -> None:
    answered, content_type, body = ask(server.port, path, method)
    assert (answered, content_type) == (status, "application/problem+json")
    assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /prediction/?f=" + b"9" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /isAlive HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
        b"GET /prediction/?f=\xd9\xa3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\n",
    ],
    ids=["long line", "long header", "bytes beyond ASCII", "version", "TLS", "nothing"],
)
def test_what_is_no_good_request_is_refused_and_the_server_lives(
    server: Server, request_: bytes
) -> None:
    """The service or the server answers with status 4xx, or closes the connection."""
    answered = b""
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as connection:
        # The connection may be reset before everything was sent or read.
        with contextlib.suppress(ConnectionError):
            connection.sendall(request_)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while received := connection.recv(4096):
                answered += received
    assert answered == b"" or answered.startswith(b"HTTP/1.1 4")
    assert ask(server.port, "/isAlive")[2] == "true"


def test_the_log_has_a_line_a_request(server: Server) -> None:
    ask(server.port, "/isAlive?logged=no")
    ask(server.port, "/nope?logged=no")
    line = json.loads(server.read_until("/nope"))
    assert (line["logger"], line["status"], line["path"]) == ("request", 404, "/nope")
    assert "logged=no" not in server.output


def test_an_answer_can_be_found_in_the_log(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    with contextlib.closing(connection):
        connection.request("GET", "/prediction/?f=0.05")
        id_ = connection.getresponse().headers["X-Request-ID"]
    assert json.loads(server.read_until(id_))["request_id"] == id_


class RawConnection:
    """A connection on which the test controls each byte."""

    def __init__(self, port: int, limit: float = LIMIT) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), limit)
        self._answers = self._socket.makefile("rb")

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def send(self, head: str, body: bytes = b"") -> None:
        self._socket.sendall(head.encode().replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)

    def send_rest(self, body: bytes) -> None:
        self._socket.sendall(body)

    def read(self, *, head: bool = False) -> tuple[str, http.client.HTTPMessage, bytes]:
        """Return a response's status, headers and body; a response to HEAD has no body."""
        status = self._answers.readline().decode().split(" ", 2)[1]
        headers = http.client.parse_headers(self._answers)
        return status, headers, b"" if head else self._answers.read(int(headers["Content-Length"]))

    def ended(self) -> bool:
        try:
            return self._answers.read(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def connection(server: Server) -> Iterator[RawConnection]:
    with contextlib.closing(RawConnection(server.port)) as connection:
        yield connection


ALIVE = "GET /isAlive HTTP/1.1\nHost: x"
CHUNKED = (
    "POST /v1/predictions HTTP/1.1\nHost: x\nContent-Type: application/json\n"
    "Transfer-Encoding: chunked"
)
DOCUMENT = b'{"records":[{"f":0.05}]}'


def test_a_connection_is_kept(connection: RawConnection) -> None:
    for path, length in (("/prediction/?f=0.05", "14"), ("/isAlive", "4"), ("/prediction/", None)):
        for method in ("GET", "HEAD", "GET"):
            connection.send(f"{method} {path} HTTP/1.1\nHost: x")
            status, headers, body = connection.read(head=method == "HEAD")
            assert status == ("200" if length else "400")
            assert headers["Content-Length"] == (length or headers["Content-Length"])
            assert len(body) == (0 if method == "HEAD" else int(headers["Content-Length"]))
            assert headers["Connection"] is None
    # A GET request with a body.
    connection.send("GET /prediction/?f=0.05 HTTP/1.1\nHost: x\nContent-Length: 5", b"12345")
    assert connection.read()[2] == b"[199.60524718]"
    connection.send(f"{CHUNKED}", b"%x\r\n%b\r\n0\r\n\r\n" % (len(DOCUMENT), DOCUMENT))
    assert json.loads(connection.read()[2]) == {"predictions": [pytest.approx(199.6, abs=0.01)]}
    connection.send(ALIVE)
    assert connection.read()[2] == b"true"


@pytest.mark.parametrize("sent", [0, 400, 1001, 300_000])
def test_a_body_that_is_too_large_is_not_taken_for_a_request(
    connection: RawConnection, sent: int
) -> None:
    """It is refused before it is read, and the connection ends."""
    request = b"GET /isAlive HTTP/1.1\r\nHost: x\r\n\r\n"
    body = (request * (sent // len(request) + 1))[:sent]
    with contextlib.suppress(ConnectionError):
        connection.send("POST /v1/predictions HTTP/1.1\nHost: x\nContent-Length: 300000", body)
    status, headers, answer = connection.read()
    assert (status, headers["Connection"]) == ("413", "close")
    assert "PREDICTION_MAX_BODY_BYTES" in json.loads(answer)["detail"]
    assert connection.ended()


def test_a_body_without_a_length_is_cut_off(connection: RawConnection) -> None:
    chunk = b"1f4\r\n" + b" " * 500 + b"\r\n"
    connection.send(CHUNKED, 3 * chunk)
    assert connection.read()[0] == "413"


@pytest.mark.parametrize(
    "request_",
    [
        "POST /nope HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6",
        "POST /nope HTTP/1.1\nHost: x\nContent-Length: -5",
        "POST /nope HTTP/1.1\nHost: x\nContent-Length: x",
        "POST /nope HTTP/1.1\nHost: x\nTransfer-Encoding: x",
        "GET /nope HTTP/1.1\nHost: x\nA B: c",
        "GET /no pe HTTP/1.1\nHost: x",
    ],
)
def test_the_server_itself_refuses(connection: RawConnection, request_: str) -> None:
    connection.send(request_, b"12345")
    assert connection.read()[0] == "400"
    assert connection.ended()


def test_a_server_that_is_busy_says_so_and_predicts(
    environment: dict[str, str | Path],
) -> None:
    """Clients that do not send the announced body block no thread that predictions need."""
    server = Server(
        **environment, PREDICTION_CONCURRENCY="2", PREDICTION_THREADS="1", WEB_CONCURRENCY="1"
    )
    head = "POST /v1/predictions HTTP/1.1\nHost: x\nContent-Type: application/json\n"
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        server.wait_ready()
        clients = [
            stack.enter_context(contextlib.closing(RawConnection(server.port))) for _ in range(2)
        ]
        for client in clients:
            client.send(f"{head}Content-Length: {len(DOCUMENT)}", DOCUMENT[:5])
        # Until both clients block a thread each, and no request has made progress for a
        # while. granian starts another thread only when two requests wait for one.
        refused: list[http.client.HTTPMessage] = []
        for _ in range(100):
            late = [
                stack.enter_context(contextlib.closing(RawConnection(server.port, 1.0)))
                for _ in range(2)
            ]
            for client in late:
                client.send(f"{head}Content-Length: {len(DOCUMENT)}", DOCUMENT)
            for client in late:
                with contextlib.suppress(TimeoutError):
                    status, headers, _ = client.read()
                    assert status in ("200", "503")
                    refused += [headers] * (status == "503")
            if refused:
                break
        assert (refused[0]["Retry-After"], refused[0]["Connection"]) == ("1", "close")
        assert ask(server.port, "/prediction/?f=0.05")[2] == "[199.60524718]"
        assert ask(server.port, "/v2/health/ready")[0] == 200
        # One client disconnects, the other sends the rest: their threads are free again.
        clients[0].close()
        clients[1].send_rest(DOCUMENT[5:])
        assert clients[1].read()[0] == "200"
        assert {ask(server.port, "/model")[0] for _ in range(3)} == {200}


def test_all_is_served_without_what_only_training_needs(start: StartServer) -> None:
    server = start("-c", BARE)
    server.wait_ready()
    for path in ("/", "/docs", "/model", "/openapi.json", "/metrics", "/v2", "/v2/health/ready"):
        assert ask(server.port, path)[0] == 200
    assert ask(server.port, "/prediction/?f=0.05")[2] == "[199.60524718]"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    with contextlib.closing(connection):
        for path, content_type, body in BATCHES:
            connection.request("POST", path, body, {"Content-Type": content_type})
            response = connection.getresponse()
            assert b"199.605" in response.read()
            assert response.status == 200


BATCHES = [
    ("/v1/predictions", "application/json", DOCUMENT),
    ("/v1/predictions", "application/json", b'{"columns":{"f":[0.05]}}'),
    ("/v1/predictions", "text/csv", b"f\r\n0.05\r\n"),
    (
        "/v2/models/diabetes/infer",
        "application/json",
        b'{"inputs":[{"name":"f","datatype":"FP64","shape":[1],"data":[0.05]}]}',
    ),
]


def test_counts_are_right_whichever_worker_is_asked(start: StartServer) -> None:
    """One worker is killed in between, and its successor continues the counts."""
    server = start(WEB_CONCURRENCY="2")
    pid = int(json.loads(server.read_until("Spawning worker-1"))["message"].rpartition(" ")[2])
    server.wait_ready()
    first = wait_for_workers(server.port, set())
    ask_many(server.port, 400)
    os.kill(pid, signal.SIGKILL)
    server.read_until("Respawning worker-1")
    wait_for_workers(server.port, first)
    ask_many(server.port, 400)
    for _ in range(20):
        text = ask(server.port, "/metrics")[2].splitlines()
        assert "predictions_total 800.0" in text
        labels = '{endpoint="/prediction/",method="GET",status="2xx"}'
        assert f"http_request_duration_seconds_count{labels} 800.0" in text
        labels = labels.replace("2xx", "4xx")
        assert f"http_request_duration_seconds_count{labels} 80.0" in text
        assert 'prediction_input_out_of_range_total{feature="f"} 400.0' in text


def wait_for_workers(port: int, known: set[str]) -> set[str]:
    """Return the names of both workers, once there are two, at least one not in `known`."""
    workers: set[str] = set()
    while len(workers) < 2 or workers == known:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        with contextlib.closing(connection), contextlib.suppress(ConnectionError):
            connection.request("GET", "/isAlive")
            workers.add(connection.getresponse().headers["X-Request-ID"].partition("-")[0])
    return workers


def ask_many(port: int, requests: int) -> None:
    """Send the requests on 20 connections, and a tenth more without a number."""

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        with contextlib.closing(connection):
            for number in range(requests // 20):
                for query in [f"f={number % 2}"] + ["f="] * (number % 10 == 0):
                    connection.request("GET", f"/prediction/?{query}")
                    connection.getresponse().read()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)


def test_healthcheck_against_the_server(server: Server) -> None:
    assert healthcheck.fault(server.port) == ""


def run_healthcheck(port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", healthcheck.__file__],
        env={"PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def test_healthcheck_as_the_image_runs_it(server: Server) -> None:
    assert run_healthcheck(server.port).returncode == 0
    unused = run_healthcheck(ports.closed())
    assert unused.returncode == 1
    assert "Connection refused" in unused.stderr


@pytest.mark.parametrize(
    "answered",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ntrue",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse",
        b"true",
        b"",
    ],
)
def test_healthcheck_against_something_else(answered: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answered)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert "unexpected answer" in healthcheck.fault(listener.getsockname()[1])
        thread.join(LIMIT)


def test_requests_under_way_are_finished_after_sigterm(
    environment: dict[str, str | Path], tmp_path: Path
) -> None:
    # Long enough that only the request's end can end the server.
    server = SlowServer(
        tmp_path, **environment, PREDICTION_DRAIN_SECONDS="1800", PREDICTION_LEAVE_SECONDS="0"
    )
    answers: list[tuple[int, str, str]] = []
    client = threading.Thread(
        target=lambda: answers.append(ask(server.port, "/prediction/?f=7")), daemon=True
    )
    with contextlib.closing(server):
        server.wait_ready()
        client.start()
        server.wait_begun()
        server.process.send_signal(signal.SIGTERM)
        server.read_until("Stopping worker-1")
        assert not answers
        server.end_request()
        assert server.wait() == 0
        client.join(LIMIT)
    assert answers == [(200, "text/plain; charset=utf-8", "[7.]")]


# Per client: 24 clients send 1,000 requests before the server is told to stop.
WARM = 42


class Client:
    """Sends requests, on one connection as long as it is kept, until it is refused."""

    REQUEST = b"GET /prediction/?f=0.05 HTTP/1.1\r\nHost: x\r\n\r\n"

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.warm = threading.Event()
        self.answered = self.told_to_go = 0
        self.lost: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                connection = socket.create_connection(self.address, LIMIT)
            except OSError:
                return
            with connection, connection.makefile("rb") as answers:
                while self._ask(connection, answers):
                    pass

    def _ask(self, connection: socket.socket, answers: BinaryIO) -> bool:
        """Tell whether the connection may be used again."""
        try:
            connection.sendall(self.REQUEST)
            status = answers.readline()
            headers = http.client.parse_headers(answers)
            body = answers.read(int(headers["Content-Length"] or -1))
        except (OSError, TypeError, http.client.HTTPException) as error:
            self.lost.append(repr(error))
            return False
        if (status, body) != (b"HTTP/1.1 200 OK\r\n", b"[199.60524718]"):
            self.lost.append(f"{status!r} {body!r}")
            return False
        self.answered += 1
        if self.answered == WARM:
            self.warm.set()
        self.told_to_go += headers["Connection"] == "close"
        return headers["Connection"] != "close"


@pytest.mark.parametrize("workers", ["1", "3"])
def test_no_request_is_lost_when_it_stops_under_load(start: StartServer, workers: str) -> None:
    # Enough time to tell each client, even on a busy machine.
    server = start(WEB_CONCURRENCY=workers, PREDICTION_LEAVE_SECONDS="3")
    server.wait_ready()
    clients = [Client(server.port) for _ in range(24)]
    assert all(client.warm.wait(LIMIT) for client in clients)
    server.process.send_signal(signal.SIGTERM)
    assert server.wait() == 0, server.output
    for client in clients:
        client.join()
    assert [client.lost for client in clients if client.lost] == []
    assert all(client.told_to_go for client in clients)
    # All of the log is JSON lines, one for each answer.
    lines = [json.loads(line) for line in server.output.splitlines()]
    paths = [line["path"] for line in lines if line["logger"] == "request"]
    assert paths == ["/prediction/"] * sum(client.answered for client in clients)


def test_a_client_that_keeps_its_connection_is_told_to_go(start: StartServer) -> None:
    """Its request during the drain is answered; the server ends when the client has left."""
    # Long enough that only the client's disconnection can end the server.
    server = start(PREDICTION_LEAVE_SECONDS="1800", PREDICTION_DRAIN_SECONDS="1800")
    server.wait_ready()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    with contextlib.closing(connection):
        connection.request("GET", "/isAlive")
        before = connection.getresponse()
        assert (before.read(), before.headers["Connection"]) == (b"true", None)
        server.process.send_signal(signal.SIGTERM)
        server.read_until("Draining connections")
        # The log line comes just before the drain begins; until then, the connection is kept.
        headers: list[str | None] = [None]
        while headers[-1] is None:
            connection.request("GET", "/isAlive")
            response = connection.getresponse()
            assert response.read() == b"true"
            headers.append(response.headers["Connection"])
        assert headers[-1] == "close"
        assert server.wait() == 0


def test_two_requests_at_once_in_the_leave_get_one_answer(start: StartServer) -> None:
    """The first of the pipelined requests is answered; its response closes the connection."""
    server = start(PREDICTION_LEAVE_SECONDS="1800", PREDICTION_DRAIN_SECONDS="1800")
    server.wait_ready()
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as staying:
        server.process.send_signal(signal.SIGTERM)
        server.read_until("Draining connections")
        while "close" not in (answer := pipelined(server.port)):
            assert answer.count("200 OK") == 2
        assert answer.count("200 OK") == 1
        assert answer.endswith("true")
        staying.sendall(b"GET /isAlive HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"connection: close" in staying.recv(4096)
    assert server.wait() == 0


def pipelined(port: int) -> str:
    """Send two requests in one packet and return everything received."""
    answered = b""
    request = b"GET /isAlive HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        connection.sendall(request + b"\r\n" + request + b"X-Last: yes\r\n\r\n")
        # The server closes the connection with the second request unread, which resets it.
        with contextlib.suppress(ConnectionResetError):
            while received := connection.recv(4096):
                answered += received
                if answered.count(b"true") == 2:
                    break
    return answered.decode()


def test_without_a_leave_it_stops_at_once(start: StartServer) -> None:
    server = start(PREDICTION_LEAVE_SECONDS="0")
    server.wait_ready()
    server.process.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Draining" not in server.output


def test_ctrl_c_ends_it_at_once(start: StartServer) -> None:
    """A terminal sends the signal to the workers as well, so no worker is left to drain."""
    server = start(PREDICTION_LEAVE_SECONDS="1800")
    server.wait_ready()
    with socket.create_connection(("127.0.0.1", server.port), LIMIT):
        os.killpg(server.process.pid, signal.SIGINT)
        server.wait()
    assert "Draining" not in server.output


def test_a_request_that_does_not_end_is_cut_off(
    environment: dict[str, str | Path], tmp_path: Path
) -> None:
    server = SlowServer(tmp_path, **environment, PREDICTION_DRAIN_SECONDS="1")
    with contextlib.closing(server):
        server.wait_ready()
        with socket.create_connection(("127.0.0.1", server.port), LIMIT) as connection:
            connection.sendall(b"GET /prediction/?f=7 HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_begun()
            server.process.send_signal(signal.SIGTERM)
            assert server.wait() == 0
            assert connection.recv(1) == b""
    assert "Killing worker-1" in server.output


def test_a_worker_that_dies_is_replaced(start: StartServer) -> None:
    server = start(WEB_CONCURRENCY="2")
    first = json.loads(server.read_until("Spawning worker-1 with PID: "))["message"]
    server.read_until("Started worker-2")
    # For granian, a death within 5.5 seconds of a respawn is a loop; this death is the first.
    os.kill(int(first.rpartition(" ")[2]), signal.SIGKILL)
    server.read_until("Respawning worker-1")
    server.wait_ready()
    assert ask(server.port, "/prediction/?f=0.05")[2] == "[199.60524718]"


def test_sigterm_ends_it_while_it_starts(start: StartServer) -> None:
    program = (
        "import functools, os, signal\n"
        "from model import main\n"
        "main.load_app = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
        "main.main()\n"
    )
    server = start("-c", program)
    assert server.wait() == 0
    assert server.output == ""


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"PREDICTION_MODEL_FOLDER": "/none"},
            "There is no /none/card.json: train the model first with `python -m model.service",
        ),
        ({"PORT": "http"}, "PORT must be a whole number from 1 to 65535, not 'http'.\n"),
        ({"INSTANCE_NAME": "pod\n1"}, "INSTANCE_NAME must be at most 253 printable ASCII"),
        # An address reserved for documentation, which no machine has.
        (
            {"PREDICTION_HOST": "192.0.2.1", "PORT": "8080"},
            "PREDICTION_HOST 192.0.2.1, PORT 8080: Cannot assign requested address",
        ),
    ],
)
def test_it_does_not_start_and_says_why(
    start: StartServer, changes: dict[str, str], complaint: str
) -> None:
    server = start(**changes)
    assert server.wait() == 1
    assert server.output.startswith(complaint)
    assert server.output.count("\n") == 1


def test_it_does_not_share_a_port(start: StartServer, server: Server) -> None:
    second = start(PORT=str(server.port))
    assert second.wait() == 1
    assert second.output.startswith(f"PREDICTION_HOST 127.0.0.1, PORT {server.port}: Address")


@pytest.mark.parametrize(
    ("folder", "file", "complaint"),
    [
        ("model_folder", "card.json", "card.json is not JSON"),
        ("forest_folder", "model.onnx", "is not the file that card.json describes"),
    ],
)
def test_it_does_not_start_on_a_tampered_model(
    start: StartServer,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    *,
    folder: str,
    file: str,
    complaint: str,
) -> None:
    shutil.copytree(request.getfixturevalue(folder), tmp_path, dirs_exist_ok=True)
    with (tmp_path / file).open("ab") as damaged:
        damaged.write(b"x")
    server = start(PREDICTION_MODEL_FOLDER=tmp_path)
    assert server.wait() == 1
    assert complaint in server.output
    assert server.output.count("\n") == 1


def test_each_setting_reaches_the_server(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    class Recorder:
        def __init__(self, settings: ServerSettings, **options: object) -> None:
            given.update(options, leave=settings.leave_seconds, drain=settings.drain_seconds)

        def serve(self, **_: object) -> None:
            """Return at once."""

    port = ports.free()
    for name, value in {
        "PREDICTION_MODEL_FOLDER": str(model_folder),
        "PREDICTION_HOST": "127.0.0.1",
        "PREDICTION_THREADS": "3",
        "PREDICTION_DRAIN_SECONDS": "21",
        "PREDICTION_LEAVE_SECONDS": "2",
        "PREDICTION_CONCURRENCY": "5",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("model.service.serving.server.DrainingServer", Recorder)
    main.load_app.cache_clear()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        main.main()
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(REFUSE, signal.SIG_DFL)
        main.load_app.cache_clear()
    expected = {
        "address": "127.0.0.1",
        "port": port,
        "workers": 2,
        "blocking_threads": 8,
        "workers_kill_timeout": 21,
        "leave": 2,
        "drain": 21,
    }
    assert {name: given[name] for name in expected} == expected


def test_an_ipv6_address_can_be_listened_on() -> None:
    main.check_free("::1", ports.free())


def test_the_app_is_made_once(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICTION_MODEL_FOLDER", str(model_folder))
    main.load_app.cache_clear()
    assert main.load_app() is main.load_app()
    main.load_app.cache_clear()
