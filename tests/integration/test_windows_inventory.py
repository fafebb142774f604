"""inventory/windows.yml and site.yml, on the call-level double of a Windows machine."""

from __future__ import annotations

import pytest

from support import ROOT
from support.ansible_run import Run, run_playbook
from support.windows_double import catalogue
from support.windows_double.world import World

INVENTORY = ROOT / "inventory/windows.yml"
FILLED_IN = {"WINDOWS_HOST": "127.0.0.1", "WINDOWS_USER": "ada"}
EMPTY = {"WINDOWS_HOST": "", "WINDOWS_USER": "", "WINDOWS_PASSWORD": ""}
LICENCE = '--extra-vars={"docker_host_windows_accept_license": true}'


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "world")
    made.add(catalogue.make("windows-machine", "win10-home"))
    return made


def run(world: World, *arguments: str, **environment: str) -> Run:
    return run_playbook(
        f"--inventory={INVENTORY}",
        f"--extra-vars=windows_double_world={world.folder}",
        *arguments,
        **{**EMPTY, "WINDOWS_CONNECTION": "windows_double", **environment},
    )


def test_what_has_to_be_filled_in_is_asked_first(world):
    ended = run(world, str(ROOT / "site.yml"), "--limit=windows-machine")
    assert ended.status != 0
    for name in ("WINDOWS_HOST", "WINDOWS_USER", "docker_host_windows_accept_license is not set"):
        assert name in ended.failure
    assert world.calls("windows-machine") == []


def test_check_mode_of_everything_changes_nothing(world, site):
    before = world.states()
    ended = run(
        world,
        f"--inventory={site.inventory}",
        str(ROOT / "site.yml"),
        LICENCE,
        "--check",
        **FILLED_IN,
    ).ok()
    assert ended.report["stats"]["windows-machine"]["changed"] == 1
    assert "install Docker Desktop by Chocolatey" in ended.text
    assert world.calls("windows-machine")
    assert world.states() == before


def test_a_restart_is_only_made_if_it_is_allowed(world):
    arguments = [str(ROOT / "site.yml"), "--tags=docker", "--limit=windows-machine", LICENCE]
    stopped = run(world, *arguments, **FILLED_IN)
    assert stopped.status != 0
    assert "set docker_host_windows_allow_reboot to true" in stopped.failure
    with world.machine("windows-machine") as machine:
        boot = machine.boot_time
    allowed = '--extra-vars={"docker_host_windows_allow_reboot": true}'
    run(world, *arguments, allowed, **FILLED_IN).ok()
    assert run(world, *arguments, **FILLED_IN).ok().changed == []
    with world.machine("windows-machine") as machine:
        assert machine.boot_time > boot
        assert machine.engine.running
