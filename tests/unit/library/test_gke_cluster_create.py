import gke_cluster_create
import pytest
from ansible.module_utils.docker_ml_api.gke import by_google_cloud as gke_by_google_cloud

from support import documented
from support import gke_examples as examples

AUTOPILOT = examples.options(mode="autopilot", location="europe-west1")
SPOT = {"name": "spot", "spot": True}
PLACE = {"name": examples.NAME, "location": examples.LOCATION}


@pytest.fixture
def gke(tmp_path, capsys, monkeypatch):
    with examples.quick_google(tmp_path, capsys, monkeypatch) as made:
        yield made


def test_cluster(gke):
    body = gke.changes(AUTOPILOT)["create"]["cluster"]["body"]
    given = {"name": examples.NAME, "location": "europe-west1", "body": body}
    checked = gke.done("gke_cluster_create", _ansible_check_mode=True, **given)
    assert (checked["changed"], checked["status"]) == (True, "")
    assert gke.google.mutations() == []
    made = gke.done("gke_cluster_create", **given)
    assert (made["changed"], made["status"]) == (True, "RUNNING")
    assert documented.result_differences(gke_cluster_create, made) == []
    gke.google.forget_requests()
    again = gke.done("gke_cluster_create", **given)
    assert (again["changed"], again["status"]) == (False, "RUNNING")
    assert not gke.done("gke_cluster_create", _ansible_check_mode=True, **given)["changed"]
    assert gke.google.mutations() == []


def test_pool(gke):
    wanted = examples.options({}, SPOT)
    body = gke.changes(wanted)["create"]["pools"][1]["body"]
    given = {**PLACE, "pool": "spot", "body": body}
    # In check mode, an earlier task would have created the cluster itself.
    assert gke.done("gke_cluster_create", _ansible_check_mode=True, **given)["changed"]
    answer = gke.run("gke_cluster_create", **given)
    assert answer["msg"] == "There is no cluster hello-cluster in europe-west1-b yet."
    with examples.on_google(gke.google) as session:
        examples.make(session, examples.wanted())
    assert gke.done("gke_cluster_create", **given)["changed"]
    assert not gke.done("gke_cluster_create", **given)["changed"]
    assert gke.changes(wanted)["diff"] == []


def by_google_cloud(gke, pool="", timeout=60):
    """Create the cluster or its pool according to the changes; return the module's result."""
    found = gke.changes(examples.options())["create"]
    one = found["pools"][0] if pool else found["cluster"]
    assert one["by"] == "google_cloud"
    # This module itself would not send this to the API.
    parameters = {**one["parameters"]}
    if not pool:
        parameters["description"] = "by google.cloud"
    given = {"body": one["body"], "parameters": parameters, "timeout": timeout}
    return gke.run("gke_cluster_create", pool=pool, **given, **PLACE)


def test_by_google_cloud(gke):
    assert by_google_cloud(gke)["changed"]
    assert gke.calls() == ["clusters.create", "clusters.nodePools.delete"]
    [cluster] = gke.google.world.dump()["clusters"].values()
    assert cluster["live"]["description"] == "by google.cloud"
    gke.google.forget_requests()
    assert by_google_cloud(gke, "main")["status"] == "RUNNING"
    assert gke.calls() == ["clusters.nodePools.create"]


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ({"kind": "unavailable"}, 2),
        ({"kind": "drop-before"}, 2),
        ({"kind": "drop-after"}, 1),
    ],
)
def test_what_google_cloud_stumbles_over_is_gone_on_with(gke, fault, sent):
    gke.google.fault(method="clusters.create$", **fault)
    answer = by_google_cloud(gke)
    assert (answer["changed"], answer["status"]) == (True, "RUNNING")
    assert gke.calls().count("clusters.create") == sent
    with_pool = {"method": "nodePools.create$", **fault}
    gke.google.fault(**with_pool)
    assert by_google_cloud(gke, "main")["changed"]
    assert gke.calls().count("clusters.nodePools.create") == sent


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        (
            {"kind": "operation-error", "message": "No."},
            "Cluster hello-cluster could not be created, it is ERROR; Google said: No. Fix that,",
        ),
        (
            {"kind": "operation-error", "message": "Quota 'CPUS' exceeded."},
            "Quota 'CPUS' exceeded. Ask for more quota (",
        ),
        (
            {"kind": "operation-never-ends"},
            "has not ended within 8 seconds: it was last seen RUNNING",
        ),
        (
            {"kind": "permission-denied", "count": None},
            "The login lacks the permission container.clusters.create in project",
        ),
    ],
)
def test_what_google_cloud_cannot_is_said_in_a_sentence(gke, fault, part):
    gke.google.fault(method="clusters.create$", **fault)
    # Only the operation that never ends takes all of this time.
    answer = by_google_cloud(gke, timeout=8)
    assert answer["failed"]
    assert part in answer["msg"]


def test_without_google_cloud_the_api_is_asked(gke, monkeypatch):
    monkeypatch.setattr(gke_by_google_cloud, "CLUSTER", "gcp_container_nothing")
    answer = by_google_cloud(gke)
    assert answer["changed"]
    [warning] = answer["warnings"]
    assert "google.cloud.gcp_container_nothing is not used" in str(warning)
    assert gke.calls() == ["clusters.create"]


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"body": {"name": "other"}}, "body.name is 'other', but hello-cluster is to be created"),
        (
            {"body": {"name": "spot"}, "pool": "cheap"},
            "body.name is 'spot', but cheap is to be created",
        ),
        (
            {"body": {"name": examples.NAME, "resourceLabels": {"managed-by": "others"}}},
            "body.resourceLabels must hold managed-by: docker-ml-api",
        ),
    ],
)
def test_bodies_of_others(gke, given, part):
    answer = gke.run("gke_cluster_create", **PLACE, **given)
    assert answer["failed"]
    assert part in answer["msg"]
    assert gke.google.requests() == []
