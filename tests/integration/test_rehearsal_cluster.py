"""The shared cluster behaves like any Kubernetes in everything that the project relies on."""

import contextlib
import json
import re
import socket
import subprocess
import time

import pytest
import requests

WITHIN = 120.0


def until(found, what):
    end = time.monotonic() + WITHIN
    while not (value := found()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return value


def pod_spec(image, secret):
    return {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": secret}],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "10Mi"}}],
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "app",
                "image": image,
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "200m", "memory": "64Mi"},
                },
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def deploy(cluster, namespace, name, replicas=1):
    labels = {"app": name}
    spec = pod_spec(cluster.image(name), "registry")
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(deployment))


def pods(cluster, namespace, app):
    return cluster.get("pods", "-n", namespace, "-l", f"app={app}")["items"]


@pytest.fixture(scope="module", autouse=True)
def rehearsal(cluster):
    """Return the rehearsal's layout; skip these tests on any other cluster."""
    return cluster.rehearsal("address")


@pytest.fixture(scope="module")
def served(cluster):
    """A namespace that enforces `restricted`, with two pods behind a load balancer."""
    with cluster.namespace({"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        cluster.pull_secret(namespace)
        deploy(cluster, namespace, "web", replicas=2)
        options = ("--port=80", "--target-port=http", "--type=LoadBalancer")
        cluster.kubectl("expose", "deployment", "web", "-n", namespace, *options)
        cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
        until(lambda: address(cluster, namespace, "web"), "no address")
        yield namespace


def service(cluster, namespace, name):
    return cluster.get("service", name, "-n", namespace)


def address(cluster, namespace, name):
    found = service(cluster, namespace, name)["status"]["loadBalancer"].get("ingress", [{}])
    return found[0].get("ip", "")


def get(url):
    try:
        return requests.get(url, timeout=5).text
    except requests.RequestException as error:
        return str(error)


def in_pod(cluster, namespace, command):
    (pod, *_) = pods(cluster, namespace, "web")
    name = pod["metadata"]["name"]
    return cluster.kubectl("exec", "-n", namespace, name, "--", "sh", "-c", command)


def test_load_balancer_answers_on_this_machine(cluster, served):
    found = address(cluster, served, "web")
    assert re.fullmatch(r"127\.0\.10\.\d+", found)
    until(lambda: get(f"http://{found}/") == "ok\n", "no answer")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.199.32.1"])
def test_node_port_answers(cluster, served, host):
    port = service(cluster, served, "web")["spec"]["ports"][0]["nodePort"]
    until(lambda: get(f"http://{host}:{port}/") == "ok\n", "no answer")


def test_cluster_address_answers(cluster, served):
    found = service(cluster, served, "web")["spec"]["clusterIP"]
    until(lambda: get(f"http://{found}/") == "ok\n", "no answer")


@pytest.mark.parametrize("name", ["web", "web.{}", "web.{}.svc.cluster.local"])
def test_pods_reach_services_by_name(cluster, served, name):
    # Often enough that the pod's own endpoint is selected, too.
    url = f"http://{name.format(served)}/"
    said = in_pod(cluster, served, f"for i in 1 2 3 4 5 6 7 8; do timeout 10 wget -qO- {url}; done")
    assert said == "ok\n" * 8


def test_pods_reach_the_api(cluster, served):
    url = "https://kubernetes.default/version"
    said = in_pod(cluster, served, f"timeout 10 wget --no-check-certificate -qO- {url}")
    assert json.loads(said)["gitVersion"].startswith("v1.34.")


def test_other_names_are_denied_at_once(cluster, served):
    said = in_pod(cluster, served, "busybox nslookup example.test. || true")
    assert "NXDOMAIN" in said


def test_pods_reach_nothing_outside(cluster, served):
    said = in_pod(cluster, served, "timeout 10 wget -O- http://192.0.2.77/ 2>&1 || true")
    assert "can't connect" in said


def test_root_is_read_only_and_temporary_files_are_not(cluster, served):
    said = in_pod(cluster, served, "echo a > /data/a && cat /data/a; echo b > /b || true")
    assert said == "a\n"


def test_logs(cluster, served):
    deploy(cluster, served, "crash")

    def restarted():
        for pod in pods(cluster, served, "crash"):
            for status in pod["status"].get("containerStatuses", []):
                if status["restartCount"]:
                    return pod["metadata"]["name"]
        return None

    name = until(restarted, "it does not crash")
    wanted = "loading the model\ncannot load the model: no such file\n"

    def logged():
        with contextlib.suppress(AssertionError):  # while the next container starts
            return cluster.kubectl("logs", "-n", served, name) == wanted
        return False

    until(logged, "no log")


def test_pod_that_is_never_ready(cluster, served):
    deploy(cluster, served, "never-ready")

    def events():
        found = cluster.get("events", "-n", served)["items"]
        return [each for each in found if "statuscode: 503" in each["message"]]

    until(events, "no event")


def test_port_forward(cluster, served):
    options = [f"--kubeconfig={cluster.kubeconfig}", f"--context={cluster.context}"]
    command = [cluster.program, *options, "port-forward", "-n", served, "service/web", ":80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            port = re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())[1]
            assert get(f"http://127.0.0.1:{port}/") == "ok\n"
        finally:
            forward.terminate()


def test_metrics(cluster, served):
    def measured(*what):
        with contextlib.suppress(AssertionError):  # no metrics yet
            return cluster.kubectl("top", *what, "--no-headers")
        return ""

    of_pods = until(lambda: measured("pods", "-n", served, "-l", "app=web"), "no pod is measured")
    assert re.search(r"^web-\S+ +\d+m +\d+Mi", of_pods)
    of_nodes = until(lambda: measured("nodes"), "no node is measured")
    assert of_nodes.startswith("rehearsal ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hostNetwork": True}, "violates PodSecurity"),
        ({"securityContext": {}}, "violates PodSecurity"),
    ],
)
def test_pod_security_is_enforced(cluster, served, change, message):
    spec = pod_spec("127.0.20.2:5000/x", "registry") | change
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}
    with pytest.raises(AssertionError, match=message):
        cluster.kubectl("create", "-n", served, "-f", "-", stdin=json.dumps(pod))


