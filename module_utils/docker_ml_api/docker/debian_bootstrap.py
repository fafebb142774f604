"""Builds a container image from a distribution's packages, with mmdebstrap.

A recipe defines everything that the image consists of; its digest is the key under which the
image is found again, as the label RECIPE_LABEL of the image and as the name of the
root file system's tar in the cache. The download settings (mirror, proxy, extra CA)
are not part of the recipe, and never part of the image.
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

from ansible.module_utils.docker_ml_api import private_files, progress
from ansible.module_utils.docker_ml_api.docker import apt_sources
from ansible.module_utils.docker_ml_api.docker.engine import run_command
from ansible.module_utils.docker_ml_api.docker.local_images import RECIPE_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Part of each digest; increase it when the same recipe would result in another image.
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
# The host's apt settings of these kinds also apply to a build on that host.
APT_SETTINGS = re.compile(
    r"Acquire::(?:(?:http|https|ftp)::|Check-Date|Check-Valid-Until|Max-FutureTime|Retries|"
    r"ForceIPv[46]|(?:http|https)\b)",
    re.IGNORECASE,
)
SCRATCH = ".build-"
APT_HELPER = "/usr/lib/apt/apt-helper"
# Timeouts in seconds, of a local query and of a download of a few hundred kilobytes.
LOOK_TIMEOUT = 30.0
DOWNLOAD_TIMEOUT = 120.0
# dpkg's settings in the image, as mmdebstrap writes them; dpkg reads any file of that folder.
DPKG_SETTINGS = "etc/dpkg/dpkg.cfg.d/99mmdebstrap"
# Errors without information, which often end the log.
EMPTY_ERRORS = ("failed", "apt-get update --error-on=any", "child had an error")


class BuildError(Exception):
    """The image cannot be built; the message is one sentence, ``log`` the end of the log."""

    def __init__(self, message: str, log: str = "") -> None:
        """Store the log in addition to the message."""
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Recipe:
    """The definition of an image. Commands are shell lines; in them ``$1`` is the root."""

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
        """Create a recipe from the options of a module or catalogue; options of None are ignored.

        Raises ValueError for an unknown option or variant.
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
        """Return the recipe as options of the module debian_image."""
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
        """``sha256:…`` of everything that the root file system depends on, so without labels."""
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
        """Return the path of its root file system in the cache."""
        return cache / f"{self.root_digest.removeprefix('sha256:')}.tar"

    def changes(self) -> list[str]:
        """Return the Dockerfile instructions for ``docker import --change``."""
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
    """Quote for a Dockerfile, without expansion or word splitting."""
    return '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'


def os_release(text: str) -> dict[str, str]:
    """Parse ``/etc/os-release``."""
    values = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            values[name.strip()] = "".join(shlex.split(value))
    return values


@dataclass(frozen=True)
class Host:
    """The machine that images are built on; ``root`` is the root of its file system."""

    release: dict[str, str]
    root: Path

    @classmethod
    def read(cls, root: Path = Path("/")) -> Host:
        """Read a host's os-release; without that file the distribution is unknown."""
        try:
            text = (root / "etc/os-release").read_text(encoding="utf-8")
        except OSError:
            text = ""
        return cls(os_release(text), root)

    @property
    def codename(self) -> str:
        """Return the suite of its archives, such as ``bookworm``; empty if unknown."""
        for name in ("UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME"):
            # A derivative states its parent's suite in addition to its own.
            if self.release.get(name):
                return self.release[name]
        return ""

    @property
    def etc_apt(self) -> Path:
        """Return the folder of apt's configuration."""
        return self.root / "etc/apt"

    @property
    def lists(self) -> Path:
        """Return the folder in which apt stores the lists of its archives."""
        return self.root / "var/lib/apt/lists"

    def obstacle(self, *, installable: bool = False) -> str:
        """Return why this host cannot build images, as a part of a sentence; empty if it can.

        With ``installable`` it is sufficient that mmdebstrap can be installed.
        """
        names = {self.release.get("ID", ""), *self.release.get("ID_LIKE", "").split()}
        if not names & {"debian", "ubuntu"}:
            name = self.release.get("PRETTY_NAME", "of an unknown distribution")
            return f"this host is {name}, neither Debian nor Ubuntu nor a relative of them"
        if shutil.which("mmdebstrap"):
            return ""
        if not installable:
            return "mmdebstrap is not installed on this host"
        # Before the first `apt-get update` this is unknown.
        fetched = any(self.lists.glob("*_Packages*"))
        policy = run_command(["apt-cache", "policy", "mmdebstrap"], LOOK_TIMEOUT).out
        if fetched and not re.search(r"Candidate: (?!\(none\))", policy):
            return "mmdebstrap is neither installed on this host nor in its package sources"
        return ""

    def check(self, *, installable: bool = False) -> None:
        """Raise BuildError if this host cannot build images (see `obstacle`)."""
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
        """Return the archives for a recipe; raise BuildError if there are none."""
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
    """Return whether an archive has a suite, using apt; raise BuildError if the request fails."""
    url = f"{uri.rstrip('/')}/dists/{suite}/InRelease"
    try:
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
    except subprocess.TimeoutExpired as error:
        shown = apt_sources.without_password(url)
        raise BuildError(f"{shown} was not fetched within {DOWNLOAD_TIMEOUT:g} seconds") from error
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
    """Return apt's configuration for the build: the host's own (``apt-config dump``) and ours.

    ``proxies`` (scheme to URL) and ``ca_bundle`` (a path) override the host's own.
    """
    lines = [line for line in dump.splitlines() if APT_SETTINGS.match(line)]
    # For mirrors that require a password, use the credentials in apt's own files, as on the host.
    lines.append(f'Dir::Etc::netrc "{etc_apt / "auth.conf"}";')
    lines.append(f'Dir::Etc::netrcparts "{etc_apt / "auth.conf.d"}";')
    if ca_bundle:
        lines.append(f'Acquire::https::CAInfo "{ca_bundle}";')
    lines += [f'Acquire::{scheme}::Proxy "{url}";' for scheme, url in proxies.items() if url]
    return "\n".join(lines) + "\n"


