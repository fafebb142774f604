"""Wrong input: a sentence that says how to fix it, before anything is changed."""

import json

import pytest

from support.workload_play import playing


@pytest.fixture(scope="module")
def play(cluster, tmp_path_factory):
    with playing(cluster, tmp_path_factory.mktemp("play")) as made:
        made.app("app", "one")
        made.workload("web")
        yield made


@pytest.fixture(autouse=True)
def as_it_was(play):
    kept = json.dumps([play.apps, play.workloads, play.variables])
    yield
    play.apps, play.workloads, play.variables = json.loads(kept)


# Case: (the inventory's variables, parts of the message)
VARIABLES = {
    "no registry": ({"image_registry": ""}, ["image_registry is empty", "docker.io/ACCOUNT"]),
    "a password that is part of a name": (
        {"image_registry_password": "app"},
        ["image_registry_password", "IMAGE_REGISTRY_PASSWORD", "hides"],
    ),
    "no such kubeconfig": (
        {"kubernetes_kubeconfig": "/nonexistent/config"},
        ["/nonexistent/config", "kubeconfig"],
    ),
    "no such context": (
        {"kubernetes_context": "no-such-context"},
        ["no-such-context", "rehearsal", "context"],
    ),
    "not a namespace": (
        {"kubernetes_namespace": "Not A Name"},
        ["Not A Name", "namespace"],
    ),
    "no such kind": ({"workload_kind": "StatefulSet"}, ["workload_kind", "StatefulSet"]),
    "not a number": ({"workload_replicas": "many"}, ["workload_replicas", "many"]),
    "no such exposure": ({"workload_expose": "Ingress"}, ["workload_expose", "Ingress"]),
}
# Case: (the workload's options, parts of the message)
OPTIONS = {
    "no such app": ({"app": "nothing"}, ["web", "nothing"]),
    "an unknown key": ({"replica": 3}, ["replica"]),
    "not a name": ({"name": "Web_1"}, ["Web_1"]),
    "not a port": ({"service_port": 70000}, ["70000", "65535"]),
    "a minimum above the maximum": (
        {
            "autoscale": {"min_replicas": 3, "max_replicas": 2},
        },
        ["max_replicas"],
    ),
}


@pytest.mark.parametrize(("variables", "words"), VARIABLES.values(), ids=VARIABLES)
def test_variables(play, variables, words):
    play.variables |= variables
    check(play.refuse(), words)


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
def test_options_of_a_workload(play, options, words):
    play.workloads["web"] |= options
    check(play.refuse(), words)


def check(message, words):
    for word in words:
        assert word in message
    assert len(message) < 600, message
    assert "Traceback" not in message


def test_a_server_that_is_not_there(play, tmp_path):
    access = play.cluster.kubectl("config", "view", "--raw", "--output=json")
    config = json.loads(access)
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    play.variables["kubernetes_kubeconfig"] = str(path)
    for stage in ("clusters", "workloads", "check", "rollback", "teardown"):
        message = play.refuse(f"--tags={stage}")
        assert "127.0.0.1:1" in message
        assert len(message) < 600, message


def test_two_workloads_of_the_same_name(play):
    play.workloads["again"] = dict(play.workloads["web"])
    assert "web" in play.refuse()


def test_an_image_that_the_registry_lacks(play):
    play.app("app", "", image="no-such-image:v9")
    message = play.refuse()
    assert message.startswith(f"{play.cluster.registry} has no no-such-image:v9: push it first")


def test_objects_of_somebody_elses(play):
    play.kubectl("create", "service", "clusterip", "web", "--tcp=8080:80")
    play.kubectl("create", "deployment", "web", "--image=nowhere/web")
    before = play.kubectl("get", "service/web", "deployment/web", "--output=name")
    message = play.refuse()
    assert f"Service {play.namespace}/web" in message
    assert f"Deployment {play.namespace}/web" in message
    assert "workload_adopt" in message
    assert play.kubectl("get", "service/web", "deployment/web", "--output=name") == before

    # With this option they are adopted: our selector equals that of `kubectl create`.
    play.variables["workload_adopt"] = True
    play.succeed()
    assert play.answer("web") == "one"
    play.settled()
    play.succeed("--tags=teardown")
