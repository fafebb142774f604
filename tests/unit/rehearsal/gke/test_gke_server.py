"""The sockets as clients use them: google-auth's session, plain requests, a Kubernetes API."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time

import pytest
import requests
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account
from werkzeug.wrappers import Request

from rehearsal.gke import server
from support import gke_double, tiny_world

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
CLUSTERS = "v1/projects/p/locations/l/clusters"
URL = f"https://container.googleapis.com/{CLUSTERS}"


@pytest.fixture
def google(tmp_path):
    with gke_double.running(tmp_path, make_world=tiny_world.TinyWorld) as running:
        yield running


@pytest.fixture
def session(google, monkeypatch):
    """Yield the session of a client that knows only the key file and the environment."""
    for name, value in google.environment.items():
        monkeypatch.setenv(name, value)
    credentials = service_account.Credentials.from_service_account_file(google.key_file)
    with AuthorizedSession(credentials.with_scopes([CLOUD_PLATFORM])) as opened:
        yield opened


@pytest.fixture
def bare(google):
    """Yield the session of a client that ignores the proxies of the environment."""
    with requests.Session() as opened:
        opened.trust_env = False
        opened.headers["Authorization"] = f"Bearer {google.access_token()}"
        yield opened


def test_client_takes_it_for_google(google, session):
    assert session.get(URL).json() == {"clusters": []}
    assert session.post(URL, json={"cluster": {"name": "c"}}).json()["status"] == "RUNNING"
    assert session.get(URL).json() == {"clusters": [{"name": "c"}]}
    assert session.get(f"{URL}/d").status_code == 404
    (mutation,) = google.mutations()
    assert (mutation["method_id"], mutation["caller"]) == (tiny_world.CREATE, google.email)
    assert [each["method_id"] for each in google.requests() if each["host"].startswith("oauth2")]
    google.forget_requests()
    assert google.requests() == []


def test_one_who_does_not_trust_its_authority_is_told_of(google, bare):
    bare.proxies = {"https": google.proxy}
    with pytest.raises(requests.exceptions.SSLError):
        bare.get(URL, verify=requests.certs.where())
    assert refused_tls(google)


def refused_tls(google):
    """Return whether the log reports it; the client notices it before the server's thread."""
    deadline = time.monotonic() + 60
    while not google.requests() and time.monotonic() < deadline:
        time.sleep(0.01)
    return google.requests()[-1]["message"].startswith("TLS: ")


@pytest.mark.parametrize("url", ["https://logging.googleapis.com/v2/a", "https://example.com/"])
def test_other_hosts_are_refused(google, url, bare):
    bare.proxies = {"https": google.proxy}
    with pytest.raises(requests.exceptions.ProxyError, match="403 Forbidden"):
        bare.get(url)
    (refused,) = google.requests()
    assert (refused["http_method"], refused["status"]) == ("CONNECT", 403)
    assert refused["message"].startswith("refused")


@pytest.mark.parametrize("target", ["container.googleapis.com:80", "container.googleapis.com"])
def test_other_ports_are_refused(google, target):
    assert b" 403 " in say(google.proxy, f"CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n")


def test_tunnel_without_tls(google):
    host, _, port = google.proxy.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"CONNECT container.googleapis.com:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(4096).endswith(b" 200 Connection established\r\n\r\n")
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert refused_tls(google)


