"""The client with a server of this test; the modules' tests use a real cluster."""

import base64
import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3
from ansible.module_utils.docker_ml_api.kubernetes import cluster
from ansible.module_utils.docker_ml_api.kubernetes.cluster import (
    ApiError,
    ClusterError,
    UnreachableError,
    path_of,
)

from support import ROOT, ports
from support.api_server import (
    Answer,
    kubeconfig,
    make_certificate,
    plugin_giving,
    refusal,
    serving,
)

POD = {"metadata": {"name": "p"}}
TOKEN = "t0ken"  # noqa: S105 - of a server that lives as long as a test


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def connect(source, context=None):
    return cluster.connect({"kubeconfig": source, "context": context})


@pytest.fixture
def answers(request):
    """Serve the answers in order, the last one repeatedly; return cluster and server."""
    servers = []

    def start(*queue, user=None):
        queue = list(queue)
        context = serving(lambda _: queue.pop(0) if len(queue) > 1 else queue[0])
        server = context.__enter__()
        request.addfinalizer(lambda: context.__exit__(None, None, None))
        servers.append(server)
        return connect(server.kubeconfig(user)), server

    return start


def asked(server):
    return [(request.method, request.path) for request in server.requests]


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("Pod",), "/api/v1/pods"),
        (("Pod", "a b"), "/api/v1/namespaces/a%20b/pods"),
        (("Pod", "n", "p/q"), "/api/v1/namespaces/n/pods/p%2Fq"),
        (("Deployment", "n", "d"), "/apis/apps/v1/namespaces/n/deployments/d"),
        (("Namespace", "ignored", "n"), "/api/v1/namespaces/n"),
        (("Node",), "/api/v1/nodes"),
    ],
)
def test_paths(arguments, path):
    assert path_of(*arguments) == path


def test_get(answers):
    connected, server = answers(Answer(POD), user={"token": TOKEN})
    assert connected.credentials() == ([("Authorization", f"Bearer {TOKEN}")], None)
    assert connected.get("Pod", "n", "p") == POD
    assert connected.server == server.url
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_get_what_is_not_there(answers):
    connected, _ = answers(refusal(404, "NotFound", "gone"))
    assert connected.get("Pod", "n", "p") is None


def test_the_api_servers_clock(answers):
    connected, _ = answers(Answer(POD, headers={"Date": "Sun, 22 Nov 2026 19:00:00 GMT"}))
    assert connected.date == ""
    connected.get("Pod", "n", "p")
    assert "Sun, 22 Nov 2026 19:00:00 GMT" in connected.date


def page(*names, token=""):
    items = [{"metadata": {"name": name}} for name in names]
    return Answer({"metadata": {"continue": token}, "items": items})


def test_list_pages(answers):
    connected, server = answers(page("a", "b", token="more&more"), page("c"))  # noqa: S106
    found = connected.list("Deployment", "n", labels="a=b,c", fields="x=y")
    assert [item["metadata"]["name"] for item in found] == ["a", "b", "c"]
    assert found[0] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
    }
    query = {"limit": "500", "labelSelector": "a=b,c", "fieldSelector": "x=y"}
    assert [request.query for request in server.requests] == [
        query,
        {**query, "continue": "more&more"},
    ]


def test_a_list_whose_pages_expired_begins_anew(answers):
    connected, server = answers(
        page("a", token="1"),  # noqa: S106
        refusal(410, "Expired", "too old"),
        page("a", token="2"),  # noqa: S106
        page("b"),
    )
    assert [item["metadata"]["name"] for item in connected.list("Pod")] == ["a", "b"]
    assert [request.query.get("continue") for request in server.requests] == [None, "1", None, "2"]


def test_a_list_that_is_refused_as_gone(answers):
    connected, _ = answers(refusal(410, "Gone", "gone"))
    with pytest.raises(ApiError, match="gone"):
        connected.list("Pod")


def test_an_empty_list(answers):
    connected, _ = answers(Answer({"items": None}))
    assert connected.list("Pod") == []


