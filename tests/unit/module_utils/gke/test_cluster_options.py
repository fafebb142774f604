from datetime import UTC, datetime

import pytest
from ansible.module_utils.docker_ml_api.gke import cluster_options

from support import gke_examples as examples

PROBLEMS = {
    "the seed's cluster": ([{}], {}, []),
    "all that is optional": (
        [
            {
                "nodes": 0,
                "autoscaling": {"min": 0, "max": 3},
                "locations": ["europe-west1-b", "europe-west1-c"],
                "labels": {"cloud.example/tier": "A_b.c", "empty": ""},
                "taints": [{"key": "dedicated", "value": "ml", "effect": "NoExecute"}],
                "tags": ["ml-nodes"],
                "upgrade": {"strategy": "BLUE_GREEN", "max_surge": 0, "max_unavailable": 0},
            }
        ],
        {
            "locations": ["europe-west1-b"],
            "kubernetes_version": "1.34.4-gke.1047000",
            "pod_range": "/16",
            "service_range": "services",
            "private_nodes": True,
            "private_endpoint": True,
            "control_plane_range": "172.16.0.0/28",
            "authorized_networks": [{"cidr": "203.0.113.0/24"}, {"cidr": "2001:db8::/32"}],
            "maintenance_window": {
                "start": "23:30", "duration": "6h30m", "recurrence": "FREQ=WEEKLY;BYDAY=SA"
            },
            "labels": {"team": "science", "empty": ""},
            "ttl": "8h",
        },
        [],
    ),
    "Autopilot": ([], {"mode": "autopilot", "location": "europe-west1"}, []),
    "name": ([{}], {"name": "Hello"}, ["name 'Hello' must be lower-case letters"]),
    "long name": ([{}], {"name": "a" * 41}, ["at most 40 characters"]),
    "location": ([{}], {"location": "Belgium"}, ["must be a zone (europe-west1-b) or a region"]),
    "zone elsewhere": (
        [{}],
        {"locations": ["europe-west1-b", "us-central1-a", "europe-west1"]},
        ["'us-central1-a' must be a zone of europe-west1", "'europe-west1' must be a zone"],
    ),
    "version": ([{}], {"kubernetes_version": "v1.34"}, ["'v1.34' must be a version"]),
    "ttl": ([{}], {"ttl": "8 hours"}, ["ttl '8 hours' must be minutes, hours or days"]),
    "our label": ([{}], {"labels": {"ttl": "1h"}}, ["labels: ttl is set by this module"]),
    "Google's label": ([{}], {"labels": {"goog-x": ""}}, ["not begin with goog-"]),
    "label's key": ([{}], {"labels": {"Team": "x"}}, ["the key 'Team' must be"]),
    "label's value": ([{}], {"labels": {"team": "A B"}}, ["the value 'A B' of team must be"]),
    "range": ([{}], {"pod_range": "10.8.0.0"}, ["pod_range '10.8.0.0' must be a network"]),
    "range with host bits": ([{}], {"service_range": "10.8.0.1/14"}, ["service_range '10.8.0.1/"]),
    "authorized network": (
        [{}],
        {"authorized_networks": [{"cidr": "203.0.113.7"}]},
        ["authorized_networks: '203.0.113.7' must be a network"],
    ),
    "private endpoint": (
        [{}], {"private_endpoint": True}, ["private_endpoint: true needs private_nodes: true"]
    ),
    "control plane's range without private nodes": (
        [{}], {"control_plane_range": "172.16.0.0/28"}, ["is for clusters with private_nodes"]
    ),
    "control plane's range": (
        [{}],
        {"private_nodes": True, "control_plane_range": "172.16.0.0/24"},
        ["must be a network of 16 addresses"],
    ),
    "window's start": (
        [{}], {"maintenance_window": {"start": "3:00"}}, ["start '3:00' must be a time in UTC"]
    ),
    "window's duration": (
        [{}],
        {"maintenance_window": {"start": "03:00", "duration": "2h"}},
        ["duration '2h' must be from 4h to 24h"],
    ),
    "window's duration is none": (
        [{}],
        {"maintenance_window": {"start": "03:00", "duration": "long"}},
        ["duration 'long' must be"],
    ),
    "window's rule": (
        [{}],
        {"maintenance_window": {"start": "03:00", "recurrence": "weekly"}},
        ["recurrence 'weekly' must be a rule of RFC 5545"],
    ),
    "Autopilot in a zone": (
        [], {"mode": "autopilot"}, ["europe-west1 instead of europe-west1-b"]
    ),
    "Autopilot without what it always has": (
        [],
        {
            "mode": "autopilot", "location": "europe-west1", "workload_identity": False,
            "shielded_nodes": False, "release_channel": "NONE",
        },
        ["always has workload_identity", "always has shielded_nodes", "needs a release_channel"],
    ),
    "no name for a pool": ([{"name": "x_y"}], {}, ["node_pools, x_y: the name must be"]),
    "Google's pool": ([{"name": "default-pool"}], {}, ["Google's for a pool that is always"]),
    "a pool twice": ([{}, {}], {}, ["main is there 2 times"]),
    "nodes": ([{"nodes": -1}], {}, ["nodes: -1 must be from 0 to 1000"]),
    "bounds": (
        [{"autoscaling": {"min": 3, "max": 2}}], {}, ["min 3 and max 2 must be from 0 to 1000"]
    ),
    "no nodes ever": (
        [{"autoscaling": {"min": 0, "max": 0}}], {}, ["max must be at least 1"]
    ),
    "disk": ([{"disk_size_gb": 5}], {}, ["disk_size_gb: 5 must be at least 15"]),
    "pool's zone": ([{"locations": ["us-east1-b"]}], {}, ["'us-east1-b' must be a zone of"]),
    "node label": ([{"labels": {"a b": "c"}}], {}, ["labels: a b: c is no Kubernetes label"]),
    "taint": (
        [{"taints": [{"key": "-", "effect": "NoSchedule"}]}], {}, ["taints: -= is no Kubernetes"]
    ),
    "tag": ([{"tags": ["Web"]}], {}, ["tags: 'Web' must be lower-case letters"]),
    "no upgrade ever": ([{"upgrade": {"max_surge": 0}}], {}, ["must be at least 1"]),
    "upgrade below 0": ([{"upgrade": {"max_surge": -1, "max_unavailable": 2}}], {}, ["below 0"]),
    "unmanaged in a channel": (
        [{"auto_upgrade": False}], {}, ["must be true in a release channel"]
    ),
    "unmanaged without a channel": ([{"auto_upgrade": False}], {"release_channel": "NONE"}, []),
    "secure boot without shielded nodes": (
        [{}], {"shielded_nodes": False}, ["secure_boot needs the cluster's shielded_nodes: true"]
    ),
    "no shielded nodes": ([{"secure_boot": False}], {"shielded_nodes": False}, []),
}  # fmt: skip


