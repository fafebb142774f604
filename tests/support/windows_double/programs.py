"""Emulated programs of a machine: docker, wsl, Docker Desktop and its installer, shutdown."""

from __future__ import annotations

import json
import ntpath
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from support.windows_double import machine as windows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from support.windows_double.machine import Machine

_ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_NO_ENGINE = (
    "error during connect: this error may indicate that the docker daemon is not running: open"
    " //./pipe/dockerDesktopLinuxEngine: The system cannot find the file specified."
)
_FIELD = re.compile(r"\{\{\s*([.\w]+)\s*\}\}")
_HELLO = "\nHello from Docker!\nThis message shows that your installation appears to be working."
# Programs in this folder are found from any working folder.
_SYSTEM = r"C:\Windows\System32"


class Ran(NamedTuple):
    """The result of a program."""

    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    encoding: str = "utf-8"

    def read(self, encoding: str) -> Ran:
        """Return the result as read with this encoding."""
        return self._replace(
            stdout=self.stdout.encode(self.encoding).decode(encoding, errors="replace"),
            stderr=self.stderr.encode(self.encoding).decode(encoding, errors="replace"),
        )


class NoProgramError(Exception):
    """The program does not exist on the machine."""


class UnmodelledError(Exception):
    """The double does not model this behavior."""


def split(command: str) -> list[str]:
    """Return a command line's program and arguments."""
    return [quoted or plain for quoted, plain in _ARGUMENT.findall(command)]


