#!/usr/bin/python
"""Ansible module artifact_registry_repository: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: artifact_registry_repository
short_description: Create or delete a repository for images in Google's Artifact Registry
description:
  - Makes the repository when there is none. One that is there is taken as it is, whoever made
    it, if images can be pushed to it.
  - Removes it, with the images that it holds, only if it carries the label C(managed-by) of
    O(managed_by), and holds nothing else than O(images).
  - Nodes of a GKE cluster in the same project pull from it with their own service account; a
    pull secret is not needed.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: google
options:
  repository:
    description:
      - The repository as image references have it, C(LOCATION-docker.pkg.dev/PROJECT/NAME). A
        path may follow; it belongs to the names of the images.
    type: str
    required: true
  state:
    description:
      - V(present) makes it when it is missing.
      - V(absent) removes it with its images. One that is not ours, or that holds what is not
        among O(images), stays, and RV(kept) says why.
    type: str
    choices: [present, absent]
    default: present
  images:
    description:
      - With O(state=absent), the images that may go with it, by the names that follow
        O(repository) in their references; tags are overlooked. Without it, all may.
    type: list
    elements: str
  managed_by:
    description: Value of the label C(managed-by), which a repository of ours carries.
    type: str
    default: docker-ml-api
  login:
    description:
      - Whether RV(username) and RV(password_base64) are returned. The password is an access
        token, so give the task C(no_log=true); Google takes it for an hour.
    type: bool
    default: false
  timeout:
    description: Seconds that making or removing it may take.
    type: float
    default: 120
attributes:
  check_mode:
    support: full
    description: Says whether it would be made or removed. The login is returned as well.
  diff_mode:
    support: full
    description: Shows the repository that is made or removed.
"""

EXAMPLES = r"""
- name: See that there is a repository
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

- name: Remove it with its images
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
  description: What the references of its images begin with.
  returned: success
  type: str
  sample: europe-west1-docker.pkg.dev/my-project/models
exists:
  description: Whether it was there before.
  returned: success
  type: bool
size_bytes:
  description: What its images took up before, as far as Google has counted.
  returned: success
  type: int
  sample: 104857600
kept:
  description: With O(state=absent), one sentence on why it stays; empty if it does not.
  returned: success
  type: str
remove_command:
  description: What removes it by hand.
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
    - An access token, as base64. As it is, Ansible would mask one that was given with
      O(access_token).
  returned: with O(login)
  type: str
expires:
  description: When it ends (RFC 3339); empty if that is not known, as of a given token.
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
    # run_module says which package is missing.
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
# Of what keeps a repository, this many are named.
_NAMED = 5


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Make or remove the repository, and log in."""
    params = module.params
    try:
        wanted = artifact_repository.parse(params["repository"])
    except ValueError as error:
        raise ModuleFailedError(f"image_registry: {error}.") from error
    # Whose permissions and APIs matter; it need not be that of the clusters.
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
    """Return why the repository is not to be removed."""
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
    """Make the repository and return it."""
    end = session.clock() + params["timeout"]
    while True:
        # Asked for twice it is not made twice: its id is chosen here.
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
    """Return the operation that makes it; nothing if that is another's, or its answer was lost."""
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
    """Remove the repository, and see that it is gone."""
    end = session.clock() + params["timeout"]
    url = f"{api.ARTIFACT_REGISTRY}/{wanted.path}"
    seen = ""
    try:
        operation = session.request("DELETE", url)
        seen = _wait(session, operation, end, f"could not remove {wanted.reference}")
    except GoogleError as error:
        # Somebody else, or this very request before its answer was lost.
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
    """Wait until an operation is over; return what was seen of it, as part of a sentence."""
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
    """Return the token by which the repository was just asked for."""
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
