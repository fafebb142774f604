"""The wrong project, and permissions that a caller lacks."""

import pytest

from support.google_client import CALLER, CLUSTERS, COMPUTE, PROJECT, ROOT, ZONE, Client

WEB = f"{CLUSTERS}/web"


@pytest.fixture
def google():
    client = Client()
    client.create()
    return client


def test_wrong_project(google):
    for path, host in (
        ("/v1/projects/other/locations/-/clusters", "container"),
        ("/compute/v1/projects/other/zones", "compute"),
        ("/v1/projects/other/services/x.googleapis.com", "serviceusage"),
        ("/v1/projects/other:testIamPermissions", "cloudresourcemanager"),
    ):
        verb = "POST" if path.endswith("Permissions") else "GET"
        answer = google.call(verb, path, {} if verb == "POST" else None, host=host)
        assert (answer.status, answer.body["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert answer.body["error"]["message"] == "Permission denied on resource project other."
        info = answer.body["error"]["details"][1]
        assert info["reason"] == "CONSUMER_INVALID"
        assert info["metadata"] == {
            "consumer": "projects/other",
            "service": f"{host}.googleapis.com",
        }


REGISTRY = f"/v1/projects/{PROJECT}/locations/europe-west1/repositories"


@pytest.mark.parametrize(
    ("permission", "verb", "path", "body", "message"),
    [
        (
            "container.clusters.get",
            "GET",
            WEB,
            None,
            (
                f'Required "container.clusters.get" permission(s) for '
                f'"projects/{PROJECT}/zones/{ZONE}/clusters/web".'
            ),
        ),
        (
            "container.clusters.list",
            "GET",
            CLUSTERS,
            None,
            f'Required "container.clusters.list" permission(s) for "projects/{PROJECT}".',
        ),
        (
            "container.clusters.create",
            "POST",
            CLUSTERS,
            {"cluster": {"name": "x", "initialNodeCount": 1}},
            None,
        ),
        ("container.clusters.delete", "DELETE", WEB, None, None),
        ("container.clusters.update", "PUT", WEB, {"update": {}}, None),
        ("container.clusters.update", "POST", f"{WEB}:setResourceLabels", {}, None),
        ("container.clusters.update", "DELETE", f"{WEB}/nodePools/main", None, None),
        ("container.clusters.get", "GET", f"{WEB}/nodePools", None, None),
        ("container.clusters.get", "GET", f"{WEB}:checkAutopilotCompatibility", None, None),
        ("container.clusters.list", "GET", f"{ROOT}/serverConfig", None, None),
        ("container.operations.list", "GET", f"{ROOT}/operations", None, None),
        (
            "compute.forwardingRules.list",
            "GET",
            f"{COMPUTE}/aggregated/forwardingRules",
            None,
            f"Required 'compute.forwardingRules.list' permission for 'projects/{PROJECT}'",
        ),
        (
            "artifactregistry.repositories.list",
            "GET",
            REGISTRY,
            None,
            (
                "Permission 'artifactregistry.repositories.list' denied on resource "
                f"'//artifactregistry.googleapis.com/projects/{PROJECT}' (or it may not exist)."
            ),
        ),
        ("resourcemanager.projects.get", "GET", f"/v1/projects/{PROJECT}", None, None),
    ],
)
def test_no_permission(google, permission, *, verb, path, body, message):
    hosts = {"artifactregistry": "artifactregistry", "resourcemanager": "cloudresourcemanager"}
    host = hosts.get(permission.partition(".")[0], "")
    google.world.control("deny", {"permissions": [permission], "caller": CALLER})
    answer = google.call(verb, path, body, host=host)
    assert answer.status == 403
    assert permission in answer.body["error"]["message"]
    if message:
        assert answer.body["error"]["message"] == message
    others = google.call(verb, path, body, host=host, caller="somebody@else")
    assert others.status != 403
    google.world.control("allow", {})
    assert google.call(verb, path, body, host=host).status != 403


def test_denied_to_everybody(google):
    google.world.control("deny", {"permissions": ["container.clusters.get"]})
    google.world.control("deny", {"permissions": ["container.clusters.list"]})
    assert google.refused("GET", WEB)[0] == 403
    assert google.refused("GET", CLUSTERS, caller="somebody@else")[0] == 403