@pytest.mark.parametrize("path", ["http://container.googleapis.com/v1/a", "/control/health"])
def test_proxy_takes_nothing_but_tunnels(google, path):
    answer = say(google.proxy, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 403 " in answer
    assert google.requests()[-1]["status"] == 403


def say(url, text):
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(text.encode())
        answer = b""
        while more := connection.recv(4096):
            answer += more
    return answer


def test_plain_http_names_the_api(google, bare):
    assert bare.get(f"{google.plain}/container/{CLUSTERS}").json() == {"clusters": []}
    assert bare.get(f"{google.plain}/storage/v1/b").status_code == 404
    assert bare.get(google.plain).status_code == 404


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.parametrize("encrypted", [True, False])
def test_connection_is_dropped(google, session, bare, kind, encrypted):
    client, url = session, URL
    if not encrypted:
        client, url = bare, f"{google.plain}/container/{CLUSTERS}"
    google.fault(kind, method=r"clusters\.create$")
    with pytest.raises(requests.exceptions.ConnectionError):
        client.post(url, json={"cluster": {"name": "c"}})
    assert len(google.world.clusters) == (kind == "drop-after")
    assert client.get(url).status_code == 200


def test_retry_after(google, bare):
    google.fault("rate-limit", retry_after=3, count=None)
    assert bare.get(f"{google.plain}/container/{CLUSTERS}").headers["Retry-After"] == "3"
    google.clear_faults()
    assert bare.get(f"{google.plain}/container/{CLUSTERS}").status_code == 200


def test_body_in_chunks(google, bare):
    body = iter([b'{"cluster": ', b'{"name": "c"}}'])
    assert bare.post(f"{google.plain}/container/{CLUSTERS}", data=body).status_code == 200
    assert list(google.world.clusters) == ["projects/p/locations/l/clusters/c"]


def test_token_review(google, bare):
    body = {"spec": {"token": google.access_token()}}
    answer = bare.post(f"{google.plain}/tokenreview", json=body).json()
    assert answer["status"]["user"]["username"] == google.email
    answer = bare.post(f"{google.plain}/tokenreview", data="nonsense").json()
    assert answer["status"]["authenticated"] is False
    assert google.requests() == []


def test_director(google, bare):
    def ask(verb, path, **given):
        answer = bare.request(verb, f"{google.plain}/control/{path}", **given)
        return answer.json() if answer.status_code == 200 else (answer.status_code, answer.text)

    folder = str(google.double.paths.folder)
    assert ask("GET", "health") == {"project": google.project, "folder": folder}
    assert ask("POST", "faults", json={"kind": "unavailable", "count": 2}) == {}
    assert [each["kind"] for each in ask("GET", "faults")] == ["unavailable"]
    assert bare.get(f"{google.plain}/container/{CLUSTERS}").status_code == 503
    assert ask("DELETE", "faults") == {}
    assert ask("GET", "faults") == {}
    status, said = ask("POST", "faults", json={"kind": "earthquake"})
    assert (status, "is no fault" in said) == (400, True)

    before = ask("GET", "clock")["now"]
    assert ask("POST", "clock", json={"advance": 5000})["now"] >= before + 5000
    assert ask("POST", "clock", json={})[0] == 400
    # The session's token is valid for an hour.
    assert bare.get(f"{google.plain}/container/{CLUSTERS}").status_code == 401
    bare.headers["Authorization"] = f"Bearer {ask('POST', 'token', json={})['access_token']}"
    bare.post(f"{google.plain}/container/{CLUSTERS}", json={"cluster": {"name": "c"}})

    assert [each["status"] for each in ask("GET", "log")] == [503, 401, 200]
    assert [each["status"] for each in ask("GET", "log", params={"mutating": "true"})] == [200]
    assert len(ask("GET", "log", params={"mutating": "false"})) == 2
    name = "projects/p/locations/l/clusters/c"
    assert ask("GET", "world") == {"clusters": {name: {"name": "c"}}}
    assert ask("POST", "world/forget", json={"name": name}) == {"left": 0}
    assert ask("POST", "world/nonsense", json={}) == (400, "no nonsense here, but forget\n")
    assert ask("DELETE", "log") == {}
    assert ask("GET", "nonsense")[0] == 400

    bare.post(f"{google.plain}/container/{CLUSTERS}", json={"cluster": {"name": "c"}})
    ask("POST", "reset")
    assert (ask("GET", "world"), google.requests()) == ({"clusters": {}}, [])


def test_director_is_on_this_machine(google):
    environment = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/control/health",
        "RAW_URI": "/control/health",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "a",
    }
    assert server.respond(google.double, Request(environment)).status_code == 403