def proxies(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the proxies among a module's options as environment variables for the build."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: options[name] for name in names if options[name]}


def command_line(recipe: Recipe, *, tar: Path, scratch: Path, uris: Sequence[str]) -> list[str]:
    """Return mmdebstrap's command line; secrets are in files of ``scratch``, not in it."""
    argv = [
        "mmdebstrap",
        "--format=tar",
        f"--variant={recipe.variant}",
        # An incomplete image is discarded, so waiting for the disk is not necessary.
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
    # The variant extract ends after unpacking and runs no later hooks.
    last = "--extract-hook" if recipe.variant == "extract" else "--customize-hook"
    argv += [f"{last}={command}" for command in recipe.commands]
    argv.append(f'{last}=sh {shlex.quote(str(scratch / "finish.sh"))} "$1"')
    return [*argv, recipe.suite, str(tar), str(scratch / "build.sources")]


def unfiltered_unpacking(excluded_paths: Sequence[str]) -> list[str]:
    """Return the options to unpack the first packages completely and then remove excluded files.

    If mmdebstrap finds path exclusions in its own settings, it starts a Python process for each of
    these packages, which takes a seventh of the processor time of an image. Later packages are
    filtered by dpkg itself.
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
    """Return the last hook, which removes the host's settings (apt, names) from the image."""
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
    """Return from the log, as a sentence, why mmdebstrap failed."""
    errors = [line[2:].strip() for line in log.splitlines() if line.startswith("E:")]
    telling = [
        error
        for error in errors
        if not any(error.endswith(empty) or empty + ":" in error for empty in EMPTY_ERRORS)
    ]
    chosen = (telling or errors or [line for line in log.splitlines() if line.strip()][-1:])[:1]
    return chosen[0].rstrip(".") if chosen else "it said nothing"


def clear_stale(cache: Path) -> None:
    """Remove the folders of killed builds; a build that still runs holds its lock."""
    for folder in cache.glob(f"{SCRATCH}*"):
        with suppress(OSError), (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_folder(cache: Path) -> Iterator[tuple[Path, int]]:
    """Yield a build's folder and the descriptor of its lock; remove the folder at the end."""
    # Prevents other builds from removing a folder as stale before its lock is held.
    with (cache / ".lock").open("wb") as all_of_them:
        fcntl.flock(all_of_them, fcntl.LOCK_EX)
        clear_stale(cache)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=cache))
        lock = (folder / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with lock:
            # apt's own user must be able to access the files in it; nobody has to list them.
            folder.chmod(0o711)
            yield folder, lock.fileno()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(argv: list[str], *, log: Path, timeout: float, env: dict[str, str], lock: int) -> int:
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            # A build may outlive a killed module; it then keeps the lock.
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
    """Build the root file system's tar in the cache, completely or not at all; return its path.

    ``environment`` is added to the build's environment (``http_proxy`` and the like),
    ``ca_bundle`` is a path or empty, ``timeout`` is in seconds. Raises BuildError.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with scratch_folder(cache) as (scratch, lock):
        by_scheme = {name: environment.get(f"{name}_proxy", "") for name in ("http", "https")}
        # The URL of a proxy or mirror may contain a password.
        conf = scratch / "apt.conf"
        settings = apt_settings(
            host.apt_dump(), etc_apt=host.etc_apt, ca_bundle=ca_bundle, proxies=by_scheme
        )
        private_files.write_private(conf, settings)
        env = {**os.environ, **environment, "LC_ALL": "C.UTF-8", "TMPDIR": str(scratch)}
        sources = host.sources(recipe, scratch=scratch, env={**env, "APT_CONFIG": str(conf)})
        private_files.write_private(
            scratch / "build.sources", apt_sources.render(sources, passwords=True)
        )
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
