"""Runs that are killed at a task."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections import deque
from pathlib import Path

import pytest

from support import ROOT, processes


def kill_at(command: list[str], task: str, program: str) -> None:
    """Start a run, and kill it (SIGKILL) once `task` has started and `program`, if given, runs."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        # Otherwise, output is buffered, and the name of a task arrives long after its start.
        env=os.environ
        | {"PYTHONUNBUFFERED": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        assert run.stdout is not None
        said: deque[str] = deque(maxlen=60)
        try:
            for line in run.stdout:
                said.append(line)
                if task in line:
                    break
            else:
                pytest.fail(f"the run ended before “{task}”:\n{''.join(said)}")
            wait_for(run.pid, program)
        finally:
            processes.kill_all(run.pid)


def wait_for(pid: int, program: str) -> None:
    """Wait until the command line of a descendant contains `program`."""
    end = time.monotonic() + 60
    while program and time.monotonic() < end:
        for child in processes.descendants(pid):
            with contextlib.suppress(OSError):
                if program in Path(f"/proc/{child}/cmdline").read_text().replace("\0", " "):
                    return
        time.sleep(0.02)
    assert not program, f"no “{program}” within a minute"
