"""The module against the real cluster, and against a test server for other answers."""

import itertools
import json
import os
import stat
from pathlib import Path

import kubernetes_access
import pytest
from ansible.module_utils.docker_ml_api import private_files
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access

from support.api_server import Answer, kubeconfig, refusal, serving
from support.run_module import run_module

VERSION = {"gitVersion": "v1.31.7-gke.1000", "major": "1", "minor": "31"}


def test_the_cluster(cluster, capsys):
    answer = run_module(
        kubernetes_access, capsys, kubeconfig=str(cluster.kubeconfig), context=cluster.context
    )
    assert not answer["changed"]
    assert answer["context"] == cluster.context
    assert answer["server"].startswith("https://")
    assert answer["version"] in cluster.kubectl("version")


def test_a_token_that_the_cluster_does_not_know(cluster, capsys, tmp_path):
    source = tmp_path / "config"
    source.write_text(cluster.kubectl("config", "view", "--raw", "--flatten"))
    copy = cluster.__class__(source, cluster.context, cluster.program)
    copy.kubectl("config", "set-credentials", "nobody", "--token=unknown")
    copy.kubectl("config", "set-context", cluster.context, "--user=nobody")
    answer = run_module(kubernetes_access, capsys, kubeconfig=str(source), context=cluster.context)
    assert answer["failed"]
    assert answer["msg"].startswith(
        f"The cluster of context {cluster.context} does not accept the login of this context: "
    )


def test_a_context_without_a_login(cluster, capsys, tmp_path):
    """The version needs no login, but a context without a login is an error nevertheless."""
    source = tmp_path / "config"
    source.write_text(cluster.kubectl("config", "view", "--raw", "--flatten"))
    copy = cluster.__class__(source, cluster.context, cluster.program)
    copy.kubectl("config", "set-context", cluster.context, "--user=")
    answer = run_module(kubernetes_access, capsys, kubeconfig=str(source), context=cluster.context)
    assert answer["failed"]
    assert "The context has no login: write it anew with your cluster's tool." in answer["msg"]


def ask(capsys, server, **options):
    return run_module(kubernetes_access, capsys, kubeconfig=server.kubeconfig(), **options)


def test_a_version_of_a_vendor(capsys):
    with serving(lambda _: Answer(VERSION)) as server:
        answer = ask(capsys, server)
    assert (answer["version"], answer["server"]) == ("v1.31.7-gke.1000", server.url)
    assert [(one.method, one.path) for one in server.requests] == [
        ("GET", "/api"),
        ("GET", "/version"),
    ]


