import copy
import json

import kubernetes_validate
import pytest
import yaml
from ansible.module_utils.docker_ml_api.kubernetes import manifests

from support import workload_examples as examples
from support.workload_examples import LABELS, app, autoscale, budget, parameters, workload

SECRET = "registry"  # noqa: S105 - its name
RC = {"kind": "ReplicationController"}
CASES = {
    "plain": {},
    "everything": examples.EVERYTHING,
    "controller": {**RC, "disruption_budget": budget(min_available="50%"), "network_policy": True},
    "bare": {"probes": False, "graceful": False},
    "inside": {"expose": "ClusterIP"},
    "node port": {"expose": "NodePort"},
}


def render(*workloads, **options):
    return manifests.render(parameters(*(workload(**one) for one in workloads or [{}]), **options))


def objects(given=None, **options):
    [one], _ = render(given or {}, **options)
    return {each["kind"]: each for each in one["objects"]}


def pod(given=None, **options):
    found = objects(given, **options)
    return (found.get("Deployment") or found["ReplicationController"])["spec"]["template"]


def container(given=None, **options):
    [one] = pod(given, **options)["spec"]["containers"]
    return one


@pytest.mark.parametrize("version", ["1.30", "1.31", "1.32", "1.33", "1.34"])
@pytest.mark.parametrize("given", CASES.values(), ids=CASES)
def test_schema(given, version):
    [one], namespaces = render(given, pull_secret=SECRET)
    for each in (*one["objects"], *namespaces):
        assert str(kubernetes_validate.validate(each, version, strict=True)) == version


def test_the_schema_would_catch_a_misspelt_field():
    one = copy.deepcopy(objects()["Service"])
    one["spec"]["sesionAffinity"] = one["spec"].pop("sessionAffinity")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, "1.34", strict=True)


@pytest.mark.parametrize("given", CASES.values(), ids=CASES)
def test_same_input_same_output(given):
    def text(options):
        return json.dumps(render(options, labels=dict(reversed([*(LABELS | {"a": "b"}).items()]))))

    def reversed_keys(value):
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed([*value])}
        return value

    assert text(given) == text(copy.deepcopy(given))
    workloads, _ = render(given)
    again, _ = render(reversed_keys(given))
    assert workloads[0]["configuration"] == again[0]["configuration"]
    assert manifests.dump(workloads[0]["objects"]) == manifests.dump(again[0]["objects"])


def test_workload():
    [one], namespaces = render(
        {**examples.EVERYTHING, "expose": "LoadBalancer"}, digests={"diabetes": examples.DIGEST}
    )
    found = one.pop("objects")
    assert one == {
        "name": "web",
        "namespace": "test-ml-app",
        "kind": "Deployment",
        "app": "diabetes",
        "image": f"docker.io/ACCOUNT/diabetes@{examples.DIGEST}",
        "replicas": 2,
        "autoscaled": True,
        "service_name": "web-lb",
        "service_port": 80,
        "expose": "LoadBalancer",
        "port": 8080,
        "checks": [{"path": "/isAlive", "expected": True}],
        "configuration": manifests.configuration(found),
    }
    assert [each["metadata"]["name"] for each in namespaces] == ["test-ml-app"]


def test_what_a_workload_does_not_say():
    [one], namespaces = render(
        {}, kind="ReplicationController", expose="NodePort", replicas=4, namespace="default"
    )
    assert (one["kind"], one["expose"], one["replicas"]) == ("ReplicationController", "NodePort", 4)
    assert (one["service_name"], one["service_port"]) == ("web", 8080)
    assert not one["autoscaled"]
    assert namespaces == []


