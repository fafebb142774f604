"""Draining: what each piece does; test_main drains the real server."""

import contextlib
import errno
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from model.service.serving import drain
from model.service.serving.drain import Drain

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LIMIT = 60.0
ANSWER = [b"answer"]


# Case: (the family of the listening socket, the address that clients connect to)
FAMILIES = {
    "IPv4": (socket.AF_INET, "127.0.0.1"),
    "IPv6": (socket.AF_INET6, "::1"),
    "IPv4 by IPv6": (socket.AF_INET6, "::ffff:127.0.0.1"),
}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def line(local, state):
    return f"   0: {local} 0100007F:D431 {state} 00000000:00000000 00:00000000 00000000 0 0 7\n"


# Case: (the table's lines, whether port 8080 has a connection)
TABLES = {
    "none": ([], False),
    "the listening socket": ([line("00000000:1F90", "0A")], False),
    "open": ([line("00000000:1F90", "0A"), line("0100007F:1F90", "01")], True),
    "about to be": ([line("0100007F:1F90", "03")], True),
    "the client has sent its last": ([line("0100007F:1F90", "08")], True),
    "over": ([line("0100007F:1F90", "06")], False),
    "another port": ([line("0100007F:1F91", "01"), line("0100007F:F901", "01")], False),
    "a connection to another host's": ([line("0100007F:D431", "01")], False),
    "IPv6": ([line("0000000000000000FFFF00000100007F:1F90", "01")], True),
}


@pytest.mark.parametrize(("lines", "open_"), TABLES.values(), ids=TABLES)
def test_open_connections(tmp_path, lines, open_):
    table = tmp_path / "tcp"
    table.write_text(HEAD + "".join(lines))
    assert drain.open_connections(8080, [table, tmp_path / "tcp6"]) is open_
    assert drain.open_connections(8080, [tmp_path / "tcp", table]) is open_


def test_where_the_kernel_does_not_tell_there_may_be_connections(tmp_path):
    assert drain.open_connections(8080, [tmp_path / "tcp"])


def test_a_connection_is_seen_before_it_is_accepted(listener):
    port = listener.getsockname()[1]
    assert not drain.open_connections(port)
    with socket.create_connection(listener.getsockname()):
        assert drain.open_connections(port)


def application(environ, start_response):
    start_response("200 OK", [("X-Path", environ["PATH_INFO"])])
    return ANSWER


def ask(app, protocol):
    given = []
    answer = app(
        {"PATH_INFO": "/a", "SERVER_PROTOCOL": protocol},
        lambda *arguments: given.extend(arguments),
    )
    assert answer is ANSWER
    status, headers = given
    assert (status, headers[0]) == ("200 OK", ("X-Path", "/a"))
    return dict(headers[1:])


@pytest.mark.parametrize(
    ("protocol", "added"),
    [
        ("HTTP/1.1", {"Connection": "close"}),
        ("HTTP/1", {"Connection": "close"}),
        ("HTTP/2", {}),
    ],
)
def test_each_answer_of_the_leave_ends_its_connection(protocol, added):
    draining = Drain(9)
    app = draining.announce(application)
    assert ask(app, protocol) == {}
    draining.take_leave([], leave=0, most=0)
    assert ask(app, protocol) == added


@pytest.mark.parametrize(("family", "host"), FAMILIES.values(), ids=FAMILIES)
def test_who_is_accepted_in_the_last_call_is_heard(family, host, monkeypatch):
    """The kernel applies the listener's limit to connections completed after the refusal."""
    monkeypatch.setattr(drain, "LAST_CALL", 0.1)
    dual = family == socket.AF_INET6
    with (
        socket.create_server(("", 0), family=family, dualstack_ipv6=dual) as listener,
        socket.socket(family) as client,
    ):
        address = (host, listener.getsockname()[1])
        client.connect(address)
        with listener.accept()[0] as accepted:
            drain.set_least_ttl(accepted, drain.NOBODY)
            client.sendall(b"request")
            accepted.settimeout(0.05)
            with pytest.raises(TimeoutError):
                accepted.recv(99)
            Drain(address[1])._refuse(drain.REFUSE, None)
            # The client's kernel retransmits it.
            accepted.settimeout(LIMIT)
            assert accepted.recv(99) == b"request"


