"""The module on the real pods of a real cluster."""

import json
import socket
import threading

import pytest
import workload_check

from support import documented
from support.answering_pods import (
    PATH,
    apply,
    await_rollout,
    deployment,
    login,
    pod_names,
    prepare,
    service,
    until,
)
from support.fresh_module import fresh_module
from support.run_module import run_module

CHECK = {"path": PATH, "expected": [199.6], "tolerance": 0.1}


@pytest.fixture(scope="module")
def apps(cluster):
    """A namespace with the apps to which the tests send requests."""
    with cluster.namespace() as namespace:
        prepare(cluster, namespace)
        apply(
            cluster,
            namespace,
            deployment(cluster, "good", 2),
            service("good"),
            deployment(cluster, "mixed", 1, name="mixed-right"),
            deployment(cluster, "mixed", 1, name="mixed-wrong", answer="[150.0]"),
            service("mixed"),
            deployment(cluster, "anonymous", 2, anonymous=True),
            service("anonymous"),
        )
        await_rollout(cluster, namespace, "good", "mixed-right", "mixed-wrong", "anonymous")
        yield namespace


@pytest.fixture
def url_of(cluster, apps):
    def url(name):
        def address():
            status = cluster.get("service", name, "--namespace", apps)["status"]["loadBalancer"]
            return status.get("ingress", [{}])[0].get("ip")

        return f"http://{until(address)}:8080"

    return url


def listens(place):
    with socket.socket() as client:
        return client.connect_ex(place) == 0


@pytest.fixture
def run(capsys, cluster, apps):
    before = set(threading.enumerate())

    def run_check(*workloads, **options):
        given = [
            {
                "namespace": apps,
                "service_name": workload["name"],
                "service_port": 8080,
                "port": 8080,
                "checks": [CHECK],
                **workload,
            }
            for workload in workloads
        ]
        result = run_module(
            options.pop("module", workload_check),
            capsys,
            kubeconfig=str(cluster.kubeconfig),
            context=cluster.context,
            workloads=given,
            deadline=options.pop("deadline", 30),
            retry_delay=0.05,
            **options,
        )
        assert documented.result_differences(workload_check, result) == []
        return result

    yield run_check
    # Threads of other tests, which existed before, may have ended.
    until(lambda: not set(threading.enumerate()) - before)


def test_every_replica_answers_through_the_load_balancer(run, cluster, apps, url_of):
    url = url_of("good")
    result = run({"name": "good", "url": url})
    assert not result.get("failed"), result
    assert not result["changed"]
    (good,) = result["workloads"]
    names = pod_names(cluster, apps, "good")
    assert sorted(good["answered"]) == names
    assert len(names) == 2
    assert (good["via"], good["by"], good["url"]) == ("address", "header", url)
    (check,) = good["checks"]
    assert check["value"] == [199.60306236]
    assert check["pods"] == names
    (line,) = good["summary"]
    assert line.startswith(f"{url}{PATH} answered [199.60306236] by pods {', '.join(names)} in ")
    assert good["try"] == [f"curl {url}{PATH}"]


def test_each_replica_is_asked_by_port_forward(run, cluster, apps):
    result = run({"name": "good", "service_port": 80})
    (good,) = result["workloads"]
    assert sorted(good["answered"]) == pod_names(cluster, apps, "good")
    assert (good["via"], good["by"], good["url"]) == ("port-forward", "port-forward", "")
    assert good["summary"][0].endswith(", each asked by port-forward")
    forward, curl = good["try"]
    assert forward == (
        f"kubectl --kubeconfig {cluster.kubeconfig} --context {cluster.context} "
        f"--namespace {apps} port-forward service/good 8080:80"
    )
    assert curl == f"curl http://127.0.0.1:8080{PATH}"


@pytest.mark.parametrize("by_address", [True, False])
def test_a_replica_with_another_answer_is_named(run, cluster, apps, url_of, by_address):
    url = url_of("mixed") if by_address else ""
    result = run({"name": "mixed", "url": url}, {"name": "good"})
    assert result["failed"]
    (wrong,) = [name for name in pod_names(cluster, apps, "mixed") if "wrong" in name]
    (problem,) = result["problems"]
    assert (problem["name"], problem["namespace"]) == ("mixed", apps)
    asked = f"{url}{PATH}: " if url else f"http://127.0.0.1:8080{PATH}, asked by port-forward: "
    assert problem["problem"] == result["msg"]
    assert result["msg"] == (
        f"Workload mixed in {apps}: {asked}pod {wrong} answered [150.0], "
        "expected [199.6] ± 0.1 (at [0]: 150.0 is not 199.6)"
    )
    assert [workload["name"] for workload in result["workloads"]] == ["good"]


def test_replicas_must_predict_the_same_when_nothing_is_expected(run, cluster, apps, url_of):
    result = run({"name": "mixed", "url": url_of("mixed"), "checks": [{"path": PATH}]})
    right, wrong = sorted(pod_names(cluster, apps, "mixed"))
    assert result["msg"].endswith(
        f"the pods do not predict the same: {right} answered [199.60306236], "
        f"{wrong} answered [150.0]"
    )


def test_an_app_that_names_no_pod_is_asked_pod_by_pod(run, cluster, apps, url_of):
    url = url_of("anonymous")
    result = run({"name": "anonymous", "url": url})
    (workload,) = result["workloads"]
    assert (workload["via"], workload["by"]) == ("address", "port-forward")
    assert sorted(workload["answered"]) == pod_names(cluster, apps, "anonymous")
    assert workload["summary"][0].endswith(
        ", each asked by port-forward, since the answers carry no X-Served-By of theirs"
    )


