import base64
import dataclasses
import json
import os
import stat
import sys
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from ansible.module_utils.docker_ml_api import private_files
from ansible.module_utils.docker_ml_api.kubernetes import kubeconfig
from ansible.module_utils.docker_ml_api.kubernetes.kubeconfig import ClusterError, Login

from support.api_server import kubeconfig as configuration

SERVER = "https://192.0.2.7:6443"
V1 = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in ("http_proxy", "https_proxy", "no_proxy", "KUBECONFIG", private_files.RUN):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def access(source=None, context=""):
    return kubeconfig.access(kubeconfig.load(source), context)


def login(user, folder=None):
    source = configuration(SERVER, user)
    if folder:
        source = write(folder / "config", source)
    return Login(access(source))


def test_a_mapping():
    found = access(configuration(SERVER + "/"))
    assert (found.context, found.server, found.verify) == ("here", SERVER, True)
    assert found.name == "The cluster of context here"


def test_home(tmp_path):
    write(tmp_path / "home/.kube/config", configuration(SERVER))
    assert access().server == SERVER


def test_a_path_below_home(tmp_path):
    write(tmp_path / "home/mine", configuration(SERVER))
    assert access("~/mine").server == SERVER


def test_of_several_files_the_first_one_is_right(tmp_path, monkeypatch):
    """As with kubectl; missing files are ignored."""
    a = write(tmp_path / "a", configuration("https://a:1", context="a"))
    both = configuration("https://b:1", context="b")
    both["clusters"].append({"name": "a-c", "cluster": {"server": "https://wrong:1"}})
    b = write(tmp_path / "b", both)
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(["/nonexistent", a, "", b]))
    assert access().server == "https://a:1"
    assert access(context="b").server == "https://b:1"


def test_a_later_file_names_the_context(tmp_path):
    first = configuration("https://a:1", context="a")
    del first["current-context"]
    second = {"current-context": "a"}
    paths = [write(tmp_path / "a", first), write(tmp_path / "b", second)]
    assert access(os.pathsep.join(paths)).context == "a"


def test_files_are_relative_to_the_kubeconfig(tmp_path):
    write(tmp_path / "ca.crt", "authority")
    source = configuration(SERVER, certificate_authority="ca.crt")
    assert access(write(tmp_path / "config", source)).certificate_authority == "authority"


def test_what_a_cluster_says():
    data = base64.b64encode(b"authority").decode()
    source = configuration(
        SERVER,
        certificate_authority_data=data,
        insecure_skip_tls_verify=True,
        tls_server_name="kubernetes",
        proxy_url="http://proxy:3128",
    )
    found = access(source)
    assert found.certificate_authority == "authority"
    assert (found.verify, found.server_name, found.proxy) == (
        False,
        "kubernetes",
        "http://proxy:3128",
    )


@pytest.mark.parametrize(
    ("user", "impersonated"),
    [
        ({}, ("", ())),
        ({"as": "", "as-groups": []}, ("", ())),
        ({"as": "deployer"}, ("deployer", ())),
        ({"as": "deployer", "as-groups": ["a", "b"]}, ("deployer", ("a", "b"))),
    ],
)
def test_whom_requests_are_made_as(user, impersonated):
    found = access(configuration(SERVER, user))
    assert (found.impersonated_user, found.impersonated_groups) == impersonated


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"certificate_authority_data": base64.b64encode(b"authority").decode()},
        {"insecure_skip_tls_verify": True, "tls_server_name": "kubernetes"},
        {"proxy_url": "http://tom:secret@proxy:3128"},
    ],
)
@pytest.mark.parametrize("user", [{}, {"as": "a"}, {"as": "a", "as-groups": ["b", "c"]}])
def test_an_access_alone_is_the_same_access(given, user):
    found = access(configuration(SERVER, user, context="a/b", **given))
    again = access(kubeconfig.alone(found, {}))
    assert again == dataclasses.replace(found, user=again.user)


def without(key):
    source = configuration(SERVER)
    del source[key]
    return source


GIVEN = "The kubeconfig given as a mapping"


