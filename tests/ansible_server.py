"""A process that has imported Ansible, from which runs of a playbook are forked.

    server = ansible_server.Server(environment, folder)
    status = server.run(["ansible-playbook", "site.yml"], environment, stdout, stderr)

What runs is `ansible-playbook` with these arguments and this environment, in a process of its
own; only the second of processor time that its imports take is not spent again for each run, nor
that for packing a module once more. What Ansible reads while it is imported (`decisive`) is that
of the server's environment.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_REQUEST = 1 << 20
# By these prefixes: what is read by the imports, and not again.
_DECISIVE = ("ANSIBLE_", "HOME", "LANG", "LC_", "PYTHON", "TMPDIR", "XDG_")


def decisive(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what must be the same in the server's environment and in that of a run."""
    return {key: value for key, value in environment.items() if key.startswith(_DECISIVE)}


class Server:
    """The process; it ends with the one that made it."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_REQUEST)
        program = Path(__file__).with_name("ansible_forks.py")
        with theirs:
            self._process = subprocess.Popen(
                # -P: the modules beside it are not Ansible's to import.
                [sys.executable, "-P", program, str(_LONGEST_REQUEST)],
                stdin=theirs,
                cwd=folder,
                env=dict(environment),
            )

    def close(self) -> None:
        """End the server; no run of it is under way."""
        self._socket.close()
        self._process.wait()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> int:
        """Run `ansible-playbook` to its end; return its exit status."""
        told, tell = os.pipe()
        try:
            request = json.dumps({"command": [*command], "environment": {**environment}})
            files = [stdout.fileno(), stderr.fileno(), tell]
            socket.send_fds(self._socket, [request.encode()], files)
        finally:
            os.close(tell)
        try:
            # Not to the end: whatever a run leaves running may hold the pipe open.
            written = os.read(told, 16)
        finally:
            os.close(told)
        assert written, f"The run was killed, or its server ended ({self._process.poll()})."
        return int(written)
