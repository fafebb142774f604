"""The module against the real cluster, and against a test server for other answers."""

import contextlib
import json
import time

import pytest
import workload_absent
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access

from support.api_server import Answer, refusal, serving
from support.run_module import run_module

LABELS = {"app.kubernetes.io/managed-by": "docker-ml-api"}
FAIL_DELETE = "rehearsal.docker-ml-api/load-balancer-delete-error"
# Far longer than anything here takes: only a hang reaches it.
PATIENCE = 90


def labelled(kind, api_version, name, workload=None, **rest):
    labels = {**LABELS, "app.kubernetes.io/instance": workload or name}
    metadata = {"name": name, "labels": labels, **rest.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def objects(name, image=None, kind="ClusterIP", **service):
    """Return all objects that a workload can have; without an image it has no pods."""
    selector = {"app": name}
    pods = {
        "metadata": {
            "labels": {**LABELS, "app.kubernetes.io/instance": name, **selector},
        },
        "spec": {
            "containers": [{"name": name, "image": image or "none"}],
            "imagePullSecrets": [{"name": "login"}],
            "terminationGracePeriodSeconds": 5,
        },
    }
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    match = {"matchLabels": selector}
    return [
        labelled(
            "Service",
            "v1",
            f"{name}-lb",
            name,
            spec={"type": kind, "selector": selector, "ports": ports, **service.pop("spec", {})},
            **service,
        ),
        labelled(
            "Deployment",
            "apps/v1",
            name,
            spec={"replicas": 1 if image else 0, "selector": match, "template": pods},
        ),
        labelled(
            "ReplicationController",
            "v1",
            f"{name}-rc",
            name,
            spec={"replicas": 0, "selector": selector, "template": pods},
        ),
        labelled(
            "HorizontalPodAutoscaler",
            "autoscaling/v2",
            name,
            spec={"scaleTargetRef": target, "maxReplicas": 2},
        ),
        labelled("PodDisruptionBudget", "policy/v1", name, spec={"selector": match}),
        labelled("NetworkPolicy", "networking.k8s.io/v1", name, spec={"podSelector": match}),
        labelled("ConfigMap", "v1", f"{name}-release-1", name),
    ]


@pytest.fixture
def site(cluster, capsys):
    return Site(cluster, capsys)


class Site:
    """The module, on one cluster, and what it works on."""

    def __init__(self, cluster, capsys):
        self.cluster = cluster
        self.capsys = capsys

    def create(self, namespace, *documents):
        everything = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        text = json.dumps(everything)
        self.cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", stdin=text)

    def login(self, namespace):
        self.cluster.pull_secret(namespace, "login")
        pairs = [f"{key}={value}" for key, value in LABELS.items()]
        self.cluster.kubectl("label", "secret", "login", f"--namespace={namespace}", *pairs)

    def remove(self, *workloads, **options):
        """Run the module for (name, namespace) pairs."""
        return run_module(
            workload_absent,
            self.capsys,
            kubeconfig=str(self.cluster.kubeconfig),
            context=self.cluster.context,
            labels=LABELS,
            workloads=[{"name": name, "namespace": namespace} for name, namespace in workloads],
            **{"timeout": PATIENCE, **options},
        )

    def names(self, namespace, kinds="service,deployment,rc,hpa,pdb,networkpolicy,secret,pod"):
        found = self.cluster.get(kinds, f"--namespace={namespace}")["items"]
        return sorted(f"{one['kind']} {one['metadata']['name']}" for one in found)

    def is_there(self, namespace):
        return bool(self.cluster.kubectl("get", "ns", namespace, "--ignore-not-found"))

    def writes(self, namespace):
        """Return the changes that the module made in the namespace."""
        return [
            (event["verb"], event["objectRef"]["resource"])
            for event in self.cluster.audit(namespace)
            if (event.get("objectRef") or {}).get("namespace") == namespace
            and event["userAgent"] == "docker-ml-api"
            and event["verb"] not in {"get", "list", "watch"}
        ]

    def until(self, holds, what):
        end = time.monotonic() + PATIENCE
        while not (found := holds()):
            assert time.monotonic() < end, what
            time.sleep(0.2)
        return found

    def address(self, namespace, name):
        def ingress():
            status = self.cluster.get("service", name, f"--namespace={namespace}")["status"]
            return status["loadBalancer"].get("ingress")

        return self.until(ingress, f"{name} gets no address")[0]["ip"]


@pytest.fixture
def ours(cluster):
    with cluster.namespace(LABELS) as name:
        yield name


@pytest.fixture
def theirs(cluster):
    with cluster.namespace() as name:
        yield name


def test_all_of_it_goes(site, cluster, ours):
    image = cluster.image("web")
    site.login(ours)
    # One of the last: other tests get the first free one, and could get this one once released.
    address = "127.0.10.253"
    balancer = {"kind": "LoadBalancer", "spec": {"loadBalancerIP": address}}
    site.create(ours, *objects("web", image, **balancer))
    assert site.address(ours, "web-lb") == address
    cluster.kubectl("rollout", "status", "deployment/web", f"--namespace={ours}", "--timeout=90s")

    dry = site.remove(("web", ours), _ansible_check_mode=True)
    assert (dry["changed"], dry["kept"]) == (True, [])
    assert "Pod web" in " ".join(site.names(ours))

    before = len(site.writes(ours))
    answer = site.remove(("web", ours))
    assert not answer.get("failed"), answer
    assert (answer["changed"], answer["kept"]) == (True, [])
    assert (
        answer["removed"]
        == dry["removed"]
        == [
            f"Service {ours}/web-lb",
            f"HorizontalPodAutoscaler {ours}/web",
            f"PodDisruptionBudget {ours}/web",
            f"NetworkPolicy {ours}/web",
            f"Deployment {ours}/web",
            f"ReplicationController {ours}/web-rc",
            f"ConfigMap {ours}/web-release-1",
            f"Secret {ours}/login",
            f"Namespace {ours}",
        ]
    )
    assert answer["diff"]["before"].splitlines() == answer["removed"]
    assert len(site.writes(ours)) - before == 9
    assert not site.is_there(ours)

    # The address is available again: the load balancer is deleted.
    with cluster.namespace() as other:
        again = objects("again", **balancer)[0]
        site.create(other, again)
        assert site.address(other, "again-lb") == address
        site.create(other, labelled("ConfigMap", "v1", "x"))
        assert site.remove(("again", other))["removed"] == [f"Service {other}/again-lb"]


def test_a_second_run_only_reads(site, theirs):
    site.create(theirs, *objects("web"))
    assert site.remove(("web", theirs))["changed"]
    before = site.writes(theirs)
    answer = site.remove(("web", theirs), ("web", "no-such-namespace"))
    assert (answer["changed"], answer["removed"], answer["kept"]) == (False, [], [])
    assert "diff" not in answer
    assert site.writes(theirs) == before
    # Somebody else's namespace stays, although it is empty.
    assert site.is_there(theirs)


def test_one_of_two_workloads(site, ours):
    site.login(ours)
    site.create(ours, *objects("web"), *objects("other"))
    answer = site.remove(("web", ours))
    assert f"Secret {ours}/login" not in answer["removed"]
    assert len(answer["removed"]) == 7
    assert answer["kept"] == [
        (
            f"Namespace {ours} is left: it also holds ConfigMap other-release-1, Deployment "
            "other, HorizontalPodAutoscaler other, NetworkPolicy other and 3 more."
        )
    ]
    assert "Deployment other" in site.names(ours)
    answer = site.remove(("other", ours))
    assert answer["removed"][-2:] == [f"Secret {ours}/login", f"Namespace {ours}"]
    assert not site.is_there(ours)


def test_pods_that_lost_their_controller(site, cluster, ours):
    # A ReplicationController with the same selector would adopt them.
    documents = objects("web", cluster.image("web"))
    site.create(ours, *(one for one in documents if one["kind"] != "ReplicationController"))
    site.login(ours)
    cluster.kubectl("rollout", "status", "deployment/web", f"--namespace={ours}", "--timeout=90s")
    where = f"--namespace={ours}"
    cluster.kubectl("delete", "deployment", "web", where, "--cascade=orphan")
    cluster.kubectl("delete", "replicaset", "--all", where, "--cascade=orphan")
    result = site.remove(("web", ours))
    assert [name for name in result["removed"] if name.startswith(f"Pod {ours}/web-")]
    assert not cluster.kubectl("get", "ns", ours, "--ignore-not-found")


def test_what_is_somebody_elses_stays(site, cluster, ours):
    site.create(ours, *objects("web"))
    cluster.kubectl("create", "configmap", "notes", f"--namespace={ours}")
    answer = site.remove(("web", ours), _ansible_check_mode=True)
    expected = [f"Namespace {ours} is left: it also holds ConfigMap notes."]
    assert answer["kept"] == expected
    answer = site.remove(("web", ours))
    assert answer["kept"] == expected
    assert f"Service {ours}/web-lb" in answer["removed"]
    answer = site.remove(("web", ours))
    assert (answer["changed"], answer["kept"]) == (False, expected)
    cluster.kubectl("delete", "configmap", "notes", f"--namespace={ours}")
    assert site.remove(("web", ours))["removed"] == [f"Namespace {ours}"]


def test_the_same_name_by_somebody_else(site, cluster, ours):
    create = ("create", "deployment", "web", "--image=none", "--replicas=0")
    cluster.kubectl(*create, f"--namespace={ours}")
    site.create(ours, objects("web")[0])
    answer = site.remove(("web", ours))
    assert answer["removed"] == [f"Service {ours}/web-lb"]
    assert answer["kept"] == [
        f"Deployment web in {ours} is left: it does not carry this project's labels.",
        f"Namespace {ours} is left: it also holds Deployment web.",
    ]
    assert "Deployment web" in site.names(ours)


def test_a_load_balancer_that_does_not_go(site, cluster, ours):
    failing = {"metadata": {"annotations": {FAIL_DELETE: "the quota of operations is used up"}}}
    site.create(ours, objects("web", kind="LoadBalancer", **failing)[0])
    site.address(ours, "web-lb")
    answer = site.remove(("web", ours), timeout=3)
    assert answer["failed"]
    assert answer["changed"]
    assert answer["removed"] == [f"Service {ours}/web-lb"]
    (problem,) = answer["problems"]
    assert (problem["name"], problem["namespace"]) == ("web", ours)
    assert answer["msg"] == problem["problem"]
    assert problem["problem"].startswith(
        f"Workload web in {ours}: its Service web-lb is still there after 3 s: "
    )
    assert "the quota of operations is used up" in problem["problem"]
    # Its namespace is not deleted yet, or the reason could no longer be reported.
    assert "deletionTimestamp" not in cluster.get("namespace", ours)["metadata"]
    service = ("service", "web-lb", f"--namespace={ours}")
    cluster.kubectl("annotate", *service, f"{FAIL_DELETE}-")
    answer = site.remove(("web", ours))
    assert answer["changed"]
    assert answer["removed"] == [f"Namespace {ours}"]
    assert not site.is_there(ours)


def test_a_pod_that_does_not_go(site, cluster, theirs):
    pod = labelled(
        "Pod",
        "v1",
        "web-1",
        "web",
        metadata={"finalizers": ["example.com/hold"]},
        spec={"containers": [{"name": "web", "image": "none"}]},
    )
    site.create(theirs, pod)
    cluster.kubectl("delete", "pod", "web-1", f"--namespace={theirs}", "--wait=false")
    answer = site.remove(("web", theirs), timeout=0)
    assert answer["failed"]
    patch = '{"metadata": {"finalizers": null}}'
    cluster.kubectl("patch", "pod", "web-1", f"--namespace={theirs}", f"--patch={patch}")
    assert answer["msg"].startswith(
        f"Workload web in {theirs}: its Pod web-1 is still there after 0 s: "
    )
    assert not site.remove(("web", theirs)).get("failed")


def test_a_namespace_that_is_going(site, cluster, ours):
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    site.create(ours, labelled("ConfigMap", "v1", "held", **hold))
    cluster.kubectl("delete", "namespace", ours, "--wait=false")
    # Kubernetes takes some seconds until it reports what blocks the deletion.
    site.until(
        lambda: "example.com/hold" in str(cluster.get("namespace", ours)["status"]),
        "nothing is said to be in the way",
    )
    answer = site.remove(("web", ours), timeout=1)
    assert answer["failed"]
    assert answer["problems"][0]["name"] == ""
    assert answer["msg"].startswith(f"Namespace {ours} is still there after 1 s: ")
    assert "example.com/hold in 1 resource instances" in answer["msg"]
    patch = '{"metadata": {"finalizers": null}}'
    cluster.kubectl("patch", "configmap", "held", f"--namespace={ours}", f"--patch={patch}")
    answer = site.remove(("web", ours))
    assert not answer.get("failed")
    assert not site.is_there(ours)


def test_several_namespaces(site, cluster):
    with contextlib.ExitStack() as stack:
        names = [stack.enter_context(cluster.namespace(LABELS)) for _ in range(3)]
        for name in names:
            site.create(name, *objects("web"))
        answer = site.remove(*[("web", name) for name in names])
        assert [one for one in answer["removed"] if one.startswith("Namespace")] == [
            f"Namespace {name}" for name in sorted(names)
        ]
        assert not any(site.is_there(name) for name in names)


def test_unreachable(capsys):
    source = {"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c"}}]}
    source["clusters"] = [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]
    answer = run_module(
        workload_absent,
        capsys,
        kubeconfig=source,
        labels=LABELS,
        workloads=[{"name": "web", "namespace": "n"}],
    )
    assert answer["failed"]
    assert "cannot be reached at http://127.0.0.1:1" in answer["msg"]
    assert "problems" not in answer


