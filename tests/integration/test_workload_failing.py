"""Failing releases: reported soon, with the pods' messages; the earlier release still serves."""

import contextlib
import json
import time

import pytest

from support.workload_play import OURS, SECRET, asking, playing

DENY = "nobody-may-say-denied"


@pytest.fixture
def play(cluster, tmp_path):
    with playing(cluster, tmp_path) as made:
        # The cluster, not the registry, is to detect a missing image.
        made.variables = {"workload_pin_digests": False, "workload_progress_deadline": 30}
        made.app("app", "one")
        yield made


@pytest.fixture
def refusing_policy(play):
    """A policy that refuses Deployments with the label `denied` in the namespace."""
    name = f"{play.namespace}-policy"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": play.namespace}
                },
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
            },
            "validations": [
                {"expression": "!('denied' in object.metadata.labels)", "message": DENY}
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    for document in (policy, binding):
        play.cluster.kubectl("create", "--filename=-", stdin=json.dumps(document))
    probe = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "probe", "labels": {"denied": ""}},
        "spec": {
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {
                "metadata": {"labels": {"app": "probe"}},
                "spec": {"containers": [{"name": "probe", "image": "none"}]},
            },
        },
    }
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                play.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(probe))
                time.sleep(0.2)
                continue
            break
        else:
            pytest.fail("the policy does not get active")
        yield
    finally:
        for document in (binding, policy):
            play.cluster.kubectl("delete", document["kind"], name)


def sentence(failure, name):
    """Return the message of a failed run about one workload."""
    parts = ("\n" + failure).split("\nWorkload ")
    return "\n".join(part for part in parts if part.startswith(f"{name} in "))


# Workload: parts of the run's message, each as the cluster reports it
BAD = {
    "crashing": ["cannot load the model: no such file"],
    "wrong-tag": ["no-such-image:v9", "not found"],
    "never-ready": ["503"],
    "no-room": ["Insufficient memory"],
    "over-quota": ["maximum cpu usage per Container is 300m"],
    "denied": [DENY],
    "wrong-answer": ['answered "three", expected "four"'],
}


@pytest.mark.usefixtures("refusing_policy")
def test_bad_releases_among_good_ones(play):
    for name in ("good", "better", *BAD):
        play.workload(name)
    play.workloads["crashing"] |= {"expose": "LoadBalancer", "service_port": 80, "replicas": 2}
    play.succeed()
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "300m"}}]},
    }
    play.kubectl("create", "--filename=-", stdin=json.dumps(limits))
    pods = {name: {one["metadata"]["uid"] for one in play.pods(name)} for name in BAD}

    play.app("new", "two")
    play.app("crash", "", image=play.image(kind="crash"))
    play.app("never", "", image=play.image(kind="never-ready"))
    play.app("nothing", "", image="no-such-image:v9")
    play.app("wrong", "four", image=play.image("three"))
    play.workloads["good"]["app"] = "new"
    play.workloads["better"]["environment"] = {"GREETING": "hello"}
    play.workloads["crashing"]["app"] = "crash"
    play.workloads["wrong-tag"]["app"] = "nothing"
    play.workloads["never-ready"]["app"] = "never"
    vast = {"memory": "900Gi"}
    play.workloads["no-room"]["resources"] = {"requests": vast, "limits": vast}
    play.workloads["over-quota"]["resources"] = {"limits": {"cpu": "400m"}}
    play.workloads["denied"]["labels"] = {"denied": "yes"}
    play.workloads["wrong-answer"]["app"] = "wrong"
    play.workload("first", "crash")
    with asking(play.address("crashing")) as answers:
        run = play.run()

    assert run.status != 0
    for name, words in BAD.items():
        said = sentence(run.failure, name)
        for word in words:
            assert word in said, run.failure
        assert f"{name} in {play.namespace} was rolled back to release 1, which serves" in said
        assert play.releases(name) == ["one"]
        assert play.answer(name) == "one"
    assert answers == {"one"}
    said = sentence(run.failure, "first")
    assert "cannot load the model: no such file" in said
    assert "no release of it was good so far, so there is none to go back to" in said
    assert not sentence(run.failure, "good")
    assert not sentence(run.failure, "better")
    assert play.answer("good") == "two"
    assert play.releases("good") == ["one", "two"]
    assert len(play.releases("better")) == 2

    # The pods that served before are still there.
    for name in set(BAD) - {"wrong-answer"}:
        assert pods[name] <= {one["metadata"]["uid"] for one in play.pods(name)}
    del play.workloads["first"]
    for name in BAD:
        play.workload(name)
    play.workloads["crashing"] |= {"expose": "LoadBalancer", "service_port": 80, "replicas": 2}
    play.settled()


