"""The kubeconfigs for GKE, used by this project's client, the official one and kubectl."""

import base64
import importlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.docker_ml_api import private_files
from ansible.module_utils.docker_ml_api.gke import access
from ansible.module_utils.docker_ml_api.gke.access import AccessError
from ansible.module_utils.docker_ml_api.google import credential
from ansible.module_utils.docker_ml_api.kubernetes import cluster
from kubernetes import client, config

from support import gke_double
from support.api_server import Answer, make_certificate, refusal, serving
from support.run_module import run_module

AUTHORITY = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
CLUSTER = {
    "name": "hello-cluster",
    "location": "europe-west1-b",
    "status": "RUNNING",
    "endpoint": "203.0.113.7",
    "masterAuth": {"clusterCaCertificate": AUTHORITY},
    "privateClusterConfig": {"privateEndpoint": "10.0.0.2"},
    "controlPlaneEndpointsConfig": {
        "dnsEndpointConfig": {"endpoint": "gke-1.europe-west1-b.gke.goog"}
    },
}
NAME = "gke_my-project_europe-west1-b_hello-cluster"
TOKENS = {"project": "my-project", "auth_kind": "accesstoken", "access_token": "a-token"}
INHERITED = {"GCP_ACCESS_TOKEN": "a-token"}


def kubeconfig(params=TOKENS, environ=INHERITED, endpoint="external", changes=None):
    return access.kubeconfig_of({**CLUSTER, **(changes or {})}, params, endpoint, environ)


def login_of(found):
    (user,) = found["users"]
    (entry,) = user["user"]["exec"]["env"]
    assert entry["name"] == credential.LOGIN
    return json.loads(entry["value"])


def test_what_it_is_made_of():
    found = kubeconfig()
    assert found["current-context"] == NAME
    assert found["contexts"] == [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}]
    assert found["clusters"] == [
        {
            "name": NAME,
            "cluster": {
                "server": "https://203.0.113.7",
                "certificate-authority-data": AUTHORITY,
            },
        }
    ]
    command = found["users"][0]["user"]["exec"]
    assert command["command"] == sys.executable
    assert command["interactiveMode"] == "Never"
    assert command["apiVersion"] == "client.authentication.k8s.io/v1"
    assert command["args"] == [f"-Pc{Path(credential.__file__).read_text()}"]


def texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from texts(one)
    else:
        yield value


def test_no_text_is_short():
    """Each of them is masked in the output of kubernetes.core's modules."""
    assert min(len(text) for text in texts(kubeconfig())) > 4
    assert access.file_of(kubeconfig())["apiVersion"] == "v1"


ENDPOINTS = {
    "external": ({}, "external", "https://203.0.113.7", True),
    "internal": ({}, "internal", "https://10.0.0.2", True),
    "internal, newer": (
        {
            "privateClusterConfig": {},
            "controlPlaneEndpointsConfig": {"ipEndpointsConfig": {"privateEndpoint": "10.0.0.3"}},
        },
        "internal",
        "https://10.0.0.3",
        True,
    ),
    "DNS": ({}, "dns", "https://gke-1.europe-west1-b.gke.goog", False),
    "IPv6": ({"endpoint": "2001:db8::7"}, "external", "https://[2001:db8::7]", True),
}


@pytest.mark.parametrize(
    ("changes", "endpoint", "server", "own_authority"), ENDPOINTS.values(), ids=ENDPOINTS
)
def test_endpoints(changes, endpoint, server, own_authority):
    found = kubeconfig(endpoint=endpoint, changes=changes)["clusters"][0]["cluster"]
    assert found["server"] == server
    assert ("certificate-authority-data" in found) is own_authority


FAILURES = {
    "being made": (
        {"endpoint": "", "masterAuth": {}, "status": "PROVISIONING"},
        "external",
        (
            r"Cluster hello-cluster in europe-west1-b has no external endpoint or certificate "
            r"authority \(its status is PROVISIONING\): wait until it is RUNNING"
        ),
    ),
    "no internal": (
        {"privateClusterConfig": {}},
        "internal",
        r"has no internal endpoint \(its status is RUNNING\)",
    ),
    "no DNS": (
        {"controlPlaneEndpointsConfig": {}},
        "dns",
        "has no DNS endpoint: choose the endpoint external or internal",
    ),
    "no authority": (
        {"masterAuth": {"clusterCaCertificate": "%"}},
        "external",
        "has a certificate authority that is no base64",
    ),
}