def test_namespaces_once_each_by_name():
    given = [
        {"name": "a", "namespace": "two"},
        {"name": "b", "namespace": "one"},
        {"name": "c", "namespace": "two"},
        {"name": "d"},
    ]
    _, namespaces = render(*given)
    assert [one["metadata"]["name"] for one in namespaces] == ["one", "two"]
    labels = namespaces[0]["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "latest"
    assert LABELS.items() <= labels.items()


def test_apply_order():
    [one], _ = render(examples.EVERYTHING)
    assert [each["kind"] for each in one["objects"]] == [
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
        "HorizontalPodAutoscaler",
    ]


@pytest.mark.parametrize("given", CASES.values(), ids=CASES)
def test_labels_and_selectors(given):
    found = objects(given)
    expected = {
        **LABELS,
        "app": "web",
        "app.kubernetes.io/instance": "web",
        "app.kubernetes.io/name": "diabetes",
        **(given.get("labels") or {}),
    }
    for one in found.values():
        assert one["metadata"]["labels"] == expected
    template = {
        key: value
        for key, value in pod(given)["metadata"]["labels"].items()
        if key != "docker-ml-api/template"
    }
    assert template == expected
    selectors = [
        found["Service"]["spec"]["selector"],
        *(
            found[kind]["spec"][field]["matchLabels"]
            for kind, field in (
                ("Deployment", "selector"),
                ("PodDisruptionBudget", "selector"),
                ("NetworkPolicy", "podSelector"),
            )
            if kind in found
        ),
        *(
            [found["ReplicationController"]["spec"]["selector"]]
            if "ReplicationController" in found
            else []
        ),
    ]
    assert all(selector == {"app": "web"} for selector in selectors)


class TestConfiguration:
    def test_is_of_the_object_without_the_annotation(self):
        service = copy.deepcopy(objects({"service_annotations": {"a": "b"}})["Service"])
        annotations = service["metadata"]["annotations"]
        assert annotations.pop("a") == "b"
        found = annotations.pop("docker-ml-api/configuration")
        service["metadata"]["annotations"] = {"a": "b"}
        assert found == manifests.configuration(service)
        assert found.startswith("sha256:")
        assert len(found) == len("sha256:") + 64

    def test_does_not_depend_on_the_order(self):
        assert manifests.configuration({"a": 1, "b": "ä"}) == manifests.configuration(
            {"b": "ä", "a": 1}
        )

    def test_tells_a_change_by_object(self):
        [before], _ = render({})
        [after], _ = render({"service_port": 81})
        assert before["configuration"] != after["configuration"]
        old, new = (
            [one["metadata"]["annotations"]["docker-ml-api/configuration"] for one in each]
            for each in (before["objects"], after["objects"])
        )
        assert (old[0] != new[0], old[1] == new[1]) == (True, True)


class TestService:
    def test_plain(self):
        assert objects({"service_port": 80})["Service"]["spec"] == {
            "type": "LoadBalancer",
            "selector": {"app": "web"},
            "sessionAffinity": "None",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        }

    def test_load_balancer(self):
        service = objects(examples.EVERYTHING)["Service"]
        assert service["metadata"]["name"] == "web-lb"
        assert service["metadata"]["annotations"]["example.com/internal"] == "true"
        assert service["spec"]["loadBalancerClass"] == "example.com/lb"
        assert service["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24", "2001:db8::/32"]


class TestController:
    def test_deployment(self):
        spec = objects({"replicas": 3})["Deployment"]["spec"]
        del spec["template"]
        assert spec == {
            "replicas": 3,
            "minReadySeconds": 1,
            "progressDeadlineSeconds": 300,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
            },
        }

    def test_an_autoscaled_one_has_no_number(self):
        assert "replicas" not in objects({"autoscale": autoscale()})["Deployment"]["spec"]

    def test_a_field_that_the_api_server_would_drop_is_not_written(self):
        assert "minReadySeconds" not in objects(min_ready=0)["Deployment"]["spec"]

    def test_controller(self):
        spec = objects(RC)["ReplicationController"]["spec"]
        assert {key: spec[key] for key in spec if key != "template"} == {
            "replicas": 2,
            "minReadySeconds": 1,
            "selector": {"app": "web"},
        }

    def test_template_label_follows_the_template(self):
        def label(given):
            return pod(given | RC)["metadata"]["labels"]["docker-ml-api/template"]

        assert len(label({})) == 12
        assert label({}) == label({"service_port": 81, "replicas": 5})
        assert label({}) != label({"environment": {"A": "b"}})
        template = pod(RC)
        found = template["metadata"]["labels"].pop("docker-ml-api/template")
        assert manifests.configuration(template).startswith(f"sha256:{found}")

    def test_a_deployment_needs_none(self):
        assert "docker-ml-api/template" not in pod()["metadata"]["labels"]


