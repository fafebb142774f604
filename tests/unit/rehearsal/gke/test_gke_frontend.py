"""The frontend of Google's APIs: authentication, permissions, validation, faults, the log."""

from __future__ import annotations

import json
import re

import pytest

from rehearsal.gke import frontend
from rehearsal.gke.accounts import CLOUD_PLATFORM, Account, Accounts
from rehearsal.gke.call import Answer, Fault, OperationFault
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.faults import Faults
from rehearsal.gke.frontend import Dropped, Frontend, Request
from rehearsal.gke.requestlog import RequestLog
from support import tiny_world

EMAIL = "someone@p.iam.gserviceaccount.com"
USERINFO = "https://www.googleapis.com/auth/userinfo.email"
HOST = "container.googleapis.com"
CLUSTERS = "/v1/projects/p/locations/l/clusters"


class Saves:
    def __init__(self):
        self.count = 0

    def save(self):
        self.count += 1


@pytest.fixture
def google(tmp_path):
    clock = StandingClock()
    return Frontend(
        world=tiny_world.TinyWorld(clock, {}),
        accounts=Accounts([Account(EMAIL, "108", "k", "")], clock, token_seconds=600),
        faults=Faults(clock),
        log=RequestLog(tmp_path / "log" / "requests.jsonl"),
        clock=clock,
        saver=Saves(),
        sleep=clock.advance,
    )


def send(google, http_method="GET", path=CLUSTERS, body=None, *, host=HOST, token=None, raw=None):
    """Send a request with a valid token, unless another one is given."""
    if token is None:
        token = google.accounts.issue(EMAIL, [CLOUD_PLATFORM, USERINFO]).value
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return google.handle(Request(http_method, host, path, headers, data))


def error(reply):
    return reply.body["error"]["status"], reply.body["error"]["message"]


def reason(reply):
    return reply.body["error"]["details"][0]["reason"]


def logged(google):
    return google.log.entries()[-1]


def test_call_reaches_the_world(google):
    body = {"cluster": {"name": "c", "network": None, "initialNodeCount": 1}}
    reply = send(google, "POST", f"{CLUSTERS}?alt=json", body)
    assert reply.status == 200
    (call,) = google.world.calls
    assert call.method_id == tiny_world.CREATE
    assert (call.api, call.version, call.caller) == ("container", "v1", EMAIL)
    assert call.body == {"cluster": {"name": "c", "initialNodeCount": 1}}
    assert call.params == {"parent": "projects/p/locations/l"}
    assert call.path == {"projectsId": "p", "locationsId": "l"}
    assert call.url == f"https://{HOST}{CLUSTERS}?alt=json"
    entry = logged(google)
    assert (entry["method_id"], entry["mutating"], entry["status"]) == (
        tiny_world.CREATE,
        True,
        200,
    )
    assert (entry["caller"], entry["body"], entry["problem"]) == (EMAIL, call.body, "")
    assert google.saver.count


def test_reading_is_told_from_changing(google):
    assert send(google).body == {"clusters": []}
    send(google, "POST", body={"cluster": {"name": "c"}})
    assert [entry["mutating"] for entry in google.log.entries()] == [False, True]
    assert [entry["method_id"] for entry in google.log.entries(mutating=True)] == [
        tiny_world.CREATE
    ]
    assert google.log.entries(mutating=False)[0]["body"] is None
    google.log.clear()
    assert google.log.entries() == []


def test_refusal_of_the_world_is_passed_on_and_logged(google):
    reply = send(google, path=f"{CLUSTERS}/c")
    assert (reply.status, error(reply)) == (404, ("NOT_FOUND", "Not found"))
    assert (logged(google)["message"], logged(google)["problem"]) == ("Not found", "")


