"""Makes a container image from a distribution's packages, by mmdebstrap.

A recipe says all that the image is made of; its digest is the key under which the
image is found again, as the label RECIPE_LABEL of the image and as the name of the
root file system's tar in the cache. How it was downloaded (mirror, proxy, extra CA)
is no part of the recipe, and never part of the image.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.docker import apt_sources
from ansible.module_utils.docker_ml_api.docker.engine import run_command
from ansible.module_utils.docker_ml_api.docker.local_images import RECIPE_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Part of each digest: raise it when the same recipe would make another image.
FORMAT = 1
VARIANTS = (
    "extract",
    "custom",
    "essential",
    "apt",
    "required",
    "minbase",
    "buildd",
    "important",
    "debootstrap",
    "standard",
)
# The host's settings of these kinds hold for a build on that host too.
APT_SETTINGS = re.compile(
    r"Acquire::(?:(?:http|https|ftp)::|Check-Date|Check-Valid-Until|Max-FutureTime|Retries|"
    r"ForceIPv[46]|(?:http|https)\b)",
    re.IGNORECASE,
)
SCRATCH = ".build-"
APT_HELPER = "/usr/lib/apt/apt-helper"
# Seconds: for a question to the host itself, for a few hundred kilobytes from a mirror.
LOOK_TIMEOUT = 30.0
DOWNLOAD_TIMEOUT = 120.0
# dpkg's settings in the image, as mmdebstrap writes them; dpkg reads any file of that folder.
DPKG_SETTINGS = "etc/dpkg/dpkg.cfg.d/99mmdebstrap"
# What is said last, but says nothing.
EMPTY_ERRORS = ("failed", "apt-get update --error-on=any", "child had an error")


class BuildError(Exception):
    """The image cannot be made; the message is one sentence, ``log`` the end of the log."""

    def __init__(self, message: str, log: str = "") -> None:
        """Keep the log beside the message."""
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Recipe:
    """What an image is made of. Commands are shell lines; in them ``$1`` is the root."""

    suite: str
    variant: str = "minbase"
    packages: tuple[str, ...] = ()
    excluded_paths: tuple[str, ...] = ()
    setup_commands: tuple[str, ...] = ()
    essential_commands: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    generation: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_directory: str = ""
    stop_signal: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_options(cls, suite: str, options: Mapping[str, Any]) -> Recipe:
        """Read a module's or a catalogue's options; the ones that are not set are left out.

        Raises ValueError for an option that no recipe has, or for another variant.
        """
        known = set(cls.__dataclass_fields__) - {"suite"}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ValueError(
                f"unknown field {unknown[0]!r} of a recipe: it can have {', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {}
        for name, value in options.items():
            if value is None:
                continue
            if isinstance(value, (list, tuple)):
                values[name] = tuple(str(item) for item in value)
            elif isinstance(value, dict):
                values[name] = {str(key): str(item) for key, item in value.items()}
            else:
                values[name] = str(value)
        recipe = cls(suite, **values)
        if recipe.variant not in VARIANTS:
            raise ValueError(
                f"unknown variant {recipe.variant!r}: it can be one of {', '.join(VARIANTS)}"
            )
        return recipe

    def options(self) -> dict[str, Any]:
        """Give the recipe as the options of the module debian_image."""
        values = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    def _digest(self, names: Sequence[str]) -> str:
        values = {name: getattr(self, name) for name in names}
        values["packages"] = sorted(set(self.packages))
        text = json.dumps([FORMAT, values], sort_keys=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def digest(self) -> str:
        """``sha256:…`` of the whole recipe."""
        return self._digest(list(self.__dataclass_fields__))

    @property
    def root_digest(self) -> str:
        """``sha256:…`` of what the root file system depends on: labels, say, do not count."""
        return self._digest(
            (
                "suite",
                "variant",
                "packages",
                "excluded_paths",
                "setup_commands",
                "essential_commands",
                "commands",
                "sources",
                "generation",
            )
        )

    def tar(self, cache: Path) -> Path:
        """Say where in the cache its root file system is kept."""
        return cache / f"{self.root_digest.removeprefix('sha256:')}.tar"

    def changes(self) -> list[str]:
        """Give the Dockerfile instructions for ``docker import --change``."""
        changes = [f"ENV {name}={_quoted(value)}" for name, value in self.environment.items()]
        if self.entrypoint:
            changes.append(f"ENTRYPOINT {json.dumps(list(self.entrypoint))}")
        if self.command:
            changes.append(f"CMD {json.dumps(list(self.command))}")
        if self.user:
            changes.append(f"USER {self.user}")
        if self.working_directory:
            changes.append(f"WORKDIR {self.working_directory}")
        if self.stop_signal:
            changes.append(f"STOPSIGNAL {self.stop_signal}")
        labels = {**self.labels, RECIPE_LABEL: self.digest}
        return changes + [f"LABEL {_quoted(name)}={_quoted(labels[name])}" for name in labels]


def _quoted(text: str) -> str:
    """Quote for a Dockerfile: no expansion, no end of the word."""
    return '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'


def os_release(text: str) -> dict[str, str]:
    """Read ``/etc/os-release``."""
    values = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            values[name.strip()] = "".join(shlex.split(value))
    return values


@dataclass(frozen=True)
class Host:
    """The machine that images are made on; ``root`` is where its files begin."""

    release: dict[str, str]
    root: Path

    @classmethod
    def read(cls, root: Path = Path("/")) -> Host:
        """Look at a host; one without an os-release is of no known distribution."""
        try:
            text = (root / "etc/os-release").read_text(encoding="utf-8")
        except OSError:
            text = ""
        return cls(os_release(text), root)

    @property
    def codename(self) -> str:
        """Return the suite whose archives it uses, such as ``bookworm``, or nothing."""
        for name in ("UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME"):
            # A derivative names its parent's suite besides its own.
            if self.release.get(name):
                return self.release[name]
        return ""

    @property
    def etc_apt(self) -> Path:
        """Return where apt's own configuration is."""
        return self.root / "etc/apt"

    @property
    def lists(self) -> Path:
        """Return where apt keeps what it fetched of its archives."""
        return self.root / "var/lib/apt/lists"

    def obstacle(self, *, installable: bool = False) -> str:
        """Say why no image can be made here, as the middle of a sentence; empty if it can.

        With ``installable`` it is enough that mmdebstrap could be installed.
        """
        names = {self.release.get("ID", ""), *self.release.get("ID_LIKE", "").split()}
        if not names & {"debian", "ubuntu"}:
            name = self.release.get("PRETTY_NAME", "of an unknown distribution")
            return f"this host is {name}, neither Debian nor Ubuntu nor a relative of them"
        if shutil.which("mmdebstrap"):
            return ""
        if not installable:
            return "mmdebstrap is not installed on this host"
        # Before the first `apt-get update` nobody can tell.
        fetched = any(self.lists.glob("*_Packages*"))
        policy = run_command(["apt-cache", "policy", "mmdebstrap"], LOOK_TIMEOUT).out
        if fetched and not re.search(r"Candidate: (?!\(none\))", policy):
            return "mmdebstrap is neither installed on this host nor in its package sources"
        return ""

    def check(self, *, installable: bool = False) -> None:
        """Raise BuildError if no image can be made here (see `obstacle`)."""
        obstacle = self.obstacle(installable=installable)
        if obstacle:
            raise BuildError(f"No image can be made from packages here: {obstacle}")

    def apt_dump(self) -> str:
        """Return apt's configuration on this host."""
        dump: str = run_command(["apt-config", "dump"], LOOK_TIMEOUT).out
        return dump

    def sources(
        self, recipe: Recipe, *, scratch: Path, env: Mapping[str, str]
    ) -> list[apt_sources.Source]:
        """Return the archives that a recipe is made from; raise BuildError if there are none."""
        if recipe.sources:
            return [
                source for line in recipe.sources for source in apt_sources.parse_one_line(line)
            ]

        def exists(uri: str, suite: str) -> bool:
            return has_suite(uri, suite, scratch=scratch, env=env)

        try:
            chosen: list[apt_sources.Source] = apt_sources.choose(
                apt_sources.read_host(self.etc_apt),
                codename=self.codename,
                wanted=recipe.suite,
                lists=self.lists,
                exists=exists,
            )
        except ValueError as error:
            raise BuildError(str(error)) from error
        return chosen


