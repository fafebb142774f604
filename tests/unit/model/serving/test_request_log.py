"""Lines of the log: whole, complete, and never blocking a request."""

import json
import logging
import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from model.service.serving import request_id
from model.service.serving.request_log import (
    MOST_RECORDS,
    WHOLE,
    JsonFormatter,
    LogHandler,
    Record,
    RequestLog,
    timestamp,
)
from support import ROOT

LIMIT = 60.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def record(number: int = 1, path: str = "/a", status: int = 200, **changes: Any) -> Record:
    trace = changes.get("trace")
    method = changes.get("method", "GET")
    return (10**9, 1_500_000, f"id-{number}", method, path, status, 14, "192.0.2.7", trace)


def test_a_line() -> None:
    log = RequestLog(served_by="pod-1")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    line = log.line(record(status=503, trace=trace), 1_750_000_000 * 10**9 + 5_000)
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "time": "2025-06-15T15:06:41.000005Z",
        "level": "error",
        "logger": "request",
        "request_id": "id-1",
        "method": "GET",
        "path": "/a",
        "status": 503,
        "duration_ms": 1.5,
        "bytes": 14,
        "remote": "192.0.2.7",
        "served_by": "pod-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


def test_what_is_not_known_is_left_out() -> None:
    line = json.loads(RequestLog().line(record(trace="00-abc"), 0))
    assert line["level"] == "info"
    assert not {"served_by", "trace_id"} & set(line)


# Paths that a client may send: (as in WSGI, as logged)
PATHS = {
    "quotes": ('/"\\', '/"\\'),
    "control characters": ("/\r\n\0{}", "/\r\n\0{}"),
    "UTF-8": ("/gr\xc3\xbcn", "/grün"),
    "no UTF-8": ("/\xff", "/�"),
    "beyond bytes": ("/\ud800\u2713", "/??"),
    "long": ("/" + "\0" * 10_000, "/" + "\0" * 255),
}


@pytest.mark.parametrize(("path", "logged"), PATHS.values(), ids=PATHS)
def test_whatever_is_in_a_path_a_line_is_one_line(path: str, logged: str) -> None:
    line = RequestLog(served_by="~" * 253).line(record(path=path, method=path, trace=path * 60), 0)
    assert line.count(b"\n") == 1
    assert len(line) <= WHOLE
    assert json.loads(line)["path"] == logged


def test_all_is_written_when_it_is_closed(pipe: tuple[int, int]) -> None:
    log = RequestLog(descriptor=pipe[1])
    log.start()
    for number in range(100):
        log.add(record(number))
    log.write(b'{"own":1}\n')
    log.close()
    lines = read(pipe[0])
    assert [line.get("request_id") for line in lines[:-1]] == [f"id-{n}" for n in range(100)]
    assert lines[-1] == {"own": 1}


def read(descriptor: int) -> list[dict[str, Any]]:
    assert select.select([descriptor], [], [], LIMIT)[0]
    return [json.loads(line) for line in os.read(descriptor, 1 << 20).splitlines()]


def test_what_there_is_no_room_for_is_dropped_and_counted(pipe: tuple[int, int]) -> None:
    dropped: list[int] = []
    log = RequestLog(dropped.append, descriptor=pipe[1])
    for number in range(MOST_RECORDS + 5):
        log.add(record(number))
    assert sum(dropped) == 5
    assert len(log._queue) == MOST_RECORDS


def test_nobody_waits_for_a_reader_that_does_not_read(pipe: tuple[int, int]) -> None:
    """Only the log's thread waits; it continues when there is a reader."""
    dropped: list[int] = []
    log = RequestLog(dropped.append, descriptor=pipe[1])
    log.start()
    sent = 4 * MOST_RECORDS
    for number in range(sent):
        log.add(record(number))
    received = bytearray()
    reader = threading.Thread(target=lambda: received.extend(drained(pipe[0])))
    reader.start()
    log.close()
    os.close(pipe[1])
    reader.join(LIMIT)
    assert dropped
    assert received.count(b"\n") + sum(dropped) == sent


def drained(descriptor: int) -> bytes:
    """Return everything that is written until the pipe has no writer."""
    return b"".join(iter(lambda: os.read(descriptor, 1 << 20), b""))


