"""The model's server as a separate process, for tests that need the real server."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from support import ROOT, ports

LIMIT = 120.0  # seconds, after which a server is killed and its test fails


class ModelServer:
    """A running `python -m model.main`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def workers(self) -> list[int]:
        """Return the process IDs of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return list(map(int, children.read_text().split()))

    def peak(self) -> int:
        """Return the peak memory of its largest worker in bytes."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self.workers())
        return max(int(status.split("VmHWM:")[1].split()[0]) for status in statuses) * 1024


@contextlib.contextmanager
def serving(folder: Path, **environment: str) -> Iterator[ModelServer]:
    """Serve the model in a folder, on a free port of loopback."""
    port = ports.free()
    process = subprocess.Popen(
        [sys.executable, "-m", "model.main"],
        cwd=ROOT,
        env={
            **os.environ,
            "PREDICTION_MODEL_FOLDER": str(folder),
            "PREDICTION_HOST": "127.0.0.1",
            "PREDICTION_REQUEST_LOG": "false",
            "PORT": str(port),
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        # A separate process group, so that its workers can be killed with it.
        start_new_session=True,
    )
    killer = threading.Timer(LIMIT, _kill, [process])
    killer.start()
    try:
        server = ModelServer(process, port)
        _wait_ready(server)
        yield server
    finally:
        killer.cancel()
        _kill(process)
        process.wait()


def _wait_ready(server: ModelServer) -> None:
    # The timer bounds this loop.
    while server.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/isAlive")
            if connection.getresponse().status == http.client.OK:
                return
        threading.Event().wait(0.02)
    raise AssertionError("the server ended")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
