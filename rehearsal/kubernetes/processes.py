"""Processes that outlive the runner: started in their control group, known by their record."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rehearsal.kubernetes.cgroups import Cgroups

_PROC = Path("/proc")
_SHELL = Path("/bin/sh")
_STRAYS_END_WITHIN = 10.0
# Joins the groups, sees whether it is still wanted (its runner may have been killed, and another
# have taken over), writes its own record, then becomes the program: there is no moment at which
# the program runs without group and record.
_START = """\
record=$1; token=$2; shift 2
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
read -r wanted < "$record.wanted"
[ "$wanted" = "$token" ]
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
    cgroups: Cgroups,
    component: str,
    record: Path,
    log: Path,
    environment: Mapping[str, str],
) -> None:
    """Start a component that does not run: in a session of its own, its output at the log's end."""
    token = secrets.token_hex(8)
    record.with_suffix(".wanted").write_text(f"{token}\n", encoding="ascii")
    end_strays(cgroups, component, Path(arguments[0]))
    record.unlink(missing_ok=True)
    joins = map(str, cgroups.joined_by(component))
    shell = [_SHELL, "-ec", _START, "sh", str(record), token, *joins, "--", *arguments]
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


def end_strays(cgroups: Cgroups, component: str, program: Path) -> None:
    """End what a killed runner left of a component, whether it is the program yet or not.

    What the program itself started is left alone: containerd's shims hold the pods.
    """
    programs = {program.resolve(), _SHELL.resolve()}
    strays = []
    for pid in cgroups.processes(component):
        with suppress(OSError):
            found = read_stat(pid)
            if found is not None and (_PROC / str(pid) / "exe").resolve() in programs:
                os.kill(pid, signal.SIGKILL)
                strays.append(found[0])
    end = time.monotonic() + _STRAYS_END_WITHIN
    while any(stray.running for stray in strays) and time.monotonic() < end:
        time.sleep(0.01)
