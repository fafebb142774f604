import pytest
from ansible.module_utils.docker_ml_api.google import artifact_repository

OURS = {"managed-by": "docker-ml-api"}
# Address: host, location, project, name, folder.
NAMES = {
    "europe-west1-docker.pkg.dev/my-project/models": (
        *("europe-west1-docker.pkg.dev", "europe-west1", "my-project", "models", ""),
    ),
    "europe-docker.pkg.dev/my-project/models/team/a": (
        *("europe-docker.pkg.dev", "europe", "my-project", "models", "team/a"),
    ),
    "us-central1-docker.pkg.dev/example.com/p/m": (
        *("us-central1-docker.pkg.dev", "us-central1", "example.com:p", "m", ""),
    ),
}


@pytest.mark.parametrize(("text", "parts"), NAMES.items())
def test_parse(text, parts):
    found = artifact_repository.parse(text)
    assert (found.host, found.location, found.project, found.name, found.folder) == parts
    assert text == f"{found.reference}/{found.folder}".rstrip("/")
    assert found.path == f"projects/{parts[2]}/locations/{parts[1]}/repositories/{parts[3]}"


@pytest.mark.parametrize(
    "text",
    [
        "docker.io/tom",
        "gcr.io/my-project",
        "europe-west1-docker.pkg.dev",
        "europe-west1-docker.pkg.dev/my-project",
        "europe-west1-docker.pkg.dev/my-project/-models",
        "europe-west1-docker.pkg.dev/example.com/my-project",
        "europe-west1-b-docker.pkg.dev/my-project/models",
        "https://europe-west1-docker.pkg.dev/my-project/models",
    ],
)
def test_no_repository(text):
    with pytest.raises(ValueError, match="write LOCATION-docker"):
        artifact_repository.parse(text)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"format": "DOCKER"}, ""),
        ({"format": "DOCKER", "mode": "STANDARD_REPOSITORY"}, ""),
        ({"format": "NPM"}, "it is for NPM, not for DOCKER images"),
        (
            {"format": "DOCKER", "mode": "REMOTE_REPOSITORY"},
            "it is a remote repository, to which nothing can be pushed",
        ),
    ],
)
def test_fit(found, why):
    assert artifact_repository.unfit(found) == why


@pytest.mark.parametrize(
    ("labels", "ours"),
    [({"labels": OURS}, True), ({"labels": {"managed-by": "them"}}, False), ({}, False)],
)
def test_ours(labels, ours):
    assert artifact_repository.is_ours(labels, "managed-by", "docker-ml-api") is ours


@pytest.mark.parametrize(
    ("folder", "image", "package"),
    [
        ("", "hello-app:v1", "hello-app"),
        ("", "team/hello-app:v1", "team/hello-app"),
        ("/a/b", "hello-app", "a/b/hello-app"),
        ("/a", "team/hello-app:v1", "a/team/hello-app"),
    ],
)
def test_package(folder, image, package):
    wanted = artifact_repository.parse(f"europe-docker.pkg.dev/my-project/models{folder}")
    assert wanted.package(image) == package


def test_package_names():
    place = "projects/p/locations/l/repositories/r/packages"
    found = [{"name": f"{place}/team%2Fb"}, {"name": f"{place}/a"}]
    assert artifact_repository.package_names(found) == ["a", "team/b"]


def test_removal():
    wanted = artifact_repository.parse("europe-docker.pkg.dev/example.com/p/models/team")
    assert artifact_repository.removal(wanted) == (
        "gcloud artifacts repositories delete models --location europe --project example.com:p"
    )
