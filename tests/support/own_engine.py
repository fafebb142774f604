"""A separate Docker engine for a test, which uses the given proxy for registries.

It has no network for containers, so builds with RUN do not work.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

_STARTS_WITHIN = 60.0


@contextlib.contextmanager
def running(**environment: str) -> Iterator[str]:
    """Run an engine with this environment during the context; yield its DOCKER_HOST."""
    program = shutil.which("dockerd")
    assert program, "These tests need an engine: apt-get install docker.io"
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        folder = Path(name)
        address = f"unix://{folder}/socket"
        # Without a bridge, it would remove docker0, the network of the machine's own engine.
        bridge = f"engine{os.getpid()}"
        subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen(
                [
                    program,
                    f"--host={address}",
                    f"--data-root={folder}/data",
                    f"--exec-root={folder}/exec",
                    f"--pidfile={folder}/pid",
                    f"--bridge={bridge}",
                    "--iptables=false",
                    "--ip6tables=false",
                    "--storage-driver=vfs",
                ],
                env=os.environ | environment,
                stdout=output,
                stderr=output,
            )
        try:
            _wait_for(address, process, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait()
            subprocess.run(["ip", "link", "delete", bridge], check=True)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as attempt:
            attempt.connect(address.removeprefix("unix://"))
            return
        said = log.read_text(encoding="utf-8", errors="replace")
        assert process.poll() is None, f"The engine did not start: {said}"
        assert time.monotonic() < end, f"The engine did not answer: {said}"
        time.sleep(0.05)


@contextlib.contextmanager
def client_of(address: str) -> Iterator[docker.DockerClient]:
    """Yield a client of the engine."""
    client = docker.DockerClient(base_url=address)
    try:
        yield client
    finally:
        client.close()
