"""Processes that outlive the runner: started in their control group, known by their record."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rehearsal.kubernetes.cgroups import Cgroups

_PROC = Path("/proc")
# Joins the groups, writes its own record, then becomes the program: there is no moment at
# which the program runs without either.
_START = """\
record=$1; shift
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
read -r stat < /proc/$$/stat
echo "$stat" > "$record.new"
mv "$record.new" "$record"
exec "$@"
"""
_STAT_STARTED = 22 - 3  # fields after the name; proc(5) counts from one, the name is the second


@dataclass(frozen=True)
class Identity:
    """A process for good: IDs are used again, at another time."""

    pid: int
    started: int  # clock ticks after the machine's start

    @property
    def running(self) -> bool:
        """Whether it is there and no zombie."""
        stat = read_stat(self.pid)
        return stat is not None and stat[0] == self and stat[1] != "Z"


def parse_stat(text: str) -> tuple[Identity, str]:
    """Return the identity and the state of a line of /proc/PID/stat."""
    before, _, after = text.rpartition(")")
    fields = after.split()
    return Identity(int(before.split(" ", 1)[0]), int(fields[_STAT_STARTED])), fields[0]


def read_stat(pid: int) -> tuple[Identity, str] | None:
    """Return the identity and the state of a process, None when there is none."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text(encoding="utf-8"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def recorded(record: Path) -> Identity | None:
    """Return the process of the record, None without a usable one."""
    try:
        return parse_stat(record.read_text(encoding="utf-8"))[0]
    except (FileNotFoundError, ValueError, IndexError):
        return None


def start(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    record: Path,
    log: Path,
    joins: Sequence[Path],
    environment: Mapping[str, str],
) -> None:
    """Start a program in a session of its own; its output goes to the log's end."""
    shell = ["/bin/sh", "-ec", _START, "sh", str(record), *map(str, joins), "--", *arguments]
    with log.open("ab") as output:
        # Nobody's child: it is not this process's to wait for.
        subprocess.run(
            ["setsid", "--fork", *shell],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=dict(environment),
            check=True,
        )


def end_strays(cgroups: Cgroups, component: str, program: Path, record: Path) -> None:
    """End the processes of a component that no record knows: their runner was killed."""
    known = recorded(record)
    for pid in cgroups.processes(component):
        if known is not None and pid == known.pid and known.running:
            continue
        with suppress(OSError):
            if (_PROC / str(pid) / "exe").resolve() == program.resolve():
                os.kill(pid, signal.SIGKILL)
