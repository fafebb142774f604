"""The addresses that a command sends to are recorded, even if that fails."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys

import pytest

from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.run import filters, sockets
from rehearsal.run.sockets import Destination
from support import ROOT, private_network

CALLS = filters.calls()


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("0.0.0.0", True),  # noqa: S104 - this machine, as a destination
        ("::1", True),
        ("::", True),
        ("::ffff:127.0.20.3", True),
        ("128.0.0.1", False),
        ("10.199.0.2", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("fe80::1", False),
        ("2001:db8::1", False),
        ("an address that cannot be read", False),
    ],
)
def test_loopback_alone_is_inside(address, inside):
    assert sockets.is_loopback(address) is inside
    assert Destination("python", address, 443).outside is not inside


def ipv4(address, port):
    packed = socket.inet_aton(address)
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, packed)


def ipv6(address, port):
    packed = socket.inet_pton(socket.AF_INET6, address)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, packed, 0)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (ipv4("192.0.2.1", 443), ("192.0.2.1", 443)),
        (ipv6("2001:db8::1", 53), ("2001:db8::1", 53)),
        (struct.pack("=H", socket.AF_UNIX) + b"/run/docker.sock\0", None),
        (struct.pack("=HHII", socket.AF_NETLINK, 0, 0, 0), None),
        (struct.pack("=H", socket.AF_UNSPEC) + bytes(14), None),
        (b"", None),
        (struct.pack("=H", socket.AF_PACKET) + bytes(18), ("an address of family 17", 0)),
        (struct.pack("=H", socket.AF_VSOCK) + bytes(14), ("an address of family 40", 0)),
        (ipv4("192.0.2.1", 443)[:6], ("an address of family 2", 0)),
    ],
)
def test_addresses_as_the_kernel_has_them(raw, expected):
    assert sockets.read_address(raw) == expected


def message(place, length):
    return struct.pack("QI4x", place, length) + bytes(40)


FIRST, SECOND = ipv4("192.0.2.1", 80), ipv6("::1", 81)


@pytest.mark.parametrize(
    ("call", "arguments", "memory", "expected"),
    [
        (CALLS.connect, [3, 100, 16], {100: FIRST}, [("192.0.2.1", 80)]),
        (CALLS.connect, [3, 100, 1 << 32 | 28], {100: SECOND}, [("::1", 81)]),
        (CALLS.sendto, [3, 0, 0, 0, 100, 16], {100: FIRST}, [("192.0.2.1", 80)]),
        (CALLS.sendmsg, [3, 200, 0], {200: message(100, 16), 100: FIRST}, [("192.0.2.1", 80)]),
        (CALLS.sendmsg, [3, 200, 0], {200: message(0, 0)}, []),
        (
            CALLS.sendmmsg,
            [3, 200, 3, 0],
            {
                200: message(100, 16),
                264: message(0, 0),
                328: message(150, 28),
                100: FIRST,
                150: SECOND,
            },
            [("192.0.2.1", 80), ("::1", 81)],
        ),
    ],
)
def test_addresses_that_a_call_names(call, arguments, memory, expected):
    padded = [*arguments, *[0] * (6 - len(arguments))]
    found = sockets.addresses(CALLS, call, padded, lambda place, size: memory[place][:size])
    assert found == expected


REACH = """
import socket, sys

def attempt(do):
    try:
        do()
    except OSError:
        pass

