"""Creations on a double of Google's API, with and without faults."""

from datetime import UTC, datetime

import pytest
from ansible.module_utils.docker_ml_api.gke import cluster_options, create_request, live, urls
from ansible.module_utils.docker_ml_api.gke import creation as gke_creation
from ansible.module_utils.docker_ml_api.google import api
from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError

from support import gke_examples as examples

AUTOPILOT = {"mode": "autopilot", "location": "europe-west1"}
SPOT = {"name": "spot", "spot": True, "upgrade": {"strategy": "BLUE_GREEN"}}


def creation(session, pool="", location=examples.LOCATION):
    return gke_creation.Creation(session, location, examples.NAME, cluster_options.OWNER, pool)


def body_of(session, wanted):
    now = datetime.now(UTC)
    return create_request.create_cluster(wanted, session.project, cluster_options.OWNER, now)[
        "body"
    ]


def create_cluster(session, timeout=600):
    wanted = examples.wanted(**AUTOPILOT)
    made = creation(session, location="europe-west1")
    return made.create(body_of(session, wanted), timeout)


def create_pool(session, timeout=600, pool=None):
    wanted = examples.wanted({}, {**SPOT, **(pool or {})})
    body = create_request.create_pool(wanted["node_pools"][1], wanted)["body"]
    return creation(session, "spot").create(body, timeout)


def test_autopilot(google, session):
    assert create_cluster(session) == {"created": True, "status": "RUNNING"}
    plan = examples.plan(session, examples.wanted(**AUTOPILOT))
    assert plan["create"]["cluster"] is None
    assert plan["updates"] == plan["delete"] == []
    google.forget_requests()
    assert create_cluster(session) == {"created": False, "status": "RUNNING"}
    assert google.mutations() == []


def test_pool(google, session):
    examples.make(session, examples.wanted())
    assert create_pool(session) == {"created": True, "status": "RUNNING"}
    plan = examples.plan(session, examples.wanted({}, SPOT))
    assert plan["create"]["pools"] == plan["updates"] == []
    google.forget_requests()
    assert create_pool(session) == {"created": False, "status": "RUNNING"}
    assert google.mutations() == []


TROUBLES = ["rate-limit", "unavailable", "internal", "token-expired", "drop-before", "drop-after"]


@pytest.mark.parametrize("kind", TROUBLES)
def test_troubles(google, session, kind):
    """Whatever happens to the request, one cluster and one pool exist in the end."""
    google.fault(kind, method="clusters.create")
    assert create_cluster(session)["status"] == "RUNNING"
    examples.make(session, examples.wanted(name="other"))
    google.forget_requests()
    google.fault(kind, method="nodePools.create")
    wanted = examples.wanted({}, SPOT, name="other")
    body = create_request.create_pool(wanted["node_pools"][1], wanted)["body"]
    made = gke_creation.Creation(session, examples.LOCATION, "other", cluster_options.OWNER, "spot")
    assert made.create(body, 600)["status"] == "RUNNING"
    plan = examples.plan(session, wanted)
    assert plan["create"]["pools"] == plan["delete"] == plan["updates"] == []


def test_a_lost_answer_creates_nothing_twice(google, session):
    google.fault("drop-after", method="clusters.create")
    create_cluster(session)
    done = [one for one in google.mutations() if one["status"] == 200]
    assert done == []
    assert examples.calls(google) == ["clusters.create"]


def test_what_an_earlier_run_began_is_waited_for(google, session):
    url = urls.clusters(session.project, "europe-west1")
    body = body_of(session, examples.wanted(**AUTOPILOT))
    session.request("POST", url, {"cluster": body})
    assert create_cluster(session) == {"created": False, "status": "RUNNING"}
    assert examples.calls(google) == ["clusters.create"]


def test_another_operation_has_the_cluster(session):
    examples.make(session, examples.wanted())
    url = urls.pool(session.project, examples.LOCATION, examples.NAME, "main")
    session.request("POST", f"{url}:setSize", {"nodeCount": 3})
    assert create_pool(session)["created"]


