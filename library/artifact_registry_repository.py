#!/usr/bin/python
"""Ansible module artifact_registry_repository: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: artifact_registry_repository
short_description: Create or delete a repository for images in Google's Artifact Registry
description:
  - Creates the repository if it does not exist. An existing repository is used as it is, whoever
    created it, if images can be pushed to it.
  - Deletes the repository and its images only if it has the label C(managed-by) with the value of
    O(managed_by), and contains nothing but O(images).
  - Nodes of a GKE cluster in the same project pull from it with their own service account; a
    pull secret is not needed.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: google
options:
  repository:
    description:
      - The repository as in image references, C(LOCATION-docker.pkg.dev/PROJECT/NAME). A path may
        follow; it is part of the names of the images.
    type: str
    required: true
  state:
    description:
      - V(present) creates the repository if it does not exist.
      - V(absent) deletes it with its images. A repository that is not this project's, or that
        contains images that are not in O(images), is kept; RV(kept) gives the reason.
    type: str
    choices: [present, absent]
    default: present
  images:
    description:
      - With O(state=absent), the images that may be deleted with the repository, by the names that
        follow O(repository) in their references; tags are ignored. By default all may be deleted.
    type: list
    elements: str
  managed_by:
    description: Value of the label C(managed-by) that marks a repository of this project.
    type: str
    default: docker-ml-api
  login:
    description:
      - Whether RV(username) and RV(password_base64) are returned. The password is an access
        token that Google accepts for an hour, so set C(no_log=true) on the task.
    type: bool
    default: false
  timeout:
    description: Timeout in seconds for creating or deleting the repository.
    type: float
    default: 120
attributes:
  check_mode:
    support: full
    description: Reports whether it would be created or deleted. The login is returned as well.
  diff_mode:
    support: full
    description: Shows the repository that is created or deleted.
"""

EXAMPLES = r"""
- name: Create the repository if it does not exist
  artifact_registry_repository:
    auth_kind: application
    project: my-project
    repository: europe-west1-docker.pkg.dev/my-project/models

- name: Log in
  artifact_registry_repository:
    auth_kind: application
    project: my-project
    repository: europe-west1-docker.pkg.dev/my-project/models
    login: true
  register: registry
  check_mode: true
  no_log: true

- name: Delete it with its images
  artifact_registry_repository:
    auth_kind: application
    project: my-project
    repository: europe-west1-docker.pkg.dev/my-project/models
    state: absent
    images: [hello-app, diabetes]
"""

RETURN = r"""
host:
  description: The registry's host.
  returned: success
  type: str
  sample: europe-west1-docker.pkg.dev
repository:
  description: The prefix of the references of its images.
  returned: success
  type: str
  sample: europe-west1-docker.pkg.dev/my-project/models
exists:
  description: Whether the repository existed before.
  returned: success
  type: bool
size_bytes:
  description: Size of its images before the run, as far as Google has computed it.
  returned: success
  type: int
  sample: 104857600
kept:
  description: With O(state=absent), why the repository is kept, as a sentence; empty if it is not.
  returned: success
  type: str
remove_command:
  description: The command that deletes the repository by hand.
  returned: success
  type: str
  sample: gcloud artifacts repositories delete models --location europe-west1 --project my-project
username:
  description: The name to log in with.
  returned: with O(login)
  type: str
  sample: oauth2accesstoken
password_base64:
  description:
    - An access token, encoded as base64, because Ansible would mask a token that was given with
      O(access_token).
  returned: with O(login)
  type: str
expires:
  description: When the token expires (RFC 3339); empty if unknown, as for a given token.
  returned: with O(login)
  type: str
  sample: "2026-11-22T22:05:00Z"
"""

import base64
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import cluster_options
    from ansible.module_utils.docker_ml_api.google import api, artifact_repository, errors
    from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError
except ImportError:
    # run_module reports the missing package.
    artifact_repository = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession
    from ansible.module_utils.docker_ml_api.google.artifact_repository import Repository

ARGUMENTS: dict[str, Any] = {
    "repository": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "images": {"type": "list", "elements": "str"},
    "managed_by": {"type": "str", "default": "docker-ml-api"},
    "login": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 120},
}
_NOT_FOUND = 404
_CONFLICT = 409
_INTERVAL = 1.0
# Number of other images that the reason for keeping a repository names.
_NAMED = 5


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Create or delete the repository, and return the module's result."""
    params = module.params
    try:
        wanted = artifact_repository.parse(params["repository"])
    except ValueError as error:
        raise ModuleFailedError(f"image_registry: {error}.") from error
    # The project whose permissions and APIs matter; it may differ from that of the clusters.
    session.project = wanted.project
    try:
        found = session.find(f"{api.ARTIFACT_REGISTRY}/{wanted.path}")
    except GoogleError as error:
        if error.reason != errors.PROJECT_NOT_FOUND:
            raise
        raise ModuleFailedError(
            f"image_registry names the project {wanted.project}, but there is none that this login "
            f"can see: write the ID of yours in {wanted.reference}, or use another login. Google "
            f"said: {error.message.rstrip('.')}."
        ) from error
    act = _present if params["state"] == "present" else _absent
    result: dict[str, Any] = {
        "host": wanted.host,
        "repository": wanted.reference,
        "exists": found is not None,
        "size_bytes": int((found or {}).get("sizeBytes") or 0),
        "kept": "",
        "remove_command": artifact_repository.removal(wanted),
        **act(module, session, wanted, found),
    }
    if params["login"]:
        result |= _login(session)
    return result


