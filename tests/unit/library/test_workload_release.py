"""Both modules of the history, against the real cluster."""

import concurrent.futures
import json

import pytest
import workload_release
import workload_release_info
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access
from ansible.module_utils.docker_ml_api.kubernetes import manifests, releases

from support import workload_examples
from support.api_server import Answer, refusal, serving
from support.run_module import run_module

LABELS = workload_examples.LABELS


@pytest.fixture
def namespace(cluster):
    with cluster.namespace() as name:
        yield name


def rendered(namespace, name="web", **options):
    """A workload as the module workload_manifests returns it, with the keys that count here."""
    given = workload_examples.workload(name=name, namespace=namespace, **options)
    (found,), _ = manifests.render(workload_examples.parameters(given))
    keys = ("name", "namespace", "configuration", "image", "objects", "checks")
    return {key: found[key] for key in keys}


class History:
    """The modules, on one cluster."""

    def __init__(self, cluster, capsys):
        self.cluster = cluster
        self.capsys = capsys

    def run(self, module, **options):
        return run_module(
            module,
            self.capsys,
            kubeconfig=str(self.cluster.kubeconfig),
            context=self.cluster.context,
            labels=LABELS,
            **options,
        )

    def record(self, *workloads, **options):
        answer = self.run(workload_release, workloads=list(workloads), **options)
        assert not answer.get("failed"), answer["msg"]
        return answer

    def numbers(self, *workloads, **options):
        """Record, and return (changed, release, previous) of the last workload."""
        answer = self.record(*workloads, **options)
        last = answer["workloads"][-1]
        return answer["changed"], last["release"], last["previous"]

    def info(self, *workloads):
        return self.run(workload_release_info, workloads=list(workloads))

    def names(self, namespace):
        found = self.cluster.get("configmaps", f"--namespace={namespace}")["items"]
        return sorted(one["metadata"]["name"] for one in found if "release" in str(one["metadata"]))


def requests(cluster, namespace):
    """Return the verbs of the modules' requests, without those of Kubernetes's controllers."""
    return [
        event["verb"]
        for event in cluster.audit(namespace)
        if (event.get("objectRef") or {}).get("namespace") == namespace
        and event.get("userAgent") == "docker-ml-api"
    ]


@pytest.fixture
def history(cluster, capsys):
    return History(cluster, capsys)


def test_a_history(history, namespace):
    a, b, c = (rendered(namespace, replicas=count) for count in (1, 2, 3))
    assert history.numbers(a) == (True, 1, None)
    assert history.numbers(a) == (False, 1, None)
    assert history.numbers(b) == (True, 2, 1)
    assert history.numbers(a) == (True, 3, 2)
    assert history.names(namespace) == ["web-release-2", "web-release-3"]
    assert history.numbers(c, limit=2) == (True, 4, 3)
    assert history.numbers(c, limit=2) == (False, 4, 3)
    assert history.names(namespace) == ["web-release-3", "web-release-4"]
    assert history.numbers(c, limit=1) == (True, 4, None)
    assert history.names(namespace) == ["web-release-4"]


def test_what_is_recorded(history, cluster, namespace):
    web = rendered(namespace)
    history.record(web)
    found = cluster.get("configmap", "web-release-1", f"--namespace={namespace}")
    assert found["immutable"] is True
    assert found["metadata"]["labels"] == {
        **LABELS,
        "app.kubernetes.io/instance": "web",
        "docker-ml-api/release": "1",
    }
    assert json.loads(found["data"].pop("objects")) == web["objects"]
    assert json.loads(found["data"].pop("checks")) == web["checks"]
    assert found["data"] == {key: web[key] for key in ("configuration", "image")}


def test_a_second_run_writes_nothing_and_reads_a_namespace_once(history, cluster, namespace):
    workloads = [rendered(namespace, name=f"web-{number}") for number in range(5)]
    history.record(*workloads)
    before = len(requests(cluster, namespace))
    assert not history.record(*workloads)["changed"]
    ours = requests(cluster, namespace)[before:]
    assert ours == ["list"]


def test_check_mode_and_diff(history, namespace):
    a, b = rendered(namespace, replicas=1), rendered(namespace, replicas=2)
    history.record(a)
    answer = history.record(b, rendered(namespace, name="new"), _ansible_check_mode=True)
    assert answer["changed"]
    assert [(one["release"], one["previous"]) for one in answer["workloads"]] == [(2, 1), (1, None)]
    before, after = answer["diff"]["before"], answer["diff"]["after"]
    where = f"{namespace}/web"
    assert before == {
        where: {"release": 1, "image": a["image"], "configuration": a["configuration"]}
    }
    assert after[where] == {
        "release": 2,
        "image": b["image"],
        "configuration": b["configuration"],
    }
    assert set(after) == {where, f"{namespace}/new"}
    assert history.names(namespace) == ["web-release-1"]
    assert "diff" not in history.record(a)


def test_a_number_that_is_somebody_elses(history, cluster, namespace):
    cluster.kubectl("create", "configmap", "web-release-1", f"--namespace={namespace}")
    web = rendered(namespace)
    assert history.numbers(web) == (True, 2, None)
    assert history.numbers(web) == (False, 2, None)


