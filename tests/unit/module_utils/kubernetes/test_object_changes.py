import copy

import pytest
import yaml
from ansible.module_utils.docker_ml_api.kubernetes import manifests, object_changes
from ansible.module_utils.docker_ml_api.kubernetes.object_changes import ABSENT, Difference

from support import workload_examples as examples
from support.workload_examples import LABELS, parameters, workload

US = "docker-ml-api"
HASH = "metadata.annotations.docker-ml-api/configuration"


def thing(spec, kind="Deployment", fields=None, manager=US, **entry):
    """An object; `fields` are those that the manager applied."""
    managed = {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": fields}, **entry}
    metadata = {"name": "web", "namespace": "ns", "labels": dict(LABELS)}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata | ({} if fields is None else {"managedFields": [managed]}),
        "spec": spec,
    }


def pod(**container):
    return {"template": {"spec": {"containers": [{"name": "web", **container}]}}}


def pod_fields(**container):
    item = {".": {}, "f:name": {}, **{f"f:{key}": value for key, value in container.items()}}
    return {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': item}}}}


POD = "spec.template.spec.containers[web]"

# What: (rendered spec, live spec, paths that differ when we own nothing)
DIFFERENCES = {
    "the same": ({"a": 1}, {"a": 1}, []),
    "defaults of the API server": ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}, []),
    "another value": ({"a": 1}, {"a": 2}, ["spec.a"]),
    "nothing there": ({"a": {"b": 1}}, {}, ["spec.a"]),
    "a mapping instead of text": ({"a": "x"}, {"a": {"x": 1}}, ["spec.a"]),
    "text instead of a mapping": ({"a": {"x": 1}}, {"a": "x"}, ["spec.a"]),
    "no text but a number": ({"a": "1"}, {"a": 1}, ["spec.a"]),
    "no number but true": ({"a": 1}, {"a": True}, ["spec.a"]),
    "false is something": ({"a": False}, {}, ["spec.a"]),
    "a list": ({"drop": ["ALL"]}, {"drop": ["ALL"]}, []),
    "a list with one more": ({"drop": ["ALL"]}, {"drop": ["ALL", "X"]}, ["spec.drop"]),
    "a list's item": ({"drop": ["ALL"]}, {"drop": ["X"]}, ["spec.drop[0]"]),
    "defaults in a list's item": ({"m": [{"a": 1}]}, {"m": [{"a": 1, "b": 2}]}, []),
    "quantities": (
        pod(resources={"limits": {"cpu": "0.5", "memory": "1024Mi"}}),
        pod(resources={"limits": {"cpu": "500m", "memory": "1Gi"}}),
        [],
    ),
    "another quantity": (
        pod(resources={"limits": {"cpu": "1"}}),
        pod(resources={"limits": {"cpu": "100m"}}),
        [f"{POD}.resources.limits.cpu"],
    ),
    "no quantity": (
        {"limits": {"cpu": "1"}},
        {"limits": {"cpu": "much"}},
        ["spec.limits.cpu"],
    ),
    "size limit": ({"sizeLimit": "64Mi"}, {"sizeLimit": "65536Ki"}, []),
    "what is a quantity elsewhere is text": (
        {"labels": {"a": "0.5"}},
        {"labels": {"a": "500m"}},
        ["spec.labels.a"],
    ),
    "a number or text": ({"maxSurge": "1"}, {"maxSurge": 1}, []),
    "another number or text": ({"maxSurge": "25%"}, {"maxSurge": 1}, ["spec.maxSurge"]),
    "another container beside ours": (
        pod(image="x"),
        {
            "template": {
                "spec": {"containers": [{"name": "sidecar"}, {"name": "web", "image": "x"}]}
            }
        },
        [],
    ),
    "our container is not there": (
        pod(image="x"),
        {"template": {"spec": {"containers": [{"name": "sidecar"}]}}},
        [POD],
    ),
    "an environment in another order, with more": (
        pod(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
        pod(env=[{"name": "X"}, {"name": "B", "value": "2"}, {"name": "A", "value": "1"}]),
        [],
    ),
    "another value in the environment": (
        pod(env=[{"name": "A", "value": "1"}]),
        pod(env=[{"name": "A", "value": "2"}]),
        [f"{POD}.env[A].value"],
    ),
    "a port by number and protocol": (
        {"ports": [{"port": 80, "protocol": "TCP", "targetPort": "http"}]},
        {"ports": [{"port": 80, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}]},
        ["spec.ports[80].targetPort"],
    ),
    "a list where there is none": (pod(env=[{"name": "A"}]), pod(), [f"{POD}.env"]),
}


