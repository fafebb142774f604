import ipaddress
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest
from ansible.module_utils.docker_ml_api.docker import tcp_ports
from ansible.module_utils.docker_ml_api.docker.tcp_ports import Listener, Owner

PROC = Path("/proc")
ALL = str(ipaddress.IPv4Address(0))
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when uid timeout inode\n"
LINE = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 {} 1\n"

# As the kernel writes it: (local address and port, address, port)
ADDRESSES = {
    "IPv4 loopback": ("0100007F:2328", "127.0.0.1", 9000),
    "all IPv4": ("00000000:1F90", ALL, 8080),
    "IPv6 loopback": ("00000000000000000000000001000000:0050", "::1", 80),
    "all IPv6": ("00000000000000000000000000000000:0050", "::", 80),
    "IPv4 in IPv6": ("0000000000000000FFFF00000100007F:0050", "127.0.0.1", 80),
}


@pytest.mark.parametrize(("local", "address", "port"), ADDRESSES.values(), ids=ADDRESSES)
def test_listeners(tmp_path, local, address, port):
    (tmp_path / "net").mkdir()
    table = HEADER + LINE.format(local, "0A", 77) + LINE.format(local, "01", 78)
    (tmp_path / "net/tcp").write_text(table)
    assert tcp_ports.listeners(tmp_path) == [Listener(ipaddress.ip_address(address), port, 77)]


# What: (address listened on, address wanted, conflict)
CONFLICTS = {
    "same address": ("127.0.0.1", "127.0.0.1", True),
    "another address": ("127.0.0.2", "127.0.0.1", False),
    "all listened on": (ALL, "127.0.0.1", True),
    "all of IPv6 listened on": ("::", "127.0.0.1", True),
    "all wanted": ("127.0.0.2", ALL, True),
    "all of IPv6 wanted": ("127.0.0.2", "::", True),
    "IPv6 loopback": ("::1", "127.0.0.1", False),
}


@pytest.mark.parametrize(("listens", "wanted", "taken"), CONFLICTS.values(), ids=CONFLICTS)
def test_conflict(listens, wanted, taken):
    found = [
        Listener(ipaddress.ip_address(listens), 1, 5),
        Listener(ipaddress.ip_address(listens), 2, 6),
    ]
    assert tcp_ports.conflict(found, wanted, 2) == (found[1] if taken else None)


@pytest.mark.parametrize("kind", [socket.AF_INET, socket.AF_INET6])
def test_a_real_listener_is_found_with_its_owner(kind):
    with closing(socket.socket(kind)) as server:
        server.bind(("::1" if kind == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen()
        host, port, *_ = server.getsockname()
        listener = tcp_ports.conflict(tcp_ports.listeners(PROC), host, port)
        owner = tcp_ports.owner(PROC, listener.inode)
    assert owner == Owner(Path("/proc/self/comm").read_text().strip(), os.getpid())
    assert tcp_ports.conflict(tcp_ports.listeners(PROC), host, port) is None


def test_an_owner_that_may_not_be_seen(tmp_path):
    (tmp_path / "1" / "fd").mkdir(parents=True)
    (tmp_path / "1" / "fd" / "0").symlink_to("/dev/null")
    (tmp_path / "1" / "fd" / "1").write_text("no link")
    (tmp_path / "2").mkdir()
    assert tcp_ports.owner(tmp_path, 77) == Owner()


def published(**port):
    defaults = {"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 9000, "Type": "tcp"}
    return [
        {"Names": ["/idle"], "Ports": None},
        {"Names": ["/web"], "Ports": [{**defaults, **port}]},
    ]


# What: (containers, wanted address, name)
PUBLISHERS = {
    "same port": (published(), "127.0.0.1", "web"),
    "another port": (published(PublicPort=1), "127.0.0.1", ""),
    "not published": (
        [{"Names": ["/a"], "Ports": [{"PrivatePort": 9000, "Type": "tcp"}]}],
        "::",
        "",
    ),
    "UDP": (published(Type="udp"), "127.0.0.1", ""),
    "another address": (published(IP="127.0.0.2"), "127.0.0.1", ""),
    "on all addresses": (published(IP=ALL), "127.0.0.1", "web"),
    "all addresses wanted": (published(IP="127.0.0.2"), ALL, "web"),
    "no containers": ([], "127.0.0.1", ""),
}


@pytest.mark.parametrize(("containers", "wanted", "name"), PUBLISHERS.values(), ids=PUBLISHERS)
def test_publisher(containers, wanted, name):
    assert tcp_ports.publisher(containers, wanted, 9000) == name
