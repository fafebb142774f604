import documented
import gke_cluster_create
import gke_examples as examples
import pytest

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
    # The cluster itself would be created by the run that is only looked at.
    assert gke.done("gke_cluster_create", _ansible_check_mode=True, **given)["changed"]
    answer = gke.run("gke_cluster_create", **given)
    assert answer["msg"] == "There is no cluster hello-cluster in europe-west1-b yet."
    with examples.on_google(gke.google) as session:
        examples.make(session, examples.wanted())
    assert gke.done("gke_cluster_create", **given)["changed"]
    assert not gke.done("gke_cluster_create", **given)["changed"]
    assert gke.changes(wanted)["diff"] == []


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
