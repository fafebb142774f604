"""What only the director of a rehearsal can do."""

import json

import pytest

from rehearsal.gke.call import Call, NotModelled, OperationFault
from rehearsal.gke.model import Settings, World
from support.google_client import CLUSTERS, ROOT, ZONE, Client

WEB = f"{CLUSTERS}/web"
MAIN = f"{WEB}/nodePools/main"


@pytest.fixture
def google():
    client = Client()
    client.create()
    return client


def test_google_gets_in_the_way_once(google):
    google.world.control(
        "intervene", {"method": r"nodePools\.delete$", "pool": "main", "seconds": 2}
    )
    google.ok("GET", MAIN)  # another method
    status, message = google.refused("DELETE", MAIN)
    assert (status, "Cluster is running incompatible operation" in message) == (400, True)
    running = google.ok("GET", f"{ROOT}/operations")["operations"][-1]
    assert (running["operationType"], running["name"] in message) == ("REPAIR_CLUSTER", True)
    assert google.cluster()["status"] == "RECONCILING"
    google.wait(2)
    google.done("DELETE", MAIN)


def test_google_gets_in_the_way_of_one_pool(google):
    google.done("POST", f"{WEB}/nodePools", {"nodePool": {"name": "b", "initialNodeCount": 1}})
    google.world.control("intervene", {"method": "setSize", "pool": "main", "count": 2})
    google.done("POST", f"{WEB}/nodePools/b:setSize", {"nodeCount": 2})
    for _ in range(2):
        assert google.refused("POST", f"{MAIN}:setSize", {"nodeCount": 3})[0] == 400
        google.wait()
    google.done("POST", f"{MAIN}:setSize", {"nodeCount": 3})


def test_an_intervention_is_not_spent_on_a_cluster_that_is_busy(google):
    google.world.control("busy", {"cluster": "web", "seconds": 5})
    google.world.control("intervene", {"method": "setSize"})
    assert google.refused("POST", f"{MAIN}:setSize", {"nodeCount": 3})[0] == 400
    google.wait()
    assert google.refused("POST", f"{MAIN}:setSize", {"nodeCount": 3})[0] == 400
    google.wait()
    google.done("POST", f"{MAIN}:setSize", {"nodeCount": 3})


def test_google_is_busy(google):
    started = google.world.control(
        "busy", {"cluster": f"{ZONE}/web", "seconds": 5, "type": "UPGRADE_MASTER"}
    )
    assert started["operation"] in google.refused("DELETE", WEB)[1]
    with pytest.raises(ValueError, match="is running already"):
        google.world.control("busy", {"cluster": "web"})
    google.wait(5)
    assert google.cluster()["status"] == "RUNNING"


def test_ends_what_never_ends(google):
    name = google.ok("POST", f"{MAIN}:setSize", {"nodeCount": 5}, fault=OperationFault())["name"]
    google.wait(10_000)
    google.world.control("end", {"operation": name})
    assert google.pool()["initialNodeCount"] == 5
    name = google.ok("POST", f"{MAIN}:setSize", {"nodeCount": 6}, fault=OperationFault())["name"]
    google.world.control("end", {"operation": name, "error": "Out of luck."})
    assert google.ok("GET", f"{ROOT}/operations/{name}")["error"]["message"] == "Out of luck."
    assert google.pool()["initialNodeCount"] == 5


def test_somebody_changes_things_by_hand(google):
    before = google.cluster()
    google.world.control(
        "change", {"cluster": "web", "changes": {"resourceLabels": {"by": "hand"}}}
    )
    google.world.control(
        "change",
        {
            "cluster": "web",
            "pool": "main",
            "changes": {"initialNodeCount": 7, "config": {"machineType": "e2-small"}},
        },
    )
    after = google.cluster()
    assert after["resourceLabels"] == {"by": "hand"}
    assert after["etag"] != before["etag"]
    assert after["currentNodeCount"] == 7
    assert after["nodePools"][0]["config"]["machineType"] == "e2-small"
    assert after["nodePools"][0]["config"]["diskSizeGb"] == 100


def test_settings_are_changed_and_saved(google):
    google.world.control("set", {"delete_seconds": 100.0})
    google.world.control("deny", {"permissions": ["container.clusters.update"]})
    saved = json.loads(json.dumps(google.world.dump()))
    google.world = World(google.clock, {"project": "acme"})
    google.world.load(saved)
    assert google.refused("DELETE", MAIN)[0] == 403
    google.world.control("allow", {})
    google.ok("DELETE", WEB)
    google.wait(99)
    assert google.cluster()["status"] == "STOPPING"
    google.wait(1)
    assert google.refused("GET", WEB)[0] == 404


def test_show(google):
    name = google.ok("POST", f"{MAIN}:setSize", {"nodeCount": 5})["name"]
    google.world.attach("web", "Volume", claim="data", uid="u")
    assert google.world.control("show", {}) == {
        "clusters": {f"{ZONE}/web": "RECONCILING"},
        "operations": [name],
        "compute": [f"disks/zones/{ZONE}/pvc-u"],
        "repositories": [],
        "kubernetes_unread": "",
    }


@pytest.mark.parametrize(
    ("action", "arguments", "words"),
    [
        ("dance", {}, "no such action: dance; there are allow, attach"),
        ("busy", {}, "cluster is missing"),
        ("busy", {"cluster": "none"}, f"no cluster none; there are {ZONE}/web"),
        ("busy", {"cluster": "web", "type": "CREATE_CLUSTER"}, "there are REPAIR_CLUSTER"),
        (
            "change",
            {"cluster": "web", "pool": "none", "changes": {}},
            "no pool none; there are main",
        ),
        ("change", {"cluster": "web"}, "changes is missing"),
        ("end", {"operation": "none"}, "no running operation none; there are none"),
        ("intervene", {"method": "("}, "no regular expression"),
        ("set", {"colour": "red"}, "no such setting: colour; there are ca_certificate"),
        ("show", {"colour": "red"}, "show takes no colour"),
        ("detach", {"cluster": "web", "object": "Service"}, "name is missing"),
    ],
)
def test_what_cannot_be_directed(google, action, arguments, words):
    with pytest.raises(ValueError, match="^.*" + words.replace("(", r"\(")):
        google.world.control(action, arguments)


def test_a_method_without_a_model(google):
    with pytest.raises(NotModelled):
        google.world.call(Call("container", "container.projects.nothing", {}, None, "x"))


def test_settings_of_whatever_form():
    settings = Settings(project="p")
    assert Settings.of(settings) is settings
    assert Settings.of(None) == Settings()
    assert World(Client().clock).settings.project == "rehearsal-project"
