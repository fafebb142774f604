#!/usr/bin/python
"""Ansible module base_images: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: base_images
short_description: Decide how base images are provided, and pull those that can be pulled
description:
  - Inspects the local images C(repository/name:base) with one command and determines for each
    whether it matches the catalogue, pulled or bootstrapped from the distribution's packages.
  - Pulls the images that are to be pulled, by digest, and tags them C(repository/name:base). Images
    to bootstrap are returned as options for M(debian_image), which needs other privileges.
  - An image that matches is not changed, and no registry is queried for it.
options:
  names:
    description: The base images to provide, by their names in the catalogue.
    type: list
    elements: str
    required: true
  catalogue:
    description:
      - How each base image is provided. C(pull) has the image's name without its registry, its tag
        and its digest; C(bootstrap) has options of M(debian_image).
    type: dict
    required: true
  changes:
    description: >-
      Entries and fields that override those of O(catalogue). An image or a tag without a digest
      is pulled by its tag.
    type: dict
    default: {}
  repository:
    description: Repository prefix of the local names.
    type: str
    required: true
  source:
    description:
      - V(pull) uses the official images, V(bootstrap) builds them from packages.
      - V(auto) accepts either. It tries to pull, and bootstraps instead if the registry does not
        answer or refuses. A tag or digest that the registry does not know is an error.
    type: str
    default: auto
    choices: [auto, pull, bootstrap]
  registry:
    description: Registry to pull from, such as V(docker.io) or a mirror of it, with its path.
    type: str
    default: docker.io
  suite:
    description: Release to bootstrap from. Defaults to that of the host.
    type: str
    default: ""
  generation:
    description: Part of each recipe; changing it rebuilds the bootstrapped images.
    type: str
    default: ""
  labels:
    description: Labels of the bootstrapped images.
    type: dict
    default: {}
  cli:
    description: >-
      The Docker client to use. If it is empty, no engine is queried and every image counts as
      missing, which is for check mode on a host without Docker.
    type: str
    default: ""
  architecture:
    description:
      - The engine's architecture, as Docker names it. Bootstrapped images have the architecture of
        this host, so a different engine architecture is an error. If empty, they are assumed equal.
    type: str
    default: ""
  timeout:
    description: Timeout in seconds of one pull.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Inspects the local images and reports what would be done; queries no registry.
    support: full
  diff_mode:
    description: Shows how each image is provided, before and after.
    support: full
requirements:
  - A Docker client, except in check mode
  - The Python package docker, to check all tags and digests before the first pull; without it
    a wrong one is detected only when that image is pulled
author:
  - docker-ml-api
"""

EXAMPLES = r"""
- name: Pull the base images, or find out which ones to bootstrap
  base_images:
    cli: /usr/bin/docker
    names: [runtime]
    repository: my
    catalogue:
      runtime:
        pull: {image: library/busybox, tag: 1.37.0-musl}
        bootstrap: {variant: extract, packages: [busybox-static]}
  register: judged

- name: Bootstrap the others
  debian_image:
    reference: "{{ item.reference }}"
    suite: "{{ item.suite }}"
    variant: "{{ item.variant }}"
    packages: "{{ item.packages }}"
  loop: "{{ judged.bootstrap }}"
"""

RETURN = r"""
images:
  description: One entry for each name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name in the catalogue.
      type: str
    reference:
      description: Its local name.
      type: str
      sample: docker-ml-api/python:base
    ways:
      description: The ways that it already matched before, of V(pull) and V(bootstrap).
      type: list
      elements: str
    done:
      description: What was done, or would be in check mode, V(pull), V(bootstrap) or empty.
      type: str
bootstrap:
  description: Options for M(debian_image), one entry for each image that is to be bootstrapped.
  returned: success
  type: list
  elements: dict
install_mmdebstrap:
  description: Whether mmdebstrap has to be installed first, because images are to be bootstrapped.
  returned: success
  type: bool
msg:
  description: How the images were provided, as a sentence.
  returned: always
  type: str
  sample: "Base images: golang, python and runtime pulled from docker.io."
"""

import platform
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import (
    base_image_catalogue,
    debian_bootstrap,
    local_images,
)

try:
    import docker
    from docker import errors

    HAS_DOCKER_SDK = True
except ImportError:
    HAS_DOCKER_SDK = False

if TYPE_CHECKING:
    from collections.abc import Sequence

# Seconds: a manifest is a few kilobytes, but an engine waits long for a silent registry.
MANIFEST_TIMEOUT = 60


def argument_spec() -> dict[str, Any]:
    """Return the options, as documented above."""
    return {
        "names": {"type": "list", "elements": "str", "required": True},
        "catalogue": {"type": "dict", "required": True},
        "changes": {"type": "dict", "default": {}},
        "repository": {"type": "str", "required": True},
        "source": {"type": "str", "default": "auto", "choices": list(base_image_catalogue.SOURCES)},
        "registry": {"type": "str", "default": "docker.io"},
        "suite": {"type": "str", "default": ""},
        "generation": {"type": "str", "default": ""},
        "labels": {"type": "dict", "default": {}},
        "cli": {"type": "str", "default": ""},
        "architecture": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 1800},
    }


def has_manifest(client: docker.DockerClient, reference: str) -> bool | None:
    """Return whether a registry has a manifest, queried through the engine; None if unknown."""
    try:
        client.images.get_registry_data(reference)
    except errors.NotFound:
        return False
    except errors.APIError as error:
        # Engines differ in the status code, but hardly in the message.
        return False if base_image_catalogue.failure(str(error)) == "unknown" else None
    return True