@pytest.mark.parametrize(("rendered", "live", "paths"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_differences(rendered, live, paths):
    found = object_changes.differences(thing(rendered), thing(live), US)
    assert [one.path for one in found] == paths


def test_difference_says_before_and_after():
    found = object_changes.differences(thing({"a": 1, "b": {"c": 2}}), thing({"a": 3}), US)
    assert found == [Difference("spec.a", 3, 1), Difference("spec.b", ABSENT, {"c": 2})]
    assert repr(found[1].before) == "ABSENT"


# What: (rendered spec, live spec, fields that we own, paths that differ)
OWNED = {
    "a value changed when it was applied": ({"a": 1}, {"a": 2}, {"f:a": {}}, []),
    "a value of others": ({"a": 1}, {"a": 2}, {"f:b": {}}, ["spec.a"]),
    "below what we own as a whole": ({"a": {"b": 1}}, {"a": {"b": 2}}, {"f:a": {}}, []),
    "below what we own in part": (
        {"a": {"b": 1, "c": 1}},
        {"a": {"b": 2, "c": 2}},
        {"f:a": {".": {}, "f:b": {}}},
        ["spec.a.c"],
    ),
    "an item": (
        pod(image="x", workingDir="/"),
        pod(image="y", workingDir="/x"),
        pod_fields(image={}),
        [f"{POD}.workingDir"],
    ),
    "another item": (
        pod(image="x"),
        pod(image="y"),
        {"f:template": {"f:spec": {"f:containers": {'k:{"name":"other"}': {}}}}},
        [f"{POD}.image"],
    ),
    "a list that is owned as a whole": (
        {"drop": ["ALL"]},
        {"drop": ["ALL", "X"]},
        {"f:drop": {}},
        [],
    ),
    "an item of a list that is owned as a whole": (
        {"drop": ["ALL"]},
        {"drop": ["X"]},
        {"f:drop": {}},
        [],
    ),
    "a keyed item of all that is owned": (
        pod(image="x"),
        pod(image="y"),
        {"f:template": {}},
        [],
    ),
}


@pytest.mark.parametrize(("rendered", "live", "fields", "paths"), OWNED.values(), ids=OWNED)
def test_owner(rendered, live, fields, paths):
    found = object_changes.differences(thing(rendered), thing(live, fields=fields), US)
    assert [one.path for one in found] == paths


@pytest.mark.parametrize(
    "entry",
    [{"manager": "kubectl"}, {"operation": "Update"}, {"subresource": "status"}, {"fieldsV1": {}}],
    ids=str,
)
def test_what_is_not_applied_by_us_is_not_owned(entry):
    live = thing({"a": 2}, fields={"f:a": {}})
    live["metadata"]["managedFields"][0] |= entry
    assert [one.path for one in object_changes.differences(thing({"a": 1}), live, US)] == ["spec.a"]


# What: (rendered spec, live spec, fields that we own, what will be removed)
REMOVALS = {
    "nothing": ({"a": 1}, {"a": 1, "b": 2}, {"f:a": {}}, {}),
    "a field": ({"a": 1}, {"a": 1, "b": 2}, {"f:a": {}, "f:b": {}}, {"spec.b": 2}),
    "a field that is gone already": ({"a": 1}, {"a": 1}, {"f:a": {}, "f:b": {}}, {}),
    "a field below": (
        {"a": {"x": 1}},
        {"a": {"x": 1, "y": 2, "z": 3}},
        {"f:a": {".": {}, "f:x": {}, "f:y": {}}},
        {"spec.a.y": 2},
    ),
    "all that is below": ({}, {"a": {"y": 2}}, {"f:a": {"f:y": {}}}, {"spec.a": {"y": 2}}),
    "an item": (
        {"ports": [{"port": 80, "protocol": "TCP"}]},
        {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]},
        {
            "f:ports": {
                'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}},
                'k:{"port":81,"protocol":"TCP"}': {".": {}, "f:port": {}},
            }
        },
        {"spec.ports[81]": {"port": 81, "protocol": "TCP"}},
    ),
    "a field of an item": (
        pod(image="x"),
        pod(image="x", workingDir="/"),
        pod_fields(image={}, workingDir={}),
        {f"{POD}.workingDir": "/"},
    ),
    "a member of a set": ({"s": ["a"]}, {"s": ["a", "b"]}, {"f:s": {'v:"b"': {}}}, {}),
    "an item that is no mapping's any more": (
        {"ports": {}},
        {"ports": [{"port": 80}]},
        {"f:ports": {'k:{"port":80}': {}}},
        {"spec.ports[80]": {"port": 80}},
    ),
}


@pytest.mark.parametrize(("rendered", "live", "fields", "gone"), REMOVALS.values(), ids=REMOVALS)
def test_removals(rendered, live, fields, gone):
    found = object_changes.removals(thing(rendered), thing(live, fields=fields), US)
    assert {one.path: one.before for one in found} == gone
    assert all(one.after is ABSENT for one in found)


def test_nothing_is_removed_of_what_we_do_not_own():
    assert object_changes.removals(thing({}), thing({"a": 1}), US) == []


# --- Whole objects


def render(**options):
    [one], _ = manifests.render(parameters(workload(namespace="ns", **options)))
    return one


def live_of(*rendered, **metadata):
    objects = {}
    for one in rendered:
        live = copy.deepcopy(one)
        live["metadata"] |= {"uid": "u", **metadata}
        objects[object_changes.key_of(live)] = live
    return objects


def plan(workloads, live, namespaces=(), **options):
    return object_changes.plan(workloads, namespaces, live, LABELS, US, **options)


def test_nothing_to_do():
    one = render(network_policy=True)
    assert plan([one], live_of(*one["objects"])) == object_changes.Plan()


def test_all_is_new():
    one = render(network_policy=True)
    made = plan([one], {})
    assert made.apply == one["objects"]
    assert [shown["before"] for shown in made.diff] == ["", "", ""]
    assert yaml.safe_load(made.diff[1]["after"]) == one["objects"][1]


def test_namespaces_come_first():
    [one], namespaces = manifests.render(parameters(workload(namespace="ns")))
    made = plan([one], {}, namespaces)
    assert made.apply == namespaces + one["objects"]
    assert made.diff[0]["before_header"] == "Namespace ns"
    live = live_of(*namespaces, *one["objects"])
    assert plan([one], live, namespaces) == object_changes.Plan()


def test_a_changed_hash_alone_is_applied_and_shown():
    one = render()
    live = live_of(*one["objects"])
    [service] = [each for each in live.values() if each["kind"] == "Service"]
    service["metadata"]["annotations"]["docker-ml-api/configuration"] = "sha256:0"

    made = plan([one], live)

    assert made.apply == [one["objects"][0]]
    wanted = one["objects"][0]["metadata"]["annotations"]["docker-ml-api/configuration"]
    assert made.diff == [
        {
            "before_header": "Service ns/web",
            "before": f"{HASH}: sha256:0\n",
            "after_header": "Service ns/web",
            "after": f"{HASH}: {wanted}\n",
        }
    ]


def test_an_object_without_annotations():
    one = render()
    live = live_of(*one["objects"])
    for each in live.values():
        del each["metadata"]["annotations"]
    made = plan([one], live)
    assert made.apply == one["objects"]
    assert [shown["before"] for shown in made.diff] == ["", ""]


def test_a_changed_field_hides_the_hash():
    before, after = render(replicas=2), render(replicas=3)
    [shown] = plan([after], live_of(*before["objects"])).diff
    assert (shown["before"], shown["after"]) == ("spec.replicas: 2\n", "spec.replicas: 3\n")


SCALED = {"autoscale": examples.autoscale(min_replicas=2)}


class TestReplicas:
    def applied(self, live_replicas=None, *, ours=False, missing=False):
        one = render(**SCALED)
        deployment = one["objects"][1]
        live = copy.deepcopy(deployment)
        if live_replicas:
            live["spec"]["replicas"] = live_replicas
        if ours:
            live["metadata"]["managedFields"] = [
                {
                    "manager": US,
                    "operation": "Apply",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}},
                }
            ]
        sent = object_changes.applicable(deployment, None if missing else live, one["objects"], US)
        assert "replicas" not in deployment["spec"]
        return sent["spec"].get("replicas")

    def test_a_new_one_starts_with_the_fewest(self):
        assert self.applied(missing=True) == 2

    def test_a_number_of_ours_is_kept(self):
        assert self.applied(4, ours=True) == 4

    def test_the_autoscalers_number_is_left_out(self):
        assert self.applied(4) is None

    def test_the_number_is_no_change_to_show(self):
        before, after = render(replicas=3), render(**SCALED)
        live = live_of(*before["objects"])
        live["Deployment", "ns", "web"]["metadata"]["managedFields"] = [
            {
                "manager": US,
                "operation": "Apply",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}},
            }
        ]
        live["Deployment", "ns", "web"]["spec"]["paused"] = False
        shown = {one["before_header"]: one["before"] for one in plan([after], live).diff}
        assert shown["Deployment ns/web"] == "spec.paused: false\n"

    def test_a_new_one_without_an_autoscaler_beside_it(self):
        deployment = render(**SCALED)["objects"][1]
        assert object_changes.applicable(deployment, None, [], US) == deployment

    def test_a_number_that_is_rendered_is_sent(self):
        one = render(replicas=3)
        live = {"metadata": {}, "spec": {"replicas": 5}}
        sent = object_changes.applicable(one["objects"][1], live, [], US)
        assert sent["spec"]["replicas"] == 3


