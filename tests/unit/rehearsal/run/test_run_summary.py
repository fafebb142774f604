"""The summary at the end of a rehearsal."""

from collections import Counter

import pytest

from rehearsal.run import summary
from rehearsal.run.daemons import CONTAINERS, ENGINE, LED_ON, Sampled
from rehearsal.run.sockets import Destination, Watched
from rehearsal.run.summary import Time


def entry(method, *, mutating=False, host="container.googleapis.com", fault="", problem=""):
    return {
        "method_id": method, "mutating": mutating, "host": host, "fault": fault, "problem": problem
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            [],
            [
                "Requests to Google: 0; 0 mutating requests (*)",
                "Faults: none",
                "Problems of the double: none",
            ],
        ),
        (
            [
                entry("clusters.get"),
                entry("clusters.create", mutating=True, fault="unavailable"),
                entry("clusters.get", fault="unavailable"),
                entry("", host="example.com", problem="not modelled"),
            ],
            [
                "Requests to Google: 4; 1 mutating requests (*)",
                "     1 * clusters.create",
                "     2   clusters.get",
                "     1   refused: example.com",
                "Faults: 2 unavailable",
                "Problems of the double: 1 not modelled",
            ],
        ),
    ],
)
def test_requests(entries, expected):
    assert summary.requests(entries) == expected


@pytest.mark.parametrize(
    ("operations", "spans", "expected"),
    [
        ([], [], Time(0, 0, 0, 0, 100)),
        # Simultaneous operations count once; time outside of the run does not count.
        ([(10, 20), (15, 30), (-5, 2), (95, None)], [], Time(27, 0, 0, 0, 73)),
        # While a module waits for Google, the time is Google's until the operation ends.
        ([(10, 20)], [("google.cloud.gcp_container_cluster", 9, 23)], Time(10, 0, 0, 4, 86)),
        (
            [(10, 20)],
            [
                ("workload_rollout", 18, 30),
                ("image_build", 29, 32),
                ("community.docker.docker_image_push", 32, 35),
                ("kubernetes.core.k8s", 34, 40),
                ("kubernetes.core.k8s", 34, 38),
                ("ansible.builtin.debug", 40, 50),
            ],
            Time(10, 10, 5, 5, 70),
        ),
    ],
)
def test_each_second_is_somebodys(operations, spans, expected):
    given = [{"start": start, "end": end} for start, end in operations]
    found = Time.of((0, 100), given, spans)
    assert found == expected
    assert found.own + found.google == 100
    assert sum(float(line.split()[0]) for line in found.lines()[1:]) == 100


IN = Destination("python", "127.0.20.3", 3128)
OUT = Destination("python", "192.0.2.1", 443)
PACKAGES = Destination("http", "192.0.2.9", 80)


@pytest.mark.parametrize(
    ("reached", "sampled", "outliving", "stayed", "said"),
    [
        ({IN: 5}, {}, [], True, ["     0   of the run (the kernel noted every one: 5 to 127"]),
        ({IN: 5, OUT: 2}, {}, [], False, ["     2   of the run", "2 x python to 192.0.2.1:443"]),
        ({PACKAGES: 3}, {}, [], True, ["     3   of its downloads", "3 x http to 192.0.2.9:80"]),
        ({}, {("double", "192.0.2.1", 443): 2}, [], False, ["     1   of double, Kubernetes"]),
        ({}, {(LED_ON, "172.17.0.3", 9000): 2}, [], False, ["to 172.17.0.3:9000"]),
        ({}, {(ENGINE, "192.0.2.1", 443): 2}, [], True, ["     1   of the Docker engine"]),
        ({}, {(CONTAINERS, "192.0.2.1", 443): 1}, [], True, ["containers and pods to 192.0.2.1"]),
        ({IN: 1}, {}, ["dockerd"], False, ["Not watched to its end", "dockerd"]),
    ],
)
def test_sockets(reached, sampled, outliving, stayed, said):
    watched = Watched(0, Counter(reached), 7, outliving)
    lines, inside = summary.sockets(watched, Sampled(4, Counter(sampled)))
    assert inside is stayed
    text = "\n".join(lines)
    assert [part for part in said if part not in text] == []


def test_containers_that_nobody_could_watch():
    lines, _ = summary.sockets(Watched(0), Sampled(4, containers_watched=False))
    assert "containers NOT watched" in "\n".join(lines)
