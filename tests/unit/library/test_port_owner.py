"""The module against real listeners."""

import os
import socket
from pathlib import Path

import port_owner
import pytest

from support import ports
from support.run_module import run_module


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def ask(capsys, server, **options):
    return run_module(port_owner, capsys, ports=[server.getsockname()[1]], **options)


def test_taken_by_a_program(server, capsys):
    answer = ask(capsys, server)
    program = Path("/proc/self/comm").read_text().strip()
    [entry] = answer["taken"]
    assert entry == {"port": server.getsockname()[1], "owner": f"{program} (pid {os.getpid()})"}
    assert not answer["changed"]


def test_free_on_another_address(server, capsys):
    assert ask(capsys, server, address="127.0.0.2")["taken"] == []


def test_free(capsys):
    assert run_module(port_owner, capsys, ports=[ports.free()])["taken"] == []


def test_taken_by_a_container(server, capsys):
    port = {"IP": "127.0.0.1", "PublicPort": server.getsockname()[1], "Type": "tcp"}
    containers = [{"Names": ["/web"], "Ports": [port]}]
    assert ask(capsys, server, containers=containers)["taken"][0]["owner"] == "the container web"


def test_taken_by_a_program_that_may_not_be_seen(server, capsys, tmp_path, monkeypatch):
    (tmp_path / "net").symlink_to("/proc/net")
    monkeypatch.setattr(port_owner, "PROC", tmp_path)
    assert "only root may see" in ask(capsys, server)["taken"][0]["owner"]


def test_no_address(server, capsys):
    answer = ask(capsys, server, address="localhost")
    assert answer["msg"] == ("address: 'localhost' does not appear to be an IPv4 or IPv6 address.")


def test_programs_of_this_host_have_no_ports_of_another_machines_engine(server, capsys):
    assert ask(capsys, server, listeners=False)["taken"] == []
    port = {"IP": "127.0.0.1", "PublicPort": server.getsockname()[1], "Type": "tcp"}
    containers = [{"Names": ["/web"], "Ports": [port]}]
    (taken,) = ask(capsys, server, listeners=False, containers=containers)["taken"]
    assert taken["owner"] == "the container web"
