import base64

import artifact_registry_repository
import pytest

from rehearsal.gke.call import Answer, refusal
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.model.world import World
from support import gke_double
from support.gke_site import Site

HOST = "europe-west1-docker.pkg.dev"
GET = "artifactregistry.projects.locations.repositories.get"
CREATE = "artifactregistry.projects.locations.repositories.create"
DELETE = "artifactregistry.projects.locations.repositories.delete"
OPERATION = "artifactregistry.projects.locations.operations.get"


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        yield Site(google, capsys, monkeypatch)


def repository(site, name="models", **options):
    reference = f"{HOST}/{site.google.project}/{name}"
    site.google.forget_requests()
    return site.run(artifact_registry_repository, repository=reference, **options)


def created(site, method=CREATE):
    return [one["status"] for one in site.google.mutations() if one["method_id"] == method]


def push(site, *images, name="models"):
    place = f"projects/{site.google.project}/locations/europe-west1/repositories/{name}"
    for image in images:
        site.direct("push", repository=place, image=image)


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
        """Begins operations that fail."""

        def call(self, call):
            answer = super().call(call)
            if call.method_id == OPERATION:
                error = {"code": 8, "message": "Quota exceeded."}
                return Answer(200, {"name": answer.body["name"], "done": True, "error": error})
            return answer

    with gke_double.running(tmp_path, clock=StandingClock(), make_world=Failing) as google:
        answer = repository(Site(google, capsys, monkeypatch))
    assert answer["failed"]
    assert "Google could not make" in answer["msg"]
    assert "(Quota exceeded): fix that, and run the same command again." in answer["msg"]


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


def test_another_project(site):
    answer = site.run(artifact_registry_repository, repository=f"{HOST}/nobodys/models")
    assert answer["failed"]
    assert answer["msg"].startswith("image_registry names the project nobodys, but there is none")
    assert f"write the ID of yours in {HOST}/nobodys/models" in answer["msg"]
    site.google.fault("permission-denied", method=GET)
    # The project of the clusters may be another one.
    message = repository(site, project="of-clusters")["msg"]
    assert "The login lacks the permission artifactregistry.repositories.get in project" in message
    assert f"in project {site.google.project}:" in message


def test_removed_with_its_images(site):
    repository(site)
    push(site, "hello-app", "team/diabetes")
    wanted = {"state": "absent", "images": ["hello-app:v1", "team/diabetes:v2", "never-pushed:v1"]}
    would = repository(site, check=True, **wanted)
    assert (would["changed"], would["exists"], would["kept"]) == (True, True, "")
    assert created(site, DELETE) == []
    answer = repository(site, **wanted)
    assert answer["diff"] == would["diff"]
    assert answer["diff"]["before"].startswith(f"repository {HOST}/{site.google.project}/models")
    assert created(site, DELETE) == [200]
    again = repository(site, **wanted)
    assert (again["changed"], again["exists"]) == (False, False)
    assert created(site, DELETE) == []
    # A new repository of the same name is empty.
    repository(site)
    assert repository(site, state="absent", images=[])["changed"]


def test_what_holds_something_else_stays(site):
    repository(site)
    push(site, "team/hello-app", "hello-app", *"abcdef")
    answer = repository(site, "models/team", state="absent", images=["hello-app:v1"])
    assert not answer["changed"]
    reference = f"{HOST}/{site.google.project}/models"
    assert answer["kept"] == (
        f"{reference} stays with its images, since it also holds a, b, c, d, e and 2 more. It is "
        f"removed by: {answer['remove_command']}"
    )
    assert answer["remove_command"] == (
        "gcloud artifacts repositories delete models --location europe-west1 "
        f"--project {site.google.project}"
    )
    assert site.google.mutations() == []
    assert repository(site, state="absent")["changed"]


def test_what_is_not_ours_stays(site):
    repository(site, managed_by="somebody")
    answer = repository(site, state="absent", images=[])
    assert not answer["changed"]
    assert "since it does not carry the label managed-by: docker-ml-api." in answer["kept"]
    assert site.google.mutations() == []


def test_removing_with_lost_answers(site):
    repository(site)
    site.google.fault("drop-after", method=DELETE)
    assert repository(site, state="absent")["changed"]
    assert not repository(site, state="absent")["exists"]


def test_removing_that_is_refused(site):
    repository(site)
    site.google.fault("permission-denied", method=DELETE)
    answer = repository(site, state="absent")
    assert answer["failed"]
    assert "artifactregistry.repositories.delete" in answer["msg"]


def test_removing_that_does_not_succeed(tmp_path, capsys, monkeypatch):
    class Staying(World):
        """Reports the removal of a repository but keeps it, or fails to remove it."""

        fails = False

        def call(self, call):
            if call.method_id == DELETE:
                name = f"{call.params['name'].partition('/repositories')[0]}/operations/o"
                error = {"code": 13, "message": "Internal error."}
                done = {"error": error} if self.fails else {"response": {}}
                return Answer(200, {"name": name, "done": True, **done})
            return super().call(call)

    with gke_double.running(tmp_path, clock=StandingClock(), make_world=Staying) as google:
        site = Site(google, capsys, monkeypatch)
        repository(site)
        answer = repository(site, state="absent", timeout=5)
        assert answer["failed"]
        assert "models is still there after 5 s. Run the same command again." in answer["msg"]
        google.world.fails = True
        answer = repository(site, state="absent")
    assert answer["failed"]
    assert "Google could not remove" in answer["msg"]
    assert "(Internal error): fix that" in answer["msg"]
