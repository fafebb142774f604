"""Finds the programs that listen on the TCP ports of this host, from Linux' /proc."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LISTEN = "0A"
_WORD = 8  # hexadecimal digits in one 32-bit word of an address
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_WILDCARDS = (ipaddress.IPv4Address(0), ipaddress.IPv6Address(0))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Listener:
    """A socket that accepts connections."""

    address: Address
    port: int
    inode: int


@dataclass(frozen=True)
class Owner:
    """The program that has a socket; empty and 0 if this user may not see it."""

    program: str = ""
    pid: int = 0


def listeners(proc: Path) -> list[Listener]:
    """Return the listening TCP sockets, IPv4 before IPv6."""
    return [
        listener
        for table in ("tcp", "tcp6")
        if (path := proc / "net" / table).exists()
        for listener in _parse(path.read_text(encoding="ascii"))
    ]


def _parse(table: str) -> Iterator[Listener]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        local, state, inode = fields[1], fields[3], fields[9]
        if state == _LISTEN:
            address, _, port = local.partition(":")
            yield Listener(_address(address), int(port, 16), int(inode))


def _address(digits: str) -> Address:
    """Decode the kernel's format: 32-bit words, each in the host's (little) byte order."""
    words = [digits[start : start + _WORD] for start in range(0, len(digits), _WORD)]
    packed = b"".join(bytes.fromhex(word)[::-1] for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def conflict(found: list[Listener], address: str, port: int) -> Listener | None:
    """Return a listener that prevents listening on *address* and *port*, or None."""
    wanted = ipaddress.ip_address(address)
    for listener in found:
        if listener.port != port:
            continue
        if wanted in _WILDCARDS or listener.address in (*_WILDCARDS, wanted):
            return listener
    return None


def owner(proc: Path, inode: int) -> Owner:
    """Return the program that has the socket *inode*; an empty Owner if it is not visible."""
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            links = [entry.path for entry in os.scandir(process / "fd")]
            if any(_socket(link) == inode for link in links):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return Owner(name, int(process.name))
        except OSError:  # another user's process, or one that has ended
            continue
    return Owner()


def _socket(link: str) -> int | None:
    try:
        match = _SOCKET.fullmatch(str(Path(link).readlink()))
    except OSError:
        return None
    return int(match[1]) if match else None


def publisher(containers: Iterable[Mapping[str, Any]], address: str, port: int) -> str:
    """Return the name of the container that publishes *port*; empty if there is none.

    *containers* is the engine's list (``/containers/json``). If the engine runs without its
    userland proxy, there is no listener for a published port.
    """
    wanted = ipaddress.ip_address(address)
    for container in containers:
        for published in container.get("Ports") or []:
            # Only compared, not used for listening: no address means all addresses.
            host = ipaddress.ip_address(published.get("IP") or "0.0.0.0")  # noqa: S104 - see above
            same = wanted in _WILDCARDS or host in (*_WILDCARDS, wanted)
            if same and published.get("PublicPort") == port and published.get("Type") == "tcp":
                return str(container["Names"][0]).lstrip("/")
    return ""
