"""A steady, bounded load from wrk, with exact counts of lost requests."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCRIPT = Path(__file__).with_name("wrk.lua")
MARK = "counts: "
# Seconds; wrk checks once a second whether it must stop, and a late response may take until the
# timeout.
REQUEST_TIMEOUT = 2
QUIET = 1.0 + REQUEST_TIMEOUT + 0.5
LIMIT = 600


class LoadError(Exception):
    """The load could not be generated, or its counts are missing."""


@dataclass(frozen=True)
class Counts:
    """The results of requests.

    connect, read, write: connections that could not be established or broke; `read` includes
    connections that the server closed after a further request was sent on them;
    timeout: late responses; status: responses with a status of 400 or above; wrong: other
    unexpected responses; example: the last bad response.
    """

    sent: int = 0
    answered: int = 0
    connect: int = 0
    read: int = 0
    write: int = 0
    timeout: int = 0
    status: int = 0
    wrong: int = 0
    example: str = ""
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0

    @property
    def unanswered(self) -> int:
        """The number of requests without a response whose connection was not closed either."""
        return max(0, self.sent - self.answered - self.read - self.write)

    @property
    def lost(self) -> int:
        """The number of requests that did not get the right response in time."""
        failed = self.connect + self.read + self.write + self.timeout + self.status + self.wrong
        return failed + self.unanswered

    @property
    def attempts(self) -> int:
        """The number of attempts, including connections that could not be established."""
        return self.answered + self.connect + self.read + self.write + self.unanswered

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def causes(self) -> str:
        """Return the causes of lost requests, in words."""
        found = [
            f"{getattr(self, name)} {name}"
            for name in ("connect", "read", "write", "timeout", "status", "wrong", "unanswered")
            if getattr(self, name)
        ]
        return ", ".join(found) + (f" ({self.example})" if self.example else "")


def total(parts: Sequence[Counts]) -> Counts:
    """Return the sums of counts, with the maximum of durations and latencies."""
    longest = ("seconds", "p50_ms", "p99_ms", "max_ms")
    values = {
        field.name: (max if field.name in longest else sum)(
            [getattr(part, field.name) for part in parts] or [0]
        )
        for field in fields(Counts)
        if field.name != "example"
    }
    return Counts(**values, example=next((part.example for part in parts if part.example), ""))


def parse(report: str) -> Counts:
    """Return the counts that wrk.lua wrote at the end of wrk's report. Raises LoadError."""
    lines = [line for line in report.splitlines() if line.startswith(MARK)]
    if not lines:
        raise LoadError(f"wrk ended without counts: {report.strip()[-500:] or 'it said nothing'}")
    return Counts(**json.loads(lines[-1].removeprefix(MARK)))


class Load:
    """One client: a running wrk.

    url: an address in 127.0.0.0/8; expected: the required beginning of each response; keep_alive:
    whether connections are reused, or opened for each request; pause: seconds between a response
    and the next request of the connection.
    """

    def __init__(
        self,
        url: str,
        expected: str,
        *,
        keep_alive: bool = True,
        connections: int = 16,
        pause: float = 0.01,
    ) -> None:
        """Initialize with the parameters of the load."""
        if not url.startswith("http://127."):
            raise LoadError(f"{url} is not on this machine: no load is sent there")
        self.keep_alive = keep_alive
        # Only a folder created here is ever removed.
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments = [
            f"--threads={min(2, connections)}",
            f"--connections={connections}",
            f"--duration={LIMIT}s",
            f"--timeout={REQUEST_TIMEOUT}s",
            f"--script={SCRIPT}",
            *([] if keep_alive else ["--header=Connection: close"]),
            url,
        ]
        self._pause, self._expected = pause, expected

    def __enter__(self) -> Self:
        """Start wrk."""
        program = shutil.which("wrk")
        if not program:
            raise LoadError("wrk is missing: scripts/apt-install wrk")
        self._folder = Path(tempfile.mkdtemp(prefix="wrk-"))
        script_arguments = [str(self._stop_file), str(round(self._pause * 1000)), self._expected]
        with self._report_file.open("wb") as output:
            self._process = subprocess.Popen(
                [program, *self._arguments, "--", *script_arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Kill wrk if it is running, and remove its files."""
        process = self._running()
        if process.poll() is None:
            process.kill()
        process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """Send no further requests; those in flight may still be answered."""
        self._stop_file.touch()

    def counts(self) -> Counts:
        """End wrk and return the counts; call `stop` and wait QUIET seconds before."""
        process = self._running()
        if process.poll() is not None:
            raise LoadError(f"wrk ended too early: {self._report_file.read_text().strip()[-500:]}")
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired as error:
            raise LoadError("wrk does not end") from error
        return parse(self._report_file.read_text(errors="replace"))

    @property
    def _stop_file(self) -> Path:
        return self._own_folder() / "stop"

    @property
    def _report_file(self) -> Path:
        return self._own_folder() / "report"

    def _own_folder(self) -> Path:
        if self._folder is None:
            raise LoadError("wrk was not started")
        return self._folder

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise LoadError("wrk was not started")
        return self._process


def under_load(
    loads: Sequence[Load], action: Callable[[], None], lead: float = 2.0
) -> list[Counts]:
    """Return the counts of each load during an action; loads start `lead` seconds before it."""
    with contextlib.ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        time.sleep(lead)
        action()
        for load in loads:
            load.stop()
        time.sleep(QUIET)
        return [load.counts() for load in loads]
