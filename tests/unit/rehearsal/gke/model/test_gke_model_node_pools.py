"""Node pools: creation, changes, upgrades, rollbacks, deletion."""

import pytest

from rehearsal.gke.call import OperationFault
from support.google_client import CLUSTERS, PROJECT, ZONE, Client

WEB = f"{CLUSTERS}/web"
POOLS = f"{WEB}/nodePools"
MAIN = f"{POOLS}/main"


@pytest.fixture
def google():
    client = Client()
    client.create()
    return client


def test_life_of_a_pool(google):
    body = {
        "nodePool": {
            "name": "spot",
            "initialNodeCount": 1,
            "config": {
                "machineType": "g1-small",
                "spot": True,
                "oauthScopes": ["https://www.googleapis.com/auth/cloud-platform"],
                "taints": [{"key": "spot", "value": "yes", "effect": "NO_SCHEDULE"}],
            },
            "autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 3},
        }
    }
    operation = google.ok("POST", POOLS, body)
    assert operation["operationType"] == "CREATE_NODE_POOL"
    assert operation["targetLink"].endswith("/clusters/web/nodePools/spot")
    assert google.cluster()["status"] == "RECONCILING"
    assert google.pool("spot")["status"] == "PROVISIONING"
    google.wait()
    pool = google.pool("spot")
    assert pool["status"] == "RUNNING"
    assert pool["config"]["spot"] is True
    assert pool["config"]["machineType"] == "g1-small"
    assert pool["autoscaling"]["locationPolicy"] == "ANY"
    assert pool["config"]["oauthScopes"] == body["nodePool"]["config"]["oauthScopes"]
    assert [each["name"] for each in google.ok("GET", POOLS)["nodePools"]] == ["main", "spot"]
    assert google.done("DELETE", f"{POOLS}/spot")["operationType"] == "DELETE_NODE_POOL"
    assert google.refused("GET", f"{POOLS}/spot") == (
        404,
        f"Not found: projects/{PROJECT}/zones/{ZONE}/clusters/web/nodePools/spot.",
    )


def test_the_last_pool_can_go(google):
    google.done("DELETE", MAIN)
    assert google.ok("GET", POOLS) == {}
    assert "nodePools" not in google.cluster()


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({"name": "Main"}, "Must be a match of regex"),
        ({"name": "x" * 41}, "Must be a match of regex"),
        ({"initialNodeCount": -1}, "between 0 and 1000"),
        ({"initialNodeCount": 1001}, "between 0 and 1000"),
        ({"locations": ["us-east1-b"]}, "is not in region"),
        ({"version": "1.35"}, "greater minor version"),
        ({"version": "1.2"}, "is unsupported"),
        (
            {"management": {"autoRepair": True}},
            "cannot be false when release_channel REGULAR is set",
        ),
        ({"autoscaling": {"maxNodeCount": 3}}, "when autoscaling is enabled"),
        ({"autoscaling": {"enabled": True}}, "max_node_count must be greater than 0"),
        (
            {"autoscaling": {"enabled": True, "minNodeCount": 2, "maxNodeCount": 4}},
            "initial_node_count 1 must be between",
        ),
        (
            {"autoscaling": {"enabled": True, "maxNodeCount": 4, "totalMaxNodeCount": 4}},
            "mutually exclusive",
        ),
        (
            {"autoscaling": {"enabled": True, "totalMinNodeCount": 9, "totalMaxNodeCount": 4}},
            "total_min_node_count (9)",
        ),
        ({"upgradeSettings": {"maxSurge": 0}}, "greater than 0"),
        ({"upgradeSettings": {"maxSurge": -1, "maxUnavailable": 1}}, "must not be negative"),
        ({"upgradeSettings": {"maxSurge": 0, "maxUnavailable": 0}}, "greater than 0"),
        ({"upgradeSettings": {"strategy": "BLUE_GREEN", "maxSurge": 1}}, "cannot be set with"),
        (
            {
                "upgradeSettings": {
                    "strategy": "BLUE_GREEN",
                    "blueGreenSettings": {
                        "standardRolloutPolicy": {"batchNodeCount": 1, "batchPercentage": 0.5}
                    },
                }
            },
            "Only one of batch_node_count",
        ),
        (
            {
                "upgradeSettings": {
                    "maxSurge": 1,
                    "blueGreenSettings": {"nodePoolSoakDuration": "1s"},
                }
            },
            "only be set with the BLUE_GREEN",
        ),
        ({"config": {"machineType": "f1-micro"}}, "f1-micro is not supported"),
        ({"config": {"machineType": "e2-huge"}}, f'"e2-huge" does not exist in zone "{ZONE}"'),
        ({"config": {"diskType": "floppy"}}, '"floppy" does not exist'),
        ({"config": {"diskSizeGb": 9}}, "at least 10 GB: 9"),
        ({"config": {"imageType": "DOS"}}, 'Image type "DOS" is not supported'),
        ({"config": {"spot": True, "preemptible": True}}, "Only one of"),
        ({"config": {"taints": [{"key": "k", "value": "v"}]}}, "key and effect are required"),
        (
            {"config": {"taints": [{"key": "k", "effect": "NO_EXECUTE"}] * 2}},
            "Duplicate taint",
        ),
        ({"config": {"labels": {"kubernetes.io/role": "x"}}}, "reserved prefix"),
        ({"config": {"labels": {"node-restriction.kubernetes.io/x": "y"}}}, None),
        ({"config": {"labels": {"-x": "y"}}}, "is invalid"),
        ({"config": {"resourceLabels": {"Team": "y"}}}, 'Label key "Team"'),
        ({"config": {"tags": ["Web"]}}, 'Invalid network tag "Web"'),
    ],
)
def test_what_a_pool_may_be(google, pool, words):
    body = {"nodePool": {"name": "more", "initialNodeCount": 1, **pool}}
    answer = google.call("POST", POOLS, body)
    if words is None:
        assert answer.status == 200
        return
    assert answer.status == 400
    assert words in answer.body["error"]["message"]
    assert len(google.ok("GET", POOLS)["nodePools"]) == 1


