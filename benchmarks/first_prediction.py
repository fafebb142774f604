"""Measure the time from an image in the registry to the first checked prediction on a cluster.

    python -m benchmarks.first_prediction [--rounds 5] [--cold-rounds 3]

Each round measures, one after the other, always with a namespace that does not exist before:

* the stage workloads of site.yml;
* the same objects by hand: `kubectl apply`, `kubectl rollout status`, waiting for the load
  balancer's address, curl;
* a playbook with as many tasks as site.yml ran, which do nothing: the cost of Ansible itself.

First, the image is already on the node, from an earlier run. Then, in cold rounds, it is only in
the registry, as in a first deployment: the same files in a layer of their own, which no other image
on the node shares. Cold rounds require the rehearsal's node; for other clusters: --cold-rounds 0.

The goal is at most 1.3 times the time by hand. Exit status: 0 reached, 1 missed, 2 not measured.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import figures, rehearsed
from benchmarks.no_change import idle_playbook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.rehearsed import Cluster

Times = dict[str, list[float]]
"""Seconds of each round, by the name of the measurement."""
NAMESPACE = "benchmark-first"
NAME = "first"
PULL_SECRET = "docker-ml-api-registry"  # noqa: S105 - the name of an object
GOAL = 1.3
COLD = "cold-"
"""The prefix of the name of the image that is not on the node."""
SITE, HAND, IDLE = "site.yml --tags workloads", "kubectl and curl", "Ansible alone"
WORKLOAD = {
    "name": NAME,
    "namespace": NAMESPACE,
    "app": "diabetes",
    "service_port": 8080,
    "replicas": 1,
}
BY_HAND = """
set -eu
{kubectl} apply --filename={manifests}
{kubectl} rollout status deployment/{name} --namespace={namespace} --timeout=120s
{kubectl} wait service/{name} --namespace={namespace} --timeout=120s \\
    --for=jsonpath='{{.status.loadBalancer.ingress[0].ip}}'
address=$({kubectl} get service {name} --namespace={namespace} \\
    --output=jsonpath='{{.status.loadBalancer.ingress[0].ip}}')
# A pod is ready a moment before every node sends it requests.
tries=0
until alive=$(curl --noproxy '*' -fsS "http://$address:8080/isAlive"); do
    tries=$((tries + 1)); test $tries -lt 100; sleep 0.1
done
test "$alive" = true
curl --noproxy '*' -fsS "http://$address:8080/prediction/?f=0.05" | grep -q '^\\[199\\.6'
"""


def with_login(cluster: Cluster, manifests: str) -> str:
    """Return the rendered manifests with the pull secret inserted after the namespace."""
    if not cluster.username:
        return manifests
    host = cluster.registry.split("/", 1)[0]
    login = {
        "username": cluster.username,
        "password": cluster.password,
        "auth": base64.b64encode(f"{cluster.username}:{cluster.password}".encode()).decode(),
    }
    config = json.dumps({"auths": {host: login}}).encode()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": NAMESPACE},
        "data": {".dockerconfigjson": base64.b64encode(config).decode()},
    }
    namespace, objects = split_namespace(manifests)
    return f"{namespace}---\n{json.dumps(secret)}\n{objects}"


def split_namespace(manifests: str) -> tuple[str, str]:
    """Return the first YAML document and the remaining ones."""
    first, _, others = manifests.removeprefix("---\n").partition("---\n")
    return f"---\n{first}", f"---\n{others}"


@contextlib.contextmanager
def cold_image(cluster: Cluster) -> Iterator[None]:
    """Push the app's image with all its files in one layer; remove its local tag afterwards."""
    app = str(WORKLOAD["app"])
    tag = f"{cluster.registry}/{COLD}{app}:v1"
    (image,) = json.loads(rehearsed.run(["docker", "image", "inspect", f"{app}:v1"]))
    changes = import_changes(image["Config"])
    container = rehearsed.run(["docker", "create", f"{app}:v1"]).strip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            files = f"{folder}/files.tar"
            rehearsed.run(["docker", "export", f"--output={files}", container], timeout=300)
            rehearsed.run(["docker", "import", *changes, files, tag], timeout=300)
        with cluster.pushing() as push:
            push(tag)
        yield
    finally:
        rehearsed.run(["docker", "rm", container])
        rehearsed.attempt(["docker", "image", "rm", tag])


def import_changes(config: Mapping[str, Any]) -> list[str]:
    """Return the options of `docker import` that give an image the configuration of another one.

    config: that of the other image, from `docker image inspect`.
    """
    changes = [f"ENV {name}={json.dumps(value)}" for name, _, value in
               (entry.partition("=") for entry in config["Env"])]  # fmt: skip
    changes += [f"USER {config['User']}", f"WORKDIR {config['WorkingDir']}"]
    # `docker import` cannot set the stop signal, but the image uses the default one anyway.
    changes += [f"CMD {json.dumps(config['Cmd'])}"]
    return [f"--change={change}" for change in changes]


