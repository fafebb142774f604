"""The machine's processes, which come and go while they are read."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


def files(name: str) -> Iterator[tuple[int, bytes]]:
    """Each process's number and its /proc/PID/<name>; of those that end meanwhile, nothing."""
    # A pattern with the name in it would look for each file, and fail at one that has just gone.
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(process.name), (process / name).read_bytes()