@pytest.mark.parametrize(("changes", "endpoint", "words"), FAILURES.values(), ids=FAILURES)
def test_failures(changes, endpoint, words):
    with pytest.raises(AccessError, match=words):
        kubeconfig(endpoint=endpoint, changes=changes)


# What: the options, the environment, the login's keys besides auth_kind and environment.
LOGINS = {
    "key file": (
        {"auth_kind": "serviceaccount", "service_account_file": "~/key.json"},
        {},
        {"service_account_file": str(Path("~/key.json").expanduser())},
    ),
    "key inherited": (
        {"auth_kind": "serviceaccount", "service_account_contents": '{"b": 1, "a": 2}'},
        {"GCP_SERVICE_ACCOUNT_CONTENTS": '{"a": 2,   "b": 1}'},
        {},
    ),
    "token inherited": ({"auth_kind": "accesstoken", "access_token": "x"}, INHERITED | {
        "GCP_ACCESS_TOKEN": "x"
    }, {}),
    "application": ({"auth_kind": "application"}, {}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("params", "environ", "login"), LOGINS.values(), ids=LOGINS)
def test_logins_without_a_secret(params, environ, login, tmp_path):
    environ = {**environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    found = login_of(kubeconfig({"project": "my-project", **params}, environ))
    assert found == {"auth_kind": params["auth_kind"], "environment": {}, **login}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("proxy", ["http://tom:secret@127.0.0.1:3128", "tom:secret@proxy:3128"])
def test_a_proxys_password_is_in_no_kubeconfig(proxy):
    found = kubeconfig(environ={**INHERITED, "HTTPS_PROXY": proxy})
    assert login_of(found)["environment"] == {}


def test_the_way_to_google_is_told():
    environ = {
        **INHERITED,
        "https_proxy": "http://127.0.0.1:3128",
        "HTTPS_PROXY": "http://tom:secret@127.0.0.1:3128",
        "NO_PROXY": "",
        "REQUESTS_CA_BUNDLE": "/ca.pem",
        "HOME": "/home/tom",
    }
    assert login_of(kubeconfig(environ=environ))["environment"] == {
        "https_proxy": "http://127.0.0.1:3128",
        "NO_PROXY": "",
        "REQUESTS_CA_BUNDLE": "/ca.pem",
    }


SECRETS = {
    "token": ({"auth_kind": "accesstoken", "access_token": "a-token"}, "access_token_file"),
    "key": (
        {"auth_kind": "serviceaccount", "service_account_contents": '{"private_key": "a-token"}'},
        "service_account_file",
    ),
    "key as a mapping": (
        {"auth_kind": "serviceaccount", "service_account_contents": {"private_key": "a-token"}},
        "service_account_file",
    ),
}


@pytest.mark.parametrize(("params", "option"), SECRETS.values(), ids=SECRETS)
def test_secrets_given_as_options(params, option, tmp_path):
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    options = {"project": "my-project", **params}
    found = kubeconfig(options, environ)
    assert "a-token" not in json.dumps(found)
    path = Path(login_of(found)[option])
    folder = path.parent
    assert folder == tmp_path / f"docker-ml-api-{os.getuid()}"
    assert "a-token" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert kubeconfig(options, environ) == found
    assert list(folder.iterdir()) == [path]
    assert access.forget_secrets(environ) == [str(path)]
    assert list(tmp_path.iterdir()) == []
    assert access.forget_secrets(environ) == []


def test_nothing_is_kept_when_it_must_not_be(tmp_path):
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    dry = access.kubeconfig_of(CLUSTER, TOKENS, environ=environ, keep=False)
    assert list(tmp_path.iterdir()) == []
    assert access.kubeconfig_of(CLUSTER, TOKENS, environ=environ) == dry


def test_no_folder_for_secrets(tmp_path):
    (tmp_path / f"docker-ml-api-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(AccessError, match="remove it, or name the login's key with service_acc"):
        kubeconfig(environ={"XDG_RUNTIME_DIR": str(tmp_path)})


def test_secrets_that_last_beyond_a_run(tmp_path):
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), private_files.RUN: str(os.getpid())}
    path = Path(login_of(kubeconfig(environ=environ))["access_token_file"])
    assert path.parent.name == f"run-{os.getpid()}"
    lasting = Path(
        login_of(access.kubeconfig_of(CLUSTER, TOKENS, environ=environ, lasting=True))[
            "access_token_file"
        ]
    )
    assert lasting.parent == path.parent.parent
    private_files.forget_run(environ)
    assert access.forget_secrets(environ) == [str(lasting)]
    assert list(tmp_path.iterdir()) == []


# Clients, with a server that accepts the tokens issued by the double of Google.


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with gke_double.running(tmp_path_factory.mktemp("google")) as double:
        yield double


NODES = {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []}
NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}, "spec": {"policy": "Always"}}
OF_NODES = {"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ["get", "list"]}
DISCOVERY = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [OF_NODES]},
    "/api/v1/nodes/n": NODE,
}


