"""Ports of this machine that no other test uses at the same time."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import socket

# Below the kernel's range of ephemeral ports and Kubernetes' range of node ports; each worker has
# its own part.
_FIRST, _EACH, _PARTS = 20000, 1000, 10
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
_BEGIN = os.getpid() % _EACH
_numbers = itertools.cycle(
    _FIRST + _WORKER * _EACH + (_BEGIN + number) % _EACH for number in range(_EACH)
)


def free() -> int:
    """Return a free port for a server that will be started."""
    for port in itertools.islice(_numbers, _EACH):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")


def closed() -> int:
    """Return a port that refuses connections: it is bound, but nothing listens on it."""
    port: int = _held().getsockname()[1]
    return port


@functools.cache
def _held() -> socket.socket:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    atexit.register(held.close)
    return held
