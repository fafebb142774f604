"""Inspects a host's Docker engine and Docker clients.

Independent of Ansible. `run_command` runs real commands; functions that wait take their clock and
their sleep as arguments. A client is queried by command line, since the subsequent image builds
use the same command line. The socket is queried only if no client is installed, so that an engine
without a client is found as well.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_DATA_ROOT = "/var/lib/docker"
DEFAULT_SOCKET = "/var/run/docker.sock"
USUAL_CLIENTS = ("/usr/bin/docker", "/usr/local/bin/docker")
USUAL_ENGINES = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
# Major versions with BuildKit built in; later ones have it only in the buildx plugin.
CLIENTS_WITH_BUILDKIT = (19, 20)
POLL_INTERVAL = 1.0


class Answer(NamedTuple):
    """Result of a command: exit status (None on timeout), output, errors."""

    status: int | None
    out: str
    err: str


def run_command(argv: list[str], timeout: float) -> Answer:
    """Run argv for at most `timeout` seconds in the C locale; return its result in any case."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"{argv[0]} did not answer within {timeout:g} seconds")
    except OSError as error:
        return Answer(127, "", f"{argv[0]} cannot be run: {error.strerror}")
    return Answer(done.returncode, done.stdout, done.stderr)


def find_clients(search_path: str, extra: Iterable[str] = USUAL_CLIENTS) -> list[str]:
    """Return every `docker` on a PATH-like string, then `extra`; each file once, in that order."""
    named = [Path(folder, "docker") for folder in search_path.split(os.pathsep) if folder]
    found: dict[Path, str] = {}
    for path in [*named, *map(Path, extra)]:
        if path.is_file() and os.access(path, os.X_OK):
            found.setdefault(path.resolve(), str(path))
    return list(found.values())


def find_engine(search_path: str) -> str:
    """Return the path of dockerd, or an empty string."""
    folders = os.pathsep.join([search_path, *USUAL_ENGINES])
    return shutil.which("dockerd", path=folders) or ""


def sentence(text: str) -> str:
    """Return the last meaningful line as a sentence, without the client's prefixes."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("See '", "Run '", "WARNING"))]
    if not told:
        return ""
    text = re.sub(r"^(docker: |ERROR: |error: |Error: )+", "", told[-1])
    return text if text.endswith((".", "?", "!")) else f"{text}."


def parse_json(text: str) -> dict[str, Any]:
    """Return the first line that is a JSON object; an empty dict if there is none."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                return value
    return {}


def major(version: str) -> int | None:
    """Return the first number of a version: 20 for "20.10.24+dfsg1"; None if there is none."""
    match = re.match(r"v?(\d+)", version)
    return int(match.group(1)) if match else None


def can_build(client_version: str, plugins: Iterable[dict[str, Any]]) -> bool:
    """Return whether a client has BuildKit, by a working buildx plugin or built in."""
    if any(plugin.get("Name") == "buildx" and not plugin.get("Err") for plugin in plugins):
        return True
    # Podman's client emulation has low version numbers of its own.
    number = major(client_version)
    return number in CLIENTS_WITH_BUILDKIT


def no_engine(error: str) -> dict[str, Any]:
    """Return the result for a host on which no engine answers."""
    return {
        "cli": "",
        "client_version": "",
        "buildkit": False,
        "answers": False,
        "server_version": "",
        "os": "",
        "architecture": "",
        "data_root": "",
        "permission_denied": "permission denied" in error.lower(),
        "error": error,
    }


def ask_client(path: str, run: Callable[[list[str]], Answer]) -> dict[str, Any]:
    """Return what one client reports about itself and about the engine that it reaches."""
    version = run([path, "version", "--format", "{{json .}}"])
    said = parse_json(version.out)
    client, server = said.get("Client") or {}, said.get("Server") or {}
    info = parse_json(run([path, "info", "--format", "{{json .}}"]).out)
    client_version = str(client.get("Version", ""))
    error = ""
    if not server.get("Version"):
        error = sentence(version.err) or f"{path} version says nothing of an engine."
    return {
        **no_engine(error),
        "cli": path,
        "client_version": client_version,
        "buildkit": can_build(client_version, (info.get("ClientInfo") or {}).get("Plugins") or []),
        "answers": not error,
        "server_version": str(server.get("Version", "")),
        "os": str(server.get("Os", "")),
        "architecture": str(server.get("Arch", "")),
        "data_root": str(info.get("DockerRootDir") or ""),
    }


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_of(docker_host: str) -> str:
    """Return the Unix socket in DOCKER_HOST, the default if unset; empty for another address."""
    if not docker_host:
        return DEFAULT_SOCKET
    return docker_host[len("unix://") :] if docker_host.startswith("unix://") else ""


