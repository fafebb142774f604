"""The Compute API: listing, getting and deleting resources, and the order that it requires."""

import pytest

from rehearsal.gke.call import OperationFault
from rehearsal.gke.model import compute
from support.google_client import CALLER, CLUSTERS, COMPUTE, PROJECT, ZONE, Client

REGION = f"{COMPUTE}/regions/europe-west1"
LINKS = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"


@pytest.fixture
def google():
    return Client()


def plant(google, collection, scope, **body):
    return google.world.control("plant", {"collection": collection, "scope": scope, "body": body})[
        "link"
    ]


def test_zones_regions_and_machine_types(google):
    zones = google.ok("GET", f"{COMPUTE}/zones")["items"]
    assert {"europe-west1-b", "us-central1-f"} <= {zone["name"] for zone in zones}
    one = google.ok("GET", f"{COMPUTE}/zones/{ZONE}")
    assert one == next(zone for zone in zones if zone["name"] == ZONE)
    assert one["region"] == f"{LINKS}/regions/europe-west1"
    some = google.ok("GET", f"{COMPUTE}/zones?filter=name+eq+europe-west1-.*")["items"]
    assert [zone["name"][-1] for zone in some] == ["b", "c", "d"]

    regions = google.ok("GET", f"{COMPUTE}/regions")["items"]
    assert google.ok("GET", REGION) in regions
    assert google.ok("GET", REGION)["zones"][0] == f"{LINKS}/zones/{ZONE}"

    machines = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/machineTypes")["items"]
    small = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/machineTypes/g1-small")
    assert small in machines
    assert (small["guestCpus"], small["memoryMb"]) == (1, 1740)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("zones/europe-west1-z", "zones/europe-west1-z"),
        ("regions/europe-west99", "regions/europe-west99"),
        ("regions/europe-west1-b/targetPools", "regions/europe-west1-b"),
        (f"zones/{ZONE}/machineTypes/e2-huge", f"zones/{ZONE}/machineTypes/e2-huge"),
        (f"zones/{ZONE}/disks/none", f"zones/{ZONE}/disks/none"),
        ("global/firewalls/none", "global/firewalls/none"),
        ("global/operations/none", "global/operations/none"),
    ],
)
def test_not_found(google, path, name):
    answer = google.call("GET", f"{COMPUTE}/{path}")
    assert answer.status == 404
    assert answer.body["error"]["message"] == (
        f"The resource 'projects/{PROJECT}/{name}' was not found"
    )
    assert answer.body["error"]["errors"][0]["reason"] == "notFound"


@pytest.mark.parametrize("resource", sorted(compute.RESOURCES))
def test_every_kind_of_resource(google, resource):
    """It can be listed, read and aggregated, and deleted if its kind allows it."""
    collection, kind = compute.RESOURCES[resource]
    scope = {"global": "global", "zones": f"zones/{ZONE}", "regions": "regions/europe-west1"}[kind]
    link = plant(google, collection, scope, name="thing", description="Somebody's.")
    where = f"{COMPUTE}/{scope}/{collection}"
    listed = google.ok("GET", where)
    assert [each["selfLink"] for each in listed["items"]] == [link]
    shown = google.ok("GET", f"{where}/thing")
    assert shown == listed["items"][0]
    assert shown["kind"] == f"compute#{compute.COLLECTIONS[collection]}"
    assert shown == google.ok("GET", f"{where}/{shown['id']}")
    if collection in compute.AGGREGATED:
        items = google.ok("GET", f"{COMPUTE}/aggregated/{collection}")["items"]
        assert items[scope][collection] == [shown]
        empty = [each for name, each in items.items() if name != scope]
        assert {each["warning"]["code"] for each in empty} == {"NO_RESULTS_ON_PAGE"}
    if collection in compute.NOT_DELETABLE:
        return
    operation = google.ok("DELETE", f"{where}/thing")
    assert (operation["operationType"], operation["targetLink"]) == ("delete", link)
    assert (operation["status"], operation["user"]) == ("PENDING", CALLER)
    assert google.refused("DELETE", f"{where}/thing")[0] == 400  # its deletion is in progress
    google.wait(0.3)
    where_it_runs = f"{COMPUTE}/{scope}/operations/{operation['name']}"
    assert google.ok("GET", where_it_runs)["status"] == "RUNNING"
    google.wait(0.3)
    done = google.ok("POST", f"{where_it_runs}/wait")
    assert (done["status"], done["progress"]) == ("DONE", 100)
    assert google.ok("GET", f"{COMPUTE}/{scope}/operations")["items"] == [done]
    assert google.refused("GET", f"{where}/thing")[0] == 404


def test_pages_of_lists():
    google = Client(page_size=2)
    for number in range(5):
        plant(google, "disks", f"zones/{ZONE}", name=f"d{number}")

    def pages(path):
        token, found = "", []
        while True:
            answer = google.ok("GET", f"{path}{token}")
            found.append(answer)
            if "nextPageToken" not in answer:
                return found
            token = f"?pageToken={answer['nextPageToken']}"

    listed = pages(f"{COMPUTE}/zones/{ZONE}/disks")
    assert [len(page["items"]) for page in listed] == [2, 2, 1]
    aggregated = pages(f"{COMPUTE}/aggregated/disks")
    names = [
        disk["name"]
        for page in aggregated
        for scope in page["items"].values()
        for disk in scope.get("disks", [])
    ]
    assert names == [f"d{number}" for number in range(5)]


def test_filter_of_an_aggregated_list(google):
    plant(google, "disks", f"zones/{ZONE}", name="a", labels={"team": "ml"})
    plant(google, "disks", f"zones/{ZONE}", name="b")
    items = google.ok("GET", f"{COMPUTE}/aggregated/disks?filter=labels.team+%3D+ml")["items"]
    assert [disk["name"] for disk in items[f"zones/{ZONE}"]["disks"]] == ["a"]


