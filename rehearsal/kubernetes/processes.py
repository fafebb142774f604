"""Processes that outlive the runner, started in a control group and identified by a record."""

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
# The script joins the groups and checks that it is still wanted: its runner may have been killed,
# and another one may have taken over. It writes its own record and then executes the program. So
# the program never runs without group and record.
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
    """The unique identity of a process, as process IDs are reused."""

    pid: int
    started: int  # clock ticks after the machine's boot

    @property
    def running(self) -> bool:
        """Whether the process exists and is not a zombie."""
        stat = read_stat(self.pid)
        return stat is not None and stat[0] == self and stat[1] != "Z"


def parse_stat(text: str) -> tuple[Identity, str]:
    """Return the identity and the state in a line of /proc/PID/stat."""
    before, _, after = text.rpartition(")")
    fields = after.split()
    return Identity(int(before.split(" ", 1)[0]), int(fields[_STAT_STARTED])), fields[0]


def read_stat(pid: int) -> tuple[Identity, str] | None:
    """Return the identity and the state of a process; None if it does not exist."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text(encoding="utf-8"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def recorded(record: Path) -> Identity | None:
    """Return the process in the record; None if there is no valid record."""
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
    """Start a component that is not running, in its own session; append its output to the log."""
    token = secrets.token_hex(8)
    record.with_suffix(".wanted").write_text(f"{token}\n", encoding="ascii")
    end_strays(cgroups, component, Path(arguments[0]))
    record.unlink(missing_ok=True)
    joins = map(str, cgroups.joined_by(component))
    shell = [_SHELL, "-ec", _START, "sh", str(record), token, *joins, "--", *arguments]
    with log.open("ab") as output:
        # Detached, so that this process need not wait for it.
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
    """Kill a component's processes left by a killed runner: the start script or the program.

    Children of the program are not killed: containerd's shims run the pods.
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
