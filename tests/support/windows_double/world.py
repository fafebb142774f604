"""The machines of a test, stored in a folder, so that their state persists between runs of Ansible.

NAME.json is a machine's state, NAME.calls.jsonl contains the calls on it, one per line.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import ntpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.windows_double.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The width of a line; longer lines would be wrapped in a playbook's output.
_WIDTH = 66
_PATH = 20
# Arguments omitted from tables: long texts, and internals between action plugins and modules.
_BORING = {"script", "files", "directories", "symlinks", "checksum_algorithm", "state"}


@dataclass(frozen=True)
class World:
    """Machines in a folder."""

    folder: Path

    def add(self, machine: Machine) -> None:
        """Add or replace a machine."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._state(machine.name).write_text(json.dumps(machine.write()), encoding="utf-8")
        self._calls(machine.name).write_text("", encoding="utf-8")

    @property
    def names(self) -> list[str]:
        """The names of the machines."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    @contextlib.contextmanager
    def machine(self, name: str) -> Iterator[Machine]:
        """Yield the machine; its changes are saved, even after an error."""
        with self._state(name).open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            machine = Machine.read(json.load(file))
            try:
                yield machine
            finally:
                text = json.dumps(machine.write())
                file.seek(0)
                file.truncate()
                file.write(text)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of each machine."""
        found = {}
        for name in self.names:
            with self.machine(name) as machine:
                found[name] = machine.state()
        return found

    def record(self, name: str, call: dict[str, Any]) -> None:
        """Add a call to the machine's record."""
        with self._calls(name).open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(call) + "\n")

    def calls(self, name: str) -> list[dict[str, Any]]:
        """Return the calls on the machine."""
        lines = self._calls(name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def forget_calls(self) -> None:
        """Empty the records."""
        for name in self.names:
            self._calls(name).write_text("", encoding="utf-8")

    def is_held(self, name: str) -> bool:
        """Return whether a run is held at this machine, so that it can be killed."""
        return self.hold_file(name).exists()

    def hold_file(self, name: str) -> Path:
        """Return the file that exists while a run is held."""
        return self.folder / f"{name}.held"

    def _state(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _calls(self, name: str) -> Path:
        return self.folder / f"{name}.calls.jsonl"

    def runs(self, name: str) -> list[Run]:
        """Return the calls of each run of Ansible on the machine."""
        found: list[Run] = []
        process = None
        for call in self.calls(name):
            if call["run"] != process:
                process = call["run"]
                found.append(Run([]))
            found[-1].calls.append(call)
        return found

    def table(self, name: str) -> str:
        """Return the machine's calls as a table."""
        with self.machine(name) as machine:
            lines = [f"{name}, {machine.product} {machine.release} (build {machine.build})"]
        for number, run in enumerate(self.runs(name), 1):
            mode = " in check mode" if run.check_mode else ""
            told = f"{len(run.calls)} calls, {len(run.changes)} changed the machine"
            lines.append(f"run {number}{mode}, {told}")
            lines += [_row(place, call) for place, call in enumerate(run.calls, 1)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Run:
    """The calls of one run of Ansible on a machine."""

    calls: list[dict[str, Any]]

    @property
    def check_mode(self) -> bool:
        """Whether it was a run in check mode, in which some tasks may still run without it."""
        return any(call["check_mode"] for call in self.calls)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The calls that changed the machine."""
        return [call for call in self.calls if call["changed_machine"]]


def _row(number: int, call: dict[str, Any]) -> str:
    short = call["module"].rpartition(".")[2]
    mark = "*" if call["changed_machine"] else " "
    return _cut(f"{number:02} {mark} {short:<20} {_told(call):<8} {_asked(call)}".rstrip())


def _told(call: dict[str, Any]) -> str:
    code = call["answer"].get("rc")
    if code is not None and call["outcome"] in ("changed", "failed", "ok"):
        return f"rc {code}"
    return str(call["outcome"])


def _asked(call: dict[str, Any]) -> str:
    given = call["arguments"]
    if "argv" in given:
        program, *rest = given["argv"]
        return " ".join([ntpath.basename(program), *rest])
    return " ".join(
        f"{name}={_written(value)}"
        for name, value in given.items()
        if value not in (None, "", [], {}) and not name.startswith("_") and name not in _BORING
    )


def _written(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ",".join(value)
    text = " ".join((value if isinstance(value, str) else json.dumps(value)).split())
    # The end of a path is the informative part.
    return f"…{text[-_PATH:]}" if "\\" in text and len(text) > _PATH else text


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
