"""Test whether requests are lost while the workloads of a cluster change.

    python -m benchmarks.zero_lost_requests [--rounds 1]

Deploys hello-app and diabetes as Deployments and diabetes as a ReplicationController by site.yml,
and sends a steady load to each through its load balancer. Two wrk processes run at a time: one
reuses its connections, the other opens a connection for each request. Meanwhile:

* a new version of the image is rolled out by site.yml, also for the ReplicationController's pods;
* a pod of each is deleted, gracefully and by force (`--grace-period=0 --force`);
* a replica of each is evicted, as `kubectl drain` does;
* each is scaled from 2 to 6 and back to 2, by site.yml.

A request is lost if it does not get the right response within two seconds: the connection is
refused or breaks, the server closes a connection on which a request was sent, the HTTP status is
400 or above, or the content is not the app's.

The control is the same measurement without probes and graceful termination (`probes: false`,
`graceful: false`). It must lose requests, otherwise the measurement proves nothing.

Processes that are killed without warning (SIGKILL) are measured, too, but do not count: no server
can prevent these losses.

Exit status: 0 none lost, 1 some lost, 2 nothing could be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import os
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import figures, rehearsed, wrk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.rehearsed import Cluster

NEXT = "next-"
"""The prefix of the names of the new version's images."""
APPS = {
    "hello-app": ("/", "Hello, world!\nVersion: 1.0.0\nHostname: "),
    "diabetes": ("/prediction/?f=0.05", "[199.6"),
}
WORKLOADS = [
    {"name": "hello", "app": "hello-app", "kind": "Deployment"},
    {"name": "diabetes", "app": "diabetes", "kind": "Deployment"},
    {"name": "controller", "app": "diabetes", "kind": "ReplicationController"},
]
REPLICAS, MORE_REPLICAS = 2, 6
UNGRACEFUL = {"probes": False, "graceful": False}
SERVED, CONTROL = "as served", "control"


@dataclass
class Site:
    """The current workloads on the cluster.

    options: further keys of each workload.
    """

    cluster: Cluster
    namespace: str
    options: Mapping[str, Any]
    prefix: str = ""
    replicas: int = REPLICAS
    names: list[str] = field(default_factory=lambda: [str(one["name"]) for one in WORKLOADS])

    def deploy(self, **changes: Any) -> None:
        """Run the stage workloads of site.yml with changed settings."""
        for name, value in changes.items():
            setattr(self, name, value)
        common = {"namespace": self.namespace, "replicas": self.replicas, "service_port": 8080}
        self.cluster.play(
            "workloads",
            {
                "apps_prefix": self.prefix,
                # The control must continue even if its check fails.
                "workload_rollback": False,
                "workloads": [{**one, **common, **self.options} for one in WORKLOADS],
            },
        )

    def settle(self) -> None:
        """Wait until all pods are ready and none is being deleted."""
        self.cluster.settle(self.namespace, dict.fromkeys(self.names, self.replicas))

    def victims(self) -> list[dict[str, Any]]:
        """Return one pod of each workload."""
        return [self.cluster.pods(self.namespace, name)[0] for name in self.names]

    def loads(self, connections: int) -> dict[tuple[str, str], wrk.Load]:
        """Return the clients, by workload and by "kept" or "new" connections."""
        found = {}
        for one in WORKLOADS:
            name, app = str(one["name"]), str(one["app"])
            path, expected = APPS[app]
            url = self.cluster.address(self.namespace, name) + path
            # Pods without probes count as ready before they answer.
            rehearsed.wait_for(functools.partial(answers, url), 60, f"{url} does not answer")
            for keep_alive, client in ((True, "kept"), (False, "new")):
                found[name, client] = wrk.Load(
                    url, expected, keep_alive=keep_alive, connections=connections, pause=0.02
                )
        return found


def answers(url: str, times: int = 20) -> bool:
    """Return whether all of some consecutive requests are answered."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for _ in range(times):
            direct.open(url, timeout=2).close()
    except (OSError, http.client.HTTPException):
        return False
    return True


def hold(_: Site) -> None:
    """Do nothing for a while, to measure the losses of the load itself."""
    time.sleep(5)


def roll_out(site: Site) -> None:
    """Roll out the other version of the images."""
    site.deploy(prefix="" if site.prefix else NEXT)


def delete_pods(site: Site, *how: str) -> None:
    """Delete a pod of each workload."""
    names = [pod["metadata"]["name"] for pod in site.victims()]
    site.cluster.kubectl(
        "delete", "pod", *names, f"--namespace={site.namespace}", "--wait=true", *how
    )


def evict_pods(site: Site) -> None:
    """Evict a pod of each workload, as `kubectl drain` does, and wait for disruption budgets."""
    for pod in site.victims():
        name = pod["metadata"]["name"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": site.namespace},
        }
        path = f"/api/v1/namespaces/{site.namespace}/pods/{name}/eviction"

        def evicted(path: str = path, eviction: dict[str, Any] = eviction) -> bool:
            try:
                site.cluster.kubectl(
                    "create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction)
                )
            except rehearsed.Failure as refusal:
                if "disruption budget" in str(refusal):
                    return False
                raise
            return True

        rehearsed.wait_for(evicted, 60, f"pod {name} cannot be evicted")


def scale(site: Site) -> None:
    """Scale up and back down."""
    site.deploy(replicas=MORE_REPLICAS)
    site.settle()
    site.deploy(replicas=REPLICAS)


def delete_pods_by_force(site: Site) -> None:
    """Force the deletion of a pod of each workload, as users do when a pod hangs."""
    delete_pods(site, "--grace-period=0", "--force")


def kill_processes(site: Site) -> None:
    """Kill the processes of a pod of each workload, as the kernel does when memory runs out."""
    for pod in site.victims():
        for process in processes_of(pod["metadata"]["uid"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def processes_of(uid: str, folder: Path = Path("/proc")) -> list[int]:
    """Return the process IDs of a pod's containers, without its pause process."""
    found = []
    for process in folder.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            groups = (process / "cgroup").read_text(encoding="utf-8")
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
            # The systemd cgroup driver writes the UID with another separator.
            mine = uid in groups or uid.replace("-", "_") in groups
            if mine and not command.endswith(b"pause"):
                found.append(int(process.name))
    return found


