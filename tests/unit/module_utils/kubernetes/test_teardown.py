import pytest
from ansible.module_utils.docker_ml_api.kubernetes import teardown
from ansible.module_utils.docker_ml_api.kubernetes.teardown import Resource

LABELS = {"app.kubernetes.io/managed-by": "docker-ml-api"}


def item(name, workload=None, ours=True, **metadata):
    labels = {**(LABELS if ours else {"app.kubernetes.io/managed-by": "helm"})}
    if workload:
        labels[teardown.INSTANCE] = workload
    return {"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels, **metadata}}


GOING = {"deletionTimestamp": "2026-11-22T19:00:00Z"}
BARE = {"metadata": {"name": "web"}}


def plan(names=("web",), secrets=(), **found):
    """The plan for a namespace, as names of objects."""
    everything = {kind: found.get(kind, []) for kind in teardown.KINDS}
    result = teardown.plan(everything, secrets, set(names), LABELS)
    return tuple(
        [one["metadata"]["name"] for one in objects]
        for objects in (result.remove, result.going, result.foreign)
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, ([], [], [])),
        # Services go first, records last.
        (
            {
                "ConfigMap": [item("web-release-1", "web")],
                "Deployment": [item("web", "web")],
                "HorizontalPodAutoscaler": [item("scaler", "web")],
                "Service": [item("web-lb", "web")],
            },
            (["web-lb", "scaler", "web", "web-release-1"], [], []),
        ),
        # Another workload's object, and one that is not ours.
        ({"Service": [item("a", "other"), item("b", "web", ours=False)]}, ([], [], [])),
        # What is being deleted is not deleted again.
        ({"Service": [item("web", "web", **GOING)]}, ([], ["web"], [])),
        # The name alone does not make it ours.
        ({"Deployment": [item("web", ours=False), BARE]}, ([], [], ["web", "web"])),
        ({"ReplicationController": [item("web", "web", ours=False)]}, ([], [], ["web"])),
        # Our label without a workload's name: it does not belong to this workload.
        ({"Service": [item("web")]}, ([], [], [])),
    ],
)
def test_plans(found, expected):
    assert plan(**found) == expected


LOGIN = {**item("login"), "type": "kubernetes.io/dockerconfigjson"}


@pytest.mark.parametrize(
    ("found", "secrets", "removed", "going"),
    [
        ({}, [LOGIN], ["login"], []),
        ({"Deployment": [item("web", "web")]}, [LOGIN], ["web", "login"], []),
        ({"Deployment": [item("other", "other")]}, [LOGIN], [], []),
        ({"ReplicationController": [item("other", "other")]}, [LOGIN], [], []),
        ({"Deployment": [item("other", "other", ours=False)]}, [LOGIN], ["login"], []),
        ({}, [{**item("login", **GOING), "type": LOGIN["type"]}], [], ["login"]),
        ({}, [{**item("opaque"), "type": "Opaque"}], [], []),
        ({}, [{**item("login", "other"), "type": LOGIN["type"]}], [], []),
    ],
)
def test_the_login_goes_with_the_last_workload(found, secrets, removed, going):
    assert plan(secrets=secrets, **found)[:2] == (removed, going)


def discovered(group, **versions):
    """Return one group as in the API server's discovery."""
    return {
        "metadata": {"name": group} if group else {},
        "versions": [{"version": version, **content} for version, content in versions.items()],
    }


def resource(plural, kind, scope="Namespaced", verbs=("list", "get")):
    return {
        "resource": plural,
        "responseKind": {"kind": kind},
        "scope": scope,
        "verbs": list(verbs),
    }


