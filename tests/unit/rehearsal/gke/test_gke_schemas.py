"""What Google refuses in a body, and what it may not answer."""

from __future__ import annotations

import pytest

from rehearsal.gke import discovery
from rehearsal.gke.schemas import without_nulls

CREATE = "CreateClusterRequest"


def problems(body, *, name=CREATE, document="container.v1", answers=False):
    found = discovery.document(document)
    return (found.answers if answers else found.requests).problems(name, body)


def cluster(**fields):
    return {"cluster": fields}


@pytest.mark.parametrize(
    "body",
    [
        {},
        cluster(name="a", initialNodeCount=3),
        cluster(initialNodeCount="3"),
        cluster(resourceLabels={"a": "b"}),
        cluster(nodePools=[{"config": {"diskSizeGb": 10, "labels": {}}}]),
        cluster(releaseChannel={"channel": "REGULAR"}),
        cluster(name="a", status="RUNNING"),  # output only: accepted and ignored
        cluster(defaultMaxPodsConstraint={"maxPodsPerNode": 32}),  # int64
        cluster(defaultMaxPodsConstraint={"maxPodsPerNode": "32"}),
    ],
)
def test_body_that_is_sound(body):
    assert problems(body) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"clusters": {}},
            'Invalid JSON payload received. Unknown name "clusters": Cannot find field.',
        ),
        (
            cluster(initialNodes=1),
            (
                "Invalid JSON payload received. Unknown name \"initialNodes\" at 'cluster': Cannot "
                "find field."
            ),
        ),
        (
            cluster(initial_node_count=1),
            (
                "Invalid JSON payload received. Unknown name \"initial_node_count\" at 'cluster': "
                "Cannot find field."
            ),
        ),
        (
            cluster(nodePools=[{}, {"config": {"machine": "x"}}]),
            (
                'Invalid JSON payload received. Unknown name "machine" at '
                "'cluster.node_pools[1].config': Cannot find field."
            ),
        ),
        (
            cluster(initialNodeCount="many"),
            "Invalid value at 'cluster.initial_node_count' (TYPE_INT32), \"many\"",
        ),
        (
            cluster(initialNodeCount=2**31),
            f"Invalid value at 'cluster.initial_node_count' (TYPE_INT32), {2**31}",
        ),
        (
            cluster(initialNodeCount=True),
            "Invalid value at 'cluster.initial_node_count' (TYPE_INT32), true",
        ),
        (cluster(name=7), "Invalid value at 'cluster.name' (TYPE_STRING), 7"),
        (
            cluster(enableTpu="yes"),
            "Invalid value at 'cluster.enable_tpu' (TYPE_BOOL), \"yes\"",
        ),
        (
            cluster(locations="a"),
            "Invalid value at 'cluster.locations' (repeated field), \"a\"",
        ),
        (
            cluster(networkConfig={"defaultSnatStatus": False}),
            (
                "Invalid value at 'cluster.network_config.default_snat_status' "
                "(type.googleapis.com/google.container.v1.DefaultSnatStatus), false"
            ),
        ),
        (
            cluster(releaseChannel={"channel": "FAST"}),
            (
                "Invalid value at 'cluster.release_channel.channel' "
                '(type.googleapis.com/google.container.v1.ReleaseChannel.Channel), "FAST"'
            ),
        ),
        (
            cluster(resourceLabels={"a": 1}),
            "Invalid value at 'cluster.resource_labels.a' (TYPE_STRING), 1",
        ),
    ],
)
def test_body_that_google_refuses(body, message):
    assert problems(body) == [message]


def test_every_problem_is_told():
    assert len(problems(cluster(name=7, a=1, b=2))) == 3


@pytest.mark.parametrize(
    ("name", "document", "body", "sound"),
    [
        ("Cluster", "container.v1", {"currentNodeCount": 3}, True),
        ("Cluster", "container.v1", {"currentNodeCount": "3"}, False),
        ("Cluster", "container.v1", {"status": "GONE"}, False),
        ("Cluster", "container.v1", {"nonsense": 1}, False),
        ("MaxPodsConstraint", "container.v1", {"maxPodsPerNode": "110"}, True),
        ("MaxPodsConstraint", "container.v1", {"maxPodsPerNode": 110}, False),
        ("Disk", "compute.v1", {"sizeGb": "10", "id": "123"}, True),
        ("Disk", "compute.v1", {"sizeGb": 10}, False),
        ("Disk", "compute.v1", {"id": "-1"}, False),
        ("Repository", "artifactregistry.v1", {"createTime": "2026-11-22T10:00:00.123Z"}, True),
        ("Repository", "artifactregistry.v1", {"createTime": "yesterday"}, False),
        ("BlueGreenSettings", "container.v1", {"nodePoolSoakDuration": "3600s"}, True),
        ("BlueGreenSettings", "container.v1", {"nodePoolSoakDuration": "1h"}, False),
        (
            "Operation",
            "artifactregistry.v1",
            {"response": {"@type": "type.googleapis.com/x", "a": 1}},
            True,
        ),
        ("Operation", "artifactregistry.v1", {"done": "yes"}, False),
    ],
)
def test_answers_are_stricter(name, document, body, sound):
    assert (problems(body, name=name, document=document, answers=True) == []) is sound


def test_names_of_compute_follow_their_pattern():
    name = {"name": "Not_A_Name"}
    assert problems(name, name="Disk", document="compute.v1") != []
    assert problems({"name": "a-name"}, name="Disk", document="compute.v1") == []


def test_nulls_are_not_there():
    body = {"a": None, "b": {"c": None, "d": [{"e": None, "f": 0}], "g": False}, "h": {}}
    assert without_nulls(body) == {"b": {"d": [{"f": 0}], "g": False}, "h": {}}