# From here on: a server with scripted answers and an empty namespace `n` of ours.

NAMESPACE = {"kind": "Namespace", "metadata": {"name": "n", "uid": "u", "labels": LABELS}}
THINGS = {
    "metadata": {"name": "example.com"},
    "versions": [
        {
            "version": "v1",
            "resources": [
                {
                    "resource": "things",
                    "responseKind": {"kind": "Thing"},
                    "scope": "Namespaced",
                    "verbs": ["list"],
                }
            ],
        }
    ],
}


def scripted(**script):
    """Answer by the script's paths (slashes as double underscores); other lists are empty."""
    script = {key.replace("__", "/"): value for key, value in script.items()}

    def respond(request):
        path = request.path.removeprefix("/").replace(".", "_")
        if path in script and request.method == "GET":
            value = script[path]
            return value(request) if callable(value) else value
        if path == "api/v1/namespaces/n":
            return Answer(NAMESPACE)
        if path == "apis":
            return Answer({"items": [THINGS]})
        return Answer({"items": []})

    return serving(respond)


def teardown_of(server, dry=True, timeout=1):
    now = [0.0]
    connected = cluster_access.connect({"kubeconfig": server.kubeconfig()})
    made = workload_absent.Teardown(
        connected,
        LABELS,
        timeout,
        dry=dry,
        clock=lambda: now[0],
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
    )
    made.run([{"name": "web", "namespace": "n"}])
    return made


