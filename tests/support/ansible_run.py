"""Running a playbook as users do, and reading Ansible's report."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from support import ROOT
from support.ansible_server import Server, decisive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))


@dataclass(frozen=True)
class Run:
    """One run: its exit status, Ansible's report, and the complete output."""

    status: int
    report: dict[str, Any]
    text: str

    @property
    def tasks(self) -> list[tuple[str, dict[str, Any]]]:
        """The name and the result of each task on each host, in the order of the run."""
        return [
            (task["task"]["name"], result)
            for play in self.report["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
        ]

    @property
    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Like `tasks`, with each item of a loop separately."""
        return [
            (name, item) for name, result in self.tasks for item in result.get("results", [result])
        ]

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something, once for each item."""
        return [name for name, item in self.items if item.get("changed")]

    @property
    def _failed(self) -> list[dict[str, Any]]:
        """The failed results; for a loop's item, ansible-core 2.21 reports only the exception."""
        return [
            item
            for _, result in self.tasks
            if result.get("failed")
            for item in result.get("results", [result])
            if item.get("failed") or "exception" in item
        ]

    @property
    def failure(self) -> str:
        """The messages of failed results; for a task with no_log, that the message is hidden."""
        return "\n".join(str(item.get("msg") or item["censored"]) for item in self._failed)

    @property
    def messages(self) -> list[str]:
        """The messages of results that did not fail."""
        failed = self._failed
        return [
            str(item["msg"])
            for _, item in self.items
            if item not in failed and "msg" in item and not item.get("skipped")
        ]

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that were set, with their last values."""
        return {
            key: value
            for _, result in self.tasks
            for key, value in result.get("ansible_facts", {}).items()
        }

    def ok(self) -> Run:
        """Return this run, which must have succeeded."""
        said = [self.failure, *(str(item.get("stderr", "")) for item in self._failed)]
        assert self.status == 0, "\n".join(filter(None, said)) or self.text
        return self


# The connection plugins of the tests' doubles of hosts.
CONNECTION_PLUGINS = os.pathsep.join(
    str(ROOT / "tests" / "support" / folder)
    for folder in (
        "windows_double/connection",
        "connection_plugins",
    )
)
# The same for all runs, so that they can be forked from one server.
REPORTING = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_CONNECTION_PLUGINS": CONNECTION_PLUGINS,
}
# In a run's environment, this selects the real program instead of a fork.
PLAIN = {"ANSIBLE_FORCE_COLOR": "false"}
_NETWORK = Path("/proc/thread-self/ns/net")  # a thread may have its own network namespace
_USUAL = decisive(os.environ | REPORTING), _NETWORK.stat().st_ino


@functools.cache
def _server() -> Server:
    """Return the server of this process."""
    server = Server(os.environ | REPORTING, ROOT)
    atexit.register(server.close)
    return server


def run_playbook(*arguments: str | Path, **environment: str) -> Run:
    """Run ansible-playbook with these arguments in the project's folder and return the run."""
    status, *written = _run(arguments, environment)
    # Warnings may precede the report.
    start = written[0].find("{\n")
    assert start >= 0, "".join(written)
    return Run(status, json.loads(written[0][start:]), "".join(written))


def show_playbook(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Return the exit status of such a run and the output that users see."""
    status, out, err = _run(arguments, {**environment, "ANSIBLE_STDOUT_CALLBACK": "stages"})
    return status, err + out


def _run(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> tuple[int, str, str]:
    command = [PLAYBOOK, *map(str, arguments)]
    whole = os.environ | REPORTING | environment
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        if (decisive(whole), _NETWORK.stat().st_ino) == _USUAL:
            status = _server().run(command, whole, stdout, stderr)
        else:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=whole,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                check=False,
            )
            status = done.returncode
        return status, _text(stdout), _text(stderr)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