def test_name_that_is_taken(google):
    body = {"nodePool": {"name": "main", "initialNodeCount": 1}}
    assert google.refused("POST", POOLS, body) == (
        409,
        f"Already exists: projects/{PROJECT}/zones/{ZONE}/clusters/web/nodePools/main.",
    )


def test_without_a_channel_upgrades_may_be_off(google):
    management = {"autoRepair": False, "autoUpgrade": False}
    cluster = google.create("free", releaseChannel={"channel": "UNSPECIFIED"})
    assert cluster["nodePools"][0]["management"] == {"autoRepair": True, "autoUpgrade": True}
    where = f"{CLUSTERS}/free/nodePools/main:setManagement"
    operation = google.done("POST", where, {"management": management})
    assert operation["operationType"] == "SET_NODE_POOL_MANAGEMENT"
    assert google.pool(cluster="free")["management"] == {}
    status, message = google.refused("POST", f"{MAIN}:setManagement", {"management": management})
    assert (status, "cannot be false" in message) == (400, True)


def test_version_of_a_new_pool(google):
    for name, version in (("a", ""), ("b", "-"), ("c", "1.34.3"), ("d", "1.34.4-gke.1047000")):
        pool = {"name": name, "initialNodeCount": 0, "version": version}
        google.done("POST", POOLS, {"nodePool": pool})
    versions = [google.pool(name)["version"] for name in "abcd"]
    newest = "1.34.4-gke.1047000"
    assert versions == [newest, newest, "1.34.3-gke.1318000", newest]


def test_management_of_a_new_pool(google):
    pool = {
        "name": "more",
        "initialNodeCount": 1,
        "config": {"diskSizeGb": 0},
        "management": {"autoRepair": True, "autoUpgrade": True, "upgradeOptions": {}},
    }
    google.done("POST", POOLS, {"nodePool": pool})
    assert google.pool("more")["management"] == pool["management"]
    assert google.pool("more")["config"]["diskSizeGb"] == 100


def test_size(google):
    operation = google.done("POST", f"{MAIN}:setSize", {"nodeCount": 5})
    assert operation["operationType"] == "SET_NODE_POOL_SIZE"
    assert google.pool()["initialNodeCount"] == google.cluster()["currentNodeCount"] == 5
    google.done("POST", f"{MAIN}:setSize", {"nodeCount": 0})
    assert "initialNodeCount" not in google.pool()
    assert google.refused("POST", f"{MAIN}:setSize", {"nodeCount": 1001})[0] == 400


