"""A private network namespace with its own interfaces, routes, addresses and rules."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_OWN = Path("/proc/thread-self/ns/net")


@contextlib.contextmanager
def entered() -> Iterator[int]:
    """Move this thread and its children to a new network namespace; yield its inode."""
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.open(_OWN, os.O_RDONLY)
    try:
        if libc.unshare(_NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "no network of one's own: run the tests as root")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield _OWN.stat().st_ino
        finally:
            if libc.setns(outside, _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "no way back to the machine's network")
    finally:
        os.close(outside)