@pytest.mark.parametrize(("family", "host"), FAMILIES.values(), ids=FAMILIES)
def test_those_who_wait_are_accepted_and_nobody_else(family, host):
    dual = family == socket.AF_INET6
    with (
        socket.create_server(("", 0), family=family, dualstack_ipv6=dual) as listener,
        socket.socket(family) as waiting,
        socket.socket(family) as late,
    ):
        address = (host, listener.getsockname()[1])
        waiting.connect(address)
        for found in drain.sockets(address[1], listening=True):
            drain.set_least_ttl(found, drain.NOBODY)
        late.setblocking(False)
        late.connect_ex(address)
        accepted, peer = listener.accept()
        with accepted:
            assert peer == waiting.getsockname()
            waiting.sendall(b"request")
            assert accepted.recv(99) == b"request"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        # Without a listener, the kernel's next attempt is refused.
        listener.close()
        assert select.select([], [late], [], LIMIT)[1]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_listeners_are_of_the_port_alone(listener):
    with (
        socket.create_server(("127.0.0.1", 0)),
        socket.create_connection(listener.getsockname()),
        socket.socket() as bound,
    ):
        bound.bind(("127.0.0.1", 0))
        assert list(drain.sockets(bound.getsockname()[1], listening=True)) == []
        assert len(list(drain.sockets(listener.getsockname()[1], listening=True))) == 1


def test_looking_for_listeners_opens_nothing(listener):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in drain.sockets(listener.getsockname()[1], listening=True):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Clock:
    """A clock that advances only by sleeping."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    def __call__(self):
        return self.now


# Case: (leave, most, whether a client stays, the seconds it takes)
LEAVES = {
    "nobody there": (3, 8, False, (drain.QUIET - 1) * drain.INTERVAL),
    "a client that stays": (3, 8, True, 3 + drain.LAST_CALL),
    "no longer than the drain": (3, 2, True, 2),
    "a last call within the drain": (3, 3.5, True, 3.5),
}


@pytest.mark.parametrize(("leave", "most", "stays", "takes"), LEAVES.values(), ids=LEAVES)
def test_how_long_a_leave_is(listener, leave, most, stays, takes):
    clock = Clock()
    draining = Drain(listener.getsockname()[1], clock, clock.sleep)
    with contextlib.ExitStack() as stack:
        if stays:
            stack.enter_context(socket.create_connection(listener.getsockname()))
        taken = draining.take_leave([], leave, most)
    assert taken == pytest.approx(takes, abs=2 * drain.INTERVAL)


def test_a_client_that_comes_back_at_once_is_waited_for(listener):
    """A single poll without a connection does not end the leave."""
    clock = Clock()
    address = listener.getsockname()
    clients = []

    def sleep(seconds):
        clock.sleep(seconds)
        if clients:
            clients.pop().close()
            listener.accept()[0].close()
        else:
            clients.append(socket.create_connection(address))

    try:
        assert Drain(address[1], clock, sleep).take_leave([], 3, 8) >= 3
    finally:
        for client in clients:
            client.close()


@pytest.fixture
def gone():
    """The ID of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_workers_refuse_and_say_so(listener, gone):
    handler = signal.getsignal(drain.REFUSE)
    clock = itertools.count()
    draining = Drain(listener.getsockname()[1], lambda: next(clock) / 1000, lambda _: None)
    try:
        # This process is the worker.
        assert ask(draining.in_worker(lambda: application), "HTTP/1.1") == {}
        draining.take_leave([gone, os.getpid()], 1, 2)
    finally:
        signal.signal(drain.REFUSE, handler)
    listener.setblocking(False)
    with socket.socket() as late:
        late.setblocking(False)
        late.connect_ex(listener.getsockname())
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_worker_that_does_not_hear_is_not_waited_for_forever():
    deaf = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from signal import *; signal(SIGUSR1, SIG_IGN); print(flush=True); pause()",
        ],
        stdout=subprocess.PIPE,
    )
    clock = itertools.count(step=0.01)
    with deaf:
        deaf.stdout.readline()
        try:
            assert Drain(9, lambda: next(clock), lambda _: None).take_leave([deaf.pid], 0, 0.1) > 0
        finally:
            deaf.kill()


def test_a_kernel_without_the_option(listener, monkeypatch):
    monkeypatch.setattr(drain, "IP_MINTTL", 9999)
    monkeypatch.setattr(drain, "LAST_CALL", 0.1)
    draining = Drain(listener.getsockname()[1])
    draining._refuse(signal.SIGUSR1, None)
    with socket.create_connection(listener.getsockname()):
        listener.accept()[0].close()