def has_suite(uri: str, suite: str, *, scratch: Path, env: Mapping[str, str]) -> bool:
    """Ask an archive, by apt itself, whether it has a suite; raise BuildError if it is silent."""
    url = f"{uri.rstrip('/')}/dists/{suite}/InRelease"
    answer = subprocess.run(
        [APT_HELPER, "download-file", url, str(scratch / "InRelease")],
        env=dict(env),
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=DOWNLOAD_TIMEOUT,
    )
    told = answer.stdout + answer.stderr
    if answer.returncode == 0:
        return True
    if re.search(r"\b404\b|File not found", told):
        return False
    raise BuildError(
        f"{apt_sources.without_password(url)} could not be fetched: {reason(told)}", told[-4000:]
    )


def apt_settings(
    dump: str, *, etc_apt: Path, ca_bundle: str = "", proxies: Mapping[str, str]
) -> str:
    """Give apt's configuration for the build: the host's own (``apt-config dump``) and ours.

    ``proxies`` (scheme to URL) and ``ca_bundle`` (a path) go before the host's own.
    """
    lines = [line for line in dump.splitlines() if APT_SETTINGS.match(line)]
    # Mirrors that ask for a password: apt's own files say it, as on the host.
    lines.append(f'Dir::Etc::netrc "{etc_apt / "auth.conf"}";')
    lines.append(f'Dir::Etc::netrcparts "{etc_apt / "auth.conf.d"}";')
    if ca_bundle:
        lines.append(f'Acquire::https::CAInfo "{ca_bundle}";')
    lines += [f'Acquire::{scheme}::Proxy "{url}";' for scheme, url in proxies.items() if url]
    return "\n".join(lines) + "\n"