class TestPod:
    def test_spec(self):
        spec = pod()["spec"]
        del spec["containers"]
        assert spec == {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 30,
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app": "web"}},
                    "matchLabelKeys": ["pod-template-hash"],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        }

    def test_a_controllers_pods_have_no_hash_to_be_spread_by(self):
        [spread] = pod(RC)["spec"]["topologySpreadConstraints"]
        assert "matchLabelKeys" not in spread

    def test_where_to_run(self):
        spec = pod(examples.EVERYTHING, pull_secret=SECRET)["spec"]
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
        assert spec["tolerations"] == [
            {"key": "ml", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "ml", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
        ]

    def test_not_graceful(self):
        assert pod({"graceful": False})["spec"]["terminationGracePeriodSeconds"] == 1
        assert "lifecycle" not in container(graceful=False)


class TestContainer:
    def test_plain(self):
        probe = {"port": "http", "scheme": "HTTP"}
        assert container() == {
            "name": "web",
            "image": "docker.io/ACCOUNT/diabetes:v1",
            "imagePullPolicy": "Always",
            "env": [
                {"name": "PORT", "value": "8080"},
                {
                    "name": "INSTANCE_NAME",
                    "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
                },
            ],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            "resources": {
                "requests": {"cpu": "50m", "memory": "160Mi"},
                "limits": {"cpu": "1", "memory": "512Mi"},
            },
            "startupProbe": {
                "httpGet": {"path": "/isAlive", **probe},
                "periodSeconds": 1,
                "timeoutSeconds": 3,
                "failureThreshold": 120,
            },
            "readinessProbe": {
                "httpGet": {"path": "/prediction/?f=0.05", **probe},
                "periodSeconds": 2,
                "timeoutSeconds": 3,
                "failureThreshold": 3,
            },
            "livenessProbe": {
                "httpGet": {"path": "/isAlive", **probe},
                "periodSeconds": 10,
                "timeoutSeconds": 5,
                "failureThreshold": 6,
            },
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        }

    @pytest.mark.parametrize(
        ("registry", "digests", "image", "policy"),
        [
            ("docker.io/ACCOUNT", None, "docker.io/ACCOUNT/diabetes:v1", "Always"),
            (
                "127.0.0.1:5000",
                {"diabetes": examples.DIGEST},
                f"127.0.0.1:5000/diabetes@{examples.DIGEST}",
                "IfNotPresent",
            ),
            ("127.0.0.1:5000", {"other": examples.DIGEST}, "127.0.0.1:5000/diabetes:v1", "Always"),
            ("", None, "diabetes:v1", "IfNotPresent"),
        ],
    )
    def test_image(self, registry, digests, image, policy):
        found = container(registry=registry, digests=digests)
        assert (found["image"], found["imagePullPolicy"]) == (image, policy)

    def test_environment_arrives_as_it_is(self):
        assert container(examples.EVERYTHING)["env"][2:] == [
            {"name": "EMPTY"},
            {"name": "GREETING", "value": "$$(PORT) $$"},
            {"name": "PREDICTION_THREADS", "value": "2"},
        ]

    def test_resources_of_the_workload_come_first(self):
        assert container(examples.EVERYTHING)["resources"] == {
            "requests": {"cpu": "100m", "memory": "160Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        }

    def test_no_resources(self):
        assert "resources" not in container(apps=[app(resources=None)])

    def test_paths_that_are_not_said(self):
        one = container(apps=[app(alive_path="/", ready_path=None)])
        assert one["readinessProbe"]["httpGet"]["path"] == "/"

    def test_no_probes(self):
        assert not [key for key in container({"probes": False}) if "Probe" in key]
        assert [key for key in container({"probes": True}, probes=False) if "Probe" in key]

    def test_no_pre_stop(self):
        assert "lifecycle" not in container(pre_stop=0)


def test_autoscaler():
    assert objects({"autoscale": autoscale()})["HorizontalPodAutoscaler"]["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (budget(max_unavailable=1), {"maxUnavailable": 1}),
        (budget(max_unavailable="50%"), {"maxUnavailable": "50%"}),
        (budget(min_available="1"), {"minAvailable": 1}),
    ],
    ids=str,
)
def test_disruption_budget(given, expected):
    assert objects({"disruption_budget": given})["PodDisruptionBudget"]["spec"] == {
        "selector": {"matchLabels": {"app": "web"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        **expected,
    }


def test_network_policy():
    assert objects({"network_policy": True})["NetworkPolicy"]["spec"] == {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": 8080, "protocol": "TCP"}]}],
    }


class TestDump:
    def test_what_is_read_is_what_was_written(self):
        [one], namespaces = render(examples.EVERYTHING)
        written = namespaces + one["objects"]
        assert [*yaml.safe_load_all(manifests.dump(written))] == written

    def test_form(self):
        text = manifests.dump(
            [
                {
                    "spec": {"b": [{"image": "x", "a": 1, "name": "web"}], "a": {}, "c": []},
                    "metadata": {"labels": {"z": "1"}, "namespace": "p", "name": "o"},
                    "kind": "K",
                    "apiVersion": "v1",
                },
                {"kind": "L"},
            ]
        )
        assert text == (
            "---\napiVersion: v1\nkind: K\nmetadata:\n  name: o\n  namespace: p\n  labels:\n"
            '    z: "1"\nspec:\n  a: {}\n  b:\n    - name: web\n      image: x\n      a: 1\n'
            "  c: []\n"
            "---\nkind: L\n"
        )

    @pytest.mark.parametrize(
        "text",
        ["1", "1.5", "1e3", "1E-3", "0o17", "017", "0x1f", "1_000", "12:30", "y", "N", "yes", "on",
         "null", "~", "true", "", " a", "a: b", "#a", ".5", "+1", "-", "1.2.3"],
    )  # fmt: skip
    def test_text_stays_text(self, text):
        [written] = manifests.dump([{"a": text}]).splitlines()[1:]
        assert written.removeprefix("a: ")[0] in "\"'"

    @pytest.mark.parametrize("text", ["500m", "64Mi", "v1", "25%", "docker.io/a/b:v1", "http"])
    def test_plain_text_has_no_quotes(self, text):
        assert manifests.dump([{"a": text}]) == f"---\na: {text}\n"

    def test_the_same_list_twice_is_written_twice(self):
        shared = {"x": "y"}
        assert "&" not in manifests.dump([{"a": shared, "b": shared}])
