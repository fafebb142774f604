"""An installation on Windows that is killed, and the next run: call-level.

Without a real Windows, the tests prove what is called, depending on the machine's state.
"""

from __future__ import annotations

import time

import pytest

from support.windows_play import INSTALLER, WindowsPlay

# The call after which the run is killed, and the calls that had changed the machine by then.
KILLED = {
    "after-feature": ("win_optional_feature", ["win_optional_feature"]),
    "in-restart": ("win_reboot", ["win_optional_feature", "win_reboot"]),
    "after-download": (
        "win_get_url",
        ["win_optional_feature", "win_reboot", "win_command", "win_file", "win_get_url"],
    ),
    "after-installation": (
        "win_package",
        [
            "win_optional_feature",
            "win_reboot",
            "win_command",
            "win_file",
            "win_get_url",
            "win_package",
        ],
    ),
}
# Calls that must never be repeated.
ONCE = {"win_reboot", "win_get_url", "win_package"}


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> WindowsPlay:
    made = WindowsPlay(tmp_path_factory.mktemp("killed"))
    for name, (module, _) in KILLED.items():
        made.add(name, **INSTALLER)
        with made.world.machine(name) as machine:
            machine.faults.held_after = f'"ansible.windows.{module}"'
    # A separate run for each, since a machine that is held blocks all others of its run.
    runs = [made.start(f"--limit={name}") for name in KILLED]
    try:
        until = time.monotonic() + 180
        while not all(made.world.is_held(name) for name in KILLED):
            assert time.monotonic() < until, "The runs did not come to where they are killed."
            assert all(run.poll() is None for run in runs), "A run ended before it was killed."
            time.sleep(0.1)
    finally:
        for run in runs:
            run.kill()
            run.wait()
    # The machine is up again before the next run.
    with made.world.machine("in-restart") as machine:
        assert machine.down_for
        machine.down_for = None
    return made


@pytest.fixture(scope="module")
def next_run(play):
    return play.run()


@pytest.mark.parametrize("name", KILLED)
def test_the_next_run_goes_on(play, next_run, name):
    stats = next_run.report["stats"][name]
    assert (stats["failures"], stats["unreachable"]) == (0, 0), next_run.failure
    before, after = play.changes(name)
    assert before == KILLED[name][1]
    assert not ONCE & set(before) & set(after)
    with play.world.machine(name) as machine:
        assert machine.engine.running
        assert machine.pending_reboot == []
        assert machine.desktop.license_accepted
