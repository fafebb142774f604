"""A run that is killed at any point is completed by the next run."""

import pytest

from support.ansible_run import PLAYBOOK
from support.killed_run import kill_at
from support.workload_play import asking, playing


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        made.app("app", "one")
        made.workload("web", expose="LoadBalancer", service_port=80, replicas=2)
        made.workload("old", kind="ReplicationController", replicas=3)
        try:
            yield made
        finally:
            cluster.kubectl("delete", "namespace", f"{made.namespace}-own", "--ignore-not-found")


def test_killed_at_each_stage(play):
    play.workload("own", namespace=f"{play.namespace}-own")
    for task in ("Apply the objects", "Wait until the pods are ready"):
        kill_at([PLAYBOOK, *play.arguments()], f"[workload : {task}]", "")
    play.succeed()
    for name, count in {"web": 2, "old": 3}.items():
        assert len(play.pods(name)) == count
        assert play.answer(name) == "one"
    assert play.answer("own", f"{play.namespace}-own") == "one"
    play.settled()

    with asking(play.address("web")) as answers:
        play.app("app", "two")
        for task in (
            "Apply the objects",
            "Roll the replication controllers",
            "Ask every replica",
            "Record the releases that are good",
        ):
            kill_at([PLAYBOOK, *play.arguments()], f"[workload : {task}]", "")
        play.succeed()
    assert answers == {"one", "two"}
    for name, count in {"web": 2, "old": 3}.items():
        assert len(play.pods(name)) == count
        assert play.answer(name) == "two"
        assert play.releases(name)[-1] == "two"
    play.settled()

    del play.workloads["web"]["expose"]
    play.workloads["web"]["kind"] = "ReplicationController"
    prune = "Remove objects that are no longer part of a workload"
    kill_at([PLAYBOOK, *play.arguments()], f"[workload : {prune}]", "")
    play.succeed()
    assert "Deployment/web" not in play.objects()
    assert len(play.pods("web")) == 2
    play.settled()

    removal = "Remove the workloads, their load balancers and namespaces"
    kill_at([PLAYBOOK, *play.arguments("--tags=teardown")], f"[workload : {removal}]", "")
    play.succeed("--tags=teardown")
    assert play.objects() == set()
    assert play.succeed("--tags=teardown").changed == []


def test_killed_while_it_goes_back(play):
    play.succeed()
    play.app("app", "", image=play.image(kind="crash"))
    kill_at([PLAYBOOK, *play.arguments()], "[workload : Find the release before]", "")
    play.app("app", "one")
    play.succeed()
    for name in play.workloads:
        assert play.answer(name) == "one"
        assert play.releases(name) == ["one"]
    play.settled()