class TestPrune:
    def test_order_and_form(self):
        before = render(
            **{key: value for key, value in examples.EVERYTHING.items() if key != "namespace"}
        )
        after = render(kind="ReplicationController")
        made = plan([after], live_of(*before["objects"], annotations={"a": "b"}))
        assert [one["kind"] for one in made.prune] == [
            "HorizontalPodAutoscaler",
            "Deployment",
            "PodDisruptionBudget",
            "NetworkPolicy",
            "Service",
        ]
        assert made.prune[-1] == {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "web-lb",
                "namespace": "ns",
                "labels": before["objects"][1]["metadata"]["labels"],
                "uid": "u",
            },
        }
        assert [shown["after"] for shown in made.diff[-5:]] == ["absent\n"] * 5

    def leftover(self, **metadata):
        before, after = render(service_name="old"), render()
        old = before["objects"][0]
        old["metadata"] |= metadata
        return [
            one["metadata"]["name"] for one in plan([after], live_of(*after["objects"], old)).prune
        ]

    def test_ours(self):
        assert self.leftover() == ["old"]

    @pytest.mark.parametrize(
        "metadata",
        [
            {"labels": {"app.kubernetes.io/instance": "web"}},
            {"labels": LABELS},
            {"labels": {**LABELS, "app.kubernetes.io/instance": "other"}},
            {"namespace": "elsewhere"},
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        ],
        ids=["not ours", "of none", "of another workload", "elsewhere", "going"],
    )
    def test_what_is_left_alone(self, metadata):
        assert self.leftover(**metadata) == []

    def test_kinds_that_are_never_pruned(self):
        one = render()
        record = thing({}, kind="ConfigMap")
        record["metadata"]["labels"]["app.kubernetes.io/instance"] = "web"
        assert plan([one], live_of(*one["objects"], record)).prune == []


