"""Which addresses outside of this machine its daemons have connections to: by sampling.

Two of the kernel's tables are read some times a second. /proc/net has the sockets of processes: one
that lives for less than a moment is missed. nf_conntrack has what containers and pods send through
this machine, and what was sent to loopback and led on by a rule, as to a container that has lost
its network. It keeps them for seconds at least after their end: none is missed there.
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
    """Returns processes by what they are."""

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
    """What is this machine's own: its addresses, and the networks of its containers and pods."""

    addresses: frozenset[str]
    inner: tuple[IPv4Network, ...]

    @classmethod
    def of(cls, routes: Iterable[Mapping[str, str]]) -> Networks:
        """Return them, given `ip -json route show table all`."""
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
        """Ask the kernel."""
        command = ["ip", "-4", "-json", "route", "show", "table", "all"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return cls.of(json.loads(shown or "[]"))

    def __or__(self, other: Networks) -> Networks:
        """Return what is of either."""
        return Networks(self.addresses | other.addresses, self.inner + other.inner)

    def inside(self, address: str) -> bool:
        """Return whether what is sent to the address stays on this machine."""
        if is_loopback(address) or address in self.addresses:
            return True
        found = ip_address(address)
        if isinstance(found, IPv6Address):
            if found.ipv4_mapped is None:
                return found.is_link_local
            found = found.ipv4_mapped
        return str(found) in self.addresses or self.contained(found)

    def contained(self, address: IPv4Address) -> bool:
        """Return whether the address is of a network of containers or pods."""
        return any(address in network for network in self.inner)


def peers(table: str) -> list[tuple[str, int, int]]:
    """Return address, port and inode of the sockets with a peer, given /proc/net/tcp and such."""
    found = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        address, _, port = columns[2].partition(":")
        # Words of the machine's byte order.
        words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
        raw = struct.pack(f"={len(words)}I", *words)
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        if any(words):
            found.append((socket.inet_ntop(family, raw), int(port, 16), int(columns[9])))
    return found


@dataclass(frozen=True)
class Tracked:
    """A connection as the kernel keeps it."""

    source: str
    destination: str
    port: int
    answers: str
    """Address of who answers: another one than the destination if a rule led it on."""


def tracked(table: str) -> set[Tracked]:
    """Return the connections, given nf_conntrack."""
    return {
        Tracked(match[1], match[2], int(match[3] or 0), match[4])
        for line in table.splitlines()
        if (match := _TRACKED.search(line))
    }


def sent_outside(connection: Tracked, networks: Networks) -> tuple[str, str, int] | None:
    """Return who sent what is no process's own socket to outside, where to, and the port."""
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
    """Return the engine's, containers included: of `processes`, (name, parent) by number."""
    found = {number for number, (name, _) in processes.items() if name.startswith(_ENGINE_PROGRAMS)}
    while more := {n for n, (_, parent) in processes.items() if parent in found} - found:
        found |= more
    return found


def running_processes() -> dict[int, tuple[str, int]]:
    """Return name and parent of each process by its number."""
    found = {}
    # With the file in the pattern it would be looked for, which fails for what has just ended.
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
            before, _, after = stat.rpartition(")")
            found[int(process.name)] = (before.partition("(")[2], int(after.split()[1]))
    return found


@dataclass
class Sampled:
    """What was seen."""

    samples: int
    reached: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """In how many samples, by who, address, port: to outside of the machine alone."""
    containers_watched: bool = True
    """Whether there is an nf_conntrack to read."""


class Sampler(threading.Thread):
    """Looks until it is told to stop."""

    def __init__(self, groups: Groups) -> None:
        """Look at these processes, which are asked for as often as one is needed."""
        super().__init__(daemon=True)
        self._groups = groups
        self._networks = Networks.of_this_machine()
        self._enough = threading.Event()
        self._sampled = Sampled(0)

    def run(self) -> None:
        """Look again and again."""
        while not self._enough.is_set():
            self.look()
            self._enough.wait(_INTERVAL)

    def finish(self) -> Sampled:
        """Stop; return what was seen to outside of this machine."""
        self._enough.set()
        self.join()
        self.look()
        # What was made meanwhile (the network of a container) is this machine's, too.
        networks = self._networks | Networks.of_this_machine()
        for who, address, port in list(self._sampled.reached):
            if networks.inside(address):
                del self._sampled.reached[who, address, port]
        return self._sampled

    def look(self) -> None:
        """Look once."""
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
        """Return who has each socket, by its inode."""
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