@pytest.mark.parametrize(("pools", "values", "found"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(pools, values, found):
    told = cluster_options.problems(examples.wanted(*pools, **values))
    assert len(told) == len(found), told
    for one, part in zip(told, found, strict=True):
        assert part in one
        assert one.endswith(".")


def test_problem_of_pools_that_are_there_or_not():
    standard = {**examples.wanted(), "node_pools": []}
    assert cluster_options.problems(standard) == [
        "node_pools must name at least one pool (name, machine_type, nodes)."
    ]
    autopilot = {**examples.wanted(), "mode": "autopilot", "location": "europe-west1"}
    assert cluster_options.problems(autopilot) == [
        "mode autopilot has no node_pools: Google manages the nodes, leave them out."
    ]


@pytest.mark.parametrize(
    ("location", "region", "is_region"),
    [("europe-west1-b", "europe-west1", False), ("us-central1", "us-central1", True)],
)
def test_places(location, region, is_region):
    assert cluster_options.region_of(location) == region
    assert cluster_options.is_region(location) is is_region


def test_labels():
    cluster = examples.wanted(labels={"team": 7}, ttl="8h")
    assert cluster_options.labels(cluster, "us") == {"managed-by": "us", "team": "7", "ttl": "8h"}
    created = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
    protected = examples.wanted(deletion_protection=True)
    assert cluster_options.labels(protected, "us", created) == {
        "created-at": "20261122t220500z",
        "deletion-protection": "true",
        "managed-by": "us",
        "ttl": "none",
    }


@pytest.mark.parametrize(
    ("cluster", "ours"),
    [
        ({}, False),
        ({"resourceLabels": {"managed-by": "terraform"}}, False),
        ({"resourceLabels": {"managed-by": "docker-ml-api"}}, True),
    ],
)
def test_is_ours(cluster, ours):
    assert cluster_options.is_ours(cluster) is ours


@pytest.mark.parametrize(
    ("pool", "scopes"),
    [
        ({"oauth_scopes": ["x"], "service_account": "a@b"}, ["x"]),
        ({"service_account": "a@b"}, ["https://www.googleapis.com/auth/cloud-platform"]),
    ],
)
def test_scopes(pool, scopes):
    assert cluster_options.oauth_scopes(examples.wanted(pool)["node_pools"][0]) == scopes


def test_scopes_of_the_default_account_are_few():
    scopes = cluster_options.oauth_scopes(examples.wanted()["node_pools"][0])
    assert "https://www.googleapis.com/auth/devstorage.read_only" in scopes
    assert not any("cloud-platform" in one for one in scopes)


@pytest.mark.parametrize(
    ("pool", "nodes"),
    [
        ({"nodes": 2}, 2),
        ({"nodes": 2, "autoscaling": {"min": 3, "max": 5}}, 3),
        ({"nodes": 9, "autoscaling": {"min": 0, "max": 5}}, 5),
        ({"nodes": 1, "autoscaling": {"min": 0, "max": 5}}, 1),
    ],
)
def test_first_nodes(pool, nodes):
    assert cluster_options.first_nodes(examples.wanted(pool)["node_pools"][0]) == nodes


@pytest.mark.parametrize(
    ("duration", "found"), [(None, 240), ("4h", 240), ("6h30m", 390), ("90m", 90)]
)
def test_minutes(duration, found):
    assert cluster_options.minutes(duration) == found


def test_defaults_are_good():
    cluster = examples.wanted({"name": "main"})
    assert cluster["release_channel"] == "REGULAR"
    assert cluster["workload_identity"]
    assert cluster["shielded_nodes"]
    pool = cluster["node_pools"][0]
    assert pool["secure_boot"]
    assert pool["integrity_monitoring"]
    assert pool["auto_repair"]
    assert pool["auto_upgrade"]
    assert pool["machine_type"] == "e2-small"
    assert pool["upgrade"] == {
        "strategy": "SURGE", "max_surge": 1, "max_unavailable": 0, "soak_seconds": 0
    }  # fmt: skip
