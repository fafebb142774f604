"""Artifact Registry as docker sees it: logins, and requests passed on to the real registry."""

import base64
import json

import pytest
import requests

from support import gke_double, registry_double

HOST = "europe-west1-docker.pkg.dev"
USER = "oauth2accesstoken"
MANIFESTS = "manifests/v1"


def stored(request):
    """Answer like a registry that has everything."""
    if request.method == "POST":
        return 202, {"Location": f"http://{request.host}{request.path}7?_state=s"}, b""
    return 200, {"Docker-Content-Digest": "sha256:1"}, b"content"


@pytest.fixture
def store():
    with registry_double.serving(stored) as running:
        yield running


@pytest.fixture
def google(tmp_path, store):
    with gke_double.running(tmp_path, registry=f"http://{store.host}") as running:
        yield running


@pytest.fixture
def client(google):
    with requests.Session() as opened:
        opened.trust_env = False
        opened.proxies = {"https": google.proxy}
        opened.verify = str(google.authority)
        yield opened


def enter(google, client, user=USER, password=None):
    """Log in; return the status."""
    login = (user, password or google.access_token())
    answer = client.get(f"https://{HOST}/v2/token?service={HOST}", auth=login)
    if answer.ok:
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return answer.status_code


def image(google, path=MANIFESTS, name="models"):
    return f"https://{HOST}/v2/{google.project}/{name}/team/app/{path}"


def test_way_in(google, client):
    refused = client.get(f"https://{HOST}/v2/")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == (
        f'Bearer realm="https://{HOST}/v2/token",service="{HOST}"'
    )
    assert enter(google, client) == 200
    assert client.get(f"https://{HOST}/v2/").status_code == 200
    assert [one["method_id"] for one in google.requests()] == ["login"] * 3
    assert google.mutations() == []


def test_logins(google, client):
    key = google.key_file.read_text()
    encoded = base64.b64encode(key.encode()).decode()
    other = json.dumps({**json.loads(key), "client_email": "somebody@example.com"})
    narrow = google.access_token("https://www.googleapis.com/auth/userinfo.email")
    for user, password, status in [
        ("_json_key", key, 200),
        ("_json_key_base64", encoded, 200),
        ("_json_key", other, 401),
        ("_json_key", encoded, 401),
        ("_json_key_base64", key, 401),
        ("_json_key", "[]", 401),
        ("_json_key", '{"client_email": "a"}', 401),
        (USER, "ya29.wrong", 401),
        (USER, narrow, 401),
        ("tom", key, 401),
    ]:
        assert enter(google, client, user, password) == status, user
    assert client.get(f"https://{HOST}/v2/token").status_code == 401
    broken = {"Authorization": "Basic ="}
    assert client.get(f"https://{HOST}/v2/token", headers=broken).status_code == 401


def test_a_token_ends(google, client):
    enter(google, client)
    google.clock.advance(3601)
    assert client.get(image(google)).status_code == 401


def test_a_repository_must_be_there(google, client, store):
    enter(google, client)
    missing = client.get(image(google))
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["message"] == 'Repository "models" not found'
    assert client.get(f"https://{HOST}/v2/_catalog").status_code == 404
    assert store.requests == []
    google.make_repository("models")
    assert client.get(image(google)).content == b"content"
    assert client.head(image(google)).headers["Docker-Content-Digest"] == "sha256:1"
    [first, _] = store.asked()
    assert first.startswith("GET /v2/r")
    assert first.endswith("/team/app/manifests/v1")
    assert store.requests[0].authorization == ""


def test_a_push_begins(google, client):
    google.make_repository("models")
    enter(google, client)
    begun = client.post(image(google, "blobs/uploads/"))
    assert begun.headers["Location"] == f"{image(google, 'blobs/uploads/7')}?_state=s"
    assert client.post(image(google, "tags/")).status_code == 202
    [mutation, _] = google.mutations()[-2:]
    assert (mutation["api"], mutation["method_id"]) == ("docker.pkg.dev", "push")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("permission-denied", 403, "DENIED"),
        ("rate-limit", 429, "TOOMANYREQUESTS"),
        ("unavailable", 503, "UNAVAILABLE"),
    ],
)
def test_faults(google, client, kind, status, code):
    google.make_repository("models")
    enter(google, client)
    google.fault(kind, api="docker.pkg.dev", method="pull")
    refused = client.get(image(google))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (status, code)
    assert google.requests()[-1]["fault"] == kind
    assert client.get(image(google)).status_code == 200


def test_who_may_not(google, client):
    google.make_repository("models")
    enter(google, client)
    denied = {"permissions": ["artifactregistry.repositories.uploadArtifacts"]}
    google.world.control("deny", denied)
    refused = client.post(image(google, "blobs/uploads/"))
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["message"] == (
        'Permission "artifactregistry.repositories.uploadArtifacts" denied on resource '
        f'"projects/{google.project}/locations/europe-west1/repositories/models" (or it may not '
        "exist)"
    )
    assert client.get(image(google)).status_code == 200


def test_without_a_registry_it_is_not_there(tmp_path, client):
    with gke_double.running(tmp_path / "other") as google:
        client.proxies = {"https": google.proxy}
        with pytest.raises(requests.exceptions.ProxyError, match="403 Forbidden"):
            client.get(f"https://{HOST}/v2/")
