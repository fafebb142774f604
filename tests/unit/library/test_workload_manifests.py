"""The module as Ansible calls it, and its manifests validated by a real API server."""

from __future__ import annotations

import json

import pytest
import workload_manifests
import yaml

from support import workload_examples as examples
from support.fresh_module import fresh_module
from support.run_module import run_module

APP = {"name": "diabetes", "image": "diabetes:v1", "port": 8080}


def render(capsys, *workloads, **options):
    given = {"apps": [APP], "labels": examples.LABELS, **options}
    return run_module(workload_manifests, capsys, workloads=list(workloads), **given)


def test_defaults(capsys):
    answer = render(capsys, {"name": "web", "app": "diabetes", "namespace": "ml"})
    assert not answer["changed"]
    [one] = answer["workloads"]
    found = one.pop("objects")
    written = one.pop("yaml")
    configuration = one.pop("configuration")
    assert one == {
        "name": "web",
        "namespace": "ml",
        "kind": "Deployment",
        "app": "diabetes",
        "image": "diabetes:v1",
        "replicas": 2,
        "autoscaled": False,
        "service_name": "web",
        "service_port": 8080,
        "expose": "LoadBalancer",
        "port": 8080,
        "checks": [],
    }
    assert configuration.startswith("sha256:")
    assert [each["kind"] for each in found] == ["Service", "Deployment"]
    assert [*yaml.safe_load_all(written)] == answer["namespaces"] + found


def test_everything(capsys):
    asked = {**examples.EVERYTHING, "autoscale": {"min_replicas": 2, "max_replicas": 6}}
    asked["disruption_budget"] = {"max_unavailable": 1}
    app = {**APP, "resources": examples.RESOURCES, "checks": [{"path": "/", "expected": [1.5]}]}

    answer = render(capsys, {"name": "web", "app": "diabetes", **asked}, apps=[app])

    [one] = answer["workloads"]
    assert [each["kind"] for each in one["objects"]] == [
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
        "HorizontalPodAutoscaler",
    ]
    scaler = one["objects"][-1]["spec"]
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert one["checks"] == app["checks"]


def test_namespace_default_is_not_written(capsys):
    [one] = render(capsys, {"name": "web", "app": "diabetes"})["workloads"]
    assert "kind: Namespace" not in one["yaml"]


def test_no_yaml(capsys):
    [one] = render(capsys, {"name": "web", "app": "diabetes"}, yaml=False)["workloads"]
    assert "yaml" not in one


def test_the_same_bytes(capsys):
    given = {"name": "web", "app": "diabetes", **examples.EVERYTHING, "autoscale": None}
    given["disruption_budget"] = {"max_unavailable": 1}
    one, other = (render(capsys, given) for _ in range(2))
    assert json.dumps(one) == json.dumps(other)


def test_every_problem_in_one_message(capsys):
    answer = render(
        capsys,
        {"name": "web", "app": "diabetes", "replicas": 0},
        {"name": "api", "app": "x"},
    )
    assert answer["failed"]
    assert answer["msg"].splitlines() == [
        "Workload web in default: replicas must be 1 or more, not 0.",
        "Workload api in default: app must be the name of one of apps (diabetes), not x.",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "Pod"}, ["kind", "Deployment, ReplicationController"]),
        ({"expose": "Ingress"}, ["expose", "LoadBalancer, NodePort, ClusterIP"]),
        ({"replica": 1}, ["replica", "Supported parameters include"]),
        ({"disruption_budget": {}}, ["min_available", "max_unavailable"]),
        (
            {"disruption_budget": {"min_available": 1, "max_unavailable": 1}},
            ["mutually exclusive"],
        ),
    ],
    ids=str,
)
def test_what_ansible_refuses(capsys, options, words):
    answer = render(capsys, {"name": "web", "app": "diabetes", **options})
    assert answer["failed"]
    for word in words:
        assert word in answer["msg"]


def test_no_yaml_package(capsys):
    with fresh_module("workload_manifests", "yaml") as module:
        answer = run_module(module, capsys, workloads=[], apps=[], labels={})
    assert answer["failed"]
    assert "(PyYAML)" in answer["msg"]


WORKLOADS = {
    "plain": {},
    "everything": {
        **{key: value for key, value in examples.EVERYTHING.items() if key != "namespace"},
        "autoscale": {"min_replicas": 2, "max_replicas": 6},
        "disruption_budget": {"max_unavailable": 1},
    },
    "controller": {
        "kind": "ReplicationController",
        "disruption_budget": {"min_available": "50%"},
        "network_policy": True,
    },
    "bare": {"probes": False, "graceful": False, "expose": "ClusterIP"},
}


@pytest.mark.parametrize("given", WORKLOADS.values(), ids=WORKLOADS)
def test_a_real_api_server_takes_them(cluster, capsys, given):
    with cluster.namespace({"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        app = {**APP, "resources": examples.RESOURCES}
        answer = render(
            capsys,
            {"name": "web", "app": "diabetes", "namespace": namespace, **given},
            apps=[app],
            registry="docker.io/example",
            digests={"diabetes": examples.DIGEST},
            pull_secret="registry",  # noqa: S106 - its name
        )
        [one] = answer["workloads"]
        dry_run = ["create", "--dry-run=server", "--filename=-", "--validate=strict"]
        for each in one["objects"]:
            cluster.kubectl(*dry_run, stdin=json.dumps(each))
        # The namespace's Pod Security refuses pods, not the controllers that create them.
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            **next(each for each in one["objects"] if "template" in each["spec"])["spec"][
                "template"
            ],
        }
        pod["metadata"] = {**pod["metadata"], "name": "web", "namespace": namespace}
        cluster.kubectl(*dry_run, stdin=json.dumps(pod))

        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
        with pytest.raises(AssertionError, match="violates PodSecurity"):
            cluster.kubectl(*dry_run, stdin=json.dumps(pod))


def test_a_real_api_server_takes_the_namespace(cluster, capsys):
    answer = render(capsys, {"name": "web", "app": "diabetes", "namespace": "test-never-made"})
    [namespace] = answer["namespaces"]
    cluster.kubectl(
        "create", "--dry-run=server", "--filename=-", "--validate=strict",
        stdin=json.dumps(namespace),
    )  # fmt: skip
