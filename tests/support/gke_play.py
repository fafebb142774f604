"""Running site.yml on a test's own GKE clusters, with a double of Google's APIs.

    with gke_play.playing(tmp_path, "one", "two") as play:
        play.succeed()                    # site.yml --tags=clusters --limit=one,two
        play.google.fault("unavailable", method="clusters.create$")
        assert play.calls() == [...]      # what was asked of Google to be changed

The inventory is inventory/gke.yml and one of the play, which adds the clusters to the group `gke`
and contains the double's address, like inventory/rehearsal.yml. The clusters' API server only
answers the requests that a run sends to an empty cluster.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support import ROOT, api_server, gke_double, processes
from support.ansible_run import PLAYBOOK, Run, run_playbook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


LOCATION = "europe-west1-b"
REGISTRY = "127.0.20.2:5000/tests"
# The number of polls of an operation after which a run is considered to be waiting.
_WAITING = 3
# The durations of Google's operations, in seconds of real waiting.
_QUICK = {
    "create_cluster_seconds": 0.6,
    "create_pool_seconds": 0.4,
    "update_seconds": 0.3,
    "delete_seconds": 0.4,
}


@dataclass
class Play:
    """GKE clusters, each of them a host of the inventory, and the double."""

    folder: Path
    google: gke_double.Google
    # Name → the host's variables.
    clusters: dict[str, dict[str, Any]]
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The clusters' names."""
        return list(self.clusters)

    def inventory(self) -> Path:
        """Write the current inventory; return its file."""
        environment = self.google.environment
        way = {key: value for key, value in environment.items() if not key.startswith("GCP_")}
        common = {
            "gcp_project": self.google.project,
            "gcp_auth_kind": "serviceaccount",
            "gcp_service_account_file": str(self.google.key_file),
            "gcp_location": LOCATION,
            "image_registry": REGISTRY,
            "cluster_workloads": ["hello-web"],
            "gke_nodes": 1,
            "gke_cluster_environment": way,
            "gke_cluster_timeout": 60,
            "gke_cluster_kubeconfig_path": str(self.folder / "kubeconfig-{{ inventory_hostname }}"),
            **self.variables,
        }
        hosts = {name: {**common, **own} for name, own in self.clusters.items()}
        path = self.folder / "inventory.yml"
        path.write_text(yaml.safe_dump({"gke": {"hosts": hosts}}), encoding="utf-8")
        path.chmod(0o600)
        return path

    def arguments(self, *arguments: str, playbook: str = "site.yml") -> list[str]:
        """Write the inventory and return the arguments of ansible-playbook.

        Of site.yml, the stage clusters runs unless the arguments name another.
        """
        if playbook == "site.yml" and not any(one.startswith("--tags") for one in arguments):
            arguments = ("--tags=clusters", *arguments)
        if not any(one.startswith("--limit") for one in arguments):
            arguments = (f"--limit={','.join(self.clusters)}", *arguments)
        return [
            f"--inventory={ROOT}/inventory/gke.yml",
            f"--inventory={self.inventory()}",
            *arguments,
            str(ROOT / playbook),
        ]

    def run(self, *arguments: str, playbook: str = "site.yml", **environment: str) -> Run:
        """Run site.yml or a playbook of playbooks/; clears the request log before."""
        self.google.forget_requests()
        return run_playbook(*self.arguments(*arguments, playbook=playbook), **environment)

    def succeed(self, *arguments: str, playbook: str = "site.yml", **environment: str) -> Run:
        """Run a playbook, which must succeed."""
        return self.run(*arguments, playbook=playbook, **environment).ok()

    def fail(self, *arguments: str, playbook: str = "site.yml", **environment: str) -> str:
        """Run a playbook, which must fail; return the message."""
        run = self.run(*arguments, playbook=playbook, **environment)
        assert run.status != 0, run.text
        return run.failure

    def settled(self, *arguments: str) -> Run:
        """Run site.yml, which must change nothing and request no changes from Google."""
        run = self.succeed(*arguments)
        assert (run.changed, self.calls()) == ([], [])
        return run

    def kill_when(self, reached: Callable[[], object], *arguments: str) -> None:
        """Start site.yml and kill all its processes (SIGKILL) as soon as `reached` is true."""
        self.google.forget_requests()
        output = self.folder / "killed.txt"
        with (
            output.open("w", encoding="utf-8") as written,
            subprocess.Popen(
                [PLAYBOOK, *self.arguments(*arguments)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            ) as run,
        ):
            try:
                end = time.monotonic() + 60
                while not reached():
                    said = output.read_text(encoding="utf-8")
                    assert run.poll() is None, f"The run ended before it was killed: {said}"
                    assert time.monotonic() < end, f"There was nothing to kill it at: {said}"
                    time.sleep(0.02)
            finally:
                processes.kill_all(run.pid)

    def calls(self, *names: str) -> list[str]:
        """Return the changes requested from Google since the start of the run: METHOD CLUSTER/POOL.

        Refused requests are included. With names, only the requests for these clusters.
        """
        found = []
        for one in self.google.mutations():
            method = one["method_id"].removeprefix("container.projects.locations.clusters.")
            said = _target(one)
            if not names or said.partition("/")[0] in names:
                found.append(f"{method} {said}".strip())
        return found

    def state(self) -> dict[str, str]:
        """Return the clusters and pools at Google: LOCATION/CLUSTER or CLUSTER/POOL → status."""
        self.direct("show")  # effects of time are applied only by a request
        found = {}
        for where, record in self.google.world.dump()["clusters"].items():
            found[where] = record["status"]
            name = record["live"]["name"]
            found |= {f"{name}/{pool}": one["status"] for pool, one in record["pools"].items()}
        return found

    def under_way(self, kind: str) -> bool:
        """Return whether an operation of this kind (CREATE_CLUSTER …) is running at Google."""
        with self.google.double.frontend.lock:
            operations = self.google.world.dump()["operations"].values()
            return any(one["type"] == kind and one["end"] is None for one in operations)

    def end_operation(self, error: str = "") -> None:
        """End the only running operation, which never ends by itself, with or without an error."""
        [name] = self.direct("show")["operations"]
        self.direct("end", operation=name, error=error)

    @contextlib.contextmanager
    def ending_what_is_waited_for(self) -> Iterator[None]:
        """End the only operation, which never ends by itself, as soon as a run waits for it."""
        self.google.forget_requests()
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.05):
                asked = [one["method_id"] for one in self.google.requests()]
                if sum("locations.operations." in method for method in asked) >= _WAITING:
                    self.end_operation()
                    return
            pytest.fail("no run has waited for the operation")

        with concurrent.futures.ThreadPoolExecutor() as executor:
            waited = executor.submit(work)
            try:
                yield
            finally:
                stop.set()
            waited.result()

    def direct(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Perform an action of the rehearsal's director."""
        answer: dict[str, Any] = self.google.double.control("POST", f"world/{action}", arguments)
        return answer


def _target(request: dict[str, Any]) -> str:
    """Return the target of a logged mutating request: CLUSTER or CLUSTER/POOL."""
    parts = request["path"].partition("?")[0].partition("/clusters")[2].strip("/").split("/")
    names = [part.partition(":")[0] for part in parts[::2] if part]
    body = request["body"] or {}
    made = body.get("cluster") or body.get("nodePool") or {}
    return "/".join([*names, *([made["name"]] if "name" in made else [])])


@contextlib.contextmanager
def playing(folder: Path, *names: str, **settings: Any) -> Iterator[Play]:
    """Yield a play with clusters of these names, and Google's double with these settings."""
    with contextlib.ExitStack() as stack:
        made = api_server.make_certificate(folder, "kubernetes")
        server = stack.enter_context(api_server.serving(_empty_cluster, made.server()))
        place = {
            "endpoint": server.url.removeprefix("https://"),
            "cluster_authority": base64.b64encode(made.certificate.read_bytes()).decode(),
        }
        google = stack.enter_context(gke_double.running(folder, **{**_QUICK, **place, **settings}))
        yield Play(folder, google, {name: {} for name in names})


def _empty_cluster(request: api_server.Request) -> api_server.Answer:
    """Answer like an empty cluster."""
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return api_server.refusal(401, "Unauthorized", "Unauthorized")
    if request.method != "GET":
        return api_server.refusal(405, "MethodNotAllowed", "This cluster is only looked at.")
    answers = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.1-gke.1829001"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        # This UID identifies the cluster's resources in the cloud.
        "/api/v1/namespaces/kube-system": {"metadata": {"name": "kube-system", "uid": "cluster"}},
    }
    return api_server.Answer(answers.get(request.path, {"kind": "List", "items": []}))
