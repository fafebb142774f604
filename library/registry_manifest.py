#!/usr/bin/python
"""Ansible module registry_manifest: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: registry_manifest
short_description: Look up the digests of images in registries
description:
  - Requests the manifest of each image's tag from its registry over HTTP. Neither an engine nor
    a docker client is needed.
  - Supports basic authentication and token services, including anonymous tokens.
  - A registry on this machine without TLS is accessed without TLS, as the engine does.
  - Fails with a sentence for each image that a registry does not have.
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
      reference:
        description:
          - The reference, as C(REGISTRY/PATH:TAG) or C(REGISTRY/PATH@DIGEST).
          - The registry defaults to Docker Hub, the tag to V(latest).
        type: str
        required: true
  docker_config:
    description: Folder of the docker client's configuration, or the file itself.
    type: path
    default: ~/.docker
  validate_certs:
    description:
      - If V(false), a registry may have any certificate, or no TLS at all. Credentials are then
        sent to whichever server answers.
    type: bool
    default: true
  ca_path:
    description:
      - File with the certificates of the CAs to trust. Defaults to E(REQUESTS_CA_BUNDLE), or to
        the certificates in the Python package certifi.
    type: path
  timeout:
    description: Timeout in seconds of each request.
    type: int
    default: 10
requirements: [docker, requests]
"""

EXAMPLES = r"""
- name: Look up the digests to deploy
  registry_manifest:
    images:
      - name: diabetes
        reference: registry.example.com/team/diabetes:v1
    username: "{{ lookup('ansible.builtin.env', 'IMAGE_REGISTRY_USERNAME') }}"
    password: "{{ lookup('ansible.builtin.env', 'IMAGE_REGISTRY_PASSWORD') }}"
  register: answer

- name: Show them
  ansible.builtin.debug:
    msg: "{{ answer.images | items2dict(key_name='name', value_name='digest') }}"
"""

RETURN = r"""
images:
  description: One entry for each image that was found, in the same order, even if others were not.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: As given.
      type: str
      sample: diabetes
    reference:
      description: As given.
      type: str
      sample: registry.example.com/team/diabetes:v1
    digest:
      description: Digest of the image, or of the index of the images for several platforms.
      type: str
      sample: sha256:9f2b...
    media_type:
      description: Media type of the manifest with this digest.
      type: str
      sample: application/vnd.oci.image.index.v1+json
    platforms:
      description: Platforms of an index; empty for a single image, which does not state its own.
      type: list
      elements: str
      sample: [linux/amd64, linux/arm64/v8]
"""

import json
import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.docker_ml_api.registry.access import Credentials
    from ansible.module_utils.docker_ml_api.registry.manifests import Trust, look_up
    from docker import auth
    from docker.errors import DockerException

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
            "reference": {"type": "str", "required": True},
        },
    },
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "docker_config": {"type": "path", "default": "~/.docker"},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 10},
}

HIDDEN = (
    "The password is also part of an image's name or digest, where Ansible would hide it: use "
    "another password, or an access token."
)


def stored_login(docker_config: str, host: str) -> Credentials | None:
    """Return the login that the docker client has for a registry.

    Raises DockerException if the client's configuration cannot be read.
    """
    path = Path(docker_config)
    if path.is_dir():
        path /= "config.json"
    if not path.is_file():
        return None
    # The case of the keys depends on the kind of credential store.
    login = {
        key.lower(): value
        for key, value in (auth.load_config(str(path)).resolve_authconfig(host) or {}).items()
    }
    if token := login.get("identitytoken"):
        return Credentials("", token, stored=True)
    if not login.get("username"):
        return None
    return Credentials(login["username"], login["password"], stored=True)


def run(params: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return one entry for each image that was found, and the problems of the others."""

    def credentials(host: str) -> Credentials | None:
        if params["username"]:
            return Credentials(params["username"], params["password"])
        return stored_login(params["docker_config"], host)

    found, problems = look_up(
        [image["reference"] for image in params["images"]],
        credentials,
        Trust(params["validate_certs"], params["ca_path"] or ""),
        params["timeout"],
    )
    images = [
        {
            **image,
            "digest": manifest.digest,
            "media_type": manifest.media_type,
            "platforms": list(manifest.platforms),
        }
        for image in params["images"]
        if (manifest := found.get(image["reference"]))
    ]
    return images, problems


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=IMPORT_ERROR)
    try:
        images, problems = run(module.params)
    except DockerException as error:
        module.fail_json(msg=f"The docker client's stored login cannot be read: {error}", images=[])
    if problems:
        module.fail_json(msg="\n".join(problems), images=images)
    if module.params["password"] and module.params["password"] in json.dumps(images):
        module.fail_json(msg=HIDDEN)
    module.exit_json(changed=False, images=images)


if __name__ == "__main__":
    main()
