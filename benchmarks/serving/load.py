"""Load on a server on this machine: at saturation (wrk), or at a constant rate (vegeta)."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import wrk
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.processes import pinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.serving.questions import Question

SCRIPT = Path(__file__).with_name("saturate.lua")
CONNECTIONS = 32
# Rows in flight on all connections: enough to keep the servers busy, but not many, since requests
# in flight at the end are not counted.
ROWS_UNDER_WAY = 40_000
REQUEST_TIMEOUT = 10
# Seconds that the programs may take in addition to the load itself.
LEEWAY = 30
NANO = 1e9
MILLI = 1e6


def connections_for(rows: int) -> int:
    """Return the number of connections for requests with this many rows."""
    return max(1, min(CONNECTIONS, ROWS_UNDER_WAY // rows))


@dataclass(frozen=True)
class Steady:
    """The results of requests sent at a constant rate. rate: successful responses per second."""

    rate: float
    share_answered: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Generator:
    """The load generator. folder: for its files; cpus: those on which it runs."""

    vegeta: Path
    folder: Path
    cpus: Sequence[int]

    def saturate(
        self, asked: Sequence[Question], port: int, seconds: float, connections: int
    ) -> wrk.Counts:
        """Send requests at saturation; return the counts. Raises MeasurementError if one fails."""
        program = shutil.which("wrk")
        if not program:
            raise MeasurementError("wrk is missing: run scripts/setup-serving.")
        lines = self.folder / "requests"
        lines.write_text("".join(f"{one.path}\t{one.body}\n" for one in asked), encoding="utf-8")
        output = self._run(
            [
                program,
                f"--threads={min(2, connections)}",
                f"--connections={connections}",
                f"--duration={seconds:.0f}s",
                f"--timeout={REQUEST_TIMEOUT}s",
                f"--script={SCRIPT}",
                f"http://127.0.0.1:{port}",
                *("--", asked[0].method, asked[0].content_type, str(lines)),
            ],
            seconds,
        )
        try:
            counts = wrk.parse(output)
        except wrk.LoadError as error:
            raise MeasurementError(str(error)) from error
        if counts.lost:
            raise MeasurementError(
                f"{counts.lost} of {counts.attempts} requests were not answered: {counts.causes()}"
            )
        return counts

    def steady(self, asked: Sequence[Question], port: int, seconds: float, rate: int) -> Steady:
        """Send requests at a constant rate, independent of responses."""
        targets = self.folder / "targets"
        results = self.folder / "results"
        targets.write_text(
            "".join(f"{one.vegeta_target(port)}\n" for one in asked), encoding="utf-8"
        )
        self._run(
            [
                *(str(self.vegeta), "attack", "-format=json", f"-targets={targets}"),
                *(f"-rate={rate}/s", f"-duration={seconds:.0f}s", f"-timeout={REQUEST_TIMEOUT}s"),
                # The time that a request waits for a connection counts as latency.
                *(f"-max-connections={CONNECTIONS}", f"-connections={CONNECTIONS}"),
                *(f"-workers={CONNECTIONS}", "-max-workers=2000", f"-output={results}"),
            ],
            seconds,
        )
        return parse_steady(self._run([str(self.vegeta), "report", "-type=json", str(results)], 0))

    def _run(self, command: Sequence[str], seconds: float) -> str:
        try:
            done = subprocess.run(
                pinned(command, self.cpus),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds + REQUEST_TIMEOUT + LEEWAY,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"{command[0]} does not end") from error
        if done.returncode:
            raise MeasurementError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout


def parse_steady(report: str) -> Steady:
    """Return the results in vegeta's JSON report."""
    found = json.loads(report)
    latencies = found["latencies"]
    return Steady(
        rate=found["throughput"],
        share_answered=found["success"],
        p50_ms=latencies["50th"] / MILLI,
        p99_ms=latencies["99th"] / MILLI,
    )
