"""The module against a real cluster, while the endpoints are watched."""

import contextlib
import json
import threading

import pytest
import replication_controller_roll
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access
from ansible.module_utils.docker_ml_api.kubernetes import controller_roll
from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key

from support.api_server import refusal, serving
from support.run_module import run_module

LABEL = "docker-ml-api/template"
PROBE = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


class Rig:
    """One ReplicationController with its Service, in a separate namespace."""

    def __init__(self, cluster, capsys, namespace):
        self.cluster, self.capsys, self.namespace = cluster, capsys, namespace
        self.api = cluster_access.connect(
            {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context}
        )
        self.secret = cluster.pull_secret(namespace)

    def apply(self, template, image, replicas=2, name="web"):
        """Apply the controller with a template of this name, as the role would."""
        pod = {
            "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": self.secret}],
            "containers": [{"name": "web", "image": image, "readinessProbe": PROBE}],
        }
        labels = {"app": name, LABEL: template}
        document = {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"app": name},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }
        listed = {"apiVersion": "v1", "kind": "List", "items": [document, SERVICE]}
        self.cluster.kubectl(
            *("--namespace", self.namespace, "apply", "--server-side", "--force-conflicts"),
            *("--field-manager=docker-ml-api", "--filename=-"),
            stdin=json.dumps(listed),
        )

    def roll(self, replicas=2, **options):
        workload = {"name": "web", "namespace": self.namespace, "replicas": replicas}
        return run_module(
            replication_controller_roll,
            self.capsys,
            kubeconfig=str(self.cluster.kubeconfig),
            context=self.cluster.context,
            workloads=[{**workload, **options.pop("workload", {})}],
            **options,
        )

    def pods(self):
        """Return the template and the readiness of each pod that is not terminating."""
        return sorted(
            (pod["metadata"]["labels"][LABEL], state["status"])
            for pod in self.api.list("Pod", self.namespace)
            for state in pod["status"]["conditions"]
            if state["type"] == "Ready" and not pod["metadata"].get("deletionTimestamp")
        )

    def size(self):
        found = self.api.get("ReplicationController", self.namespace, "web")
        return found["spec"]["replicas"]

    def mutations(self):
        """Return the changes that the module made, from the API server's audit log."""
        return [
            event["verb"]
            for event in self.cluster.audit(self.namespace)
            if (event.get("objectRef") or {}).get("namespace") == self.namespace
            and event["userAgent"] == "docker-ml-api"
            and event["stage"] == "ResponseComplete"
            and event["verb"] not in ("get", "list", "watch")
        ]

    @contextlib.contextmanager
    def watching(self):
        """Yield a list of the numbers of ready endpoints that are seen meanwhile."""
        seen, over = [], threading.Event()
        own = cluster_access.connect(
            {"kubeconfig": str(self.cluster.kubeconfig), "context": self.cluster.context}
        )

        def look():
            while not over.is_set():
                slices = own.list("EndpointSlice", self.namespace)
                seen.append(
                    sum(
                        bool(endpoint["conditions"].get("ready"))
                        for one in slices
                        for endpoint in one["endpoints"] or []
                    )
                )
                over.wait(0.05)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


@pytest.fixture
def rig(cluster, capsys):
    with cluster.namespace() as namespace:
        yield Rig(cluster, capsys, namespace)


