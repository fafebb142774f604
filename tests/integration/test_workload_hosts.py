"""Two clusters in an inventory, and one name in two namespaces."""

import pytest

from support.workload_play import playing


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        made.app("app", "one")
        yield made


def test_two_clusters_and_a_limit(play):
    """The second host is the same cluster, with another namespace."""
    play.workload("web")
    play.workload("second")
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    with play.cluster.namespace(strict) as other:
        play.more_hosts["other"] = {
            "kubernetes_namespace": other,
            "cluster_workloads": ["web"],
            "workload_replicas": 2,
        }
        for workload in play.workloads.values():
            del workload["replicas"]
        play.variables["workload_replicas"] = 1

        play.succeed("--limit=other")
        assert play.objects() == set()
        assert len(play.pods("web", other)) == 2
        assert play.pods("second", other) == []

        play.succeed()
        assert len(play.pods("web")) == 1
        assert len(play.pods("second")) == 1
        assert play.answer("web", other) == "one"
        play.settled()

        # A problem of one cluster does not affect the other.
        play.more_hosts["other"]["image_registry_password"] = play.cluster.password[::-1]
        play.app("app", "two")
        message = play.fail()
        assert play.answer("web") == "two"
        assert play.answer("web", other) == "one"
        assert play.cluster.registry in message

        play.succeed("--tags=teardown", "--limit=kubernetes")
        assert play.objects() == set()
        assert play.answer("web", other) == "one"
        play.succeed("--tags=teardown")
        assert play.objects(other) == set()


def test_one_name_in_two_namespaces(play):
    with play.cluster.namespace() as other:
        play.app("another", "two")
        play.workload("web")
        play.workloads["elsewhere"] = {
            **play.workloads["web"],
            "namespace": other,
            "app": "another",
        }
        play.succeed()
        assert play.answer("web") == "one"
        assert play.answer("web", other) == "two"
        play.settled()

        # One of the two fails; the other is rolled out.
        play.app("app", "five")
        play.app("another", "", image=play.image(kind="crash"))
        message = play.fail()
        assert f"Workload web in {other}: " in message
        assert f"Workload web in {play.namespace}" not in message
        assert play.answer("web") == "five"
        assert play.answer("web", other) == "two"
        assert play.releases("web") == ["one", "five"]

        del play.workloads["web"]
        assert play.succeed("--tags=teardown").changed
        assert play.answer("web") == "five"
        assert play.objects(other) == set()


def test_of_a_cluster_that_nobody_described_those_are_asked_that_are_there(play):
    """As for clusters found by the inventory plugin; existing workloads must answer as usual."""
    play.workload("web")
    play.workload("gone")
    play.workload("unknown")
    play.succeed()
    del play.workloads["unknown"]
    play.kubectl("delete", "deployment", "gone")
    play.app("app", "another")

    check = "--tags=check", "-e", "workload_only_present=true"
    run = play.run(*check)
    assert run.status != 0
    [failure] = run.failure.splitlines()
    assert f"Workload web in {play.namespace}" in failure
    said = " ".join(run.messages)
    assert f"{play.namespace}/gone is not on kubernetes." in said
    assert f"{play.namespace}/unknown is on kubernetes, but not among the workloads" in said

    play.app("app", "one")
    # Even without a registry, since nothing is pulled.
    play.variables["image_registry"] = ""
    run = play.succeed(*check)
    [report] = [
        one["msg"]
        for name, one in run.tasks
        if name == "workload : Say what was checked" and "msg" in one
    ]
    [checked] = report["checked"]
    assert "web" in checked
    # Without the option, every workload of the inventory must exist.
    assert "gone" in play.fail("--tags=check", "-e", "workload_check_deadline=2")
