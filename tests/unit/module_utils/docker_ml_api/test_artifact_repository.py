import pytest
from ansible.module_utils.docker_ml_api import artifact_repository

# What is written: host, location, project, name.
NAMES = {
    "europe-west1-docker.pkg.dev/my-project/models": (
        *("europe-west1-docker.pkg.dev", "europe-west1", "my-project", "models"),
    ),
    "europe-docker.pkg.dev/my-project/models/team/a": (
        *("europe-docker.pkg.dev", "europe", "my-project", "models"),
    ),
    "us-central1-docker.pkg.dev/example.com:p/m": (
        *("us-central1-docker.pkg.dev", "us-central1", "example.com:p", "m"),
    ),
}


@pytest.mark.parametrize(("text", "parts"), NAMES.items())
def test_parse(text, parts):
    found = artifact_repository.parse(text)
    assert (found.host, found.location, found.project, found.name) == parts
    assert text.startswith(found.reference)
    assert found.path == f"projects/{parts[2]}/locations/{parts[1]}/repositories/{parts[3]}"


@pytest.mark.parametrize(
    "text",
    [
        "docker.io/tom",
        "gcr.io/my-project",
        "europe-west1-docker.pkg.dev",
        "europe-west1-docker.pkg.dev/my-project",
        "europe-west1-docker.pkg.dev/my-project/-models",
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
