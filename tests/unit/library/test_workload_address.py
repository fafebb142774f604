"""The module on Services of a real cluster."""

import json

import pytest
import workload_address

from support import documented
from support.answering_pods import apply, login, service, until
from support.api_server import Answer, refusal, serving
from support.run_module import run_module

# No controller serves this class: such a Service is ignored, as on a cluster without load
# balancers.
NOBODY = {"loadBalancerClass": "example.com/nobody"}
REFUSAL = "rehearsal.docker-ml-api/load-balancer-error"


@pytest.fixture(scope="module")
def namespace(cluster):
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def run(capsys, cluster, namespace):
    def find(*workloads, **options):
        given = [
            {"namespace": namespace, "service_name": one["name"], "service_port": 8080, **one}
            for one in workloads
        ]
        access = {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context}
        # A busy machine may take long to provide a load balancer.
        usual = {"timeout": 60, "no_load_balancer_after": 60}
        result = run_module(
            workload_address, capsys, **{**access, **usual, "workloads": given, **options}
        )
        assert documented.result_differences(workload_address, result) == []
        return result

    return find


def ingress(cluster, namespace, name):
    status = cluster.get("service", name, "--namespace", namespace)["status"]
    return status["loadBalancer"].get("ingress", [{}])[0].get("ip")


def test_the_address_of_a_load_balancer(run, cluster, namespace):
    apply(cluster, namespace, service("web"), service("hello", port=80))
    result = run({"name": "web"}, {"name": "hello", "service_port": 80})
    assert not result.get("failed"), result
    assert not result["changed"]
    web, hello = result["workloads"]
    address = ingress(cluster, namespace, "web")
    assert web == {
        "name": "web",
        "namespace": namespace,
        "via": "load-balancer",
        "address": address,
        "port": 8080,
        "service_port": 8080,
        "url": f"http://{address}:8080",
        "reason": "",
        "nodes": [],
        "try": [f"curl http://{address}:8080"],
    }
    assert hello["url"] == f"http://{ingress(cluster, namespace, 'hello')}"
    # A second look finds the same, at once and only by reading.
    assert run({"name": "web"}, timeout=0)["workloads"] == [web]


def test_an_address_that_is_taken_back(run, cluster, namespace):
    apply(cluster, namespace, service("brief"))
    assert run({"name": "brief"})["workloads"][0]["address"]
    kept = {"finalizers": ["example.com/kept"]}
    cluster.kubectl(
        "patch", "service", "brief", "--namespace", namespace, "--patch",
        json.dumps({"metadata": kept}),
    )  # fmt: skip
    cluster.kubectl("delete", "service", "brief", "--namespace", namespace, "--wait=false")
    result = run({"name": "brief"})
    assert result["msg"] == (
        f"Workload brief in {namespace}: Service brief is being deleted: deploy again once it is "
        "gone."
    )
    cluster.kubectl(
        "patch", "service", "brief", "--namespace", namespace, "--type=merge", "--patch",
        json.dumps({"metadata": {"finalizers": None}}),
    )  # fmt: skip

    def gone():
        names = cluster.get("services", "--namespace", namespace)["items"]
        return "brief" not in [one["metadata"]["name"] for one in names]

    until(gone)
    assert "Service brief is not there: deploy the workload first" in run({"name": "brief"})["msg"]


def test_a_cluster_without_a_load_balancer(run, cluster, namespace):
    apply(cluster, namespace, service("lonely", **NOBODY))
    result = run({"name": "lonely"}, no_load_balancer_after=1)
    (lonely,) = result["workloads"]
    assert lonely["reason"] == (
        "this cluster has no load balancer: nothing has cared for Service lonely since its "
        "creation; set workload_expose: NodePort or ClusterIP to say so"
    )
    assert (lonely["via"], lonely["url"], lonely["address"]) == ("port-forward", "", "")
    assert lonely["port"] == 8080
    forward, curl = lonely["try"]
    assert forward.endswith(f"--namespace {namespace} port-forward service/lonely 8080:8080")
    assert curl == "curl http://127.0.0.1:8080"
    # The Service is old enough by now: no time to wait is given, and none is needed.
    assert run({"name": "lonely"}, no_load_balancer_after=1, timeout=0)["workloads"] == [lonely]


def test_a_load_balancer_that_is_not_there_in_time(run, cluster, namespace):
    apply(cluster, namespace, service("slow", **NOBODY))
    result = run({"name": "slow"}, no_load_balancer_after=300, timeout=0.5)
    assert result["msg"] == (
        f"Workload slow in {namespace}: nothing has cared for a load balancer of Service slow "
        "yet; seen last: no event (waited 0.5 s). 'kubectl --namespace "
        f"{namespace} describe service slow' says more; raise workload_address_timeout, or set "
        "workload_expose: NodePort or ClusterIP."
    )


def test_a_load_balancer_that_cannot_be_made(run, cluster, namespace):
    metadata = {"name": "poor", "annotations": {REFUSAL: "Quota 'FORWARDING_RULES' exceeded."}}
    apply(cluster, namespace, service("poor", metadata=metadata), service("rich"))
    result = run({"name": "poor"}, {"name": "rich"})
    assert result.get("failed"), result
    (problem,) = result["problems"]
    assert (problem["name"], problem["namespace"]) == ("poor", namespace)
    assert problem["problem"] == result["msg"]
    assert result["msg"].startswith(
        f"Workload poor in {namespace}: Service poor gets no load balancer: SyncLoadBalancerFailed"
    )
    assert "Quota 'FORWARDING_RULES' exceeded" in result["msg"]
    assert "Fix that and run again" in result["msg"]
    assert [one["name"] for one in result["workloads"]] == ["rich"]

    # After the fix, the Service gets its address: the earlier failure does not matter.
    cluster.kubectl("annotate", "service", "poor", "--namespace", namespace, f"{REFUSAL}-")
    until(lambda: ingress(cluster, namespace, "poor"))
    assert run({"name": "poor"})["workloads"][0]["via"] == "load-balancer"