@pytest.mark.parametrize(
    ("token", "status", "name", "why"),
    [
        ("", 401, "UNAUTHENTICATED", "CREDENTIALS_MISSING"),
        ("ya29.unknown", 401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"),
    ],
)
def test_caller_who_is_not_known(google, token, status, name, why):
    reply = send(google, token=token)
    assert (reply.status, error(reply)[0], reason(reply)) == (status, name, why)
    assert reply.headers["WWW-Authenticate"].startswith("Bearer realm=")
    assert google.world.calls == []
    assert logged(google)["caller"] == ""


def test_token_whose_time_is_over(google):
    token = google.accounts.issue(EMAIL, [CLOUD_PLATFORM]).value
    assert send(google, token=token).status == 200
    google.clock.advance(601)
    assert send(google, token=token).status == 401


@pytest.mark.parametrize(
    ("scopes", "http_method", "path", "status"),
    [
        ([CLOUD_PLATFORM], "GET", CLUSTERS, 200),
        ([USERINFO], "GET", CLUSTERS, 403),
        (["https://www.googleapis.com/auth/container.read-only"], "GET", CLUSTERS, 200),
        (["https://www.googleapis.com/auth/container.read-only"], "POST", CLUSTERS, 403),
    ],
)
def test_scopes(google, scopes, http_method, path, status):
    token = google.accounts.issue(EMAIL, scopes).value
    body = {"cluster": {"name": "c"}} if http_method == "POST" else None
    reply = send(google, http_method, path, body, token=token)
    assert reply.status == status
    if status == 403:
        assert error(reply)[1] == "Request had insufficient authentication scopes."
        assert reason(reply) == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
        assert "insufficient_scope" in reply.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"cluster": {"nodes": 3}}', "Unknown name \"nodes\" at 'cluster': Cannot find field."),
        (b"{", "Invalid JSON payload received. Unexpected token."),
        (b"[1]", "Root element must be a message."),
    ],
)
def test_body_that_is_not_sound(google, raw, message):
    reply = send(google, "POST", raw=raw)
    status, said = error(reply)
    assert (reply.status, status) == (400, "INVALID_ARGUMENT")
    assert message in said
    assert reply.body["error"]["details"][0]["fieldViolations"]
    assert google.world.calls == []


def test_query_that_is_not_sound(google):
    assert send(google, path=f"{CLUSTERS}?colour=red").status == 400


def test_page_that_is_not_there(google):
    reply = send(google, path="/v1/<b>")
    assert reply.status == 404
    assert "<code>/v1/&lt;b&gt;</code>" in reply.body
    assert (logged(google)["method_id"], logged(google)["status"]) == ("", 404)


def test_method_without_a_model(google):
    reply = send(google, path="/v1/projects/p/locations/l/serverConfig")
    assert (reply.status, error(reply)[0]) == (501, "UNIMPLEMENTED")
    assert logged(google)["problem"].endswith("getServerConfig is not modelled")


def test_model_that_fails(google, capsys):
    reply = send(google, "DELETE", f"{CLUSTERS}/c")
    assert reply.status == 500
    assert "ZeroDivisionError" in error(reply)[1]
    assert "ZeroDivisionError('a mistake in the model')" in logged(google)["problem"]
    assert "tiny_world.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(body={"clusters": [{"nodes": 3}]}), "Unknown name \"nodes\" at 'clusters[0]'"),
        (Answer(404, {"error": "not found"}), "an error without code, message or status"),
        (Answer(404, {"error": {"code": 403, "message": "a", "status": "b"}}), "an error without"),
        (Answer(404, {}), "an error without"),
    ],
)
def test_answer_that_google_could_not_give(google, monkeypatch, answer, problem):
    monkeypatch.setattr(google.world, "call", lambda _: answer)
    reply = send(google)
    assert (reply.status, error(reply)[0]) == (500, "INTERNAL")
    assert problem in logged(google)["problem"]


CREATE_BODY = {"cluster": {"name": "c"}}


