"""Sampling the connections of this machine's daemons to addresses outside of it.

Two tables of the kernel are read several times a second. /proc/net lists the sockets of processes:
very short-lived sockets are missed. nf_conntrack lists what containers and pods send through this
machine, and what was sent to loopback and redirected by a rule, e.g. to a container that has lost
its network. It keeps entries for at least seconds after their end, so none is missed.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.run.sockets import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Groups = Callable[[], Mapping[str, Iterable[int]]]
    """Returns process IDs by the name of their group."""

_PROC = Path("/proc")
_TABLES = ("tcp", "tcp6", "udp", "udp6")
_INTERVAL = 0.25
_TRACKED = re.compile(r"src=(\S+) dst=(\S+) (?:.*?dport=(\d+) )?.*?src=(\S+) dst=")

ENGINE = "Docker engine"
CONTAINERS = "containers and pods"
LED_ON = "what was sent to loopback and led on by a rule,"
_ENGINE_PROGRAMS = ("dockerd", "containerd", "docker-proxy", "containerd-shim")


@dataclass(frozen=True)
class Networks:
    """The machine's own addresses and the networks of its containers and pods."""

    addresses: frozenset[str]
    inner: tuple[IPv4Network, ...]

    @classmethod
    def of(cls, routes: Iterable[Mapping[str, str]]) -> Networks:
        """Return the networks, given the output of `ip -json route show table all`."""
        routes = list(routes)
        ways_out = {each.get("dev") for each in routes if each["dst"] == "default"}
        own = {each["dst"] for each in routes if each.get("type") in ("local", "broadcast")}
        inner = {
            IPv4Network(each["dst"])
            for each in routes
            if "gateway" not in each
            and each.get("dev") not in ways_out
            and each["dst"] != "default"
        }
        return cls(frozenset(own), tuple(sorted(inner)))

    @classmethod
    def of_this_machine(cls) -> Networks:
        """Return the networks according to the kernel's routes."""
        command = ["ip", "-4", "-json", "route", "show", "table", "all"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return cls.of(json.loads(shown or "[]"))

    def __or__(self, other: Networks) -> Networks:
        """Return the union of both."""
        return Networks(self.addresses | other.addresses, self.inner + other.inner)

    def inside(self, address: str) -> bool:
        """Return whether packets to the address stay on this machine."""
        if is_loopback(address) or address in self.addresses:
            return True
        found = ip_address(address)
        if isinstance(found, IPv6Address):
            if found.ipv4_mapped is None:
                return found.is_link_local
            found = found.ipv4_mapped
        return str(found) in self.addresses or self.contained(found)

    def contained(self, address: IPv4Address) -> bool:
        """Return whether the address belongs to a network of containers or pods."""
        return any(address in network for network in self.inner)


def peers(table: str) -> list[tuple[str, int, int]]:
    """Return peer address, port and inode of the sockets with a peer, given e.g. /proc/net/tcp."""
    found = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        address, _, port = columns[2].partition(":")
        # 32-bit words in the machine's byte order.
        words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
        raw = struct.pack(f"={len(words)}I", *words)
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        if any(words):
            found.append((socket.inet_ntop(family, raw), int(port, 16), int(columns[9])))
    return found


@dataclass(frozen=True)
class Tracked:
    """A connection as tracked by the kernel."""

    source: str
    destination: str
    port: int
    answers: str
    """The address that answers; not the destination if a rule redirected the connection."""


def tracked(table: str) -> set[Tracked]:
    """Return the connections in the content of nf_conntrack."""
    return {
        Tracked(match[1], match[2], int(match[3] or 0), match[4])
        for line in table.splitlines()
        if (match := _TRACKED.search(line))
    }


def sent_outside(connection: Tracked, networks: Networks) -> tuple[str, str, int] | None:
    """Return sender, address, port if a connection without a local socket leaves the machine."""
    if networks.inside(connection.answers):
        return None
    if is_loopback(connection.destination):
        return LED_ON, connection.answers, connection.port
    sender = ip_address(connection.source)
    forwarded = isinstance(sender, IPv4Address) and networks.contained(sender)
    if forwarded and connection.source not in networks.addresses:
        return CONTAINERS, connection.answers, connection.port
    return None


def engine_processes(processes: Mapping[int, tuple[str, int]]) -> set[int]:
    """Return the engine's process IDs, including containers; processes: (name, parent) by PID."""
    found = {number for number, (name, _) in processes.items() if name.startswith(_ENGINE_PROGRAMS)}
    while more := {n for n, (_, parent) in processes.items() if parent in found} - found:
        found |= more
    return found


def running_processes() -> dict[int, tuple[str, int]]:
    """Return name and parent of each process by its PID."""
    found = {}
    # With the file in the pattern, glob would fail for processes that have just ended.
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
            before, _, after = stat.rpartition(")")
            found[int(process.name)] = (before.partition("(")[2], int(after.split()[1]))
    return found


@dataclass
class Sampled:
    """The result of sampling."""

    samples: int
    reached: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """The number of samples by sender, address and port; only addresses outside of the machine."""
    containers_watched: bool = True
    """Whether nf_conntrack is available."""


class Sampler(threading.Thread):
    """Takes samples until it is stopped."""

    def __init__(self, groups: Groups) -> None:
        """Initialize with a function that returns the processes; it is called for each sample."""
        super().__init__(daemon=True)
        self._groups = groups
        self._networks = Networks.of_this_machine()
        self._enough = threading.Event()
        self._sampled = Sampled(0)

    def run(self) -> None:
        """Take samples at regular intervals."""
        while not self._enough.is_set():
            self.look()
            self._enough.wait(_INTERVAL)

    def finish(self) -> Sampled:
        """Stop and return the connections to addresses outside of this machine."""
        self._enough.set()
        self.join()
        self.look()
        # Networks created meanwhile (of a container) belong to this machine, too.
        networks = self._networks | Networks.of_this_machine()
        for who, address, port in list(self._sampled.reached):
            if networks.inside(address):
                del self._sampled.reached[who, address, port]
        return self._sampled

    def look(self) -> None:
        """Take one sample."""
        self._sampled.samples += 1
        outside = {
            (address, port, inode)
            for name in _TABLES
            for address, port, inode in peers(_read(_PROC / "thread-self" / "net" / name))
            if not self._networks.inside(address)
        }
        if outside:
            owners = self._owners()
            for address, port, inode in outside:
                if inode in owners:
                    self._sampled.reached[owners[inode], address, port] += 1
        try:
            table = (_PROC / "thread-self" / "net" / "nf_conntrack").read_text(encoding="utf-8")
        except OSError:
            self._sampled.containers_watched = False
            return
        for connection in tracked(table):
            if seen := sent_outside(connection, self._networks):
                self._sampled.reached[seen] += 1

    def _owners(self) -> dict[int, str]:
        """Return the owner of each socket, by its inode."""
        found = {}
        for who, numbers in self._groups().items():
            for number in numbers:
                with suppress(OSError):
                    for link in (_PROC / str(number) / "fd").iterdir():
                        with suppress(OSError):
                            name = str(link.readlink())
                            if name.startswith("socket:["):
                                found[int(name[8:-1])] = who
        return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:  # no IPv6
        return ""