@pytest.fixture
def site(google, tmp_path, monkeypatch):
    """The kubeconfig of a cluster, the cluster's test server, and the tokens that it refuses."""
    for name in ("GCP_ACCESS_TOKEN", "GCP_SERVICE_ACCOUNT_CONTENTS", "GCP_AUTH_KIND"):
        monkeypatch.delenv(name, raising=False)
    made = make_certificate(tmp_path, "cluster")
    over = []

    def respond(request):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token or token in over:
            return refusal(401, "Unauthorized", "who are you?")
        return Answer(DISCOVERY.get(request.path, NODES))

    with serving(respond, made.server()) as server:
        authority = base64.b64encode(made.certificate.read_bytes()).decode()
        described = {
            **CLUSTER,
            "endpoint": server.url.removeprefix("https://"),
            "masterAuth": {"clusterCaCertificate": authority},
        }
        params = {
            "project": "my-project",
            "auth_kind": "serviceaccount",
            "service_account_file": str(google.key_file),
        }
        google.forget_requests()
        yield access.kubeconfig_of(described, params, environ=google.environment), server, over


def test_our_client(site, google):
    kubeconfig, server, over = site
    connected = cluster.connect({"kubeconfig": kubeconfig})
    assert connected.name == f"The cluster of context {NAME}"
    assert connected.list("Node") == []
    assert connected.list("Node") == []
    assert [entry["api"] for entry in google.requests()] == ["token"]
    (token,) = {one.headers["authorization"] for one in server.requests}
    over.append(token.removeprefix("Bearer "))
    assert connected.list("Node") == []
    assert len({one.headers["authorization"] for one in server.requests}) == 2


def test_the_official_client(site):
    kubeconfig, *_ = site
    settings = client.Configuration()
    config.load_kube_config_from_dict(kubeconfig, client_configuration=settings)
    with client.ApiClient(settings) as api:
        assert client.CoreV1Api(api).list_node().items == []


def test_kubernetes_core(site, capsys, monkeypatch, tmp_path):
    """Its modules mask every text of the kubeconfig; their output is readable nevertheless."""
    kubeconfig, *_ = site
    monkeypatch.setenv("HOME", str(tmp_path))  # discovery is cached below the temporary folder
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    module = importlib.import_module("ansible_collections.kubernetes.core.plugins.modules.k8s_info")
    answer = run_module(module, capsys, kubeconfig=kubeconfig, kind="Node", name="n")
    assert answer["resources"] == [NODE]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubectl(site, tmp_path):
    kubeconfig, *_ = site
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(access.file_of(kubeconfig)))
    done = subprocess.run(
        ["kubectl", f"--kubeconfig={path}", "get", "--raw=/api/v1/nodes"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "NodeList"