def proxies(options: Mapping[str, Any]) -> dict[str, str]:
    """Give the proxies among a module's options as additions to the build's environment."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: options[name] for name in names if options[name]}


def command_line(recipe: Recipe, *, tar: Path, scratch: Path, uris: Sequence[str]) -> list[str]:
    """Give mmdebstrap's command line; secrets are in files of ``scratch``, never in it."""
    argv = [
        "mmdebstrap",
        "--format=tar",
        f"--variant={recipe.variant}",
        # An image that was not finished is thrown away: waiting for the disk is in vain.
        "--dpkgopt=force-unsafe-io",
        f"--aptopt={scratch / 'apt.conf'}",
    ]
    argv += [f"--dpkgopt=path-exclude={path}" for path in recipe.excluded_paths]
    argv += [f"--include={package}" for package in recipe.packages]
    if any(uri.startswith(("file:", "copy:")) for uri in uris):
        argv.append("--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount")
    argv += unfiltered_unpacking(recipe.excluded_paths)
    argv += [f"--setup-hook={command}" for command in recipe.setup_commands]
    argv += [f"--essential-hook={command}" for command in recipe.essential_commands]
    # The variant extract ends with unpacking: no later hook is run.
    last = "--extract-hook" if recipe.variant == "extract" else "--customize-hook"
    argv += [f"{last}={command}" for command in recipe.commands]
    argv.append(f'{last}=sh {shlex.quote(str(scratch / "finish.sh"))} "$1"')
    return [*argv, recipe.suite, str(tar), str(scratch / "build.sources")]


def unfiltered_unpacking(excluded_paths: Sequence[str]) -> list[str]:
    """Give the options by which the first packages are unpacked whole, and excluded files removed.

    mmdebstrap starts a Python for each of these packages when it finds such paths in its own file:
    a seventh of the processor time that an image takes. dpkg leaves them out by itself later.
    """
    if not excluded_paths:
        return []
    aside = f"{DPKG_SETTINGS}-aside"
    patterns = " -o ".join(f"-path {shlex.quote('.' + path)}" for path in excluded_paths)
    remove = f"find . -xdev \\( {patterns} \\) \\( ! -type d -o -empty \\) -delete"
    return [
        f'--setup-hook=set -e; cd "$1"; [ ! -e {DPKG_SETTINGS} ] || mv {DPKG_SETTINGS} {aside}',
        f'--extract-hook=set -e; cd "$1"; [ ! -e {aside} ] || mv {aside} {DPKG_SETTINGS}; {remove}',
    ]


