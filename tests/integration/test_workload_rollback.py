"""--tags rollback: to the previous release, and back again."""

import pytest

from support.workload_play import playing

TEARDOWN = "--tags=teardown"


@pytest.fixture(scope="module")
def play(cluster, tmp_path_factory):
    with playing(cluster, tmp_path_factory.mktemp("play")) as made:
        yield made


@pytest.mark.parametrize("kind", ["Deployment", "ReplicationController"])
def test_back_and_forth(play, kind):
    play.workloads.clear()
    name = kind.lower()
    play.app("app", "one")
    play.workload(name, kind=kind, replicas=2)
    play.succeed()

    failure = play.refuse("--tags=rollback")
    assert failure == (
        f"Workload {name} in {play.namespace}: it has no earlier release to go back to."
    )

    # Each version is checked for its own answer.
    play.app("app", "two")
    play.workloads[name]["network_policy"] = True
    play.succeed()
    assert f"NetworkPolicy/{name}" in play.objects()

    run = play.succeed("--tags=rollback", "--check", "--diff")
    assert run.changed
    assert play.answer(name) == "two"

    run = play.succeed("--tags=rollback")
    assert run.changed
    assert play.answer(name) == "one"
    assert len(play.pods(name)) == 2
    assert play.releases(name) == ["two", "one"]
    assert f"NetworkPolicy/{name}" not in play.objects()

    play.succeed("--tags=rollback")
    assert play.answer(name) == "two"
    assert play.releases(name) == ["one", "two"]
    assert f"NetworkPolicy/{name}" in play.objects()
    play.settled()


def test_those_without_an_earlier_release_stay_and_are_named(play):
    play.workloads.clear()
    play.app("app", "three")
    play.workload("fresh")
    play.workload("known")
    play.succeed()
    play.app("other", "four")
    play.workloads["known"]["app"] = "other"
    play.succeed()
    run = play.succeed("--tags=rollback")
    assert play.answer("known") == "three"
    assert play.answer("fresh") == "three"
    assert any(
        f"Workload fresh in {play.namespace}: it has no earlier release to go back to." in message
        for message in run.messages
    )