EVENTS: dict[str, Callable[[Site], None]] = {
    "nothing": hold,
    "new version": roll_out,
    "pod deleted": delete_pods,
    "pod deleted by force": delete_pods_by_force,
    "replica drained": evict_pods,
    f"scaled {REPLICAS}-{MORE_REPLICAS}-{REPLICAS}": scale,
}
HARD_EVENTS: dict[str, Callable[[Site], None]] = {"process killed": kill_processes}


@contextlib.contextmanager
def next_version(cluster: Cluster) -> Iterator[None]:
    """Push a new version of each app's image, with another digest; remove local tags afterwards."""
    tags = {app: f"{cluster.registry}/{NEXT}{app}:v1" for app in APPS}
    try:
        with cluster.pushing() as push:
            for app, tag in tags.items():
                recipe = f"FROM {app}:v1\nLABEL docker-ml-api.benchmark={NEXT}{app}\n"
                rehearsed.run(["docker", "build", f"--tag={tag}", "-"], stdin=recipe)
                push(tag)
        yield
    finally:
        rehearsed.attempt(["docker", "image", "rm", *tags.values()])


def measure(site: Site, variant: str, connections: int) -> list[Result]:
    """Deploy the workloads, trigger each event under load, and return the results."""
    print(f"Deploying: {variant} …", flush=True)
    site.deploy()
    site.settle()
    events = EVENTS if variant == CONTROL else EVENTS | HARD_EVENTS
    results = []
    for event, action in events.items():
        loads = site.loads(connections)

        def act(action: Callable[[Site], None] = action) -> None:
            action(site)
            site.settle()
            # Wait until connections to a pod that has just ended are noticed.
            time.sleep(1)

        counts = wrk.under_load(list(loads.values()), act)
        for (workload, client), count in zip(loads, counts, strict=True):
            results.append(Result(variant, event, workload, client, count))
        lost = sum(count.lost for count in counts)
        attempts = sum(count.attempts for count in counts)
        print(f"  {event}: {lost:,} lost of {attempts:,}", flush=True)
    return results


@dataclass(frozen=True)
class Result:
    """The result of one client's requests during one event."""

    variant: str
    event: str
    workload: str
    client: str
    counts: wrk.Counts


def verdict(results: list[Result]) -> tuple[int, str]:
    """Return the exit status and a sentence that explains it."""
    counted = [one for one in results if one.event not in HARD_EVENTS]
    sums = {
        variant: wrk.total([one.counts for one in counted if one.variant == variant])
        for variant in (SERVED, CONTROL)
    }
    of = {
        variant: f"{sums[variant].lost:,} of {sums[variant].attempts:,} requests"
        for variant in sums
    }
    if not sums[SERVED].answered:
        return rehearsed.CANNOT_MEASURE, "Nothing was answered: this shows nothing."
    if sums[SERVED].lost:
        return 1, f"Lost: {of[SERVED]} (control: {of[CONTROL]})."
    if not sums[CONTROL].lost:
        return rehearsed.CANNOT_MEASURE, (
            f"The control lost none of {sums[CONTROL].attempts:,} requests, so that none were lost "
            "otherwise shows nothing."
        )
    return 0, f"Lost: {of[SERVED]}; the control lost {of[CONTROL]}."


def report(results: list[Result]) -> str:
    """Return the table of lost requests by event and the table of all results."""
    rows = []
    for event in dict.fromkeys(one.event for one in results):
        cells = [event + (" (does not count)" if event in HARD_EVENTS else "")]
        for variant in (SERVED, CONTROL):
            parts = [one.counts for one in results if (one.event, one.variant) == (event, variant)]
            counts = wrk.total(parts)
            cells += [f"{counts.attempts:,}", f"{counts.lost:,}"] if parts else ["-", "-"]
        rows.append(cells)
    heads = ("event", "requests", "lost", "control: requests", "control: lost")
    return f"{details(results)}\n\n{figures.table(heads, rows)}"


def details(results: list[Result]) -> str:
    """Return the table of all results."""
    return figures.table(
        (
            "variant",
            "event",
            "workload",
            "connections",
            "requests",
            "a second",
            "lost",
            "p99",
            "by",
        ),
        [
            (
                one.variant,
                one.event,
                one.workload,
                one.client,
                f"{one.counts.attempts:,}",
                f"{one.counts.rate:,.0f}",
                f"{one.counts.lost:,}",
                f"{one.counts.p99_ms:.1f} ms",
                one.counts.causes(),
            )
            for one in results
        ],
    )


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--connections", type=int, default=8, help="of each wrk; each asks 50 times a second"
    )
    options = parser.parse_args()

    results: list[Result] = []
    with rehearsed.cluster() as cluster, next_version(cluster):
        for _ in range(options.rounds):
            for variant, more in ((SERVED, {}), (CONTROL, UNGRACEFUL)):
                with cluster.namespace("benchmark-lost") as namespace:
                    site = Site(cluster, namespace, more)
                    try:
                        results += measure(site, variant, options.connections)
                    except wrk.LoadError as error:
                        rehearsed.cannot_measure(str(error))
    print()
    print(report(results))
    status, sentence = verdict(results)
    print()
    print(sentence)
    sys.exit(status)


if __name__ == "__main__":
    main()