def ask_socket(path: str, timeout: float) -> dict[str, Any]:
    """Return what the engine reports at its Unix socket, for a host without a client."""
    no_client = "There is no docker command on this host"
    connection = _SocketConnection(path, timeout)
    try:
        connection.request("GET", "/version")
        version = parse_json(connection.getresponse().read().decode("utf-8", "replace"))
        connection.request("GET", "/info")
        info = parse_json(connection.getresponse().read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return no_engine(f"{no_client}, and {path} says: {sentence(reason)}")
    finally:
        connection.close()
    if not version.get("Version"):
        return no_engine(f"{no_client}, and {path} is no Docker engine's socket.")
    return {
        **no_engine(""),
        "answers": True,
        "server_version": str(version["Version"]),
        "os": str(version.get("Os", "")),
        "architecture": str(version.get("Arch", "")),
        "data_root": str(info.get("DockerRootDir") or ""),
    }


def free_mb(path: str) -> int | None:
    """Return the MiB free for unprivileged use at `path`, which need not exist; None if unknown."""
    there = Path("/", path)
    try:
        while not there.exists():
            there = there.parent
        disk = os.statvfs(there)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize // (1024 * 1024)


def service_manager(root: str = "/") -> str:
    """Return the service manager that runs this host: systemd, openrc, sysvinit or none.

    It is detected by the files of a running manager, not by what is installed, since a
    container often has systemd's files but another first process. For systemd, the file is the
    one in sd_booted(3).
    """
    base = Path(root)
    if (base / "run/systemd/system").is_dir():
        return "systemd"
    if (base / "run/openrc/softlevel").exists():
        return "openrc"
    commands = (base / folder / "service" for folder in ("usr/sbin", "sbin", "usr/bin"))
    first_process = base / "proc/1/comm"
    if (
        first_process.is_file()
        and first_process.read_text(encoding="utf-8").strip() == "init"
        and (base / "etc/init.d").is_dir()
        and any(command.exists() for command in commands)
    ):
        return "sysvinit"
    return "none"


def inspect(
    executables: list[str] | None,
    timeout: float,
    data_root: str,
    environ: dict[str, str],
) -> dict[str, Any]:
    """Find the client to use and query the engine; return the module's `engine`.

    Uses the first client that reaches the engine and can build; otherwise the first one that
    reaches it, otherwise the first one.
    """
    docker_host = environ.get("DOCKER_HOST", "")
    search_path = environ.get("PATH", "")
    asked: list[dict[str, Any]] = []
    for path in find_clients(search_path) if executables is None else find_clients("", executables):
        asked.append(ask_client(path, lambda argv: run_command(argv, timeout)))
        if asked[-1]["answers"] and asked[-1]["buildkit"]:
            break
    local = socket_of(docker_host)
    if asked:
        engine = max(asked, key=lambda one: (one["answers"], one["buildkit"]))
    elif local:
        engine = ask_socket(local, timeout)
    else:
        engine = no_engine(f"There is no docker command on this host to ask {docker_host}.")
    engine["local"] = bool(local)
    engine["data_root"] = engine["data_root"] or data_root
    engine["data_root_free_mb"] = free_mb(engine["data_root"]) if local else None
    engine["dockerd"] = find_engine(search_path)
    engine["service_manager"] = service_manager()
    engine["uid"] = os.geteuid()
    engine["python"] = sys.executable
    engine["requests"] = importlib.util.find_spec("requests") is not None
    return engine


def wait_for(
    ask: Callable[[], dict[str, Any]],
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> dict[str, Any]:
    """Query the engine until it answers or `seconds` have passed; return the last result."""
    end = clock() + seconds
    engine = ask()
    while not engine["answers"] and clock() < end:
        sleep(POLL_INTERVAL)
        engine = ask()
    return engine
