#!/usr/bin/python
"""Builds the root file systems of several images in parallel."""

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_root_filesystems
short_description: Build the root file systems of several images in parallel
description:
  - Builds what M(debian_image) builds without O(debian_image#module:reference), for several
    recipes in parallel, in the time of the slowest. Each root file system is put into the cache as
    soon as it is complete, so that the failure of one does not affect the others.
  - M(debian_image) with the same recipe and the same cache then only imports it.
options:
  recipes:
    description:
      - One entry for each root file system. C(suite) and all options of M(debian_image) that are
        part of a recipe are accepted, and C(reference) as the name for messages.
    type: list
    elements: dict
    required: true
  cache:
    description: See M(debian_image).
    type: path
    default: /var/cache/docker-ml-api/images
  ca_bundle:
    description: See M(debian_image).
    type: path
  http_proxy:
    description: See M(debian_image).
    type: str
  https_proxy:
    description: See M(debian_image).
    type: str
  no_proxy:
    description: See M(debian_image).
    type: str
  timeout:
    description: Timeout in seconds of each build.
    type: int
    default: 1800
notes:
  - Run it as root (C(become)), or as a user with subordinate ids.
attributes:
  check_mode:
    description: Reports which root file systems would be built without building them.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
requirements:
  - mmdebstrap, on a Debian or Ubuntu host
author:
  - docker-ml-api
"""

EXAMPLES = r"""
- name: Build two root file systems
  debian_root_filesystems:
    recipes:
      - {reference: my/python:base, packages: [python3]}
      - {reference: my/web:base, suite: trixie, packages: [nginx-light]}
  become: true
"""

RETURN = r"""
made:
  description: The references of the root file systems built, or to be built in check mode.
  returned: success
  type: list
  elements: str
log:
  description: The end of mmdebstrap's log.
  returned: when a build failed
  type: str
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import debian_bootstrap

ARGUMENTS: dict[str, Any] = {
    "recipes": {"type": "list", "elements": "dict", "required": True},
    "cache": {"type": "path", "default": "/var/cache/docker-ml-api/images"},
    "ca_bundle": {"type": "path"},
    # A proxy's URL may hold a password.
    "http_proxy": {"type": "str", "no_log": True},
    "https_proxy": {"type": "str", "no_log": True},
    "no_proxy": {"type": "str"},
    "timeout": {"type": "int", "default": 1800},
}


def read_recipes(
    host: debian_bootstrap.Host, entries: list[dict[str, Any]]
) -> dict[str, debian_bootstrap.Recipe]:
    """Return the recipes by their references; raises ValueError."""
    recipes: dict[str, debian_bootstrap.Recipe] = {}
    for entry in entries:
        options = dict(entry)
        suite = options.pop("suite", "") or host.codename
        reference = str(options.pop("reference", f"recipe {len(recipes) + 1}"))
        recipes[reference] = debian_bootstrap.Recipe.from_options(suite, options)
    return recipes


def make(module: AnsibleModule) -> dict[str, Any]:
    """Build the root file systems that the cache lacks; return the module's result."""
    params = module.params
    host = debian_bootstrap.Host.read()
    cache = Path(params["cache"])
    recipes = read_recipes(host, params["recipes"])
    missing = {name: recipe for name, recipe in recipes.items() if not recipe.tar(cache).exists()}
    if missing:
        host.check(installable=module.check_mode)
    if missing and not module.check_mode:

        def build(recipe: debian_bootstrap.Recipe) -> Path:
            tar: Path = debian_bootstrap.bootstrap(
                recipe,
                cache,
                host=host,
                ca_bundle=params["ca_bundle"] or "",
                environment=debian_bootstrap.proxies(params),
                timeout=params["timeout"],
            )
            return tar

        # mmdebstrap mostly waits for its mirror and for the disk.
        with ThreadPoolExecutor(len(missing)) as pool:
            futures = {name: pool.submit(build, recipe) for name, recipe in missing.items()}
        for name, future in futures.items():
            if (error := future.exception()) is not None:
                log = getattr(error, "log", "")
                raise debian_bootstrap.BuildError(f"{name}: {error}", log) from error
    return {"changed": bool(missing), "made": list(missing)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = make(module)
    except debian_bootstrap.BuildError as error:
        module.fail_json(msg=f"{error}.", **({"log": error.log} if error.log else {}))
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
