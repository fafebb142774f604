"""What daemons, containers and pods send outside, according to the kernel's tables."""

import os
import socket
import subprocess

import pytest

from rehearsal.run import daemons
from rehearsal.run.daemons import CONTAINERS, LED_ON, Networks, Sampler, Tracked
from support import private_network

ROUTES = [
    {"dst": "default", "gateway": "198.51.100.1", "dev": "eth0"},
    {"dst": "198.51.100.0/24", "dev": "eth0", "scope": "link", "prefsrc": "198.51.100.2"},
    {"dst": "203.0.113.0/24", "gateway": "198.51.100.9", "dev": "eth0"},
    {"dst": "172.17.0.0/16", "dev": "docker0", "scope": "link", "prefsrc": "172.17.0.1"},
    {"dst": "10.199.0.2", "dev": "veth1", "scope": "host"},
    {"type": "local", "dst": "198.51.100.2", "dev": "eth0", "table": "local"},
    {"type": "local", "dst": "172.17.0.1", "dev": "docker0", "table": "local"},
    {"type": "local", "dst": "127.0.0.0/8", "dev": "lo", "table": "local"},
    {"type": "broadcast", "dst": "198.51.100.255", "dev": "eth0", "table": "local"},
]
NETWORKS = Networks.of(ROUTES)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.20.3", True),
        ("198.51.100.2", True),  # its own
        ("::ffff:198.51.100.2", True),
        ("172.17.0.3", True),  # a container
        ("::ffff:172.17.0.3", True),
        ("10.199.0.2", True),  # a pod
        ("fe80::1", True),
        ("198.51.100.1", False),  # a neighbour
        ("203.0.113.5", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("2001:db8::1", False),
        ("10.199.0.3", False),
    ],
)
def test_what_stays_on_this_machine(address, inside):
    assert NETWORKS.inside(address) is inside


def test_networks_that_came_meanwhile():
    later = Networks.of([{"dst": "10.199.0.3", "dev": "veth2"}])
    assert (NETWORKS | later).inside("10.199.0.3")


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1
   1: 0100007F:9C40 010200C0:01BB 01 00000000:00000000 00:00000000 00000000     0        0 12 1
"""
TABLE6 = """\
  sl  local_address                         remote_address                        st
   0: {zeros}:1F90 {zeros}:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21 1
   1: {zeros}:9C40 B80D0120000000000000000001000000:0050 01 0:0 00:0 0     0        0 22 1
   2: {zeros}:9C40 0000000000000000FFFF00000300007F:0051 01 0:0 00:0 0     0        0 23 1
