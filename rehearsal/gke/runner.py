"""The commands up, down and status, and the server's process.

The server process holds a lock on its record for its whole life: it inherits the lock from the
command that starts it. Whoever acquires the lock knows that no server is running, and may start one
or remove the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from rehearsal.gke import layout
from rehearsal.gke.clock import RealClock
from rehearsal.gke.double import Double, Settings, write_private
from rehearsal.gke.layout import Layout
from rehearsal.gke.server import Running
from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Report = Callable[[str], None]

_WELL_WITHIN = 30.0
_ENDS_WITHIN = 10.0
_POLL = 0.05
_HTTPS = 443
_LISTENING = {
    "address": str(layout.ADDRESS),
    "proxy_port": layout.PROXY_PORT,
    "plain_port": layout.PLAIN_PORT,
}


@dataclass(frozen=True)
class Status:
    """The status of the double."""

    pid: int | None
    problem: str | None
    options: Mapping[str, Any]

    @property
    def proxy_url(self) -> str:
        """The proxy through which googleapis.com is reached."""
        return _url(self.options, "proxy_port")

    @property
    def plain_url(self) -> str:
        """The plain HTTP URL, for gcloud's endpoint overrides."""
        return _url(self.options, "plain_port")


def up(paths: Layout, options: Mapping[str, Any], report: Report) -> bool:
    """Start the server with the current and former options; return whether it had to be started.

    `options` are those of `Settings`, "address", "proxy_port", "plain_port" and "kubernetes", the
    folder of the Kubernetes whose API server stands for that of every cluster.
    """
    if paths.folder.exists() and any(paths.folder.iterdir()) and not paths.record.exists():
        raise RehearsalError(
            f"{paths.folder} holds something else than a double: name another --folder."
        )
    try:
        paths.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        paths.record.touch(mode=0o600)
    except PermissionError as error:
        raise RehearsalError(
            f"{error.filename} is not yours to write: name a --folder, or run it as root."
        ) from error
    before = _read_options(paths)
    chosen = {**_LISTENING, **before, **options}
    chosen |= _clusters_of(chosen.get("kubernetes"))
    if _running(paths):
        if chosen == before:
            _wait_until_well(paths)
            return False
        report("The double is started again, with other settings; what it knows remains.")
        _stop(paths)
    with _lock(paths) as lock:
        write_private(paths.settings, json.dumps(chosen, indent=2))
        _start(paths, lock)
    _wait_until_well(paths)
    return True


def down(paths: Layout) -> bool:
    """Stop the server and remove all its files; return whether there was anything to remove."""
    if not paths.record.exists():
        return False
    _stop(paths)
    with _lock(paths):
        for path in paths.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != paths.record:
                path.unlink()
        # The record is removed last, so that another `down` can continue if this one is
        # interrupted.
        shutil.rmtree(paths.folder)
    return True


def status(paths: Layout) -> Status | None:
    """Return the status of the double; None if it is not up."""
    if not paths.settings.exists():
        return None
    options = _read_options(paths)
    if not _running(paths):
        return Status(None, "is not running: `up` starts it", options)
    return Status(_pid(paths), _problem(paths, options), options)


