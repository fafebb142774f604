#!/usr/bin/python
"""Ansible module registry_digest: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: registry_digest
short_description: Determine which images a registry lacks
description:
  - Requests the digest of each reference from the registry, through the Docker engine, and compares
    it with the digests of the local image in the engine.
  - Sends only HEAD and GET requests to the registry.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [read_only, registry_login]
options:
  images:
    description: The images.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the image in the result.
        type: str
        required: true
      image:
        description: The local image's name and tag.
        type: str
        required: true
      reference:
        description: The reference of the image in the registry, with the tag.
        type: str
        required: true
notes:
  - The stored login is read from E(DOCKER_CONFIG); the engine is found through E(DOCKER_HOST).
requirements: [docker]
"""

EXAMPLES = r"""
- name: Find what has to be pushed
  registry_digest:
    images:
      - name: diabetes
        image: diabetes:v1
        reference: registry.example.com/team/diabetes:v1
  register: registry
"""

RETURN = r"""
images:
  description: One entry for each image, in the same order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: As given.
      type: str
    image:
      description: As given.
      type: str
    reference:
      description: As given.
      type: str
    digest:
      description: The digest in the registry for this reference; empty if there is none.
      type: str
      sample: sha256:9f2b...
    up_to_date:
      description: Whether the local image has that digest.
      type: bool
"""

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import docker
    from ansible.module_utils.docker_ml_api.registry import access
    from docker import errors

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

ARGUMENTS: dict[str, Any] = {
    "images": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "reference": {"type": "str", "required": True},
        },
    },
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
}


def local_digests(client: docker.DockerClient, image: str, reference: str) -> list[str]:
    """Return the digests of the local image in the repository of `reference`."""
    try:
        attributes: dict[str, Any] = client.images.get(image).attrs
    except errors.ImageNotFound:
        return []
    digests: list[str] = access.repository_digests(attributes["RepoDigests"] or [], reference)
    return digests


def remote_digest(client: docker.DockerClient, reference: str, login: dict[str, str] | None) -> str:
    """Return the digest in the registry, or an empty string; raise RegistryError."""
    try:
        data = client.images.get_registry_data(reference, auth_config=login)
    except errors.APIError as error:
        sentence = access.explain(reference, error.status_code or 0, error.explanation or "")
        if sentence:
            raise access.RegistryError(sentence) from error
        return ""
    return str(data.id)


def run(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one entry for each image."""
    login = None
    if params["username"]:
        login = {"username": params["username"], "password": params["password"]}
    result = []
    client = docker.from_env()
    try:
        for entry in params["images"]:
            digest = remote_digest(client, entry["reference"], login)
            known = local_digests(client, entry["image"], entry["reference"])
            result.append({**entry, "digest": digest, "up_to_date": digest in known})
    finally:
        client.close()
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=IMPORT_ERROR)
    try:
        images = run(module.params)
    except access.RegistryError as error:
        module.fail_json(msg=str(error))
    except errors.DockerException as error:
        module.fail_json(msg=f"The Docker engine does not answer: {error}")
    module.exit_json(changed=False, images=images)


if __name__ == "__main__":
    main()
