"""Sockets of this machine that lead to another machine's Docker engine, while a run lasts.

Every client of Docker (the command, the SDK, community.docker) takes ssh:// and TLS in a way of
its own: one needs a package more, one asks for a password on the terminal, one lets
REQUESTS_CA_BUNDLE win over the engine's own CA. A Unix socket all of them take alike. So a
process of its own listens on such sockets ("doors") in a folder that only its user may enter:

- by ssh, each connection becomes the input and output of `ssh … docker system dial-stdio`, as
  the docker command itself does; all of them share one login;
- by TLS, each connection is carried over one of TLS to the engine's port.

The process ends with the run that it was begun for, however that ends, and leaves nothing
behind. This file is that process's program, too, so it imports nothing of this project.
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
# How much may wait for a slow reader, and how often the run is looked at.
_MOST_WAITING = 1 << 20
_LOOK = 1.0
_CONNECT = 15.0
# How often the login is looked after. Docker (seen with 20.10.24) closes a connection on which
# nothing was asked within 5 minutes (ReadHeaderTimeout); a login whose own connection is closed
# ends, and each of the others would then log in by itself.
_LOOK_AFTER = 60.0
_PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
# A socket's path ends at 104 characters on some systems, and ssh adds some 20 of its own.
_LONGEST_PLACE = 40


@dataclass(frozen=True)
class Tls:
    """An engine's port with TLS, and the files of the client."""

    host: str
    port: int
    ca: str
    cert: str
    key: str

    def connect(self, timeout: float = _CONNECT) -> ssl.SSLSocket:
        """Return a connection; raise OSError, which ssl's errors are too."""
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
    """A socket in the folder, and what it leads to: a command or a port with TLS."""

    name: str
    command: tuple[str, ...] = ()
    tls: Tls | None = None


def read_door(data: Mapping[str, Any]) -> Door:
    """Return a door that was written as JSON."""
    tls = Tls(**data["tls"]) if data["tls"] else None
    return Door(data["name"], tuple(data["command"]), tls)


def carry(near: socket.socket, far: ssl.SSLSocket) -> None:
    """Carry what both say to the other, until the far one has ended or the near one is gone.

    One thread for both directions, since an SSLSocket is not for two. That the near one says
    no more (as `docker run` does at once) is not told to the far one: TLS, as Python has it,
    knows no end of one direction alone.
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
        # What TLS has read already, the socket does not tell of.
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
    """Read what is there; return whether more may come."""
    try:
        said = end.recv(_CHUNK)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    waiting += said
    return bool(said)


def _send(end: socket.socket, waiting: bytearray) -> None:
    """Write what can be written now."""
    if waiting:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            del waiting[: end.send(waiting)]


class Tunnel:
    """The doors of one folder, and what was started for them."""

    def __init__(self, folder: Path, doors: list[Door]) -> None:
        """Listen; nothing is taken before `serve`."""
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
        """Start the connection that the others share; return whether it came about."""
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
        """Log in; it ends with this process, since what it reads does."""
        self._master = subprocess.Popen(
            self._login, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log
        )
        self._children.append(self._master)
        self._looked_after = time.monotonic()
        return self._master

    def _look_after_login(self) -> None:
        """Keep the login's own connection to the engine in use; log in again when it has ended."""
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
        """Lead connections on as long as `lives` says so."""
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
                # The client sees its connection end; why, is for whoever reads the log.
                self._log.write(f"{tls.host}:{tls.port}: {error}\n".encode())

    def close(self) -> None:
        """End what was started, and remove the folder."""
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
    """Return what tells a process from a later one of the same number; None: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        # A system without /proc: that it is there has to do.
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
    """The tunnel leads to no engine: what was said in between, and what answered, if anything."""

    def __init__(self, log: str, answer: str = "") -> None:
        """Keep what was said."""
        super().__init__(answer or log)
        self.log = log
        self.answer = answer


def make_folder() -> Path:
    """Return a new folder that only this user may enter, its name short enough for sockets."""
    place = tempfile.gettempdir()
    if len(place) > _LONGEST_PLACE:
        place = "/tmp"  # noqa: S108 - mkdtemp makes a folder of its own there
    return Path(tempfile.mkdtemp(prefix="docker-engine-", dir=place))


def begin(
    source: str, folder: Path, doors: list[Door], *, master: list[str], run: int, timeout: float
) -> None:
    """Start the process in that folder; return when an engine has answered behind the first door.

    source: this file's text, since the file itself may be packed or be gone soon.
    run: the process that it lives as long as. Raises TunnelError; nothing is then left.
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
    # It is the run's now, not this object's.
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
    """Return what was said; nothing if the process has taken its folder away."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def ping(connection: socket.socket) -> str:
    """Ask an engine whether it is one; return the first line of the answer."""
    connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
    said = b""
    while b"\n" not in said and (more := connection.recv(_CHUNK)):
        said += more
    return said.split(b"\n", 1)[0].decode(errors="replace").strip()


def is_engine(answer: str) -> bool:
    """Tell whether the first line of an answer to a ping is an engine's."""
    return answer.split(" ")[:2] in (["HTTP/1.0", "200"], ["HTTP/1.1", "200"])


def ask(door: Path, timeout: float) -> str:
    """Return the first line of what answers a ping behind a door; raise OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(str(door))
        return ping(connection)


if __name__ == "__main__":
    main()
