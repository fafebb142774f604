"""Shows the progress of a waiting module on the terminal of the run.

The callback plugin `stages` sets an environment variable to a folder, and shows the last line of
the file that was written there most recently. If the output is not a terminal, the variable is not
set, and nothing is written.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

VARIABLE = "DOCKER_ML_API_PROGRESS"


def say(*texts: str) -> None:
    """Show the texts next to the name of the running task."""
    if folder := os.environ.get(VARIABLE):
        words = " ".join("; ".join(filter(None, texts)).split())
        # The folder is deleted at the end of the run, which may come first.
        with contextlib.suppress(OSError):
            Path(folder, str(os.getpid())).write_text(words, encoding="utf-8")


def follow(log: Path) -> None:
    """Show the last line of a file while it grows."""
    if folder := os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):
            Path(folder, log.name).symlink_to(log)
