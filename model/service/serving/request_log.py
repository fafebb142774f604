"""The log: one JSON line for each request and for each other log record of the server.

Logging does not block requests: each adds a record to a queue, which a thread of the worker formats
and writes. If standard output is not read fast enough, records are dropped and counted; requests
are never dropped.
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
# The queue's capacity: four times the records per polling interval at 100,000 requests a second.
MOST_RECORDS = 1 << 14
INTERVAL = 0.04  # the polling interval in seconds
# The kernel writes up to this many bytes to a pipe atomically, not interleaved with other
# processes.
WHOLE = select.PIPE_BUF
# The maximum number of characters of client-controlled text; escaped, each takes up to six bytes.
LONGEST = 256
# traceparent: a version, the trace ID, the parent ID and flags.
TRACEPARENT_LENGTH = 55
SERVER_ERROR = 500


# The data of an answered request: the time of its end (time.perf_counter_ns), the duration in
# nanoseconds, its ID, method, path, status, the size of the response's body in bytes, the client's
# address, and its traceparent. A plain tuple for speed: one is created for each request.
Record = tuple[int, int, str, str, str, int, int, str, str | None]


class RequestLog:
    """The log of one server; created before its workers are forked."""

    def __init__(
        self,
        dropped: Callable[[int], object] = lambda _: None,
        *,
        requests: bool = True,
        served_by: str = "",
        descriptor: int = STDOUT,
    ) -> None:
        """Initialize the log.

        dropped: called with the number of dropped lines.
        requests: whether requests are logged, or only other log records.
        served_by: this instance's name.
        descriptor: the file descriptor to write to.
        """
        self.requests = requests
        self._dropped = dropped
        self._served_by = {"served_by": served_by} if served_by else {}
        self._descriptor = descriptor
        self._queue: collections.deque[Record | bytes] = collections.deque()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Start the thread that writes the log; it ends with the process or with `close`."""
        self._queue = collections.deque()
        self._closed = threading.Event()
        # Not a daemon thread, so that the process does not end before everything is written.
        self._thread = threading.Thread(target=self._run, name="request-log")
        self._thread.start()

    def close(self) -> None:
        """Write everything in the queue and end the thread."""
        self._closed.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def add(self, record: Record | bytes) -> None:
        """Add a record, or a formatted line, to the queue."""
        if len(self._queue) < MOST_RECORDS:
            self._queue.append(record)
        else:
            self._dropped(1)

    def write(self, line: bytes) -> None:
        """Write a line through the queue, or directly if no thread is running."""
        if self._thread:
            self.add(line)
        else:
            self._put(line)

    def line(self, record: Record, offset: int) -> bytes:
        """Return the log line of a request.

        offset: nanoseconds to add to time.perf_counter_ns to get the time since the epoch.
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
            # The main thread ends first; everything added until then is written.
            last = self._closed.wait(INTERVAL) or not main.is_alive()
            self._drain()

    def _drain(self) -> None:
        """Write the queue, with as many lines at a time as the kernel writes atomically."""
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
        """Write lines; if the reader is gone, count them as dropped."""
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
    """Formats other log records as JSON lines like those of requests."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its newline."""
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
        # If a text is too long, keep its end, which is the most informative part.
        for name in ("message", "traceback"):
            while len(line) >= WHOLE and len(fields.get(name, "")) > LONGEST:
                fields[name] = "…" + fields[name][len(fields[name]) // 4 + 2 :]
                line = orjson.dumps(fields)
        return line.decode()


class LogHandler(logging.Handler):
    """Writes log records to the request log."""

    def __init__(self, log: RequestLog) -> None:
        """Initialize with the log to write to."""
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            self._log.write(self.format(record).encode() + b"\n")
        except Exception:  # noqa: BLE001 - as every handler of logging
            self.handleError(record)


def timestamp(nanoseconds: int) -> str:
    """Return a time since the epoch in the format of RFC 3339, in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06}Z"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def wire_text(value: str) -> str:
    """Decode text from an HTTP request as UTF-8: WSGI passes bytes as Latin-1."""
    return value if value.isascii() else value.encode("latin-1", "replace").decode(errors="replace")


def text(value: str) -> str:
    """Return the text without surrogates, which JSON cannot represent."""
    return value if value.isascii() else value.encode(errors="replace").decode()