def check_references(pulls: Sequence[base_image_catalogue.Entry], registry: str) -> None:
    """Raise ValueError for a tag or digest that the registry does not know, before any pull.

    A pull uses the digest alone, so this also detects a misspelt tag beside a digest, and a wrong
    digest of a later image. If the registry does not answer, nothing is checked.
    """
    try:
        with closing(docker.from_env(timeout=MANIFEST_TIMEOUT)) as client:
            for entry in pulls:
                references = [entry.pull.reference(registry), entry.pull.tagged(registry)]
                for reference in references if entry.pull.tag else references[:1]:
                    known = has_manifest(client, reference)
                    if known is None:
                        return
                    if not known:
                        raise ValueError(
                            base_image_catalogue.pull_error("unknown", entry.name, reference, "")
                        )
    except (errors.DockerException, OSError):
        # The client reports the problem with the engine at the pull itself.
        return


def pull_all(module: AnsibleModule, pulls: Sequence[base_image_catalogue.Entry]) -> str:
    """Pull images; return why they have to be bootstrapped instead, or an empty string.

    Raises ValueError if bootstrapping is not an option.
    """
    params = module.params
    registry = params["registry"]
    if HAS_DOCKER_SDK:
        check_references(pulls, registry)
    for entry in pulls:
        reference = entry.pull.reference(registry)
        try:
            local_images.run(params["cli"], ["pull", "--quiet", reference], params["timeout"])
        except local_images.EngineError as error:
            kind = base_image_catalogue.failure(str(error))
            if params["source"] == "pull" or kind == "unknown":
                raise ValueError(
                    base_image_catalogue.pull_error(kind, entry.name, reference, str(error))
                ) from error
            verb = "refuses" if kind == "refused" else "does not answer"
            return f"{registry} {verb} ({str(error).rstrip('.')})"
    return ""


def judge(module: AnsibleModule) -> dict[str, Any]:
    """Decide how to provide each image, pull the images to pull, and return the result."""
    params = module.params
    host = debian_bootstrap.Host.read()
    suite = params["suite"] or host.codename
    base_image_catalogue.check_names(params["repository"], params["registry"])
    entries = base_image_catalogue.read_catalogue(
        params["names"],
        base_image_catalogue.merged(params["catalogue"], params["changes"]),
        suite=suite,
        common={"labels": params["labels"], "generation": params["generation"]},
    )
    aliases = {entry.name: f"{params['repository']}/{entry.name}:base" for entry in entries}
    found = local_images.inspect(params["cli"], list(aliases.values())) if params["cli"] else {}

    present = {
        entry.name: base_image_catalogue.ways(
            entry, found.get(aliases[entry.name]), params["registry"]
        )
        for entry in entries
    }
    plan = {
        name: base_image_catalogue.action(params["source"], way) for name, way in present.items()
    }
    pulls = [entry for entry in entries if plan[entry.name] in {"pull", "try"}]
    if "bootstrap" in plan.values():
        require_bootstrap(host, "", params["architecture"])
    reason = ""
    if pulls and not module.check_mode:
        reason = pull_all(module, pulls)
        if reason:
            require_bootstrap(host, reason, params["architecture"])
    done = {
        name: ("bootstrap" if reason else "pull") if action == "try" else action
        for name, action in plan.items()
    }
    if not module.check_mode:
        # Images are tagged last, so that local names change only when all pulls succeeded.
        for entry in pulls:
            if done[entry.name] == "pull":
                reference = entry.pull.reference(params["registry"])
                tag = ["tag", reference, aliases[entry.name]]
                local_images.run(params["cli"], tag, local_images.LOOK_TIMEOUT)
                replaced = found.get(aliases[entry.name])
                if replaced:
                    local_images.remove_replaced(params["cli"], replaced)
    to_bootstrap = [entry for entry in entries if done[entry.name] == "bootstrap"]
    return {
        # Bootstrapping an image is the change of another module.
        "changed": "pull" in done.values(),
        "images": [
            {"name": name, "reference": aliases[name], "ways": present[name], "done": done[name]}
            for name in done
        ],
        "bootstrap": [
            {
                "reference": aliases[entry.name],
                "suite": entry.recipe.suite,
                **entry.recipe.options(),
            }
            for entry in to_bootstrap
        ],
        "install_mmdebstrap": bool(to_bootstrap) and not shutil.which("mmdebstrap"),
        "msg": base_image_catalogue.sentence(
            done,
            registry=params["registry"],
            suite=suite,
            reason=reason,
            fallback=module.check_mode and params["source"] == "auto",
        ),
        "diff": {
            "before": {aliases[name]: " ".join(present[name]) for name in done},
            "after": {aliases[name]: done[name] or " ".join(present[name]) for name in done},
        },
    }


def require_bootstrap(host: debian_bootstrap.Host, reason: str, architecture: str) -> None:
    """Raise ValueError if this host cannot bootstrap; ``reason``: why bootstrapping is needed."""
    obstacle = host.obstacle(installable=True) or base_image_catalogue.foreign(
        architecture, platform.machine()
    )
    if obstacle:
        because = f" ({reason})" if reason else ""
        raise ValueError(
            f"No base image can be bootstrapped, since {obstacle}{because}: set "
            "base_images_source=pull and base_images_registry to a registry that answers."
        )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = judge(module)
    except (local_images.EngineError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
