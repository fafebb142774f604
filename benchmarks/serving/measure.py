"""The measurements of one server, from its start to its stop."""

from __future__ import annotations

import http.client
import socket
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks.serving import questions
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.load import CONNECTIONS, connections_for
from benchmarks.serving.processes import Server, free_port
from benchmarks.serving.servers import LINEAR, OURS, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks import wrk
    from benchmarks.serving.load import Generator
    from benchmarks.serving.preparation import Prepared
    from benchmarks.serving.questions import Form, Question
    from benchmarks.serving.servers import Kind

READY_AT_MOST = 120.0
ANSWER_AT_MOST = 60.0
LOOK_EVERY = 0.005
WARM_UP = 1.0
# The minimum number of responses per connection, and the factor by which the duration may be
# extended to get them.
ENOUGH = 10
TIMES_LONGER = 4
# The number of different requests in the load.
DIFFERENT = 256
CHECKED = 64
BATCHES = (1_000, 10_000)
STEADY = 200
FAST = 5_000
# The rate FAST is measured only if the rate at saturation is more than this many times as high.
ROOM = 1.2
# Data in flight is bounded, which shows only with more data than this bound.
STREAMED = (1_000_000, 2_500_000, 5_000_000)
STREAM_AT_MOST = 120.0
MEMORY_LOOK_EVERY = 0.05
MICRO, NANO, MEGA = 1e6, 1e9, 1e6

Figures = dict[str, float]


