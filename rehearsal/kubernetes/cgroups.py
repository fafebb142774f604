"""Control groups: the handle by which every process of the cluster is known and ended.

A child inherits its parent's group, so that whatever a component starts, pods included, is
in the cluster's groups, whoever was killed in between.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rehearsal.kubernetes.errors import RehearsalError

MOUNT_INFO = Path("/proc/self/mountinfo")
_COMPONENTS = "components"
_ENDS_WITHIN = 30.0
_REMOVED_WITHIN = 10.0
# What the kubelet wants of version 2, where it is to be had.
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "hugetlb")


@dataclass(frozen=True)
class Cgroups:
    """The group of that name in each hierarchy; `unified` is version 2's single one."""

    name: str
    hierarchies: tuple[Path, ...]
    unified: bool

    @classmethod
    def of_this_machine(cls, name: str) -> Cgroups:
        """Find the hierarchies."""
        mounts = find_hierarchies(MOUNT_INFO.read_text(encoding="utf-8"))
        if not mounts.hierarchies:
            raise RehearsalError("No control groups are mounted below /sys/fs/cgroup: mount them.")
        return cls(name, mounts.hierarchies, mounts.unified)

    @property
    def groups(self) -> list[Path]:
        """The cluster's group in each hierarchy."""
        return [hierarchy / self.name for hierarchy in self.hierarchies]

    def create(self) -> list[str]:
        """Make the groups; return which controllers had to be enabled for it."""
        enabled = []
        if self.unified:
            root = self.hierarchies[0]
            has = set((root / "cgroup.subtree_control").read_text().split())
            can = set((root / "cgroup.controllers").read_text().split())
            enabled = [name for name in _CONTROLLERS if name in can - has]
            if enabled:
                (root / "cgroup.subtree_control").write_text(
                    " ".join(f"+{name}" for name in enabled)
                )
        for group in self.groups:
            group.mkdir(exist_ok=True)
        return enabled

    def joined_by(self, component: str) -> list[Path]:
        """Make the component's groups; return the files that take its process ID."""
        files = []
        for group in self.groups:
            if (group / "cpuset.cpus").exists() and not self.unified:
                continue  # takes no process before its processors are set, and limits nothing
            member = group / _COMPONENTS / component
            member.mkdir(parents=True, exist_ok=True)
            files.append(member / "cgroup.procs")
        return files

    def processes(self, component: str | None = None) -> set[int]:
        """Return the processes of the component, or of the whole cluster."""
        found: set[int] = set()
        for group in self.groups:
            top = group if component is None else group / _COMPONENTS / component
            for folder, _, _ in os.walk(top):
                with suppress(OSError):  # the group may be gone by now
                    members = Path(folder, "cgroup.procs").read_text(encoding="utf-8")
                    found.update(map(int, members.split()))
        return found - {0}

    def end_all(self) -> None:
        """Kill every process of the cluster and wait until none is left."""
        end = time.monotonic() + _ENDS_WITHIN
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > end:
                named = ", ".join(str(pid) for pid in sorted(pids))
                raise RehearsalError(
                    f"Processes of the cluster do not end ({named}): see what holds them, "
                    "then run `down` again."
                )
            time.sleep(0.02)

    def remove(self, enabled: list[str]) -> None:
        """Remove the groups, the innermost first, and disable those controllers again."""
        end = time.monotonic() + _REMOVED_WITHIN
        for group in self.groups:
            for folder in [Path(name) for name, _, _ in os.walk(group, topdown=False)]:
                while folder.is_dir():
                    try:
                        folder.rmdir()
                    except OSError as error:
                        # Busy for a moment after its last process, or one has just joined
                        # whose runner was killed while it started it.
                        if time.monotonic() > end:
                            raise RehearsalError(
                                f"{folder} cannot be removed ({error.strerror}): see what is in "
                                "it, then run `down` again."
                            ) from error
                        self.end_all()
                        time.sleep(0.02)
        if enabled:
            with suppress(OSError):  # in use by others meanwhile: theirs now
                (self.hierarchies[0] / "cgroup.subtree_control").write_text(
                    " ".join(f"-{name}" for name in enabled)
                )


def find_hierarchies(mount_info: str) -> Cgroups:
    """Return what is mounted at /sys/fs/cgroup, given /proc/self/mountinfo."""
    root = Path("/sys/fs/cgroup")
    first_version = []
    for line in mount_info.splitlines():
        before, _, after = line.partition(" - ")
        mount_point, kind = Path(before.split()[4]), after.split()[0]
        if kind == "cgroup2" and mount_point == root:
            return Cgroups("", (root,), unified=True)
        if kind in {"cgroup", "cgroup2"} and mount_point.parent == root:
            first_version.append(mount_point)
    return Cgroups("", tuple(dict.fromkeys(first_version)), unified=False)
