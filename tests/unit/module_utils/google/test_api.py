"""The session with a real server, and with a clock that advances only by its own sleep."""

import json

import pytest
from ansible.module_utils.docker_ml_api.google import api as google_api
from ansible.module_utils.docker_ml_api.google import errors
from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError

from support import gke_double, loopback
from support.api_server import Answer, make_certificate, serving
from support.gke_examples import on_google

TOKEN = {"project": "p", "auth_kind": "accesstoken", "access_token": "T"}


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def read(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def session(clock):
    made = google_api.GoogleSession(TOKEN, clock=clock.read, sleep=clock.sleep)
    yield made
    made.close()


def refused(status, message="No.", headers=None, **error):
    body = {"error": {"code": status, "message": message, **error}}
    return Answer(body, status, headers or {})


def answers(*given):
    """Respond with these answers one after another; the last one repeats."""
    left = list(given)

    def respond(_request):
        return left.pop(0) if len(left) > 1 else left[0]

    return respond


def test_request(session):
    with serving(answers(Answer({"name": "c"}))) as server:
        assert session.request("PUT", f"{server.url}/c", {"a": 1}, {"q": "x"}) == {"name": "c"}
    [request] = server.requests
    assert (request.method, request.path, request.query, request.body) == (
        "PUT", "/c", {"q": "x"}, {"a": 1}
    )  # fmt: skip
    assert request.headers["authorization"] == "Bearer T"
    assert request.headers["user-agent"] == "docker-ml-api"


def test_nothing_to_read(session):
    with serving(answers(Answer(b"", 200))) as server:
        assert session.request("DELETE", server.url) == {}


@pytest.mark.parametrize("body", [b"<html>", b"[1]"])
def test_somebody_else_answers(session, body):
    with serving(answers(Answer(body))) as server, pytest.raises(GoogleError) as raised:
        session.get(server.url)
    assert "no JSON: check HTTPS_PROXY" in str(raised.value)


TROUBLES = {
    "limit": (refused(429), [1.0]),
    "limit, with a time": (refused(429, headers={"Retry-After": "7"}), [7.0]),
    "limit, with a date": (refused(429, headers={"Retry-After": "Sun, 22 Nov 2026"}), [1.0]),
    "503": (refused(503), [1.0]),
    "gateway": (refused(502), [1.0]),
    "dropped": (None, [1.0]),
}


@pytest.mark.parametrize(("trouble", "slept"), TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_troubles_that_pass(session, clock, method, trouble, slept):
    with serving(answers(trouble, Answer({"ok": True}))) as server:
        assert session.request(method, server.url) == {"ok": True}
    assert clock.slept == slept
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("trouble", "sent"),
    [(refused(429), 2), (refused(503), 2), (refused(500), 1), (refused(504), 1), (None, 1)],
)
def test_a_post_is_not_sent_twice_when_it_may_have_been_handled(session, trouble, sent):
    with serving(answers(trouble, Answer({"ok": True}))) as server:
        if sent == 2:
            assert session.request("POST", server.url) == {"ok": True}
        else:
            with pytest.raises(LostAnswerError):
                session.request("POST", server.url)
    assert len(server.requests) == sent


def test_a_post_that_may_be_repeated(session):
    with serving(answers(None, refused(500), Answer({"ok": True}))) as server:
        assert session.request("POST", server.url, resend=True) == {"ok": True}
    assert len(server.requests) == 3


def test_troubles_that_stay(session, clock):
    with serving(answers(refused(503, "Later."))) as server, pytest.raises(GoogleError) as raised:
        session.get(server.url)
    assert raised.value.status == 503
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
    assert sum(clock.slept) <= google_api.RETRY_SECONDS


def test_no_patience(clock):
    made = google_api.GoogleSession(
        {**TOKEN, "retry_seconds": 0.0}, clock=clock.read, sleep=clock.sleep
    )
    with serving(answers(refused(429))) as server, pytest.raises(GoogleError):
        made.get(server.url)
    made.close()
    assert clock.slept == []


def test_a_refusal_is_told_at_once(session, clock):
    with serving(answers(refused(400, "Bad."))) as server, pytest.raises(GoogleError) as raised:
        session.get(server.url)
    assert raised.value.message == "Bad."
    assert clock.slept == []


def test_nobody_there_is_waited_for(session, clock):
    with serving(answers(Answer())) as server:
        pass
    with pytest.raises(GoogleError) as raised:
        session.request("POST", server.url)
    assert type(raised.value) is GoogleError
    assert "Connection refused" in str(raised.value)
    assert "check this machine's connection" in str(raised.value)
    assert clock.slept


def test_a_redirection_is_not_followed(session):
    """It may lead to a network's login page, whose host would get the token."""
    elsewhere = Answer(b"", 302, {"Location": "http://127.0.0.1:1"})
    with serving(answers(elsewhere)) as server, pytest.raises(GoogleError) as raised:
        session.get(server.url)
    assert "answered with status 302 and no JSON" in str(raised.value)
    assert len(server.requests) == 1


def test_a_token_that_is_over(session):
    with serving(answers(refused(401))) as server, pytest.raises(GoogleError) as raised:
        session.get(server.url)
    assert raised.value.status == 401
    assert "the access token is wrong or over" in str(raised.value)
    assert "GCP_ACCESS_TOKEN" in str(raised.value)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (Answer({"name": "c"}), {"name": "c"}),
        (refused(404, "Not found: projects/p/locations/l/clusters/c."), None),
    ],
)
def test_find(session, given, found):
    with serving(answers(given)) as server:
        assert session.find(server.url) == found


