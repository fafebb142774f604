"""Running commands that end with the runner: a surviving command could undo what `down` did."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    Arguments = Sequence[str | os.PathLike[str]]

_ENDS_WITH_RUNNER = ("setpriv", "--pdeathsig", "KILL")
# File descriptors that the commands inherit.
_inherited: tuple[int, ...] = ()


@contextmanager
def inheriting(descriptor: int) -> Iterator[None]:
    """Let commands inherit a file descriptor, so that its lock is held until the last of them ends.

    If the runner is killed while a command is starting, that command may survive it. Whoever waits
    for the lock then waits for this command, too.
    """
    global _inherited  # noqa: PLW0603 - as the lock, it is the process's
    before, _inherited = _inherited, (*_inherited, descriptor)
    try:
        yield
    finally:
        _inherited = before


def run(command: Arguments, stdin: str = "") -> str:
    """Run a command and return its standard output."""
    answer = _run(command, stdin)
    if answer.returncode != 0:
        called = " ".join([Path(command[0]).name, *map(str, command[1:])])
        said = (answer.stderr or answer.stdout).strip()[-1000:]
        raise RehearsalError(f"`{called}` failed: {said}")
    return answer.stdout


def succeeds(command: Arguments) -> bool:
    """Run a command and return whether it succeeded."""
    return _run(command, "").returncode == 0


def _run(command: Arguments, stdin: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_ENDS_WITH_RUNNER, *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=_inherited,
    )
