"""Test whether the autoscaler follows the load, up and down again.

    python -m benchmarks.autoscale [--load 90]

Deploys diabetes with `autoscale` by site.yml, sends the maximum load of four connections for at
most two minutes, and records the number of replicas. Then it sends a minimal load until only the
minimum number of replicas is left. No request may be lost in either phase.

Exit status: 0 scaled up and down without loss, 1 otherwise, 2 nothing could be measured.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from benchmarks import figures, rehearsed, wrk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.rehearsed import Cluster

NAME = "scaled"
PATH, EXPECTED = "/prediction/?f=0.05", "[199.6"
FEWEST, MOST = 1, 6
SCALE_DOWN_DELAY = 15
LOAD_AT_MOST = 120
# Metrics are at most 15 s old, the autoscaler reads them every 15 s, and a pod may take 30 s to
# terminate.
DOWN_AT_MOST = 240
METRICS_AT_MOST = 120


@dataclass(frozen=True)
class Sample:
    """What the autoscaler observed and requested at one point in time.

    second: since the start of the load; percent: of the requested CPU, None without a metric.
    """

    second: float
    phase: str
    percent: int | None
    wanted: int
    ready: int


def sample(cluster: Cluster, namespace: str, second: float, phase: str) -> Sample:
    """Return a sample of the cluster's current state."""
    where = f"--namespace={namespace}"
    status = cluster.get("horizontalpodautoscaler", NAME, where).get("status", {})
    deployment = cluster.get("deployment", NAME, where)
    percents = [
        metric["resource"]["current"].get("averageUtilization")
        for metric in status.get("currentMetrics") or []
        if metric.get("type") == "Resource"
    ]
    return Sample(
        second,
        phase,
        percents[0] if percents else None,
        deployment["spec"]["replicas"],
        deployment["status"].get("readyReplicas", 0),
    )


def changes(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples at which the number of wanted or ready replicas changes."""
    found: list[Sample] = []
    for one in samples:
        before = found[-1] if found else None
        if before is None or (one.wanted, one.ready) != (before.wanted, before.ready):
            found.append(one)
    return found


def verdict(samples: Sequence[Sample], lost: int, sent: int) -> tuple[int, str]:
    """Return the exit status and a sentence that explains it."""
    peak = max(one.ready for one in samples)
    last = samples[-1].ready
    words = f"{FEWEST} → {peak} → {last} ready replicas, {lost:,} of {sent:,} requests lost"
    if peak <= FEWEST:
        return 1, f"The autoscaler did not follow the load: {words}."
    if last != FEWEST:
        return 1, f"The autoscaler did not come back: {words}."
    if lost:
        return 1, f"The autoscaler followed the load, but not without loss: {words}."
    return 0, f"The autoscaler followed the load: {words}."


class Watch:
    """Takes samples in the background, also while a load starts and ends."""

    def __init__(self, take: Callable[[float, str], Sample]) -> None:
        """Initialize at second 0."""
        self.samples: list[Sample] = []
        self.phase = "load"
        self.failure: Exception | None = None
        self._take = take
        self._start = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread."""
        self._ended.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        try:
            while not self._ended.wait(1):
                self.samples.append(self._take(time.monotonic() - self._start, self.phase))
        except rehearsed.Failure as failure:
            self.failure = failure

    def wait_for(self, condition: Callable[[Sample], bool], timeout: float) -> bool:
        """Wait until a new sample satisfies the condition; return whether one did."""
        end, seen = time.monotonic() + timeout, len(self.samples)
        while time.monotonic() < end:
            if self.failure:
                raise self.failure
            if any(condition(one) for one in self.samples[seen:]):
                return True
            time.sleep(0.5)
        return False


def measure(cluster: Cluster, namespace: str, seconds: float) -> tuple[list[Sample], wrk.Counts]:
    """Apply the load, remove it, and return the samples and the counts."""
    url = cluster.address(namespace, NAME) + PATH
    with Watch(lambda second, phase: sample(cluster, namespace, second, phase)) as watch:
        counts = wrk.under_load(
            [wrk.Load(url, EXPECTED, connections=4, pause=0)],
            lambda: _stay_until_most(watch, seconds),
        )
        watch.phase = "trickle"
        counts += wrk.under_load(
            [wrk.Load(url, EXPECTED, connections=2, pause=1)],
            lambda: _stay_until_fewest(watch),
        )
    return watch.samples, wrk.total(counts)


def _stay_until_most(watch: Watch, seconds: float) -> None:
    start = time.monotonic()
    watch.wait_for(lambda one: one.ready == MOST, seconds)
    # Keep the load for some time at the peak, so that it is observed.
    time.sleep(min(10, max(0.0, seconds - (time.monotonic() - start))))


def _stay_until_fewest(watch: Watch) -> None:
    watch.wait_for(lambda one: one.wanted == one.ready == FEWEST, DOWN_AT_MOST)
    # Some pods are still terminating.
    time.sleep(10)


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--load", type=int, default=90, help=f"seconds of load, at most {LOAD_AT_MOST}"
    )
    seconds = min(parser.parse_args().load, LOAD_AT_MOST)

    workload = {
        "name": NAME,
        "app": "diabetes",
        "service_port": 8080,
        "autoscale": {
            "min_replicas": FEWEST,
            "max_replicas": MOST,
            "cpu_percent": 50,
            "scale_down_delay": SCALE_DOWN_DELAY,
        },
    }
    with rehearsed.cluster() as cluster, cluster.namespace("benchmark-autoscale") as namespace:
        print("Deploying …", flush=True)
        cluster.play("workloads", {"workloads": [{**workload, "namespace": namespace}]})
        rehearsed.wait_for(
            lambda: sample(cluster, namespace, 0, "").percent is not None,
            METRICS_AT_MOST,
            "the cluster has no metrics of the pods",
        )
        print(f"Load for at most {seconds} s, then a trickle …", flush=True)
        try:
            samples, counts = measure(cluster, namespace, seconds)
        except wrk.LoadError as error:
            rehearsed.cannot_measure(str(error))
    print(
        figures.table(
            ("second", "phase", "cpu", "wanted", "ready"),
            [
                (
                    f"{one.second:.0f}",
                    one.phase,
                    "-" if one.percent is None else f"{one.percent}%",
                    one.wanted,
                    one.ready,
                )
                for one in changes(samples)
            ],
        )
    )
    status, sentence = verdict(samples, counts.lost, counts.attempts)
    print()
    print(sentence, counts.causes())
    sys.exit(status)


if __name__ == "__main__":
    main()
