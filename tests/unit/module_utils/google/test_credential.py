"""The login of the kubeconfigs, against the double of Google's token endpoint."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.module_utils.docker_ml_api.google import credential as google_credential
from ansible.module_utils.docker_ml_api.google.credential import LOGIN, LoginError

from support import gke_double


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with gke_double.running(tmp_path_factory.mktemp("google")) as double:
        yield double


@pytest.fixture
def way(google, monkeypatch):
    """Return the environment for requests to the double; remove this machine's logins."""
    for name in ("GCP_ACCESS_TOKEN", "GCP_SERVICE_ACCOUNT_CONTENTS", "KUBERNETES_EXEC_INFO"):
        monkeypatch.delenv(name, raising=False)
    keys = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "REQUESTS_CA_BUNDLE")
    for key in keys:
        monkeypatch.setenv(key, google.environment[key])
    return {key: google.environment[key] for key in keys}


def asked(environ=None, **login):
    return google_credential.credential({LOGIN: json.dumps(login), **(environ or {})})


@pytest.mark.usefixtures("way")
def test_a_key_file(google):
    google.forget_requests()
    answer = asked(auth_kind="serviceaccount", service_account_file=str(google.key_file))
    assert answer["apiVersion"] == "client.authentication.k8s.io/v1"
    assert answer["kind"] == "ExecCredential"
    end = datetime.fromisoformat(answer["status"]["expirationTimestamp"])
    assert timedelta(minutes=55) < end - datetime.now(UTC) < timedelta(minutes=65)
    assert answer["status"]["token"]
    assert [entry["api"] for entry in google.requests()] == ["token"]
    other = asked(auth_kind="serviceaccount", service_account_file=str(google.key_file))
    assert other["status"]["token"] != answer["status"]["token"]


@pytest.mark.usefixtures("way")
def test_a_key_in_the_environment(google):
    key = {"GCP_SERVICE_ACCOUNT_CONTENTS": google.key_file.read_text()}
    assert asked(key, auth_kind="serviceaccount")["status"]["token"]


@pytest.mark.usefixtures("way")
def test_application_default_credentials(google, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key_file))
    assert asked(auth_kind="application")["status"]["token"]


@pytest.mark.usefixtures("way")
def test_no_application_default_credentials(monkeypatch, tmp_path):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(LoginError, match="gcloud auth application-default login"):
        asked(auth_kind="application")


def test_access_tokens(tmp_path):
    file = tmp_path / "token"
    file.write_text("of-a-file\n")
    inherited = {"GCP_ACCESS_TOKEN": "inherited"}
    answer = asked(inherited, auth_kind="accesstoken", access_token_file=str(file))
    assert answer["status"] == {"token": "of-a-file"}
    assert asked(inherited, auth_kind="accesstoken")["status"] == {"token": "inherited"}


def test_the_version_that_is_asked_for():
    information = {"KUBERNETES_EXEC_INFO": '{"apiVersion": "client.authentication.k8s.io/v1beta1"}'}
    token = {"GCP_ACCESS_TOKEN": "x"}
    answer = asked({**information, **token}, auth_kind="accesstoken")
    assert answer["apiVersion"] == "client.authentication.k8s.io/v1beta1"


def test_the_way_to_google():
    environ = {LOGIN: json.dumps({"auth_kind": "accesstoken", "environment": {"https_proxy": "x"}})}
    environ |= {"GCP_ACCESS_TOKEN": "x"}
    google_credential.credential(environ)
    assert environ["https_proxy"] == "x"


# What: the login, the environment, the message.
FAILURES = {
    "no file": (
        {"auth_kind": "serviceaccount", "service_account_file": "/nowhere/key.json"},
        {},
        r"service_account_file /nowhere/key.json cannot be read \(No such file or directory\)",
    ),
    "no key": ({"auth_kind": "serviceaccount"}, {}, "GCP_SERVICE_ACCOUNT_CONTENTS is not set"),
    "no JSON": (
        {"auth_kind": "serviceaccount"},
        {"GCP_SERVICE_ACCOUNT_CONTENTS": "{secret"},
        "^GCP_SERVICE_ACCOUNT_CONTENTS holds no JSON: create a key of type JSON anew.$",
    ),
    "no service account": (
        {"auth_kind": "serviceaccount"},
        {"GCP_SERVICE_ACCOUNT_CONTENTS": '{"type": "authorized_user"}'},
        "holds no service account's key",
    ),
    "a list": (
        {"auth_kind": "serviceaccount"},
        {"GCP_SERVICE_ACCOUNT_CONTENTS": "[]"},
        "holds no service account's key",
    ),
    "half a key": (
        {"auth_kind": "serviceaccount"},
        {"GCP_SERVICE_ACCOUNT_CONTENTS": '{"type": "service_account"}'},
        "The service account's key is not whole",
    ),
    "no token": ({"auth_kind": "accesstoken"}, {}, "export GCP_ACCESS_TOKEN"),
    "an empty token": ({"auth_kind": "accesstoken"}, {"GCP_ACCESS_TOKEN": " "}, "is no access"),
    "no kind": ({}, {}, "names no auth_kind"),
}


@pytest.mark.parametrize(("login", "environ", "words"), FAILURES.values(), ids=FAILURES)
def test_failures(login, environ, words):
    with pytest.raises(LoginError, match=words):
        asked(environ, **login)


@pytest.mark.parametrize("text", ["", "no JSON", "[]"])
def test_no_login(text):
    with pytest.raises(LoginError, match="holds no login: write the kubeconfig anew"):
        google_credential.credential({LOGIN: text})


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "key.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LoginError, match="it is no text"):
        asked(auth_kind="serviceaccount", service_account_file=str(path))


@pytest.mark.usefixtures("way")
def test_a_key_that_google_does_not_know(google):
    key = json.loads(google.key_file.read_text())
    key["client_email"] = f"nobody@{google.project}.iam.gserviceaccount.com"
    environ = {"GCP_SERVICE_ACCOUNT_CONTENTS": json.dumps(key)}
    with pytest.raises(LoginError, match=r"^Google gives no token: .+\.$") as caught:
        asked(environ, auth_kind="serviceaccount")
    assert "PRIVATE KEY" not in str(caught.value)


def test_no_google_auth(monkeypatch):
    for name in ("google.auth", "google.auth.transport.requests"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LoginError, match="The Python package google-auth is not there for /"):
        asked(auth_kind="application")


def test_main(monkeypatch, capsys):
    monkeypatch.setenv(LOGIN, json.dumps({"auth_kind": "accesstoken"}))
    monkeypatch.setenv("GCP_ACCESS_TOKEN", "x")
    assert google_credential.main() == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"token": "x"}
    monkeypatch.delenv("GCP_ACCESS_TOKEN")
    assert google_credential.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("There is no access token: ")


def test_it_needs_nothing_of_this_project(google, way, tmp_path):
    """It is run as a program by another process, in a folder with misleading file names."""
    (tmp_path / "google.py").write_text("raise SystemExit('not this one')")
    login = {
        "auth_kind": "serviceaccount",
        "service_account_file": str(google.key_file),
        "environment": way,
    }
    text = Path(google_credential.__file__).read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, f"-Pc{text}"],
        env={"PATH": "/usr/bin:/bin", LOGIN: json.dumps(login)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"]["token"]
