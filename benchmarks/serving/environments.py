"""The servers' virtual environments and Go programs, created once and cached."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.errors import MeasurementError
from rehearsal.kubernetes import build
from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
SERVING = Path(__file__).resolve().parent
MODEL = ROOT / "model"
GO_SOURCES = SERVING / "go"
# Seconds after which an installation is aborted, e.g. if a package index hangs.
INSTALL_AT_MOST = 1800
# Written last in an environment, so that an incomplete one is created again.
STAMP = ".complete"


def requirements(name: str) -> list[Path]:
    """Return the hash-locked requirements files of an environment of this project or of a peer.

    ours: as in the image, by the form of the model; tools: for training, compiling and plotting.
    """
    own = {
        "ours": ["requirements.txt"],
        "ours-onnx": ["requirements.txt", "requirements-onnx.txt"],
        "ours-estimator": ["requirements.txt", "requirements-estimator.txt"],
        "tools": ["requirements-compile.txt"],
    }
    if name in own:
        return [MODEL / file for file in own[name]]
    return [SERVING / "peers" / name / "requirements.txt"]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the cache folder, which is kept between runs."""
    return build.cache_folder(environment).with_name("benchmarks") / "serving"


def key(files: Sequence[Path]) -> str:
    """Return the hash of everything that determines the content of an environment."""
    parts = [sys.version, *(file.read_text(encoding="utf-8") for file in files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def ensure_environment(cache: Path, name: str, report: Callable[[str], None]) -> Path:
    """Return the folder of an environment; create it first if it does not exist.

    Raises MeasurementError.
    """
    files = requirements(name)
    folder = cache / f"{name}-{key(files)}"
    with _lock(cache, report):
        if not (folder / STAMP).exists():
            for old in [path for path in cache.iterdir() if path.name.rpartition("-")[0] == name]:
                shutil.rmtree(old)
            report(f"Installing {name} …")
            _install(name, folder, files)
            (folder / STAMP).touch()
    return folder


def _install(name: str, folder: Path, files: Sequence[Path]) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", f"--python={python}", "install", *options]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        [*pip, *(f"--requirement={file}" for file in files)],
    ):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_AT_MOST,
            check=False,
        )
        if done.returncode:
            raise MeasurementError(
                f"The environment of {name} could not be made; leave it out by --peers, or fix: "
                f"{done.stderr.strip()[-1500:]}"
            )


def ensure_programs(cache: Path, report: Callable[[str], None]) -> Path:
    """Return the folder of the Go programs; build them first if necessary.

    Raises MeasurementError.
    """
    try:
        return build.ensure_built(cache / "go", report, sources=GO_SOURCES)
    except RehearsalError as error:
        raise MeasurementError(str(error)) from error


def site_packages(environment: Path) -> Path:
    """Return the site-packages folder of an environment."""
    return next(environment.glob("lib/python3*/site-packages"))


def installed_bytes(folder: Path) -> int:
    """Return the size of all files below a folder, without bytecode."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.suffix != ".pyc" and path.is_file() and not path.is_symlink()
    )


@contextmanager
def _lock(cache: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Allow one installation at a time; the kernel releases the lock when its holder dies."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another benchmark installs: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
