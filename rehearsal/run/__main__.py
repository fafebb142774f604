"""The command line: python -m rehearsal.run up [--unwatched] [ARGUMENT…] | down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.gke import layout as google_layout
from rehearsal.gke import runner as google_runner
from rehearsal.gke.layout import Layout as Google
from rehearsal.kubernetes.cgroups import Cgroups
from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.kubernetes.layout import Layout as Kubernetes
from rehearsal.run import daemons, sockets, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_ROOT = Path(__file__).parents[2]
_PLAYBOOK = ["ansible-playbook", "--inventory", "inventory/rehearsal.yml", "site.yml"]
_OURS = "label=app.kubernetes.io/managed-by=docker-ml-api"
# What logs in at the real Google, or leads to another cluster.
_NOT_OURS = ("KUBECONFIG", "GOOGLE_APPLICATION_CREDENTIALS")
_USAGE = "python -m rehearsal.run up [--unwatched] [argument of ansible-playbook …] | down"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code."""
    command, *more = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command not in ("up", "down") or (command == "down" and more):
        _say(f"usage: {_USAGE}", sys.stderr)
        return 2
    if os.getuid() != 0:
        _say("rehearsal: root is needed, for Kubernetes: sudo make rehearse.", sys.stderr)
        return 1
    try:
        if command == "down":
            return down()
        watch = more[:1] != ["--unwatched"]
        return up(more if watch else more[1:], watch=watch)
    except RehearsalError as error:
        _say(f"rehearsal: {error}", sys.stderr)
        return 1


def up(arguments: Sequence[str], *, watch: bool) -> int:
    """Bring everything up, run site.yml, say what it was; leave everything up."""
    began = time.monotonic()
    google, kubernetes = Google(), Kubernetes()
    _bring_up(kubernetes)
    _note_what_was_there(google)
    _start_engine()
    _say(f"Kubernetes, registry and the double of Google are up, after {_since(began)}.")

    environment = _environment(google, kubernetes)
    record = Path(environment["REHEARSAL_RECORD"])
    record.unlink(missing_ok=True)
    requests_before = google.requests.stat().st_size
    command = [*_PLAYBOOK, *arguments]
    run_began, wall_began = time.time(), time.monotonic()
    stayed_inside, socket_lines = True, ["Sockets: not watched."]
    if watch:
        sampler = daemons.Sampler(lambda: _daemons(google, kubernetes))
        sampler.start()
        watched = sockets.run(command, environment)
        socket_lines, stayed_inside = summary.sockets(watched, sampler.finish())
        status = watched.status
    else:
        status = subprocess.run(command, cwd=_ROOT, env=environment, check=False).returncode
    run = (run_began, run_began + time.monotonic() - wall_began)

    found = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    _section("Checked", [f"  {line}" for line in found.get("checked", [])] or ["  nothing"])
    _section("", summary.requests(_entries(google, requests_before)))
    _section("", summary.Time.of(run, _operations(google, run), found.get("spans", [])).lines())
    _section("", socket_lines)
    hosts = found.get("hosts", {})
    changed = sum(host["changed"] for host in hosts.values())
    _section("", [f"The run {_ended(status)}; changed={changed}. All stays up:"])
    for line in _ways(google, kubernetes):
        _say(line)
    if status == 0 and not stayed_inside:
        _say("rehearsal: it reached for addresses outside of this machine: see above.", sys.stderr)
        return 1
    return status


def down() -> int:
    """End everything that an `up` started, and remove everything of it."""
    google = Google()
    note = _note(google)
    # Before the first `up` there may have been containers of ours: they stay.
    if note.exists() and not json.loads(note.read_text(encoding="utf-8"))["containers"]:
        command = [*_PLAYBOOK, "--tags=teardown", "--limit=docker_hosts"]
        if subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=False).returncode != 0:
            raise RehearsalError(f"`{' '.join(command)}` failed: see what it says, then again.")
    _module("rehearsal.gke", "down")
    _module("rehearsal.kubernetes", "down")
    with suppress(OSError):  # others' things are in it, or it is gone already
        google.folder.parent.rmdir()
    return 0


def _bring_up(kubernetes: Kubernetes) -> None:
    webhook = google_layout.TOKEN_REVIEW_URL
    _module("rehearsal.kubernetes", "up", "--token-webhook", webhook)
    _module("rehearsal.gke", "up", "--kubernetes", str(kubernetes.folder))


def _module(*arguments: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=_ROOT, stdout=subprocess.DEVNULL, check=False
    )
    if answer.returncode != 0:
        raise RehearsalError(f"`python -m {' '.join(arguments)}` failed.")


