"""Processes are identified uniquely, by ID and start time."""

import contextlib
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
    end = time.monotonic() + 60
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


def order(group, folder, *command):
    processes.start(
        list(command),
        cgroups=group,
        component="component",
        record=folder / "record",
        log=folder / "log",
        environment={"PATH": "/usr/bin:/bin", "OWN": "yes"},
    )


def start(group, folder, *command):
    order(group, folder, *command)
    until(lambda: processes.recorded(folder / "record"))
    identity = processes.recorded(folder / "record")
    until(lambda: not identity.running or is_the_program(identity.pid, folder))
    return identity


def is_the_program(pid, folder):
    """Return whether it no longer is the start script, which runs `mv` as another process."""
    with contextlib.suppress(OSError):
        return str(folder / "record").encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


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


def test_program_does_not_start_outside_of_its_group(group, tmp_path, monkeypatch):
    missing = tmp_path / "nonexistent" / "cgroup.procs"
    monkeypatch.setattr(Cgroups, "joined_by", lambda *_: [missing])
    order(group, tmp_path, "touch", str(tmp_path / "ran"))
    until(lambda: str(missing) in (tmp_path / "log").read_text())
    assert not (tmp_path / "record").exists()
    assert not (tmp_path / "ran").exists()


def test_program_that_is_no_longer_wanted_does_not_start(group, tmp_path, monkeypatch):
    """Its runner was killed before it joined its group, and another one has taken over."""
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    real = group.joined_by
    monkeypatch.setattr(Cgroups, "joined_by", lambda _, name: [hold, *real(name)])
    order(group, tmp_path, "touch", str(tmp_path / "first ran"))
    monkeypatch.setattr(Cgroups, "joined_by", lambda _, name: real(name))
    identity = start(group, tmp_path, "sleep", "600")

    late = int(hold.read_text())  # the first script continues
    until(lambda: processes.read_stat(late) is None)
    assert processes.recorded(tmp_path / "record") == identity
    assert identity.running
    assert not (tmp_path / "first ran").exists()


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


def test_strays_end_and_what_they_started_does_not(group, tmp_path):
    script = "sleep 600 & exec tail -f /dev/null"
    stray = start(group, tmp_path, "sh", "-c", script)
    until(lambda: len(group.processes()) == 2)
    (child,) = group.processes() - {stray.pid}
    tail = Path(f"/proc/{stray.pid}/exe")
    until(lambda: tail.resolve().name == "tail")

    identity = start(group, tmp_path, tail.resolve(), "-f", "/dev/zero")
    assert not stray.running
    assert group.processes() == {identity.pid, child}


def test_stray_that_is_not_yet_the_program_ends(group, tmp_path):
    stray = start(group, tmp_path, "sh", "-c", "while :; do read -t 1 x || :; done")
    identity = start(group, tmp_path, "sleep", "600")
    assert not stray.running
    assert group.processes() == {identity.pid}