@pytest.mark.parametrize(
    ("source", "context", "message"),
    [
        (
            "/nonexistent",
            "",
            (
                "The kubeconfig /nonexistent is not there: create it with your cluster's tool "
                "(kind, minikube, k3s, your cloud), or name another with kubernetes_kubeconfig or "
                "KUBECONFIG."
            ),
        ),
        ([], "", "The kubeconfig is neither a path nor a mapping."),
        (
            configuration(SERVER),
            "there",
            f"{GIVEN} has no context there: set kubernetes_context to here.",
        ),
        (without("contexts"), "", f"{GIVEN} has no contexts: create one with your cluster's tool"),
        (
            without("current-context"),
            "",
            f"{GIVEN} has no current context: set kubernetes_context to here.",
        ),
        (
            {"contexts": [{"name": "b"}, {"name": "a"}]},
            "",
            f"{GIVEN} has no current context: set kubernetes_context to one of a, b.",
        ),
        ({}, "", f"{GIVEN} has no contexts"),
        (
            without("clusters"),
            "",
            (
                f"{GIVEN}, context here, names a cluster 'here-c' that is not in it: write the "
                "context anew with your cluster's tool."
            ),
        ),
        (without("users"), "", "names a user 'here-u' that is not in it"),
        ({"current-context": ["a"]}, "", "its current-context is no text"),
        ({"contexts": ["a"]}, "", "contexts must be mappings with 'name' and 'context'"),
        ({"users": [{"name": "a", "user": "b"}]}, "", "users must be mappings with 'name' and"),
        ({"clusters": "a"}, "", "clusters must be mappings with 'name' and 'cluster'"),
        ({"clusters": 5}, "", "clusters must be mappings with 'name' and 'cluster'"),
        (configuration("10.0.0.1"), "", "server must be https://HOST:PORT, but it is '10.0.0.1'"),
        (configuration(""), "", "server must be https://HOST:PORT, but it is ''"),
        (
            configuration(SERVER, proxy_url="socks5://ada:secret@a:1"),
            "",
            "the proxy socks5://a:1 is no http:// or https:// URL: name an HTTP proxy by proxy-url",
        ),
        (
            configuration(SERVER, {"as": "a", "as-uid": "7"}),
            "",
            (
                "context here: its user has as-uid, with which objects cannot be applied: remove "
                "it, or name another context with kubernetes_context."
            ),
        ),
        (
            configuration(SERVER, {"as": "a", "as-user-extra": {"b": ["c"]}}),
            "",
            "has as-user-extra, with",
        ),
        (configuration(SERVER, {"as": ["a"]}), "", "its user has an 'as' that is no text."),
        (configuration(SERVER, {"as": "a", "as-groups": "b"}), "", "has as-groups that are no li"),
        (configuration(SERVER, {"as": "a", "as-groups": [5]}), "", "has as-groups that are no li"),
        (
            configuration(SERVER, {"as-groups": ["b"]}),
            "",
            "its user has as-groups without 'as': name the user, too.",
        ),
        (
            configuration(SERVER, certificate_authority="/nonexistent"),
            "",
            (
                "the file of its certificate-authority cannot be read: No such file or directory: "
                "/nonexistent."
            ),
        ),
        (
            configuration(SERVER, certificate_authority_data="?"),
            "",
            "its certificate-authority is no PEM text",
        ),
    ],
)
def test_what_cannot_be_used(source, context, message):
    with pytest.raises(ClusterError) as raised:
        access(source, context)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "is no YAML: while parsing a flow node"),
        ("", "has no contexts: create one"),
        ("- a", "is no kubeconfig: it is no mapping."),
    ],
)
def test_a_broken_file(tmp_path, content, message):
    path = write(tmp_path / "config", content)
    with pytest.raises(ClusterError) as raised:
        access(path)
    assert str(raised.value).startswith(f"The kubeconfig {path} {message}")
    assert "\n" not in str(raised.value)


def test_an_unreadable_file(tmp_path):
    with pytest.raises(ClusterError) as raised:
        access(str(tmp_path))
    assert str(raised.value) == (
        f"The kubeconfig {tmp_path} cannot be read (Is a directory): fix that, or name another "
        "with kubernetes_kubeconfig or KUBECONFIG."
    )


def test_a_binary_file(tmp_path):
    (tmp_path / "config").write_bytes(b"\xff\xfe")
    with pytest.raises(ClusterError, match="it is no text"):
        access(str(tmp_path / "config"))


def test_no_user():
    source = configuration(SERVER)
    del source["contexts"][0]["context"]["user"]
    assert Login(access(source)).headers() == {}


PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("server", "environment", "proxy"),
    [
        ("https://10.0.0.1:6443", {}, ""),
        ("https://10.0.0.1:6443", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://10.0.0.1:6443", {"https_proxy": "proxy:3128"}, PROXY),
        ("https://10.0.0.1:6443", {"HTTP_PROXY": PROXY}, ""),
        ("http://10.0.0.1:8001", {"http_proxy": PROXY}, PROXY),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY}, ""),
        ("https://127.0.20.1", {"HTTPS_PROXY": PROXY}, ""),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, ""),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, ""),
        ("https://10.0.0.1:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.1"}, ""),
        ("https://10.0.0.1:6443", {"HTTPS_PROXY": PROXY, "no_proxy": "a, 10.0.0.0/8"}, ""),
        ("https://10.0.0.1:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "10.1.0.0/16"}, PROXY),
        ("https://10.0.0.1:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, ""),
        ("https://api.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".example.com"}, ""),
        ("https://api.example.com", {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.org"}, PROXY),
    ],
)
def test_proxies(monkeypatch, server, environment, proxy):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert kubeconfig.proxy_of(server) == proxy


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, None),
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "tom", "password": "x:y"}, basic("tom:x:y")),
        ({"token": "abc", "username": "tom", "password": "x"}, "Bearer abc"),
    ],
)
def test_logins(user, header):
    assert login(user).headers().get("Authorization") == header


def test_a_token_in_a_file_is_read_each_time(tmp_path):
    token = tmp_path / "token"
    token.write_text("one\n")
    made = login({"tokenFile": "token", "token": "older"}, tmp_path)
    assert made.headers() == {"Authorization": "Bearer one"}
    token.write_text("two\n")
    assert made.headers() == {"Authorization": "Bearer two"}


def test_a_client_certificate(tmp_path):
    (tmp_path / "me.crt").write_text("certificate")
    data = base64.b64encode(b"key").decode()
    made = login({"client-certificate": "me.crt", "client-key-data": data}, tmp_path)
    assert made.certificate() == ("certificate", "key")
    assert login({"client-certificate": "me.crt"}, tmp_path).certificate()[1] == "certificate"
    assert login({}).certificate() == ("", "")


def test_an_auth_provider():
    assert login({"auth-provider": {"name": "oidc"}}).provider() == "oidc"
    assert login({}).provider() == ""


def plugin(code, **keys):
    """A user with an `exec` plugin that is a Python program."""
    return {"exec": {"apiVersion": V1, "command": sys.executable, "args": ["-c", code], **keys}}


