"""An HTTP proxy (CONNECT) with its own mapping of host names."""

from __future__ import annotations

import contextlib
import selectors
import socket
import socketserver
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support import loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEAD = 65536


@dataclass
class Proxy:
    """The proxy and the requested HOST:PORT of each connection."""

    url: str
    asked: list[str] = field(default_factory=list)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Forward data in both directions until one side closes the connection."""
    with selectors.DefaultSelector() as ready:
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in ready.select():
                content = key.fileobj.recv(_HEAD)  # type: ignore[union-attr]
                if not content:
                    return
                key.data.sendall(content)


@contextlib.contextmanager
def running(places: Mapping[str, str]) -> Iterator[Proxy]:
    """Run a proxy with the mapping `places`: HOST:PORT → HOST:PORT."""

    class Connection(socketserver.StreamRequestHandler):
        """One connection through it."""

        def handle(self) -> None:
            asked = self.rfile.readline(_HEAD).split()[1].decode()
            while self.rfile.readline(_HEAD).strip():
                pass
            made.asked.append(asked)
            host, _, port = places[asked].rpartition(":")
            with (
                contextlib.suppress(OSError),
                socket.create_connection((host, int(port))) as there,
            ):
                self.connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                relay(self.connection, there)

    class Server(socketserver.ThreadingTCPServer):
        """Handles each connection in a separate thread."""

        daemon_threads = True
        allow_reuse_address = True

    server = Server(("127.0.0.1", 0), Connection)
    made = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    with loopback.answering(server):
        yield made
