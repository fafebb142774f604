"""Workloads through site.yml: the first run, the second, a change, a removal, drift."""

import json

import pytest

from support.workload_play import SECRET, ask, asking, playing

APPLY = "workload : Apply the objects"
PRUNE = "workload : Remove objects that are no longer part of a workload"
ROLL = "workload : Roll the replication controllers"
EXTRAS = {
    "HorizontalPodAutoscaler/full",
    "PodDisruptionBudget/full",
    "NetworkPolicy/full",
}
BASE = {
    "Deployment/full",
    "Service/full-http",
    "Deployment/plain",
    "Service/plain",
    "ReplicationController/old",
    "Service/old",
    f"Secret/{SECRET}",
}


def ask_for_everything(play):
    play.workload(
        "full",
        expose="LoadBalancer",
        service_name="full-http",
        service_port=80,
        autoscale={"min_replicas": 2, "max_replicas": 3},
        disruption_budget={"max_unavailable": 1},
        network_policy=True,
        labels={"env": "prod"},
        # Large enough that the requests of these tests do not cause scaling.
        resources={"requests": {"cpu": "150m"}},
    )


@pytest.fixture(scope="module")
def play(cluster, tmp_path_factory):
    with playing(cluster, tmp_path_factory.mktemp("play")) as made:
        made.app("app", "one")
        made.workload("plain")
        made.workload("old", kind="ReplicationController", replicas=2)
        ask_for_everything(made)
        assert made.succeed().changed == [APPLY]
        yield made


def without_releases(objects):
    return {one for one in objects if "-release-" not in one}


def test_what_the_first_run_made(play):
    assert without_releases(play.objects()) == BASE | EXTRAS
    assert {name: play.releases(name) for name in play.workloads} == {
        "plain": ["one"],
        "old": ["one"],
        "full": ["one"],
    }
    assert len(play.pods("old")) == 2
    for name in play.workloads:
        [status] = play.pods(name)[0]["status"]["containerStatuses"]
        assert status["ready"]
        # Pinned to the digest in the registry.
        image = play.pods(name)[0]["spec"]["containers"][0]["image"]
        assert image.partition("@")[2] == status["imageID"].partition("@")[2] != ""
    assert ask(play.address("full-http")) == "one"
    assert play.answer("plain") == "one"
    assert play.answer("old") == "one"
    # A foreign namespace is used unchanged.
    labels = play.cluster.get("namespace", play.namespace)["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": play.namespace}


def test_a_second_run_changes_nothing_and_sends_nothing(play):
    play.settled()
    pods = play.pod_names()
    run = play.succeed("--tags=clusters,workloads,check")
    assert run.changed == []
    assert play.pod_names() == pods
    [said] = [message for message in run.messages if "'checked'" in message]
    assert f"{play.address('full-http')} answered one" in said


def test_a_changed_value_changes_that_workload_alone(play):
    pods = play.pod_names()
    mine = {pod["metadata"]["name"] for pod in play.pods("plain")}
    number = len(play.releases("plain"))
    play.workloads["plain"]["environment"] = {"GREETING": "$(PORT) hello"}
    play.mark()
    run = play.succeed("--diff")
    assert run.changed == [APPLY]
    shown = str([item["diff"] for _, item in run.items if item.get("diff")])
    assert "$(PORT) hello" in shown
    assert "f:" not in shown
    newest = number + 1
    assert play.mutations() == [
        "patch deployments/plain",
        f"create configmaps/plain-release-{newest}",
    ]
    assert play.pod_names() & pods == pods - mine
    [pod] = play.pods("plain")
    greeting = play.kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", "echo $GREETING")
    assert greeting == "$(PORT) hello\n"
    play.settled()


def test_what_is_no_longer_asked_for_goes_away(play):
    play.workload("full", expose="LoadBalancer", service_name="full-http", service_port=80)
    run = play.succeed()
    assert sorted(run.changed) == [APPLY, *[PRUNE] * 3]
    assert without_releases(play.objects()) == BASE
    play.settled()

    ask_for_everything(play)
    assert play.succeed().changed == [APPLY]
    assert without_releases(play.objects()) == BASE | EXTRAS


def test_a_renamed_service_leaves_none_behind(play):
    play.workloads["plain"]["service_name"] = "renamed"
    play.succeed()
    assert "Service/renamed" in play.objects()
    assert "Service/plain" not in play.objects()
    del play.workloads["plain"]["service_name"]
    play.succeed()
    assert "Service/renamed" not in play.objects()
    play.settled()


def test_a_new_version_is_rolled_out_and_loses_no_answer(play):
    with asking(play.address("full-http")) as answers:
        play.app("app", "two")
        assert sorted(play.succeed().changed) == sorted([APPLY, ROLL])
    assert answers == {"one", "two"}
    for name in play.workloads:
        assert play.releases(name)[-1] == "two"
    assert play.answer("old") == "two"
    assert len(play.pods("old")) == 2
    play.settled()


def test_edits_by_hand_are_put_right(play):
    was = play.get("service", "plain")["spec"]
    play.kubectl("scale", "deployment/plain", "--replicas=3")
    play.kubectl("scale", "replicationcontroller/old", "--replicas=1")
    other = play.cluster.image("elsewhere", "elsewhere")
    play.kubectl("set", "image", "deployment/full", f"full={other}")
    play.kubectl("label", "service/plain", "app.kubernetes.io/name-", "app-")
    selector = {"spec": {"selector": {"app": "nobody"}}}
    play.kubectl("patch", "service", "plain", f"--patch={json.dumps(selector)}")
    play.kubectl("delete", "poddisruptionbudget", "full")
    play.kubectl("annotate", "deployment/plain", "somebody.example.com/note=stays")
    login = {"data": {".dockerconfigjson": "e30="}}
    play.kubectl("patch", "secret", SECRET, f"--patch={json.dumps(login)}")

    run = play.succeed()

    assert APPLY in run.changed
    assert len(play.pods("plain")) == 1
    assert len(play.pods("old")) == 2
    assert play.get("service", "plain")["spec"] == was
    assert play.get("service", "plain")["metadata"]["labels"]["app"] == "plain"
    assert "PodDisruptionBudget/full" in play.objects()
    assert other not in str(play.get("deployment", "full"))
    note = play.get("deployment", "plain")["metadata"]["annotations"]
    assert note["somebody.example.com/note"] == "stays"
    assert "auths" in play.kubectl(
        "get",
        "secret",
        SECRET,
        '--output=go-template={{index .data ".dockerconfigjson" | base64decode}}',
    )
    play.settled()


def test_the_autoscalers_number_stays(play):
    play.kubectl(
        "wait", "deployment/full", "--for=jsonpath={.spec.replicas}=2", "--timeout=60s"
    )  # fmt: skip
    play.workloads["full"]["environment"] = {"GREETING": "hello"}
    generation = play.get("deployment", "full")["metadata"]["generation"]
    play.succeed()
    after = play.get("deployment", "full")
    assert after["spec"]["replicas"] == 2
    # One change of the specification: the number did not have to be corrected afterwards.
    assert after["metadata"]["generation"] == generation + 1
    play.settled()
