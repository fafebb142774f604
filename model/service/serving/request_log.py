"""The log: one JSON line for each request, and for whatever else the server says.

Requests are not held up by it: they leave a record, which a thread of the worker turns into
a line. If lines are not taken from standard output as fast as they come, records are
dropped and counted; requests are not.
"""

import collections
import functools
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson

from model.service.serving import request_id

STDOUT = 1
# Of the queue: four times what comes between two looks at it at 100,000 requests a second.
MOST_RECORDS = 1 << 14
INTERVAL = 0.04  # seconds between two looks
# What the kernel writes into a pipe at once: no other process's line comes in between.
WHOLE = select.PIPE_BUF
# Characters of what a client may make as long as it likes; escaped, one is up to six bytes.
LONGEST = 256
# traceparent: a version, the trace's id, its parent's, and flags.
TRACEPARENT_LENGTH = 55
SERVER_ERROR = 500


# What is known of a request when it has been answered: when that was, as time.perf_counter_ns
# tells it, the nanoseconds it took, its id, method, path, status, the bytes of the answer's
# body, the client's address, and its traceparent. A plain tuple: it is made for each request.
Record = tuple[int, int, str, str, str, int, int, str, str | None]


class RequestLog:
    """The log of one server; made before its workers are forked."""

    def __init__(
        self,
        dropped: Callable[[int], object] = lambda _: None,
        *,
        requests: bool = True,
        served_by: str = "",
        descriptor: int = STDOUT,
    ) -> None:
        """Take what counts dropped lines, and where to write.

        requests: whether requests are logged, or only what is logged otherwise.
        served_by: this instance's name.
        """
        self.requests = requests
        self._dropped = dropped
        self._served_by = {"served_by": served_by} if served_by else {}
        self._descriptor = descriptor
        self._queue: collections.deque[Record | bytes] = collections.deque()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Write from now on in a thread, which ends with the process or `close`."""
        self._queue = collections.deque()
        self._closed = threading.Event()
        # No daemon: the process does not end before all is written.
        self._thread = threading.Thread(target=self._run, name="request-log")
        self._thread.start()

    def close(self) -> None:
        """Write all that is there and end the thread."""
        self._closed.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def add(self, record: Record | bytes) -> None:
        """Take a record, or a line as it is."""
        if len(self._queue) < MOST_RECORDS:
            self._queue.append(record)
        else:
            self._dropped(1)

    def write(self, line: bytes) -> None:
        """Write a line in its turn, at once where no thread runs."""
        if self._thread:
            self.add(line)
        else:
            self._put(line)

    def line(self, record: Record, offset: int) -> bytes:
        """Return the line of a request.

        offset: what is to be added to time.perf_counter_ns for the time of day.
        """
        ended, nanoseconds, id_, method, path, status, size, remote, traceparent = record
        fields: dict[str, Any] = {
            "time": timestamp(ended + offset),
            "level": "info" if status < SERVER_ERROR else "error",
            "logger": "request",
            "request_id": id_,
            "method": wire_text(method[:LONGEST]),
            "path": wire_text(path[:LONGEST]),
            "status": status,
            "duration_ms": nanoseconds / 1e6,
            "bytes": size,
            "remote": remote,
            **self._served_by,
        }
        if traceparent and len(traceparent) >= TRACEPARENT_LENGTH:
            fields["trace_id"] = wire_text(traceparent[3:35])
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)

    def _run(self) -> None:
        main = threading.main_thread()
        last = False
        while not last:
            # The main thread ends first; what was added until then is written.
            last = self._closed.wait(INTERVAL) or not main.is_alive()
            self._drain()

    def _drain(self) -> None:
        """Write what is in the queue, as many lines at once as are not divided."""
        queue = self._queue
        offset = time.time_ns() - time.perf_counter_ns()
        lines: list[bytes] = []
        size = 0
        while queue:
            record = queue.popleft()
            line = record if isinstance(record, bytes) else self.line(record, offset)
            if size + len(line) > WHOLE:
                self._put(b"".join(lines))
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        self._put(b"".join(lines))

    def _put(self, lines: bytes) -> None:
        """Write some lines; when nobody reads them, count them as dropped."""
        left = lines
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:
                    select.select([], [self._descriptor], [])
        except OSError:
            self._dropped(left.count(b"\n"))


class JsonFormatter(logging.Formatter):
    """Anything that is logged otherwise, as a line of the same kind."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = {
            "time": timestamp(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "logger": record.name.lstrip("_"),
            "message": text(record.getMessage()),
        }
        if id_ := getattr(record, "request_id", "") or request_id.CURRENT.get():
            fields["request_id"] = id_
        if record.exc_info:
            fields["traceback"] = text(self.formatException(record.exc_info))
        line = orjson.dumps(fields)
        # Of what is too long the end says most.
        for name in ("message", "traceback"):
            while len(line) >= WHOLE and len(fields.get(name, "")) > LONGEST:
                fields[name] = "…" + fields[name][len(fields[name]) // 4 + 2 :]
                line = orjson.dumps(fields)
        return line.decode()


class LogHandler(logging.Handler):
    """Writes what is logged to the request log."""

    def __init__(self, log: RequestLog) -> None:
        """Take where to write."""
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            self._log.write(self.format(record).encode() + b"\n")
        except Exception:  # noqa: BLE001 - as every handler of logging
            self.handleError(record)


def timestamp(nanoseconds: int) -> str:
    """Return a time since the epoch as RFC 3339 has it, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06}Z"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def wire_text(value: str) -> str:
    """Return what came by HTTP as text: WSGI passes bytes as Latin-1."""
    return value if value.isascii() else value.encode("latin-1", "replace").decode(errors="replace")


def text(value: str) -> str:
    """Return a text that JSON can hold: without surrogates."""
    return value if value.isascii() else value.encode(errors="replace").decode()