def _present(
    module: AnsibleModule,
    session: GoogleSession,
    wanted: Repository,
    found: dict[str, Any] | None,
) -> dict[str, Any]:
    changed = found is None
    if found is None and not module.check_mode:
        found = _create(session, wanted, module.params)
    why = artifact_repository.unfit(found) if found else ""
    if why:
        raise ModuleFailedError(
            f"Images cannot be pushed to {wanted.reference}, since {why}: set image_registry to "
            "another repository."
        )
    return _changed("", _line(wanted)) if changed else {"changed": False}


def _absent(
    module: AnsibleModule,
    session: GoogleSession,
    wanted: Repository,
    found: dict[str, Any] | None,
) -> dict[str, Any]:
    if found is None:
        return {"changed": False}
    kept = _kept(session, wanted, found, module.params)
    if kept:
        return {"changed": False, "kept": kept}
    if not module.check_mode:
        _delete(session, wanted, module.params)
    return _changed(_line(wanted), "")


def _changed(before: str, after: str) -> dict[str, Any]:
    return {"changed": True, "diff": {"before": before, "after": after}}


def _line(wanted: Repository) -> str:
    return f"repository {wanted.reference} for {artifact_repository.FORMAT} images\n"


def _kept(
    session: GoogleSession, wanted: Repository, found: dict[str, Any], params: dict[str, Any]
) -> str:
    """Return why the repository is not deleted; empty if it may be."""
    label, owner = cluster_options.OWNER_LABEL, params["managed_by"]
    if not artifact_repository.is_ours(found, label, owner):
        return (
            f"{wanted.reference} stays with its images, since it does not carry the label {label}: "
            f"{owner}. One image is removed by: gcloud artifacts docker images delete "
            f"{params['repository']}/IMAGE --delete-tags"
        )
    if params["images"] is None:
        return ""
    ours = {wanted.package(image) for image in params["images"]}
    url = f"{api.ARTIFACT_REGISTRY}/{wanted.path}/packages"
    held = artifact_repository.package_names(session.pages(url, "packages"))
    others = [name for name in held if name not in ours]
    if not others:
        return ""
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return (
        f"{wanted.reference} stays with its images, since it also holds "
        f"{', '.join(others[:_NAMED])}{more}. It is removed by: "
        f"{artifact_repository.removal(wanted)}"
    )


def _create(session: GoogleSession, wanted: Repository, params: dict[str, Any]) -> dict[str, Any]:
    """Create the repository and return it; raise ModuleFailedError on timeout."""
    end = session.clock() + params["timeout"]
    while True:
        # A repeated request cannot create a second repository, since the id is given here.
        operation = _ask(session, wanted, params["managed_by"])
        seen = _wait(session, operation, end, f"could not make {wanted.reference}")
        found: dict[str, Any] | None = session.find(f"{api.ARTIFACT_REGISTRY}/{wanted.path}")
        if found is not None:
            return found
        if session.clock() >= end:
            raise ModuleFailedError(
                f"{wanted.reference} is not there after {params['timeout']:g} s{seen}. Run the "
                "same command again."
            )
        session.sleep(_INTERVAL)


def _ask(session: GoogleSession, wanted: Repository, managed_by: str) -> dict[str, Any]:
    """Return the operation that creates the repository.

    Returns an empty mapping if the repository was created by somebody else or the answer was lost.
    """
    try:
        operation: dict[str, Any] = session.request(
            "POST",
            f"{api.ARTIFACT_REGISTRY}/{wanted.parent}/repositories",
            {
                "format": artifact_repository.FORMAT,
                "labels": {cluster_options.OWNER_LABEL: managed_by},
            },
            {"repositoryId": wanted.name},
        )
    except LostAnswerError:
        return {}
    except GoogleError as error:
        if error.status != _CONFLICT:
            raise
        return {}
    return operation


def _delete(session: GoogleSession, wanted: Repository, params: dict[str, Any]) -> None:
    """Delete the repository, and wait until it no longer exists."""
    end = session.clock() + params["timeout"]
    url = f"{api.ARTIFACT_REGISTRY}/{wanted.path}"
    seen = ""
    try:
        operation = session.request("DELETE", url)
        seen = _wait(session, operation, end, f"could not remove {wanted.reference}")
    except GoogleError as error:
        # Deleted by somebody else, or by this request before its answer was lost.
        if error.status != _NOT_FOUND:
            raise
    while session.find(url) is not None:
        if session.clock() >= end:
            raise ModuleFailedError(
                f"{wanted.reference} is still there after {params['timeout']:g} s{seen}. Run the "
                "same command again."
            )
        session.sleep(_INTERVAL)


def _wait(session: GoogleSession, operation: dict[str, Any], end: float, failing: str) -> str:
    """Wait for an operation; return what was last seen of it, as a part of a sentence."""
    seen = ""
    while operation and not operation.get("done") and session.clock() < end:
        seen = f"; seen last: its operation {operation['name']}"
        session.sleep(_INTERVAL)
        operation = session.get(f"{api.ARTIFACT_REGISTRY}/{operation['name']}")
    if operation.get("error"):
        said = str(operation["error"].get("message")).rstrip(".")
        raise ModuleFailedError(
            f"Google {failing} ({said}): fix that, and run the same command again."
        )
    return seen


def _login(session: GoogleSession) -> dict[str, Any]:
    """Return the token that the previous request was authenticated with."""
    credentials = session.credentials
    ends = credentials.expiry
    return {
        "username": artifact_repository.USERNAME,
        "password_base64": base64.b64encode(str(credentials.token).encode()).decode(),
        "expires": ends.strftime("%Y-%m-%dT%H:%M:%SZ") if ends else "",
    }


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
