"""Kinds of controllers and of Services, and changes between them."""

import pytest

from support.workload_play import asking, playing


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        made.app("app", "one")
        yield made


def test_from_one_kind_to_the_other_and_back(play):
    play.workload("web", expose="LoadBalancer", service_port=80, replicas=2)
    play.succeed()
    with asking(play.address("web")) as answers:
        for kind, other in (
            ("ReplicationController", "Deployment"),
            ("Deployment", "ReplicationController"),
        ):
            play.workloads["web"]["kind"] = kind
            play.succeed()
            assert f"{kind}/web" in play.objects()
            assert f"{other}/web" not in play.objects()
            pods = play.pods("web")
            assert len(pods) == 2
            [owner] = {one["metadata"]["ownerReferences"][0]["kind"] for one in pods}
            assert owner == {"Deployment": "ReplicaSet"}.get(kind, kind)
            play.settled()
    assert answers == {"one"}


def test_services_that_have_no_address(play):
    """A load balancer class without a controller stands for a cluster without load balancers."""
    play.workload("inside", expose="ClusterIP")
    play.workload("node", expose="NodePort")
    play.workload("outside", expose="LoadBalancer", load_balancer_class="example.com/none")
    run = play.succeed()
    [said] = [message for message in run.messages if "'checked'" in message]
    for name, kind in {
        "inside": "ClusterIP",
        "node": "NodePort",
        "outside": "LoadBalancer",
    }.items():
        assert play.get("service", name)["spec"]["type"] == kind
        [pod] = play.pods(name)
        assert pod["metadata"]["name"] in said
        assert f"port-forward service/{name} " in said
        assert play.releases(name) == ["one"]
    play.settled()


def test_a_change_of_the_services_type(play):
    play.workload("web", expose="LoadBalancer", service_port=80)
    play.succeed()
    assert play.address("web")
    for kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        play.workloads["web"]["expose"] = kind
        play.succeed()
        assert play.get("service", "web")["spec"]["type"] == kind
        assert bool(play.get("service", "web")["status"]["loadBalancer"]) == (
            kind == "LoadBalancer"
        )
    play.settled()
