"""Recording all addresses that a command and its descendants connect or send to.

With the kernel's help, each `connect`, `sendto`, `sendmsg` and `sendmmsg` that names an address
waits until it is recorded here, even if it fails later. Sockets without an Internet address (Unix,
netlink) are only counted.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.run import filters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Memory = Callable[[int, int], bytes]
    """Reads a number of bytes at an address of the calling process."""

_ROOT = Path(__file__).parents[2]
_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102  # linux/seccomp.h
_NOTIFICATION = struct.Struct("QIIiIQ6Q")
_ANSWER = struct.Struct("QqiI")
_CONTINUE = 1
_LONGEST_ADDRESS = 128  # struct sockaddr_storage
_MOST_MESSAGES = 1024
_ENDS_WITHIN = 5.0
_LOCAL_FAMILIES = (socket.AF_UNSPEC, socket.AF_UNIX, socket.AF_NETLINK)

# Programs that download packages, among them apt's own.
_PACKAGERS = ("http", "https", "apt-get", "mmdebstrap")


@dataclass(frozen=True, order=True)
class Destination:
    """An address that a program connected or sent to."""

    program: str
    address: str
    port: int

    @property
    def outside(self) -> bool:
        """Whether the address is not a loopback address."""
        return not is_loopback(self.address)

    @property
    def for_packages(self) -> bool:
        """Whether it belongs to a download of packages for base images or the engine."""
        return self.program in _PACKAGERS

    def __str__(self) -> str:
        """Return a readable form."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.program} to {shown}:{self.port}"


@dataclass
class Watched:
    """The result of a watched command."""

    status: int
    reached: Counter[Destination] = field(default_factory=Counter)
    local: int = 0
    """The number of calls for Unix sockets and the like."""
    outliving: list[str] = field(default_factory=list)
    """Programs started by the command that are still running."""


def is_loopback(address: str) -> bool:
    """Return whether packets to the address never leave the machine's loopback interface."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    # Packets to the unspecified address go to this machine over loopback.
    return found.is_loopback or found.is_unspecified


def read_address(raw: bytes) -> tuple[str, int] | None:
    """Return address and port of a struct sockaddr; None if its family is local."""
    if len(raw) < struct.calcsize("H"):
        return None
    (family,) = struct.unpack_from("H", raw)
    if family in _LOCAL_FAMILIES:
        return None
    with suppress(struct.error, ValueError):
        if family == socket.AF_INET:
            port, packed = struct.unpack_from("!H4s", raw, 2)
            return socket.inet_ntop(family, packed), port
        if family == socket.AF_INET6:
            port, packed = struct.unpack_from("!H4x16s", raw, 2)
            return socket.inet_ntop(family, packed), port
    return f"an address of family {family}", 0


def addresses(
    of: filters.Calls, call: int, arguments: Sequence[int], memory: Memory
) -> list[tuple[str, int] | None]:
    """Return the addresses that a call names, with None for each whose family is local."""
    if call == of.connect:
        places = [(arguments[1], arguments[2])]
    elif call == of.sendto:
        places = [(arguments[4], arguments[5])]
    else:
        # struct msghdr begins with a pointer and an int; struct mmsghdr takes 64 bytes.
        count = min(arguments[2] & 0xFFFFFFFF, _MOST_MESSAGES) if call == of.sendmmsg else 1
        heads = [memory(arguments[1] + 64 * index, 12) for index in range(count)]
        places = [struct.unpack("QI", head) for head in heads]
    return [
        read_address(memory(place, min(length & 0xFFFFFFFF, _LONGEST_ADDRESS)))
        for place, length in places
        if place
    ]


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> Watched:
    """Run a command in the project's folder and record the addresses that it connects or sends to.

    :raises RehearsalError: the kernel does not permit watching; the command was not run.
    """
    their_tell, tell = os.pipe()
    hear, their_hear = os.pipe()
    launcher = [sys.executable, "-m", "rehearsal.run.filters", str(tell), str(hear)]
    with subprocess.Popen(
        [*launcher, *arguments],
        cwd=_ROOT,
        env=dict(environment),
        pass_fds=(tell, hear),
    ) as process:
        os.close(tell)
        os.close(hear)
        with os.fdopen(their_tell) as said, os.fdopen(their_hear, "wb") as answer:
            supervisor = _Supervisor(_listener(said.readline().strip()))
            supervisor.start()
            # Ctrl-C also reaches the command, which handles it itself.
            interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
            answer.write(b"x")
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGINT, interrupt)
    return supervisor.finish(status)


def _listener(said: str) -> int:
    """Duplicate the listener of the process whose message contains its PID and the descriptor."""
    number, _, listener = said.partition(" ")
    problem = listener or "its process ended"
    if number.isdecimal():
        libc = ctypes.CDLL(None, use_errno=True)
        process = os.pidfd_open(int(number))
        found: int = libc.syscall(filters.PIDFD_GETFD, process, int(listener), 0)
        problem = os.strerror(ctypes.get_errno())
        os.close(process)
        if found >= 0:
            return found
    raise RehearsalError(
        f"The kernel does not show which sockets the run reaches for (seccomp: {problem}): it "
        "takes Linux 5.6 or later and a container that may, or `make rehearse WATCH=no`."
    )


class _Supervisor(threading.Thread):
    """Answers the kernel's notifications until all processes under the filter have ended."""

    def __init__(self, listener: int) -> None:
        super().__init__(daemon=True)
        self._listener = listener
        self._calls = filters.calls()
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._lock = threading.Lock()
        self._reached: Counter[Destination] = Counter()
        self._local = 0
        self._seen: dict[int, str] = {}

    def run(self) -> None:
        while not self._poll.poll()[0][1] & select.POLLHUP:
            question = bytearray(_NOTIFICATION.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, question)
            except OSError:
                continue  # the calling process was killed meanwhile
            identity, thread, _, call, _, _, *arguments = _NOTIFICATION.unpack(question)
            try:
                self._note(identity, thread, call, arguments)
            finally:
                # Let the call continue unchanged.
                with suppress(OSError):
                    fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(identity, 0, 0, _CONTINUE))

    def finish(self, status: int) -> Watched:
        """Wait briefly for processes that the command left running; return the result."""
        self.join(_ENDS_WITHIN)
        with self._lock:
            alive = [name for pid, name in self._seen.items() if Path(f"/proc/{pid}").exists()]
            outliving = sorted(set(alive)) or ["a process"] if self.is_alive() else []
            return Watched(status, self._reached.copy(), self._local, outliving)

    def _note(self, identity: int, thread: int, call: int, arguments: Sequence[int]) -> None:
        program = "?"
        found: list[tuple[str, int] | None]
        try:
            program = Path(f"/proc/{thread}/comm").read_text(encoding="utf-8").strip()
            with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as file:

                def memory(place: int, length: int) -> bytes:
                    return os.pread(file.fileno(), length, place)

                found = addresses(self._calls, call, arguments, memory)
            fcntl.ioctl(self._listener, _IS_VALID, struct.pack("Q", identity))
        except PermissionError:
            found = [("an address that cannot be read", 0)]
        except (OSError, struct.error, OverflowError):
            return  # it has ended or passed an invalid pointer: the call will fail
        with self._lock:
            self._seen[thread] = program
            for each in found:
                if each is None:
                    self._local += 1
                else:
                    self._reached[Destination(program, *each)] += 1