def test_a_reader_that_has_gone(pipe: tuple[int, int]) -> None:
    dropped: list[int] = []
    log = RequestLog(dropped.append, descriptor=pipe[1])
    log.start()
    os.close(pipe[0])
    for number in range(50):
        log.add(record(number))
    log.close()
    assert sum(dropped) == 50


def test_a_descriptor_that_does_not_wait(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    log = RequestLog(descriptor=pipe[1])
    received = bytearray()
    reader = threading.Thread(target=lambda: received.extend(drained(pipe[0])))
    for number in range(1000):
        log.add(record(number))
    writer = threading.Thread(target=log._drain)
    writer.start()
    reader.start()
    writer.join(LIMIT)
    os.close(pipe[1])
    reader.join(LIMIT)
    assert received.count(b"\n") == 1000


# Several processes that write to the same output; none of them closes its log.
WORKERS = """
import multiprocessing
from model.service.serving.request_log import RequestLog

log = RequestLog()

def work(worker):
    log.start()
    for number in range(3000):
        log.add((0, 1, f"{worker}-{number}", "GET", "/" + "x" * (number % 90), 200, 1, "", None))

multiprocessing.set_start_method("fork")
workers = [multiprocessing.Process(target=work, args=(number,)) for number in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
"""


def test_lines_of_several_workers_are_whole_and_written_before_they_end() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WORKERS], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert run.stderr == b""
    ids = [json.loads(line)["request_id"] for line in run.stdout.splitlines()]
    assert len(ids) == len(set(ids)) == 9000
    for worker in "012":
        own = [int(id_[2:]) for id_ in ids if id_[0] == worker]
        assert own == list(range(3000))


def log_record(message: str, *arguments: object, **changes: Any) -> logging.LogRecord:
    record = logging.LogRecord("_granian", logging.WARNING, "", 0, message, arguments, None)
    record.__dict__.update(changes)
    return record


def formatted(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert len(line) < WHOLE
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_what_is_logged_otherwise() -> None:
    fields = formatted(log_record("Started %s: grün\n", "worker-1"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields.pop("time"))
    assert fields == {
        "level": "warning",
        "logger": "granian",
        "message": "Started worker-1: grün\n",
    }


def test_the_request_that_is_worked_on_is_named() -> None:
    token = request_id.CURRENT.set("abc")
    try:
        assert formatted(log_record("x"))["request_id"] == "abc"
        assert formatted(log_record("x", request_id="own"))["request_id"] == "own"
    finally:
        request_id.CURRENT.reset(token)
    assert "request_id" not in formatted(log_record("x"))


def exc_info(message: str) -> tuple[type[Exception], Exception, None]:
    return RuntimeError, RuntimeError(message), None


def test_tracebacks_are_fields() -> None:
    fields = formatted(log_record("x", exc_info=exc_info("\ud800 secret")))
    assert fields["traceback"].startswith("RuntimeError")
    assert fields["traceback"].endswith("RuntimeError: ? secret")


def test_of_what_is_too_long_the_end_is_kept() -> None:
    assert formatted(log_record("\n" * 9_000 + "end"))["message"].endswith("\nend")
    fields = formatted(log_record("message", exc_info=exc_info("x" * 9_000 + "end")))
    assert fields["message"] == "message"
    assert fields["traceback"].endswith("xend")


def test_what_is_logged_otherwise_takes_its_turn(pipe: tuple[int, int]) -> None:
    log = RequestLog(descriptor=pipe[1])
    handler = LogHandler(log)
    handler.setFormatter(JsonFormatter())
    handler.handle(log_record("at once"))
    assert read(pipe[0])[0]["message"] == "at once"
    log.start()
    log.add(record())
    handler.handle(log_record("then"))
    log.close()
    lines = read(pipe[0])
    assert [line["logger"] for line in lines] == ["request", "granian"]


def test_a_record_that_cannot_be_logged_breaks_nothing(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    handler = LogHandler(RequestLog(descriptor=pipe[1]))
    handler.setFormatter(JsonFormatter())
    handler.handle(log_record("%d", "x"))
    assert "TypeError" in capsys.readouterr().err


def test_timestamps() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert timestamp(951_782_400 * 10**9 - 1) == "2000-02-28T23:59:59.999999Z"
