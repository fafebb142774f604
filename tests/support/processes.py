"""The machine's processes, which come and go while they are read."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def files(name: str) -> Iterator[tuple[int, bytes]]:
    """Each process's number and its /proc/PID/<name>; of those that end meanwhile, nothing."""
    # A pattern with the name in it would look for each file, and fail at one that has just gone.
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(process.name), (process / name).read_bytes()


def descendants(pid: int) -> set[int]:
    """A process and all that came of it, by the parents that the kernel names."""
    parents: dict[int, int] = {}
    for number, stat in files("stat"):
        parents[number] = int(stat.rpartition(b")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def kill_all(pid: int) -> None:
    """Kill -9 a process and all that came of it: halted first, lest a new child escape."""
    halted: set[int] = set()
    while more := descendants(pid) - halted:
        for one in more:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
        halted |= more
    for one in halted:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