def _start_engine() -> None:
    """Let the engine run before the run: a daemon cannot be watched to its end."""
    answer = _docker("version")
    if answer is not None and answer.returncode == 0:
        return
    _say("The Docker engine does not run: it is brought up first, and not watched.")
    command = [*_PLAYBOOK, "--tags=docker"]
    if subprocess.run(command, cwd=_ROOT, check=False).returncode != 0:
        raise RehearsalError(f"`{' '.join(command)}` failed.")


def _note(google: Google) -> Path:
    return google.folder / "before.json"


def _note_what_was_there(google: Google) -> None:
    """Write down, once, which containers of ours are not the rehearsal's."""
    path = _note(google)
    if path.exists():
        return
    answer = _docker("ps", "--all", "--filter", _OURS, "--format={{.Names}}")
    there = answer.stdout.split() if answer is not None and answer.returncode == 0 else []
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"containers": there}), encoding="utf-8")
    new.replace(path)


def _docker(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Ask the engine; None when there is no docker."""
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None


def _environment(google: Google, kubernetes: Kubernetes) -> dict[str, str]:
    """Return the run's environment: the registry's login is here, and in no argument."""
    login = json.loads(kubernetes.login.read_text(encoding="utf-8"))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _NOT_OURS and not name.startswith("GCP_")
    }
    own_plugins = str(Path(__file__).parent / "callback")
    for name, value, separator in (
        ("ANSIBLE_CALLBACK_PLUGINS", own_plugins, ":"),
        ("ANSIBLE_CALLBACKS_ENABLED", "rehearsal_record", ","),
        # What is on this machine is not reached by a company's proxy.
        ("no_proxy", "localhost,127.0.0.0/8", ","),
        ("NO_PROXY", "localhost,127.0.0.0/8", ","),
    ):
        environment[name] = separator.join(filter(None, (value, environment.get(name))))
    return environment | {
        "IMAGE_REGISTRY_USERNAME": login["username"],
        "IMAGE_REGISTRY_PASSWORD": login["password"],
        "REHEARSAL_RECORD": str(google.folder / "log" / "run.json"),
    }


def _daemons(google: Google, kubernetes: Kubernetes) -> Mapping[str, Iterable[int]]:
    double = google_runner.status(google)
    return {
        daemons.ENGINE: daemons.engine_processes(daemons.running_processes()),
        # Its containerd and its pods are among the first by their names, too.
        "Kubernetes": Cgroups.of_this_machine(kubernetes.cgroup).processes(),
        "double": [double.pid] if double and double.pid else [],
    }


def _entries(google: Google, since: int) -> list[dict[str, Any]]:
    """Return the log's entries from that place on; all of them when it was begun anew."""
    if google.requests.stat().st_size < since:
        since = 0
    with google.requests.open("rb") as file:
        file.seek(since)
        return [json.loads(line) for line in file]


def _operations(google: Google, run: tuple[float, float]) -> list[dict[str, Any]]:
    """Return Google's operations that ran meanwhile, by this machine's clock."""
    found = google_runner.status(google)
    if found is None:
        return []
    ahead = google_runner.ask(found.plain_url, "GET", "clock")["now"] - time.time()
    world = google_runner.ask(found.plain_url, "GET", "world")
    operations = [
        {
            "start": each["start"] - ahead,
            "end": None if each["end"] is None else each["end"] - ahead,
        }
        for each in world["operations"].values()
    ]
    return [each for each in operations if each["end"] is None or each["end"] > run[0]]


def _ended(status: int) -> str:
    return "went well" if status == 0 else f"FAILED ({status})"


def _ways(google: Google, kubernetes: Kubernetes) -> list[str]:
    """Return how to look around, each a command that works in the project's folder."""
    python = os.path.relpath(sys.executable, _ROOT)
    python = sys.executable if python.startswith("..") else python
    return [
        f"  {kubernetes.kubectl} --kubeconfig={kubernetes.kubeconfig} get pods,services -A",
        f'  eval "$({python} -m rehearsal.gke env)"   # then gcloud is at the double:',
        "  gcloud container clusters list",
        "  gcloud container clusters get-credentials hello-cluster --location=europe-west1-b",
        f"  {kubernetes.kubectl} get nodes             # by gke-gcloud-auth-plugin",
        f"  less {google.requests}",
        "  make rehearse          # again: changes nothing",
        "  make rehearse-stop     # ends it",
    ]


def _section(title: str, lines: Iterable[str]) -> None:
    _say("")
    if title:
        _say(title)
    for line in lines:
        _say(line)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"


def _say(line: str, to: Any = None) -> None:
    print(line, file=to, flush=True)


if __name__ == "__main__":
    sys.exit(main())
