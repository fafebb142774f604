"""docs/gke.md is right about changes in place, required permissions and messages."""

import re

import pytest
from ansible.module_utils.docker_ml_api.gke import attribution, cluster_options

from rehearsal.gke.clock import StandingClock
from support import ROOT, gke_double, gke_examples
from support.documents import Document, words_of

DOCUMENT = Document(ROOT / "docs/gke.md")
# For each option, a value that differs from the live cluster's.
CLUSTER = {
    "mode": "autopilot",
    "release_channel": "RAPID",
    "kubernetes_version": "1.99",
    "network": "research",
    "subnetwork": "research",
    "pod_range": "10.99.0.0/16",
    "service_range": "10.98.0.0/20",
    "locations": ["europe-west1-b", "europe-west1-c"],
    "private_nodes": False,
    "private_endpoint": True,
    "control_plane_range": "172.16.99.0/28",
    "authorized_networks": [{"cidr": "203.0.113.0/24", "name": ""}],
    "workload_identity": False,
    "shielded_nodes": False,
    "maintenance_window": {"start": "03:00", "duration": None, "recurrence": None},
    "logging": ["SYSTEM_COMPONENTS"],
    "monitoring": ["SYSTEM_COMPONENTS", "POD"],
    "labels": {"team": "science"},
    "ttl": "8h",
    "deletion_protection": True,
}
POOL = {
    "machine_type": "e2-medium",
    "nodes": 5,
    "locations": ["europe-west1-c"],
    "autoscaling": {"min": 1, "max": 5},
    "disk_type": "pd-ssd",
    "disk_size_gb": 99,
    "image_type": "UBUNTU_CONTAINERD",
    "spot": True,
    "service_account": "nodes@somewhere.iam.gserviceaccount.com",
    "oauth_scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    "labels": {"team": "science"},
    "taints": [{"key": "batch", "value": "true", "effect": "NoSchedule"}],
    "tags": ["batch"],
    "secure_boot": False,
    "integrity_monitoring": False,
    "auto_repair": False,
    "auto_upgrade": False,
    "upgrade": {"strategy": "BLUE_GREEN", "max_surge": 1, "max_unavailable": 0, "soak_seconds": 9},
}
# Options of the live cluster that allow the control plane's range to differ.
LIVE = {"private_nodes": True, "control_plane_range": "172.16.0.0/28"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Yield a function that returns which options of a cluster change in place or are refused."""
    folder = tmp_path_factory.mktemp("gke-document")
    with (
        gke_double.running(folder, clock=StandingClock()) as google,
        pytest.MonkeyPatch.context() as patch,
    ):
        for key, value in google.environment.items():
            patch.setenv(key, value)
        with gke_examples.on_google(google) as session:
            gke_examples.make(session, gke_examples.wanted(**LIVE))

            def compare(cluster):
                plan = gke_examples.plan(session, cluster)
                fields = [field for call in plan["updates"] for field in call["fields"]]
                return {
                    "in place": {_option(one["path"]) for one in fields},
                    "refused": {_option(one["path"]) for one in plan["refused"]},
                }

            yield compare


def _option(path):
    return path.removeprefix("node_pools.main.").partition(".")[0]


def _documented(what):
    """Return the options in a row of the table: those that change in place, and the others."""
    rows = {row[0]: row[1:] for row in DOCUMENT.rows("What can change later")}
    in_place, refused = ([re.sub(r" .*", "", one) for one in words_of(cell)] for cell in rows[what])
    return set(in_place), set(refused)


def test_nothing_differs_without_a_change(compared):
    assert compared(gke_examples.wanted(**LIVE)) == {"in place": set(), "refused": set()}


@pytest.mark.parametrize("name", CLUSTER)
def test_option_of_a_cluster(compared, name):
    in_place, refused = _documented("cluster")
    cluster = {**gke_examples.wanted(**LIVE), name: CLUSTER[name]}
    if name == "mode":
        cluster["node_pools"] = []
    # The options deletion_protection and ttl are stored in labels.
    shown = "labels" if name in {"deletion_protection", "ttl"} else name
    found = compared(cluster)
    assert (name in in_place, name in refused) == (
        shown in found["in place"],
        shown in found["refused"],
    )
    assert found["in place"] | found["refused"]


@pytest.mark.parametrize("name", POOL)
def test_option_of_a_pool(compared, name):
    in_place, refused = _documented("node pool")
    cluster = gke_examples.wanted(**LIVE)
    cluster["node_pools"][0][name] = POOL[name]
    found = compared(cluster)
    assert (name in in_place, name in refused) == (
        name in found["in place"],
        name in found["refused"],
    )
    assert found["in place"] | found["refused"]


def test_every_option_is_documented():
    options = cluster_options.ARGUMENTS["cluster"]["options"]
    pool = options["node_pools"]["options"]
    assert set.union(*_documented("cluster")) == set(options) - {"name", "location", "node_pools"}
    assert set.union(*_documented("node pool")) == set(pool) - {"name"}
    assert set(CLUSTER) == set(options) - {"name", "location", "node_pools"}
    assert set(POOL) == set(pool) - {"name"}


def test_permissions_to_find_leftovers():
    rows = {row[0]: row for row in DOCUMENT.rows("What the login must be allowed to do")}
    _, role, permissions = rows["to find leftovers, to count nodes"]
    named = [one.removeprefix("compute.") for one in words_of(permissions)]
    kinds = {kind.collection for kind in attribution.KINDS}
    assert words_of(role) == ["roles/compute.viewer"]
    assert set(named) - {"list", "instanceGroupManagers.get"} == kinds


def test_what_is_read_is_what_is_said():
    sources = [
        *(ROOT / "library").glob("*.py"),
        *(ROOT / "module_utils").rglob("*.py"),
        *(ROOT / "roles").rglob("*.yml"),
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    # Sentences continue on the next line: in Python in another string, in YAML folded.
    text = " ".join(re.sub(r'"\s*\n\s*f?"', "", text).split())
    messages = [
        part.strip()
        for cell, _ in DOCUMENT.rows("When something goes wrong")
        if cell.startswith("`")
        for part in cell.strip("`").split("…")
    ]
    assert len(messages) > 15
    assert [one for one in messages if one not in text] == []
