"""Processes are known for good: by ID and time of their start."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from rehearsal.kubernetes import processes
from rehearsal.kubernetes.cgroups import Cgroups
from rehearsal.kubernetes.processes import Identity

LINE = "{pid} ({name}) {state} 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 {started} 2 3"


@pytest.mark.parametrize("name", ["sleep", "a b", "(sd-pam)", "x) R 1 ("])
def test_line_of_proc(name):
    line = LINE.format(pid=42, name=name, state="S", started=4711)
    assert processes.parse_stat(line) == (Identity(42, 4711), "S")


@pytest.mark.parametrize("content", [None, "", "42", "42 (x) S", "nonsense", "x (x) S 1"])
def test_record_that_is_none(tmp_path, content):
    record = tmp_path / "record"
    if content is not None:
        record.write_text(content)
    assert processes.recorded(record) is None


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def group():
    made = Cgroups.of_this_machine(f"docker-ml-api-test-{uuid.uuid4().hex[:8]}")
    made.create()
    yield made
    made.end_all()
    made.remove([])


def start(group, folder, *command):
    record = folder / "record"
    processes.start(
        list(command),
        record=record,
        log=folder / "log",
        joins=group.joined_by("component"),
        environment={"PATH": "/usr/bin:/bin", "OWN": "yes"},
    )
    until(lambda: processes.recorded(record))
    return processes.recorded(record)


def test_started_process_is_recorded_in_its_group_and_nobodys_child(group, tmp_path):
    identity = start(group, tmp_path, "sleep", "600")
    assert identity.running
    assert group.processes("component") == {identity.pid}
    stat = Path(f"/proc/{identity.pid}/stat").read_text().split()
    assert int(stat[3]) != os.getpid()
    assert int(stat[5]) != os.getsid(0)
    os.kill(identity.pid, signal.SIGKILL)
    until(lambda: not identity.running)


def test_output_goes_to_the_end_of_the_log(group, tmp_path):
    (tmp_path / "log").write_text("before\n")
    start(group, tmp_path, "sh", "-c", 'echo "own $OWN, path $PATH"; echo error >&2; sleep 600')
    wanted = "before\nown yes, path /usr/bin:/bin\nerror\n"
    until(lambda: (tmp_path / "log").read_text() == wanted)


def test_program_that_is_missing_tells_so_in_the_log(group, tmp_path):
    identity = start(group, tmp_path, "/nonexistent/program")
    until(lambda: not identity.running)
    assert "/nonexistent/program: not found" in (tmp_path / "log").read_text()


def test_program_does_not_start_outside_of_its_group(tmp_path):
    record = tmp_path / "record"
    processes.start(
        ["touch", str(tmp_path / "ran")],
        record=record,
        log=tmp_path / "log",
        joins=[tmp_path / "nonexistent" / "cgroup.procs"],
        environment={"PATH": "/usr/bin:/bin"},
    )
    until(lambda: "nonexistent" in (tmp_path / "log").read_text())
    assert not record.exists()
    assert not (tmp_path / "ran").exists()


def test_id_that_was_used_again_is_another_process():
    (own, _) = processes.read_stat(os.getpid())
    assert own.running
    assert not Identity(own.pid, own.started + 1).running


def test_zombie_does_not_run():
    child = subprocess.Popen(["sleep", "600"])
    (identity, _) = processes.read_stat(child.pid)
    assert identity.running
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: processes.read_stat(child.pid)[1] == "Z")
    assert not identity.running
    child.wait()
    assert processes.read_stat(child.pid) is None


def test_strays_end_and_nothing_else(group, tmp_path):
    """A component without its record is a stray; what it started is not the component."""
    identity = start(group, tmp_path, "sleep", "600")
    other = tmp_path / "other"
    other.mkdir()
    helper = start(group, other, "sh", "-c", "while :; do read -t 1 x || :; done")
    program = Path("/usr/bin/sleep")

    processes.end_strays(group, "component", program, tmp_path / "record")
    assert identity.running

    (tmp_path / "record").unlink()
    processes.end_strays(group, "component", program, tmp_path / "record")
    until(lambda: not identity.running)
    assert helper.running
