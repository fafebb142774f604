"""The command line: python -m rehearsal.run up [--unwatched] [ARGUMENT…] | down."""

from __future__ import annotations

import os
import sys

from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.run.runner import Rehearsal

_USAGE = "python -m rehearsal.run up [--unwatched] [argument of ansible-playbook …] | down"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code."""
    command, *more = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command not in ("up", "down") or (command == "down" and more):
        _complain(f"usage: {_USAGE}")
        return 2
    if os.getuid() != 0:
        _complain("rehearsal: root is needed, for Kubernetes: sudo make rehearse.")
        return 1
    try:
        if command == "down":
            return Rehearsal().down()
        watch = more[:1] != ["--unwatched"]
        return Rehearsal().up(more if watch else more[1:], watch=watch)
    except RehearsalError as error:
        _complain(f"rehearsal: {error}")
        return 1


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - to whoever typed it


if __name__ == "__main__":
    sys.exit(main())
