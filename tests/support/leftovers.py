"""Detecting what tests leave on a machine, by comparing before and after."""

from __future__ import annotations

import glob
import json
import re
import subprocess
import tempfile
from pathlib import Path

# Kept on purpose to speed up the next run. The tests' engines have their own data roots.
_KEPT = re.compile(
    r"image docker-ml-api/|network (bridge|host|none)$|link docker0$"
    r"|process dockerd (?!.*--data-root)"
)
# Programs that the tests start.
_PROGRAMS = re.compile(
    r"ansible|molecule|rehearsal|docker-registry|chromium|sshd -D|model\.main|dockerd|wrk"
)
_TEMPORARY = tempfile.gettempdir()
_FOLDERS = (_TEMPORARY, "/run", "/var/lib/docker-ml-api", "/sys/fs/cgroup")
_NAMES = (
    "docker-ml-api*",
    "dma-*",
    "rehearse-*",
    "engine-*",
    "docker-engine-*",
    "*/docker-ml-api*",
)
_RULES = re.compile(r"-A.*(KUBE-|CNI-|10\.199\.|172\.31\.)")
_MOUNTS = re.compile(rf"{_TEMPORARY}/|rehears")


def _lines(*command: str) -> list[str]:
    """Return the output lines of a command; none if it fails, like docker without an engine."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def images(pattern: str) -> list[str]:
    """Return the engine's images with matching names."""
    form = "--format={{.Repository}}:{{.Tag}}"
    return _lines("docker", "images", f"--filter=reference={pattern}", form)


def digests(pattern: str) -> list[str]:
    """Return the engine's images with matching names and a digest as NAME@DIGEST."""
    form = "--format={{.Repository}}@{{.Digest}}"
    found = _lines("docker", "images", "--digests", f"--filter=reference={pattern}", form)
    # A name alone has no digest: the image is also known by another name.
    return [line for line in found if not line.endswith("@<none>")]


def _engine() -> list[str]:
    listings = {
        "container": ("ps", "--all", "--format={{.Names}} of {{.Image}}"),
        "image": ("images", "--format={{.Repository}}:{{.Tag}} {{.ID}}"),
        "volume": ("volume", "ls", "--format={{.Name}}"),
        "network": ("network", "ls", "--format={{.Name}}"),
    }
    return [f"{kind} {line}" for kind, what in listings.items() for line in _lines("docker", *what)]


def _processes() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        command = " ".join([words[0].rpartition("/")[2], *words[1:]]).strip()
        if _PROGRAMS.search(command) and "suite.py" not in command:
            found.append(f"process {command[:200]}")
    return found


def seen() -> set[str]:
    """Return everything on this machine of the kinds that tests create."""
    links = json.loads("".join(_lines("ip", "-json", "link")) or "[]")
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return {
        *_engine(),
        *_processes(),
        *(f"link {link['ifname']}" for link in links),
        *(f"mount {line.split()[1]}" for line in mounts if _MOUNTS.search(line)),
        *(f"rule {rule}" for rule in _lines("iptables-save") if _RULES.match(rule)),
        *(
            f"file {one}"
            for folder in _FOLDERS
            for name in _NAMES
            # Unlike Path.glob, it ignores files that disappear meanwhile.
            for one in glob.glob(f"{folder}/{name}")  # noqa: PTH207 - see above
        ),
    }


def engine_runs() -> bool:
    """Return whether an engine answers."""
    return bool(_lines("docker", "version", "--format={{.Server.Version}}"))


def of_started_engine() -> set[str]:
    """Return the objects of an engine that was just started, which were not visible before."""
    return {one for one in seen() if not one.startswith("file ")}


def after(before: set[str]) -> list[str]:
    """Return what exists now but did not before, except for what is kept on purpose."""
    return sorted(one for one in seen() - before if not _KEPT.match(one))
