"""The commands up and down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
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
# Variables that would lead to the real Google or to another cluster.
_NOT_OURS = ("KUBECONFIG", "GOOGLE_APPLICATION_CREDENTIALS")


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal, given by its folders."""

    google: Google = field(default_factory=Google)
    kubernetes: Kubernetes = field(default_factory=Kubernetes)

    def up(self, arguments: Sequence[str], *, watch: bool) -> int:
        """Start everything, run site.yml and print a summary; leave everything running.

        Returns the exit status: the run's, or 1 if it succeeded but connected to the outside.
        """
        began = time.monotonic()
        self._module("kubernetes", "up", "--token-webhook", google_layout.TOKEN_REVIEW_URL)
        self._module("gke", "up", "--kubernetes", str(self.kubernetes.folder))
        self._note_what_was_there()
        _start_engine()
        took = time.monotonic() - began
        _say(f"Kubernetes, registry and the double of Google are up, after {took:.1f} s.")

        environment = self.environment(os.environ)
        record = Path(environment["REHEARSAL_RECORD"])
        record.unlink(missing_ok=True)
        requests_before = self.google.requests.stat().st_size
        command = [*_PLAYBOOK, *arguments]
        run_began, clock_began = time.time(), time.monotonic()
        stayed_inside, socket_lines = True, ["Sockets: NOT watched."]
        if watch:
            sampler = daemons.Sampler(self._daemons)
            sampler.start()
            watched = sockets.run(command, environment)
            socket_lines, stayed_inside = summary.sockets(watched, sampler.finish())
            status = watched.status
        else:
            done = subprocess.run(command, cwd=_ROOT, env=environment, check=False)
            status = done.returncode
        run = (run_began, run_began + time.monotonic() - clock_began)

        found = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        time_lines = summary.Time.of(run, self._operations(run), found.get("spans", [])).lines()
        changed = sum(host["changed"] for host in found.get("hosts", {}).values())
        ended = "went well" if status == 0 else f"FAILED ({status})"
        for lines in (
            ["Checked:", *(f"  {line}" for line in found.get("checked") or ["nothing"])],
            summary.requests(entries(self.google.requests, requests_before)),
            time_lines,
            socket_lines,
            [f"The run {ended}; changed={changed}. All stays up:", *self._ways()],
        ):
            _say("\n".join(["", *lines]))
        if status == 0 and not stayed_inside:
            _say("\nIt reached for addresses outside of this machine: see above.")
            return 1
        return status

    def down(self) -> int:
        """Stop and remove everything that `up` started."""
        # If containers of the project existed before the first `up`, no containers are removed.
        if self._note.exists() and not json.loads(self._note.read_text("utf-8"))["containers"]:
            command = [*_PLAYBOOK, "--tags=teardown", "--limit=docker_hosts"]
            answer = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
            if answer.returncode != 0:
                raise RehearsalError(f"`{' '.join(command)}` failed: {answer.stdout[-2000:]}")
        self._module("gke", "down")
        self._module("kubernetes", "down")
        with suppress(OSError):  # it contains files of others, or is already removed
            self.google.folder.parent.rmdir()
        return 0

    def environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """Return the run's environment; it contains the registry's login, so no argument does."""
        login = json.loads(self.kubernetes.login.read_text(encoding="utf-8"))
        environment = {
            name: value
            for name, value in outer.items()
            if name not in _NOT_OURS and not name.startswith("GCP_")
        }
        own_plugins = str(Path(__file__).parent / "callback")
        for name, value, separator in (
            ("ANSIBLE_CALLBACK_PLUGINS", own_plugins, ":"),
            ("ANSIBLE_CALLBACKS_ENABLED", "rehearsal_record", ","),
            # A company's proxy does not reach addresses of this machine.
            ("no_proxy", "localhost,127.0.0.0/8", ","),
            ("NO_PROXY", "localhost,127.0.0.0/8", ","),
        ):
            environment[name] = separator.join(filter(None, (value, environment.get(name))))
        return environment | {
            "IMAGE_REGISTRY_USERNAME": login["username"],
            "IMAGE_REGISTRY_PASSWORD": login["password"],
            "REHEARSAL_RECORD": str(self.google.folder / "log" / "run.json"),
        }

    @property
    def _note(self) -> Path:
        return self.google.folder / "before.json"

    def _note_what_was_there(self) -> None:
        """Record once which of the project's containers existed before the rehearsal."""
        if self._note.exists():
            return
        answer = _docker("ps", "--all", "--filter", _OURS, "--format={{.Names}}")
        there = answer.stdout.split() if answer is not None and answer.returncode == 0 else []
        new = self._note.with_suffix(".new")
        new.write_text(json.dumps({"containers": there}), encoding="utf-8")
        new.replace(self._note)

    def _module(self, name: str, command: str, *more: str) -> None:
        folder = self.google.folder if name == "gke" else self.kubernetes.folder
        arguments = ["-m", f"rehearsal.{name}", command, "--folder", str(folder), *more]
        answer = subprocess.run(
            [sys.executable, *arguments], cwd=_ROOT, stdout=subprocess.DEVNULL, check=False
        )
        if answer.returncode != 0:
            raise RehearsalError(f"`python {' '.join(arguments)}` failed.")

    def _daemons(self) -> Mapping[str, Iterable[int]]:
        double = google_runner.status(self.google)
        return {
            daemons.ENGINE: daemons.engine_processes(daemons.running_processes()),
            # By name, its containerd and pods are also among the engine's processes.
            "Kubernetes": Cgroups.of_this_machine(self.kubernetes.cgroup).processes(),
            "double": [double.pid] if double and double.pid else [],
        }

    def _operations(self, run: tuple[float, float]) -> list[dict[str, Any]]:
        """Return Google's operations that ran during the run, by this machine's clock."""
        found = google_runner.status(self.google)
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

    def _ways(self) -> list[str]:
        """Return commands for inspection, which work in the project's folder."""
        kubectl = self.kubernetes.kubectl
        cluster = "hello-cluster --location=europe-west1-b"
        return [
            f"  {kubectl} --kubeconfig={self.kubernetes.kubeconfig} get pods,services -A",
            '  eval "$(.venv/bin/python -m rehearsal.gke env)"   # then gcloud is at the double:',
            "  gcloud container clusters list",
            f"  gcloud container clusters get-credentials {cluster}",
            f"  {kubectl} get nodes   # by gke-gcloud-auth-plugin",
            f"  less {self.google.requests}",
            "  make rehearse         # again: changes nothing",
            "  make rehearse-stop    # ends it",
        ]


def entries(log: Path, since: int) -> list[dict[str, Any]]:
    """Return the log's entries from an offset on; all of them if the log was truncated."""
    with log.open("rb") as file:
        file.seek(since if log.stat().st_size >= since else 0)
        return [json.loads(line) for line in file]


def _start_engine() -> None:
    """Start the engine before the run, as watching would wait for the daemon to end."""
    answer = _docker("version")
    if answer is not None and answer.returncode == 0:
        return
    _say("The Docker engine does not run: it is brought up first, and not watched.")
    command = [*_PLAYBOOK, "--tags=docker"]
    if subprocess.run(command, cwd=_ROOT, check=False).returncode != 0:
        raise RehearsalError(f"`{' '.join(command)}` failed.")


def _docker(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Run a docker command; None if docker is not installed."""
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None


def _say(lines: str) -> None:
    print(lines, flush=True)  # noqa: T201 - the command's output