def test_what_is_in_use_cannot_be_deleted(google):
    check = plant(google, "httpHealthChecks", "global", name="check")
    pool = plant(google, "targetPools", "regions/europe-west1", name="pool", healthChecks=[check])
    plant(
        google,
        "forwardingRules",
        "regions/europe-west1",
        name="front",
        target=pool,
        IPAddress="203.0.113.7",
    )
    plant(google, "addresses", "regions/europe-west1", name="ip", address="203.0.113.7")
    answer = google.call("DELETE", f"{REGION}/targetPools/pool")
    assert answer.status == 400
    assert answer.body["error"]["errors"][0]["reason"] == "resourceInUseByAnotherResource"
    assert answer.body["error"]["message"] == (
        f"The target_pool resource 'projects/{PROJECT}/regions/europe-west1/targetPools/pool' is "
        f"already being used by 'projects/{PROJECT}/regions/europe-west1/forwardingRules/front'"
    )
    address = google.ok("GET", f"{REGION}/addresses/ip")
    assert (address["status"], address["users"]) == (
        "IN_USE",
        [f"{LINKS}/regions/europe-west1/forwardingRules/front"],
    )
    for path in (
        "regions/europe-west1/addresses/ip",
        "global/httpHealthChecks/check",
        "regions/europe-west1/targetPools/pool",
    ):
        assert google.refused("DELETE", f"{COMPUTE}/{path}")[0] == 400
    for path in (
        "regions/europe-west1/forwardingRules/front",
        "regions/europe-west1/targetPools/pool",
        "global/httpHealthChecks/check",
        "regions/europe-west1/addresses/ip",
    ):
        google.ok("DELETE", f"{COMPUTE}/{path}")
        google.wait()
    assert google.world.control("show", {})["compute"] == []


def test_deletion_that_fails_or_never_ends(google):
    plant(google, "disks", f"zones/{ZONE}", name="d")
    where = f"{COMPUTE}/zones/{ZONE}/disks/d"
    failed = google.ok("DELETE", where, fault=OperationFault("The disk is broken."))
    google.wait()
    shown = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/operations/{failed['name']}")
    assert shown["status"] == "DONE"
    assert shown["error"]["errors"][0]["message"] == "The disk is broken."
    assert shown["httpErrorStatusCode"] == 500
    never = google.ok("DELETE", where, fault=OperationFault())
    google.wait(100_000)
    shown = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/operations/{never['name']}")
    assert shown["status"] == "RUNNING"
    assert google.ok("GET", where)["name"] == "d"


def test_what_comes_and_goes_with_a_cluster(google):
    cluster = google.create(resourceLabels={"managed-by": "us"})
    group = cluster["instanceGroupUrls"][0].partition(PROJECT)[2]
    manager = google.ok("GET", f"{COMPUTE}{group}")
    assert manager["targetSize"] == 2
    assert manager["status"]["isStable"] is True
    instances = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/instanceGroups/{manager['name']}")
    assert instances["size"] == 2
    assert instances["selfLink"] == manager["instanceGroup"]

    disks = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/disks")["items"]
    assert len(disks) == 2
    labels = disks[0]["labels"]
    assert labels["goog-k8s-cluster-name"] == "web"
    assert labels["goog-k8s-cluster-location"] == ZONE
    assert labels["managed-by"] == "us"
    status, message = google.refused("DELETE", f"{COMPUTE}/zones/{ZONE}/disks/{disks[0]['name']}")
    assert (status, "/instances/" in message) == (400, True)

    rules = google.ok("GET", f"{COMPUTE}/global/firewalls")["items"]
    tag = f"gke-web-{cluster['id'][:8]}"
    assert {rule["name"] for rule in rules} == {
        f"{tag}-{suffix}" for suffix in ("all", "exkubelet", "inkubelet", "vms")
    }
    assert {each for rule in rules for each in rule["targetTags"]} == {f"{tag}-node"}
    rule = f"{COMPUTE}/global/firewalls/{tag}-all"
    assert "Kubernetes Engine" in google.refused("DELETE", rule)[1]

    google.done("POST", f"{CLUSTERS}/web/nodePools/main:setSize", {"nodeCount": 3})
    assert google.ok("GET", f"{COMPUTE}{group}")["targetSize"] == 3

    google.done("DELETE", f"{CLUSTERS}/web")
    for path in (f"zones/{ZONE}/disks", f"zones/{ZONE}/instanceGroups", "global/firewalls"):
        assert "items" not in google.ok("GET", f"{COMPUTE}/{path}")


def test_a_cluster_that_is_being_made_has_nothing_yet(google):
    google.ok("POST", CLUSTERS, {"cluster": {"name": "web", "initialNodeCount": 1}})
    assert "items" not in google.ok("GET", f"{COMPUTE}/global/firewalls")
    assert "items" not in google.ok("GET", f"{COMPUTE}/zones/{ZONE}/instanceGroupManagers")


@pytest.mark.parametrize(
    ("collection", "scope", "body", "words"),
    [
        ("gates", "global", {"name": "a"}, "collections are"),
        ("firewalls", f"zones/{ZONE}", {"name": "a"}, "its scopes are global"),
        ("disks", "zones/nowhere-1-a", {"name": "a"}, "disks cannot be in zones/nowhere-1-a"),
        ("disks", f"zones/{ZONE}", {}, "needs a name"),
    ],
)
def test_what_cannot_be_planted(google, collection, scope, body, words):
    with pytest.raises(ValueError, match=words):
        plant(google, collection, scope, **({"description": "x"} | body))