def deploy(cluster: Cluster, prefix: str) -> rehearsed.PlaybookRun:
    """Run the stage workloads of site.yml."""
    return cluster.play("workloads", {"workloads": [WORKLOAD], "apps_prefix": prefix})


def seconds_of(command: Sequence[str], timeout: float = 300) -> float:
    """Run a command and return its wall time in seconds."""
    start = time.perf_counter()
    rehearsed.run(command, timeout=timeout)
    return time.perf_counter() - start


def verdict(ratio: float) -> tuple[int, str]:
    """Return the exit status and a sentence that explains it."""
    reached = ratio <= GOAL
    words = "reached" if reached else "not reached"
    return int(not reached), f"{ratio:.2f} times by hand: the goal of {GOAL} is {words}."


@dataclass(frozen=True)
class Contest:
    """The measurements that are compared.

    prefix: of the image's name; by_hand: a shell script; idle: a playbook.
    """

    cluster: Cluster
    prefix: str
    by_hand: str
    idle: Path

    def rounds(self, number: int) -> tuple[Times, rehearsed.PlaybookRun]:
        """Run a number of rounds; return the times and the last run of site.yml."""
        times: Times = {SITE: [], HAND: [], IDLE: []}
        for _ in range(number):
            with self.namespace():
                report = deploy(self.cluster, self.prefix)
            with self.namespace():
                hand = seconds_of(["sh", "-c", self.by_hand])
            idle = seconds_of([rehearsed.PLAYBOOK, str(self.idle)])
            for values, seconds in zip(times.values(), (report.seconds, hand, idle), strict=True):
                values.append(seconds)
            print(f"  {report.seconds:.2f} s  {hand:.2f} s  {idle:.2f} s", flush=True)
        return times, report

    @contextlib.contextmanager
    def namespace(self) -> Iterator[None]:
        """Ensure that there is no namespace and, in cold rounds, no image on the node."""
        with self.cluster.namespace(NAMESPACE):
            if self.prefix == COLD:
                self.cluster.forget_image(f"{COLD}{WORKLOAD['app']}")
            yield


def contest(cluster: Cluster, prefix: str, folder: Path) -> Contest:
    """Prepare the manifests for kubectl, the idle playbook and the image on the node."""
    variables = {
        "workloads": [WORKLOAD],
        "apps_prefix": prefix,
        "workload_render_folder": str(folder / "rendered"),
    }
    cluster.play("render", variables)
    rendered = (folder / "rendered" / f"{NAMESPACE}-{NAME}.yaml").read_text(encoding="utf-8")
    manifests = folder / "manifests.yaml"
    # The manifests may contain a login.
    manifests.touch(mode=0o600)
    manifests.write_text(with_login(cluster, rendered), encoding="utf-8")
    by_hand = BY_HAND.format(
        kubectl=f"{cluster.kubectl_program} --kubeconfig={cluster.kubeconfig}",
        manifests=manifests,
        name=NAME,
        namespace=NAMESPACE,
    )
    with cluster.namespace(NAMESPACE):
        idle, count = idle_playbook(deploy(cluster, prefix).report, "localhost")
    print(f"{SITE} ({count} tasks), {HAND}, {IDLE} ({count} idle tasks):", flush=True)
    (folder / "idle.yml").write_text(idle, encoding="utf-8")
    return Contest(cluster, prefix, by_hand, folder / "idle.yml")


def profile(report: rehearsed.PlaybookRun) -> str:
    """Return a table of the time that a run spent in its tasks."""
    in_tasks = sum(seconds for _, seconds in report.tasks)
    rows: list[tuple[Any, ...]] = [("(start, end and between tasks)", report.seconds - in_tasks)]
    rows += figures.slowest(report.tasks)
    return "\n" + figures.table(
        ("task of the last round", "seconds"), [(name, f"{value:.2f}") for name, value in rows]
    )


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold-rounds", type=int, default=3)
    options = parser.parse_args()

    found: dict[str, Times] = {}
    with (
        rehearsed.cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
    ):
        found["The image is on the node"], report = contest(cluster, "", Path(folder)).rounds(
            options.rounds
        )
        print(profile(report))
        if options.cold_rounds:
            with cold_image(cluster):
                found["The image is in the registry only"], _ = contest(
                    cluster, COLD, Path(folder)
                ).rounds(options.cold_rounds)
    statuses = []
    for title, times in found.items():
        status, sentence = verdict(figures.ratio(times, SITE, HAND))
        statuses.append(status)
        print(f"\n{title}:\n{figures.summary(times, HAND)}\n{sentence}")
    sys.exit(max(statuses))


if __name__ == "__main__":
    main()
