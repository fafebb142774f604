"""Measure the cost per workload on a cluster with 1, 10, 50 and 100 workloads.

    python -m benchmarks.many_workloads [--counts 1,10,50,100] [--rounds 1]

From one inventory, site.yml deploys hello-app under as many names, each with a load balancer. The
benchmark measures the first deployment, a run without changes, and the teardown. It prints the
times, the cost of each further workload, and the number of changes that the run without changes
requested from the API server.

Requirements: no time grows faster than linearly; the run without changes takes less than 60 s for
up to 50 workloads; no such run changes anything or requests a change. A node takes 110 pods.

Exit status: 0 all requirements are met, 1 otherwise, 2 nothing could be measured.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import figures, rehearsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rehearsed import Cluster

NAMESPACE = "benchmark-many"
NO_CHANGE_AT_MOST = 60.0
UP_TO = 50
FIRST, NO_CHANGE, TEARDOWN = "first deployment", "no change", "teardown"
STAGES = (FIRST, NO_CHANGE, TEARDOWN)


@dataclass(frozen=True)
class Round:
    """One round with a number of workloads: seconds by stage, and the run without changes.

    requests: the number of changes that this run requested; None without an audit log.
    """

    count: int
    seconds: dict[str, float]
    changed: int
    requests: int | None


def workloads(count: int) -> list[dict[str, Any]]:
    """Return the inventory's workloads."""
    return [
        {
            "name": f"many-{number:03}",
            "namespace": NAMESPACE,
            "app": "hello-app",
            "service_port": 80,
            "replicas": 1,
        }
        for number in range(count)
    ]


def measure(cluster: Cluster, count: int) -> Round:
    """Deploy `count` workloads, run again without changes, and tear them down."""
    variables = {"workloads": workloads(count)}
    with cluster.namespace(NAMESPACE):
        first = cluster.play("workloads", variables, timeout=1800)
        since = rehearsed.now()
        again = cluster.play("workloads", variables, timeout=1800)
        requests = cluster.mutating_requests(NAMESPACE, since)
        gone = cluster.play("teardown", variables, timeout=1800)
    for request in requests[:10]:
        print(f"  asked for: {request}")
    print(figures.table(("slowest tasks without change", "s"), [
        (name, f"{seconds:.2f}") for name, seconds in figures.slowest(again.tasks, 5)
    ]))  # fmt: skip
    return Round(
        count,
        {FIRST: first.seconds, NO_CHANGE: again.seconds, TEARDOWN: gone.seconds},
        again.changed,
        None if cluster.audit_log is None else len(requests),
    )


def medians(rounds: Sequence[Round], stage: str) -> dict[int, float]:
    """Return the median seconds of a stage, by the number of workloads."""
    counts = sorted({one.count for one in rounds})
    return {
        count: statistics.median(one.seconds[stage] for one in rounds if one.count == count)
        for count in counts
    }


def faults(rounds: Sequence[Round]) -> list[str]:
    """Return a sentence for each requirement that is not met."""
    found = [
        f"The time of '{stage}' grows faster than linearly."
        for stage in STAGES
        if figures.grows_faster_than_linear(medians(rounds, stage))
    ]
    found += [
        f"A run without change over {count} took {seconds:.0f} s; the limit is "
        f"{NO_CHANGE_AT_MOST:.0f} s."
        for count, seconds in medians(rounds, NO_CHANGE).items()
        if count <= UP_TO and seconds >= NO_CHANGE_AT_MOST
    ]
    found += [
        f"The second run over {one.count} changed {one.changed} tasks."
        for one in rounds
        if one.changed
    ]
    found += [
        f"The run without change over {one.count} asked for {one.requests} changes."
        for one in rounds
        if one.requests
    ]
    return found


def report(rounds: Sequence[Round]) -> str:
    """Return the tables of times and of costs."""
    counts = sorted({one.count for one in rounds})
    rows = []
    for stage in STAGES:
        times = medians(rounds, stage)
        costs = figures.marginal_costs(times)
        rows.append(
            [
                stage,
                *(f"{times[count]:.1f} s" for count in counts),
                *(f"{seconds:.2f} s" for seconds in costs.values()),
            ]
        )
    steps = figures.marginal_costs(dict.fromkeys(counts, 0.0))
    heads = ["", *map(str, counts), *(f"each, {fewer} to {more}" for fewer, more in steps)]
    known = [one.requests for one in rounds if one.requests is not None]
    asked = f"{sum(known)}" if known else "not known: there is no audit log"
    return f"{figures.table(heads, rows)}\n\nChanges asked for by runs without change: {asked}."


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--counts", default="1,10,50,100")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]

    rounds: list[Round] = []
    with rehearsed.cluster() as cluster:
        for _ in range(options.rounds):
            for count in counts:
                print(f"{count} workloads …", flush=True)
                rounds.append(measure(cluster, count))
    print()
    print(report(rounds))
    found = faults(rounds)
    print()
    print("\n".join(found) or "All holds.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
