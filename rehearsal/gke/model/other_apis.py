"""Methods of Google's other APIs that a GKE run calls, except those answered by the frontend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rehearsal.gke.call import refusal
from rehearsal.gke.model import catalog, permissions, values
from rehearsal.gke.model.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State
    from rehearsal.gke.model.target import Target

    Handler = Callable[[State, Call, Target], dict[str, Any]]

SERVICES = (
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "container.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "serviceusage.googleapis.com",
)
REPOSITORY = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
MULTI_REGIONS = ("asia", "europe", "us")
_ARTIFACTS = "type.googleapis.com/google.devtools.artifactregistry.v1"


def _name(call: Call) -> str:
    given = {**call.params, **call.path}
    return str(given.get("name") or given.get("parent") or "")


def _operation(state: State, prefix: str, metadata: dict[str, Any], done: Any) -> dict[str, Any]:
    """Start a long-running operation whose response is `done` when it ends."""
    name = f"{prefix}{values.uuid_of('operation', state.next_number())}"
    record = {
        "name": name,
        "due": state.now + state.settings.other_seconds,
        "metadata": metadata,
        "response": done,
    }
    state.other_operations[name] = record
    return _operation_shown(state, record)


def _operation_shown(state: State, record: dict[str, Any]) -> dict[str, Any]:
    shown = {"name": record["name"], "metadata": record["metadata"]}
    if record["due"] <= state.now:
        shown |= {"done": True, "response": record["response"]}
    return shown


def get_operation(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """operations.get of Service Usage and Artifact Registry."""
    name = _name(call)
    if name not in state.other_operations:
        raise Refused(refusal(404, f"Operation {name} not found.", reason="notFound"))
    return _operation_shown(state, state.other_operations[name])


def _service_state(state: State, service: str) -> dict[str, Any]:
    settings = state.settings
    on = service in state.enabled_services or (
        service in SERVICES and service not in settings.disabled_services
    )
    return {
        "name": f"projects/{settings.project_number}/services/{service}",
        "parent": f"projects/{settings.project_number}",
        "config": {"name": service},
        "state": "ENABLED" if on else "DISABLED",
    }


def get_service(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """services.get."""
    return _service_state(state, _name(call).rpartition("/")[2])


def list_services(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """services.list, with the filter state:ENABLED or state:DISABLED."""
    known = sorted({*SERVICES, *state.enabled_services, *state.settings.disabled_services})
    shown = [_service_state(state, service) for service in known]
    wanted = str(call.params.get("filter", "")).partition("state:")[2]
    return {"services": [each for each in shown if not wanted or each["state"] == wanted]}


def enable_service(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """services.enable."""
    service = _name(call).rpartition("/")[2]
    if service not in state.enabled_services:
        state.enabled_services.append(service)
    kind = "type.googleapis.com/google.api.serviceusage.v1"
    return _operation(
        state,
        "operations/acat.p2-",
        {"@type": f"{kind}.OperationMetadata", "resourceNames": [_name(call)]},
        {"@type": f"{kind}.EnableServiceResponse", "service": _service_state(state, service)},
    )


def batch_enable_services(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """services.batchEnable."""
    services = [str(service) for service in (call.body or {}).get("serviceIds", ())]
    state.enabled_services += [s for s in services if s not in state.enabled_services]
    kind = "type.googleapis.com/google.api.serviceusage.v1"
    shown = [_service_state(state, service) for service in services]
    return _operation(
        state,
        "operations/acat.p2-",
        {"@type": f"{kind}.OperationMetadata", "resourceNames": services},
        {"@type": f"{kind}.BatchEnableServicesResponse", "services": shown},
    )


def _repository_name(state: State, name: str) -> str:
    """Return a repository's name with the project's ID instead of its number."""
    words = name.split("/")
    words[1] = state.settings.project
    return "/".join(words)


def _check_location(location: str) -> None:
    if location not in (*catalog.REGIONS, *MULTI_REGIONS):
        raise Refused(refusal(400, f'Invalid value at location: "{location}" is not supported.'))


def create_repository(state: State, call: Call, at: Target) -> dict[str, Any]:
    """repositories.create."""
    _check_location(at.location)
    identifier = str(call.params.get("repositoryId", ""))
    asked = dict(call.body or {})
    if not re.fullmatch(REPOSITORY, identifier):
        raise Refused(
            refusal(
                400,
                f'invalid repository ID "{identifier}": must be a lowercase letter followed by '
                "lowercase letters, digits and hyphens, at most 63 characters",
            )
        )
    if asked.get("format", "FORMAT_UNSPECIFIED") == "FORMAT_UNSPECIFIED":
        raise Refused(refusal(400, "repository format must be specified"))
    name = f"{_repository_name(state, _name(call))}/repositories/{identifier}"
    if name in state.repositories:
        raise Refused(refusal(409, "the repository already exists"))
    now = values.precise_time_of(state.now)
    place = f"{at.location}-docker.pkg.dev/{state.settings.project}/{identifier}"
    state.repositories[name] = {
        "createTime": now,
        "updateTime": now,
        "mode": "STANDARD_REPOSITORY",
        **asked,
        "name": name,
        "registryUri": place,
        "satisfiesPzi": True,
        "vulnerabilityScanningConfig": {
            "enablementState": "SCANNING_DISABLED",
            "enablementStateReason": "API containerscanning.googleapis.com is not enabled.",
        },
    }
    # A store of its own, so that a later repository of the same name does not contain these images.
    state.images[name] = {"store": f"r{state.next_number()}", "packages": {}}
    return _operation(
        state,
        f"{_repository_name(state, _name(call))}/operations/",
        {"@type": f"{_ARTIFACTS}.OperationMetadata"},
        {"@type": f"{_ARTIFACTS}.Repository", **state.repositories[name]},
    )


def delete_repository(state: State, call: Call, at: Target) -> dict[str, Any]:
    """repositories.delete: deletes the repository with its content."""
    get_repository(state, call, at)
    name = _repository_name(state, _name(call))
    del state.repositories[name]
    state.images.pop(name, None)
    return _operation(
        state,
        f"{name.partition('/repositories/')[0]}/operations/",
        {"@type": f"{_ARTIFACTS}.OperationMetadata"},
        {"@type": "type.googleapis.com/google.protobuf.Empty"},
    )


def _ready(state: State, name: str) -> bool:
    """Return whether the operation that created a repository has ended."""
    return all(
        record["due"] <= state.now
        for record in state.other_operations.values()
        if isinstance(record["response"], dict) and record["response"].get("name") == name
    )


def get_repository(state: State, call: Call, at: Target) -> dict[str, Any]:
    """repositories.get."""
    _check_location(at.location)
    name = _repository_name(state, _name(call))
    if name not in state.repositories or not _ready(state, name):
        raise Refused(refusal(404, f"Requested entity was not found: {name}.", reason="notFound"))
    return dict(state.repositories[name])


def list_repositories(state: State, call: Call, at: Target) -> dict[str, Any]:
    """repositories.list."""
    _check_location(at.location)
    prefix = f"{_repository_name(state, _name(call))}/repositories/"
    shown = [
        repository
        for name, repository in state.repositories.items()
        if name.startswith(prefix) and _ready(state, name)
    ]
    return {"repositories": shown} if shown else {}


def list_packages(state: State, call: Call, at: Target) -> dict[str, Any]:
    """repositories.packages.list."""
    get_repository(state, call, at)
    held = state.images.get(_repository_name(state, _name(call)), {}).get("packages")
    return {"packages": list(held.values())} if held else {}


def push(state: State, repository: str, image: str) -> None:
    """Add an image to a repository, which is given by its full name in the API.

    :raises ValueError: no such repository.
    """
    if repository not in state.images:
        message = f"no repository {repository}; there are {', '.join(state.images) or 'none'}"
        raise ValueError(message)
    now = values.precise_time_of(state.now)
    name = f"{repository}/packages/{quote(image, safe='')}"
    state.images[repository]["packages"].setdefault(image, {"name": name, "createTime": now})
    state.images[repository]["packages"][image]["updateTime"] = now


def get_project(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """projects.get of v1 and v3, which have different fields."""
    settings = state.settings
    if call.params.get("name"):  # v3
        return {
            "name": f"projects/{settings.project_number}",
            "projectId": settings.project,
            "displayName": settings.project,
            "state": "ACTIVE",
        }
    return {
        "projectId": settings.project,
        "projectNumber": settings.project_number,
        "name": settings.project,
        "lifecycleState": "ACTIVE",
        "createTime": "2026-01-01T00:00:00.000Z",
    }


def tested_permissions(state: State, call: Call, _at: Target) -> dict[str, Any]:
    """projects.testIamPermissions: returns all permissions except the denied ones."""
    asked = [str(each) for each in (call.body or {}).get("permissions", ())]
    denied = permissions.denied(state, call)
    return {"permissions": [each for each in asked if each not in denied]}


HANDLERS: dict[str, Handler] = {
    "serviceusage.services.get": get_service,
    "serviceusage.services.list": list_services,
    "serviceusage.services.enable": enable_service,
    "serviceusage.services.batchEnable": batch_enable_services,
    "serviceusage.operations.get": get_operation,
    "artifactregistry.projects.locations.repositories.create": create_repository,
    "artifactregistry.projects.locations.repositories.get": get_repository,
    "artifactregistry.projects.locations.repositories.list": list_repositories,
    "artifactregistry.projects.locations.repositories.delete": delete_repository,
    "artifactregistry.projects.locations.repositories.packages.list": list_packages,
    "artifactregistry.projects.locations.operations.get": get_operation,
    "cloudresourcemanager.projects.get": get_project,
    "cloudresourcemanager.projects.testIamPermissions": tested_permissions,
}