def test_create_and_patch_and_delete(answers):
    connected, server = answers(Answer(POD))
    assert connected.create("Pod", "n", POD) == POD
    assert connected.patch("Pod", "n", "p", {"spec": None}, subresource="status") == POD
    assert connected.delete("Pod", "n", "p", {"preconditions": {"uid": "u"}})
    path = "/api/v1/namespaces/n/pods"
    assert asked(server) == [
        ("POST", path),
        ("PATCH", f"{path}/p/status"),
        ("DELETE", f"{path}/p"),
    ]
    assert [request.body for request in server.requests] == [
        POD,
        {"spec": None},
        {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u"}},
    ]
    assert server.requests[1].headers["content-type"] == "application/merge-patch+json"


def test_delete_what_is_not_there(answers):
    connected, _ = answers(refusal(404, "NotFound", "gone"))
    assert not connected.delete("Pod", "n", "p")


@pytest.mark.parametrize("method", ["get", "delete"])
def test_a_refusal(answers, method):
    connected, _ = answers(refusal(409, "Conflict", "the UID is another"))
    with pytest.raises(ApiError) as raised:
        getattr(connected, method)("Pod", "n", "p")
    assert (raised.value.status, raised.value.reason) == (409, "Conflict")
    assert str(raised.value) == "the UID is another"


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"<html>", "Bad Gateway"), ([], "Bad Gateway"), ({"message": "no"}, "no")],
)
def test_a_refusal_that_is_not_the_api_servers(answers, body, message):
    connected, _ = answers(Answer(body, 502))
    with pytest.raises(ApiError, match=f"^{message}$"):
        connected.get("Pod", "n", "p")


def test_logs(answers):
    connected, server = answers(Answer(b"one\ntwo\n", headers={"Content-Type": "text/plain"}))
    assert connected.pod_log("n", "p", "c", 5, previous=True) == "one\ntwo"
    assert server.requests[0].path == "/api/v1/namespaces/n/pods/p/log"
    query = {"container": "c", "tailLines": "5", "previous": "true"}
    assert server.requests[0].query == query


def test_no_logs(answers):
    connected, _ = answers(refusal(400, "BadRequest", "previous terminated container not found"))
    assert connected.pod_log("n", "p", "c", 5) == ""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>log in</html>", headers={"Content-Type": "text/html"}),
        Answer(b"<html>log in</html>"),
        Answer([]),
        Answer(b"", 302, {"Location": "https://login.example.com"}),
    ],
)
def test_a_server_that_is_no_api_server(answers, answer):
    connected, server = answers(answer)
    with pytest.raises(ClusterError) as raised:
        connected.list("Pod")
    assert str(raised.value) == (
        f"The cluster of context here: {server.url} answers, but not as the API of Kubernetes: is "
        "it the server's address, with nothing (a login page, a proxy) before it?"
    )


def test_a_login_that_is_refused(answers):
    connected, _ = answers(refusal(401, "Unauthorized", "Unauthorized"), user={"token": TOKEN})
    with pytest.raises(ClusterError) as raised:
        connected.list("Pod")
    assert str(raised.value).startswith(
        "The cluster of context here does not accept the login of this context: renew it "
    )
    assert TOKEN not in str(raised.value)


def tokens(server):
    return [request.headers["authorization"].removeprefix("Bearer ") for request in server.requests]


def test_a_login_that_expired_early_is_renewed_once(answers, tmp_path):
    unauthorized = refusal(401, "Unauthorized", "Unauthorized")
    connected, server = answers(
        unauthorized, Answer(POD), user=plugin_giving(tmp_path, "old", "new")
    )
    assert connected.create("Pod", "n", POD) == POD
    assert tokens(server) == ["old", "new"]
    assert server.requests[1].body == POD


def test_a_login_that_stays_refused(answers, tmp_path):
    unauthorized = refusal(401, "Unauthorized", "Unauthorized")
    connected, server = answers(unauthorized, user=plugin_giving(tmp_path, "1", "2", "3"))
    with pytest.raises(ClusterError, match="does not accept the login"):
        connected.list("Pod")
    assert tokens(server) == ["1", "2"]


def test_a_failing_plugin_is_told_in_its_own_words(answers):
    code = "import sys; sys.exit('Your session has expired.')"
    user = {"exec": {"apiVersion": "v1", "command": sys.executable, "args": ["-c", code]}}
    connected, server = answers(Answer(POD), user=user)
    with pytest.raises(ClusterError, match="Your session has expired"):
        connected.list("Pod")
    assert server.requests == []


def test_refused():
    url = f"https://127.0.0.1:{ports.closed()}"
    with pytest.raises(UnreachableError) as raised:
        connect(kubeconfig(url)).list("Pod")
    assert str(raised.value) == (
        f"The cluster of context here cannot be reached at {url} (Connection refused): start it, "
        "or name a context that is reachable; 'kubectl config get-contexts' lists them."
    )


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(cluster, "READ_TIMEOUT", 0.1)