def test_runs_side_by_side(cluster, namespace):
    """Each run's release is recorded, under a different number."""
    access = {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context}
    workloads = [rendered(namespace, replicas=count) for count in range(1, 5)]

    def record(workload):
        recorder = workload_release.Recorder(
            cluster_access.connect(access), LABELS, limit=10, dry=False
        )
        return recorder.record(workload)["release"]

    with concurrent.futures.ThreadPoolExecutor(len(workloads)) as pool:
        numbers = list(pool.map(record, workloads * 2))
    found = cluster.get(
        "configmaps", f"--namespace={namespace}", "--selector=docker-ml-api/release"
    )
    known = {record.configuration for record in releases.of_workloads(found["items"])["web"]}
    assert known == {workload["configuration"] for workload in workloads}
    assert len(set(numbers[:4])) == 4


def test_another_run_was_quicker(history, cluster, namespace):
    """It recorded the same release after this one had read the existing records."""
    access = {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context}
    web = rendered(namespace)
    slow = workload_release.Recorder(cluster_access.connect(access), LABELS, limit=10, dry=False)
    slow.record(rendered(namespace, name="first"))
    history.record(web)
    assert slow.record(web)["release"] == 1
    assert history.names(namespace) == ["first-release-1", "web-release-1"]


def test_a_refusal_names_the_workload(history):
    web = rendered("no-such-namespace")
    answer = history.run(workload_release, workloads=[web])
    assert answer["failed"]
    assert answer["msg"] == (
        "Workload web in no-such-namespace: its release cannot be recorded: namespaces "
        '"no-such-namespace" not found.'
    )


def test_a_conflict_that_does_not_end(capsys):
    def answer(request):
        if request.method == "GET":
            return Answer({"items": []})
        return refusal(409, "AlreadyExists", "it exists")

    with serving(answer) as server:
        result = run_module(
            workload_release,
            capsys,
            kubeconfig=server.kubeconfig(),
            labels=LABELS,
            workloads=[rendered("n")],
        )
    assert "its release cannot be recorded: it exists." in result["msg"]
    tried = [
        request.body["metadata"]["name"] for request in server.requests if request.method == "POST"
    ]
    assert tried == [f"web-release-{number}" for number in range(1, 11)]


def test_no_history_at_all(history):
    answer = history.run(workload_release, workloads=[], limit=0)
    assert answer["msg"] == "limit must be 1 or more: the newest release stays."


def test_what_to_go_back_to(history, namespace):
    a, b = rendered(namespace, replicas=1), rendered(namespace, replicas=2)
    other = rendered(namespace, name="other")
    history.record(a, other)
    history.record(b)
    where = {"name": "web", "namespace": namespace}
    answer = history.info(
        where,
        {**where, "configuration": "sha256:failed"},
        {**where, "configuration": b["configuration"]},
        {**where, "name": "other"},
        {**where, "name": "unknown"},
    )
    assert not answer["changed"]
    assert [
        (one["newest"], one["previous"], one["target"], len(one["releases"]))
        for one in answer["workloads"]
    ] == [(2, 1, 1, 2), (2, 1, 2, 2), (2, 1, None, 2), (1, None, None, 1), (None, None, None, 0)]
    assert [
        (one["release"], one["replicas"], one["configuration"], one["objects"], one["checks"])
        for one in answer["targets"]
    ] == [
        (1, 1, a["configuration"], a["objects"], a["checks"]),
        (2, 2, b["configuration"], b["objects"], b["checks"]),
    ]
    assert [one["problem"] for one in answer["missing"]] == [
        (
            f"Workload web in {namespace}: what fails is release 2, which was good when it was "
            "recorded, so there is nothing newer to undo."
        ),
        f"Workload other in {namespace}: it has no earlier release to go back to.",
        (
            f"Workload unknown in {namespace}: no release of it was good so far, so there is none "
            "to go back to."
        ),
    ]


def controller(workload):
    """Return the controller of the workload's pods."""
    (found,) = [one for one in workload["objects"] if "template" in one["spec"]]
    return found


def test_what_runs_was_never_found_good(history, cluster, namespace):
    good, bad = rendered(namespace, replicas=1), rendered(namespace, replicas=0)
    history.record(rendered(namespace, replicas=5))
    history.record(good)
    where = {"name": "web", "namespace": namespace}
    for runs, target in ((good, 1), (bad, 2)):
        cluster.kubectl("apply", "--filename=-", stdin=json.dumps(controller(runs)))
        assert history.info(where)["workloads"][0]["target"] == target


def test_info_only_reads(history, cluster, namespace):
    before = len(requests(cluster, namespace))
    history.info({"name": "web", "namespace": namespace}, {"name": "b", "namespace": namespace})
    ours = requests(cluster, namespace)[before:]
    # The records, and both kinds of controllers.
    assert ours == ["list"] * 3


def test_a_damaged_record(history, cluster, namespace):
    made = releases.record(rendered(namespace), 1, LABELS)
    made["data"]["objects"] = "[]"
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(made))
    answer = history.info({"name": "web", "namespace": namespace, "configuration": "x"})
    assert answer["targets"] == []
    assert [one["problem"] for one in answer["missing"]] == [
        (
            f"Workload web in {namespace}: its release 1 cannot be used: its ConfigMap "
            "web-release-1 holds no Deployment or ReplicationController; delete that."
        )
    ]
