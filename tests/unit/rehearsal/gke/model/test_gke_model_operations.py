"""Operations: how they proceed, end, fail, never end, and block each other."""

import json

import pytest

from rehearsal.gke.call import OperationFault
from rehearsal.gke.model import World
from support.google_client import CLUSTERS, NUMBER, PROJECT, ROOT, ZONE, Client

WEB = f"{CLUSTERS}/web"
POOLS = f"{WEB}/nodePools"
LABELS = {"resourceLabels": {"a": "b"}, "labelFingerprint": "a9dc16a7"}
BROKEN = OperationFault("All is lost.", 13)
NEVER = OperationFault()


@pytest.fixture
def google():
    return Client(create_cluster_seconds=10, pending_part=0.2)


def test_states(google):
    body = {"cluster": {"name": "web", "initialNodeCount": 1}}
    name = google.ok("POST", CLUSTERS, body)["name"]
    seen = []
    for _ in range(4):
        seen.append(google.ok("GET", f"{ROOT}/operations/{name}"))
        google.wait(4)
    assert [each["status"] for each in seen] == ["PENDING", "RUNNING", "RUNNING", "DONE"]
    assert "progress" in seen[1]
    assert "endTime" not in seen[2]
    # It ended when it was due, not when its status was requested.
    assert (seen[3]["startTime"], seen[3]["endTime"]) == (
        "2027-01-15T08:00:00.000000Z",
        "2027-01-15T08:00:10.000000Z",
    )
    assert not {"error", "statusMessage"} & set(seen[3])
    assert seen[0]["selfLink"] == (
        f"https://container.googleapis.com/v1/projects/{NUMBER}/zones/{ZONE}/operations/{name}"
    )


def test_list_and_not_found(google):
    google.create()
    google.create("other", location="us-central1")

    def targets(location):
        where = f"/v1/projects/{PROJECT}/locations/{location}/operations"
        listed = google.ok("GET", where).get("operations", [])
        return [each["targetLink"].rpartition("/")[2] for each in listed]

    assert targets("-") == ["web", "other"]
    assert targets("us-central1") == ["other"]
    assert targets("us-east1") == []
    assert google.refused("GET", f"{ROOT}/operations/operation-1") == (
        404,
        f"Not found: projects/{PROJECT}/zones/{ZONE}/operations/operation-1.",
    )


CHANGES = [
    ("DELETE", WEB, None),
    ("PUT", WEB, {"update": {"desiredShieldedNodes": {"enabled": True}}}),
    ("POST", f"{WEB}:setResourceLabels", LABELS),
    ("POST", f"{WEB}:setMaintenancePolicy", {"maintenancePolicy": {}}),
    ("POST", POOLS, {"nodePool": {"name": "more", "initialNodeCount": 1}}),
    ("DELETE", f"{POOLS}/main", None),
    ("PUT", f"{POOLS}/main", {"machineType": "e2-small"}),
    ("POST", f"{POOLS}/main:setSize", {"nodeCount": 1}),
    (
        "POST",
        f"{POOLS}/main:setManagement",
        {"management": {"autoRepair": True, "autoUpgrade": True}},
    ),
]


