"""Builds images with the docker command, several at a time.

What a build may read and no image may keep (settings for pip and Go, with passwords perhaps, and
CA certificates) it gets as build secrets, and proxies by its environment: neither is in argv.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.docker_ml_api import private_files, progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Lines of a failed build that a message has.
_LAST_LINES = 15
# Seconds from the request to end to the end by force.
_ENDS_WITHIN = 10.0
_NO_SPACE = re.compile("no space left on device", re.IGNORECASE)


@dataclass(frozen=True)
class Build:
    """An image, what it is built from, and those of its base images that the engine lacks."""

    image: str
    folder: str
    labels: Mapping[str, str] = field(default_factory=dict)
    build_args: Mapping[str, str] = field(default_factory=dict)
    missing_bases: Sequence[str] = ()


@dataclass(frozen=True)
class Settings:
    """What all builds have in common.

    cli: the docker command; load: whether the image has to be asked for (`--load`), since the
    builder may otherwise keep it to itself; secrets: their contents by ID; ca_bundle: the path of
    the secret of that ID, or empty; proxies: environment variables and build arguments of the
    same names; timeout: seconds that a build may take.
    """

    cli: str
    load: bool
    timeout: float
    secrets: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict)


def secrets_of(pip: Mapping[str, str], go: Mapping[str, str]) -> dict[str, str]:
    """Return the build secrets for these settings of pip and Go; the empty ones are left out."""
    pip_lines = [f"{key} = {value}" for key, value in pip.items() if value]
    go_lines = [f"{key}={value}" for key, value in go.items() if value]
    texts = {
        "pip_conf": "\n".join(["[global]", *pip_lines]) if pip_lines else "",
        "go_env": "\n".join(go_lines),
    }
    return {name: text for name, text in texts.items() if text}


def command_line(build: Build, settings: Settings, scratch: Path) -> list[str]:
    """Return the command of a build, whose secrets are files in `scratch`."""
    arguments = [settings.cli, "build", "--progress=plain"]
    if settings.load:
        arguments.append("--load")
    arguments += ["--tag", build.image]
    for name, value in build.labels.items():
        arguments += ["--label", f"{name}={value}"]
    for name, value in build.build_args.items():
        arguments += ["--build-arg", f"{name}={value}"]
    for name in settings.proxies:
        # Without a value it is that of the environment.
        arguments += ["--build-arg", name]
    if settings.ca_bundle:
        arguments += ["--secret", f"id=ca_bundle,src={settings.ca_bundle}"]
    for name in settings.secrets:
        arguments += ["--secret", f"id={name},src={scratch / name}"]
    return [*arguments, build.folder]


def build_all(builds: Sequence[Build], settings: Settings, at_once: int) -> dict[str, str]:
    """Build the images, `at_once` at a time; return for each that failed why, by its name.

    One that fails does not stop the others.
    """
    with tempfile.TemporaryDirectory(suffix=".build") as name:
        scratch = Path(name)
        for secret, text in settings.secrets.items():
            private_files.write_private(scratch / secret, text)
        with ThreadPoolExecutor(at_once) as pool:
            logs = [scratch / f"{number}.log" for number in range(len(builds))]
            futures = [
                pool.submit(_build, build, settings, scratch, log)
                for build, log in zip(builds, logs, strict=True)
            ]
            try:
                found = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    problems = zip(builds, found, strict=True)
    return {build.image: problem for build, problem in problems if problem}


def _build(build: Build, settings: Settings, scratch: Path, log: Path) -> str:
    """Build an image; return what is wrong, empty if nothing is."""
    environment = {
        **os.environ,
        **settings.proxies,
        "DOCKER_BUILDKIT": "1",
        # One plain image: the registry's digest is then that of the image itself.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_line(build, settings, scratch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
        )
        progress.follow(log)
        try:
            status: int | None = process.wait(settings.timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
    return explain(build, settings, status, log.read_text(encoding="utf-8", errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what still runs: first by asking."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def explain(build: Build, settings: Settings, status: int | None, log: str) -> str:
    """Return why a build failed and what fixes it; empty if it did not.

    status: of the command, None if it had to be ended; log: all that it said.
    """
    if status == 0:
        return ""
    lines = [line for line in log.splitlines() if line.strip()][-_LAST_LINES:]
    last = "\n".join(["The build's last lines:", *lines])
    if status is None:
        return (
            f"{build.image} was not built within {settings.timeout:g} s (image_build_timeout). "
            f"{last}"
        )
    if _NO_SPACE.search(log):
        return (
            f"{build.image} could not be built, for the engine has no disk space left: free some "
            "(ansible-playbook site.yml --tags prune) and run again."
        )
    bases = ""
    if build.missing_bases:
        bases = f" (not on this engine: the base image {', '.join(build.missing_bases)})"
    return (
        f"{build.image} could not be built from {build.folder}{bases}; an earlier image of that "
        f"name is kept. {last}"
    )