@pytest.mark.parametrize(
    ("fault", "expected", "said", "headers"),
    [
        (
            Fault("rate-limit", retry_after=7),
            (429, "RESOURCE_EXHAUSTED"),
            "Quota exceeded",
            {"Retry-After": "7"},
        ),
        (Fault("rate-limit", message="slowly"), (429, "RESOURCE_EXHAUSTED"), "slowly", {}),
        (Fault("unavailable"), (503, "UNAVAILABLE"), "currently unavailable", {}),
        (Fault("unavailable", retry_after=1), (503, "UNAVAILABLE"), "", {"Retry-After": "1"}),
        (Fault("internal"), (500, "INTERNAL"), "Internal error", {}),
        (
            Fault("permission-denied"),
            (403, "PERMISSION_DENIED"),
            'Required "container.clusters.create" permission(s) for "projects/p".',
            {},
        ),
    ],
)
def test_fault_instead_of_an_answer(google, fault, expected, said, headers):
    status, name = expected
    google.faults.add(fault)
    reply = send(google, "POST", body=CREATE_BODY)
    assert (reply.status, error(reply)[0], reply.headers) == (status, name, headers)
    assert said in error(reply)[1]
    assert google.world.calls == []
    assert (logged(google)["fault"], logged(google)["status"]) == (fault.kind, status)
    assert logged(google)["mutating"]
    assert send(google, "POST", body=CREATE_BODY).status == 200


def test_connection_that_is_dropped_before(google):
    google.faults.add(Fault("drop-before"))
    with pytest.raises(Dropped):
        send(google, "POST", body=CREATE_BODY)
    assert google.world.clusters == {}
    assert (logged(google)["status"], logged(google)["fault"]) == (0, "drop-before")


def test_connection_that_is_dropped_after(google):
    google.faults.add(Fault("drop-after"))
    with pytest.raises(Dropped):
        send(google, "POST", body=CREATE_BODY)
    assert list(google.world.clusters) == ["projects/p/locations/l/clusters/c"]
    assert (logged(google)["status"], logged(google)["fault"]) == (0, "drop-after")


def test_answer_that_is_slow(google):
    google.faults.add(Fault("slow", seconds=30))
    before = google.clock.now()
    assert send(google).status == 200
    assert google.clock.now() == before + 30


def test_token_that_ends_in_the_middle(google):
    token = google.accounts.issue(EMAIL, [CLOUD_PLATFORM]).value
    google.faults.add(Fault("token-expired"))
    assert send(google, token=token).status == 401
    assert send(google, token=token).status == 401
    assert send(google).status == 200


@pytest.mark.parametrize(
    ("fault", "operation"),
    [
        (Fault("operation-error", message="no stock", code=8), OperationFault("no stock", 8)),
        (Fault("operation-error"), OperationFault("Internal error encountered.", 13)),
        (Fault("operation-never-ends"), OperationFault(None)),
        (Fault("slow"), None),
    ],
)
def test_fault_of_an_operation_is_the_worlds(google, fault, operation):
    google.faults.add(fault)
    send(google, "POST", body=CREATE_BODY)
    assert google.world.calls[0].operation == operation


def grant(google, data=b"grant_type=password", path="/token"):
    return google.handle(Request("POST", "oauth2.googleapis.com", path, {}, data))


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (
            b"grant_type=password",
            {
                "error": "unsupported_grant_type",
                "error_description": "Invalid grant_type: password",
            },
        ),
        (b"\xff", {"error": "invalid_request"}),
    ],
)
def test_token_endpoint_refuses(google, data, body):
    reply = grant(google, data)
    assert (reply.status, reply.body) == (400, body)
    entry = logged(google)
    assert (entry["api"], entry["mutating"], entry["body"]) == ("token", False, None)
    assert entry["message"].startswith(body["error"])