@pytest.mark.parametrize(("verb", "path", "body"), CHANGES)
def test_one_operation_a_cluster(google, verb, path, body):
    google.create()
    running = google.ok("POST", f"{POOLS}/main:setSize", {"nodeCount": 3})["name"]
    answer = google.call(verb, path, body)
    assert (answer.status, answer.body["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert (
        answer.body["error"]["message"] == f"Cluster is running incompatible operation {running}."
    )
    assert answer.body["error"]["details"][0]["reason"] == "CLUSTER_ALREADY_HAS_OPERATION"
    google.wait()
    google.done(verb, path, body)


def test_other_clusters_are_not_kept_waiting(google):
    google.create()
    google.create("other")
    google.ok("POST", f"{POOLS}/main:setSize", {"nodeCount": 3})
    google.ok("POST", f"{CLUSTERS}/other/nodePools/main:setSize", {"nodeCount": 3})


def test_a_name_is_free_when_its_cluster_is_gone_and_not_before(google):
    google.create()
    google.ok("DELETE", WEB)
    body = {"cluster": {"name": "web", "initialNodeCount": 1}}
    assert google.refused("POST", CLUSTERS, body)[0] == 409
    google.wait()
    google.ok("POST", CLUSTERS, body)


def test_creation_that_fails(google):
    body = {"cluster": {"name": "web", "initialNodeCount": 1}}
    operation = google.done("POST", CLUSTERS, body, fault=BROKEN)
    assert operation["error"]["code"] == 13
    assert operation["error"]["message"] == operation["statusMessage"] == "All is lost."
    assert operation["clusterConditions"][0]["canonicalCode"] == "INTERNAL"
    cluster = google.cluster()
    assert (cluster["status"], cluster["statusMessage"]) == ("ERROR", "All is lost.")
    assert "endpoint" not in cluster
    assert cluster["nodePools"][0]["status"] == "ERROR"
    status, message = google.refused("POST", f"{WEB}:setResourceLabels", LABELS)
    assert (status, "state ERROR" in message) == (400, True)
    google.done("DELETE", WEB)  # the only change that is possible


def test_deletion_that_fails(google):
    google.create()
    google.done("DELETE", WEB, fault=BROKEN)
    assert google.cluster()["status"] == "ERROR"
    google.done("DELETE", WEB)
    assert google.refused("GET", WEB)[0] == 404


def test_change_that_fails_changes_nothing(google):
    google.create()
    google.done("POST", f"{WEB}:setResourceLabels", LABELS, fault=BROKEN)
    assert google.cluster()["status"] == "RUNNING"
    assert "resourceLabels" not in google.cluster()


def test_pool_that_cannot_be_made(google):
    google.create()
    body = {"nodePool": {"name": "more", "initialNodeCount": 1}}
    google.done("POST", POOLS, body, fault=BROKEN)
    assert google.cluster()["status"] == "RUNNING"
    pool = google.pool("more")
    assert (pool["status"], pool["conditions"][0]["message"]) == ("ERROR", "All is lost.")
    assert google.cluster()["currentNodeCount"] == 2
    google.done("DELETE", f"{POOLS}/more", fault=BROKEN)
    assert google.pool("more")["status"] == "ERROR"
    google.done("DELETE", f"{POOLS}/more")


def test_operation_that_never_ends(google):
    google.create()
    name = google.ok("POST", f"{POOLS}/main:setSize", {"nodeCount": 3}, fault=NEVER)["name"]
    google.wait(100_000)
    where = f"{ROOT}/operations/{name}"
    assert google.ok("GET", where)["status"] == "RUNNING"
    assert google.refused("DELETE", WEB)[0] == 400
    google.ok("POST", f"{where}:cancel", {})
    assert google.ok("GET", where)["status"] == "ABORTING"
    google.wait(1)
    assert google.ok("GET", where)["error"]["message"] == "Operation was aborted."
    google.done("DELETE", WEB)


def test_what_cannot_be_cancelled(google):
    google.create()
    name = google.ok("DELETE", WEB)["name"]
    where = f"{ROOT}/operations/{name}:cancel"
    assert "cannot be cancelled" in google.refused("POST", where, {})[1]
    google.wait()
    assert "already done" in google.refused("POST", where, {})[1]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[GCE_QUOTA_EXCEEDED]: no more", "GCE_QUOTA_EXCEEDED"),
        ("ZONE_RESOURCE_POOL_EXHAUSTED: no more", "GCE_STOCKOUT"),
    ],
)
def test_conditions(google, message, code):
    body = {"cluster": {"name": "web", "initialNodeCount": 1}}
    operation = google.done("POST", CLUSTERS, body, fault=OperationFault(message, 8))
    condition = operation["clusterConditions"][0]
    assert (condition["code"], condition["canonicalCode"]) == (code, "RESOURCE_EXHAUSTED")


def test_what_was_saved_goes_on(google):
    google.create()
    google.ok("POST", f"{POOLS}/main:setSize", {"nodeCount": 4})
    saved = json.loads(json.dumps(google.world.dump()))
    shown = google.cluster()
    google.world = World(google.clock, google.world.settings)
    google.world.load(saved)
    assert google.cluster() == shown
    google.wait()
    assert google.pool()["initialNodeCount"] == 4
    # Numbers continue as well, so that no name is used twice.
    google.ok("POST", f"{POOLS}/main:setSize", {"nodeCount": 2})
    names = [each["name"] for each in google.ok("GET", f"{ROOT}/operations")["operations"]]
    assert len(set(names)) == len(names) == 3
