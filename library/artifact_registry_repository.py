#!/usr/bin/python
"""Ansible module artifact_registry_repository: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: artifact_registry_repository
short_description: Makes a repository for images in Google's Artifact Registry
description:
  - Makes the repository when there is none. One that is there is taken as it is, whoever made
    it, if images can be pushed to it.
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
        path that follows is overlooked.
    type: str
    required: true
  managed_by:
    description: Value of the label C(managed-by) of a repository that is made.
    type: str
    default: docker-ml-api
  login:
    description:
      - Whether RV(username) and RV(password_base64) are returned. The password is an access
        token, so give the task C(no_log=true); Google takes it for an hour.
    type: bool
    default: false
  timeout:
    description: Seconds that making it may take.
    type: float
    default: 120
attributes:
  check_mode:
    support: full
    description: Says whether it would be made. The login is returned as well.
  diff_mode:
    support: full
    description: Shows the repository that is made.
"""

EXAMPLES = r"""
- name: See that there is a repository, and log in
  artifact_registry_repository:
    auth_kind: application
    project: my-project
    repository: europe-west1-docker.pkg.dev/my-project/models
    login: true
  register: registry
  no_log: true
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

from ansible.module_utils.docker_ml_api.google_module import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api import artifact_repository, gke_input, google_api
    from ansible.module_utils.docker_ml_api.google_errors import GoogleError, LostAnswerError
except ImportError:
    # run_module says which package is missing.
    artifact_repository = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.artifact_repository import Repository
    from ansible.module_utils.docker_ml_api.google_api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    "repository": {"type": "str", "required": True},
    "managed_by": {"type": "str", "default": "docker-ml-api"},
    "login": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 120},
}
_CONFLICT = 409
_INTERVAL = 1.0


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Make the repository, and log in."""
    params = module.params
    try:
        wanted = artifact_repository.parse(params["repository"])
    except ValueError as error:
        raise ModuleFailedError(f"image_registry: {error}.") from error
    url = f"{google_api.ARTIFACT_REGISTRY}/{wanted.path}"
    found = session.find(url)
    changed = found is None
    if found is None and not module.check_mode:
        found = _create(session, wanted, params)
    why = artifact_repository.unfit(found) if found else ""
    if why:
        raise ModuleFailedError(
            f"Images cannot be pushed to {wanted.reference}, since {why}: set image_registry to "
            "another repository."
        )
    result: dict[str, Any] = {
        "changed": changed,
        "host": wanted.host,
        "repository": wanted.reference,
    }
    if changed:
        made = f"repository {wanted.reference} for {artifact_repository.FORMAT} images\n"
        result["diff"] = {"before": "", "after": made}
    if params["login"]:
        result |= _login(session)
    return result


def _create(session: GoogleSession, wanted: Repository, params: dict[str, Any]) -> dict[str, Any]:
    """Make the repository and return it."""
    end = session.clock() + params["timeout"]
    seen = ""
    while True:
        # Asked for twice it is not made twice: its id is chosen here.
        operation = _ask(session, wanted, params["managed_by"])
        while operation and not operation.get("done") and session.clock() < end:
            seen = f"; seen last: its operation {operation['name']}"
            session.sleep(_INTERVAL)
            operation = session.get(f"{google_api.ARTIFACT_REGISTRY}/{operation['name']}")
        if operation.get("error"):
            said = str(operation["error"].get("message")).rstrip(".")
            raise ModuleFailedError(
                f"Google could not make {wanted.reference} ({said}): mend that, and run the same "
                "command again."
            )
        found: dict[str, Any] | None = session.find(f"{google_api.ARTIFACT_REGISTRY}/{wanted.path}")
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
            f"{google_api.ARTIFACT_REGISTRY}/{wanted.parent}/repositories",
            {
                "format": artifact_repository.FORMAT,
                "labels": {gke_input.OWNER_LABEL: managed_by},
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