def ask(plain_url: str, verb: str, path: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Send a request to the control API of a running double and return the response.

    :raises RehearsalError: the double does not answer.
    """
    body = None if arguments is None else json.dumps(arguments).encode()
    request = urllib.request.Request(  # noqa: S310 - a loopback address
        f"{plain_url}/control/{path}",
        body,
        {"Content-Type": "application/json"},
        method=verb,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return json.load(answer)
    except OSError as error:
        raise RehearsalError(f"{plain_url} does not answer: {error}") from error


def serve(folder: Path) -> None:
    """Serve until SIGTERM."""
    paths = Layout(folder)
    # The inherited lock tells whether the server runs; the PID is for `down`.
    paths.record.write_text(f"{os.getpid()}\n", encoding="ascii")
    options = _read_options(paths)
    listening = {name: options.pop(name) for name in _LISTENING}
    options.pop("kubernetes", None)
    double = Double(paths, Settings.of(options), RealClock())
    running = Running(
        double,
        listening["address"],
        proxy_port=listening["proxy_port"],
        plain_port=listening["plain_port"],
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    running.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    running.stop()


def _start(paths: Layout, lock: int) -> None:
    paths.output.parent.mkdir(exist_ok=True)
    with paths.output.open("ab") as output:
        # Detached, so that this process need not wait for it.
        serve = [sys.executable, "-m", "rehearsal.gke", "serve", "--folder", str(paths.folder)]
        subprocess.run(
            ["setsid", "--fork", *serve],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parents[2],
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            pass_fds=[lock],
            check=True,
        )


def _stop(paths: Layout) -> None:
    """Stop the server, whatever it is doing."""
    end = time.monotonic() + _ENDS_WITHIN
    while _running(paths):
        pid = _pid(paths)
        if pid is not None:
            late = time.monotonic() > end
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        elif time.monotonic() > end:
            raise RehearsalError(f"A server holds {paths.record}, but not its number in it.")
        time.sleep(_POLL)


def _running(paths: Layout) -> bool:
    """Return whether a process holds the lock."""
    try:
        with paths.record.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _pid(paths: Layout) -> int | None:
    try:
        return int(paths.record.read_text(encoding="ascii"))
    except (ValueError, FileNotFoundError):
        return None


@contextmanager
def _lock(paths: Layout) -> Iterator[int]:
    """Hold the lock, which implies that no server runs; a process that inherits it keeps it."""
    with paths.record.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RehearsalError(
                f"Another command is at {paths.folder}: run this one again when it is done."
            ) from None
        file.truncate()
        yield file.fileno()


def _wait_until_well(paths: Layout) -> None:
    end = time.monotonic() + _WELL_WITHIN
    while True:
        found = status(paths)
        if found is None or found.pid is None:
            # The process may be starting and may not have written its PID yet.
            if not _running(paths):
                raise RehearsalError(f"The server ended: {_last_line(paths.output)}")
        elif found.problem is None:
            return
        if time.monotonic() > end:
            raise RehearsalError(
                f"After {_WELL_WITHIN:.0f} s the double is not well "
                f"({found.problem if found else 'no settings'}): see {paths.output}."
            )
        time.sleep(_POLL)


def _problem(paths: Layout, options: Mapping[str, Any]) -> str | None:
    url = _url(options, "plain_port")
    try:
        folder = ask(url, "GET", "health")["folder"]
    except RehearsalError as error:
        return str(error)
    return None if folder == str(paths.folder) else f"at {url} is the double of {folder}"


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return f"{lines[-1]} (all of it: {log})"
    return "it wrote nothing"


def _read_options(paths: Layout) -> dict[str, Any]:
    try:
        options: dict[str, Any] = json.loads(paths.settings.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return options


def _clusters_of(folder: str | None) -> dict[str, str]:
    """Return the settings that let a Kubernetes stand for every cluster."""
    if folder is None:
        return {}
    path = Path(folder) / "kubeconfig"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster = content["clusters"][0]["cluster"]
        server, authority = urlsplit(cluster["server"]), cluster["certificate-authority-data"]
    except OSError as error:
        raise RehearsalError(
            f"{path} cannot be read ({error.strerror}): `python -m rehearsal.kubernetes up` first."
        ) from error
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise RehearsalError(
            f"{path} is no kubeconfig with the address and the authority of a cluster in it."
        ) from error
    if server.scheme != "https" or server.port not in (None, _HTTPS) or not server.hostname:
        raise RehearsalError(
            f"{cluster['server']} in {path}: the clusters of GKE are at https://ADDRESS, port 443."
        )
    return {
        "endpoint": server.hostname,
        "cluster_authority": authority,
        "kubeconfig": str(path),  # the model reads the cluster's objects
    }


def _url(options: Mapping[str, Any], port: str) -> str:
    return f"http://{options['address']}:{options[port]}"
