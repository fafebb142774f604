import workload_info

from support import documented
from support.api_server import Answer, refusal, serving
from support.run_module import run_module

LABELS = {"app.kubernetes.io/managed-by": "docker-ml-api"}


def controller(name, namespace="default", **labels):
    own = {"app.kubernetes.io/instance": name} if name else {}
    return {"metadata": {"name": "c", "namespace": namespace, "labels": {**own, **labels}}}


def test_what_is_there(capsys):
    there = {
        "/apis/apps/v1/deployments": [controller("web"), controller("api", "apps"), controller("")],
        "/api/v1/replicationcontrollers": [controller("old")],
    }

    def answer(request):
        return Answer({"items": there[request.path]})

    with serving(answer) as server:
        result = run_module(workload_info, capsys, kubeconfig=server.kubeconfig(), labels=LABELS)
    assert documented.result_differences(workload_info, result) == []
    assert not result["changed"]
    assert [tuple(one.values()) for one in result["workloads"]] == [
        ("api", "apps", "Deployment"),
        ("old", "default", "ReplicationController"),
        ("web", "default", "Deployment"),
    ]
    assert {one.query["labelSelector"] for one in server.requests} == {
        "app.kubernetes.io/managed-by=docker-ml-api"
    }


def test_what_may_not_be_read(capsys):
    with serving(lambda _: refusal(403, "Forbidden", "deployments is forbidden")) as server:
        result = run_module(workload_info, capsys, kubeconfig=server.kubeconfig(), labels=LABELS)
    assert result["failed"]
    assert "deployments is forbidden" in result["msg"]