@pytest.mark.usefixtures("impatient")
def test_no_answer_in_time():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnreachableError) as raised:
            connect(kubeconfig(url)).list("Pod")
    assert f"cannot be reached at {url} (timed out)" in str(raised.value)


def test_reading_is_tried_again(answers):
    busy = refusal(429, "TooManyRequests", "busy", Retry_After="0")
    connected, server = answers(busy, None, busy, Answer(POD))
    assert connected.get("Pod", "n", "p") == POD
    assert len(server.requests) == 4


def test_writing_is_not_tried_again(answers):
    connected, server = answers(None)
    with pytest.raises(UnreachableError):
        connected.create("Pod", "n", POD)
    assert len(server.requests) == 1


def test_an_overloaded_server(answers):
    connected, server = answers(refusal(429, "TooManyRequests", "busy", Retry_After="0"))
    with pytest.raises(ApiError, match="busy"):
        connected.list("Pod")
    assert len(server.requests) == 4


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "server": make_certificate(folder, "server"),
        "elsewhere": make_certificate(folder, "elsewhere", address="192.0.2.1"),
        "client": make_certificate(folder, "client"),
    }


def data(path):
    return base64.b64encode(Path(path).read_bytes()).decode()


def over_tls(certificate, user=None, clients=None, **settings):
    """Send one request to a server with the certificate."""
    with serving(lambda _: Answer(POD), certificate.server(clients=clients)) as server:
        connected = connect(server.kubeconfig(user, **settings))
        connected.get("Pod", "n", "p")
        return connected


def test_tls(certificates):
    server = certificates["server"]
    connected = over_tls(server, certificate_authority_data=data(server.certificate))
    _, tls = connected.credentials()
    assert [entry["subject"] for entry in tls.get_ca_certs()] == [((("commonName", "server"),),)]


def test_tls_of_another_name(certificates):
    there = certificates["elsewhere"]
    authority = data(there.certificate)
    over_tls(there, certificate_authority_data=authority, tls_server_name="192.0.2.1")
    with pytest.raises(ClusterError, match="is not valid for"):
        over_tls(there, certificate_authority_data=authority)


def test_tls_that_is_not_checked(certificates):
    over_tls(certificates["server"], insecure_skip_tls_verify=True)


def test_tls_that_is_not_trusted(certificates):
    with pytest.raises(ClusterError) as raised:
        over_tls(certificates["server"])
    assert not isinstance(raised.value, UnreachableError)
    assert str(raised.value).endswith(
        " fails (self-signed certificate): write the context anew with your cluster's tool, so "
        "that it has the cluster's certificate authority."
    )


def test_tls_with_a_server_that_speaks_none(answers):
    _, server = answers(Answer(POD))
    with pytest.raises(ClusterError, match=r"the TLS connection to https://127\.0\.0\.1:.* fails"):
        connect(kubeconfig(server.url.replace("http:", "https:"))).list("Pod")


def test_a_client_certificate(certificates):
    server, client = certificates["server"], certificates["client"]
    user = {
        "client-certificate-data": data(client.certificate),
        "client-key": str(client.key),
    }
    authority = data(server.certificate)
    over_tls(server, user, client.certificate, certificate_authority_data=authority)
    with pytest.raises(ClusterError):
        over_tls(server, None, client.certificate, certificate_authority_data=authority)


@pytest.mark.parametrize(
    ("user", "settings"),
    [
        ({}, {"certificate_authority_data": base64.b64encode(b"nonsense").decode()}),
        ({"client-certificate-data": base64.b64encode(b"nonsense").decode()}, {}),
    ],
)
def test_certificates_that_cannot_be_used(user, settings):
    source = kubeconfig("https://127.0.0.1:1", user, **settings)
    with pytest.raises(ClusterError, match="its certificates or key cannot be used"):
        connect(source).list("Pod")


def test_a_proxy(answers):
    """The proxy gets the request for a host that does not exist."""
    _, proxy = answers(Answer(POD))
    host = urlsplit(proxy.url).netloc
    source = kubeconfig("http://cluster.invalid", proxy_url=f"http://tom:p%40ss@{host}")
    assert connect(source).get("Pod", "n", "p") == POD
    assert proxy.requests[0].headers["host"] == "cluster.invalid"
    login = base64.b64encode(b"tom:p@ss").decode()
    assert proxy.requests[0].headers["proxy-authorization"] == f"Basic {login}"