tcp = socket.socket()
attempt(lambda: tcp.connect(("192.0.2.1", 443)))
tcp6 = socket.socket(socket.AF_INET6)
attempt(lambda: tcp6.connect(("2001:db8::1", 444)))
udp = socket.socket(type=socket.SOCK_DGRAM)
attempt(lambda: udp.sendto(b"secret", ("192.0.2.2", 53)))
attempt(lambda: udp.sendmsg([b"secret"], [], 0, ("192.0.2.3", 54)))
attempt(lambda: udp.connect(("127.0.0.9", 55)))
attempt(lambda: udp.send(b"no address"))
attempt(lambda: udp.sendmsg([b"no address"]))
attempt(lambda: socket.socket(socket.AF_UNIX).connect("/nothing"))
sys.exit(7)
"""


def watched(*command, **environment):
    """Run a command in a network that no packet can leave."""
    with private_network.entered():
        return sockets.run(command, {"PATH": os.environ["PATH"], **environment})


@pytest.mark.parametrize("through", [[], ["sh", "-c", '"$@"; exit $?', "sh"]])
def test_what_fails_at_once_is_noted_too(through):
    found = watched(*through, sys.executable, "-c", REACH)
    assert found.status == 7
    outside = {(each.address, each.port): n for each, n in found.reached.items() if each.outside}
    assert outside == {
        ("192.0.2.1", 443): 1,
        ("2001:db8::1", 444): 1,
        ("192.0.2.2", 53): 1,
        ("192.0.2.3", 54): 1,
    }
    inside = {(each.address, each.port) for each in found.reached if not each.outside}
    assert inside == {("127.0.0.9", 55)}
    assert found.local >= 1
    assert found.outliving == []
    named = {each.program for each in found.reached}
    assert all(name.startswith("python") for name in named)


def test_threads_are_watched():
    code = "import threading; thread = threading.Thread(target=lambda: exec(code)); thread.start()"
    body = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.7', 1))"
    found = watched(sys.executable, "-c", f"code = {body!r}\n{code}")
    assert [each.address for each in found.reached] == ["192.0.2.7"]


def test_what_cannot_be_watched_fails():
    code = f"""
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(ctypes.get_errno() if libc.syscall({CALLS.io_uring_setup}, 1, 0) < 0 else 0)
"""
    assert watched(sys.executable, "-c", code).status == 38


def test_pointer_to_nothing_comes_to_nothing():
    code = f"""
import ctypes, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
one = socket.socket()
libc.syscall({CALLS.connect}, one.fileno(), 8, 16)
sys.exit(ctypes.get_errno())
"""
    found = watched(sys.executable, "-c", code)
    assert found.status == 14  # EFAULT, the kernel's own answer
    assert not found.reached


def test_what_outlives_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sockets, "_ENDS_WITHIN", 0.2)
    number = tmp_path / "number"
    code = """
import pathlib, socket, sys, time
socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 1))
pathlib.Path(sys.argv[1]).write_text("up")
time.sleep(60)
"""
    start = f'"$@" & echo $! > {tmp_path}/pid; while [ ! -s {number} ]; do sleep 0.05; done'
    found = watched("sh", "-c", start, "sh", sys.executable, "-c", code, str(number))
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert found.status == 0
    assert [name[:6] for name in found.outliving] == ["python"]


def test_interrupt_is_the_commands():
    """Ctrl-C interrupts the command, and the runner waits for it to end."""
    code = """
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(9))
os.kill(os.getppid(), signal.SIGINT)
time.sleep(0.2)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""
    assert watched(sys.executable, "-c", code).status == 9


def test_commands_that_are_not_there():
    assert watched("no-such-command").status != 0


@pytest.mark.parametrize(
    ("said", "problem"),
    [("error Operation not permitted", "Operation not permitted"), ("", "its process ended")],
)
def test_kernel_that_does_not_show_it(said, problem):
    sentence = rf"\(seccomp: {problem}\).*`make rehearse WATCH=no`"
    with pytest.raises(RehearsalError, match=sentence):
        sockets._listener(said)


def test_listener_of_a_process_that_has_none():
    with pytest.raises(RehearsalError, match="Bad file descriptor"):
        sockets._listener(f"{os.getpid()} 9999")


@pytest.mark.parametrize(("machine", "system"), [("riscv64", "linux"), ("x86_64", "darwin")])
def test_other_machines_are_told(monkeypatch, machine, system):
    monkeypatch.setattr(filters.platform, "machine", lambda: machine)
    monkeypatch.setattr(filters.sys, "platform", system)
    with pytest.raises(OSError, match=f"no filter for {machine} on {system}"):
        filters.calls()


@pytest.mark.parametrize(
    ("rights", "no_new_privileges"),
    [([], "0"), (["setpriv", "--bounding-set=-sys_admin"], "1")],
)
def test_rights_are_given_up_where_the_kernel_asks_for_it(rights, no_new_privileges):
    code = """
from rehearsal.run import filters
filters.install()
print(open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0])
"""
    done = subprocess.run(
        [*rights, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == no_new_privileges


def test_known_numbers_are_the_kernels():
    """The kernel executes `connect` by the number that the filter knows."""
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        raw = ctypes.create_string_buffer(ipv4("127.0.0.1", 9))
        assert libc.syscall(CALLS.connect, one.fileno(), raw, 16) == 0
        assert one.getpeername() == ("127.0.0.1", 9)
