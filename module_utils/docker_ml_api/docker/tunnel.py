"""Local sockets that connect to another machine's Docker engine, for the duration of a run.

The Docker clients (the command, the SDK, community.docker) support ssh:// and TLS differently: one
needs an additional package, one prompts for a password on the terminal, and one lets
REQUESTS_CA_BUNDLE override the engine's own CA. All of them support a Unix socket in the same way.
Therefore a separate process listens on such sockets ("doors") in a folder that only its user can
access:

- by ssh, each connection becomes the input and output of `ssh … docker system dial-stdio`, as
  with the docker command itself; all connections share one login;
- by TLS, each connection is forwarded over a TLS connection to the engine's port.

The process ends with the run that it was started for, even if the run is killed, and removes its
files. This file is also the program of that process, so it imports nothing of this project.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOG = "log"
PROGRAM = "tunnel.py"
PLAN = "plan.json"
CONTROL = "login"
_CHUNK = 65536
# Maximum bytes buffered for a slow reader, and how often the run is checked.
_MOST_WAITING = 1 << 20
_LOOK = 1.0
_CONNECT = 15.0
# How often the login is kept alive. Docker (20.10.24, for example) closes a connection that is idle
# for 5 minutes (ReadHeaderTimeout). If the login's own connection is closed, the login ends, and
# every other connection would then log in separately.
_LOOK_AFTER = 60.0
_PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
# On some systems the path of a socket is limited to 104 characters, and ssh adds about 20.
_LONGEST_PLACE = 40


@dataclass(frozen=True)
class Tls:
    """An engine's TLS port, and the files of the client."""

    host: str
    port: int
    ca: str
    cert: str
    key: str

    def connect(self, timeout: float = _CONNECT) -> ssl.SSLSocket:
        """Return a connection; raise OSError, which includes the errors of ssl."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        plain = socket.create_connection((self.host, self.port), timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


@dataclass(frozen=True)
class Door:
    """A socket in the folder, and its target: a command or a TLS port."""

    name: str
    command: tuple[str, ...] = ()
    tls: Tls | None = None


def read_door(data: Mapping[str, Any]) -> Door:
    """Return a door from its JSON representation."""
    tls = Tls(**data["tls"]) if data["tls"] else None
    return Door(data["name"], tuple(data["command"]), tls)


def carry(near: socket.socket, far: ssl.SSLSocket) -> None:
    """Forward data in both directions, until the far end closes or the near end disappears.

    One thread serves both directions, since an SSLSocket cannot be used by two threads. If the
    near end stops sending (as `docker run` does immediately), the far end is not notified, because
    TLS in Python cannot close a single direction.
    """
    near.setblocking(False)
    far.setblocking(False)
    up, down = bytearray(), bytearray()
    near_ended = far_ended = False
    while down or not far_ended:
        hear_near = not near_ended and len(up) < _MOST_WAITING
        hear_far = not far_ended and len(down) < _MOST_WAITING
        poll = select.poll()
        poll.register(near, select.POLLIN * hear_near | select.POLLOUT * bool(down))
        if hear_far or up:
            poll.register(far, select.POLLIN * hear_far | select.POLLOUT * bool(up))
        # The socket does not signal data that TLS has already read.
        told = dict(poll.poll(0 if hear_far and far.pending() else None))
        if near_ended and told.get(near.fileno(), 0) & (select.POLLHUP | select.POLLERR):
            return
        if hear_near and near.fileno() in told:
            near_ended = not _receive(near, up)
        if hear_far:
            far_ended = not _receive(far, down)
        _send(far, up)
        _send(near, down)


def _receive(end: socket.socket, waiting: bytearray) -> bool:
    """Read the available data; return whether more may follow."""
    try:
        said = end.recv(_CHUNK)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    waiting += said
    return bool(said)


def _send(end: socket.socket, waiting: bytearray) -> None:
    """Write as much as possible without blocking."""
    if waiting:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            del waiting[: end.send(waiting)]


class Tunnel:
    """The doors of one folder, and the processes that were started for them."""

    def __init__(self, folder: Path, doors: list[Door]) -> None:
        """Listen on the doors; no connection is accepted before `serve`."""
        self._folder = folder
        self._log = (folder / LOG).open("ab", buffering=0)
        self._children: list[subprocess.Popen[bytes]] = []
        self._login: list[str] = []
        self._looked_after = 0.0
        self._selector = selectors.DefaultSelector()
        for door in doors:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / door.name))
            listener.listen(64)
            self._selector.register(listener, selectors.EVENT_READ, door)

    def log_in(self, command: list[str], seconds: float) -> bool:
        """Start the connection that the others share; return whether it was established."""
        self._login = command
        master = self._start_login()
        end = time.monotonic() + seconds
        while not (self._folder / CONTROL).exists():
            if master.poll() is not None:
                return False
            if time.monotonic() > end:
                self._log.write(f"ssh: timed out after {seconds:g} s\n".encode())
                return False
            time.sleep(0.02)
        return True

    def _start_login(self) -> subprocess.Popen[bytes]:
        """Start the login; it ends with this process, since its standard input is closed then."""
        self._master = subprocess.Popen(
            self._login, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log
        )
        self._children.append(self._master)
        self._looked_after = time.monotonic()
        return self._master

    def _look_after_login(self) -> None:
        """Keep the login's own connection to the engine alive; log in again if it has ended."""
        if not self._login or time.monotonic() < self._looked_after + _LOOK_AFTER:
            return
        self._looked_after = time.monotonic()
        if self._master.poll() is not None:
            self._master.communicate()
            self._start_login()
        elif self._master.stdin:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._master.stdin.fileno(), _PING)

    def serve(self, lives: Callable[[], bool]) -> None:
        """Accept and forward connections while `lives` returns true."""
        while lives():
            self._look_after_login()
            for key, _ in self._selector.select(_LOOK):
                connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                self._lead(key.data, connection)
            self._children = [child for child in self._children if child.poll() is None]

    def _lead(self, door: Door, connection: socket.socket) -> None:
        if door.tls:
            threading.Thread(
                target=self._lead_by_tls, args=(door.tls, connection), daemon=True
            ).start()
            return
        with connection:
            self._children.append(
                subprocess.Popen(
                    [*door.command],
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=self._log,
                )
            )

    def _lead_by_tls(self, tls: Tls, connection: socket.socket) -> None:
        with connection:
            try:
                with tls.connect() as far:
                    carry(connection, far)
            except OSError as error:
                # The client only sees that its connection ends; the reason is in the log.
                self._log.write(f"{tls.host}:{tls.port}: {error}\n".encode())

    def close(self) -> None:
        """Stop the processes that were started, and remove the folder."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.communicate()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._log.close()
        shutil.rmtree(self._folder)


def birth(pid: int) -> str | None:
    """Return what identifies a process if its ID is reused; None if it does not exist."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        # A system without /proc: only check that the process exists.
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""
    return None if fields[0] in "ZX" else fields[19]


