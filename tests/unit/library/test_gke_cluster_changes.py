"""The modules and google.cloud's own on a double of Google's APIs: afterwards nothing differs."""

import gke_cluster_changes
import pytest

from support import documented
from support import gke_examples as examples

ZONES = ["europe-west1-b", "europe-west1-c"]


@pytest.fixture
def gke(tmp_path, capsys, monkeypatch):
    with examples.quick_google(tmp_path, capsys, monkeypatch) as made:
        yield made


@pytest.fixture
def made(gke):
    """Return a function that creates a cluster by one request."""

    def make(*pools, **values):
        with examples.on_google(gke.google, retry_seconds=60) as session:
            examples.make(session, examples.wanted(*pools, **values))
        gke.google.forget_requests()

    return make


# What: the wanted cluster, the calls that made it.
LIVES = {
    "the seed's": (
        examples.options(),
        [
            "clusters.create", "clusters.nodePools.delete", "clusters.update",
            "clusters.nodePools.create",
        ],
    ),
    "private, in a release channel of its own, with everything that google.cloud lacks": (
        examples.options(
            {
                "service_account": "nodes@docker-ml-api-rehearsal.iam.gserviceaccount.com",
                "labels": {"tier": "ml"},
                "taints": [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}],
                "tags": ["ml"],
            },
            {"name": "scaled", "autoscaling": {"min": 0, "max": 3}},
            {"name": "spot", "spot": True, "upgrade": {"strategy": "BLUE_GREEN"}},
            private_nodes=True,
            private_endpoint=True,
            control_plane_range="172.16.0.0/28",
            authorized_networks=[{"name": "office", "cidr": "203.0.113.0/24"}],
            release_channel="STABLE",
            maintenance_window={"start": "22:00", "recurrence": "FREQ=WEEKLY;BYDAY=SA,SU"},
            logging=["SYSTEM_COMPONENTS"],
            monitoring=[],
            locations=ZONES,
            labels={"team": "ml"},
            ttl="8h",
            deletion_protection=True,
        ),
        [
            "clusters.create", "clusters.nodePools.delete", *["clusters.update"] * 3,
            "clusters.setMaintenancePolicy", *["clusters.nodePools.create"] * 3,
        ],
    ),
    "without a channel, without identity, without shielded nodes": (
        examples.options(
            {"secure_boot": False, "auto_upgrade": False},
            release_channel="NONE", workload_identity=False, shielded_nodes=False,
        ),
        ["clusters.create", "clusters.nodePools.delete", "clusters.nodePools.create"],
    ),
    "regional": (
        examples.options({"nodes": 1}, location="europe-west1"),
        [
            "clusters.create", "clusters.nodePools.delete", "clusters.update",
            "clusters.nodePools.create",
        ],
    ),
    "Autopilot": (
        examples.options(
            mode="autopilot", location="europe-west1", logging=["SYSTEM_COMPONENTS"]
        ),
        ["clusters.create"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cluster", "calls"), LIVES.values(), ids=LIVES)
def test_made_and_then_nothing_differs(gke, cluster, calls):
    first = gke.apply(cluster)
    assert not first["exists"]
    assert gke.calls() == calls
    gke.google.forget_requests()
    second = gke.apply(cluster)
    assert second["exists"]
    assert second["ours"]
    assert second["status"] == "RUNNING"
    assert second["diff"] == []
    assert gke.google.mutations() == []
    assert not gke.changes(cluster, _ansible_check_mode=True)["changed"]
    assert documented.result_differences(gke_cluster_changes, first) == []
    assert documented.result_differences(gke_cluster_changes, second) == []


def test_one_label_is_one_call(gke, made):
    made()
    cluster = examples.options(labels={"team": "ml"})
    found = gke.apply(cluster)
    assert gke.calls() == ["clusters.setResourceLabels"]
    [shown] = found["diff"]
    assert shown["before_header"] == "cluster hello-cluster"
    assert (shown["before"], shown["after"]) == ("", "labels.team: ml\n")
    assert documented.result_differences(gke_cluster_changes, found) == []


def test_check_mode(gke, made):
    cluster = examples.options(labels={"team": "ml"})
    there = gke.changes(cluster, _ansible_check_mode=True)
    assert there["changed"]
    assert [one["before"] for one in there["diff"]] == ["", ""]
    assert "location: europe-west1-b" in there["diff"][0]["after"]
    assert "machine_type: e2-small" in there["diff"][1]["after"]
    made()
    assert gke.changes(cluster, _ansible_check_mode=True)["changed"]
    assert not gke.changes(examples.options(), _ansible_check_mode=True)["changed"]
    assert not gke.changes(cluster)["changed"]
    assert gke.google.mutations() == []


def test_pools_come_and_go(gke, made):
    made({"name": "old"}, {"name": "kept", "nodes": 1})
    cluster = examples.options({"name": "kept", "nodes": 1}, {"name": "new"})
    found = gke.apply(cluster)
    assert gke.calls() == ["clusters.nodePools.create", "clusters.nodePools.delete"]
    assert [one["before_header"] for one in found["diff"]] == [
        "node pool old of cluster hello-cluster (deleted)",
        "node pool new of cluster hello-cluster",
    ]
    assert gke.apply(cluster)["diff"] == []


def test_what_cannot_change_is_refused(gke, made):
    made()
    cluster = examples.options({"spot": True})
    answer = gke.run("gke_cluster_changes", cluster=cluster)
    assert answer["failed"]
    assert answer["msg"] == (
        "Cluster hello-cluster cannot be changed in place (node_pools.main.spot: false → true): "
        "set it back, or let the node pool be deleted with all that runs on it and made anew "
        "with gke_cluster_allow_replace: true."
    )
    assert answer["refused"] == [{"path": "node_pools.main.spot", "before": False, "after": True}]
    assert gke.google.mutations() == []
    gke.apply(cluster, allow_replace=True)
    assert gke.calls() == ["clusters.nodePools.delete", "clusters.nodePools.create"]
    assert gke.apply(cluster)["diff"] == []


def test_a_cluster_that_is_replaced(gke, made):
    made()
    cluster = examples.options(private_nodes=True)
    answer = gke.run("gke_cluster_changes", cluster=cluster)
    assert "private_nodes: false → true" in answer["msg"]
    assert "let the cluster be deleted" in answer["msg"]
    found = gke.changes(cluster, allow_replace=True)
    assert found["replace"]["cluster"]["name"] == examples.NAME
    assert found["create"]["cluster"]["by"] == "google_cloud"
    assert found["diff"][0]["before_header"] == "cluster hello-cluster (deleted and made anew)"
    assert found["diff"][0]["before"] == "private_nodes: false\n"


def test_bad_input_is_told_before_anything_is_asked(gke):
    cluster = examples.options({"nodes": -1}, name="Hello")
    answer = gke.run("gke_cluster_changes", cluster=cluster)
    assert answer["msg"].splitlines() == [
        (
            "cluster: name 'Hello' must be lower-case letters, digits and '-', at most 40 "
            "characters, a letter first and a letter or digit last."
        ),
        "cluster: node_pools, main: nodes: -1 must be from 0 to 1000, for each zone.",
    ]
    assert gke.google.requests() == []


def test_somebody_elses_cluster(gke, made):
    made()
    answer = gke.run("gke_cluster_changes", cluster=examples.options(), managed_by="others")
    assert answer["failed"]
    assert "a cluster hello-cluster in europe-west1-b that is not ours" in answer["msg"]
    assert answer["reason"] == "FOREIGN"


def test_a_cluster_that_was_moved(gke, made):
    made()
    found = gke.changes(examples.options(location="europe-west1-c"))
    assert found["elsewhere"] == ["europe-west1-b"]
    assert "There also is a cluster hello-cluster of ours in europe-west1-b" in str(
        found["warnings"]
    )


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ({"kind": "permission-denied"}, "lacks the permission container.clusters.get"),
        ({"kind": "unavailable"}, "is not well (status 503)"),
    ],
    ids=lambda one: one.get("kind") if isinstance(one, dict) else "",
)
def test_google_refuses(gke, fault, part):
    gke.google.fault(method="clusters.get", count=None, **fault)
    answer = gke.run("gke_cluster_changes", cluster=examples.options(), retry_seconds=0)
    assert answer["failed"]
    assert part in answer["msg"]


