"""A server and all its processes: their resource usage and termination."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks.serving.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
# Seconds for a server to finish before it is killed.
END_AT_MOST = 10.0
# Seconds after the kill; this depends on the load of the kernel.
GONE_AT_MOST = 30.0


@dataclass(frozen=True)
class Process:
    """Content of /proc/PID/stat. started: ticks since boot; cpu: seconds, with ended children."""

    pid: int
    parent: int
    session: int
    started: int
    cpu: float
    zombie: bool


def parse_stat(line: str) -> Process:
    """Parse a line of /proc/PID/stat, in which the name may contain any characters."""
    before, _, after = line.rpartition(")")
    fields = after.split()
    return Process(
        pid=int(before.split(" ", 1)[0]),
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        cpu=sum(map(int, fields[11:15])) / TICKS,
        zombie=fields[0] == "Z",
    )


def all_processes() -> list[Process]:
    """Return all processes of this machine."""
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                found.append(parse_stat((folder / "stat").read_text(encoding="utf-8")))
    return found


def tree(root: int, known: Iterable[tuple[int, int]], every: Iterable[Process]) -> list[Process]:
    """Return a process, all its descendants, and those of known processes.

    known: PID and start of processes that belong to it although their parents have ended.
    """
    every = list(every)
    before = set(known)
    children: dict[int, list[Process]] = {}
    for process in every:
        children.setdefault(process.parent, []).append(process)
    left = [
        process
        for process in every
        if root in (process.pid, process.session) or (process.pid, process.started) in before
    ]
    found: dict[int, Process] = {}
    while left:
        process = left.pop()
        if process.pid not in found:
            found[process.pid] = process
            left += children.get(process.pid, [])
    return list(found.values())


def pss_bytes(pid: int) -> int:
    """Return the proportional set size (PSS) of a process in bytes; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def free_port() -> int:
    """Return a free TCP port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def pinned(command: Sequence[str], cpus: Sequence[int]) -> list[str]:
    """Return the command, restricted to these CPUs if any are given."""
    on = ["taskset", "--cpu-list", ",".join(map(str, cpus))] if cpus else []
    return [*on, *command]


class Server:
    """A running server in its own session; leaving the context ends all its processes."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        log: Path,
        cpus: Sequence[int] = (),
    ) -> None:
        """Initialize with the command to start."""
        self._command = pinned(command, cpus)
        self._folder = folder
        self._variables = variables
        self._log = log
        self._known: set[tuple[int, int]] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=dict(self._variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server with all its processes."""
        if self._process is None:
            return
        # Also record processes of its session that have lost their parents.
        self.processes()
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        self._wait(END_AT_MOST)
        for process in self._left():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self._wait(GONE_AT_MOST)
        self._process.wait(timeout=GONE_AT_MOST)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._left() and time.monotonic() < end:
            time.sleep(0.05)

    def _left(self) -> list[Process]:
        if self._process is not None:
            self._process.poll()
        return [process for process in self.processes() if not process.zombie]

    def processes(self) -> list[Process]:
        """Return all running processes of the server."""
        if self._process is None:
            return []
        found = tree(self._process.pid, self._known, all_processes())
        self._known |= {(process.pid, process.started) for process in found}
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time of all the server's processes in seconds."""
        return sum(process.cpu for process in self.processes())

    def memory_bytes(self) -> int:
        """Return the memory of all the server's processes in bytes."""
        return sum(pss_bytes(process.pid) for process in self.processes())

    def check_running(self) -> None:
        """Raise MeasurementError with the end of the output if the server has ended."""
        if self._process is None or self._process.poll() is not None:
            raise MeasurementError(f"it ended: {self.last_words()}")

    def last_words(self) -> str:
        """Return the end of the server's output."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-1500:].strip()
