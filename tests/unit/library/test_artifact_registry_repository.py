import base64

import artifact_registry_repository
import gke_double
import pytest
from gke_site import Site

from rehearsal.gke.call import Answer, refusal
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.model.world import World

HOST = "europe-west1-docker.pkg.dev"
GET = "artifactregistry.projects.locations.repositories.get"
CREATE = "artifactregistry.projects.locations.repositories.create"


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        yield Site(google, capsys, monkeypatch)


def repository(site, name="models", **options):
    reference = f"{HOST}/{site.google.project}/{name}"
    site.google.forget_requests()
    return site.run(artifact_registry_repository, repository=reference, **options)


def created(site):
    return [one["status"] for one in site.google.mutations() if one["method_id"] == CREATE]


def test_made_when_missing(site):
    would = repository(site, check=True)
    assert would["changed"]
    assert created(site) == []
    answer = repository(site)
    assert answer["changed"]
    assert (answer["host"], answer["repository"]) == (HOST, f"{HOST}/{site.google.project}/models")
    assert answer["diff"] == would["diff"]
    assert "password_base64" not in answer
    assert created(site) == [200]
    again = repository(site, "models/team")
    assert not again["changed"]
    assert created(site) == []
    url = f"projects/{site.google.project}/locations/europe-west1/repositories/models"
    found = site.session.get(f"https://artifactregistry.googleapis.com/v1/{url}")
    assert (found["format"], found["labels"]) == ("DOCKER", {"managed-by": "docker-ml-api"})


def test_login(site, monkeypatch):
    first = repository(site, login=True, check=True)
    assert first["username"] == "oauth2accesstoken"
    assert first["expires"].endswith("Z")
    token = base64.b64decode(first["password_base64"]).decode()
    monkeypatch.delenv("GCP_SERVICE_ACCOUNT_FILE")
    given = repository(site, login=True, auth_kind="accesstoken", access_token=token)
    assert (given["password_base64"], given["expires"]) == (first["password_base64"], "")


def test_for_something_else(site):
    body = {"format": "NPM"}
    place = f"projects/{site.google.project}/locations/europe-west1/repositories"
    url = f"https://artifactregistry.googleapis.com/v1/{place}"
    site.session.request("POST", url, body, {"repositoryId": "models"})
    site.google.clock.advance(10)
    answer = repository(site)
    assert answer["failed"]
    assert "since it is for NPM, not for DOCKER images: set image_registry to" in answer["msg"]


def test_no_repository(site):
    answer = site.run(artifact_registry_repository, repository="docker.io/tom")
    assert answer["failed"]
    assert answer["msg"].startswith("image_registry: 'docker.io/tom' is no repository of Artifact")


def test_lost_answers(site):
    site.google.fault("drop-after", method=CREATE)
    assert repository(site)["changed"]
    assert 200 not in created(site)
    site.google.fault("drop-before", method=CREATE)
    assert repository(site, "others")["changed"]
    assert created(site)[-1] == 200


def test_somebody_else_makes_it_meanwhile(tmp_path, capsys, monkeypatch):
    class Late(World):
        """Shows a repository only after a while."""

        hidden = 2

        def call(self, call):
            if call.method_id == GET and self.hidden:
                self.hidden -= 1
                return refusal(404, "Requested entity was not found.")
            return super().call(call)

    with gke_double.running(tmp_path, clock=StandingClock(), make_world=Late) as google:
        site = Site(google, capsys, monkeypatch)
        google.world.hidden = 0
        repository(site)
        google.world.hidden = 2
        assert repository(site)["changed"]
        assert created(site) == [409, 409]


def test_an_operation_that_fails(tmp_path, capsys, monkeypatch):
    class Failing(World):
        """Begins, and does not succeed."""

        def call(self, call):
            answer = super().call(call)
            if call.method_id == "artifactregistry.projects.locations.operations.get":
                error = {"code": 8, "message": "Quota exceeded."}
                return Answer(200, {"name": answer.body["name"], "done": True, "error": error})
            return answer

    with gke_double.running(tmp_path, clock=StandingClock(), make_world=Failing) as google:
        answer = repository(Site(google, capsys, monkeypatch))
    assert answer["failed"]
    assert "Google could not make" in answer["msg"]
    assert "(Quota exceeded): mend that, and run the same command again." in answer["msg"]


def test_an_operation_that_never_ends(site):
    site.direct("set", other_seconds=10000)
    answer = repository(site, timeout=10)
    assert answer["failed"]
    assert "is not there after 10 s; seen last: its operation projects/" in answer["msg"]


def test_google_never_makes_it(site):
    site.google.fault("drop-before", method=CREATE, count=None)
    answer = repository(site, timeout=10)
    assert answer["failed"]
    assert "is not there after 10 s. Run the same command again" in answer["msg"]


def test_no_permission(site):
    site.google.fault("permission-denied", method=CREATE)
    answer = repository(site)
    assert answer["failed"]
    assert "artifactregistry.repositories.create" in answer["msg"]
