"""A region's quota: checked at the request, or exceeded while the nodes are created."""

import pytest

from support.google_client import CLUSTERS, COMPUTE, Client

WEB = f"{CLUSTERS}/web"
MAIN = f"{WEB}/nodePools/main"


def pools(count, **config):
    return [{"name": "main", "initialNodeCount": count, "config": config}]


@pytest.mark.parametrize(
    ("quotas", "nodes", "config", "metric"),
    [
        ({"CPUS": 8}, 4, {}, None),
        ({"CPUS": 8}, 5, {}, "CPUS"),
        ({"CPUS": 8}, 3, {"machineType": "e2-standard-4"}, "CPUS"),
        ({"INSTANCES": 3}, 4, {}, "INSTANCES"),
        ({"IN_USE_ADDRESSES": 4}, 5, {}, "IN_USE_ADDRESSES"),
        ({"SSD_TOTAL_GB": 500}, 6, {}, "SSD_TOTAL_GB"),
        ({"SSD_TOTAL_GB": 500}, 6, {"diskType": "pd-standard"}, None),
        ({"DISKS_TOTAL_GB": 500}, 6, {"diskType": "pd-standard"}, "DISKS_TOTAL_GB"),
        ({"SSD_TOTAL_GB": 500}, 6, {"diskSizeGb": 50}, None),
    ],
)
def test_creation(quotas, nodes, config, metric):
    google = Client(quotas=quotas)
    body = {"cluster": {"name": "web", "nodePools": pools(nodes, **config)}}
    answer = google.call("POST", CLUSTERS, body)
    if metric is None:
        assert answer.status == 200
        return
    assert answer.status == 403
    message = answer.body["error"]["message"]
    assert message.startswith(
        f'Insufficient regional quota to satisfy request: resource "{metric}": '
    )
    assert google.ok("GET", CLUSTERS) == {}


def test_words():
    google = Client(quotas={"CPUS": 10})
    google.create(nodePools=pools(2))
    refused = google.refused("POST", f"{MAIN}:setSize", {"nodeCount": 6})
    assert refused == (
        403,
        (
            'Insufficient regional quota to satisfy request: resource "CPUS": request requires '
            "'8.0' and is short '2.0'. project has a quota of '10.0' with '6.0' available. "
            "View and manage quotas at https://console.cloud.google.com/iam-admin/quotas?usage=USED&"
            "project=acme."
        ),
    )
    google.done("POST", f"{MAIN}:setSize", {"nodeCount": 5})


def test_other_regions_and_what_was_deleted_do_not_count():
    google = Client(quotas={"CPUS": 8})
    google.create(nodePools=pools(4))
    other = {"cluster": {"name": "other", "nodePools": pools(1)}}
    assert google.refused("POST", CLUSTERS, other)[0] == 403
    google.create("other", location="us-east1-b", nodePools=pools(4))
    google.done("DELETE", WEB)
    google.create("third", nodePools=pools(4))


def test_private_nodes_need_no_addresses():
    google = Client(quotas={"IN_USE_ADDRESSES": 0})
    google.create(nodePools=pools(2), privateClusterConfig={"enablePrivateNodes": True})


def test_load_balancers_need_addresses():
    google = Client(quotas={"IN_USE_ADDRESSES": 3})
    google.create(nodePools=pools(2))
    google.world.attach("web", "Service", name="api")
    region = google.ok("GET", f"{COMPUTE}/regions/europe-west1")
    assert region["quotas"] == [{"metric": "IN_USE_ADDRESSES", "limit": 3.0, "usage": 3.0}]
    assert google.refused("POST", f"{MAIN}:setSize", {"nodeCount": 3})[0] == 403


def test_what_is_missed_while_nodes_are_made():
    google = Client(quotas={"CPUS": 3}, quota_shows="operation")
    body = {"cluster": {"name": "web", "nodePools": pools(2)}}
    operation = google.done("POST", CLUSTERS, body)
    assert operation["error"]["code"] == 8
    assert "[GCE_QUOTA_EXCEEDED]" in operation["statusMessage"]
    assert "Quota 'CPUS' exceeded.  Limit: 3.0 in region europe-west1" in operation["statusMessage"]
    assert operation["clusterConditions"][0]["code"] == "GCE_QUOTA_EXCEEDED"
    assert google.cluster()["status"] == "ERROR"


def test_quota_for_an_update_of_the_cluster():
    google = Client(quotas={"CPUS": 6})
    google.create(nodePools=pools(2))
    update = {"update": {"desiredLocations": ["europe-west1-b", "europe-west1-c"]}}
    assert google.refused("PUT", WEB, update)[0] == 403
    # A change that needs no more than before is possible under a lowered quota.
    google.world.control("set", {"quotas": {"CPUS": 1}})
    google.done("POST", f"{MAIN}:setSize", {"nodeCount": 1})
