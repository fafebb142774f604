"""The machine's processes, which may start and end while they are read."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def files(name: str) -> Iterator[tuple[int, bytes]]:
    """Yield each PID with the content of /proc/PID/<name>; skip processes that end meanwhile."""
    # With the name in the pattern, glob would fail for processes that have just ended.
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(process.name), (process / name).read_bytes()


def descendants(pid: int) -> set[int]:
    """Return a process and all its descendants, according to the kernel's parent IDs."""
    parents: dict[int, int] = {}
    for number, stat in files("stat"):
        parents[number] = int(stat.rpartition(b")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def kill_all(pid: int) -> None:
    """Kill a process and its descendants (SIGKILL); stop them first, so that no child escapes."""
    halted: set[int] = set()
    while more := descendants(pid) - halted:
        for one in more:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
        halted |= more
    for one in halted:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
