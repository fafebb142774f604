"""Connection draining: a server that is told to stop loses no request.

A client that keeps its connection open sends its next request there, however long the
connection's other end has been told to stop. So the server lets its clients finish first:

1. It still answers everybody, and each answer ends its connection (`Connection: close`).
2. When no connection is open any more, or the leave is over, it takes no new connection:
   the kernel drops the packets that would begin one, while those that wait to be accepted
   are still accepted and answered. A listening socket that is simply closed resets them.

What is left: a client that sends nothing in all that time is closed while idle, and one
that sends its next request at that very moment has to send it again, and so has one whose
handshake is under way when the leave ends.

Needs workers that are forked, and Linux.
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

# Seconds: how long those who knocked before step 2 have at most; between two looks.
LAST_CALL = 3.0
INTERVAL = 0.02
# Looks without any connection after which step 1 ends.
QUIET = 5
# To a worker: take no new connection.
REFUSE = signal.SIGUSR1

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# Of include/net/tcp_states.h: ESTABLISHED, SYN_RECV and CLOSE_WAIT (the client sends no more).
OPEN_STATES = frozenset({"01", "03", "08"})

# The least TTL or hop limit that a socket takes packets with: RFC 5082's guard against those
# who are not on the link. As nearly nobody sends with 255, it keeps nearly everybody out. A
# packet filter would do as well, but a container may not set one.
IP_MINTTL = 21  # linux/in.h
IPV6_MINHOPCOUNT = 73  # linux/in6.h
NOBODY = 255


class Drain:
    """The leave of one server: made before its workers are forked, which share it."""

    def __init__(
        self,
        port: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the port that is listened on."""
        self.port = port
        self._clock = clock
        self._sleep = sleep
        self._leaving = mmap.mmap(-1, 1)
        self._acknowledged, self._acknowledge = os.pipe()

    def in_worker(self, load: Callable[[], "WSGIApplication"]) -> "WSGIApplication":
        """Return the application as a worker serves it; called once in each worker."""
        signal.signal(REFUSE, self._refuse)
        return self.announce(load())

    def announce(self, app: "WSGIApplication") -> "WSGIApplication":
        """Return the application, each of whose answers ends its connection in the leave."""

        def announcing(
            environ: "WSGIEnvironment", start_response: "StartResponse"
        ) -> Iterable[bytes]:
            # HTTP/2 has a message of its own for it, which the server sends when it stops.
            if not self._leaving[0] or environ["SERVER_PROTOCOL"] == "HTTP/2":
                return app(environ, start_response)

            def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
                return start_response(status, [*headers, ("Connection", "close")], *error)

            return app(environ, start)

        return announcing

    def take_leave(self, workers: Iterable[int], leave: float, most: float) -> float:
        """Return when no client has a connection any more, or after `most` seconds.

        workers: their process IDs. leave: seconds for step 1. Returns the seconds it took.
        """
        start = self._clock()
        self._leaving[0] = 1
        self._wait_for_none(start + min(leave, most), QUIET)
        last = min(self._clock() + LAST_CALL, start + most)
        self._refuse_in(workers, last)
        # As none can come any more, one look is enough.
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
        """Have the workers take no new connection, and wait until they say they do so."""
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
            # A kernel without the option: what waits to be accepted is reset in the end.
            with contextlib.suppress(OSError):
                set_least_ttl(listener, NOBODY)
        threading.Thread(target=self._admit, daemon=True).start()
        os.write(self._acknowledge, b".")

    def _admit(self) -> None:
        """Let in what is accepted in the last call.

        A connection that began before the refusal and is completed after it has the listener's
        own limit: its client's request would be dropped until the client gives up.
        """
        end = self._clock() + LAST_CALL
        while self._clock() < end:
            for connection in sockets(self.port, listening=False):
                with contextlib.suppress(OSError):
                    set_least_ttl(connection, 0)
            self._sleep(INTERVAL)


def open_connections(port: int, tables: Iterable[Path] = TABLES) -> bool:
    """Tell whether a client has a connection to this TCP port, accepted or waiting for it.

    Where the kernel does not tell, one has to be assumed.
    """
    told = False
    suffix = f":{port:04X}"
    for table in tables:
        # The second is missing where there is no IPv6.
        with contextlib.suppress(FileNotFoundError):
            for line in table.read_text(encoding="ascii").splitlines():
                _, local, _, state, *_ = line.split()
                if local.endswith(suffix) and state in OPEN_STATES:
                    return True
            told = True
    return not told


def sockets(port: int, *, listening: bool) -> Iterator[socket.socket]:
    """Yield the sockets by which this process listens on a TCP port, or those accepted there."""
    for entry in Path("/proc/self/fd").iterdir():
        if not entry.is_socket():
            continue
        # Closed by another thread in the meantime.
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
    """Drop the packets that come with less than this TTL or hop limit; raises OSError.

    At a listener, with NOBODY: drop what would begin a connection; those that have begun can
    still be accepted. To a client it looks like a lost packet: it tries again, elsewhere or after
    the socket is closed, and is refused.
    """
    of.setsockopt(socket.IPPROTO_IP, IP_MINTTL, least)
    if of.family == socket.AF_INET6:
        of.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, least)