@pytest.mark.parametrize(
    "given", [refused(404, "Not found: projects/p."), refused(403), refused(400)]
)
def test_find_fails(session, given):
    """A missing project must not look like a missing cluster."""
    with serving(answers(given)) as server, pytest.raises(GoogleError):
        session.find(server.url)


def test_pages(session):
    pages = [{"items": [{"n": 1}], "nextPageToken": "2"}, {"nextPageToken": "3"}, {"items": [{}]}]
    with serving(answers(*map(Answer, pages))) as server:
        assert session.pages(server.url, "items", {"filter": "x"}) == [{"n": 1}, {}]
    assert [one.query for one in server.requests] == [
        {"filter": "x"}, {"filter": "x", "pageToken": "2"}, {"filter": "x", "pageToken": "3"}
    ]  # fmt: skip


def test_a_certificate_that_is_not_trusted(session, clock, tmp_path):
    certificate = make_certificate(tmp_path, "google")
    with (
        serving(answers(Answer()), certificate.server()) as server,
        pytest.raises(GoogleError) as raised,
    ):
        session.get(server.url)
    assert "set REQUESTS_CA_BUNDLE" in str(raised.value)
    assert clock.slept == []


def test_a_token_endpoint_that_is_not_trusted(clock, tmp_path, monkeypatch):
    """It is not retried, since waiting would not help."""
    with gke_double.running(tmp_path) as google:
        for name, value in google.environment.items():
            monkeypatch.setenv(name, value)
        other = make_certificate(tmp_path, "other")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.certificate))
        login = {"auth_kind": "serviceaccount", "service_account_file": str(google.key_file)}
        session = google_api.GoogleSession(
            {"project": google.project, **login}, clock=clock.read, sleep=clock.sleep
        )
        with pytest.raises(GoogleError, match="Google's token endpoint is not trusted"):
            session.get(CLUSTERS.format(google.project))
        session.close()
    assert clock.slept == []


@pytest.mark.parametrize(("status", "slept"), [(403, False), (502, True)])
def test_a_proxy_that_refuses(session, clock, monkeypatch, status, slept):
    from http.server import BaseHTTPRequestHandler, HTTPServer  # noqa: PLC0415

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            self.send_error(status)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Proxy)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    with loopback.answering(server), pytest.raises(GoogleError) as raised:
        session.get("https://container.googleapis.com/v1")
    assert "The proxy does not lead to container.googleapis.com" in str(raised.value)
    assert bool(clock.slept) is slept


@pytest.mark.parametrize("login", ["token", "key"])
def test_a_proxy_that_is_none(google, clock, monkeypatch, login):
    """Waiting would not fix it, neither for the API nor for the token endpoint."""
    params = {
        "token": TOKEN,
        "key": {
            "project": google.project,
            "auth_kind": "serviceaccount",
            "service_account_file": str(google.key_file),
        },
    }[login]
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    session = google_api.GoogleSession(params, clock=clock.read, sleep=clock.sleep)
    with pytest.raises(GoogleError, match=r"HTTPS_PROXY does not name an HTTP proxy .*SOCKS"):
        session.get("https://container.googleapis.com/v1")
    session.close()
    assert clock.slept == []


