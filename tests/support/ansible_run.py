"""Runs a playbook as users do, and reads Ansible's own report of it."""

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
    """One run: its exit status, Ansible's report, and all that was written."""

    status: int
    report: dict[str, Any]
    text: str

    @property
    def tasks(self) -> list[tuple[str, dict[str, Any]]]:
        """Each task's name and result on each host, in order."""
        return [
            (task["task"]["name"], result)
            for play in self.report["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
        ]

    @property
    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """As tasks, with a loop's items one by one."""
        return [
            (name, item) for name, result in self.tasks for item in result.get("results", [result])
        ]

    @property
    def changed(self) -> list[str]:
        """The tasks that changed something, once for each item."""
        return [name for name, item in self.items if item.get("changed")]

    @property
    def _failed(self) -> list[dict[str, Any]]:
        """The results that failed; of a loop's item core 2.21 reports only the exception."""
        return [
            item
            for _, result in self.tasks
            if result.get("failed")
            for item in result.get("results", [result])
            if item.get("failed") or "exception" in item
        ]

    @property
    def failure(self) -> str:
        """The message of what failed; of a task with no_log, that it is hidden."""
        return "\n".join(str(item.get("msg") or item["censored"]) for item in self._failed)

    @property
    def messages(self) -> list[str]:
        """What the run said."""
        failed = self._failed
        return [
            str(item["msg"])
            for _, item in self.items
            if item not in failed and "msg" in item and not item.get("skipped")
        ]

    @property
    def facts(self) -> dict[str, Any]:
        """The last value of each fact that was set."""
        return {
            key: value
            for _, result in self.tasks
            for key, value in result.get("ansible_facts", {}).items()
        }

    def ok(self) -> Run:
        """Return this run, which must have succeeded."""
        assert self.status == 0, self.failure or self.text
        return self


# The doubles of hosts that tests have.
CONNECTION_PLUGINS = os.pathsep.join(
    str(ROOT / "tests" / "support" / folder)
    for folder in (
        "windows_double/connection",
        "connection_plugins",
    )
)
# For all runs the same: they are forked from one server then.
REPORTING = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_CONNECTION_PLUGINS": CONNECTION_PLUGINS,
}
# In a run's environment: it is no fork, but the program that users call.
PLAIN = {"ANSIBLE_FORCE_COLOR": "false"}
_NETWORK = Path("/proc/thread-self/ns/net")  # a thread may be in one of its own
_USUAL = decisive(os.environ | REPORTING), _NETWORK.stat().st_ino


@functools.cache
def _server() -> Server:
    """Return the server of this process."""
    server = Server(os.environ | REPORTING, ROOT)
    atexit.register(server.close)
    return server


def run_playbook(*arguments: str | Path, **environment: str) -> Run:
    """Run ansible-playbook with these arguments in the project's folder, to its end."""
    status, *written = _run(arguments, environment)
    # Warnings may stand before the report.
    start = written[0].find("{\n")
    assert start >= 0, "".join(written)
    return Run(status, json.loads(written[0][start:]), "".join(written))


def show_playbook(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Return the exit status of such a run, and what people see of it."""
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
