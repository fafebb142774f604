"""--tags teardown removes all objects of this project, and nothing else."""

import re

import pytest

from support.workload_play import ask, playing

REMOVE = "workload : Remove the workloads, their load balancers and namespaces"


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        made.app("app", "one")
        try:
            yield made
        finally:
            for suffix in ("own", "shared"):
                cluster.kubectl(
                    "delete", "namespace", f"{made.namespace}-{suffix}", "--ignore-not-found",
                    "--wait=false",
                )  # fmt: skip


def test_what_goes_and_what_stays(play):
    own, shared = f"{play.namespace}-own", f"{play.namespace}-shared"
    play.workload("web", expose="LoadBalancer", service_port=80)
    play.workload("other")
    play.workload("own", namespace=own, kind="ReplicationController", network_policy=True)
    play.workload("shared", namespace=shared)
    play.succeed()
    labels = play.cluster.get("namespace", own)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    address = play.address("web")
    assert ask(address) == "one"
    play.cluster.kubectl("create", "configmap", "somebodys", f"--namespace={shared}")
    play.kubectl("create", "configmap", "somebodys")

    # Only the workloads in the inventory.
    kept = play.workloads.pop("other")
    run = play.succeed("--tags=teardown")

    assert run.changed == [REMOVE]
    try:
        ask(address)
    except OSError as error:
        assert re.search("refused|timed out|No route", str(error))  # noqa: PT017 - or reused
    else:
        # The cluster reuses addresses, so another Service may answer there already.
        assert address in play.addresses()
    assert play.kubectl("get", "service", "web", "--ignore-not-found") == ""
    assert {one for one in play.objects() if "other" not in one} == {
        # The last workload that uses it still exists.
        "Secret/docker-ml-api-registry"
    }
    assert play.answer("other") == "one"
    assert play.cluster.kubectl("get", "namespace", own, "--ignore-not-found") == ""
    assert play.objects(shared) == set()
    assert play.pods("shared", shared) == []
    assert play.cluster.get("configmap", "somebodys", f"--namespace={shared}")
    said = "\n".join(run.messages)
    assert shared in said
    assert "somebodys" in said

    assert play.succeed("--tags=teardown").changed == []

    play.workloads = {"other": kept}
    assert play.succeed("--tags=teardown").changed == [REMOVE]
    assert play.objects() == set()
    assert play.get("configmap", "somebodys")
    # The namespace existed before the first run.
    assert play.cluster.get("namespace", play.namespace)["status"]["phase"] == "Active"

    # A new deployment works.
    play.succeed()
    assert play.answer("other") == "one"


def test_a_cluster_that_has_nothing(play):
    play.workload("web", namespace=f"{play.namespace}-own")
    assert play.succeed("--tags=teardown").changed == []
