"""Control groups: both versions are found, and no process of the cluster is missed."""

import os
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from rehearsal.kubernetes import cgroups
from rehearsal.kubernetes.cgroups import Cgroups
from rehearsal.kubernetes.errors import RehearsalError

SECOND = "31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
FIRST = """\
30 24 0:25 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro
33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
34 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
35 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
90 24 0:31 / /var/lib/elsewhere/memory rw - cgroup cgroup rw,memory
"""


@pytest.mark.parametrize(
    ("mounts", "unified", "hierarchies"),
    [
        (SECOND, True, ["/sys/fs/cgroup"]),
        (
            FIRST,
            False,
            ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"],
        ),
        ("", False, []),
    ],
)
def test_hierarchies(mounts, unified, hierarchies):
    found = cgroups.find_hierarchies(mounts)
    assert found.unified == unified
    assert [str(path) for path in found.hierarchies] == hierarchies


def test_machine_without_control_groups(tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_text("24 1 0:1 / / rw - ext4 /dev/vda rw\n")
    monkeypatch.setattr(cgroups, "MOUNT_INFO", tmp_path / "mountinfo")
    with pytest.raises(RehearsalError, match="No control groups are mounted"):
        Cgroups.of_this_machine("x")


def second_version(root, *, can="cpuset cpu io memory pids", has="cpu pids"):
    (root / "cgroup.controllers").write_text(can)
    (root / "cgroup.subtree_control").write_text(has)
    return Cgroups("ours", (root,), unified=True)


def test_second_version_is_given_the_controllers_that_the_kubelet_wants(tmp_path):
    made = second_version(tmp_path)
    assert made.create() == ["cpuset", "memory"]
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +memory"
    assert (tmp_path / "ours").is_dir()


def test_second_version_that_has_them_is_left_as_it_is(tmp_path):
    made = second_version(tmp_path, has="cpuset cpu memory pids")
    assert made.create() == []
    assert (tmp_path / "cgroup.subtree_control").read_text() == "cpuset cpu memory pids"


def test_enabled_controllers_are_disabled_again(tmp_path):
    made = second_version(tmp_path)
    made.remove(made.create())
    assert (tmp_path / "cgroup.subtree_control").read_text() == "-cpuset -memory"
    assert not (tmp_path / "ours").exists()


@pytest.fixture
def real():
    """Yield a real control group of this machine."""
    made = Cgroups.of_this_machine(f"docker-ml-api-test-{uuid.uuid4().hex[:8]}")
    made.create()
    yield made
    made.end_all()
    made.remove([])


def start_in(group, *command):
    files = group.joined_by("component")
    joins = "".join(f"echo $$ > {file}; " for file in files)
    return subprocess.Popen(["/bin/sh", "-ec", f'{joins} exec "$@"', "sh", *command])


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_children_are_known_and_ended(real):
    # The child leaves its session and parent, like a daemon.
    process = start_in(real, "sh", "-c", "setsid --fork sleep 600; exec sleep 601")
    until(lambda: len(real.processes("component")) == 2)
    assert process.pid in real.processes()
    assert real.processes("other") == set()

    real.end_all()
    assert real.processes() == set()
    assert process.wait() == -9
    real.remove([])
    assert not [group for group in real.groups if group.exists()]


def test_component_joins_every_hierarchy_that_takes_it(real):
    process = start_in(real, "sleep", "600")
    until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
    lines = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
    members = [line for line in lines if line.endswith(f"/{real.name}/components/component")]
    assert len(members) == len(real.joined_by("component")) > 0
    real.end_all()
    process.wait()


def test_process_that_joins_late_is_ended_before_its_group_is_removed(real):
    process = start_in(real, "sleep", "600")
    until(real.processes)
    real.remove([])
    assert process.wait() == -9


def test_process_that_does_not_end_is_named(tmp_path, monkeypatch):
    """Only a process blocked in the kernel survives; here, a missing one stands in for it."""
    group = tmp_path / "ours"
    group.mkdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    (group / "cgroup.procs").write_text(f"{gone.pid}\n")
    monkeypatch.setattr(cgroups, "_ENDS_WITHIN", -1.0)
    with pytest.raises(RehearsalError, match=rf"do not end \({gone.pid}\): .*`down` again"):
        Cgroups("ours", (tmp_path,), unified=True).end_all()


def test_group_that_stays_busy_is_named(tmp_path, monkeypatch):
    group = tmp_path / "ours"
    group.mkdir()
    (group / "file").touch()
    monkeypatch.setattr(cgroups, "_REMOVED_WITHIN", -1.0)
    with pytest.raises(RehearsalError, match=rf"{group} cannot be removed \(Directory not empty\)"):
        Cgroups("ours", (tmp_path,), unified=True).remove([])


def test_own_process_is_in_no_group_of_a_cluster(real):
    assert os.getpid() not in real.processes()
