import pytest
from ansible.module_utils.docker_ml_api.gke import cluster_options, urls
from ansible.module_utils.docker_ml_api.gke import live as gke_live
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

from support import gke_examples as examples


def find(session, name=examples.NAME):
    return gke_live.find(session, examples.LOCATION, name, cluster_options.OWNER)


def test_find(session):
    assert find(session) is None
    examples.make(session, examples.wanted())
    assert find(session)["name"] == examples.NAME


def test_find_what_is_not_ours(session):
    url = urls.clusters(session.project, examples.LOCATION)
    session.request("POST", url, {"cluster": {"name": "theirs", "initialNodeCount": 1}})
    with pytest.raises(GoogleError) as raised:
        find(session, "theirs")
    assert str(raised.value).startswith(
        "There already is a cluster theirs in europe-west1-b that is not ours (it lacks the label "
        "managed-by: docker-ml-api): choose another name or location."
    )
    assert "--update-labels managed-by=docker-ml-api" in str(raised.value)


@pytest.mark.parametrize(
    ("cluster", "pool", "passing"),
    [
        ("RUNNING", "RUNNING", False),
        ("RUNNING", "STOPPING", True),
        ("RECONCILING", "RUNNING", True),
        ("PROVISIONING", "RUNNING", True),
        ("ERROR", "ERROR", False),
        ("DEGRADED", "RUNNING_WITH_ERROR", False),
    ],
)
def test_is_passing(cluster, pool, passing):
    live = {"status": cluster, "nodePools": [{"status": pool}]}
    assert gke_live.is_passing(live) is passing


def test_sizes(session):
    examples.make(
        session,
        examples.wanted({"nodes": 3}, {"name": "auto", "autoscaling": {"min": 1, "max": 4}}),
    )
    assert gke_live.sizes(session, find(session)) == {"main": 3}


def test_sizes_without_permission(google, session):
    examples.make(session, examples.wanted())
    google.fault("permission-denied", api="compute", count=None)
    live = find(session)
    assert gke_live.sizes(session, live) == {}
    live["nodePools"][0]["instanceGroupUrls"] = ["https://nowhere"]
    assert gke_live.sizes(session, live) == {}