THINGS_PATH = "apis__example_com__v1__namespaces__n__things"


def test_an_empty_namespace():
    with scripted() as server:
        assert teardown_of(server).removed == ["Namespace n"]


@pytest.mark.parametrize("status", [404, 405])
def test_a_kind_that_cannot_be_listed_after_all(status):
    with scripted(**{THINGS_PATH: refusal(status, "MethodNotAllowed", "no")}) as server:
        assert teardown_of(server).removed == ["Namespace n"]


def test_a_kind_that_may_not_be_listed():
    said = 'things.example.com is forbidden: User "tom" cannot list resource "things"'
    with scripted(**{THINGS_PATH: refusal(403, "Forbidden", said)}) as server:
        made = teardown_of(server)
    assert made.removed == []
    assert made.kept == [f"Namespace n is left: whether it is empty cannot be known, since {said}."]


def test_a_kind_whose_list_fails():
    error = refusal(500, "InternalError", "etcd")
    with (
        scripted(**{THINGS_PATH: error}) as server,
        pytest.raises(cluster_access.ApiError, match="etcd"),
    ):
        teardown_of(server)


def test_an_api_that_does_not_answer():
    stale = {"metadata": {"name": "example.com"}}
    stale["versions"] = [{"version": "v1", "freshness": "Stale"}]
    with scripted(apis=Answer({"items": [stale]})) as server:
        made = teardown_of(server)
    assert made.kept == [
        (
            "Namespace n is left: whether it is empty cannot be known, since example.com/v1 does "
            "not answer."
        )
    ]


