"""A process that has imported Ansible, from which runs of a playbook are forked.

    server = ansible_server.Server(environment, folder)
    status = server.run(["ansible-playbook", "site.yml"], environment, stdout, stderr)

    with ansible_server.program(folder) as path:  # contains a program `ansible-playbook`
        subprocess.run(["molecule", …], env=os.environ | {"PATH": f"{path}:{os.environ['PATH']}"})

A run is `ansible-playbook` with these arguments and this environment, in its own process. It saves
the time for imports and for packing modules, and the work described in ansible_warm.py. The
variables that Ansible reads during its import (`decisive`) are those of the server's environment.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from support import loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# ansible_warm.py depends on the internals of this version; runs of other versions are only forked.
KNOWN = importlib.metadata.version("ansible-core").startswith("2.19.")
_LONGEST_REQUEST = 1 << 20
# Prefixes of the variables that are only read during imports.
_DECISIVE = ("ANSIBLE_", "LANG", "LC_", "PYTHON", "XDG_")
# This variable is set in the process of each run.
CALLBACK = "ANSIBLE_STDOUT_CALLBACK"


def decisive(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that must be the same in the environments of the server and of a run."""
    return {
        key: value
        for key, value in environment.items()
        if key.startswith(_DECISIVE) and key != CALLBACK
    }


class Server:
    """The server process; it ends together with the process that created it."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_REQUEST)
        program = Path(__file__).with_name("ansible_forks.py")
        with theirs:
            self._process = subprocess.Popen(
                # -P: Ansible must not import the modules beside the program.
                [sys.executable, "-P", program, str(_LONGEST_REQUEST)],
                stdin=theirs,
                cwd=folder,
                env=dict(environment),
            )

    def close(self) -> None:
        """End the server; none of its runs may be in progress."""
        self._socket.close()
        self._process.wait()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
    ) -> int:
        """Run `ansible-playbook` and return its exit status."""
        told, tell = os.pipe()
        try:
            request = json.dumps({"command": [*command], "environment": {**environment}})
            files = [stdout.fileno(), stderr.fileno(), tell]
            socket.send_fds(self._socket, [request.encode()], files)
        finally:
            os.close(tell)
        try:
            # Do not read to the end: processes left running by a run may keep the pipe open.
            written = os.read(told, 16)
        finally:
            os.close(told)
        assert written, f"The run was killed, or its server ended ({self._process.poll()})."
        return int(written)


# The client program: it starts quickly, as it imports very little.
_PROGRAM = """#!{python} -IS
import json, os, socket, sys
if "--version" in sys.argv:  # asked once, of no use to a server
    os.execv({plain!r}, sys.argv)
asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked.connect({address!r})
asked.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {longest})
command = ["ansible-playbook", *sys.argv[1:]]
request = dict(command=command, environment=dict(os.environ), folder=os.getcwd())
socket.send_fds(asked, [json.dumps(request).encode()], [1, 2])
sys.exit(int(asked.recv(16) or b"250"))
"""


@contextlib.contextmanager
def program(folder: Path) -> Iterator[Path]:
    """Create a program `ansible-playbook` whose runs are forked; yield its folder.

    There is one server for each environment and working directory with which it is called.
    """
    servers: dict[str, Server] = {}
    making = threading.Lock()

    def server(environment: Mapping[str, str], where: Path) -> Server:
        settings = Path(environment.get("ANSIBLE_CONFIG") or where / "ansible.cfg")
        read = settings.read_text(encoding="utf-8") if settings.is_file() else ""
        key = json.dumps([decisive(environment), str(where), read], sort_keys=True)
        with making:
            if key not in servers:
                servers[key] = Server(environment, where)
            return servers[key]

    class Asked(socketserver.BaseRequestHandler):
        """One run."""

        def handle(self) -> None:
            text, files, _, _ = socket.recv_fds(self.request, _LONGEST_REQUEST, 2)
            request = json.loads(text)
            run = server(request["environment"], Path(request["folder"])).run
            with os.fdopen(files[0], "wb") as stdout, os.fdopen(files[1], "wb") as stderr:
                status = run(request["command"], request["environment"], stdout, stderr)
            self.request.sendall(str(status).encode())

    class Listening(socketserver.ThreadingUnixStreamServer):
        """Handles each request in a separate thread."""

        socket_type = socket.SOCK_SEQPACKET
        daemon_threads = True

    # The address of a socket has at most 107 characters.
    address = f"\0docker-ml-api-tests-{os.getpid()}-{id(servers)}"
    path = folder / "ansible-playbook"
    plain = str(Path(sys.executable).with_name("ansible-playbook"))
    python, longest = sys.executable, _LONGEST_REQUEST
    text = _PROGRAM.format(python=python, address=address, longest=longest, plain=plain)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    try:
        with loopback.answering(Listening(address, Asked)):
            yield folder
    finally:
        for one in servers.values():
            one.close()