def test_a_release_a_bad_one_and_back(cluster, rig):
    good, crash = cluster.image("web"), cluster.image("crash")
    rig.apply("one", good)
    first = rig.roll()
    assert (first["changed"], first["workloads"][0]["steps"]) == (False, [])
    assert rig.pods() == [("one", "True")] * 2
    assert rig.mutations() == []

    rig.apply("two", good)
    planned = rig.roll(_ansible_check_mode=True)
    assert planned["changed"]
    (step,) = planned["workloads"][0]["steps"]
    assert step.startswith("replace one by one: web-")
    assert rig.mutations() == []
    with rig.watching() as seen:
        second = rig.roll()
    assert second["changed"]
    assert [step.partition(" web-")[0] for step in second["workloads"][0]["steps"]] == [
        *("scaled to 3", "deleted:", "marked for removal:", "scaled to 2")
    ]
    assert len(second["workloads"][0]["pods"]) == 2
    assert rig.pods() == [("two", "True")] * 2
    assert min(seen) >= 2

    # A bad release: the old pods continue to serve.
    rig.apply("bad", crash)
    with rig.watching() as seen:
        bad = rig.roll()
        (problem,) = bad["problems"]
        assert (bad["changed"], problem["cause"], problem["steps"]) == (
            *(True, "crash"),
            ["scaled to 3"],
        )
        assert "cannot load the model: no such file" in bad["msg"]
        # A second run reports the same and removes nothing.
        again = rig.roll()
        assert (again["changed"], again["problems"][0]["cause"]) == (False, "crash")
        # The previous release is restored without a new pod.
        rig.apply("two", good)
        back = rig.roll()
    assert not back.get("failed")
    assert rig.pods() == [("two", "True")] * 2
    assert min(seen) >= 2
    made = len(rig.mutations())
    assert not rig.roll()["changed"]
    assert not rig.roll(_ansible_check_mode=True)["changed"]
    assert len(rig.mutations()) == made


def test_a_first_release_that_is_bad_is_replaced(cluster, rig):
    rig.apply("bad", cluster.image("crash"), replicas=3)
    assert rig.roll(replicas=3)["problems"][0]["cause"] == "crash"
    rig.apply("good", cluster.image("web"), replicas=3)
    answer = rig.roll(replicas=3)
    assert not answer.get("failed"), answer["msg"]
    assert rig.pods() == [("good", "True")] * 3
    assert rig.size() == 3


def test_goes_on_where_it_was_stopped(cluster, rig):
    good = cluster.image("web")
    rig.apply("one", good, replicas=2)
    rig.roll()
    # The state after a roll that was killed after its first step; then fewer pods are wanted.
    rig.apply("two", good, replicas=3)
    with rig.watching() as seen:
        rig.roll(replicas=2)
        assert (rig.pods(), rig.size()) == ([("two", "True")] * 2, 2)
    assert min(seen) >= 2
    # An autoscaler's number is kept.
    rig.apply("three", good, replicas=2)
    answer = rig.roll(replicas=1, workload={"autoscaled": True})
    assert not answer.get("failed"), answer["msg"]
    assert (rig.pods(), rig.size()) == ([("three", "True")] * 2, 2)


def test_nothing_there(rig):
    answer = rig.roll()
    assert answer["msg"] == (
        f"Workload web in {rig.namespace}: there is no such ReplicationController: apply it first."
    )
    assert answer["problems"][0]["steps"] == []
    assert not rig.roll(_ansible_check_mode=True)["changed"]


def test_pods_that_are_gone_or_others(cluster, rig):
    rig.apply("one", cluster.image("web"), replicas=1)
    (name,) = rig.roll(replicas=1)["workloads"][0]["pods"]
    key = Key(rig.namespace, "web")
    others = ((name, "another-uid"), ("gone", "gone"))
    for step in (controller_roll.Delete(others), controller_roll.Mark(others)):
        replication_controller_roll.change(rig.api, key, step)
    pod = rig.api.get("Pod", rig.namespace, name)
    assert "deletionTimestamp" not in pod["metadata"]
    assert controller_roll.DELETION_COST not in pod["metadata"].get("annotations", {})


def test_a_change_that_is_forbidden():
    key, step = Key("default", "web"), controller_roll.Delete((("web-1", "uid"),))
    with serving(lambda _: refusal(403, "Forbidden", "no")) as server:
        api = cluster_access.connect({"kubeconfig": server.kubeconfig()})
        with pytest.raises(cluster_access.ApiError, match="no"):
            replication_controller_roll.change(api, key, step)
    assert server.requests[0].body["preconditions"] == {"uid": "uid"}
