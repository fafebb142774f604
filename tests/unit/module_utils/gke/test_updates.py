"""Every change on a double of Google's API: one call each, after which nothing differs."""

import pytest
from ansible.module_utils.docker_ml_api.gke import live as gke_live
from ansible.module_utils.docker_ml_api.gke import updates
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

from support import gke_examples as examples

OFFICE = {"name": "office", "cidr": "203.0.113.0/24"}
ZONES = ["europe-west1-b", "europe-west1-c"]
WEEKLY = {"start": "22:00", "duration": "8h", "recurrence": "FREQ=WEEKLY;BYDAY=SA,SU"}


def apply(session, change, timeout=600):
    return updates.apply(session, examples.LOCATION, examples.NAME, change, timeout)


# What: the cluster as it was (pool, cluster), as it is wanted, and the calls.
CHANGES = {
    "label": (({}, {}), ({}, {"labels": {"team": "ml"}}), ["clusters.setResourceLabels"]),
    "ttl": (({}, {}), ({}, {"ttl": "8h"}), ["clusters.setResourceLabels"]),
    "release channel": (({}, {}), ({}, {"release_channel": "RAPID"}), ["clusters.update"]),
    "no release channel": (
        ({}, {}),
        ({"auto_upgrade": False}, {"release_channel": "NONE"}),
        ["clusters.update", "clusters.nodePools.setManagement"],
    ),
    "a release channel again": (
        ({"auto_upgrade": False, "auto_repair": False}, {"release_channel": "NONE"}),
        ({}, {}),
        ["clusters.nodePools.setManagement", "clusters.update"],
    ),
    "authorized networks": (
        ({}, {}), ({}, {"authorized_networks": [OFFICE]}), ["clusters.update"]
    ),
    "no authorized networks": (
        ({}, {"authorized_networks": [OFFICE]}), ({}, {}), ["clusters.update"]
    ),
    "private endpoint": (
        ({}, {"private_nodes": True}),
        ({}, {"private_nodes": True, "private_endpoint": True}),
        ["clusters.update"],
    ),
    "workload identity": (
        ({}, {"workload_identity": False}),
        ({}, {}),
        ["clusters.update", "clusters.nodePools.update"],
    ),
    "no workload identity": (
        ({}, {}),
        ({}, {"workload_identity": False}),
        ["clusters.nodePools.update", "clusters.update"],
    ),
    "shielded nodes": (
        ({"secure_boot": False}, {"shielded_nodes": False}),
        ({"secure_boot": False}, {}),
        ["clusters.update"],
    ),
    "logging": (({}, {}), ({}, {"logging": ["SYSTEM_COMPONENTS"]}), ["clusters.update"]),
    "no logging": (({}, {}), ({}, {"logging": []}), ["clusters.update"]),
    "monitoring": (({}, {}), ({}, {"monitoring": ["SYSTEM_COMPONENTS"]}), ["clusters.update"]),
    "daily window": (
        ({}, {}),
        ({}, {"maintenance_window": {"start": "03:00"}}),
        ["clusters.setMaintenancePolicy"],
    ),
    "weekly window": (
        ({}, {"maintenance_window": {"start": "03:00"}}),
        ({}, {"maintenance_window": WEEKLY}),
        ["clusters.setMaintenancePolicy"],
    ),
    "no window": (
        ({}, {"maintenance_window": WEEKLY}), ({}, {}), ["clusters.setMaintenancePolicy"]
    ),
    "zones": (({}, {}), ({}, {"locations": ZONES}), ["clusters.update"]),
    "a pool's zones": (
        ({}, {"locations": ZONES}),
        ({"locations": ZONES[1:]}, {"locations": ZONES}),
        ["clusters.nodePools.update"],
    ),
    "nodes": (({}, {}), ({"nodes": 3}, {}), ["clusters.nodePools.setSize"]),
    "machine": (({}, {}), ({"machine_type": "e2-medium"}, {}), ["clusters.nodePools.update"]),
    "machine and disk": (
        ({}, {}),
        ({"machine_type": "e2-medium", "disk_size_gb": 60, "disk_type": "pd-ssd"}, {}),
        ["clusters.nodePools.update"],
    ),
    "machine by blue-green": (
        ({}, {}),
        ({"machine_type": "e2-medium", "upgrade": {"strategy": "BLUE_GREEN"}}, {}),
        ["clusters.nodePools.update"] * 2,
    ),
    "surge again": (
        ({"upgrade": {"strategy": "BLUE_GREEN"}}, {}),
        ({"upgrade": {"max_surge": 2, "max_unavailable": 1}}, {}),
        ["clusters.nodePools.update"],
    ),
    "image": (
        ({}, {}), ({"image_type": "UBUNTU_CONTAINERD"}, {}), ["clusters.nodePools.update"]
    ),
    "autoscaling": (
        ({}, {}),
        ({"autoscaling": {"min": 0, "max": 3}}, {}),
        ["clusters.nodePools.setAutoscaling"],
    ),
    "bounds": (
        ({"autoscaling": {"min": 1, "max": 3}}, {}),
        ({"autoscaling": {"min": 1, "max": 5}}, {}),
        ["clusters.nodePools.setAutoscaling"],
    ),
    "no autoscaling": (
        ({"autoscaling": {"min": 1, "max": 3}}, {}),
        ({}, {}),
        ["clusters.nodePools.setAutoscaling", "clusters.nodePools.setSize"],
    ),
    "node labels, taints, tags": (
        ({"labels": {"old": "x"}}, {}),
        (
            {
                "labels": {"tier": "ml"},
                "taints": [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}],
                "tags": ["ml"],
            },
            {},
        ),
        ["clusters.nodePools.update"] * 3,
    ),
    "no node labels, taints, tags": (
        (
            {
                "labels": {"tier": "ml"},
                "taints": [{"key": "dedicated", "effect": "NoSchedule"}],
                "tags": ["ml"],
            },
            {},
        ),
        ({}, {}),
        ["clusters.nodePools.update"] * 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "made"), CHANGES.values(), ids=CHANGES)