def answer(port: int, question: Question, timeout: float = ANSWER_AT_MOST) -> bytes:
    """Return the response to one request.

    Raises MeasurementError unless the status is 200, OSError if there is no response.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        body = question.body.encode() or None
        connection.request(question.method, question.path, body, question.headers)
        response = connection.getresponse()
        content = response.read()
    if response.status != http.HTTPStatus.OK:
        raise MeasurementError(
            f"{question.path[:80]} was answered with status {response.status}: {content[:500]!r}"
        )
    return content


def check(port: int, form: Form, model: Prepared, start: int, stop: int) -> None:
    """Request predictions for some rows and compare them. Raises MeasurementError."""
    content = answer(port, form.ask(questions.part(model.columns, start, stop)))
    try:
        found = form.read(content)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise MeasurementError(f"an answer cannot be read: {content[:500]!r}") from error
    if fault := questions.wrong(found, model.predictions[start:stop]):
        raise MeasurementError(f"an answer is wrong: {fault}")


@dataclass
class Contest:
    """What is common to the measurements of all servers.

    environments: by name; models: by name; server_cpus: the CPUs on which servers run.
    """

    environments: Mapping[str, Path]
    models: Mapping[str, Prepared]
    generator: Generator
    server_cpus: Sequence[int]
    seconds: float
    scratch: Path

    def measure(self, kind: Kind, model_name: str, environment: str) -> Figures:
        """Start a server, measure it, and stop it. Raises MeasurementError."""
        model = self.models[model_name]
        with tempfile.TemporaryDirectory(dir=self.scratch, ignore_cleanup_errors=True) as name:
            place = Place(
                self.environments[environment], model.folder, Path(name), free_port(), model_name
            )
            try:
                start = kind.start(place)
                server = Server(
                    start.command,
                    start.folder,
                    {**place.variables, **start.variables},
                    place.folder / "log",
                    self.server_cpus,
                )
                began = time.perf_counter()
                with server:
                    run = Run(self, kind, model, model_name, server, place.port)
                    figures = run.ready(began)
                    try:
                        figures |= run.singles()
                        if model_name == LINEAR:
                            figures |= run.batches() | run.stream()
                    except MeasurementError as error:
                        words = server.last_words()
                        raise MeasurementError(f"{error}\nIt wrote: {words}") from error
            except (MeasurementError, OSError, http.client.HTTPException) as error:
                raise MeasurementError(f"{kind.name}, {model_name}: {error}") from error
        return figures


@dataclass
class Run:
    """A running server."""

    contest: Contest
    kind: Kind
    model: Prepared
    model_name: str
    server: Server
    port: int

    @property
    def form(self) -> Form:
        """The form of requests for one row."""
        return self.kind.single[self.model_name]

    def ready(self, began: float) -> Figures:
        """Send requests until a response is right; return the times. Raises MeasurementError."""
        fault = "nobody answered"
        while time.perf_counter() < began + READY_AT_MOST:
            self.server.check_running()
            try:
                check(self.port, self.form, self.model, 0, 1)
            except (MeasurementError, OSError, http.client.HTTPException) as error:
                fault = str(error)
                time.sleep(LOOK_EVERY)
            else:
                return {"start_s": time.perf_counter() - began}
        raise MeasurementError(
            f"not ready within {READY_AT_MOST:.0f} s ({fault}); it wrote: "
            f"{self.server.last_words()}"
        )

    def singles(self) -> Figures:
        """Measure predictions of one row: at saturation, then at the same constant rates."""
        self._check_singles()
        asked = [
            self.form.ask(questions.part(self.model.columns, index, index + 1))
            for index in range(DIFFERENT)
        ]
        self.contest.generator.saturate(asked, self.port, WARM_UP, CONNECTIONS)
        counts, cpu = self._saturated(asked, CONNECTIONS)
        figures = {
            "cpu_us": cpu / counts.answered * MICRO,
            "rate": counts.rate,
            "p50_ms": counts.p50_ms,
            "p99_ms": counts.p99_ms,
        }
        if self.model_name == LINEAR:
            figures |= self._steady(asked, STEADY)
            if counts.rate > FAST * ROOM:
                figures |= self._steady(asked, FAST)
        figures["memory_mb"] = self.server.memory_bytes() / MEGA
        self._check_singles()
        return figures

    def _saturated(self, asked: Sequence[Question], connections: int) -> tuple[wrk.Counts, float]:
        """Return the counts and the CPU seconds at saturation.

        The load lasts longer if few requests are answered, as those in flight at its end are not
        counted.
        """
        seconds = self.contest.seconds
        while True:
            before = self.server.cpu_seconds()
            counts = self.contest.generator.saturate(asked, self.port, seconds, connections)
            cpu = self.server.cpu_seconds() - before
            if counts.answered >= ENOUGH * connections:
                return counts, cpu
            if seconds >= self.contest.seconds * TIMES_LONGER:
                break
            seconds *= 2
        if not counts.answered:
            raise MeasurementError(f"nothing was answered within {seconds:.0f} s")
        return counts, cpu

    def _steady(self, asked: Sequence[Question], rate: int) -> Figures:
        found = self.contest.generator.steady(asked, self.port, self.contest.seconds, rate)
        if found.share_answered < 1:
            raise MeasurementError(
                f"{1 - found.share_answered:.1%} of {rate} requests a second were not answered"
            )
        return {
            f"p50_ms_at_{rate}": found.p50_ms,
            f"p99_ms_at_{rate}": found.p99_ms,
            f"rate_at_{rate}": found.rate,
        }

    def _check_singles(self) -> None:
        for index in range(CHECKED):
            check(self.port, self.form, self.model, index, index + 1)
            if self.kind.exact and self.model_name == LINEAR:
                question = self.form.ask(questions.part(self.model.columns, index, index + 1))
                text = answer(self.port, question).decode().strip()
                if text != self.model.texts[index]:
                    raise MeasurementError(
                        f"an answer is wrong: {text!r}, where numpy prints "
                        f"{self.model.texts[index]!r}"
                    )

    def batches(self) -> Figures:
        """Measure predictions of many rows per request."""
        if self.kind.batch is None:
            return {}
        figures = {}
        for number in BATCHES:
            check(self.port, self.kind.batch, self.model, 0, number)
            asked = [self.kind.batch.ask(questions.part(self.model.columns, 0, number))]
            counts, cpu = self._saturated(asked, connections_for(number))
            rows = counts.answered * number
            figures[f"batch_{number}_ns"] = cpu / rows * NANO
            figures[f"batch_{number}_rate"] = rows / counts.seconds
        return figures

    def stream(self) -> Figures:
        """Measure the server's memory while CSV is streamed through it."""
        if self.kind.name != OURS:
            return {}
        figures: Figures = {}
        for number in STREAMED:
            with MemoryWatch(self.server) as watch:
                before = self.server.cpu_seconds()
                seconds = stream_csv(self.port, self.model, number)
                cpu = self.server.cpu_seconds() - before
            figures |= {
                f"stream_{number}_mb": watch.peak / MEGA,
                f"stream_{number}_ns": cpu / number * NANO,
                f"stream_{number}_rate": number / seconds,
            }
        return figures


