"""Names, numbers and JSON as Google makes them."""

import base64

import pytest

from rehearsal.gke.model import catalog, values


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"a": False, "b": 0, "c": "", "d": [], "e": None}, {}),
        ({"autoscaling": {}, "deep": {"enabled": False}}, {"autoscaling": {}, "deep": {}}),
        ({"labels": {}, "resourceLabels": {}}, {}),
        ({"labels": {"goog-gke-volume": ""}}, {"labels": {"goog-gke-volume": ""}}),
        ({"list": [{"a": 0, "b": 1}]}, {"list": [{"b": 1}]}),
        ({"enablePublicEndpoint": False}, {"enablePublicEndpoint": False}),
        (
            {
                "networkConfig": {"enablePrivateNodes": False},
                "privateClusterConfig": {"enablePrivateNodes": False},
            },
            {"networkConfig": {"enablePrivateNodes": False}, "privateClusterConfig": {}},
        ),
    ],
)
def test_written(message, expected):
    assert values.written(message) == expected


def test_merged_leaves_what_it_was_given_alone():
    below = {"a": {"b": [1], "c": 2}, "d": 3}
    above = {"a": {"b": [4]}, "d": {"e": 5}}
    result = values.merged(below, above)
    assert result == {"a": {"b": [4], "c": 2}, "d": {"e": 5}}
    result["a"]["b"].append(6)
    assert (below["a"]["b"], above["a"]["b"]) == ([1], [4])


@pytest.mark.parametrize(
    ("cluster", "pool", "name"),
    [
        ("hello-cluster", "default-pool", "gke-hello-cluster-default-pool-1a2b3c4d-grp"),
        ("c" * 40, "default-pool", f"gke-{'c' * 21}-default-pool-1a2b3c4d-grp"),
        ("c" * 40, "p" * 40, f"gke-{'c' * 12}-{'p' * 21}-1a2b3c4d-grp"),
    ],
)
def test_names_of_instance_groups(cluster, pool, name):
    assert values.instance_group_name(cluster, pool, "1a2b3c4d") == name


def test_fingerprints():
    assert values.label_fingerprint({}) == "a9dc16a7"
    assert values.label_fingerprint({"a": "1", "b": "2"}) == values.label_fingerprint(
        {"b": "2", "a": "1"}
    )
    assert values.label_fingerprint({"a": "1"}) != values.label_fingerprint({"a": "2"})


def test_label_of_a_cluster_s_id():
    label = values.base32_of("00" * 32)
    assert label == "a" * 52
    assert base64.b32decode(label.upper() + "====") == bytes(32)


def test_zones():
    assert (
        catalog.region_of("europe-west1-b") == catalog.region_of("europe-west1") == "europe-west1"
    )
    assert catalog.exists("us-central1-f")
    assert not catalog.exists("us-central1-d")
    assert not catalog.is_zone("us-central1")
    assert catalog.zones_of("nowhere") == []


@pytest.mark.parametrize(
    ("asked", "channel", "expected"),
    [
        ("", "STABLE", "1.33.8-gke.1026000"),
        ("latest", "", "1.35.1-gke.1396000"),
        ("1.34", "RAPID", "1.34.4-gke.1130000"),
        ("1.34.4", "REGULAR", "1.34.4-gke.1047000"),
        ("1.3", "REGULAR", None),
        ("1.34.4-gke.9", "REGULAR", None),
    ],
)
def test_aliases_of_versions(asked, channel, expected):
    assert catalog.resolve(asked, channel) == expected