def test_a_run_that_was_killed(gke):
    """The next run waits for what it had begun, and does not begin it again."""
    with examples.on_google(gke.google) as session:
        wanted = examples.wanted()
        body = examples.create_request.create_cluster(
            wanted, session.project, "docker-ml-api", examples.datetime.now(examples.UTC)
        )["body"]
        url = examples.urls.clusters(session.project, examples.LOCATION)
        session.request("POST", url, {"cluster": body})
    cluster = examples.options()
    checked = gke.changes(cluster, _ansible_check_mode=True)
    assert checked["status"] in ("PROVISIONING", "RUNNING")
    found = gke.apply(cluster)
    assert found["create"]["cluster"] is None
    assert [one["pool"] for one in found["delete"]] == ["default-pool"]
    assert gke.apply(cluster)["diff"] == []


def test_a_cluster_that_is_going(gke, made):
    made()
    with examples.on_google(gke.google) as session:
        url = examples.urls.cluster(session.project, examples.LOCATION, examples.NAME)
        session.request("DELETE", url)
    cluster = examples.options()
    found = gke.changes(cluster)
    assert not found["exists"]
    assert found["create"]["cluster"]
    assert gke.apply(cluster)["create"]["cluster"]


def test_a_cluster_that_never_settles(gke, made):
    made()
    gke.google.fault("operation-never-ends", method="setSize")
    with examples.on_google(gke.google) as session:
        place = examples.LOCATION, examples.NAME
        url = examples.urls.pool(session.project, *place, "main")
        session.request("POST", f"{url}:setSize", {"nodeCount": 3})
    answer = gke.run(
        "gke_cluster_changes", cluster=examples.options(labels={"team": "ml"}), timeout=0.1
    )
    assert answer["failed"]
    assert "SET_NODE_POOL_SIZE of cluster hello-cluster, node pool main" in answer["msg"]
    # With nothing to do there is nothing to wait for.
    assert gke.changes(examples.options(), timeout=0.1)["status"] == "RECONCILING"


