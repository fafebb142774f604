"""The Go toolchain of the rehearsal's programs, for tests that need Go."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from rehearsal.kubernetes import build


@functools.cache
def folder() -> Path:
    """Return the folder of `go` and `gofmt`, from PATH or of the locked toolchain."""
    return Path(build.ensure_go(build.cache_folder(os.environ), print)).parent


def on_path() -> str:
    """Return a PATH that begins with this folder."""
    return f"{folder()}{os.pathsep}{os.environ['PATH']}"
