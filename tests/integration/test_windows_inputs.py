"""inventory/windows.yml, call-level: each wrong input, and the engine that this machine uses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support import ROOT
from support.ansible_run import Run, run_playbook
from support.windows_double import catalogue
from support.windows_double.world import World

if TYPE_CHECKING:
    from pathlib import Path

FILLED_IN = {
    "ansible_host": "192.0.2.1",
    "ansible_user": "ada",
    "docker_host_windows_accept_license": True,
}
# Nothing answers there: this machine's own engine must not be mistaken for the other's.
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


class Site:
    """The inventory, with a double of some kind instead of the real machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder / "world")

    def make(self, kind: str) -> None:
        self.world.add(catalogue.make("windows-machine", kind))

    def run(self, *options: str, here: dict[str, str] | None = None, **machine: object) -> Run:
        """Run the docker stage of site.yml."""
        there = {
            "ansible_connection": "windows_double",
            "ansible_password": self.password,
            "windows_double_world": str(self.world.folder),
            **FILLED_IN,
            **machine,
        }
        inventory = {
            "windows": {"hosts": {"windows-machine": there}},
            "docker_hosts": {"hosts": {"localhost": here or {}}},
        }
        (self.folder / "inventory.yml").write_text(json.dumps(inventory))
        return run_playbook(
            f"--inventory={ROOT}/inventory/windows.yml",
            f"--inventory={self.folder}/inventory.yml",
            ROOT / "site.yml",
            "--tags=docker",
            *options,
            **NO_ENGINE,
        )

    @property
    def password(self) -> str:
        with self.world.machine("windows-machine") as machine:
            return str(machine.password)

    @property
    def called(self) -> int:
        """The number of calls on the machine."""
        return len(self.world.calls("windows-machine"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ansible_host": ""}, ["ansible_host", "WINDOWS_HOST", "inventory/windows.yml"]),
        ({"ansible_user": ""}, ["ansible_user", "WINDOWS_USER", "inventory/windows.yml"]),
        (
            {"docker_host_windows_accept_license": None},
            ["docker_host_windows_accept_license is not set", "true", "false"],
        ),
        (
            {"ansible_connection": "psrp", "ansible_password": ""},
            ["ansible_connection", "psrp", "WINDOWS_PASSWORD"],
        ),
        (
            {"docker_host_windows_installer": "https://example.com/x.exe"},
            ["docker_host_windows_installer_checksum", "SHA-256"],
        ),
        (
            {"docker_host_windows_installer_checksum": "a" * 64},
            ["docker_host_windows_installer is not", "Chocolatey"],
        ),
        ({"docker_host_daemon_options": {"debug": True}}, ["docker_host_daemon_options"]),
        ({"docker_host_windows_backend": "virtualbox"}, ["docker_host_windows_backend", "hyper-v"]),
    ],
)
def test_what_is_not_filled_in_is_told_before_a_connection_is_made(
    site: Site, given: dict[str, object], words: list[str]
) -> None:
    site.make("win11-pro")

    run = site.run(**given)

    assert run.status != 0
    for word in words:
        assert word in run.failure
    assert run.failure.count("windows-machine is") <= 1
    assert site.called == 0


def test_a_licence_that_is_not_accepted_is_no_hindrance_to_a_docker_that_is_there(
    site: Site,
) -> None:
    site.make("win11-pro")
    run = site.run(docker_host_windows_accept_license=False)
    assert "its licence is not accepted" in run.failure
    assert "is not set" not in run.failure

    site.make("has-desktop")
    run = site.run("--limit=windows", docker_host_windows_accept_license=False).ok()
    assert run.changed == []


def test_check_mode_changes_nothing_there(site: Site) -> None:
    site.make("win11-home")
    before = site.world.states()

    run = site.run("--check").ok()

    assert site.world.states() == before
    said = json.dumps(run.messages + [item.get("msg") for _, item in run.items])
    assert "install Docker Desktop by Chocolatey" in said
    assert "use the engine of windows-machine" in said


def test_the_engine_that_was_brought_must_answer_here(site: Site) -> None:
    site.make("win11-home")

    run = site.run(docker_host_windows_allow_reboot=True)

    assert run.status != 0
    assert "The engine of windows-machine answers there, but not on localhost" in run.failure
    assert "WSL integration" in run.failure
    assert "docker_engine" in run.failure
    # Nothing was installed here instead.
    assert not any("Install packages" in name for name, _ in run.tasks)
    assert site.world.states()["windows-machine"]["engine"]["running"]


def test_where_it_stops_nothing_is_installed_here(site: Site) -> None:
    site.make("win11-home")

    run = site.run()

    assert run.status != 0
    assert "restart windows-machine and run again" in run.failure
    assert "docker_host_windows_allow_reboot" in run.failure
    assert not any("Install packages" in name for name, _ in run.tasks)


def test_an_unknown_provider_is_told(site: Site) -> None:
    site.make("has-desktop")

    run = site.run(here={"docker_host_provided_by": "nobody"})

    assert run.status != 0
    assert "docker_host_provided_by of localhost is nobody" in run.failure
