"""A set of the apps of its own, beside whatever else runs on this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LABEL = "app.kubernetes.io/managed-by=docker-ml-api"


def docker(*arguments: str) -> str:
    """What the docker command line says."""
    return subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@dataclass(frozen=True)
class Run:
    """One run of site.yml: its exit status, and Ansible's own report."""

    status: int
    report: dict[str, Any]

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something."""
        return [name for name, result in self.results() if result.get("changed")]

    @property
    def failure(self) -> str:
        """What the user reads of the failed task."""
        return "\n".join(
            str(item.get("msg", ""))
            for _, result in self.results()
            if result.get("failed") or result.get("unreachable")
            for item in [result, *result.get("results", [])]
            if item.get("failed") or item.get("unreachable")
        )

    def results(self) -> list[tuple[str, dict[str, Any]]]:
        """Each task's name and result, in order."""
        return [
            (task["task"]["name"], result)
            for play in self.report["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
        ]


class Site:
    """The project's site.yml with names, ports and app folders of this test's own."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder
        self.prefix = prefix
        with (
            socket.create_server(("127.0.0.1", 0)) as a,
            socket.create_server(("127.0.0.1", 0)) as b,
        ):
            self.ports = [a.getsockname()[1], b.getsockname()[1]]
        for app in ("hello-world", "model"):
            shutil.copytree(ROOT / app, folder / app)
        self.inventory = folder / "inventory.yml"
        self.set()

    def set(self, **variables: Any) -> None:
        """Write the inventory anew, with these variables beside the names and ports."""
        host = {
            "apps_folder": str(self.folder),
            "apps_prefix": self.prefix,
            "hello_app_port": self.ports[0],
            "test_api_port": self.ports[1],
        } | variables
        self.inventory.write_text(json.dumps({"docker_hosts": {"hosts": {"localhost": host}}}))

    def command(self, *arguments: str) -> list[str]:
        """The command line of a run."""
        return [
            "ansible-playbook",
            f"--inventory={ROOT}/inventory/local.yml",
            f"--inventory={self.inventory}",
            str(ROOT / "site.yml"),
            *arguments,
        ]

    def run(self, *arguments: str, **environment: str) -> Run:
        """Run site.yml to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        # Warnings may stand before the report.
        start = done.stdout.find("{\n")
        assert start >= 0, done.stdout + done.stderr
        return Run(done.returncode, json.loads(done.stdout[start:]))

    def state(self) -> dict[str, str]:
        """The containers and images of this set: name → identity."""
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
        """Remove what this set put on the engine."""
        for name in docker(
            "ps", "--all", f"--filter=name=^{self.prefix}", f"--filter=label={LABEL}", "--quiet"
        ).split():
            docker("rm", "--force", "--volumes", name)
        for reference in docker(
            "images", f"--filter=reference={self.prefix}*", "--format={{.Repository}}:{{.Tag}}"
        ).split():
            docker("rmi", "--force", reference)