# --- Logins


LOGINS = {
    "no file": (
        {"service_account_file": "/nonexistent"},
        "The key's file /nonexistent cannot be read (No such file or directory): name that",
    ),
    "neither file nor content": ({}, "requires setting either service_account_file"),
    "content is no JSON": ({"service_account_contents": "secret"}, "Unable to decode"),
    "content is no key": (
        {"service_account_contents": '{"private_key": "secret"}'},
        "What service_account_contents holds is no key of a service account (MalformedError)",
    ),
    "a file beside a token": (
        {"auth_kind": "accesstoken", "access_token": "x", "service_account_file": "k"},
        "only works with Service Account",
    ),
    "no token": ({"auth_kind": "accesstoken"}, "access token must be supplied"),
}


@pytest.mark.parametrize(("given", "part"), LOGINS.values(), ids=LOGINS)
def test_no_login(given, part):
    with pytest.raises(GoogleError) as raised:
        google_api.GoogleSession({"project": "p", "auth_kind": "serviceaccount", **given})
    assert raised.value.reason == errors.NO_CREDENTIALS
    assert part in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "Expecting value"),
        ('{"type": "authorized_user"}', "is no key of a service account"),
        ('{"private_key": "x", "client_email": "y", "token_uri": "z"}', "is no key"),
    ],
)
def test_files_that_are_no_keys(tmp_path, content, part):
    path = tmp_path / "key.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(GoogleError) as raised:
        google_api.GoogleSession(
            {"project": "p", "auth_kind": "serviceaccount", "service_account_file": str(path)}
        )
    assert part in str(raised.value)
    assert f"The file {path} is no key of a service account" in str(raised.value)


def test_no_default_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere"))
    with pytest.raises(GoogleError) as raised:
        google_api.GoogleSession({"project": "p", "auth_kind": "application"})
    assert "gcloud auth application-default login" in str(raised.value)


CLUSTERS = "https://container.googleapis.com/v1/projects/{}/locations/-/clusters"


def clusters(session):
    return session.get(CLUSTERS.format(session.project))


@pytest.mark.parametrize("kind", ["file", "contents", "application", "token"])
def test_logins(google, monkeypatch, kind):
    given = {
        "file": {},
        "contents": {
            "service_account_file": None,
            "service_account_contents": google.key_file.read_text(encoding="utf-8"),
        },
        "application": {"auth_kind": "application", "service_account_file": None},
        "token": {
            "auth_kind": "accesstoken",
            "service_account_file": None,
            "access_token": google.access_token(*google_api.SCOPES),
        },
    }[kind]
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key_file))
    with on_google(google, **given) as session:
        assert clusters(session) == {}
        assert session.credentials.token
    assert google.requests()[-1]["caller"] == google.email


def test_a_token_is_renewed_in_the_middle(google):
    with on_google(google) as session:
        clusters(session)
        google.fault("token-expired", method="clusters")
        assert clusters(session) == {}
    assert [one["status"] for one in google.requests() if one["api"] == "container"] == [
        200, 401, 200
    ]  # fmt: skip


def test_the_token_endpoint_is_not_well(google, monkeypatch):
    """google-auth itself retries a few times."""
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", google.clock.advance)
    google.fault("unavailable", api="token", count=8)
    with on_google(google) as session:
        assert clusters(session) == {}


def test_the_key_is_no_good_any_more(google):
    content = json.loads(google.key_file.read_text(encoding="utf-8"))
    content["client_email"] = "other@p.iam.gserviceaccount.com"
    contents = json.dumps(content)
    with (
        on_google(google, service_account_file=None, service_account_contents=contents) as session,
        pytest.raises(GoogleError) as raised,
    ):
        clusters(session)
    assert raised.value.status == 401
    assert "make a new key" in str(raised.value)


def test_wrong_project(google):
    with on_google(google, project="nobodys") as session, pytest.raises(GoogleError) as raised:
        session.find(CLUSTERS.format("nobodys"))
    assert raised.value.reason == errors.PROJECT_NOT_FOUND