def test_a_proxy_that_is_not_for_this_server(capsys, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(lambda _: Answer(VERSION)) as server:
        answer = ask(capsys, server)
    assert (answer["no_proxy"], answer["proxy"]) == ("127.0.0.1", "")


def test_a_proxy(capsys):
    with serving(lambda _: Answer(VERSION)) as proxy:
        url = proxy.url.replace("//", "//tom:s3cret@")
        source = kubeconfig("http://cluster.invalid", proxy_url=url)
        answer = run_module(kubernetes_access, capsys, kubeconfig=source)
    assert (answer["server"], answer["no_proxy"]) == ("http://cluster.invalid", "")
    assert answer["proxy"] == proxy.url


def test_whom_requests_are_made_as(capsys):
    user = {"token": "t", "as": "deployer", "as-groups": ["a", "b"]}
    with serving(lambda _: Answer(VERSION)) as server:
        answer = run_module(kubernetes_access, capsys, kubeconfig=server.kubeconfig(user))
    assert (answer["impersonate_user"], answer["impersonate_groups"]) == ("deployer", ["a", "b"])


def test_a_kubeconfig_for_the_run(capsys, monkeypatch, tmp_path):
    """It has the context of the first file, as with kubectl, and the token without its newline."""
    (tmp_path / "token").write_text("t\n")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(private_files.RUN, str(os.getpid()))
    with serving(lambda _: Answer(VERSION)) as server:
        first = kubeconfig(server.url, {"tokenFile": "token"}, context="a")
        (tmp_path / "a").write_text(json.dumps(first))
        (tmp_path / "b").write_text(json.dumps(kubeconfig("http://127.0.0.1:1", context="b")))
        source = f"{tmp_path / 'a'}:{tmp_path / 'b'}"
        answer = run_module(kubernetes_access, capsys, kubeconfig=source)
        kept = Path(answer["kubeconfig"])
        again = run_module(kubernetes_access, capsys, kubeconfig=str(kept))
    assert (again["context"], again["server"]) == (answer["context"], answer["server"])
    assert (answer["context"], answer["server"]) == ("a", server.url)
    assert [one.headers.get("authorization") for one in server.requests] == ["Bearer t"] * 4
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    (tmp_path / f"docker-ml-api-{os.getuid()}").chmod(0o755)
    with serving(lambda _: Answer(VERSION)) as server:
        answer = ask(capsys, server)
    assert answer["msg"].endswith("as one for secrets has to be: remove it.")


def test_none_is_kept_without_a_run(capsys, monkeypatch):
    monkeypatch.delenv(private_files.RUN, raising=False)
    with serving(lambda _: Answer(VERSION)) as server:
        assert ask(capsys, server)["kubeconfig"] == ""


def test_too_old(capsys):
    with serving(lambda _: Answer(VERSION)) as server:
        answer = ask(capsys, server, minimum_version="1.32")
    assert answer["failed"]
    assert answer["msg"] == (
        "The cluster of context here runs Kubernetes 1.31, but 1.32 or later is needed: upgrade "
        "it, or name another context with kubernetes_context."
    )


def test_too_old_for_the_default(capsys):
    with serving(lambda _: Answer({"major": "1", "minor": "29"})) as server:
        answer = ask(capsys, server)
    assert "runs Kubernetes 1.29, but 1.30 or later is needed" in answer["msg"]


def test_a_minimum_that_is_none(capsys):
    with serving(lambda _: Answer(VERSION)) as server:
        answer = ask(capsys, server, minimum_version="new")
    assert answer["msg"] == ("minimum_version: 'new' is no version of Kubernetes, such as 1.30.")
    assert server.requests == []


def test_another_api(capsys):
    with serving(lambda _: Answer({"hello": "world"})) as server:
        answer = ask(capsys, server)
    assert answer["failed"]
    assert "does not answer as the API of Kubernetes: '.' is no version" in answer["msg"]


def test_unreachable(capsys):
    answer = run_module(kubernetes_access, capsys, kubeconfig=kubeconfig("http://127.0.0.1:1"))
    assert answer["failed"]
    assert "cannot be reached at http://127.0.0.1:1 (Connection refused)" in answer["msg"]


class Clock:
    """A clock that advances only by sleep."""

    def __init__(self):
        self.now = 0.0
        self.naps = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds


STARTING = refusal(503, "ServiceUnavailable", "the server is starting", Retry_After="0")


def wait(answers, timeout):
    answers = itertools.chain(answers, itertools.repeat(answers[-1]))
    clock = Clock()
    with serving(lambda _: next(answers)) as server:
        connected = cluster_access.connect({"kubeconfig": server.kubeconfig()})
        return kubernetes_access.ask(connected, timeout, clock, clock.sleep), clock.naps


def test_a_cluster_that_starts():
    # A request is repeated after a lost connection, and if the server says how long to wait.
    answers = [None, None, STARTING, STARTING, STARTING, STARTING, Answer(VERSION)]
    assert wait(answers, timeout=10) == (VERSION, [1.0, 1.0])


@pytest.mark.parametrize(
    ("answer", "error"),
    [(None, cluster_access.UnreachableError), (STARTING, cluster_access.ApiError)],
)
@pytest.mark.parametrize("timeout", [0, 3])
def test_a_cluster_that_does_not(answer, error, timeout):
    with pytest.raises(error):
        wait([answer], timeout)


def test_what_waiting_does_not_mend():
    forbidden = refusal(403, "Forbidden", 'User "tom" cannot get path "/api"')
    with pytest.raises(cluster_access.ApiError, match="cannot get path"):
        wait([forbidden, Answer(VERSION)], timeout=10)
