"""Prerequisites of the machine, and traces of a cluster outside of its folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.kubernetes import commands
from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rehearsal.kubernetes.layout import Layout

_INSTALL = Path(__file__).parents[2] / "scripts" / "apt-install"
# Packages by program. They are only installed for missing programs, as Debian's containerd would
# replace that of a Docker engine from another packager.
_PACKAGES = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "iptables-restore": "iptables",
    "ip6tables-restore": "iptables",
    "ip": "iproute2",
    "mount": "mount",
    "setpriv": "util-linux",
    "setsid": "util-linux",
}
_PLUGINS = ("ptp", "host-local", "loopback")
_PLUGIN_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))

CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
# Folders to which programs write regardless of their configuration. They are removed again if they
# did not exist before.
SHARED_FOLDERS = (
    Path("/run/containerd"),
    Path("/run/containerd/s"),
    CNI_RESULTS.parent,
    CNI_RESULTS,
    CONTAINER_LOGS,
)


def use_system_programs() -> None:
    """Extend PATH so that system programs are found, whoever the caller is."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    folders += [name for name in ("/usr/sbin", "/sbin") if name not in folders]
    os.environ["PATH"] = os.pathsep.join(folders)


def install_missing() -> None:
    """Install the packages of the programs that are missing."""
    missing = [package for program, package in _PACKAGES.items() if not shutil.which(program)]
    if plugins_folder() is None:
        missing.append("containernetworking-plugins")
    if not missing:
        return
    packages = list(dict.fromkeys(missing))
    answer = subprocess.run([_INSTALL, *packages], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RehearsalError(
            f"Packages are missing, install them ({' '.join(packages)}): apt-get could not, "
            f"{answer.stderr.strip()[-500:]}"
        )


def installed(program: str) -> Path:
    """Return the path of a program that install_missing has ensured."""
    found = shutil.which(program)
    if not found:
        raise RehearsalError(f"{program} is not on PATH: install {_PACKAGES[program]}.")
    return Path(found)


def plugins_folder() -> Path | None:
    """Return the folder of the CNI plugins, or None."""
    for folder in _PLUGIN_FOLDERS:
        if all((folder / name).exists() for name in _PLUGINS):
            return folder
    return None


def snapshotter(folder: Path) -> str:
    """Return containerd's snapshotter for a folder: native (copying) if overlays do not work."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="overlay-") as name:
        lower, upper, work, merged = (Path(name) / part for part in ("l", "u", "w", "m"))
        for path in (lower, upper, work, merged):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
        if not commands.succeeds(mount):
            return "native"
        commands.run(["umount", str(merged)])
    return "overlayfs"


def missing_shared_folders() -> list[str]:
    """Return the shared folders that do not exist yet."""
    return [str(path) for path in SHARED_FOLDERS if not path.exists()]


def mounts_below(folder: Path, mount_info: str) -> list[Path]:
    """Return the mount points below a folder, innermost first, given /proc/self/mountinfo."""
    points = [
        Path(line.split()[4].encode().decode("unicode_escape"))  # a space is \040
        for line in mount_info.splitlines()
    ]
    return [point for point in reversed(points) if folder in point.parents]


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder."""
    info = Path("/proc/self/mountinfo")
    for point in mounts_below(folder, info.read_text(encoding="utf-8")):
        commands.succeeds(["umount", "--lazy", point])
    if left := mounts_below(folder, info.read_text(encoding="utf-8")):
        raise RehearsalError(
            f"{left[0]} cannot be unmounted: see what holds it, then `down` again."
        )


def remove_traces(paths: Layout, made: Iterable[str]) -> None:
    """Remove traces outside of the cluster's folder; its processes must have ended."""
    tasks = paths.containerd / "state" / "io.containerd.runtime.v2.task"
    for address in tasks.glob("*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    for result in CNI_RESULTS.glob(f"{paths.cgroup}-*"):
        result.unlink()
    for link in CONTAINER_LOGS.glob("*.log"):
        with suppress(OSError):  # not a link, or a link of another cluster that was just removed
            if paths.pod_logs in link.readlink().parents:
                link.unlink()
    for name in sorted(made, reverse=True):
        with suppress(OSError):  # it contains files of others
            Path(name).rmdir()
