"""Commands that end with the runner: one that outlived it could undo what `down` did."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    Arguments = Sequence[str | os.PathLike[str]]

_ENDS_WITH_RUNNER = ("setpriv", "--pdeathsig", "KILL")


def run(command: Arguments, stdin: str = "") -> str:
    """Return what the command prints."""
    answer = _run(command, stdin)
    if answer.returncode != 0:
        called = " ".join([Path(command[0]).name, *map(str, command[1:])])
        said = (answer.stderr or answer.stdout).strip()[-1000:]
        raise RehearsalError(f"`{called}` failed: {said}")
    return answer.stdout


def succeeds(command: Arguments) -> bool:
    """Return whether the command ends well."""
    return _run(command, "").returncode == 0


def _run(command: Arguments, stdin: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_ENDS_WITH_RUNNER, *command], input=stdin, capture_output=True, text=True, check=False
    )
