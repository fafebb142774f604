import os
import sys
import time

import pytest

from benchmarks.serving import processes
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.processes import Process, Server

STAT = (
    "42 (a (b) c) S 7 42 41 0 -1 4194560 100 0 0 0 200 100 30 20 20 0 1 0 987654 1000 50 "
    "18446744073709551615 0 0"
)


def test_a_line_of_stat():
    found = processes.parse_stat(STAT)
    assert (found.pid, found.parent, found.session, found.started) == (42, 7, 41, 987654)
    assert found.cpu == 350 / processes.TICKS
    assert not found.zombie
    assert processes.parse_stat(STAT.replace(") S ", ") Z ")).zombie


def a_process(pid, parent=1, session=1, started=0):
    return Process(pid, parent, session, started, 0.0, zombie=False)


@pytest.mark.parametrize(
    ("every", "known", "expected"),
    [
        pytest.param([a_process(10), a_process(11)], set(), {10}, id="itself"),
        pytest.param([a_process(10), a_process(11, 10), a_process(12, 11)], set(), {10, 11, 12},
                     id="children's children"),
        pytest.param([a_process(12, 1, 10)], set(), {12}, id="of its session, without a parent"),
        pytest.param([a_process(10), a_process(12, 1, 12, 5), a_process(13, 12, 13)], {(12, 5)},
                     {10, 12, 13}, id="known, and its children"),
        pytest.param([a_process(10), a_process(12, 1, 12, 6)], {(12, 5)}, {10},
                     id="another with the number of one that was known"),
    ],
)  # fmt: skip
def test_tree(every, known, expected):
    assert {one.pid for one in processes.tree(10, known, every)} == expected


def test_commands_are_pinned_where_there_are_cpus_to_share():
    assert processes.pinned(["a", "b"], [0, 1]) == ["taskset", "--cpu-list", "0,1", "a", "b"]
    assert processes.pinned(["a", "b"], []) == ["a", "b"]


# A child in its own session that ignores SIGTERM and outlives its parent.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
    time.sleep(60)
time.sleep(60)
"""


def test_a_server_ends_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "END_AT_MOST", 0.2)
    log = tmp_path / "log"
    with Server([sys.executable, "-c", STUBBORN], tmp_path, os.environ, log) as server:
        deadline = time.monotonic() + 20
        # The kernel counts each process separately, in ticks of 10 ms.
        while server.cpu_seconds() < 0.25 and time.monotonic() < deadline:
            time.sleep(0.05)
        server.check_running()
        child = int(server.last_words())
        found = {one.pid for one in server.processes()}
        assert child in found
        assert server.cpu_seconds() >= 0.25
        assert server.memory_bytes() > 1_000_000
    assert not found & {one.pid for one in processes.all_processes() if not one.zombie}
    assert server.memory_bytes() == 0


def test_a_server_that_has_ended_says_why(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no model')"]
    with Server(command, tmp_path, os.environ, tmp_path / "log") as server:
        server._process.wait(timeout=20)
        with pytest.raises(MeasurementError, match="it ended: no model"):
            server.check_running()