def test_authority_signed_google_and_nothing_else(google):
    folder = google.double.paths.folder
    context = ssl.create_default_context(cafile=google.authority)
    assert [dict(each["subject"][0])["commonName"] for each in context.get_ca_certs()] == [
        "docker-ml-api rehearsal of googleapis.com"
    ]
    keys = sorted(path.name for path in folder.rglob("*") if b"PRIVATE KEY" in content(path))
    assert keys == ["googleapis.key", "service-account.json"]
    for path in folder.rglob("*"):
        if b"PRIVATE KEY" in content(path):
            assert path.stat().st_mode & 0o077 == 0


def content(path):
    return path.read_bytes() if path.is_file() else b""


def test_taken_address(google):
    port = int(google.plain.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        server.Running(google.double, "127.0.0.1", proxy_port=0, plain_port=port)


def test_double_that_was_stopped_and_started(tmp_path):
    with gke_double.running(tmp_path, make_world=tiny_world.TinyWorld) as google:
        token, key = google.access_token(), google.key_file.read_text()
        google.clock.advance(100)
        with requests.Session() as client:
            client.trust_env = False
            client.headers["Authorization"] = f"Bearer {token}"
            url = f"{google.plain}/container/{CLUSTERS}"
            client.post(url, json={"cluster": {"name": "c"}})
        state = google.double.paths.state
        assert state.stat().st_mode & 0o077 == 0
        assert json.loads(state.read_text())["clock_offset"] == 100
        google.double.save()  # unchanged state is not written
        before = state.stat().st_mtime_ns
        google.double.save()
        assert state.stat().st_mtime_ns == before
    with gke_double.running(tmp_path, make_world=tiny_world.TinyWorld) as google:
        assert google.world.clusters == {"projects/p/locations/l/clusters/c": {"name": "c"}}
        assert google.double.accounts.find(token)
        assert google.key_file.read_text() == key
        assert google.clock.offset == 100
        assert len(google.mutations()) == 1


def test_another_account_has_a_key_of_its_own(tmp_path):
    other = {"service_account": "other@p.iam.gserviceaccount.com"}
    with gke_double.running(tmp_path, make_world=tiny_world.TinyWorld) as google:
        before = json.loads(google.key_file.read_text())
    with gke_double.running(tmp_path, make_world=tiny_world.TinyWorld, **other) as google:
        after = json.loads(google.key_file.read_text())
    assert after["client_email"] == google.email == other["service_account"]
    assert before["private_key_id"] != after["private_key_id"]


def test_world_is_told_its_settings(tmp_path):
    settings = {"project": "q", "endpoint": "127.0.0.9", "cluster_authority": "QQ==", "extra": 1}
    with gke_double.running(tmp_path, make_world=tiny_world.TinyWorld, **settings) as google:
        told = dict(google.world.settings)
    assert told.pop("project_number")
    assert told == {"project": "q", "endpoint": "127.0.0.9", "ca_certificate": "QQ==", "extra": 1}


def test_clusters_without_a_kubernetes_have_an_authority_too(google):
    authority = base64.b64decode(google.world.settings["ca_certificate"]).decode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority)
    assert authority != google.authority.read_text()


def test_invalid_answer_fails_the_test_that_met_it(tmp_path):
    def leave():
        with (
            gke_double.running(tmp_path, make_world=tiny_world.TinyWorld) as google,
            requests.Session() as client,
        ):
            client.trust_env = False
            client.headers["Authorization"] = f"Bearer {google.access_token()}"
            client.delete(f"{google.plain}/container/{CLUSTERS}/c")

    with pytest.raises(AssertionError, match="a mistake in the model"):
        leave()


def test_a_connection_is_kept(google, session):
    for _ in range(3):
        assert session.get(URL).status_code == 200
    manager = session.get_adapter(URL).proxy_manager[google.proxy]
    made = [manager.pools.get(key).num_connections for key in manager.pools.keys()]  # noqa: SIM118 - not a mapping
    assert max(made) == 1
    # A server that was stopped sends no more responses.
    google.server.stop()
    with pytest.raises(requests.exceptions.ProxyError):
        session.get(URL)