class TestForeign:
    def test_is_named_and_not_applied(self):
        one = render()
        live = live_of(*one["objects"], labels={"app": "web"})
        made = plan([one], live)
        assert made.foreign == ["Service ns/web", "Deployment ns/web"]
        assert made.apply == made.diff == []

    def test_without_any_label(self):
        one = render()
        live = live_of(*one["objects"])
        for each in live.values():
            del each["metadata"]["labels"]
        assert len(plan([one], live).foreign) == 2

    def test_is_adopted(self):
        one = render()
        live = live_of(*one["objects"], labels={"app": "web"})
        made = plan([one], live, adopt=True)
        assert made.foreign == []
        assert made.apply == one["objects"]


def changed(spec, **options):
    """Return what is blocked if a live object has the values of `spec`, by its kind."""
    one = render(**options)
    target = next(each for each in one["objects"] if each["kind"] in spec)
    live = copy.deepcopy(target)
    for key, value in spec[target["kind"]].items():
        if value is None:
            live["spec"].pop(key, None)
        else:
            live["spec"][key] = value
    return plan([one], {object_changes.key_of(live): live}).blocked


BLOCKED = {
    "Deployment's selector": (
        {"Deployment": {"selector": {"matchLabels": {"run": "web"}}}},
        {},
        (
            'Deployment ns/web has spec.selector {"matchLabels": {"run": "web"}}, which cannot be '
            'changed to {"matchLabels": {"app": "web"}}: delete it (kubectl delete deployment web '
            "--namespace ns) and run this again, or give the workload another name."
        ),
    ),
    "ReplicationController's selector": (
        {"ReplicationController": {"selector": {"run": "web"}}},
        {"kind": "ReplicationController"},
        (
            'ReplicationController ns/web has spec.selector {"run": "web"}, which cannot be '
            "changed "
            'to {"app": "web"}: delete it (kubectl delete replicationcontroller web '
            "--namespace ns) "
            "and run this again, or give the workload another name."
        ),
    ),
    "headless Service": (
        {"Service": {"clusterIP": "None"}},
        {},
        (
            "Service ns/web has spec.clusterIP None (headless), which cannot be changed to "
            "an address: "
            "delete it (kubectl delete service web --namespace ns) and run this again, or give the "
            "workload another name."
        ),
    ),
    "a class where there was none": (
        {"Service": {"loadBalancerClass": None}},
        {"load_balancer_class": "a"},
        (
            'Service ns/web has spec.loadBalancerClass none, which cannot be changed to "a": '
            "delete "
            "it (kubectl delete service web --namespace ns) and run this again, or give the "
            "workload "
            "another name."
        ),
    ),
}


@pytest.mark.parametrize(("spec", "options", "sentence"), BLOCKED.values(), ids=BLOCKED)
def test_blocked(spec, options, sentence):
    assert changed(spec, **options) == [sentence]


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ({"Service": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}}, {}),
        (
            {"Service": {"type": "ClusterIP", "loadBalancerClass": None}},
            {"load_balancer_class": "a"},
        ),
        ({"Service": {"loadBalancerClass": "given"}}, {}),
    ],
    ids=["an address", "no balancer before", "a class that others gave"],
)
def test_not_blocked(spec, options):
    assert changed(spec, **options) == []


def test_what_is_being_deleted_is_waited_for():
    one = render()
    made = plan([one], live_of(*one["objects"], deletionTimestamp="2026-01-01T00:00:00Z"))
    assert made.apply == []
    assert made.blocked == [
        (
            "Service ns/web is being deleted: run this again when it is gone (kubectl get "
            "service web "
            "--namespace ns)."
        ),
        (
            "Deployment ns/web is being deleted: run this again when it is gone (kubectl get "
            "deployment web --namespace ns)."
        ),
    ]
