"""Control groups, by which all processes of the cluster are found and killed.

A child inherits its parent's group. So all processes that a component starts, including those of
pods, are in the cluster's groups, even if a process in between was killed.
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
# The controllers of cgroup v2 that the kubelet uses if they are available.
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "hugetlb")


@dataclass(frozen=True)
class Cgroups:
    """The group of a name in each hierarchy; `unified` means the single hierarchy of cgroup v2."""

    name: str
    hierarchies: tuple[Path, ...]
    unified: bool

    @classmethod
    def of_this_machine(cls, name: str) -> Cgroups:
        """Return the groups with this name in the machine's hierarchies."""
        mounts = find_hierarchies(MOUNT_INFO.read_text(encoding="utf-8"))
        if not mounts.hierarchies:
            raise RehearsalError("No control groups are mounted below /sys/fs/cgroup: mount them.")
        return cls(name, mounts.hierarchies, mounts.unified)

    @property
    def groups(self) -> list[Path]:
        """The cluster's group in each hierarchy."""
        return [hierarchy / self.name for hierarchy in self.hierarchies]

    def create(self) -> list[str]:
        """Create the groups; return the controllers that had to be enabled."""
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
        """Create the component's groups; return the files to which its process ID is written."""
        files = []
        for group in self.groups:
            if (group / "cpuset.cpus").exists() and not self.unified:
                continue  # accepts no process before its CPUs are set; sets no limits
            member = group / _COMPONENTS / component
            member.mkdir(parents=True, exist_ok=True)
            files.append(member / "cgroup.procs")
        return files

    def processes(self, component: str | None = None) -> set[int]:
        """Return the process IDs of the component, or of the whole cluster."""
        found: set[int] = set()
        for group in self.groups:
            top = group if component is None else group / _COMPONENTS / component
            for folder, _, _ in os.walk(top):
                with suppress(OSError):  # the group may have been removed
                    members = Path(folder, "cgroup.procs").read_text(encoding="utf-8")
                    found.update(map(int, members.split()))
        return found - {0}

    def end_all(self) -> None:
        """Kill all processes of the cluster and wait until none is left."""
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
        """Remove the groups, innermost first, and disable the controllers in `enabled`."""
        end = time.monotonic() + _REMOVED_WITHIN
        for group in self.groups:
            for folder in [Path(name) for name, _, _ in os.walk(group, topdown=False)]:
                while folder.is_dir():
                    try:
                        folder.rmdir()
                    except OSError as error:
                        # The group may be busy for a moment after its last process ended, or a
                        # process has just joined it whose runner was killed while starting it.
                        if time.monotonic() > end:
                            raise RehearsalError(
                                f"{folder} cannot be removed ({error.strerror}): see what is in "
                                "it, then run `down` again."
                            ) from error
                        self.end_all()
                        time.sleep(0.02)
        if enabled:
            with suppress(OSError):  # now in use by others: left enabled
                (self.hierarchies[0] / "cgroup.subtree_control").write_text(
                    " ".join(f"-{name}" for name in enabled)
                )


def find_hierarchies(mount_info: str) -> Cgroups:
    """Return the hierarchies mounted at /sys/fs/cgroup, given /proc/self/mountinfo."""
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