def test_each_change(google, session, before, after, made):
    pool, values = before
    examples.make(session, examples.wanted(pool, **values))
    unchanged = examples.plan(session, examples.wanted(pool, **values))
    assert unchanged["updates"] == unchanged["delete"] == []
    pool, values = after
    wanted = examples.wanted(pool, **values)
    google.forget_requests()
    for change in examples.plan(session, wanted)["updates"]:
        assert apply(session, change)["status"] == "DONE"
    assert examples.calls(google) == made
    plan = examples.plan(session, wanted)
    assert plan["updates"] == plan["delete"] == plan["refused"] == []
    assert plan["create"] == {"cluster": None, "pools": []}


def test_version(google, session):
    newest = examples.wanted(release_channel="NONE", kubernetes_version="latest")
    examples.make(session, newest)
    live = gke_live.find(session, examples.LOCATION, examples.NAME, "docker-ml-api")
    version = live["currentMasterVersion"]
    examples.make(session, {**newest, "name": "other", "kubernetes_version": "1.33"})
    google.forget_requests()
    wanted = {**newest, "name": "other", "kubernetes_version": "1.34"}
    changes = examples.plan(session, wanted)["updates"]
    for change in changes:
        updates.apply(session, examples.LOCATION, "other", change, 600)
    assert examples.calls(google) == ["clusters.update", "clusters.nodePools.update"]
    assert examples.plan(session, wanted)["updates"] == []
    # A version newer than the wanted one is kept.
    older = {**newest, "kubernetes_version": "1.33"}
    assert version > "1.33"
    assert examples.plan(session, older)["updates"] == []


@pytest.fixture
def labelled(google, session):
    """A change of a label that is not applied yet."""
    examples.make(session, examples.wanted())
    plan = examples.plan(session, examples.wanted(labels={"team": "ml"}))
    google.forget_requests()
    return plan["updates"][0]


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.parametrize(
    "values",
    [
        {"labels": {"team": "ml"}},
        {"maintenance_window": {"start": "03:00"}},
        {"logging": ["SYSTEM_COMPONENTS"]},
    ],
    ids=["labels", "window", "update"],
)
def test_a_lost_answer(google, session, kind, values):
    examples.make(session, examples.wanted())
    wanted = examples.wanted(**values)
    [change] = examples.plan(session, wanted)["updates"]
    google.fault(kind, method="clusters[.](set|update)")
    apply(session, change)
    assert examples.plan(session, wanted)["updates"] == []