def answering(status=None, api_version=V1, **keys):
    status = {"token": status} if status else keys
    answer = {"apiVersion": api_version, "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(json.dumps(answer))})"


def counting(path, end):
    status = {"token": "t", "expirationTimestamp": end}
    return f"open({str(path)!r}, 'a').write('x')\n{answering(**status)}"


def in_seconds(count):
    return (datetime.now(UTC) + timedelta(seconds=count)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_plugin_runs_once(tmp_path):
    calls = tmp_path / "calls"
    made = login(plugin(counting(calls, in_seconds(3600))))
    assert made.renewable
    assert [made.headers() for _ in range(2)] == [{"Authorization": "Bearer t"}] * 2
    assert calls.read_text() == "x"
    made.renew()
    made.headers()
    assert calls.read_text() == "xx"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Simulate a run of Ansible; return the folder of the stored files."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(private_files.RUN, str(os.getpid()))
    return tmp_path / f"docker-ml-api-{os.getuid()}"


def test_a_run_has_one_answer(tmp_path, run, monkeypatch):
    """All modules share it; another run, cluster or plugin has another answer."""
    calls = tmp_path / "calls"
    user = plugin(counting(calls, in_seconds(3600)))
    first, second = login(user), login(user)
    assert first.headers() == second.headers() == {"Authorization": "Bearer t"}
    assert calls.read_text() == "x"
    [kept] = run.glob("*/login-*")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    # After a refusal it is discarded for all of them.
    second.renew()
    assert login(user).headers() == {"Authorization": "Bearer t"}
    assert calls.read_text() == "xx"

    Login(access(configuration("https://192.0.2.8:6443", user))).headers()
    assert calls.read_text() == "xxx"
    monkeypatch.setenv(private_files.RUN, "1")
    login(user).headers()
    assert calls.read_text() == "xxxx"


@pytest.mark.parametrize("damage", ["", "{", "[]", "7"])
def test_an_answer_that_cannot_be_read_or_kept(tmp_path, run, damage):
    calls = tmp_path / "calls"
    user = plugin(counting(calls, in_seconds(3600)))
    login(user).headers()
    [kept] = run.glob("*/login-*")
    kept.write_text(damage)
    run.chmod(0o755)
    assert login(user).headers() == {"Authorization": "Bearer t"}
    assert calls.read_text() == "xx"


@pytest.mark.usefixtures("run")
def test_an_answer_that_was_kept_and_expires(tmp_path):
    calls = tmp_path / "calls"
    user = plugin(counting(calls, in_seconds(30)))
    for _ in range(2):
        assert login(user).headers() == {"Authorization": "Bearer t"}
    assert calls.read_text() == "xx"


# Computed when the test runs: otherwise each worker would collect different test names.
@pytest.mark.parametrize(
    "end", [lambda: in_seconds(30), lambda: "2020-01-01T00:00:00"], ids=["soon", "long ago"]
)
def test_a_token_that_expires_is_renewed(tmp_path, end):
    calls = tmp_path / "calls"
    made = login(plugin(counting(calls, end())))
    made.headers()
    made.headers()
    assert calls.read_text() == "xx"


def test_a_plugin_that_gives_a_certificate():
    made = login(plugin(answering(clientCertificateData="c", clientKeyData="k")))
    assert (made.headers(), made.certificate()) == ({}, ("c", "k"))


@pytest.fixture
def typed():
    """Provide input on stdin, as if somebody types while the test runs."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)
    os.dup2(reading, 0)
    yield
    os.dup2(kept, 0)
    os.close(kept)
    os.close(reading)


@pytest.mark.usefixtures("typed")
def test_what_a_plugin_is_told():
    tell = (
        "import json, os, sys\n"
        "told = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "words = [told, os.environ['REGION'], sys.stdin.read()]\n"
        f"print(json.dumps(dict(apiVersion={V1!r}, status=dict(token=json.dumps(words)))))"
    )
    user = plugin(tell, env=[{"name": "REGION", "value": "eu"}], provideClusterInfo=True)
    authority = base64.b64encode(b"authority").decode()
    source = configuration(SERVER, user, certificate_authority_data=authority)
    header = Login(access(source)).headers()["Authorization"]
    cluster = {"server": SERVER, "certificate-authority-data": authority}
    assert json.loads(header.removeprefix("Bearer ")) == [
        {
            "apiVersion": V1,
            "kind": "ExecCredential",
            "spec": {"interactive": False, "cluster": cluster},
        },
        "eu",
        "",
    ]


def test_a_plugin_beside_the_kubeconfig(tmp_path):
    path = tmp_path / "bin" / "token"
    write(path, f"#!{sys.executable}\n{answering('t')}\n")
    path.chmod(0o755)
    made = login({"exec": {"apiVersion": V1, "command": "./bin/token"}}, tmp_path)
    assert made.headers() == {"Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"exec": {"command": "a"}}, "the user's exec must have command and apiVersion."),
        ({"exec": "a"}, "the user's exec must have command and apiVersion."),
        (
            {"exec": {"command": "no-such-plugin", "apiVersion": V1}},
            (
                "The cluster of context here: the login's command no-such-plugin is not there: "
                "install it, or name another context."
            ),
        ),
        (
            {
                "exec": {
                    "command": "no-such-plugin",
                    "apiVersion": V1,
                    "installHint": "Install it\nby hand.\n",
                }
            },
            "no-such-plugin is not there: Install it by hand.",
        ),
        (
            plugin("import sys; sys.exit('Your session\\nhas expired.')"),
            (
                f"The cluster of context here: the login's command {sys.executable} failed with "
                "status 1: Your session has expired. Log in anew, or name another context."
            ),
        ),
        (plugin("print('no'); exit(2)"), "failed with status 2: no. Log in anew"),
        (plugin("exit(3)"), "failed with status 3: it said nothing. Log in anew"),
        (plugin("print('hello')"), "answered with no ExecCredential."),
        (plugin("print('[]')"), "answered with no ExecCredential."),
        (plugin("print('{}')"), "answered with no ExecCredential."),
        (plugin(answering()), "answered with neither a token nor a certificate."),
        (
            plugin(answering("t", "client.authentication.k8s.io/v1beta1")),
            f"answered as client.authentication.k8s.io/v1beta1, but the kubeconfig expects {V1}",
        ),
        (plugin("", env=[{"value": "x"}]), "cannot be run: KeyError('name')"),
        (plugin("", env=[{"name": "A", "value": "\0"}]), "cannot be run: ValueError("),
    ],
)
def test_a_plugin_that_does_not_work(user, message):
    with pytest.raises(ClusterError) as raised:
        login(user).headers()
    assert message in str(raised.value)


def test_a_plugin_that_hangs(monkeypatch):
    monkeypatch.setattr(kubeconfig, "_EXEC_TIMEOUT", 0.1)
    with pytest.raises(ClusterError, match="s: run it by hand; it may want an answer"):
        login(plugin("import time; time.sleep(30)")).headers()