def test_autoscaling(google):
    bounds = {"enabled": True, "totalMinNodeCount": 1, "totalMaxNodeCount": 6}
    google.done("POST", f"{MAIN}:setAutoscaling", {"autoscaling": bounds})
    assert google.pool()["autoscaling"] == {**bounds, "locationPolicy": "BALANCED"}
    legacy = f"/v1/projects/{PROJECT}/zones/{ZONE}/clusters/web/nodePools/main/autoscaling"
    google.done("POST", legacy, {"autoscaling": {"enabled": False}})
    assert google.pool()["autoscaling"] == {}


@pytest.mark.parametrize(
    ("update", "member", "expected"),
    [
        ({"machineType": "e2-standard-4"}, "machineType", "e2-standard-4"),
        ({"diskSizeGb": "50", "diskType": "pd-ssd"}, "diskSizeGb", 50),
        ({"imageType": "ubuntu_containerd"}, "imageType", "UBUNTU_CONTAINERD"),
        ({"labels": {"labels": {"tier": "a"}}}, "labels", {"tier": "a"}),
        ({"labels": {}}, "labels", None),
        ({"tags": {"tags": ["web"]}}, "tags", ["web"]),
        (
            {"taints": {"taints": [{"key": "k", "value": "v", "effect": "NO_EXECUTE"}]}},
            "taints",
            [{"key": "k", "value": "v", "effect": "NO_EXECUTE"}],
        ),
        (
            {"workloadMetadataConfig": {"mode": "GKE_METADATA"}},
            "workloadMetadataConfig",
            {"mode": "GKE_METADATA"},
        ),
        (
            {"resourceLabels": {"labels": {"team": "ml"}}},
            "resourceLabels",
            {"team": "ml", "goog-gke-node-pool-provisioning-model": "on-demand"},
        ),
    ],
)
def test_update_of_the_nodes(google, update, member, expected):
    before = google.pool()
    google.ok("PUT", MAIN, update)
    assert google.pool()["status"] == "RECONCILING"
    assert google.pool()["config"] == before["config"]
    google.wait()
    after = google.pool()
    assert after["config"].get(member) == expected
    assert (after["status"], google.cluster()["status"]) == ("RUNNING", "RUNNING")
    assert after["etag"] != before["etag"]


@pytest.mark.parametrize(
    ("update", "member", "expected"),
    [
        ({"locations": [ZONE, "europe-west1-c"]}, "locations", [ZONE, "europe-west1-c"]),
        (
            {"upgradeSettings": {"maxSurge": 2, "maxUnavailable": 1}},
            "upgradeSettings",
            {"maxSurge": 2, "maxUnavailable": 1, "strategy": "SURGE"},
        ),
        ({"nodeVersion": "1.34.3-gke.1318000"}, "version", "1.34.3-gke.1318000"),
        ({"queuedProvisioning": {"enabled": True}}, "queuedProvisioning", {"enabled": True}),
    ],
)
def test_update_of_the_pool(google, update, member, expected):
    google.done("PUT", MAIN, update)
    assert google.pool()[member] == expected


def test_private_nodes_of_a_pool(google):
    google.done("PUT", MAIN, {"nodeNetworkConfig": {"enablePrivateNodes": True}})
    assert google.pool()["networkConfig"]["enablePrivateNodes"] is True
    assert google.pool()["networkConfig"]["podRange"]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({}, "At least one of ['node_version', 'image_type'"),
        ({"name": "main"}, "At least one of"),
        ({"machineType": "e2-small", "labels": {}}, "given together: labels, machine_type."),
        ({"machineType": "e2-huge"}, "does not exist"),
        ({"nodeConfigUpdateMode": "LIVE_UPDATE_WITHOUT_DRAIN"}, "At least one of"),
        ({"image": "cos-1"}, "Updating image of a node pool is not supported."),
        ({"nodeVersion": "1.99"}, "is unsupported"),
        ({"upgradeSettings": {"maxSurge": 0, "maxUnavailable": 0}}, "greater than 0"),
        ({"locations": ["us-east1-b"]}, "is not in region"),
    ],
)
def test_refused_updates(google, update, words):
    status, message = google.refused("PUT", MAIN, update)
    assert status == 400
    assert words in message
    assert google.pool()["status"] == "RUNNING"


