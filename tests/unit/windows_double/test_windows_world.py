"""The folder of machines, and its command line."""

from __future__ import annotations

import io
import json
import sys

import pytest

from support.windows_double import __main__ as command_line
from support.windows_double import catalogue
from support.windows_double.machine import INSTALLER_URL
from support.windows_double.world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "world")
    made.add(catalogue.make("a", "win11-pro"))
    return made


@pytest.fixture
def run(world, monkeypatch, capsys):
    def one(*arguments, stdin=None):
        monkeypatch.setattr(sys, "argv", ["windows_double", str(world.folder), *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(stdin)))
        command_line.main()
        return capsys.readouterr().out

    return one


def call(run=1, module="ansible.windows.win_command", changes=False, check=False, **values):
    return {
        "run": run,
        "module": module,
        "arguments": {"argv": ["C:\\bin\\docker.exe", "version"]},
        "check_mode": check,
        "changed_machine": changes,
        "outcome": "changed",
        "answer": {"rc": 0},
        **values,
    }


def test_machines_are_kept_even_if_something_fails(world):
    def fail():
        with world.machine("a") as machine:
            machine.packages["b"] = "1"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with world.machine("a") as machine:
        assert machine.packages == {"b": "1"}


def test_table(world):
    world.record("a", call(check=True))
    world.record("a", call(run=2))
    feature = {"arguments": {"name": ["A", "B"], "state": "present"}, "answer": {}}
    world.record("a", call(2, "ansible.windows.win_optional_feature", changes=True, **feature))
    assert world.table("a").splitlines() == [
        "a, Windows 11 Pro 24H2 (build 26100)",
        "run 1 in check mode, 1 calls, 0 changed the machine",
        "01   win_command          rc 0     docker.exe version",
        "run 2, 2 calls, 1 changed the machine",
        "01   win_command          rc 0     docker.exe version",
        "02 * win_optional_feature changed  name=A,B",
    ]


def test_long_arguments_are_cut(world):
    world.record("a", call(arguments={"path": "x" * 500}))
    assert len(world.table("a").splitlines()[-1]) == 66


def test_runs(world, run):
    world.record("a", call())
    world.record("a", call(2, changes=True))
    assert json.loads(run("runs"))["a"] == [
        {"check_mode": False, "calls": 1, "changes": []},
        {"check_mode": False, "calls": 1, "changes": ["win_command"]},
    ]


def test_make_set_and_restart(world, run):
    run("make", "b=win10-home", "server-2022")
    assert world.names == ["a", "b", "server-2022"]
    run("set", stdin={"b": ["faults.unreachable=true", 'engine.os="windows"', "web.breaks=2"]})
    with world.machine("b") as machine:
        assert machine.product == "Windows 10 Home"
        assert (machine.faults.unreachable, machine.engine.os) == (True, "windows")
        assert machine.web[INSTALLER_URL].breaks == 2
        boot = machine.boot_time
    run("set", stdin={"b": ["faults={}"]})
    run("restart", "b")
    with world.machine("b") as machine:
        assert not machine.faults.unreachable
        assert machine.boot_time > boot
        assert machine.answers()
    assert set(json.loads(run("states"))) == {"a", "b", "server-2022"}
    assert run("table", "b") == "b, Windows 10 Home 22H2 (build 19045)\n"


def test_what_a_machine_has_not(run):
    with pytest.raises(SystemExit):
        run("set", stdin={"a": ["faults.nothing=1"]})