def test_somebody_elses_cluster(google, session):
    body = {"name": examples.NAME, "autopilot": {"enabled": True}}
    url = urls.clusters(session.project, "europe-west1")
    session.request("POST", url, {"cluster": body})
    google.forget_requests()
    with pytest.raises(GoogleError) as raised:
        create_cluster(session)
    assert "is not ours (it lacks the label managed-by: docker-ml-api)" in str(raised.value)
    assert raised.value.reason == live.FOREIGN
    assert google.mutations() == []


def test_google_does_not_answer_after_the_request(google, session):
    google.fault("drop-after", method="clusters.create")
    google.fault("drop-before", method="clusters.get", after=1, count=None)
    with pytest.raises(GoogleError):
        create_cluster(session)
    google.clear_faults()
    assert create_cluster(session) == {"created": False, "status": "RUNNING"}


def test_google_never_answers(google, session):
    google.fault("drop-before", method="clusters.create", count=None)
    with pytest.raises(LostAnswerError):
        create_cluster(session, timeout=30)
    assert session.find(urls.cluster(session.project, "europe-west1", examples.NAME)) is None


class Racing(api.GoogleSession):
    """Another run sends the same request just before this one."""

    def request(self, method, url, body=None, query=None, *, resend=None):
        if method == "POST":
            super().request(method, url, body, query, resend=resend)
        return super().request(method, url, body, query, resend=resend)


@pytest.mark.parametrize("ours", [True, False])
def test_taken_between_the_look_and_the_request(google, monkeypatch, ours):
    """The refusal is not a failure if the existing cluster is ours."""
    monkeypatch.setattr(api, "GoogleSession", Racing)
    with examples.on_google(google) as session:
        assert type(session) is Racing
        if ours:
            assert create_cluster(session)["status"] == "RUNNING"
        else:
            body = {**body_of(session, examples.wanted(**AUTOPILOT)), "resourceLabels": {}}
            theirs = creation(session, location="europe-west1")
            with pytest.raises(GoogleError) as raised:
                theirs.create(body, 60)
            assert raised.value.reason == live.FOREIGN
    assert [one["status"] for one in google.mutations()] == [200, 409]


def test_a_pool_of_no_cluster(session):
    with pytest.raises(GoogleError) as raised:
        create_pool(session)
    assert str(raised.value) == "There is no cluster hello-cluster in europe-west1-b yet."


def test_the_operation_fails(google, session):
    examples.make(session, examples.wanted())
    google.fault(
        "operation-error", method="nodePools.create", message="Quota 'CPUS' exceeded.", code=8
    )
    with pytest.raises(GoogleError) as raised:
        create_pool(session)
    assert str(raised.value).startswith("Node pool spot of cluster hello-cluster: The operation ")
    assert "Google said: Quota 'CPUS' exceeded. Then: ask for more quota" in str(raised.value)
    # The next run finds the failed pool.
    with pytest.raises(GoogleError) as raised:
        create_pool(session)
    assert "could not be created, it is ERROR; Google said: Quota 'CPUS' exceeded." in str(
        raised.value
    )
    [change] = examples.plan(session, examples.wanted({}, SPOT))["replace"]["pools"]
    assert "status: ERROR" in change["summary"]


def test_the_operation_never_ends(google, session):
    google.fault("operation-never-ends", method="clusters.create")
    with pytest.raises(GoogleError) as raised:
        create_cluster(session, timeout=60)
    assert "CREATE_CLUSTER of cluster hello-cluster" in str(raised.value)
    assert "has not ended within 60 seconds: it was last seen RUNNING" in str(raised.value)


def test_what_google_refuses(google, session):
    examples.make(session, examples.wanted())
    with pytest.raises(GoogleError) as raised:
        create_pool(session, pool={"machine_type": "nothing-2"})
    assert raised.value.status == 400
    google.fault("permission-denied", method="clusters.create")
    with pytest.raises(GoogleError) as raised:
        create_cluster(session)
    assert raised.value.status == 403