def test_long_lists_are_read_to_their_end():
    def page(request):
        if "continue" not in request.query:
            return Answer({"metadata": {"continue": "2"}, "items": []})
        return Answer({"items": [{"metadata": {"name": "last", "uid": "x"}}]})

    with scripted(**{THINGS_PATH: page}) as server:
        assert teardown_of(server).kept == ["Namespace n is left: it also holds Thing last."]


def test_secrets_are_not_read():
    with scripted() as server:
        teardown_of(server)
    things = [one for one in server.requests if one.path.endswith("/things")]
    assert "as=PartialObjectMetadataList" in things[0].headers["accept"]


def pod(**metadata):
    labels = {**LABELS, "app.kubernetes.io/instance": "web"}
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "n",
            "uid": "p",
            "labels": labels,
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            **metadata,
        }
    }


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (pod(finalizers=["a/b", "c"]), "it waits for a/b, c. See to that, and run"),
        (
            pod(),
            "nothing says why. Look with 'kubectl describe pod --namespace n web-1', and run",
        ),
    ],
)
def test_a_pod_that_stays(found, why):
    pods = Answer({"items": [found]})
    with scripted(api__v1__namespaces__n__pods=pods) as server:
        made = teardown_of(server, dry=False)
    assert [one["problem"] for one in made.problems] == [
        f"Workload web in n: its Pod web-1 is still there after 1 s: {why} the same command again."
    ]
    assert [one for one in server.requests if one.method == "DELETE"] == []


def test_a_namespace_that_stays_and_says_nothing():
    going = {"kind": "Namespace", "metadata": {**NAMESPACE["metadata"], "deletionTimestamp": "x"}}
    with scripted(api__v1__namespaces__n=Answer(going)) as server:
        made = teardown_of(server, dry=False)
    assert made.changed
    assert [one["problem"] for one in made.problems] == [
        (
            "Namespace n is still there after 1 s: nothing says why. Look with 'kubectl describe "
            "namespace n', and run the same command again."
        )
    ]


def test_deletions_are_of_what_was_seen():
    """An object that was recreated under the same name meanwhile stays."""
    with scripted() as server:
        teardown_of(server, dry=False)
    (deletion,) = [one for one in server.requests if one.method == "DELETE"]
    assert deletion.path == "/api/v1/namespaces/n"
    assert deletion.body["preconditions"] == {"uid": "u"}
