"""Connection draining: a server that is told to stop loses no request.

A client with a keep-alive connection sends its next request on it, even if the server was told to
stop long before. So the server drains its connections first:

1. It still answers all requests; each response closes its connection (`Connection: close`).
2. When no connection is open any more, or the time for step 1 is over, it takes no new connections:
   the kernel drops the packets that would open one, while connections that wait to be accepted
   are still accepted and answered. Just closing the listening socket would reset these.

Remaining limitations: a connection on which the client sends nothing during all that time is closed
while idle. If the client sends its next request at that very moment, it must send it again. So must
a client whose handshake is in progress when step 2 begins.

Requires forked workers and Linux.
"""

import contextlib
import mmap
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Seconds: the maximum time for connections opened before step 2; the polling interval.
LAST_CALL = 3.0
INTERVAL = 0.02
# The number of consecutive polls without a connection after which step 1 ends.
QUIET = 5
# Tells a worker to take no new connections.
REFUSE = signal.SIGUSR1

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# From include/net/tcp_states.h: ESTABLISHED, SYN_RECV and CLOSE_WAIT (client sends no more).
OPEN_STATES = frozenset({"01", "03", "08"})

# The minimum TTL or hop limit of the packets that a socket accepts, meant for RFC 5082's protection
# against senders that are not on the link. As hardly any host sends with 255, this value blocks
# nearly all packets. A packet filter would do the same, but a container may not set one.
IP_MINTTL = 21  # linux/in.h
IPV6_MINHOPCOUNT = 73  # linux/in6.h
NOBODY = 255


class Drain:
    """Drains the connections of one server; created before the fork and shared by the workers."""

    def __init__(
        self,
        port: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Initialize with the listening port."""
        self.port = port
        self._clock = clock
        self._sleep = sleep
        self._leaving = mmap.mmap(-1, 1)
        self._acknowledged, self._acknowledge = os.pipe()

    def in_worker(self, load: Callable[[], "WSGIApplication"]) -> "WSGIApplication":
        """Return the application that a worker serves; call it once in each worker."""
        signal.signal(REFUSE, self._refuse)
        return self.announce(load())

    def announce(self, app: "WSGIApplication") -> "WSGIApplication":
        """Return the application wrapped so that responses close their connection in a drain."""

        def announcing(
            environ: "WSGIEnvironment", start_response: "StartResponse"
        ) -> Iterable[bytes]:
            # HTTP/2 has a message of its own for this, GOAWAY, which the server sends when it
            # stops.
            if not self._leaving[0] or environ["SERVER_PROTOCOL"] == "HTTP/2":
                return app(environ, start_response)

            def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
                return start_response(status, [*headers, ("Connection", "close")], *error)

            return app(environ, start)

        return announcing

    def take_leave(self, workers: Iterable[int], leave: float, most: float) -> float:
        """Drain until no client has a connection any more, for at most `most` seconds.

        workers: their process IDs. leave: seconds for step 1. Returns the seconds it took.
        """
        start = self._clock()
        self._leaving[0] = 1
        self._wait_for_none(start + min(leave, most), QUIET)
        last = min(self._clock() + LAST_CALL, start + most)
        self._refuse_in(workers, last)
        # As no new connection can be opened, one poll without a connection is enough.
        self._wait_for_none(last, 1)
        return self._clock() - start

    def _wait_for_none(self, deadline: float, looks: int) -> None:
        quiet = 0
        while self._clock() < deadline:
            quiet = 0 if open_connections(self.port) else quiet + 1
            if quiet == looks:
                return
            self._sleep(INTERVAL)

    def _refuse_in(self, workers: Iterable[int], deadline: float) -> None:
        """Tell the workers to take no new connections, and wait for their acknowledgements."""
        awaited = 0
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, REFUSE)
                awaited += 1
        while awaited > 0 and (left := deadline - self._clock()) > 0:
            if select.select([self._acknowledged], [], [], left)[0]:
                awaited -= len(os.read(self._acknowledged, awaited))

    def _refuse(self, _signal: int, _frame: object) -> None:
        for listener in sockets(self.port, listening=True):
            # Without the kernel option, connections waiting to be accepted are reset when the
            # listener is closed.
            with contextlib.suppress(OSError):
                set_least_ttl(listener, NOBODY)
        threading.Thread(target=self._admit, daemon=True).start()
        os.write(self._acknowledge, b".")

    def _admit(self) -> None:
        """Remove the limit from connections that are accepted during the last call.

        A connection opened before the refusal and completed after it inherits the listener's limit:
        its client's request would be dropped until the client gives up.
        """
        end = self._clock() + LAST_CALL
        while self._clock() < end:
            for connection in sockets(self.port, listening=False):
                with contextlib.suppress(OSError):
                    set_least_ttl(connection, 0)
            self._sleep(INTERVAL)


def open_connections(port: int, tables: Iterable[Path] = TABLES) -> bool:
    """Return whether a client has a connection to this TCP port, accepted or waiting to be.

    If the kernel does not expose its connections, the result is True.
    """
    told = False
    suffix = f":{port:04X}"
    for table in tables:
        # The second table is missing on hosts without IPv6.
        with contextlib.suppress(FileNotFoundError):
            for line in table.read_text(encoding="ascii").splitlines():
                _, local, _, state, *_ = line.split()
                if local.endswith(suffix) and state in OPEN_STATES:
                    return True
            told = True
    return not told


def sockets(port: int, *, listening: bool) -> Iterator[socket.socket]:
    """Yield this process's listening sockets on a TCP port, or the connections accepted there."""
    for entry in Path("/proc/self/fd").iterdir():
        if not entry.is_socket():
            continue
        # Another thread may have closed it in the meantime.
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(int(entry.name))) as candidate,
        ):
            if (
                candidate.family in (socket.AF_INET, socket.AF_INET6)
                and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == listening
                and candidate.getsockname()[1] == port
            ):
                yield candidate


def set_least_ttl(of: socket.socket, least: int) -> None:
    """Have the kernel drop a socket's packets with a lower TTL or hop limit; raises OSError.

    With NOBODY on a listener, packets that would open a connection are dropped, while connections
    already opened can still be accepted. To a client this looks like packet loss: it retries,
    either elsewhere or after the socket is closed, when the connection is refused.
    """
    of.setsockopt(socket.IPPROTO_IP, IP_MINTTL, least)
    if of.family == socket.AF_INET6:
        of.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, least)
