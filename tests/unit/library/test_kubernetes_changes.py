"""The module on a real cluster, and the requests that it makes."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import uuid

import kubernetes_changes
import pytest
import yaml
from ansible.module_utils.docker_ml_api.kubernetes import manifests, object_changes

from support import workload_examples as examples
from support.api_server import Answer, make_certificate, refusal, serving
from support.run_module import run_module

MANAGER = "docker-ml-api"


class Place:
    """A separate namespace in which rendered workloads are compared and applied."""

    def __init__(self, cluster, name, capsys):
        self.cluster = cluster
        self.name = name
        self.capsys = capsys
        # Objects of other tests do not have this label.
        self.labels = {"app.kubernetes.io/managed-by": name}

    def render(self, *given, **options):
        given = given or ({},)
        workloads = [examples.workload(**{"namespace": self.name, **one}) for one in given]
        options = {"labels": self.labels, "registry": "127.0.0.1:1", **options}
        return manifests.render(examples.parameters(*workloads, **options))

    def ask(self, rendered, *, namespaces=False, **options):
        workloads, found = rendered
        return run_module(
            kubernetes_changes,
            self.capsys,
            kubeconfig=str(self.cluster.kubeconfig),
            context=self.cluster.context,
            workloads=[
                {key: one[key] for key in ("name", "namespace", "objects")} for one in workloads
            ],
            namespaces=found if namespaces else [],
            labels=self.labels,
            **options,
        )

    def changes(self, rendered, **options):
        answer = self.ask(rendered, **options)
        assert not answer.get("failed"), answer["msg"]
        return answer

    def apply(self, objects, manager=MANAGER, *options):
        self.cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", f"--field-manager={manager}",
            "--filename=-", *options, stdin=manifests.dump(objects),
        )  # fmt: skip

    def settle(self, rendered, **options):
        """Apply it to the cluster as the role does; then nothing differs."""
        self.apply(self.changes(rendered, **options)["apply"])
        self.assert_settled(rendered, **options)

    def live(self, kind, name):
        return self.cluster.get(kind, name, f"--namespace={self.name}", "--show-managed-fields")

    def kubectl(self, *arguments, stdin=""):
        return self.cluster.kubectl(*arguments, f"--namespace={self.name}", stdin=stdin)

    def assert_settled(self, rendered, **options):
        answer = self.changes(rendered, **options)
        assert titles(answer["apply"]) == []
        assert answer["prune"] == []
        assert answer["diff"] == []


@pytest.fixture
def place(cluster, capsys):
    with cluster.namespace({"pod-security.kubernetes.io/enforce": "restricted"}) as name:
        yield Place(cluster, name, capsys)


def titles(objects):
    return [f"{one['kind']} {one['metadata']['name']}" for one in objects]


RC = {"kind": "ReplicationController", "disruption_budget": examples.budget(max_unavailable="50%")}
EVERYTHING = {key: value for key, value in examples.EVERYTHING.items() if key != "namespace"}


@pytest.mark.parametrize("given", [{}, EVERYTHING, RC], ids=["plain", "everything", "controller"])
def test_a_second_look_finds_nothing(place, given):
    rendered = place.render(given)
    assert place.changes(rendered)["apply"]

    place.settle(rendered)

    # Not because we own the fields: the API server returns them as they were rendered.
    for one in rendered[0][0]["objects"]:
        live = place.live(one["kind"], one["metadata"]["name"])
        assert object_changes.differences(one, live, "nobody") == []


def test_new_objects_come_in_order_and_whole(place):
    answer = place.changes(place.render(EVERYTHING))
    assert [one["kind"] for one in answer["apply"]] == [
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
        "HorizontalPodAutoscaler",
    ]
    assert not answer["changed"]
    service = answer["diff"][1]
    assert service["before_header"] == f"Service {place.name}/web-lb"
    assert service["before"] == ""
    assert yaml.safe_load(service["after"]) == answer["apply"][1]


def test_check_mode_foretells(place):
    rendered = place.render()
    assert place.changes(rendered, _ansible_check_mode=True)["changed"]
    place.settle(rendered)
    assert not place.changes(rendered, _ansible_check_mode=True)["changed"]


def test_what_somebody_edited_is_put_back(place):
    rendered = place.render({"labels": {"env": "prod"}}, {"name": "other"})
    place.settle(rendered)
    place.kubectl("set", "image", "deployment/web", "web=example.com/other:v2")
    place.kubectl("label", "service", "web", "env-")

    answer = place.changes(rendered)

    assert titles(answer["apply"]) == ["Service web", "Deployment web"]
    label, image = answer["diff"]
    assert (label["before"], label["after"]) == ("", "metadata.labels.env: prod\n")
    path = "spec.template.spec.containers[web].image"
    assert image["before"] == f"{path}: example.com/other:v2\n"
    assert image["after"] == f"{path}: 127.0.0.1:1/diabetes:v1\n"
    place.settle(rendered)


def test_what_changes_is_shown(place):
    place.settle(place.render({"replicas": 2, "environment": {"GREETING": "hello"}}))

    rendered = place.render({"replicas": 3, "environment": {"GREETING": "good morning"}})

    [shown] = place.changes(rendered)["diff"]
    value = "spec.template.spec.containers[web].env[GREETING].value"
    assert yaml.safe_load(shown["before"]) == {"spec.replicas": 2, value: "hello"}
    assert yaml.safe_load(shown["after"]) == {"spec.replicas": 3, value: "good morning"}
    place.settle(rendered)


def test_what_others_added_is_left_alone(place):
    rendered = place.render()
    place.settle(rendered)
    place.kubectl("set", "env", "deployment/web", "EXTRA=1")
    place.kubectl("annotate", "service", "web", "cloud.example.com/id=7")
    place.assert_settled(rendered)


def test_what_is_no_longer_rendered_goes(place):
    place.settle(place.render({"environment": {"OLD": "1", "KEPT": "1"}}))
    rendered = place.render({"environment": {"KEPT": "1"}})

    answer = place.changes(rendered)

    [shown] = answer["diff"]
    assert yaml.safe_load(shown["before"]) == {
        "spec.template.spec.containers[web].env[OLD]": {"name": "OLD", "value": "1"}
    }
    assert shown["after"] == ""
    place.settle(rendered)
    [container] = place.live("Deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert "OLD" not in [one["name"] for one in container["env"]]


class TestReplicas:
    def test_the_autoscaler_decides(self, place):
        scaled = {"autoscale": examples.autoscale(min_replicas=2)}
        rendered = place.render(scaled)
        place.settle(rendered)
        assert place.live("Deployment", "web")["spec"]["replicas"] == 2
        place.kubectl("scale", "deployment/web", "--replicas=4")
        place.assert_settled(rendered)

        place.settle(place.render({**scaled, "labels": {"env": "prod"}}))

        assert place.live("Deployment", "web")["spec"]["replicas"] == 4

    def test_an_autoscaler_takes_over(self, place):
        place.settle(place.render({"replicas": 3}))
        rendered = place.render({"autoscale": examples.autoscale()})

        answer = place.changes(rendered)

        assert answer["apply"][0]["spec"]["replicas"] == 3
        # The number is sent, but is not a change.
        assert "replicas: 3" not in answer["diff"][0]["before"] + answer["diff"][0]["after"]
        place.settle(rendered)
        assert place.live("Deployment", "web")["spec"]["replicas"] == 3

    def test_scaled_by_hand(self, place):
        rendered = place.render({"replicas": 2})
        place.settle(rendered)
        place.kubectl("scale", "deployment/web", "--replicas=5")

        [shown] = place.changes(rendered)["diff"]

        assert (shown["before"], shown["after"]) == ("spec.replicas: 5\n", "spec.replicas: 2\n")
        place.settle(rendered)


class TestPrune:
    def test_options_that_are_dropped(self, place):
        place.settle(place.render(EVERYTHING, {"name": "other", "network_policy": True}))
        place.kubectl("create", "service", "clusterip", "foreign", "--tcp=80")
        place.kubectl("create", "configmap", "web-release-1")
        place.kubectl(
            "label", "configmap/web-release-1", "service/foreign",
            "app.kubernetes.io/instance=web",
        )  # fmt: skip
        place.kubectl(
            "label", "configmap/web-release-1", f"app.kubernetes.io/managed-by={place.name}"
        )
        rendered = place.render({"kind": "ReplicationController"})

        answer = place.changes(rendered)

        assert titles(answer["prune"]) == [
            "HorizontalPodAutoscaler web",
            "Deployment web",
            "PodDisruptionBudget web",
            "NetworkPolicy web",
            "Service web-lb",
        ]
        live = place.live("Deployment", "web")["metadata"]
        assert answer["prune"][1] == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {key: live[key] for key in ("name", "namespace", "labels", "uid")},
        }
        assert answer["diff"][-1] == {
            "before_header": f"Service {place.name}/web-lb",
            "after_header": f"Service {place.name}/web-lb",
            "before": "present\n",
            "after": "absent\n",
        }
        place.apply(answer["apply"])
        for one in answer["prune"]:
            place.kubectl("delete", one["kind"], one["metadata"]["name"])
        place.assert_settled(rendered)

    def test_alone_is_a_change(self, place):
        place.settle(place.render({"network_policy": True}))
        answer = place.changes(place.render(), _ansible_check_mode=True)
        assert (answer["apply"], titles(answer["prune"])) == ([], ["NetworkPolicy web"])
        assert answer["changed"]

    def test_a_service_that_another_workload_has_now(self, place):
        place.settle(place.render({"service_name": "shared"}, {"name": "other"}))
        rendered = place.render({}, {"name": "other", "service_name": "shared"})
        assert titles(place.changes(rendered)["prune"]) == ["Service other"]


class TestForeign:
    def test_is_refused(self, place):
        place.kubectl("create", "service", "clusterip", "web-lb", "--tcp=80")
        place.kubectl("create", "deployment", "web", "--image=example.com/x:1", "--replicas=0")

        answer = place.ask(place.render({"service_name": "web-lb"}))

        assert answer["failed"]
        assert answer["foreign"] == [
            f"Service {place.name}/web-lb",
            f"Deployment {place.name}/web",
        ]
        assert answer["msg"] == (
            f"There already is Service {place.name}/web-lb, Deployment {place.name}/web, not made "
            f"by us (without the label app.kubernetes.io/managed-by={place.name}): give the "
            "workload another name or service_name, or let it be taken over with "
            "workload_adopt: true."
        )

    def test_is_adopted(self, place):
        # kubectl gives both the label app=web, and the Deployment the selector app=web.
        place.kubectl("create", "deployment", "web", "--image=example.com/x:1", "--replicas=0")
        place.kubectl("expose", "deployment", "web", "--port=80")
        rendered = place.render({"service_port": 80})
        place.settle(rendered, adopt=True)
        place.assert_settled(rendered)

    def test_with_another_selector_cannot_be_adopted(self, place):
        place.kubectl("create", "deployment", "web", "--image=example.com/x:1", "--replicas=0")
        rendered = place.render({"name": "api"})
        deployment = place.live("Deployment", "web")
        deployment["metadata"] = {"name": "api"}
        place.kubectl("create", "--filename=-", stdin=json.dumps(deployment))

        answer = place.ask(rendered, adopt=True)

        assert answer["msg"] == (
            f'Deployment {place.name}/api has spec.selector {{"matchLabels": {{"app": '
            '"web"}}, which cannot be changed to {"matchLabels": {"app": "api"}}: delete it '
            f"(kubectl delete deployment api --namespace {place.name}) and run this again, or "
            "give the workload another name."
        )

    def test_controller_with_another_selector_cannot_be_adopted(self, place):
        other = {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 0,
                "selector": {"run": "web"},
                "template": {
                    "metadata": {"labels": {"run": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "example.com/x:1"}]},
                },
            },
        }
        place.kubectl("create", "--filename=-", stdin=json.dumps(other))
        answer = place.ask(place.render({"kind": "ReplicationController"}), adopt=True)
        assert f"ReplicationController {place.name}/web has spec.selector" in answer["msg"]


class TestFixedFields:
    def test_headless_service(self, place):
        place.kubectl("create", "service", "clusterip", "web", "--clusterip=None")
        answer = place.ask(place.render(), adopt=True)
        assert (
            f"Service {place.name}/web has spec.clusterIP None (headless), which cannot be changed"
        ) in answer["msg"]

    def test_load_balancer_class(self, place):
        place.settle(place.render({"load_balancer_class": "example.com/a"}))
        answer = place.ask(place.render({"load_balancer_class": "example.com/b"}))
        assert (
            f'Service {place.name}/web has spec.loadBalancerClass "example.com/a", which cannot '
            'be changed to "example.com/b"'
        ) in answer["msg"]
        assert "cannot be changed to none" in place.ask(place.render())["msg"]

    def test_another_type_may_have_no_class(self, place):
        place.settle(place.render({"load_balancer_class": "example.com/a"}))
        place.settle(place.render({"expose": "ClusterIP"}))

    def test_a_class_that_the_cloud_gave_stays(self, place):
        service = place.render()[0][0]["objects"][0]
        spec = {**service["spec"], "loadBalancerClass": "example.com/cloud"}
        place.apply([{**service, "spec": spec}], manager="cloud")
        place.settle(place.render())
        place.settle(place.render({"labels": {"env": "prod"}}))


class TestEnding:
    def test_namespace(self, place):
        # The finalizer is removed at the end; the fixture deletes the namespace.
        held = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "finalizers": ["example.com/hold"]},
        }
        place.kubectl("create", "--filename=-", stdin=json.dumps(held))
        try:
            place.cluster.kubectl("delete", "namespace", place.name, "--wait=false")
            answer = place.ask(place.render(), namespaces=True)
        finally:
            place.kubectl(
                "patch", "configmap", "held", "--type=merge",
                '--patch={"metadata": {"finalizers": null}}',
            )  # fmt: skip
        assert answer["msg"] == (
            f"Namespace {place.name} is being deleted: run this again when it is gone "
            f"(kubectl get namespace {place.name}), or use another namespace."
        )

    def test_object(self, place):
        rendered = place.render()
        place.settle(rendered)
        hold = '--patch={"metadata": {"finalizers": ["example.com/hold"]}}'
        place.kubectl("patch", "service", "web", "--type=merge", hold)
        try:
            place.kubectl("delete", "service", "web", "--wait=false")
            answer = place.ask(rendered)
            dropped = place.changes(place.render({"service_name": "other"}))
        finally:
            release = '--patch={"metadata": {"finalizers": null}}'
            place.kubectl("patch", "service", "web", "--type=merge", release)
        assert answer["msg"] == (
            f"Service {place.name}/web is being deleted: run this again when it is gone "
            f"(kubectl get service web --namespace {place.name})."
        )
        assert dropped["prune"] == []


class TestNamespaces:
    def test_missing_is_made_first(self, place):
        name = f"test-{uuid.uuid4().hex[:10]}"
        rendered = place.render({"namespace": name})

        answer = place.changes(rendered, namespaces=True)

        assert answer["missing_namespaces"] == [name]
        assert titles(answer["apply"]) == [f"Namespace {name}", "Service web", "Deployment web"]
        assert answer["diff"][0]["before_header"] == f"Namespace {name}"
        try:
            place.settle(rendered, namespaces=True)
            place.cluster.kubectl(
                "label", "namespace", name, "--overwrite",
                "pod-security.kubernetes.io/enforce=privileged",
            )  # fmt: skip
            again = place.changes(rendered, namespaces=True)
        finally:
            place.cluster.kubectl("delete", "namespace", name, "--wait=false")
        [shown] = again["diff"]
        path = "metadata.labels.pod-security.kubernetes.io/enforce"
        assert shown["before"] == f"{path}: privileged\n"
        assert shown["after"] == f"{path}: restricted\n"

    def test_of_others_is_used_as_it_is(self, place):
        rendered = place.render()
        for adopt in (False, True):
            answer = place.changes(rendered, namespaces=True, adopt=adopt)
            assert titles(answer["apply"]) == ["Service web", "Deployment web"]
            assert answer["kept_namespaces"] == [place.name]
            assert answer["missing_namespaces"] == []


class TestPullSecret:
    LOGIN = "docker.io/ACCOUNT", "tom", "s3cret!"

    def ask(self, place, *more, login=LOGIN, **options):
        registry, username, password = login
        wanted = {
            "name": "registry",
            "registry": registry,
            "username": username,
            "password": password,
            "namespaces": [place.name, *more],
        }
        return place.ask(place.render(), pull_secret=wanted, **options)

    def make(self, place, labels, password="s3cret!"):  # noqa: S107 - of nothing
        auth = base64.b64encode(f"tom:{password}".encode()).decode()
        content = {"auths": {"https://index.docker.io/v1/": {"auth": auth}}}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "registry", "labels": labels},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(content)},
        }
        place.kubectl("apply", "--filename=-", stdin=json.dumps(secret))

    def test_missing(self, place):
        answer = self.ask(place)
        assert answer["secrets"] == [place.name]
        assert answer["registry_host"] == "https://index.docker.io/v1/"
        assert answer["diff"][-1] == {
            "before_header": f"Secret {place.name}/registry",
            "after_header": f"Secret {place.name}/registry",
            "before": "",
            "after": "the login at docker.io/ACCOUNT (not shown)\n",
        }
        assert "s3cret!" not in json.dumps(answer)

    def test_there(self, place):
        self.make(place, place.labels)
        assert self.ask(place)["secrets"] == []

    def test_another_password(self, place):
        self.make(place, place.labels, "old")
        assert self.ask(place)["secrets"] == [place.name]

    def test_in_a_namespace_that_is_missing(self, place):
        name = f"test-{uuid.uuid4().hex[:10]}"
        rendered = place.render({"namespace": name})
        wanted = {
            "name": "registry",
            "registry": "example.com",
            "username": "tom",
            "password": "s3cret!",
            "namespaces": [name, name],
        }
        answer = place.changes(rendered, namespaces=True, pull_secret=wanted)
        assert answer["secrets"] == [name]

    def test_of_others_with_another_login_is_refused(self, place):
        self.make(place, {}, "old")
        answer = self.ask(place)
        assert answer["foreign"] == [f"Secret {place.name}/registry"]
        assert answer["msg"].endswith(
            ": set workload_pull_secret to another name, or let it be taken over with "
            "workload_adopt: true."
        )
        assert self.ask(place, adopt=True)["secrets"] == [place.name]

    def test_of_others_with_this_login_is_used(self, place):
        self.make(place, {})
        assert self.ask(place)["secrets"] == []

    def test_none_wanted(self, place):
        answer = place.changes(place.render())
        assert (answer["secrets"], answer["registry_host"]) == ([], "")


def test_what_an_admission_controller_changes_is_no_difference(place, tmp_path):
    if place.cluster.layout is None:
        pytest.skip("Only the rehearsal's API server reaches a webhook of this machine.")
    certificate = make_certificate(tmp_path, "webhook")
    patch = [
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/0/resources/requests/cpu",
            "value": "250m",
        }
    ]

    def mutate(request):
        review = request.body
        answer = {
            "uid": review["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        return Answer({**review, "response": answer})

    rendered = place.render()
    deployment = rendered[0][0]["objects"][-1]
    path = "spec.template.spec.containers[web].resources.requests.cpu"
    with serving(mutate, certificate.server()) as webhook, _registered(place, webhook, certificate):
        place.apply(place.changes(rendered)["apply"])
    live = place.live("Deployment", "web")
    assert [one.path for one in object_changes.differences(deployment, live, "nobody")] == [path]
    place.assert_settled(rendered)

    # A later change by somebody else is a difference.
    place.kubectl("set", "resources", "deployment/web", "--requests=cpu=300m")
    [shown] = place.changes(rendered)["diff"]
    assert shown["before"] == f"{path}: 300m\n"


@contextlib.contextmanager
def _registered(place, webhook, certificate):
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": place.name},
        "webhooks": [
            {
                "name": "mutate.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "url": webhook.url,
                    "caBundle": base64.b64encode(certificate.certificate.read_bytes()).decode(),
                },
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.name}},
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
            }
        ],
    }
    place.cluster.kubectl("create", "--filename=-", stdin=json.dumps(configuration))
    try:
        # The API server needs a moment to use the webhook.
        _until_it_works(place, webhook)
        yield
    finally:
        place.cluster.kubectl("delete", "mutatingwebhookconfiguration", place.name)


def _until_it_works(place, webhook):
    probe = place.render({"name": "probe"})[0][0]["objects"][-1]
    end = time.monotonic() + 30
    while not webhook.requests:
        assert time.monotonic() < end, "The API server does not call the webhook."
        place.apply([probe], MANAGER, "--dry-run=server")


def test_no_change_costs_a_list_for_each_kind(place):
    rendered = place.render(EVERYTHING, *({"name": f"more-{number}"} for number in range(3)))
    place.settle(rendered)
    before = {event["auditID"] for event in place.cluster.audit(place.name)}

    place.changes(rendered)

    requests = [
        (event["verb"], event["objectRef"]["resource"])
        for event in place.cluster.audit(place.name)
        if event["auditID"] not in before
        and event.get("objectRef", {}).get("namespace") == place.name
        and event.get("userAgent") == "docker-ml-api"
        and event["stage"] == "ResponseComplete"
    ]
    assert sorted(requests) == [
        ("list", "deployments"),
        ("list", "horizontalpodautoscalers"),
        ("list", "networkpolicies"),
        ("list", "poddisruptionbudgets"),
        ("list", "replicationcontrollers"),
        ("list", "services"),
    ]


# --- Answers that a real cluster does not give on demand


def rendered_by(count=1, **options):
    workloads = [
        examples.workload(name=f"web-{number}", namespace=f"ns-{number % 2}", **options)
        for number in range(count)
    ]
    return manifests.render(examples.parameters(*workloads))


class Live:
    """An API server that has these objects, and refuses some paths."""

    def __init__(self, objects, refused=None):
        self.objects = objects
        self.refused = refused or {}

    def __call__(self, request):
        for path, answer in self.refused.items():
            if request.path == path:
                return answer
        parts = request.path.split("/")
        namespace = parts[parts.index("namespaces") + 1] if "services" in parts else None
        if parts[-1] == "namespaces":
            return Answer({"items": [one for one in self.objects if one["kind"] == "Namespace"]})
        if parts[-1] in ("services", "deployments"):
            kind = {"services": "Service", "deployments": "Deployment"}[parts[-1]]
            namespace = parts[-2]
            return Answer(
                {
                    "items": [
                        one
                        for one in self.objects
                        if one["kind"] == kind and one["metadata"]["namespace"] == namespace
                    ]
                }
            )
        if parts[-1].endswith("s") and parts[-2].startswith("ns-"):
            return Answer({"items": []})
        return refusal(404, "NotFound", f"{request.path} not found")


def ask(capsys, server, rendered, **options):
    workloads, namespaces = rendered
    return run_module(
        kubernetes_changes,
        capsys,
        kubeconfig=server.kubeconfig(),
        workloads=[
            {key: one[key] for key in ("name", "namespace", "objects")} for one in workloads
        ],
        namespaces=namespaces,
        **{"labels": examples.LABELS, **options},
    )


FORBIDDEN = refusal(403, "Forbidden", "it is forbidden: User tom cannot list it")


def test_fifty_workloads_cost_as_few_requests_as_two(capsys):
    for count in (2, 50):
        rendered = rendered_by(count)
        objects = [*rendered[1], *(one for each in rendered[0] for one in each["objects"])]
        with serving(Live(objects)) as server:
            answer = ask(capsys, server, rendered)
        assert (answer["apply"], answer["prune"], answer["diff"]) == ([], [], [])
        assert [request.method for request in server.requests] == ["GET"] * 13
        assert {request.query["labelSelector"] for request in server.requests} == {
            "app.kubernetes.io/managed-by=docker-ml-api"
        }


def test_who_may_not_see_namespaces_uses_the_one_that_is_there(capsys):
    refused = {"/api/v1/namespaces": FORBIDDEN, "/api/v1/namespaces/ns-0": FORBIDDEN}
    with serving(Live([], refused)) as server:
        answer = ask(capsys, server, rendered_by())
    assert answer["kept_namespaces"] == ["ns-0"]
    assert titles(answer["apply"]) == ["Service web-0", "Deployment web-0"]


def test_who_may_not_list_namespaces_is_asked_for_one(capsys):
    rendered = rendered_by()

    def respond(request):
        if request.path == "/api/v1/namespaces/ns-0":
            return Answer(rendered[1][0])
        return Live([], {"/api/v1/namespaces": FORBIDDEN})(request)

    with serving(respond) as server:
        answer = ask(capsys, server, rendered)
    assert answer["kept_namespaces"] == []
    assert titles(answer["apply"]) == ["Service web-0", "Deployment web-0"]


def existing(rendered, path, answer):
    return Live(rendered[1], {path: answer})


def test_rights_that_are_needed(capsys):
    rendered = rendered_by()
    path = "/apis/apps/v1/namespaces/ns-0/deployments"
    with serving(existing(rendered, path, FORBIDDEN)) as server:
        answer = ask(capsys, server, rendered)
    assert answer["failed"]
    assert "User tom cannot list it. Ask its administrator for that permission" in answer["msg"]


def test_rights_that_are_not_needed(capsys):
    rendered = rendered_by()
    path = "/apis/policy/v1/namespaces/ns-0/poddisruptionbudgets"
    with serving(existing(rendered, path, FORBIDDEN)) as server:
        answer = ask(capsys, server, rendered)
    assert titles(answer["apply"]) == ["Service web-0", "Deployment web-0"]


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces", "/api/v1/namespaces/ns-0/services"], ids=["namespaces", "other"]
)
def test_an_api_server_in_trouble(capsys, path):
    rendered = rendered_by()
    trouble = refusal(500, "InternalError", "etcd has no leader")
    with serving(existing(rendered, path, trouble)) as server:
        answer = ask(capsys, server, rendered)
    assert answer["failed"]
    assert "etcd has no leader" in answer["msg"]


def test_an_api_server_in_trouble_about_one_namespace(capsys):
    trouble = refusal(500, "InternalError", "etcd has no leader")
    with serving(Live([], {"/api/v1/namespaces/ns-0": trouble})) as server:
        answer = ask(capsys, server, rendered_by())
    assert "etcd has no leader" in answer["msg"]


def test_no_labels(capsys):
    with serving(Live([])) as server:
        answer = ask(capsys, server, rendered_by(), labels={})
    assert answer["msg"] == "labels must hold at least one label, by which ours are recognized."
    assert server.requests == []