def test_what_can_be_in_a_namespace():
    core = [
        resource("pods", "Pod"),
        resource("nodes", "Node", scope="Cluster"),
        resource("bindings", "Binding", verbs=["create"]),
        resource("events", "Event"),
        resource("endpoints", "Endpoints"),
    ]
    scalers = [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler")]
    old = [resource("cronjobs", "CronJob"), resource("jobs", "Job")]
    groups = [
        discovered("autoscaling", v2={"resources": scalers}, v1={"resources": scalers}),
        discovered(
            "batch", v1={"resources": [resource("jobs", "Job")]}, v1beta1={"resources": old}
        ),
        discovered("events.k8s.io", v1={"resources": [resource("events", "Event")]}),
        discovered("coordination.k8s.io", v1={"resources": [resource("leases", "Lease")]}),
        discovered("discovery.k8s.io", v1={"resources": [resource("endpointslices", "E")]}),
        discovered("metrics.k8s.io", v1={"freshness": "Stale", "resources": None}),
        discovered("example.com", v1={"freshness": "Stale"}),
        discovered("empty.example.com"),
    ]
    found, silent = teardown.resources(
        [{"items": [discovered("", v1={"resources": core})]}, {"items": groups}]
    )
    assert found == [
        Resource("", "v1", "pods", "Pod"),
        Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
        Resource("batch", "v1", "jobs", "Job"),
        Resource("batch", "v1beta1", "cronjobs", "CronJob"),
    ]
    assert silent == ["example.com/v1"]
    assert [one.path("n") for one in found[:2]] == [
        "/api/v1/namespaces/n/pods",
        "/apis/autoscaling/v2/namespaces/n/horizontalpodautoscalers",
    ]


def test_a_kind_without_a_name():
    answer = {"items": [discovered("a", v1={"resources": [resource("things", "")]})]}
    assert teardown.resources([answer]) == ([Resource("a", "v1", "things", "things")], [])


@pytest.mark.parametrize(
    ("kind", "found", "left"),
    [
        ("ConfigMap", item("kube-root-ca.crt", ours=False), False),
        ("Secret", item("kube-root-ca.crt", ours=False), True),
        ("ServiceAccount", item("default", ours=False), False),
        ("ServiceAccount", item("robot", ours=False), True),
        ("Secret", item("login"), False),
        ("Deployment", item("web", "web"), False),
        ("Deployment", item("other", "other"), True),
        ("Deployment", item("web", "web", ours=False), True),
    ],
)
def test_what_keeps_a_namespace(kind, found, left):
    assert teardown.is_left(kind, found, {"web"}, LABELS) is left


def test_an_owner_stands_for_what_it_owns():
    def owned(name, owner):
        return item(name, ownerReferences=[{"uid": f"uid-{owner}"}])

    found = [
        ("Deployment", item("d")),
        ("ReplicaSet", owned("r", "d")),
        ("Pod", owned("p", "r")),
        # Its owner is elsewhere, or gone.
        ("Pod", owned("mirror", "node")),
    ]
    assert teardown.without_owned(found) == [found[0], found[3]]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "Pod a"),
        (2, "Pod a and Pod b"),
        (4, "Pod a, Pod b, Pod c and Pod d"),
        (6, "Pod a, Pod b, Pod c, Pod d and 2 more"),
    ],
)
def test_naming(count, text):
    assert teardown.naming([("Pod", item(name)) for name in "abcdef"[:count]]) == text


def event(message, kind="Warning", **times):
    return {"type": kind, "message": message, "metadata": {}, **times}


EARLY, LATE = "2026-11-22T19:00:00Z", "2026-11-22T19:00:01Z"


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], ""),
        ([event("well", kind="Normal")], ""),
        ([event("b", lastTimestamp=LATE), event("a", lastTimestamp=EARLY)], "b"),
        ([event("a", eventTime=EARLY), event("b", series={"lastObservedTime": LATE})], "b"),
        ([event("a", metadata={"creationTimestamp": LATE}), event("b", eventTime=EARLY)], "a"),
        ([event("several\nlines")], "several lines"),
        ([event(None)], ""),
    ],
)
def test_the_last_warning(events, said):
    assert teardown.last_warning(events) == said


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (None, ""),
        ([{"status": "False", "message": "All well"}], ""),
        (
            [
                {"status": "True", "message": "Some resources remain:\npods."},
                {"status": "True", "reason": "Finalizers"},
            ],
            "Some resources remain: pods. Finalizers",
        ),
    ],
)
def test_what_a_namespace_says(conditions, said):
    assert teardown.obstacle({"status": {"conditions": conditions}}) == said


def test_a_namespace_that_says_nothing():
    assert teardown.obstacle({}) == ""


CONTROLLED = [{"kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}]


@pytest.mark.parametrize(
    ("metadata", "orphan"),
    [
        ({}, True),
        ({"ownerReferences": None}, True),
        ({"ownerReferences": [{**CONTROLLED[0], "controller": False}]}, True),
        ({"ownerReferences": CONTROLLED}, False),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, False),
    ],
)
def test_pods_without_a_controller(metadata, orphan):
    assert teardown.is_orphan({"metadata": {"name": "web-1", **metadata}}) is orphan