@pytest.mark.parametrize(
    ("kind", "status"),
    [("unavailable", 503), ("token-expired", 400), ("permission-denied", 400)],
)
def test_faults_of_the_token_endpoint(google, kind, status):
    google.faults.add(Fault(kind, api="token"))
    assert send(google).status == 200
    reply = grant(google)
    assert reply.status == status
    assert status != 400 or reply.body["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([USERINFO], {"id": "108", "email": EMAIL, "verified_email": True}),
        (["https://www.googleapis.com/auth/userinfo.profile"], {"id": "108"}),
    ],
)
def test_userinfo(google, scopes, expected):
    token = google.accounts.issue(EMAIL, scopes).value
    reply = send(google, path="/oauth2/v2/userinfo", host="www.googleapis.com", token=token)
    assert (reply.status, reply.body) == (200, expected)


def test_tokeninfo(google):
    token = google.accounts.issue(EMAIL, [CLOUD_PLATFORM, USERINFO]).value
    path = f"/oauth2/v2/tokeninfo?access_token={token}"
    reply = send(google, "POST", path, host="www.googleapis.com", token="")
    assert reply.body["email"] == EMAIL
    assert reply.body["expires_in"] == 600
    assert not logged(google)["mutating"]
    path = "/oauth2/v2/tokeninfo?access_token=unknown"
    assert send(google, "POST", path, host="www.googleapis.com", token="").status == 400


def test_log_has_no_token(google):
    token = google.accounts.issue(EMAIL, [CLOUD_PLATFORM]).value
    send(google, path=f"{CLUSTERS}?access_token={token}", token=token)
    send(google, "POST", f"/oauth2/v2/tokeninfo?access_token={token}", host="www.googleapis.com")
    assert token not in json.dumps(google.log.entries())


def test_regions_of_the_account(google):
    path = f"/v1/projects/-/serviceAccounts/{EMAIL}/allowedLocations"
    reply = send(google, path=path, host="iamcredentials.googleapis.com")
    assert reply.body == {"locations": [], "encodedLocations": "0x0"}


def review(token):
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }


@pytest.mark.parametrize(
    ("scopes", "username"), [([CLOUD_PLATFORM, USERINFO], EMAIL), ([CLOUD_PLATFORM], "108")]
)
def test_token_review(google, scopes, username):
    token = google.accounts.issue(EMAIL, scopes).value
    answer = google.token_review(review(token))
    assert (answer["apiVersion"], answer["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
    assert answer["status"] == {
        "authenticated": True,
        "user": {"username": username, "uid": "108"},
    }
    google.clock.advance(601)
    assert not google.token_review(review(token))["status"]["authenticated"]


@pytest.mark.parametrize(
    "asked", [None, [], {}, {"spec": None}, {"spec": {}}, review(None), review("unknown")]
)
def test_token_review_of_nobody(google, asked):
    assert google.token_review(asked)["status"] == {
        "authenticated": False,
        "error": "the access token is unknown or expired",
    }


@pytest.mark.parametrize(
    ("method_id", "expected"),
    [
        ("container.projects.locations.clusters.create", "container.clusters.create"),
        ("container.projects.locations.clusters.list", "container.clusters.list"),
        ("container.projects.zones.clusters.delete", "container.clusters.delete"),
        ("container.projects.locations.clusters.setResourceLabels", "container.clusters.update"),
        ("container.projects.locations.clusters.nodePools.create", "container.clusters.update"),
        ("container.projects.locations.clusters.nodePools.get", "container.clusters.get"),
        ("container.projects.locations.operations.get", "container.operations.get"),
        ("container.projects.locations.operations.list", "container.operations.list"),
        ("compute.forwardingRules.list", "compute.forwardingRules.list"),
        (
            "artifactregistry.projects.locations.repositories.create",
            "artifactregistry.repositories.create",
        ),
    ],
)
def test_permission_of_a_method(method_id, expected):
    assert frontend.permission(method_id) == expected


def test_permission_in_the_words_of_compute(google):
    google.faults.add(Fault("permission-denied"))
    path = "/compute/v1/projects/p/zones/z/disks"
    reply = send(google, path=path, host="compute.googleapis.com")
    assert re.fullmatch(
        "Required 'compute.disks.list' permission for 'projects/p'", error(reply)[1]
    )