def main() -> None:
    """Run the tunnel that standard input describes, until its run has ended."""
    plan = json.load(sys.stdin)
    run = int(plan["run"])
    born = birth(run)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tunnel = Tunnel(Path(plan["folder"]), [read_door(door) for door in plan["doors"]])
    try:
        there = not plan["master"] or tunnel.log_in(plan["master"], plan["timeout"])
        log = (Path(plan["folder"]) / LOG).read_text(encoding="utf-8", errors="replace")
        print(json.dumps({"ready": there, "log": log}), flush=True)  # noqa: T201 - to who began it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if there:
            tunnel.serve(lambda: born is not None and birth(run) == born)
    finally:
        tunnel.close()


class TunnelError(Exception):
    """The tunnel does not reach an engine; holds the log, and the answer if there was one."""

    def __init__(self, log: str, answer: str = "") -> None:
        """Store the log and the answer."""
        super().__init__(answer or log)
        self.log = log
        self.answer = answer


def make_folder() -> Path:
    """Return a new folder that only this user can access, with a path short enough for sockets."""
    place = tempfile.gettempdir()
    if len(place) > _LONGEST_PLACE:
        place = "/tmp"  # noqa: S108 - mkdtemp makes a folder of its own there
    return Path(tempfile.mkdtemp(prefix="docker-engine-", dir=place))


def begin(
    source: str, folder: Path, doors: list[Door], *, master: list[str], run: int, timeout: float
) -> None:
    """Start the process in the folder; return when an engine has answered at the first door.

    source: the text of this file, since the file itself may be packed or deleted soon.
    run: the process whose end also ends the tunnel.

    Raises TunnelError, after cleaning up.
    """
    plan = {
        "folder": str(folder),
        "doors": [asdict(door) for door in doors],
        "master": master,
        "run": run,
        "timeout": timeout,
    }
    (folder / PROGRAM).write_text(source, encoding="utf-8")
    (folder / PLAN).write_text(json.dumps(plan), encoding="utf-8")
    with (folder / PLAN).open("rb") as given, (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(folder / PROGRAM)],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    try:
        _wait_for(process, folder / doors[0].name, timeout)
    except TunnelError:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # The process now belongs to the run; this prevents a warning when the object is deleted.
    process.returncode = 0


def _wait_for(process: subprocess.Popen[bytes], door: Path, timeout: float) -> None:
    """Return when an engine has answered; raise TunnelError."""
    log = door.parent / LOG
    with process.stdout or contextlib.nullcontext() as output:
        said = output.readline() if output else b""
    if not said:
        raise TunnelError(_read(log))
    told = json.loads(said)
    if not told["ready"]:
        raise TunnelError(told["log"])
    try:
        answer = ask(door, timeout)
    except OSError as error:
        raise TunnelError(f"{_read(log)}\n{error}") from error
    if not is_engine(answer):
        raise TunnelError(_read(log), answer)


def _read(log: Path) -> str:
    """Return the log; empty if the process has removed its folder."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def ping(connection: socket.socket) -> str:
    """Send a ping; return the first line of the answer."""
    connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
    said = b""
    while b"\n" not in said and (more := connection.recv(_CHUNK)):
        said += more
    return said.split(b"\n", 1)[0].decode(errors="replace").strip()


def is_engine(answer: str) -> bool:
    """Return whether the first line of an answer to a ping is that of an engine."""
    return answer.split(" ")[:2] in (["HTTP/1.0", "200"], ["HTTP/1.1", "200"])


def ask(door: Path, timeout: float) -> str:
    """Send a ping to a door and return the first line of the answer; raise OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(door))
        return ping(connection)


if __name__ == "__main__":
    main()
