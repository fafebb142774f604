"""What a module that waits sees at the moment, told to the terminal of the run.

The callback plugin `stages` names a folder by an environment variable, and shows the last line of
the file there that was written last. Where nobody looks there is no such variable, and nothing is
written.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

VARIABLE = "DOCKER_ML_API_PROGRESS"


def say(*texts: str) -> None:
    """Show the texts beside the name of the task that runs."""
    if folder := os.environ.get(VARIABLE):
        words = " ".join("; ".join(filter(None, texts)).split())
        # The folder goes with the run, whose end may come first.
        with contextlib.suppress(OSError):
            Path(folder, str(os.getpid())).write_text(words, encoding="utf-8")


def follow(log: Path) -> None:
    """Show the last line of a file, as it grows."""
    if folder := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):
            Path(folder, log.name).symlink_to(log)