def state(gke):
    """Return the double's state of the cluster."""
    return gke.google.world.state.clusters[f"{examples.LOCATION}/{examples.NAME}"]


def test_a_cluster_that_never_settles_and_nobody_says_why(gke, made):
    made()
    state(gke)["status"] = "RECONCILING"
    cluster = examples.options(labels={"team": "ml"})
    answer = gke.run("gke_cluster_changes", cluster=cluster, timeout=0.1)
    assert answer["failed"]
    assert (
        "has not settled within 0.1 seconds: it was last seen RECONCILING, its pool main RUNNING"
        in answer["msg"]
    )


def test_a_broken_cluster(gke, made):
    made()
    state(gke).update(status="ERROR", message="No addresses.")
    answer = gke.run("gke_cluster_changes", cluster=examples.options())
    assert answer["msg"].startswith(
        "Cluster hello-cluster is broken (status: ERROR (No addresses.) → RUNNING): see what is "
        "left (gcloud container clusters describe hello-cluster --location europe-west1-b), or "
    )
    found = gke.changes(examples.options(), allow_replace=True)
    assert found["replace"]["cluster"]["name"] == examples.NAME


def test_nodes_changed_by_hand(gke, made):
    made()
    state(gke)["pools"]["main"]["live"]["initialNodeCount"] = 5
    [update] = gke.changes(examples.options())["updates"]
    assert update["summary"] == "node_pools.main.nodes: 5 → 2"
