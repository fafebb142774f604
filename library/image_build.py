#!/usr/bin/python
"""Ansible module: builds images with the docker command."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_build
short_description: Build images with the docker command
description:
  - Builds the images with BuildKit, several at a time. One that fails does not stop the others.
  - An image whose build fails keeps its earlier state.
  - Which images have to be built M(build_context) says.
options:
  builds:
    description: The images to build.
    type: list
    elements: dict
    required: true
    suboptions:
      image:
        description: The image's name and tag.
        type: str
        required: true
      folder:
        description: The build context; it holds the Dockerfile.
        type: path
        required: true
      labels:
        description: Labels of the image.
        type: dict
        default: {}
      build_args:
        description: Build arguments.
        type: dict
        default: {}
      base_images:
        description: The images that the Dockerfile starts from, and their IDs (empty, not there).
        type: dict
        default: {}
  cli:
    description: The docker command.
    type: str
    default: docker
  load:
    description:
      - Whether the client is buildx (C(docker build) from version 23 on), whose builder may
        otherwise keep the image to itself.
    type: bool
    default: true
  at_once:
    description: How many images are built at a time, at least one.
    type: int
    default: 2
  timeout:
    description: Seconds that one build may take.
    type: int
    default: 1800
  ca_bundle:
    description: A file of CA certificates, given to the builds as the secret C(ca_bundle).
    type: path
  pip_config:
    description:
      - Settings for pip, given to the builds as the secret C(pip_conf), a file with the section
        C([global]). Empty ones are left out.
    type: dict
    default: {}
  go_env:
    description:
      - Settings for Go, given to the builds as the secret C(go_env), a file for E(GOENV). Empty
        ones are left out.
    type: dict
    default: {}
  proxies:
    description:
      - Proxy settings by the names of their environment variables, given as build arguments that
        Docker keeps out of images. Empty ones are left out.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
author: docker-ml-api contributors (@docker-ml-api)
"""

EXAMPLES = r"""
- name: Build the image of the model
  image_build:
    builds:
      - image: diabetes:v1
        folder: /srv/app/model
        build_args:
          PYTHON_IMAGE: python:3.13-slim-bookworm
"""

RETURN = r"""
images:
  description: The images that were built.
  returned: always
  type: list
  elements: str
  sample: ["diabetes:v1"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import image_build

ARGUMENTS: dict[str, Any] = {
    "builds": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "image": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "labels": {"type": "dict", "default": {}},
            "build_args": {"type": "dict", "default": {}},
            "base_images": {"type": "dict", "default": {}},
        },
    },
    "cli": {"type": "str", "default": "docker"},
    "load": {"type": "bool", "default": True},
    "at_once": {"type": "int", "default": 2},
    "timeout": {"type": "int", "default": 1800},
    "ca_bundle": {"type": "path"},
    # The URLs in them may hold passwords.
    "pip_config": {"type": "dict", "default": {}, "no_log": True},
    "go_env": {"type": "dict", "default": {}, "no_log": True},
    "proxies": {"type": "dict", "default": {}, "no_log": True},
}


def read_build(entry: dict[str, Any]) -> image_build.Build:
    """Return a build as the options have it."""
    return image_build.Build(
        entry["image"],
        entry["folder"],
        {name: str(value) for name, value in entry["labels"].items()},
        {name: str(value) for name, value in entry["build_args"].items()},
        [name for name, image_id in entry["base_images"].items() if not image_id],
    )


def filled(settings: dict[str, Any]) -> dict[str, str]:
    """Return the settings that are not empty."""
    return {name: str(value) for name, value in settings.items() if value not in (None, "")}


def main() -> None:
    """Wire the options to the builds."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    # Only what may hold a password is hidden: a host's name or `*` is in many lines of a build.
    module.no_log_values = {value for value in module.no_log_values if "@" in value}
    builds = [read_build(entry) for entry in params["builds"]]
    settings = image_build.Settings(
        cli=params["cli"],
        load=params["load"],
        timeout=params["timeout"],
        secrets=image_build.secrets_of(filled(params["pip_config"]), filled(params["go_env"])),
        ca_bundle=params["ca_bundle"] or "",
        proxies=filled(params["proxies"]),
    )
    problems: dict[str, str] = {}
    if not module.check_mode:
        try:
            problems = image_build.build_all(builds, settings, max(1, params["at_once"]))
        except OSError as error:
            module.fail_json(msg=f"{params['cli']} cannot be run: {error}.", images=[])
    images = [build.image for build in builds if build.image not in problems]
    if problems:
        module.fail_json(msg="\n".join(problems.values()), changed=bool(images), images=images)
    module.exit_json(changed=bool(images), images=images)


if __name__ == "__main__":
    main()