class MemoryWatch:
    """Samples a server's memory in the background and keeps the peak."""

    def __init__(self, server: Server) -> None:
        """Initialize with the server to watch."""
        self.peak = 0
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread."""
        self._ended.set()
        self._thread.join(timeout=ANSWER_AT_MOST)

    def _run(self) -> None:
        while True:
            self.peak = max(self.peak, self._server.memory_bytes())
            if self._ended.wait(MEMORY_LOOK_EVERY):
                return


def csv_blocks(model: Prepared, number: int) -> Iterator[bytes]:
    """Yield a CSV document with this many rows, in blocks; the model's rows are repeated."""
    yield (",".join(model.columns) + "\r\n").encode()
    lines = [",".join(map(str, row)) + "\r\n" for row in questions.rows(model.columns)]
    block = "".join(lines).encode()
    for _ in range(number // len(lines)):
        yield block
    yield "".join(lines[: number % len(lines)]).encode()


def stream_csv(port: int, model: Prepared, number: int) -> float:
    """Send CSV while reading and comparing the response; return the seconds taken.

    Raises MeasurementError.
    """
    length = sum(map(len, csv_blocks(model, number)))
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=STREAM_AT_MOST) as connection:
        connection.sendall(
            f"POST /v1/predictions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: text/csv\r\n"
            f"Accept: text/csv\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()
        )
        sender = threading.Thread(
            target=_send, args=(connection, csv_blocks(model, number)), daemon=True
        )
        sender.start()
        try:
            with closing(http.client.HTTPResponse(connection, method="POST")) as response:
                response.begin()
                if response.status != http.HTTPStatus.OK:
                    raise MeasurementError(
                        f"CSV was answered with status {response.status}: {response.read(500)!r}"
                    )
                _compare(response, model, number)
        except (OSError, http.client.HTTPException) as error:
            raise MeasurementError(f"CSV was not answered: {error}") from error
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            sender.join(timeout=ANSWER_AT_MOST)
    return time.perf_counter() - began


def _send(connection: socket.socket, blocks: Iterator[bytes]) -> None:
    # Errors are noticed by the reader of the response.
    with suppress(OSError):
        for block in blocks:
            connection.sendall(block)


def _compare(answer: http.client.HTTPResponse, model: Prepared, number: int) -> None:
    if not answer.readline().startswith(b"prediction"):
        raise MeasurementError("the CSV answer has no column `prediction`")
    lines: list[bytes] = []
    for right in model.predictions[:number]:
        lines.append(answer.readline())
        if fault := questions.wrong([float(lines[-1].split(b",", 1)[0] or "nan")], [right]):
            raise MeasurementError(f"line {len(lines) + 1} of the CSV answer is wrong: {fault}")
    # The rows are repeated, and so are their predictions.
    block = b"".join(lines)
    for start in range(len(lines), number, len(lines)):
        again = block if number - start >= len(lines) else b"".join(lines[: number - start])
        if answer.read(len(again)) != again:
            raise MeasurementError(
                f"the CSV answer is wrong after {start} rows: the same rows had other predictions"
            )
    if more := answer.read(100):
        raise MeasurementError(f"the CSV answer has more than {number} rows: {more!r}")
