import gke_cluster_update
import pytest

from support import documented
from support import gke_examples as examples


@pytest.fixture
def gke(tmp_path, capsys, monkeypatch):
    with examples.quick_google(tmp_path, capsys, monkeypatch) as made:
        with examples.on_google(made.google) as session:
            examples.make(session, examples.wanted())
        made.google.forget_requests()
        yield made


CHANGED = examples.options({"nodes": 3}, labels={"team": "ml"})


def test_one_after_the_other(gke):
    updates = gke.changes(CHANGED)["updates"]
    done = gke.update(updates)
    assert done["changed"]
    assert documented.result_differences(gke_cluster_update, done) == []
    assert [one["summary"] for one in done["updated"]] == [
        "labels.team: none → ml", "node_pools.main.nodes: 2 → 3"
    ]  # fmt: skip
    assert [one["call"] for one in done["updated"]] == [
        "clusters.setResourceLabels", "nodePools.setSize"
    ]  # fmt: skip
    assert all(one["operation"].startswith("operation-") for one in done["updated"])
    assert gke.calls() == ["clusters.setResourceLabels", "clusters.nodePools.setSize"]
    assert [(one["before"], one["after"]) for one in done["diff"]] == [
        ("", "labels.team: ml\n"),
        ("node_pools.main.nodes: 2\n", "node_pools.main.nodes: 3\n"),
    ]
    assert gke.changes(CHANGED)["updates"] == []


def test_check_mode(gke):
    updates = gke.changes(CHANGED)["updates"]
    done = gke.update(updates, _ansible_check_mode=True)
    assert done["changed"]
    assert done["updated"] == []
    assert len(done["diff"]) == 2
    assert not gke.update([])["changed"]
    assert gke.google.mutations() == []


def test_what_was_done_before_the_failure_stays(gke):
    updates = gke.changes(CHANGED)["updates"]
    gke.google.fault("operation-error", method="setSize", message="No machines.")
    answer = gke.run(
        "gke_cluster_update", name=examples.NAME, location=examples.LOCATION, updates=updates
    )
    assert answer["failed"]
    assert answer["msg"].startswith(
        "Node pool main of cluster hello-cluster (node_pools.main.nodes: 2 → 3): The operation "
    )
    assert "Google said: No machines." in answer["msg"]
    [left] = gke.changes(CHANGED)["updates"]
    assert left["call"] == "nodePools.setSize"
    gke.update([left])
    assert gke.changes(CHANGED)["updates"] == []


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"name": "nobody"}, "There is no cluster nobody in europe-west1-b of project"),
        ({"managed_by": "others"}, "that is not ours (it lacks the label managed-by: others)"),
    ],
    ids=["none", "somebody else's"],
)
def test_not_ours(gke, given, part):
    updates = gke.changes(CHANGED)["updates"]
    place = {"name": examples.NAME, "location": examples.LOCATION}
    answer = gke.run("gke_cluster_update", updates=updates, **{**place, **given})
    assert answer["failed"]
    assert part in answer["msg"]
    assert gke.google.mutations() == []