def test_quota_is_enforced(cluster):
    with cluster.namespace() as namespace:
        cluster.kubectl("create", "quota", "few", "-n", namespace, "--hard=configmaps=1")

        def created(name):
            try:
                cluster.kubectl("create", "configmap", name, "-n", namespace)
            except AssertionError as error:
                return str(error)
            return ""

        names = (f"c{number}" for number in range(1000))  # the usage is counted with a delay
        until(lambda: "exceeded quota: few" in created(next(names)), "the quota does not hold")


def test_pull_without_a_login_is_refused(cluster):
    with cluster.namespace() as namespace:
        image = cluster.image("web", f"{namespace}\n")  # not yet on the node
        cluster.kubectl("run", "web", "-n", namespace, f"--image={image}")

        def waiting():
            statuses = cluster.get("pod", "web", "-n", namespace)["status"]
            for status in statuses.get("containerStatuses", []):
                reason = status["state"].get("waiting", {}).get("reason", "")
                if reason in {"ErrImagePull", "ImagePullBackOff"}:
                    return status["state"]["waiting"]["message"]
            return ""

        assert "401 Unauthorized" in until(waiting, "it does not fail")


def test_load_balancer_that_the_cloud_refuses(cluster):
    """As in a cloud, the Service's events tell the reason, and a later attempt succeeds."""
    annotation = "rehearsal.docker-ml-api/load-balancer-error"
    with cluster.namespace() as namespace:
        document = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "annotations": {annotation: "quota exceeded"}},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": "web"}},
        }
        cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(document))

        def failed():
            found = cluster.get("events", "-n", namespace)["items"]
            return [each for each in found if "quota exceeded" in each["message"]]

        events = until(failed, "no event")
        assert events[0]["reason"] == "SyncLoadBalancerFailed"
        assert address(cluster, namespace, "web") == ""
        cluster.kubectl("annotate", "service", "web", "-n", namespace, f"{annotation}-")
        until(lambda: address(cluster, namespace, "web"), "no address")


def test_address_of_a_deleted_service_is_given_again(cluster):
    with cluster.namespace() as namespace:
        # The last address: other tests get the first free one, which could be a released one.
        wanted = "127.0.10.254"
        create = ("create", "service", "loadbalancer", "web", "-n", namespace, "--tcp=80")
        document = json.loads(cluster.kubectl(*create, "--dry-run=client", "--output=json"))
        document["spec"]["loadBalancerIP"] = wanted
        for _ in range(2):
            cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(document))
            assert until(lambda: address(cluster, namespace, "web"), "no address") == wanted
            cluster.kubectl("delete", "service", "web", "-n", namespace)


def test_requests_of_the_kubeconfig_are_told_from_those_of_components(cluster):
    with cluster.namespace() as namespace:
        cluster.kubectl("create", "configmap", "mine", "-n", namespace)

        def written():
            return [
                event
                for event in cluster.audit(namespace)
                if event.get("objectRef", {}).get("namespace") == namespace
                and event["verb"] == "create"
                and event["objectRef"]["resource"] == "configmaps"
            ]

        until(lambda: len(written()) >= 2, "nothing in the audit log")
        users = {event["objectRef"].get("name"): event["user"]["username"] for event in written()}
        assert users["mine"] == "rehearsal-admin"
        assert users["kube-root-ca.crt"].startswith("system:serviceaccount:kube-system:")


@pytest.mark.parametrize("port", [10250, 443])
def test_node_asks_for_a_login(rehearsal, port):
    authority = rehearsal.certificates / "ca.crt"
    answer = requests.get(f"https://10.199.32.1:{port}/pods", verify=authority, timeout=5)
    assert answer.status_code in {401, 403}


def test_registry_asks_for_a_login(cluster):
    assert requests.get(f"http://{cluster.registry}/v2/", timeout=5).status_code == 401


@pytest.mark.parametrize("port", [443, 2379, 5000, 10250, 10257, 10259])
def test_nothing_listens_on_the_machines_own_addresses(cluster, port):  # noqa: ARG001
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: the route selects the address
        own = probe.getsockname()[0]
    with socket.socket() as client:
        client.settimeout(2)
        assert client.connect_ex((own, port)) != 0
