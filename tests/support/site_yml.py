"""A separate set of the apps, independent of other containers on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from support import ROOT, ports
from support.ansible_run import Run, run_playbook, show_playbook

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "app.kubernetes.io/managed-by=docker-ml-api"


def docker(*arguments: str) -> str:
    """Run the docker command and return its output."""
    return subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


class Site:
    """The project's site.yml with this test's own names, ports and app folders."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.prefix = prefix
        self.ports = [ports.free(), ports.free()]
        for app in ("hello-world", "model"):
            shutil.copytree(ROOT / app, folder / app)
        self.inventory = folder / "inventory.yml"
        self.set()

    def set(self, **variables: Any) -> None:
        """Write the inventory again, with these variables in addition to the names and ports."""
        host = {
            "apps_folder": str(self.folder),
            "apps_prefix": self.prefix,
            "hello_app_port": self.ports[0],
            "test_api_port": self.ports[1],
        } | variables
        self.inventory.write_text(json.dumps({"docker_hosts": {"hosts": {"localhost": host}}}))

    def arguments(self, *arguments: str) -> list[str]:
        """Return the arguments of ansible-playbook."""
        return [
            f"--inventory={ROOT}/inventory/local.yml",
            f"--inventory={self.inventory}",
            str(ROOT / "site.yml"),
            *arguments,
        ]

    def run(self, *arguments: str, **environment: str) -> Run:
        """Run site.yml to its end."""
        return run_playbook(*self.arguments(*arguments), **environment)

    def show(self, *arguments: str) -> tuple[int, str]:
        """Return the exit status of such a run and the output that users see."""
        return show_playbook(*self.arguments(*arguments))

    def state(self) -> dict[str, str]:
        """Return the containers and images of this set: name → identity."""
        containers = docker(
            "ps", "--all", f"--filter=name=^{self.prefix}", "--format={{.Names}} {{.ID}} {{.Image}}"
        )
        images = docker(
            "images",
            f"--filter=reference={self.prefix}*",
            "--format={{.Repository}}:{{.Tag}} {{.ID}}",
        )
        lines = [*containers.splitlines(), *images.splitlines()]
        return dict(line.split(" ", 1) for line in lines)

    def remove(self) -> None:
        """Remove the containers and images of this set."""
        for name in docker(
            "ps", "--all", f"--filter=name=^{self.prefix}", f"--filter=label={LABEL}", "--quiet"
        ).split():
            docker("rm", "--force", "--volumes", name)
        for reference in docker(
            "images", f"--filter=reference={self.prefix}*", "--format={{.Repository}}:{{.Tag}}"
        ).split():
            docker("rmi", "--force", reference)