def test_services_of_other_types(run, cluster, namespace):
    apply(cluster, namespace, service("node", "NodePort"), service("inner", "ClusterIP", port=80))
    result = run(
        {"name": "node", "expose": "NodePort"},
        {"name": "inner", "expose": "ClusterIP", "service_port": 80},
    )
    node, inner = result["workloads"]
    live = cluster.get("service", "node", "--namespace", namespace)["spec"]["ports"][0]["nodePort"]
    assert (node["via"], node["url"], node["port"]) == ("port-forward", "", live)
    assert node["nodes"]
    assert node["address"] == node["nodes"][0]["address"]
    assert node["try"][0] == f"curl http://{node['address']}:{live}"
    assert (inner["via"], inner["url"], inner["port"]) == ("port-forward", "", 80)
    assert inner["try"][0].endswith("port-forward service/inner 8080:80")
    assert "inside the cluster only" in inner["reason"]


def test_another_type_and_another_port(run, cluster, namespace):
    apply(cluster, namespace, service("other", "ClusterIP", port=9000))
    result = run({"name": "other"})
    assert result["msg"] == (
        f"Workload other in {namespace}: Service other is of type ClusterIP, not LoadBalancer: "
        "deploy the workload again (--tags workloads), or set workload_expose: ClusterIP."
    )
    assert run({"name": "other", "expose": "ClusterIP"})["workloads"][0]["port"] == 9000


def test_services_that_are_not_ours(run, cluster, namespace):
    apply(cluster, namespace, service("labelled", "ClusterIP"))
    asked = {"name": "labelled", "expose": "ClusterIP"}
    assert run(asked, labels={"made-by": "test"})["workloads"]
    assert "is not there" in run(asked, labels={"made-by": "somebody"})["msg"]


def test_a_login_that_may_read_services_only(run, cluster, namespace, tmp_path):
    """It may not read nodes and events: reading Services is enough."""
    access = login(cluster, namespace, "reader", "--verb=list", "--resource=services")
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(access))
    apply(cluster, namespace, service("few", "NodePort"), service("none", **NOBODY))
    result = run(
        {"name": "few", "expose": "NodePort"},
        {"name": "none"},
        kubeconfig=str(path),
        no_load_balancer_after=0,
    )
    few, none = result["workloads"]
    assert (few["nodes"], few["address"]) == ([], "")
    assert none["via"] == "port-forward"


def test_an_error_of_the_cluster_is_told(run):
    result = run({"name": "web", "namespace": "Not/A/Namespace"})
    assert result["failed"]
    assert "problems" not in result


def a_service(kind="LoadBalancer", **ingress):
    return {
        "metadata": {"name": "web", "uid": "u1", "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"type": kind, "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [ingress]} if ingress else {}},
    }


def answering(found, **others):
    """An API server with one Service; `others` are its answers for other kinds, or their errors."""

    def respond(request):
        kind = request.path.rpartition("/")[2]
        if kind == "services":
            return Answer({"items": [found]})
        return others.get(kind, Answer({"items": []}))

    return serving(respond)


@pytest.mark.parametrize("kind", ["events", "nodes"])
@pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (500, "InternalError")])
def test_events_and_nodes_that_are_refused(run, kind, status, reason):
    """If the login may not read them, they are not used; any other refusal is reported."""
    found = a_service("NodePort" if kind == "nodes" else "LoadBalancer")
    with answering(found, **{kind: refusal(status, reason, f"no {kind}")}) as server:
        result = run(
            {"name": "web", "expose": found["spec"]["type"]},
            kubeconfig=server.kubeconfig(),
            context="here",
            no_load_balancer_after=0,
            timeout=0,
        )
    assert bool(result.get("failed")) is (reason != "Forbidden")
    assert (f"no {kind}" in result.get("msg", "")) is (reason != "Forbidden")


def test_a_host_name_that_is_not_known(run):
    with answering(a_service(hostname="load-balancer.invalid")) as server:
        access = {"kubeconfig": server.kubeconfig(), "context": "here"}
        result = run({"name": "web"}, timeout=0, **access)
    assert (
        "the load balancer of Service web has the name load-balancer.invalid, which cannot be "
        "looked up yet"
    ) in result["msg"]


def test_a_host_name_that_a_proxy_would_look_up(run, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with answering(a_service(hostname="load-balancer.invalid")) as server:
        access = {"kubeconfig": server.kubeconfig(), "context": "here"}
        (web,) = run({"name": "web"}, timeout=0, **access)["workloads"]
    assert web["url"] == "http://load-balancer.invalid"


@pytest.mark.parametrize("option", ["timeout", "no_load_balancer_after"])
def test_wrong_options(run, option):
    result = run({"name": "web"}, **{option: -1})
    assert result["msg"] == f"{option} must be 0 s or more, it is -1"


def test_no_workload(run):
    assert run()["workloads"] == []
