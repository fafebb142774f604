"""A network of one's own: interfaces, routes, addresses and rules that nobody else sees."""

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
    """Let this thread and what it starts be in a new network; yield the network's inode."""
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