def test_no_going_back_unless_wanted(play):
    play.workload("web")
    play.workload("controller", kind="ReplicationController", replicas=2)
    play.succeed()
    play.app("app", "two", image=play.image(kind="crash"))
    play.variables["workload_rollback"] = False
    failure = play.fail()
    assert "cannot load the model: no such file" in sentence(failure, "web")
    assert "cannot load the model: no such file" in sentence(failure, "controller")
    assert failure.endswith("Nothing was rolled back (workload_rollback is false).")
    assert "crash:test" in str(play.get("deployment", "web")["spec"])
    assert play.answer("web") == "one"
    assert play.answer("controller") == "one"

    # A manual rollback restores the last good release, the newest on record.
    play.succeed("--tags=rollback")
    for name in play.workloads:
        assert play.releases(name) == ["one"]
        assert play.answer(name) == "one"
    assert "crash:test" not in str(play.get("deployment,replicationcontroller"))
    assert len(play.pods("controller")) == 2


def test_the_check_alone_judges(play):
    play.workload("web")
    play.succeed()
    play.apps["app"]["checks"] = [{"path": "/", "expected_text": "two"}]
    message = play.refuse("--tags=check")
    assert message.startswith(f"Workload web in {play.namespace}: ")
    assert 'answered "one", expected "two"' in message
    # Check mode reports it, but does not fail.
    run = play.succeed("--tags=check", "--check")
    assert run.changed == []
    assert message.splitlines()[0] in "\n".join(run.messages)


def test_a_login_that_the_registry_refuses(play):
    play.workload("web")
    play.succeed()
    play.app("app", "two")
    play.variables["image_registry_password"] = play.cluster.password[::-1]
    failure = play.fail()
    assert "check IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD" in failure
    assert play.answer("web") == "one"

    # With digests, the registry is queried before anything is changed.
    play.variables["workload_pin_digests"] = True
    failure = play.refuse()
    assert play.cluster.registry in failure
    assert "IMAGE_REGISTRY_PASSWORD" in failure
    assert play.objects(selector=f"{OURS},app.kubernetes.io/instance=web") >= {"Deployment/web"}


def test_a_quota_that_refuses_the_login(play):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota"},
        "spec": {"hard": {"count/secrets": "0"}},
    }
    play.kubectl("create", "--filename=-", stdin=json.dumps(quota))
    play.kubectl(
        "wait", "resourcequota/quota", "--for=jsonpath={.status.used['count/secrets']}=0",
        "--timeout=60s",
    )  # fmt: skip
    play.workload("web")
    play.workload("other")
    elsewhere = f"{play.namespace}-own"
    play.workload("elsewhere", namespace=elsewhere)
    try:
        failure = play.fail()
        for name in ("web", "other"):
            said = sentence(failure, name)
            assert f"the cluster refused Secret {SECRET}: " in said
            assert "exceeded quota: quota" in said
            assert said.count("the cluster refused") == 1
        assert not sentence(failure, "elsewhere")
        assert play.answer("elsewhere", elsewhere) == "one"
    finally:
        play.cluster.kubectl("delete", "namespace", elsewhere, "--ignore-not-found")