def finishing_script(scratch: Path, keys: Sequence[str]) -> str:
    """Give the last hook: nothing of the host (its apt settings, names) stays in the image."""
    copies = "\n".join(
        f'  [ -e "$1"{shlex.quote(key)} ] || install -D -m 0644 {shlex.quote(key)} '
        f'"$1"{shlex.quote(key)}'
        for key in keys
    )
    return f"""set -eu
rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/resolv.conf" "$1/etc/hostname"
rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*
rm -f "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/var/cache/ldconfig/aux-cache
if [ -e "$1/usr/bin/apt-get" ]; then
  install -m 0644 {shlex.quote(str(scratch / "image.sources"))} \\
    "$1/etc/apt/sources.list.d/distribution.sources"
{copies}
fi
"""


def reason(log: str) -> str:
    """Say in a sentence, from its log, why mmdebstrap failed."""
    errors = [line[2:].strip() for line in log.splitlines() if line.startswith("E:")]
    telling = [
        error
        for error in errors
        if not any(error.endswith(empty) or empty + ":" in error for empty in EMPTY_ERRORS)
    ]
    chosen = (telling or errors or [line for line in log.splitlines() if line.strip()][-1:])[:1]
    return chosen[0].rstrip(".") if chosen else "it said nothing"


def clear_stale(cache: Path) -> None:
    """Remove what a killed build left behind; a build that still runs holds its lock."""
    for folder in cache.glob(f"{SCRATCH}*"):
        with suppress(OSError), (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_folder(cache: Path) -> Iterator[tuple[Path, int]]:
    """Give a folder of one build and the descriptor of its lock; it is removed at the end."""
    # Nobody may take a folder for stale before its lock is held.
    with (cache / ".lock").open("wb") as all_of_them:
        fcntl.flock(all_of_them, fcntl.LOCK_EX)
        clear_stale(cache)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=cache))
        lock = (folder / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with lock:
            # apt's own user must reach the files below it, nobody needs to list it.
            folder.chmod(0o711)
            yield folder, lock.fileno()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _run(argv: list[str], *, log: Path, timeout: float, env: dict[str, str], lock: int) -> int:
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            # A build outlives a killed module: it keeps the lock for as long.
            pass_fds=(lock,),
            start_new_session=True,
        )
        progress.follow(log)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"mmdebstrap was not done within {timeout:g} seconds") from error
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                process.wait()


def bootstrap(
    recipe: Recipe,
    cache: Path,
    *,
    host: Host,
    ca_bundle: str,
    environment: Mapping[str, str],
    timeout: float,
) -> Path:
    """Make the root file system's tar in the cache, whole or not at all; return its path.

    ``environment`` is added to the build's environment (``http_proxy`` and the like),
    ``ca_bundle`` is a path or empty, ``timeout`` in seconds. Raises BuildError.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with scratch_folder(cache) as (scratch, lock):
        by_scheme = {name: environment.get(f"{name}_proxy", "") for name in ("http", "https")}
        # A proxy's or a mirror's URL may hold a password.
        conf = scratch / "apt.conf"
        settings = apt_settings(
            host.apt_dump(), etc_apt=host.etc_apt, ca_bundle=ca_bundle, proxies=by_scheme
        )
        write_private(conf, settings)
        env = {**os.environ, **environment, "LC_ALL": "C.UTF-8", "TMPDIR": str(scratch)}
        sources = host.sources(recipe, scratch=scratch, env={**env, "APT_CONFIG": str(conf)})
        write_private(scratch / "build.sources", apt_sources.render(sources, passwords=True))
        (scratch / "image.sources").write_text(
            apt_sources.render(sources, passwords=False), encoding="utf-8"
        )
        keys = sorted({source.signed_by for source in sources} - {""})
        (scratch / "finish.sh").write_text(finishing_script(scratch, keys), encoding="utf-8")
        tar = scratch / "image.tar"
        log = scratch / "log"
        uris = [uri for source in sources for uri in source.uris]
        argv = command_line(recipe, tar=tar, scratch=scratch, uris=uris)
        status = _run(argv, log=log, timeout=timeout, env=env, lock=lock)
        if status != 0:
            text = log.read_text(encoding="utf-8", errors="replace")
            raise BuildError(
                f"mmdebstrap could not make the image from {recipe.suite}: {reason(text)}",
                text[-4000:],
            )
        tar.chmod(0o644)
        return tar.replace(recipe.tar(cache))