@pytest.mark.parametrize("kind", ["rate-limit", "unavailable", "token-expired"])
def test_troubles_that_pass(google, session, labelled, kind):
    google.fault(kind, count=3 if kind != "token-expired" else 1)
    assert apply(session, labelled)["status"] == "DONE"
    assert examples.plan(session, examples.wanted(labels={"team": "ml"}))["updates"] == []


def test_another_operation_has_the_cluster(google, session, labelled):
    """The update waits until it ends, even if it fails."""
    google.fault("operation-error", method="setSize", message="Theirs.")
    url = f"{examples.urls.pool(session.project, *place(), 'main')}:setSize"
    session.request("POST", url, {"nodeCount": 4})
    assert apply(session, labelled)["status"] == "DONE"
    assert (
        examples.plan(session, examples.wanted({"nodes": 2}, labels={"team": "ml"}))["updates"]
        == []
    )


def place():
    return examples.LOCATION, examples.NAME


def test_somebody_else_changed_the_labels(session, labelled):
    other = examples.plan(session, examples.wanted(labels={"team": "web"}))["updates"][0]
    apply(session, other)
    with pytest.raises(GoogleError) as raised:
        apply(session, labelled)
    assert "fingerprint mismatch" in str(raised.value)
    assert str(raised.value).startswith(
        "Cluster hello-cluster (labels.team: none → ml): Google refused the request"
    )


def test_the_operation_fails(google, session, labelled):
    google.fault("operation-error", method="setResourceLabels", message="Internal thing.")
    with pytest.raises(GoogleError) as raised:
        apply(session, labelled)
    assert "ended in an error; Google said: Internal thing." in str(raised.value)
    assert "SET_LABELS of cluster hello-cluster (operation-" in str(raised.value)


def test_the_operation_never_ends(google, session, labelled):
    google.fault("operation-never-ends", method="setResourceLabels")
    with pytest.raises(GoogleError) as raised:
        apply(session, labelled, timeout=60)
    assert "has not ended within 60 seconds: it was last seen RUNNING" in str(raised.value)
    assert "gcloud container operations describe operation-" in str(raised.value)


def test_the_cluster_is_never_free(google, session, labelled):
    google.fault("operation-never-ends", method="setSize")
    url = f"{examples.urls.pool(session.project, *place(), 'main')}:setSize"
    session.request("POST", url, {"nodeCount": 4})
    with pytest.raises(GoogleError) as raised:
        apply(session, labelled, timeout=60)
    assert "SET_NODE_POOL_SIZE of cluster hello-cluster, node pool main" in str(raised.value)


def test_versions_that_a_plan_before_creation_could_not_know(session):
    wanted = examples.wanted(labels={"team": "ml"}, maintenance_window={"start": "03:00"})
    examples.make(session, examples.wanted())
    labels, window = examples.plan(session, wanted)["updates"]
    del labels["body"]["labelFingerprint"]
    del window["body"]["maintenancePolicy"]["resourceVersion"]
    apply(session, labels)
    apply(session, window)
    assert examples.plan(session, wanted)["updates"] == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_pool_that_is_deleted(google, session, gone):
    examples.make(session, examples.wanted({}, {"name": "old"}))
    [change] = examples.plan(session, examples.wanted())["delete"]
    if gone:
        google.fault("drop-after", method="nodePools.delete")
    operation = apply(session, change)
    assert (operation is None) is gone
    assert examples.plan(session, examples.wanted())["delete"] == []


def test_no_permission(google, session, labelled):
    google.fault("permission-denied", method="setResourceLabels", count=None)
    with pytest.raises(GoogleError) as raised:
        apply(session, labelled)
    assert raised.value.status == 403
    assert str(raised.value).startswith("Cluster hello-cluster (labels.team: none → ml): The login")


def test_what_google_refuses(session):
    examples.make(session, examples.wanted())
    [change, _] = examples.plan(session, examples.wanted(kubernetes_version="1.99"))["updates"]
    with pytest.raises(GoogleError) as raised:
        apply(session, change)
    assert 'Master version "1.99" is unsupported' in str(raised.value)