def test_a_proxy_that_is_not_there(monkeypatch):
    proxy = f"127.0.0.1:{ports.closed()}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://tom:secret@{proxy}")
    with pytest.raises(UnreachableError) as raised:
        connect(kubeconfig("https://192.0.2.1")).list("Pod")
    assert f"at https://192.0.2.1 by the proxy http://{proxy} (Connection refused)" in str(
        raised.value
    )


def test_a_loopback_server_needs_no_proxy(answers, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{ports.closed()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{ports.closed()}")
    connected, _ = answers(Answer(POD))
    assert connected.get("Pod", "n", "p") == POD


def test_whom_requests_are_made_as(answers):
    """Each group has its own header: the API server does not accept a list."""
    user = {"token": TOKEN, "as": "deployer", "as-groups": ["a", "b"]}
    connected, server = answers(Answer(POD), user=user)
    connected.get("Pod", "n", "p")
    assert server.requests[0].headers["impersonate-user"] == "deployer"
    assert server.requests[0].headers["impersonate-group"] == "a\nb"
    headers, _ = connected.credentials()
    assert headers == [
        ("Authorization", f"Bearer {TOKEN}"),
        ("Impersonate-User", "deployer"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
    ]


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "args": ["a"]}


@pytest.mark.parametrize(
    ("user", "alone"),
    [
        ({}, {}),
        ({"token": "t"}, {"token": "t"}),
        ({"tokenFile": "token", "token": "older"}, {"token": "t"}),
        ({"username": "tom", "password": "x:y"}, {"username": "tom", "password": "x:y"}),
        (
            {"client-certificate": "me.crt", "client-key-data": base64.b64encode(b"k").decode()},
            {
                "client-certificate-data": base64.b64encode(b"certificate").decode(),
                "client-key-data": base64.b64encode(b"k").decode(),
            },
        ),
        ({"exec": PLUGIN}, {"exec": {**PLUGIN, "command": "FOLDER/plugin"}}),
        ({"exec": {**PLUGIN, "command": "gcloud"}}, {"exec": {**PLUGIN, "command": "gcloud"}}),
        ({"token": "t", "as": "a"}, {"token": "t", "as": "a", "as-groups": []}),
    ],
)
def test_its_kubeconfig_needs_no_other_file(tmp_path, user, alone):
    (tmp_path / "token").write_text("t\n")
    (tmp_path / "me.crt").write_text("certificate")
    source = tmp_path / "config"
    source.write_text(json.dumps(kubeconfig("https://192.0.2.1", user)))
    [found] = connect(str(source)).kubeconfig()["users"]
    assert found == {
        "name": "here",
        "user": json.loads(json.dumps(alone).replace("FOLDER", str(tmp_path))),
    }


def jwt(content):
    parts = [json.dumps(part).encode() for part in ({}, content, {})]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize("file", [True, False])
def test_an_auth_provider(answers, tmp_path, file):
    """The official client supports the same ones as kubectl."""
    token = jwt({"exp": 4102444800})
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    _, server = answers(Answer(POD))
    source = server.kubeconfig(user)
    if file:
        (tmp_path / "config").write_text(json.dumps(source))
        source = str(tmp_path / "config")
    connected = connect(source)
    connected.get("Pod", "n", "p")
    connected.get("Pod", "n", "p")
    assert tokens(server) == [token] * 2


def test_an_auth_provider_that_fails(answers):
    user = {"auth-provider": {"name": "oidc", "config": {"refresh-token": "x"}}}
    connected, _ = answers(Answer(POD), user=user)
    with pytest.raises(ClusterError) as raised:
        connected.list("Pod")
    assert "the login by the auth-provider oidc fails (Invalid kube-config" in str(raised.value)


def test_an_auth_provider_without_a_token(answers):
    connected, server = answers(Answer(POD), user={"auth-provider": {"name": "oidc"}})
    connected.get("Pod", "n", "p")
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("plain"), "plain"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError(), "TimeoutError"),
        (
            urllib3.exceptions.MaxRetryError(None, "/", ConnectionResetError(104, "reset")),
            "reset",
        ),
    ],
)
def test_root_causes(error, words):
    assert cluster.root_cause(error) == words


def test_the_generated_client_is_not_imported():
    """Importing it takes a second, in each module of each run."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "import conftest\n"
        "import ansible.module_utils.docker_ml_api.kubernetes.module_common\n"
        "print('kubernetes' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
