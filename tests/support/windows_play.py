"""Running the real playbooks on call-level doubles of Windows machines."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support import ROOT
from support.ansible_run import CONNECTION_PLUGINS, PLAYBOOK, Run, run_playbook
from support.windows_double import catalogue
from support.windows_double.world import World

if TYPE_CHECKING:
    from pathlib import Path

INSTALLER = {
    "docker_host_windows_installer": (
        "https://desktop.docker.com/win/main/amd64/Docker%20Desktop%20Installer.exe"
    ),
    "docker_host_windows_installer_checksum": (
        "a10e3196def1e2ea4215ca046e4ebf5ded247250164c5f302b274e870ae79afa"
    ),
}
_VARIABLES = {
    "ansible_connection": "windows_double",
    "ansible_user": "ada",
    "docker_host_platform": "windows",
    "docker_host_windows_accept_license": True,
    "docker_host_windows_allow_reboot": True,
    "docker_host_windows_reboot_timeout": 30,
    "docker_host_start_timeout": 30,
}


@dataclass
class WindowsPlay:
    """Machines by name, and runs of a playbook on them."""

    folder: Path
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    playbook: str = "playbooks/docker.yml"

    def __post_init__(self) -> None:
        self.world = World(self.folder / "world")

    def add(self, name: str, kind: str = "win11-pro", **variables: Any) -> None:
        """Add a machine of a kind, with variables."""
        self.world.add(catalogue.make(name, kind))
        self.hosts[name] = variables

    @property
    def arguments(self) -> list[str]:
        """Write the inventory and return the arguments of ansible-playbook."""
        variables = _VARIABLES | {"windows_double_world": str(self.world.folder)}
        inventory = self.folder / "inventory.yml"
        groups = {"windows": {"hosts": self.hosts, "vars": variables}}
        inventory.write_text(json.dumps(groups), encoding="utf-8")
        return [f"--inventory={inventory}", "--forks=8", str(ROOT / self.playbook)]

    def run(self, *options: str) -> Run:
        """Run the playbook and return the finished run."""
        return run_playbook(*self.arguments, *options)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the playbook without waiting for it."""
        return subprocess.Popen(
            [PLAYBOOK, *self.arguments, *options],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_CONNECTION_PLUGINS": CONNECTION_PLUGINS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def changes(self, name: str) -> list[list[str]]:
        """Return the modules that changed the machine, by run."""
        return [
            [call["module"].rpartition(".")[2] for call in run.changes]
            for run in self.world.runs(name)
        ]
