"""The machine: what is missing, what is mounted, what lies outside of the folder."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rehearsal.kubernetes import commands, host, processes
from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.kubernetes.layout import Layout

MOUNTS = r"""24 1 254:0 / / rw - ext4 /dev/vda rw
40 24 0:40 / /var/lib/x rw - tmpfs tmpfs rw
41 40 0:41 / /var/lib/x/a rw - tmpfs tmpfs rw
42 41 0:42 / /var/lib/x/a/with\040space rw shared:1 - overlay overlay rw
43 24 0:43 / /var/lib/xy rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "points"),
    [
        ("/var/lib/x", ["/var/lib/x/a/with space", "/var/lib/x/a"]),
        ("/var/lib/x/a", ["/var/lib/x/a/with space"]),
        ("/var/lib/xy", []),
    ],
)
def test_mounts_below(folder, points):
    assert host.mounts_below(Path(folder), MOUNTS) == [Path(point) for point in points]


def test_mounts_are_unmounted_the_innermost_first(tmp_path):
    outer, inner = tmp_path / "in here", tmp_path / "in here" / "inner"
    outer.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", outer], check=True)
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    with (inner / "held").open("w"):  # a mount in use is removed, too
        host.unmount_below(tmp_path)
    assert list(outer.iterdir()) == []


def test_mount_that_stays_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "mounts_below", lambda folder, _: [folder / "stuck"])
    with pytest.raises(RehearsalError, match=r"stuck cannot be unmounted: .* `down` again"):
        host.unmount_below(tmp_path)


def test_overlays_where_they_work(tmp_path):
    assert host.snapshotter(tmp_path) == "overlayfs"
    assert list(tmp_path.iterdir()) == []


def test_copies_where_overlays_do_not_work(tmp_path):
    """An overlay cannot be the upper layer of another."""
    parts = {name: tmp_path / name for name in ("lower", "upper", "work", "merged")}
    for path in parts.values():
        path.mkdir()
    options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**parts)
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, parts["merged"]]
    subprocess.run(mount, check=True)
    try:
        assert host.snapshotter(parts["merged"]) == "native"
    finally:
        subprocess.run(["umount", parts["merged"]], check=True)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without any of the programs; return the folder that is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(host, "_PLUGIN_FOLDERS", (tmp_path / "cni",))
    return folder


def write_installer(tmp_path, monkeypatch, script):
    installer = tmp_path / "apt-install"
    installer.write_text(f"#!/bin/sh\n{script}\n")
    installer.chmod(0o755)
    monkeypatch.setattr(host, "_INSTALL", installer)


def test_packages_of_missing_programs_are_installed(bare, tmp_path, monkeypatch):
    write_installer(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked')
    # A containerd from another source is installed: Debian's package would replace it.
    for program in ("containerd", "containerd-shim-runc-v2", "ctr", "runc"):
        (bare / program).touch(mode=0o755)
    host.install_missing()
    asked = (tmp_path / "asked").read_text().split()
    assert "containerd" not in asked
    assert {"docker-registry", "iptables", "containernetworking-plugins"} <= set(asked)
    assert len(set(asked)) == len(asked)


def test_nothing_is_installed_where_nothing_is_missing(bare, tmp_path, monkeypatch):
    write_installer(tmp_path, monkeypatch, f"touch {tmp_path}/asked")
    for program in host._PACKAGES:
        (bare / program).touch(mode=0o755)
    (tmp_path / "cni").mkdir()
    for plugin in ("ptp", "host-local", "loopback"):
        (tmp_path / "cni" / plugin).touch()
    host.install_missing()
    assert not (tmp_path / "asked").exists()
    assert host.plugins_folder() == tmp_path / "cni"


def test_packages_that_cannot_be_installed(bare, tmp_path, monkeypatch):  # noqa: ARG001
    write_installer(tmp_path, monkeypatch, "echo 'no such package' >&2; exit 1")
    wanted = r"install them \(containerd .*docker-registry.*\): apt-get could not, no such package"
    with pytest.raises(RehearsalError, match=wanted):
        host.install_missing()


def test_program_that_is_missing_is_named(bare):  # noqa: ARG001
    with pytest.raises(RehearsalError, match="ctr is not on PATH: install containerd"):
        host.installed("ctr")


@pytest.mark.parametrize("path", ["/usr/bin", "/usr/sbin:/usr/bin", ""])
def test_programs_of_the_system_are_found_by_anybody(monkeypatch, path):
    monkeypatch.setenv("PATH", path)
    host.use_system_programs()
    folders = os.environ["PATH"].split(":")
    assert {"/usr/sbin", "/sbin"} <= set(folders)
    assert folders.count("/usr/sbin") == 1


def test_traces_of_others_stay(tmp_path, monkeypatch):
    """Only the cluster's own sockets, results and links are removed."""
    paths = Layout(tmp_path / "cluster")
    shared = tmp_path / "shared"
    (shared / "results").mkdir(parents=True)
    (shared / "logs").mkdir()
    monkeypatch.setattr(host, "CNI_RESULTS", shared / "results")
    monkeypatch.setattr(host, "CONTAINER_LOGS", shared / "logs")

    task = paths.containerd / "state/io.containerd.runtime.v2.task/k8s.io/a"
    task.mkdir(parents=True)
    (shared / "socket").touch()
    (task / "address").write_text(f"unix://{shared}/socket")
    (shared / "results" / f"{paths.cgroup}-a-eth0").touch()
    (shared / "results" / "other-a-eth0").touch()
    (shared / "logs" / "own.log").symlink_to(paths.pod_logs / "a/0.log")
    (shared / "logs" / "other.log").symlink_to("/var/log/pods/a/0.log")
    (shared / "logs" / "file.log").touch()
    made = [shared / "made", shared / "made" / "inner", shared / "results"]
    made[1].mkdir(parents=True)

    for _ in range(2):
        host.remove_traces(paths, [str(path) for path in made])
        left = {str(path.relative_to(shared)) for path in shared.rglob("*")}
        assert left == {
            *("results", "results/other-a-eth0"),
            *("logs", "logs/other.log", "logs/file.log"),
        }


def test_folders_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "SHARED_FOLDERS", (tmp_path, tmp_path / "a"))
    assert host.missing_shared_folders() == [str(tmp_path / "a")]


def test_command_that_fails_says_why():
    with pytest.raises(RehearsalError, match=r"`sh -c echo why >&2; exit 3` failed: why$"):
        commands.run(["/bin/sh", "-c", "echo why >&2; exit 3"])
    assert not commands.succeeds(["false"])
    assert commands.run(["cat"], stdin="text") == "text"


def test_command_ends_with_the_runner(tmp_path):
    """A command that outlives a killed runner could undo what `down` did."""
    script = "from rehearsal.kubernetes import commands; commands.run(['sh', '-c', {!r}])"
    pid = tmp_path / "pid"
    inner = f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600"
    runner = subprocess.Popen(
        [sys.executable, "-c", script.format(inner)], cwd=Path(__file__).parents[3]
    )
    while not pid.exists():
        assert runner.poll() is None
    (command, _) = processes.read_stat(int(pid.read_text()))
    runner.kill()
    runner.wait()
    end = time.monotonic() + 60
    while command.running:
        assert time.monotonic() < end, "it lives on"
