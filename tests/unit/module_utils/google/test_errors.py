"""Google's errors, and the messages for users."""

import json

import pytest
from ansible.module_utils.docker_ml_api.google import errors

URL = "https://container.googleapis.com/v1/projects/p/locations/l/clusters"


def answer(message, status="", old="", **information):
    error = {"code": 0, "message": message}
    if status:
        error["status"] = status
    if old:
        error["errors"] = [{"reason": old}]
    if information:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.Help"}]
        error["details"].append({"@type": kind, **information})
    return json.dumps({"error": error})


QUOTA = (
    "Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '12.0'."
)

# What: the status, the answer, the reason, parts of the sentence.
REFUSALS = {
    "token": (
        401,
        answer("Request had invalid authentication credentials.", "UNAUTHENTICATED"),
        "UNAUTHENTICATED",
        ["does not accept the login", "GCP_ACCESS_TOKEN", "Google said: Request had invalid"],
    ),
    "API not enabled": (
        403,
        answer(
            "It is off.", "PERMISSION_DENIED", "accessNotConfigured", reason="SERVICE_DISABLED",
            metadata={"service": "container.googleapis.com"},
        ),
        "SERVICE_DISABLED",
        ["gcloud services enable container.googleapis.com --project p"],
    ),
    "API not enabled, without details": (
        403,
        answer("Compute Engine API has not been used in project 7 before or it is disabled."),
        "SERVICE_DISABLED",
        ["The API container.googleapis.com is not enabled in project p"],
    ),
    "permission": (
        403,
        answer('Required "container.clusters.create" permission(s) for "projects/p".', "X"),
        "X",
        ["lacks the permission container.clusters.create in project p", "roles/container.admin"],
    ),
    "permission, in other words": (
        403,
        answer("Permission 'artifactregistry.repositories.get' denied on resource.", "X"),
        "X",
        ["lacks the permission artifactregistry.repositories.get", "roles/artifactregistry"],
    ),
    "permission in the details": (
        403,
        answer("No.", "X", metadata={"permission": "storage.buckets.get"}),
        "X",
        ["lacks the permission storage.buckets.get in project p: let"],
    ),
    "some permission": (403, answer("No."), "403", ["lacks a permission in project p: let"]),
    "project": (
        403,
        answer("Permission denied on resource project p.", "PERMISSION_DENIED"),
        errors.PROJECT_NOT_FOUND,
        ["There is no project p that this login can see", "(GCP_PROJECT)"],
    ),
    "project not found": (
        404,
        answer("Not found: projects/p.", "NOT_FOUND"),
        errors.PROJECT_NOT_FOUND,
        ["There is no project p"],
    ),
    "project of compute": (
        404,
        answer("The resource 'projects/p' was not found"),
        errors.PROJECT_NOT_FOUND,
        ["There is no project p"],
    ),
    "cluster not found": (
        404,
        answer("Not found: projects/p/locations/l/clusters/c.", "NOT_FOUND"),
        "NOT_FOUND",
        ["Google refused the request (404 NOT_FOUND): Not found: projects/p/locations"],
    ),
    "quota": (
        403,
        answer(QUOTA, old="forbidden"),
        "forbidden",
        ["not enough of what is asked for: ask for more quota", "project=p", "fewer nodes"],
    ),
    "quota as too many requests": (
        429, answer(QUOTA, "RESOURCE_EXHAUSTED"), "RESOURCE_EXHAUSTED", ["ask for more quota"]
    ),
    "no machines": (
        400,
        answer("ZONE_RESOURCE_POOL_EXHAUSTED: the zone does not have enough resources."),
        "400",
        ["set another location (gcp_location) or machine_type"],
    ),
    "rate": (
        429,
        answer("Quota exceeded for quota metric 'Read requests'.", "RESOURCE_EXHAUSTED"),
        "RESOURCE_EXHAUSTED",
        ["limits the requests of project p (container.googleapis.com)", "in a minute"],
    ),
    "rate of compute": (
        403,
        answer("Rate Limit Exceeded", "X", old="rateLimitExceeded"),
        "rateLimitExceeded",
        ["limits the requests"],
    ),
    "unwell": (503, answer("Try later."), "503", ["is not well (status 503)"]),
    "bad request": (
        400,
        answer("Bad node count.", "INVALID_ARGUMENT"),
        "INVALID_ARGUMENT",
        ["Google refused the request (400 INVALID_ARGUMENT): Bad node count."],
    ),
    "a page": (502, "<html> Bad\n gateway", "502", ["Google said: <html> Bad gateway."]),
    "nothing": (404, "", "404", ["(404 404): Not Found."]),
    "JSON of others": (400, '{"error": "invalid_grant"}', "400", ["invalid_grant"]),
    "no object": (400, "[1]", "400", ["[1]."]),
}  # fmt: skip


@pytest.mark.parametrize(("status", "text", "reason", "parts"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(status, text, reason, parts):
    error = errors.refusal(status, text, URL, "p")
    assert error.status == status
    assert error.reason == reason
    for part in parts:
        assert part in str(error)
    assert str(error).endswith(".")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("status", "text", "transient"),
    [
        (429, answer("Slow down."), True),
        (429, answer(QUOTA), False),
        (403, answer("Slow down.", old="userRateLimitExceeded"), True),
        (403, answer("No."), False),
        (400, answer("No."), False),
        (401, answer("No."), False),
        (501, answer("No."), False),
        *((status, "", True) for status in (500, 502, 503, 504)),
    ],
)
def test_is_transient(status, text, transient):
    assert errors.is_transient(errors.refusal(status, text, URL, "p")) is transient


def test_without_a_sentence():
    assert str(errors.GoogleError(0, "X", "What Google said.")) == "What Google said."
