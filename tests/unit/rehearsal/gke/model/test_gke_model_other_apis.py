"""Service Usage, Artifact Registry, Resource Manager."""

import pytest

from support.google_client import NUMBER, PROJECT, Client

USAGE = {"host": "serviceusage"}
REGISTRY = {"host": "artifactregistry"}
MANAGER = {"host": "cloudresourcemanager"}
SERVICES = f"/v1/projects/{PROJECT}/services"
REPOSITORIES = f"/v1/projects/{PROJECT}/locations/europe-west1/repositories"
DOCKER = {"format": "DOCKER", "labels": {"managed-by": "us"}}


@pytest.fixture
def google():
    return Client()


def test_services():
    google = Client(disabled_services=["container.googleapis.com"])
    service = f"{SERVICES}/container.googleapis.com"
    shown = google.ok("GET", service, **USAGE)
    assert shown["state"] == "DISABLED"
    assert shown["name"] == f"projects/{NUMBER}/services/container.googleapis.com"
    refused = google.call("GET", f"/v1/projects/{PROJECT}/locations/-/clusters")
    assert refused.status == 403
    assert refused.body["error"]["message"].startswith(
        f"Kubernetes Engine API has not been used in project {PROJECT} before or it is disabled. "
    )
    assert refused.body["error"]["details"][1]["reason"] == "SERVICE_DISABLED"
    operation = google.ok("POST", f"{service}:enable", {}, **USAGE)
    assert "done" not in operation
    google.wait()
    done = google.ok("GET", f"/v1/{operation['name']}", **USAGE)
    assert done["response"]["service"]["state"] == "ENABLED"
    assert google.ok("GET", f"/v1/projects/{PROJECT}/locations/-/clusters") == {}


def test_services_listed_and_enabled_together(google):
    def enabled():
        answer = google.ok("GET", f"{SERVICES}?filter=state:ENABLED", **USAGE)
        return [each["config"]["name"] for each in answer["services"]]

    assert "compute.googleapis.com" in enabled()
    assert "run.googleapis.com" not in enabled()
    some = {"serviceIds": ["run.googleapis.com", "compute.googleapis.com"]}
    google.ok("POST", f"{SERVICES}:batchEnable", some, **USAGE)
    assert "run.googleapis.com" in enabled()
    assert len(google.ok("GET", SERVICES, **USAGE)["services"]) == len(enabled())


def test_unknown_operation(google):
    assert google.refused("GET", "/v1/operations/none", **USAGE)[0] == 404


def test_repositories(google):
    one = f"{REPOSITORIES}/apps"
    assert google.refused("GET", one, **REGISTRY)[0] == 404
    assert google.ok("GET", REPOSITORIES, **REGISTRY) == {}
    path = f"{REPOSITORIES}?repositoryId=apps"
    operation = google.ok("POST", path, DOCKER, **REGISTRY)
    assert operation["name"].startswith(f"projects/{PROJECT}/locations/europe-west1/operations/")
    assert google.refused("GET", one, **REGISTRY)[0] == 404  # it is being created
    assert google.refused("POST", path, DOCKER, **REGISTRY)[0] == 409
    google.wait()
    assert google.ok("GET", f"/v1/{operation['name']}", **REGISTRY)["done"] is True
    shown = google.ok("GET", one, **REGISTRY)
    assert shown["registryUri"] == f"europe-west1-docker.pkg.dev/{PROJECT}/apps"
    assert shown["labels"] == DOCKER["labels"]
    by_number = one.replace(PROJECT, NUMBER)
    assert google.ok("GET", by_number, **REGISTRY) == shown
    assert google.ok("GET", REPOSITORIES, **REGISTRY) == {"repositories": [shown]}


def test_repositories_hold_images_and_go_with_them(google):
    one = f"{REPOSITORIES}/apps"
    assert google.refused("GET", f"{one}/packages", **REGISTRY)[0] == 404
    assert google.refused("DELETE", one, **REGISTRY)[0] == 404
    google.ok("POST", f"{REPOSITORIES}?repositoryId=apps", DOCKER, **REGISTRY)
    google.wait()
    assert google.ok("GET", f"{one}/packages", **REGISTRY) == {}
    name = one.removeprefix("/v1/")
    for _ in range(2):
        google.world.control("push", {"repository": name, "image": "team/app"})
    [package] = google.ok("GET", f"{one}/packages", **REGISTRY)["packages"]
    assert package["name"] == f"{name}/packages/team%2Fapp"
    store = google.world.dump()["images"][name]["store"]
    operation = google.ok("DELETE", one, **REGISTRY)
    google.wait()
    assert google.ok("GET", f"/v1/{operation['name']}", **REGISTRY)["done"] is True
    assert google.refused("GET", one, **REGISTRY)[0] == 404
    with pytest.raises(ValueError, match=r"no repository projects/.*; there are none"):
        google.world.control("push", {"repository": name, "image": "a"})
    google.ok("POST", f"{REPOSITORIES}?repositoryId=apps", DOCKER, **REGISTRY)
    google.wait()
    assert google.ok("GET", f"{one}/packages", **REGISTRY) == {}
    assert google.world.dump()["images"][name]["store"] != store


@pytest.mark.parametrize(
    ("location", "name", "body", "words"),
    [
        ("europe-west1", "Apps", DOCKER, 'invalid repository ID "Apps"'),
        ("europe-west1", "", DOCKER, 'invalid repository ID ""'),
        ("europe-west1", "apps", {}, "format must be specified"),
        ("europe-west1-b", "apps", DOCKER, '"europe-west1-b" is not supported'),
    ],
)
def test_repositories_that_cannot_be(google, location, name, body, words):
    path = f"/v1/projects/{PROJECT}/locations/{location}/repositories?repositoryId={name}"
    status, message = google.refused("POST", path, body, **REGISTRY)
    assert status == 400
    assert words in message


def test_project(google):
    first = google.ok("GET", f"/v1/projects/{PROJECT}", **MANAGER)
    assert (first["projectId"], first["projectNumber"]) == (PROJECT, NUMBER)
    third = google.ok("GET", f"/v3/projects/{PROJECT}", **MANAGER)
    assert (third["projectId"], third["name"]) == (PROJECT, f"projects/{NUMBER}")


@pytest.mark.parametrize("resource", [f"v1/projects/{PROJECT}", f"v3/projects/{NUMBER}"])
def test_permissions_that_one_has(google, resource):
    asked = {"permissions": ["container.clusters.create", "container.clusters.get"]}
    path = f"/{resource}:testIamPermissions"
    assert google.ok("POST", path, asked, **MANAGER) == asked
    google.world.control("deny", {"permissions": ["container.clusters.create"]})
    answer = google.ok("POST", path, asked, **MANAGER)
    assert answer == {"permissions": ["container.clusters.get"]}
