"""Tables of any length through the real server, in a fixed amount of memory."""

import contextlib
import http
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.service.serving.csv_batches import KEPT_BYTES
from support.model_server import LIMIT, ModelServer, serving

PATH = "/v1/predictions"
# Memory for blocks in progress, in addition to the buffered response.
WORKING = 24 << 20
VALUE = "-0.0123456\n"
PIECE = (VALUE * 1000).encode()
# Numbers of rows: with a response that is buffered whole, and with one that is not.
KEPT_ROWS, MORE_ROWS = 1_000_000, 5_000_000


@pytest.fixture(scope="module")
def server(model_folder: Path) -> Iterator[ModelServer]:
    with serving(model_folder, WEB_CONCURRENCY="1") as server:
        yield server


def pieces(rows: int, broken: str = "") -> Iterator[bytes]:
    yield b"f\n"
    for _ in range(rows // 1000):
        yield PIECE
    if broken:
        yield broken.encode()


def begin(server: ModelServer, body: Iterator[bytes]) -> tuple[http.client.HTTPConnection, bytes]:
    """Open a connection and send the headers of a CSV request; return it and the body."""
    data = b"".join(body)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    connection.putrequest("POST", PATH)
    connection.putheader("Content-Type", "text/csv")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    return connection, data


def read_lines(response: http.client.HTTPResponse) -> tuple[int, bytes]:
    """Return how many lines an answer has, and its last bytes."""
    lines, last = 0, b""
    while part := response.read(1 << 16):
        lines += part.count(b"\n")
        last = (last + part)[-200:]
    return lines, last


def test_memory_does_not_depend_on_the_length(server: ModelServer) -> None:
    connection, data = begin(server, pieces(1000))
    with contextlib.closing(connection):
        connection.send(data)
        assert read_lines(connection.getresponse())[0] == 1001
    before = server.peak()

    # The client sends the whole table before it reads.
    connection, data = begin(server, pieces(KEPT_ROWS))
    with contextlib.closing(connection):
        connection.send(data)
        response = connection.getresponse()
        assert response.status == 200
        size = int(response.headers["Content-Length"])
        lines, last = read_lines(response)
        assert lines == KEPT_ROWS + 1
        assert size > 0
    assert last.endswith(b",\n")
    assert server.peak() - before < KEPT_BYTES + WORKING

    # The client reads while it sends.
    connection, data = begin(server, pieces(MORE_ROWS))
    with contextlib.closing(connection):
        sender = threading.Thread(target=connection.send, args=(data,), daemon=True)
        sender.start()
        response = connection.getresponse()
        assert response.headers["Content-Length"] is None
        lines, last = read_lines(response)
        sender.join(LIMIT)
    assert lines == MORE_ROWS + 1
    assert last.endswith(b",\n")
    assert server.peak() - before < KEPT_BYTES + WORKING


def test_what_is_broken_in_the_last_row_is_told(server: ModelServer) -> None:
    """The status tells it, or the last line if the response has begun."""
    connection, data = begin(server, pieces(10_000, '"'))
    with contextlib.closing(connection):
        connection.send(data)
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (
            400,
            "application/problem+json",
        )
        assert b"Line 10002 is not CSV" in response.read()
    connection, data = begin(server, pieces(MORE_ROWS, '"'))
    with contextlib.closing(connection):
        sender = threading.Thread(target=connection.send, args=(data,), daemon=True)
        sender.start()
        response = connection.getresponse()
        assert response.status == 200
        _, last = read_lines(response)
        sender.join(LIMIT)
    assert b"The rows from here on are not answered: Line 5000002 is not CSV" in last


def test_a_client_that_leaves_keeps_nothing(server: ModelServer) -> None:
    """A client that leaves while it sends or reads releases its permit.

    On a busy machine that takes longer than a request waits for a permit: it is turned away, and
    its client may be sending still.
    """
    for rows, answered in ((100_000, False), (KEPT_ROWS, True)):
        for _ in range(12):
            connection, data = begin(server, pieces(rows))
            with contextlib.closing(connection), contextlib.suppress(ConnectionError):
                connection.send(data if answered else data[: len(data) // 2])
                if answered:
                    connection.getresponse().read(10)
    deadline = time.monotonic() + LIMIT
    while not _is_answered(server):
        assert time.monotonic() < deadline, "a permit is missing"


def _is_answered(server: ModelServer) -> bool:
    """Return whether a table is answered; False if the server is busy."""
    connection, data = begin(server, pieces(1000))
    with contextlib.closing(connection):
        connection.send(data)
        response = connection.getresponse()
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            time.sleep(0.1)
            return False
        assert read_lines(response)[0] == 1001
        return True
