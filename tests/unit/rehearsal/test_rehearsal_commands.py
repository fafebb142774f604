"""Commands of the runner, and its lock, which is held while a command outlives it."""

import fcntl
import os
import subprocess
import sys

import pytest

from rehearsal.kubernetes import commands
from rehearsal.kubernetes.errors import RehearsalError
from support import ROOT

# Starts a command that kills this runner, before the command is set to end with it.
RUNNER = """
import fcntl, sys
from rehearsal.kubernetes import commands
commands._ENDS_WITH_RUNNER = ()
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    with commands.inheriting(file.fileno()):
        commands.run(["sh", "-c", 'kill -KILL "$PPID"; read _ < "$1"', "sh", sys.argv[2]])
"""


def test_what_a_command_says():
    assert commands.run(["cat"], "given") == "given"
    assert commands.succeeds(["true"])
    assert not commands.succeeds(["false"])
    with pytest.raises(RehearsalError, match=r"^`sh -c echo no >&2; exit 3` failed: no$"):
        commands.run(["/bin/sh", "-c", "echo no >&2; exit 3"])


def test_the_lock_is_held_until_the_last_command_has_ended(tmp_path):
    lock, lasts = tmp_path / "lock", tmp_path / "lasts"
    os.mkfifo(lasts)
    arguments = [sys.executable, "-c", RUNNER, str(lock), str(lasts)]
    assert subprocess.run(arguments, cwd=ROOT, check=False).returncode == -9

    with lock.open("w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lasts.write_text("", encoding="ascii")
        # Waits only for the command.
        fcntl.flock(file, fcntl.LOCK_EX)


def test_nothing_is_inherited_afterwards():
    with commands.inheriting(2):
        pass

    assert commands._inherited == ()