""".format(zeros="0" * 32)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TABLE, [("192.0.2.1", 443, 12)]),
        (TABLE6, [("2001:db8::1", 80, 22), ("::ffff:127.0.0.3", 81, 23)]),
        ("", []),
    ],
)
@pytest.mark.skipif(os.sys.byteorder != "little", reason="the tables are a little-endian machine's")
def test_peers_of_sockets(table, expected):
    assert daemons.peers(table) == expected


TRACKED = """\
ipv4     2 tcp      6 73 TIME_WAIT src=127.0.0.1 dst=127.0.0.1 sport=5 dport=9000 src=172.17.0.3 \
dst=172.17.0.1 sport=8080 dport=5 [ASSURED] mark=0 zone=0 use=2
ipv4     2 udp      17 20 src=172.17.0.3 dst=192.0.2.53 sport=5 dport=53 [UNREPLIED] \
src=192.0.2.53 dst=198.51.100.2 sport=53 dport=5 mark=0 zone=0 use=2
ipv4     2 icmp     1 20 src=10.199.0.2 dst=192.0.2.1 type=8 code=0 id=1 src=192.0.2.1 \
dst=198.51.100.2 type=0 code=0 id=1 mark=0 zone=0 use=2
"""


def test_connections_that_are_tracked():
    assert daemons.tracked(TRACKED) == {
        Tracked("127.0.0.1", "127.0.0.1", 9000, "172.17.0.3"),
        Tracked("172.17.0.3", "192.0.2.53", 53, "192.0.2.53"),
        Tracked("10.199.0.2", "192.0.2.1", 0, "192.0.2.1"),
    }


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (Tracked("127.0.0.1", "127.0.0.1", 9000, "172.17.0.3"), None),
        # The container's network is gone: a rule redirects the connection out of the machine.
        (Tracked("127.0.0.1", "127.0.0.1", 9000, "172.18.0.3"), (LED_ON, "172.18.0.3", 9000)),
        (Tracked("172.17.0.3", "192.0.2.5", 443, "192.0.2.5"), (CONTAINERS, "192.0.2.5", 443)),
        (Tracked("10.199.0.2", "192.0.2.5", 53, "192.0.2.5"), (CONTAINERS, "192.0.2.5", 53)),
        (Tracked("172.17.0.3", "172.17.0.1", 80, "172.17.0.1"), None),
        # From a process of this machine, which is identified by its socket.
        (Tracked("198.51.100.2", "192.0.2.5", 443, "192.0.2.5"), None),
        (Tracked("172.17.0.1", "192.0.2.5", 443, "192.0.2.5"), None),
    ],
)
def test_what_is_sent_outside_by_no_process(connection, expected):
    assert daemons.sent_outside(connection, NETWORKS) == expected


def test_processes_of_the_engine():
    processes = {
        1: ("init", 0),
        2: ("dockerd", 1),
        3: ("containerd", 2),
        4: ("containerd-shim", 1),
        5: ("python", 4),
        6: ("sh", 5),
        7: ("python", 1),
    }
    assert daemons.engine_processes(processes) == {2, 3, 4, 5, 6}


def test_processes_that_run():
    name, parent = daemons.running_processes()[os.getpid()]
    assert parent == os.getppid()
    assert name


@pytest.fixture
def way_out():
    """Enter a network with a default route, whose packets all get lost."""
    with private_network.entered():
        for command in (
            "link add out0 type bridge",
            "address add 198.51.100.2/24 dev out0",
            "link set out0 up",
            "route add default via 198.51.100.1 dev out0",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        yield


@pytest.mark.usefixtures("way_out")
def test_sampler_sees_the_sockets_of_its_processes():
    sampler = Sampler(lambda: {"double": [os.getpid()]})
    with (
        socket.socket(type=socket.SOCK_DGRAM) as outside,
        socket.socket(type=socket.SOCK_DGRAM) as own,
        socket.socket(type=socket.SOCK_DGRAM) as loopback,
    ):
        outside.connect(("192.0.2.1", 53))
        own.connect(("198.51.100.2", 53))
        loopback.connect(("127.0.0.5", 53))
        sampler.start()
        found = sampler.finish()
    assert set(found.reached) == {("double", "192.0.2.1", 53)}
    assert found.samples >= 1


@pytest.mark.usefixtures("way_out")
def test_sampler_leaves_others_alone():
    sampler = Sampler(lambda: {"double": []})
    with socket.socket(type=socket.SOCK_DGRAM) as outside:
        outside.connect(("192.0.2.1", 53))
        sampler.start()
        found = sampler.finish()
    assert not found.reached


@pytest.mark.usefixtures("way_out")
def test_network_that_came_meanwhile_is_inside():
    sampler = Sampler(lambda: {"engine": [os.getpid()]})
    sampler.start()
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.connect(("172.31.9.9", 53))
        sampler.look()
        for command in ("link add br9 type bridge", "address add 172.31.9.1/24 dev br9"):
            subprocess.run(["ip", *command.split()], check=True)
        subprocess.run(["ip", "link", "set", "br9", "up"], check=True)
        assert not sampler.finish().reached


def test_kernel_without_tracking_is_told(tmp_path, monkeypatch):
    (tmp_path / "thread-self" / "net").mkdir(parents=True)
    monkeypatch.setattr(daemons, "_PROC", tmp_path)
    sampler = Sampler(dict)
    sampler.look()
    assert not sampler._sampled.containers_watched
