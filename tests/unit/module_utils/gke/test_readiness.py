"""Clusters that become ready, and those that never will, on a double of Google's API."""

from datetime import UTC, datetime

import pytest
from ansible.module_utils.docker_ml_api.gke import cluster_options, create_request, operations, urls
from ansible.module_utils.docker_ml_api.gke import readiness as gke_readiness
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

from support import gke_examples as examples

PLACE = examples.LOCATION, examples.NAME


def readiness(session, wanted=None, pools=("main",)):
    return gke_readiness.Readiness(
        session, wanted or examples.wanted(), cluster_options.OWNER, pools
    )


def begin(session):
    """Begin to create a cluster with Google's default pool, as google.cloud does."""
    wanted = examples.wanted()
    now = datetime.now(UTC)
    body = create_request.create_cluster(wanted, session.project, cluster_options.OWNER, now)[
        "body"
    ]
    url = urls.clusters(session.project, examples.LOCATION)
    return session.request("POST", url, {"cluster": body})


def begin_pool(session, name="main"):
    wanted = examples.wanted({"name": name})
    body = create_request.create_pool(wanted["node_pools"][0], wanted)["body"]
    return session.request("POST", urls.pools(session.project, *PLACE), {"nodePool": body})


def pools_of(live):
    return [one["name"] for one in live.get("nodePools") or []]


def test_ready_at_once(google, session):
    examples.make(session, examples.wanted())
    google.forget_requests()
    made = readiness(session)
    live = made.wait(600)
    assert live["status"] == "RUNNING"
    assert live["endpoint"]
    assert not made.deleted
    assert len(google.requests()) == 1
    assert google.mutations() == []


def test_from_the_beginning(google, session):
    begin(session)
    made = readiness(session, pools=())
    live = made.wait(600)
    assert made.deleted
    assert pools_of(live) == []
    begin_pool(session)
    made = readiness(session)
    assert made.missing(made.find()) == [
        "node pool main is PROVISIONING",
    ]
    assert pools_of(made.wait(600)) == ["main"]
    assert examples.calls(google) == [
        "clusters.create", "clusters.nodePools.delete", "clusters.nodePools.create"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "operation-error", "message": "Not now."},
        {"kind": "drop-before"},
        {"kind": "drop-after"},
        {"kind": "rate-limit"},
        {"kind": "unavailable"},
    ],
    ids=lambda one: one["kind"],
)
def test_the_default_pool_is_deleted_in_the_end(google, session, fault):
    begin(session)
    google.fault(**{"method": "nodePools.delete", "count": 1, **fault})
    made = readiness(session, pools=())
    assert pools_of(made.wait(600)) == []
    assert made.deleted


def test_the_default_pool_stays(google, session):
    begin(session)
    google.fault("operation-error", method="nodePools.delete", count=None, message="Not now.")
    with pytest.raises(GoogleError) as raised:
        readiness(session, pools=()).wait(120)
    assert "is not ready after 120 seconds: default-pool is still there; Google refused last: " in (
        str(raised.value)
    )
    assert "Not now." in str(raised.value)


def test_the_default_pool_may_not_be_deleted(google, session):
    begin(session)
    google.fault("permission-denied", method="nodePools.delete", count=None)
    with pytest.raises(GoogleError) as raised:
        readiness(session, pools=()).wait(600)
    assert raised.value.status == 403


def test_autopilots_default_pool_stays(session):
    wanted = examples.wanted(mode="autopilot", location="europe-west1")
    examples.make(session, wanted)
    made = readiness(session, wanted, ())
    assert pools_of(made.wait(600)) == ["default-pool"]
    assert not made.deleted


def test_no_cluster(session):
    with pytest.raises(GoogleError) as raised:
        readiness(session).wait(600)
    assert str(raised.value).startswith("There is no cluster hello-cluster in europe-west1-b.")


def test_a_pool_that_nobody_created(google, session):
    examples.make(session, examples.wanted({"name": "other"}))
    before = google.clock.now()
    with pytest.raises(GoogleError) as raised:
        readiness(session).wait(600)
    assert "Cluster hello-cluster has no node pool main. Fix that" in str(raised.value)
    assert google.clock.now() == before


def test_a_cluster_whose_creation_failed(google, session):
    google.fault("operation-error", method="clusters.create", message="No addresses left.")
    operation = begin(session)
    with pytest.raises(GoogleError):
        operations.wait(session, examples.LOCATION, operation, operations.Deadline(session, 600))
    with pytest.raises(GoogleError) as raised:
        readiness(session, pools=()).wait(600)
    assert str(raised.value).startswith(
        "Cluster hello-cluster is ERROR; Google said: No addresses left. Fix that and run"
    )


def test_a_pool_whose_creation_failed(google, session):
    examples.make(session, examples.wanted({"name": "other"}))
    google.fault("operation-error", method="nodePools.create", message="ZONE_RESOURCE_POOL_X.")
    begin_pool(session)
    with pytest.raises(GoogleError) as raised:
        readiness(session).wait(600)
    assert "Node pool main of cluster hello-cluster is ERROR; Google said: ZONE_RESO" in (
        str(raised.value)
    )


def test_the_words_are_those_of_the_operation_if_nothing_else_has_them(google, session):
    examples.make(session, examples.wanted({"name": "other"}))
    google.fault("operation-error", method="nodePools.create", message="No machines.")
    begin_pool(session)
    made = readiness(session)
    with pytest.raises(GoogleError):
        made.wait(600)
    live = made.find()
    failed = {"name": "main", "status": "ERROR"}
    live["nodePools"] = [failed]
    with pytest.raises(GoogleError) as raised:
        made._refuse_broken(live)
    assert "is ERROR; Google said: No machines. Fix" in str(raised.value)
    live["nodePools"] = [{**failed, "conditions": [{"message": "Stockout."}]}]
    with pytest.raises(GoogleError) as raised:
        made._refuse_broken(live)
    assert "Google said: Stockout. Fix" in str(raised.value)


def test_an_operation_that_never_ends(google, session):
    google.fault("operation-never-ends", method="clusters.create")
    begin(session)
    with pytest.raises(GoogleError) as raised:
        readiness(session, pools=()).wait(60)
    assert "CREATE_CLUSTER of cluster hello-cluster" in str(raised.value)
    assert "has not ended within 60 seconds" in str(raised.value)


def test_another_change_is_waited_for(session):
    examples.make(session, examples.wanted())
    url = urls.pool(session.project, *PLACE, "main")
    session.request("POST", f"{url}:setSize", {"nodeCount": 3})
    made = readiness(session)
    assert (
        "SET_NODE_POOL_SIZE of cluster hello-cluster, node pool main"
        in (made.missing(made.find())[0])
    )
    assert made.wait(600)["status"] == "RUNNING"


def test_google_is_not_well_for_a_while(google, session):
    begin(session)
    google.fault("unavailable", count=4)
    assert readiness(session, pools=()).wait(600)["status"] == "RUNNING"
