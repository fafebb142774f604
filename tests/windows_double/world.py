"""The machines of a test in a folder, so that each run of Ansible finds them as the last left them.

NAME.json is a machine's state, NAME.calls.jsonl what was called on it, one call a line.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from windows_double.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WIDTH = 100


@dataclass(frozen=True)
class World:
    """Machines in a folder."""

    folder: Path

    def add(self, machine: Machine) -> None:
        """Add a machine, or put another in its place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._state(machine.name).write_text(json.dumps(machine.write()), encoding="utf-8")
        self._calls(machine.name).write_text("", encoding="utf-8")

    @property
    def names(self) -> list[str]:
        """The names of the machines."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    @contextlib.contextmanager
    def machine(self, name: str) -> Iterator[Machine]:
        """Give the machine; what is done to it is kept, even if it ends in an error."""
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
        """Return what was called on the machine."""
        lines = self._calls(name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def forget_calls(self) -> None:
        """Empty the records."""
        for name in self.names:
            self._calls(name).write_text("", encoding="utf-8")

    def is_held(self, name: str) -> bool:
        """Return whether a run is held at this machine, to be killed."""
        return self.hold_file(name).exists()

    def hold_file(self, name: str) -> Path:
        """Return the file that is there while a run is held."""
        return self.folder / f"{name}.held"

    def _state(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _calls(self, name: str) -> Path:
        return self.folder / f"{name}.calls.jsonl"

    def table(self, name: str) -> str:
        """Return the machine's calls as a table."""
        with self.machine(name) as machine:
            title = f"{name}: {machine.product} {machine.release} (build {machine.build})"
        lines = [title]
        run = None
        number = 0
        for call in self.calls(name):
            if call["run"] != run:
                run, number = call["run"], number + 1
                lines.append(f"  run {number}{' (check mode)' if call['check_mode'] else ''}")
            lines.append("    " + _row(call))
        return "\n".join(lines)


def _row(call: dict[str, Any]) -> str:
    given = {k: v for k, v in call["arguments"].items() if v not in (None, "", [], {})}
    arguments = " ".join(f"{k}={_short(v)}" for k, v in given.items())
    short = call["module"].rpartition(".")[2]
    return f"{call['outcome']:<9} {short:<22} {arguments}"[: _WIDTH + 60].rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