def test_etag(google):
    etag = google.pool()["etag"]
    google.done("PUT", MAIN, {"labels": {"labels": {"a": "b"}}, "etag": etag})
    answer = google.call("PUT", MAIN, {"labels": {}, "etag": etag})
    assert (answer.status, answer.body["error"]["status"]) == (409, "ABORTED")


def blue_green(google, **settings):
    body = {"upgradeSettings": {"strategy": "BLUE_GREEN", **settings}}
    google.done("PUT", MAIN, body)
    return google.pool()


def test_blue_green_upgrade(google):
    pool = blue_green(google)
    assert pool["upgradeSettings"]["blueGreenSettings"]["nodePoolSoakDuration"] == "3600s"
    blue = pool["instanceGroupUrls"]
    google.ok("PUT", MAIN, {"machineType": "e2-small"})
    phases = []
    for _ in range(4):
        phases.append(google.pool()["updateInfo"]["blueGreenInfo"]["phase"])
        google.wait(0.4)
    assert phases == [
        "CREATING_GREEN_POOL",
        "CORDONING_BLUE_POOL",
        "DRAINING_BLUE_POOL",
        "NODE_POOL_SOAKING",
    ]
    google.wait()
    after = google.pool()
    assert "updateInfo" not in after
    assert after["config"]["machineType"] == "e2-small"
    assert after["instanceGroupUrls"] != blue


def test_blue_green_upgrade_completed_early(google):
    blue_green(google)
    complete = f"{MAIN}:completeUpgrade"
    assert "not in the soaking phase" in google.refused("POST", complete, {})[1]
    google.ok("PUT", MAIN, {"machineType": "e2-small"})
    google.wait(1.1)
    assert google.pool()["updateInfo"]["blueGreenInfo"]["phase"] == "NODE_POOL_SOAKING"
    google.ok("POST", complete, {})
    assert google.pool()["status"] == "RUNNING"
    assert google.pool()["config"]["machineType"] == "e2-small"


def test_blue_green_upgrade_rolled_back(google):
    blue = blue_green(google)
    google.ok("PUT", MAIN, {"machineType": "e2-small"})
    google.wait(1.1)
    google.done("POST", f"{MAIN}:rollback", {})
    after = google.pool()
    assert after["config"] == blue["config"]
    assert after["instanceGroupUrls"] == blue["instanceGroupUrls"]
    assert after["status"] == "RUNNING"


def test_percentage_and_autoscaled_rollout(google):
    settings = {"standardRolloutPolicy": {"batchPercentage": 0.5}}
    shown = blue_green(google, blueGreenSettings=settings)["upgradeSettings"]
    assert shown["blueGreenSettings"]["standardRolloutPolicy"]["batchPercentage"] == 0.5
    assert "batchNodeCount" not in shown["blueGreenSettings"]["standardRolloutPolicy"]
    shown = blue_green(google, blueGreenSettings={"autoscaledRolloutPolicy": {}})
    assert "standardRolloutPolicy" not in shown["upgradeSettings"]["blueGreenSettings"]


def test_upgrade_that_fails_is_rolled_back(google):
    before = google.pool()["config"]
    rollback = f"{MAIN}:rollback"
    assert "no failed or aborted upgrade" in google.refused("POST", rollback, {})[1]
    fault = OperationFault("Stockout.", 8)
    google.done("PUT", MAIN, {"machineType": "e2-small"}, fault=fault)
    broken = google.pool()
    assert (broken["status"], broken["statusMessage"]) == ("RUNNING_WITH_ERROR", "Stockout.")
    google.done("POST", rollback, {})
    assert (google.pool()["status"], google.pool()["config"]) == ("RUNNING", before)


def test_workload_identity_is_for_new_pools(google):
    update = {"desiredWorkloadIdentityConfig": {"workloadPool": f"{PROJECT}.svc.id.goog"}}
    google.done("PUT", WEB, {"update": update})
    google.done("POST", POOLS, {"nodePool": {"name": "more", "initialNodeCount": 1}})
    assert "workloadMetadataConfig" not in google.pool()["config"]
    assert google.pool("more")["config"]["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}


def test_labels_change_without_other_nodes(google):
    before = blue_green(google)
    google.ok("PUT", MAIN, {"labels": {"labels": {"tier": "a"}}})
    assert "updateInfo" not in google.pool()
    google.wait()
    assert google.pool()["config"]["labels"] == {"tier": "a"}
    assert google.pool()["instanceGroupUrls"] == before["instanceGroupUrls"]