def run(machine: Machine, argv: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Run a program and return its result."""
    program = _find(machine, argv[0])
    name = ntpath.basename(program).lower().removesuffix(".exe")
    arguments = list(argv[1:])
    if name == "docker":
        return _docker(machine, arguments)
    if name == "wsl":
        return _wsl(machine, arguments, environment)
    if name == "docker desktop":
        machine.start_engine()
        return Ran()
    if name in ("shutdown", "whoami", "hostname"):
        return _SYSTEM_PROGRAMS[name](machine, arguments)
    if name == "msiexec":
        return _msi(machine, arguments)
    if machine.exists(program):
        return install(machine, machine.content(program), arguments)
    raise UnmodelledError(f"The double has no program {program}.")


def _find(machine: Machine, name: str) -> str:
    if "\\" in name or "/" in name:
        path = machine.expand(name)
        if not machine.exists(path) and not path.lower().startswith(_SYSTEM.lower()):
            raise NoProgramError(name)
        return path
    name = name.lower().removesuffix(".exe")
    if name in ("wsl", "msiexec", *_SYSTEM_PROGRAMS):
        return rf"{_SYSTEM}\{name}.exe"
    for folder in machine.path:
        if machine.exists(rf"{folder}\{name}.exe"):
            return rf"{folder}\{name}.exe"
    raise NoProgramError(name)


# docker


def _docker(machine: Machine, arguments: list[str]) -> Ran:
    words = [one for one in arguments if not one.startswith("-")]
    if words[:2] == ["desktop", "start"]:
        return _desktop_start(machine)
    if words[:1] == ["context"]:
        return Ran(stdout="desktop-linux" if machine.engine.provider == "desktop" else "default")
    answers = machine.engine_answers()
    told = {"version": _versions, "info": _info}.get(words[0] if words else "")
    if told:
        # The client shows its own data even without an engine.
        shown = _show(told(machine, answers=answers), arguments)
        return shown if answers else shown._replace(rc=1, stderr=_NO_ENGINE)
    if not answers:
        return Ran(1, "", _NO_ENGINE)
    commands: dict[str, Callable[[Machine, list[str]], Ran]] = {
        "run": _docker_run,
        "pull": _docker_pull,
        "image": _docker_image,
        "build": _docker_build,
        "import": _docker_import,
        "rmi": _docker_rmi,
        "ps": lambda _machine, _arguments: Ran(),
    }
    if not words or words[0] not in commands:
        raise UnmodelledError(f"The double's docker does not know {' '.join(arguments)}.")
    return commands[words[0]](machine, arguments)


def _formatted(arguments: list[str]) -> str:
    for place, one in enumerate(arguments):
        if one in ("--format", "-f"):
            return arguments[place + 1]
        if one.startswith("--format="):
            return one.partition("=")[2]
    return ""


def _versions(machine: Machine, *, answers: bool) -> dict[str, Any]:
    engine = machine.engine
    client = {"Version": engine.version, "Os": "windows", "Arch": "amd64", "Context": "default"}
    if not answers:
        return {"Client": client, "Server": None}
    server: dict[str, Any] = {"Version": engine.version, "Os": engine.os, "Arch": "amd64"}
    if engine.provider == "desktop" and machine.desktop:
        server["Platform"] = {"Name": f"Docker Desktop {machine.desktop.version} (1)"}
    return {"Client": client, "Server": server}


def _info(machine: Machine, *, answers: bool) -> dict[str, Any]:
    engine = machine.engine
    systems = {"desktop": "Docker Desktop", "rancher": "Rancher Desktop WSL Distribution"}
    server = {
        "ServerVersion": engine.version,
        "OSType": engine.os,
        "Architecture": "x86_64",
        "OperatingSystem": systems.get(engine.provider, "Ubuntu 24.04.1 LTS"),
        "DockerRootDir": "/var/lib/docker",
    }
    client = {"Version": engine.version, "Plugins": [{"Name": "buildx", "Version": "v0.29.1"}]}
    return {**(server if answers else {}), "ClientInfo": client}


def _show(values: dict[str, Any], arguments: list[str]) -> Ran:
    template = _formatted(arguments)
    if template in ("{{json .}}", "json"):
        return Ran(stdout=json.dumps(values) + "\n")
    if template:
        return Ran(stdout=_FIELD.sub(lambda match: _field(values, match[1]), template) + "\n")
    return Ran(stdout=json.dumps(values, indent=1) + "\n")


def _field(values: Any, path: str) -> str:
    for name in path.strip(".").split("."):
        if name not in (values or {}):
            raise UnmodelledError(f"The double's docker does not know {path}.")
        values = values[name]
    return str(values)


def _words(arguments: list[str]) -> list[str]:
    """Return the positional arguments."""
    words = []
    values = {
        "--network",
        "--name",
        "--platform",
        "--env",
        "-e",
        "--volume",
        "-v",
        "--label",
        "--change",
    }
    skip = False
    for one in arguments:
        if not skip and not one.startswith("-"):
            words.append(one)
        skip = one in values
    return words


def _reference(arguments: list[str]) -> str:
    return [*_words(arguments[1:]), ""][0]


def _docker_pull(machine: Machine, arguments: list[str]) -> Ran:
    image = _reference(arguments)
    if machine.engine.no_registry:
        return Ran(1, "", f"Error response from daemon: Get {image}: no such host")
    machine.engine.images = sorted({*machine.engine.images, image})
    return Ran(stdout=f"Status: Downloaded newer image for {image}")


def _docker_run(machine: Machine, arguments: list[str]) -> Ran:
    image = _reference(arguments)
    if image not in machine.engine.images:
        pulled = _docker_pull(machine, ["pull", image])
        if pulled.rc:
            return Ran(125, "", f"Unable to find image '{image}' locally\n{pulled.stderr}")
    return Ran(stdout=_HELLO if image.startswith("hello-world") else image)


def _docker_image(machine: Machine, arguments: list[str]) -> Ran:
    if arguments[1] == "inspect":
        known = arguments[-1] in machine.engine.images
        return Ran(stdout="[]") if known else Ran(1, "[]", "Error: No such image")
    if arguments[1] in ("rm", "remove"):
        return _docker_rmi(machine, arguments[1:])
    if arguments[1] == "import":
        return _docker_import(machine, arguments[1:])
    raise UnmodelledError(f"The double's docker does not know image {arguments[1]}.")


def _docker_build(machine: Machine, arguments: list[str]) -> Ran:
    tagged = [
        arguments[place + 1] for place, one in enumerate(arguments) if one in ("-t", "--tag")
    ] or arguments[-1:]
    machine.engine.images = sorted({*machine.engine.images, *tagged})
    return Ran(stdout="sha256:0")


def _docker_import(machine: Machine, arguments: list[str]) -> Ran:
    [file, image] = _words(arguments[1:])
    if not machine.exists(file):
        return Ran(1, "", f"open {file}: The system cannot find the file specified.")
    machine.engine.images = sorted({*machine.engine.images, image})
    return Ran(stdout="sha256:0")


def _docker_rmi(machine: Machine, arguments: list[str]) -> Ran:
    machine.engine.images = [one for one in machine.engine.images if one not in arguments]
    return Ran()


def _desktop_start(machine: Machine) -> Ran:
    if machine.desktop is None:
        return Ran(1, "", "docker: 'desktop' is not a docker command.")
    machine.start_engine()
    if machine.engine.running:
        return Ran(stdout="Docker Desktop started")
    return Ran(1, "", f"Docker Desktop did not start: {machine.why_no_engine() or 'no answer'}")


# WSL


def _wsl(machine: Machine, arguments: list[str], environment: Mapping[str, str]) -> Ran:
    inside = _inside(arguments)
    if inside:
        return _in_distribution(machine, inside)
    # The output of wsl.exe itself is UTF-16 by default.
    encoding = "utf-8" if environment.get("WSL_UTF8") == "1" else "utf-16-le"
    return _wsl_itself(machine, arguments)._replace(encoding=encoding)


def _inside(arguments: list[str]) -> list[str]:
    """Return the command to run in a distribution; empty if there is none."""
    rest = list(arguments)
    while rest and rest[0] in ("-d", "--distribution", "-u", "--user", "--cd"):
        rest = rest[2:]
    if rest and rest[0] in ("-e", "--exec", "--"):
        return rest[1:]
    return rest if rest and not rest[0].startswith("-") else []


def _in_distribution(machine: Machine, argv: list[str]) -> Ran:
    if not machine.distributions:
        return Ran(1, "Windows Subsystem for Linux has no installed distributions.")._replace(
            encoding="utf-16-le"
        )
    if argv[0] != "docker" or machine.engine.provider != "wsl":
        return Ran(127, "", f"/bin/sh: 1: {argv[0]}: not found")
    return _docker(machine, argv[1:])


def _wsl_itself(machine: Machine, arguments: list[str]) -> Ran:
    command = arguments[0] if arguments else ""
    if command not in _WSL_COMMANDS:
        raise UnmodelledError(f"The double's wsl does not know {' '.join(arguments)}.")
    needs_feature, function = _WSL_COMMANDS[command]
    if needs_feature and machine.features.get(windows.WSL) != windows.ENABLED:
        return Ran(50, "The Windows Subsystem for Linux is not installed.")
    return function(machine, arguments)


def _wsl_version(machine: Machine, _arguments: list[str]) -> Ran:
    if machine.wsl_version is None:
        return Ran(1, "Invalid command line option: --version")
    return Ran(stdout=f"WSL version: {machine.wsl_version}\nKernel version: 6.6.87.2-1\n")


def _wsl_list(machine: Machine, _arguments: list[str]) -> Ran:
    if not machine.distributions:
        return Ran(1, "Windows Subsystem for Linux has no installed distributions.")
    return Ran(stdout="\n".join(machine.distributions))


def _wsl_update(machine: Machine, _arguments: list[str]) -> Ran:
    if machine.faults.wsl_update_error:
        return Ran(1, machine.faults.wsl_update_error)
    if machine.wsl_version == windows.WSL_VERSION:
        return Ran(
            stdout="The most recent version of Windows Subsystem for Linux is already installed."
        )
    machine.wsl_version = windows.WSL_VERSION
    return Ran(stdout="Updating Windows Subsystem for Linux.\n")


def _wsl_install(machine: Machine, arguments: list[str]) -> Ran:
    if machine.faults.wsl_update_error:
        return Ran(1, machine.faults.wsl_update_error)
    if "--no-distribution" not in arguments:
        machine.distributions = ["Ubuntu"]
    machine.wsl_version = windows.WSL_VERSION
    machine.enable([windows.VM_PLATFORM], parents=False)
    return Ran(stdout="The operation completed successfully.")


# By option: whether the WSL feature must be enabled, and the implementation.
_WSL_COMMANDS: dict[str, tuple[bool, Callable[[Machine, list[str]], Ran]]] = {
    "--version": (False, _wsl_version),
    "--install": (False, _wsl_install),
    "--update": (True, _wsl_update),
    "--status": (True, lambda _machine, _arguments: Ran(stdout="Default Version: 2\n")),
    "--set-default-version": (True, lambda _machine, _arguments: Ran()),
    "--shutdown": (True, lambda _machine, _arguments: Ran()),
    "--list": (True, _wsl_list),
    "-l": (True, _wsl_list),
}


# Installers


def install(machine: Machine, content: bytes, arguments: Sequence[str]) -> Ran:
    """Run an installer, which is identified by the content of its file."""
    text = content.decode(errors="replace")
    if not text.startswith("Docker Desktop Installer") or text != windows.INSTALLER:
        # A truncated or modified installer is not a valid program.
        raise NoProgramError("The specified executable is not a valid application for this OS.")
    faults = machine.faults
    if faults.installer_exits:
        faults.installer_exits -= 1
        if faults.installer_exit not in (0, 3010, 1641):
            return Ran(faults.installer_exit, "", "The installation failed.")
    words = list(arguments)
    if not words or words[0].lower() != "install":
        raise UnmodelledError(f"The installer waits for a person: {' '.join(words)}")
    options = {one.partition("=")[0]: one.partition("=")[2] for one in words[1:]}
    known = {
        "--quiet",
        "--accept-license",
        "--backend",
        "--always-run-service",
        "--installation-dir",
        "--no-windows-containers",
        "--user",
    }
    if set(options) - known:
        return Ran(1, "", f"Unknown option {min(set(options) - known)}")
    if "--quiet" not in options:
        raise UnmodelledError("Without --quiet the installer waits for a person.")
    backend = options.get("--backend") or "wsl-2"
    if backend not in ("wsl-2", "hyper-v", "windows"):
        return Ran(1, "", f"Invalid backend {backend}")
    machine.install_desktop(
        backend=backend,
        accept="--accept-license" in options,
        always_run_service="--always-run-service" in options,
    )
    if faults.installer_exit in (3010, 1641):
        machine.needs_reboot("files")
        return Ran(faults.installer_exit)
    return Ran()


def _msi(machine: Machine, arguments: list[str]) -> Ran:
    [path] = [one for one in arguments if one.lower().endswith(".msi")]
    if not machine.exists(path):
        return Ran(1619, "", "This installation package could not be opened.")
    return install_msi(machine, machine.content(path))


def install_msi(machine: Machine, content: bytes) -> Ran:
    """Install a Windows Installer package."""
    if content.decode(errors="replace") != windows.WSL_INSTALLER:
        return Ran(1620, "", "This installation package could not be opened.")
    machine.wsl_version = windows.WSL_VERSION
    return Ran()


# Windows programs


def _shutdown(machine: Machine, arguments: list[str]) -> Ran:
    if "/a" in arguments:
        return Ran(1116, "", "Unable to abort the system shutdown because none was in progress.")
    if "/r" not in arguments:
        raise UnmodelledError(f"The double's shutdown does not know {' '.join(arguments)}.")
    machine.restart()
    return Ran()


_SYSTEM_PROGRAMS: dict[str, Callable[[Machine, list[str]], Ran]] = {
    "shutdown": _shutdown,
    "whoami": lambda machine, _arguments: Ran(stdout=rf"{machine.name}\{machine.user}"),
    "hostname": lambda machine, _arguments: Ran(stdout=machine.name),
}
