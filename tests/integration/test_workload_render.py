"""--tags render: the files are what the role applies; check mode applies nothing."""

import pytest
import yaml

from support.workload_play import playing


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        made.app("app", "one")
        made.workload(
            "web",
            expose="LoadBalancer",
            autoscale={"min_replicas": 2, "max_replicas": 3},
            disruption_budget={"min_available": 1},
            network_policy=True,
        )
        made.workload("old", kind="ReplicationController", namespace=f"{made.namespace}-own")
        try:
            yield made
        finally:
            cluster.kubectl("delete", "namespace", f"{made.namespace}-own", "--ignore-not-found")


def namespaces(play):
    found = play.cluster.get("namespaces")["items"]
    return {one["metadata"]["name"] for one in found}


def test_files_are_what_is_applied(play, tmp_path):
    own = f"{play.namespace}-own"
    folder = tmp_path / "rendered"
    play.variables["workload_render_folder"] = str(folder)
    play.mark()
    assert play.succeed("--tags=render", "--check").changed
    assert not folder.exists()
    run = play.succeed("--tags=render", "--diff")
    assert run.changed
    assert play.mutations(own) == []
    assert own not in namespaces(play)
    assert play.succeed("--tags=render").changed == []

    files = sorted(folder.iterdir())
    assert [path.name for path in files] == sorted(
        [f"{play.namespace}-web.yaml", f"{own}-old.yaml"]
    )
    text = "".join(path.read_text() for path in files)
    assert "kind: Secret" not in text
    assert play.cluster.password not in text + run.text
    play.cluster.kubectl("create", "namespace", own)
    for path in files:
        play.cluster.kubectl("apply", "--dry-run=server", f"--filename={path}")
    play.cluster.kubectl("delete", "namespace", own)

    play.succeed()
    documents = [one for path in files for one in yaml.safe_load_all(path.read_text())]
    assert {one["kind"] for one in documents} == {
        "Namespace", "Service", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget",
        "NetworkPolicy", "ReplicationController",
    }  # fmt: skip
    annotation = "docker-ml-api/configuration"
    for one in documents:
        metadata = one["metadata"]
        if metadata["name"] == play.namespace:
            continue  # it existed before
        inside = [f"--namespace={metadata['namespace']}"] if "namespace" in metadata else []
        live = play.cluster.get(one["kind"], metadata["name"], *inside)
        assert live["metadata"]["annotations"][annotation] == metadata["annotations"][annotation]
        if "namespace" not in metadata or one["kind"] == "Deployment":
            continue  # the file does not have an autoscaler's initial number of pods
        # Applying the file changes nothing.
        difference = play.cluster.kubectl(
            "apply", "--server-side", "--field-manager=docker-ml-api", "--filename=-",
            "--output=jsonpath={.metadata.generation}", *inside, stdin=yaml.safe_dump(one),
        )  # fmt: skip
        assert difference == str(live["metadata"].get("generation", ""))


def test_check_mode_tells_and_changes_nothing(play):
    own = f"{play.namespace}-own"
    play.mark()
    run = play.succeed("--tags=clusters,workloads,check", "--check", "--diff")
    assert run.changed == ["workload : Compare with what the cluster has"]
    told = str([item.get("diff") for _, item in run.items])
    for part in ("Deployment", "ReplicationController", "NetworkPolicy", own):
        assert part in told
    assert play.cluster.password not in run.text
    assert play.mutations(own) == []
    assert play.objects() == set()
    assert own not in namespaces(play)

    play.succeed()
    play.workloads["web"]["environment"] = {"GREETING": "good morning"}
    play.workloads["web"]["network_policy"] = False
    before = play.objects() | play.objects(own)
    play.mark()
    run = play.succeed("--tags=clusters,workloads,check", "--check", "--diff")
    assert run.changed == ["workload : Compare with what the cluster has"]
    told = str([item.get("diff") for _, item in run.items])
    assert "good morning" in told
    assert "NetworkPolicy" in told
    assert "ReplicationController" not in told
    assert play.mutations(own) == []
    assert play.objects() | play.objects(own) == before

    # An image that this run would have pushed first.
    play.app("app", "two", image="not-pushed-yet:v1")
    run = play.succeed("--check", "--diff")
    assert "not-pushed-yet:v1" in str([item.get("diff") for _, item in run.items])


def test_check_mode_of_a_teardown(play):
    play.succeed()
    own = f"{play.namespace}-own"
    before = play.objects() | play.objects(own)
    play.mark()
    run = play.succeed("--tags=teardown", "--check", "--diff")
    assert run.changed == ["workload : Remove the workloads, their load balancers and namespaces"]
    assert play.mutations(own) == []
    assert play.objects() | play.objects(own) == before
