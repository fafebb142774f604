"""What the check asks of a cluster: few requests, and hints that never fail."""

import pytest
from ansible.module_utils.docker_ml_api.checks.http import (
    Question,
    RequestFailedError,
)
from ansible.module_utils.docker_ml_api.checks.replicas import Replica
from ansible.module_utils.docker_ml_api.checks.runner import Check
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access
from ansible.module_utils.docker_ml_api.kubernetes.workload_pods import (
    ClusterSurroundings,
    pods_by_workload,
)

from support.api_server import Answer, refusal, serving
from support.fresh_module import fresh_module

REPLICA = Replica("web-a", "web-a", True, False)
WORKLOAD = {"name": "web", "namespace": "default", "service_name": "web-lb", "port": 8080}
CHECK = Check(Question("GET", "http://127.0.0.1:8080/"))


def pod(name, app="web"):
    return {"metadata": {"name": name, "labels": {"app": app, "env": "prod"}}}


def listing(*items):
    return Answer({"kind": "List", "items": list(items)})


def connect(server):
    return cluster_access.connect({"kubeconfig": server.kubeconfig()})


def surroundings(server, check=None, owners=None):
    return ClusterSurroundings(
        connect(server), WORKLOAD, client=None, owners=owners or {}, check=check, timeout=1.0
    )


def test_pods_of_many_workloads():
    names = [f"w{number}" for number in range(60)]

    def respond(request):
        selector = request.query["labelSelector"]
        assert selector.startswith("app in (")
        wanted = selector.removeprefix("app in (").removesuffix(")").split(",")
        assert len(wanted) <= 50
        return listing(*(pod(f"{app}-a", app) for app in wanted if app != "w59"))

    with serving(respond) as server:
        wanted = [*(("default", name) for name in names), ("there", "w0")]
        found = pods_by_workload(connect(server), wanted)
    assert len(found) == 61
    assert [one["metadata"]["name"] for one in found["default", "w7"]] == ["w7-a"]
    assert found["default", "w59"] == []
    assert [request.path for request in server.requests] == [
        "/api/v1/namespaces/default/pods",
        "/api/v1/namespaces/default/pods",
        "/api/v1/namespaces/there/pods",
    ]


def test_no_workload_asks_nothing():
    with serving(lambda _: listing()) as server:
        assert pods_by_workload(connect(server), []) == {}
    assert server.requests == []


def test_pods_of_one_workload():
    with serving(lambda _: listing(pod("web-a"))) as server:
        (found,) = surroundings(server).read()
    assert found["metadata"]["name"] == "web-a"
    assert server.requests[0].query["labelSelector"] == "app=web"


def test_pods_of_other_workloads():
    with serving(lambda _: listing()) as server:
        around = surroundings(server, owners={"web-a": "web", "old-a": "old"})
    assert [around.elsewhere(name) for name in ("web-a", "old-a", "x")] == ["", "old", ""]


# What: the answers by the last part of the path, and the hint.
SERVICE = {"metadata": {"name": "web-lb"}, "spec": {"sessionAffinity": "ClientIP"}}
SLICE = {"endpoints": [{"targetRef": {"name": "web-a"}, "conditions": {"ready": True}}]}
STICKY = (
    "Service web-lb has sessionAffinity ClientIP, which leads one client to one pod: set it to None"
)


def policy(name, **labels):
    return {"metadata": {"name": name}, "spec": {"podSelector": {"matchLabels": labels}}}


HINTS = {
    "sticky": ({"pods/web-a": Answer(pod("web-a")), "services/web-lb": Answer(SERVICE)}, STICKY),
    "policies": (
        {
            "pods/web-a": Answer(pod("web-a")),
            "services/web-lb": Answer({**SERVICE, "spec": {}}),
            "networkpolicies": listing(policy("ours", env="prod"), policy("theirs", env="dev")),
        },
        "NetworkPolicy ours may keep the load balancer's way shut",
    ),
    "the Service is gone": ({"pods/web-a": Answer(pod("web-a"))}, "its Service is gone"),
    "the pod is gone": (
        {"services/web-lb": Answer(SERVICE), "networkpolicies": listing(policy("p", env="prod"))},
        STICKY,
    ),
    "not allowed": (
        {
            "pods/web-a": Answer(pod("web-a")),
            "networkpolicies": refusal(403, "Forbidden", "networkpolicies is forbidden"),
        },
        "why, could not be asked: networkpolicies is forbidden",
    ),
}


@pytest.mark.parametrize(("answers", "hint"), HINTS.values(), ids=HINTS)
def test_hints(answers, hint):
    usual = {"endpointslices": listing(SLICE), "networkpolicies": listing()}

    def respond(request):
        for end, answer in {**usual, **answers}.items():
            if request.path.endswith(f"/{end}"):
                return answer
        return refusal(404, "NotFound", "not found")

    with serving(respond) as server:
        assert surroundings(server).hint(REPLICA) == hint


def test_the_pod_itself_is_asked_for_a_hint():
    """Here the API server does not forward the port, which the hint states as well."""

    def respond(request):
        if request.path.endswith("portforward"):
            return refusal(404, "NotFound", "no such pod")
        if request.path.endswith(("endpointslices", "networkpolicies")):
            return listing(SLICE) if "slices" in request.path else listing()
        return Answer({**SERVICE, "spec": {}})

    with serving(respond) as server:
        assert surroundings(server, CHECK).hint(REPLICA) == (
            "asked by port-forward it does not answer either: it is gone (no such pod)"
        )
    forwarded = [one for one in server.requests if one.path.endswith("portforward")]
    assert [one.query for one in forwarded] == [{"ports": "8080"}]


def test_a_client_of_one_pod():
    answer = refusal(403, "Forbidden", "no")
    with serving(lambda _: answer) as server:
        client = surroundings(server).forward("web-a")
        with pytest.raises(RequestFailedError, match="this login may not forward ports"):
            client(CHECK.question, 1.0)


def test_without_the_package_for_port_forward():
    name = "ansible.module_utils.docker_ml_api.kubernetes.workload_pods"
    with (
        serving(lambda _: listing()) as server,
        fresh_module(name, "websocket") as module,
    ):
        connected = module.Cluster(connect(server).access)
        around = module.ClusterSurroundings(
            connected, WORKLOAD, client=None, owners={}, check=CHECK, timeout=1.0
        )
        with pytest.raises(module.ClusterError, match=r"Python library \(websocket-client\)"):
            around.forward("web-a")
        assert around.hint(REPLICA).startswith("why, could not be asked: Failed to import")
