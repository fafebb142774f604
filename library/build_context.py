#!/usr/bin/python
"""Ansible module: which images have to be built, and why."""

from __future__ import annotations

DOCUMENTATION = r"""
module: build_context
short_description: Determine which images have to be built, and why
description:
  - Hashes the sources of each image and compares the hash with the labels of the image of that
    name in the Docker engine.
  - The hashes cover the Dockerfile, every file that C(docker build) would send (the rules of
    C(.dockerignore) or C(Dockerfile.dockerignore) applied) with its path, type, content and
    link target, whether others may read and execute it, the build arguments, the labels,
    and the IDs of the images that the Dockerfile starts from. Times, owners and proxy
    arguments are ignored.
  - Changes nothing.
options:
  builds:
    description: The images.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the build in the result.
        type: str
        required: true
      folder:
        description: The build context; it holds the Dockerfile.
        type: path
        required: true
      image:
        description: The image's name and tag.
        type: str
        required: true
      build_args:
        description: Build arguments.
        type: dict
        default: {}
  labels:
    description: Labels that each image gets in addition to those of the hashes.
    type: dict
    default: {}
  label:
    description:
      - The image label that stores the hash; V(LABEL.sources), V(LABEL.base-images) and
        V(LABEL.arguments) store the hashes of its parts.
    type: str
    default: docker-ml-api.build-context
  ask_engine:
    description: Set V(false) where no engine exists yet; each image then counts as missing.
    type: bool
    default: true
requirements: [docker]
attributes:
  check_mode:
    support: full
author: docker-ml-api contributors (@docker-ml-api)
"""

EXAMPLES = r"""
- name: Find what has to be built
  build_context:
    builds:
      - name: diabetes
        folder: /srv/app/model
        image: diabetes:v1
        build_args:
          PYTHON_IMAGE: python:3.13-slim-bookworm
  register: context
"""

RETURN = r"""
builds:
  description: One entry for each build, in the same order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: As given.
      type: str
    folder:
      description: As given.
      type: str
    image:
      description: As given.
      type: str
    build_args:
      description: As given, values as text.
      type: dict
    labels:
      description: All labels that the built image must have.
      type: dict
    up_to_date:
      description: Whether the image exists and was built from exactly these sources.
      type: bool
    reason:
      description: Why it has to be built; empty if it is up to date.
      type: str
      sample: sources changed
    image_id:
      description: The ID of the existing image; empty if there is none.
      type: str
    base_images:
      description: The images that the Dockerfile starts from, and their IDs (empty if missing).
      type: dict
      sample: {"python:3.13-slim-bookworm": "sha256:0b7e..."}
"""

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import docker
    import docker.errors
    from ansible.module_utils.docker_ml_api.docker import context_hash, dockerfile

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


@dataclass(frozen=True)
class Engine:
    """The images of the engine; no images if there is no client."""

    client: docker.DockerClient | None

    def image(self, reference: str) -> dict[str, Any] | None:
        """Return the engine's attributes of the image, or None if it does not exist."""
        if self.client is None:
            return None
        try:
            return self.client.images.get(reference).attrs
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            return None


def examine(build: dict[str, Any], labels: dict[str, str], label: str, engine: Engine) -> Any:
    """Return the result's entry for one build."""
    folder = Path(build["folder"])
    build_args = {name: str(value) for name, value in build["build_args"].items()}
    references = dockerfile.base_images(context_hash.read_dockerfile(folder), build_args)
    bases = {reference: (engine.image(reference) or {}).get("Id", "") for reference in references}
    wanted = context_hash.fingerprint(folder, bases, build_args, labels)
    image = engine.image(build["image"])
    present = None if image is None else image["Config"].get("Labels") or {}
    reasons = context_hash.reasons(present, wanted, label)
    return {
        "name": build["name"],
        "folder": build["folder"],
        "image": build["image"],
        "build_args": build_args,
        "labels": {**labels, **wanted.labels(label)},
        "up_to_date": not reasons,
        "reason": ", ".join(reasons),
        "image_id": (image or {}).get("Id", ""),
        "base_images": bases,
    }


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Examine every build and return the module's result."""
    labels = {name: str(value) for name, value in params["labels"].items()}
    client = docker.from_env() if params["ask_engine"] else None
    try:
        engine = Engine(client)
        builds = [examine(build, labels, params["label"], engine) for build in params["builds"]]
    finally:
        if client:
            client.close()
    return {"builds": builds}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "builds": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "folder": {"type": "path", "required": True},
                    "image": {"type": "str", "required": True},
                    "build_args": {"type": "dict", "default": {}},
                },
            },
            "labels": {"type": "dict", "default": {}},
            "label": {"type": "str", "default": "docker-ml-api.build-context"},
            "ask_engine": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=IMPORT_ERROR)
    try:
        result = run(module.params)
    except context_hash.BuildContextError as error:
        module.fail_json(msg=str(error))
    except docker.errors.DockerException as error:
        module.fail_json(msg=f"The Docker engine does not answer: {error}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
