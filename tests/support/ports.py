"""Ports of this machine that are one test's, whatever other tests listen on meanwhile."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import socket

# Below the range from which the kernel gives ports, and Kubernetes its nodes'; each worker has
# a part of it to itself.
_FIRST, _EACH, _PARTS = 20000, 1000, 10
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PARTS
_BEGIN = os.getpid() % _EACH
_numbers = itertools.cycle(
    _FIRST + _WORKER * _EACH + (_BEGIN + number) % _EACH for number in range(_EACH)
)


def free() -> int:
    """Return a port for a server that is yet to be started."""
    for port in itertools.islice(_numbers, _EACH):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")


def closed() -> int:
    """Return a port that refuses every connection: it is taken, and nobody listens."""
    port: int = _held().getsockname()[1]
    return port


@functools.cache
def _held() -> socket.socket:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    atexit.register(held.close)
    return held