def test_pods_that_are_not_ours_are_named(run, cluster, apps):
    result = run({"name": "mixed"}, labels={"set": "mixed-right"})
    (wrong,) = [name for name in pod_names(cluster, apps, "mixed") if "wrong" in name]
    assert f"pod {wrong} answered [150.0]" in result["msg"]
    assert "it is not ours, for it lacks the label set, but app=mixed leads" in result["msg"]


def test_the_address_of_another_workload(run, url_of):
    result = run({"name": "good"}, {"name": "anonymous", "url": url_of("good")})
    assert "of workload good: the address belongs to another Service by now" in result["msg"]
    assert [workload["name"] for workload in result["workloads"]] == ["good"]


def test_nothing_listens_on_the_port_of_the_pods(run, apps):
    result = run({"name": "good", "port": 8081}, retries=0)
    assert "could not be asked: nothing listens on its port 8081" in result["msg"]
    (problem,) = result["problems"]
    assert problem["problem"].startswith(f"Workload good in {apps}: ")


def test_there_is_no_pod(run, apps):
    result = run({"name": "nobody"}, deadline=0.2)
    assert result["msg"] == (
        f"Workload nobody in {apps}: has no ready pod to ask, for 0.2 s: 'kubectl --namespace "
        f"{apps} get pods --selector app=nobody' shows them"
    )


def test_a_pod_that_crashes_when_it_is_asked(run, cluster, apps):
    apply(cluster, apps, deployment(cluster, "crashing", 1, crash=True))
    await_rollout(cluster, apps, "crashing")
    # Enough time for the kubelet of a busy machine to notice it.
    result = run({"name": "crashing"}, deadline=15)
    assert result["failed"]
    (name,) = pod_names(cluster, apps, "crashing")
    assert f"pod {name} could not be asked: " in result["msg"]
    assert "container crashing was restarted " in result["msg"]
    cluster.kubectl("delete", "deployment", "crashing", "--namespace", apps)


def test_the_service_leads_one_client_to_one_pod(run, cluster, apps):
    sticky = service(
        "sticky", selector={"app": "good"}, sessionAffinity="ClientIP", metadata={"name": "sticky"}
    )
    apply(cluster, apps, sticky)

    def address():
        status = cluster.get("service", "sticky", "--namespace", apps)["status"]["loadBalancer"]
        return status.get("ingress", [{}])[0].get("ip")

    place = (until(address), 8080)
    until(lambda: listens(place))
    url = f"http://{place[0]}:8080"
    result = run({"name": "good", "service_name": "sticky", "url": url}, deadline=5)
    message = result["msg"]
    assert " never answered in " in message
    assert "Service sticky has sessionAffinity ClientIP" in message
    assert "asked by port-forward it answers with status 200" in message
    cluster.kubectl("delete", "service", "sticky", "--namespace", apps)


def test_a_login_that_may_not_forward_ports(capsys, cluster, apps, tmp_path):
    verbs = ("--verb=get,list", "--resource=pods")
    access = tmp_path / "kubeconfig"
    access.touch(mode=0o600)
    access.write_text(json.dumps(login(cluster, apps, "reader", *verbs)))
    result = run_module(
        workload_check,
        capsys,
        kubeconfig=str(access),
        workloads=[
            {
                "name": "good",
                "namespace": apps,
                "service_name": "good",
                "service_port": 8080,
                "port": 8080,
                "checks": [CHECK],
            }
        ],
    )
    assert "this login may not forward ports (pods " in result["msg"]
    assert f"get and create of pods/portforward in namespace {apps}" in result["msg"]


def test_without_the_package_for_port_forward(run, url_of):
    with fresh_module("workload_check", "websocket") as module:
        result = run({"name": "good"}, module=module)
        by_address = run({"name": "good", "url": url_of("good")}, module=module)
    assert result["failed"]
    assert "Failed to import the required Python library (websocket-client)" in result["msg"]
    assert len(by_address["workloads"][0]["answered"]) == 2


def test_nothing_is_written_to_the_cluster(run, cluster, apps):
    run({"name": "good"})
    verbs = {
        event["verb"]
        for event in cluster.audit(apps)
        if (event.get("objectRef") or {}).get("namespace") == apps
        and event.get("userAgent", "").startswith(("docker-ml-api", "Python", "websocket"))
    }
    assert verbs
    assert verbs <= {"get", "list"}


def test_fifty_workloads(run, url_of):
    url = url_of("good")
    workloads = [{"name": "good", "url": url}] * 50
    result = run(*workloads, deadline=120)
    assert len(result["workloads"]) == 50


@pytest.mark.parametrize(
    ("workload", "options", "says"),
    [
        ({"checks": [{"path": "x"}]}, {}, "Workload good in {}: path must begin with a slash"),
        ({"url": "ftp://x"}, {}, "Workload good in {}: url must be http://HOST"),
        ({}, {"deadline": 0}, "deadline must be above 0 s"),
        ({"checks": [{"expected": 1, "expected_text": "1"}]}, {}, "mutually exclusive"),
    ],
)
def test_wrong_options(run, apps, workload, options, says):
    result = run({"name": "good", **workload}, **options)
    assert result["failed"]
    assert says.format(apps) in result["msg"]
    assert "problems" not in result


def test_no_workload(run):
    assert run()["workloads"] == []
