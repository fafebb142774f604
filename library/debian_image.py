#!/usr/bin/python
"""Builds a container image from the distribution's packages."""

from __future__ import annotations

DOCUMENTATION = r"""
module: debian_image
short_description: Build a container image from Debian's or Ubuntu's packages
description:
  - Creates the root file system with C(mmdebstrap) from the package sources that the host
    itself uses, and imports it into the Docker engine. No image registry is needed.
  - The image is rebuilt only when its recipe changes. The recipe consists of all options except
    O(cli), O(cache), O(ca_bundle), the proxies and O(timeout); its digest is stored in the
    image's label C(docker-ml-api.recipe).
  - The root file system is kept in O(cache), so that an image that was removed from the
    engine, or whose labels changed, only has to be imported.
  - Nothing of the host is copied into the image, neither its proxy settings nor its extra CA. The
    image's own package sources are those that it was built from, without passwords.
options:
  reference:
    description:
      - Name of the image, as C(name:tag).
      - Without it, only the root file system is created in the O(cache), and no engine is queried.
    type: str
  cli:
    description: >-
      The Docker client to use. If it is empty, no engine is queried and every image counts as
      missing, which is only allowed in check mode, on a host without Docker.
    type: str
    default: docker
  suite:
    description:
      - Release to take the packages from, such as V(bookworm) or V(noble).
      - Defaults to the host's own. For another release of the same distribution, the host's
        package sources are used with the name of that release, including updates and security
        archives where they exist.
    type: str
  variant:
    description: Initial set of packages, see mmdebstrap(1).
    type: str
    default: minbase
    choices: [extract, custom, essential, apt, required, minbase, buildd, important,
              debootstrap, standard]
  packages:
    description: Additional packages, without the packages that they only recommend.
    type: list
    elements: str
    default: []
  excluded_paths:
    description: Glob patterns of files that dpkg does not unpack, during the build or later.
    type: list
    elements: str
    default: []
  setup_commands:
    description: >-
      Shell commands to run on the host before anything is installed. In these and in the
      other commands, C($1) is the folder that becomes the image's root, and
      C(chroot "$1" command) runs a command inside it.
    type: list
    elements: str
    default: []
  essential_commands:
    description: Shell commands to run when the essential packages are installed, before the others.
    type: list
    elements: str
    default: []
  commands:
    description: Shell commands to run when all packages are installed.
    type: list
    elements: str
    default: []
  sources:
    description:
      - Package sources to use instead of the host's own, each in apt's one-line format.
    type: list
    elements: str
    default: []
  generation:
    description: >-
      Any text. Changing it rebuilds the image from the current packages.
    type: str
    default: ""
  environment:
    description: Environment variables of the image.
    type: dict
    default: {}
  entrypoint:
    description: The image's entry point, as a list of arguments.
    type: list
    elements: str
    default: []
  command:
    description: The image's default command, as a list of arguments.
    type: list
    elements: str
    default: []
  user:
    description: The user, or user and group, that the image's containers run as.
    type: str
    default: ""
  working_directory:
    description: The working directory of the image's containers.
    type: str
    default: ""
  stop_signal:
    description: The signal that stops the image's containers, such as V(SIGRTMIN+3) for systemd.
    type: str
    default: ""
  labels:
    description: Labels of the image.
    type: dict
    default: {}
  cache:
    description: Folder on the host in which root file systems are kept; created if missing.
    type: path
    default: /var/cache/docker-ml-api/images
  ca_bundle:
    description: >-
      Bundle of CA certificates that apt trusts during the build, for hosts behind a proxy with
      a CA of its own. Defaults to the host's own bundle and apt settings.
    type: path
  http_proxy:
    description: Proxy for http during the build. Defaults to the environment's, or to apt's own.
    type: str
  https_proxy:
    description: Proxy for https during the build. Defaults to the environment's, or to apt's own.
    type: str
  no_proxy:
    description: Hosts that are reached without the proxy, separated by commas.
    type: str
  timeout:
    description: Timeout in seconds of the build, and again of the import.
    type: int
    default: 1800
notes:
  - Run it as root (C(become)), or as a user with subordinate ids, for whom mmdebstrap creates a
    user namespace.
attributes:
  check_mode:
    description: Reports what would be built without building it.
    support: full
  diff_mode:
    description: Shows the image's id and recipe before and after.
    support: full
requirements:
  - mmdebstrap, on a Debian or Ubuntu host
author:
  - docker-ml-api
"""

EXAMPLES = r"""
- name: Build a Python base image from the host's own release
  debian_image:
    reference: my/python:base
    packages: [python3, python3-venv, ca-certificates]
    excluded_paths: [/usr/share/doc/*, /usr/share/man/*]
    environment:
      LANG: C.UTF-8
  become: true

- name: Build a machine of another release, with systemd
  debian_image:
    reference: my/trixie:latest
    suite: trixie
    packages: [systemd, systemd-sysv, dbus, python3, python3-apt]
    command: [/sbin/init]
    stop_signal: SIGRTMIN+3
    commands:
      - chroot "$1" systemctl mask systemd-resolved.service
  become: true
"""

RETURN = r"""
image:
  description: The image, if O(reference) was given.
  returned: success, when there is one (in check mode perhaps not yet)
  type: dict
  contains:
    id:
      description: Its id.
      type: str
      sample: sha256:3ad773fd1822…
    size:
      description: Its size in bytes.
      type: int
recipe:
  description: Digest of the recipe, as in the image's label C(docker-ml-api.recipe).
  returned: success
  type: str
  sample: sha256:5ad773fd1822…
tar:
  description: The root file system in the cache.
  returned: success
  type: str
done:
  description: What was done, or would be in check mode, of V(bootstrap) and V(import).
  returned: success
  type: list
  elements: str
  sample: [bootstrap, import]
log:
  description: The end of mmdebstrap's log.
  returned: when the build failed
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import debian_bootstrap, local_images

NOT_IN_RECIPE = (
    "reference",
    "cli",
    "suite",
    "cache",
    "ca_bundle",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "timeout",
)


def argument_spec() -> dict[str, Any]:
    """Return the options, as documented above."""
    texts: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    return {
        "reference": {"type": "str"},
        "cli": {"type": "str", "default": "docker"},
        "suite": {"type": "str"},
        "variant": {
            "type": "str",
            "default": "minbase",
            "choices": list(debian_bootstrap.VARIANTS),
        },
        "packages": texts,
        "excluded_paths": texts,
        "setup_commands": texts,
        "essential_commands": texts,
        "commands": texts,
        "sources": texts,
        "generation": {"type": "str", "default": ""},
        "environment": {"type": "dict", "default": {}},
        "entrypoint": texts,
        "command": texts,
        "user": {"type": "str", "default": ""},
        "working_directory": {"type": "str", "default": ""},
        "stop_signal": {"type": "str", "default": ""},
        "labels": {"type": "dict", "default": {}},
        "cache": {"type": "path", "default": "/var/cache/docker-ml-api/images"},
        "ca_bundle": {"type": "path"},
        # A proxy's URL may hold a password.
        "http_proxy": {"type": "str", "no_log": True},
        "https_proxy": {"type": "str", "no_log": True},
        "no_proxy": {"type": "str"},
        "timeout": {"type": "int", "default": 1800},
    }


def make(module: AnsibleModule) -> dict[str, Any]:
    """Build what is missing, unless in check mode, and return the result."""
    params = module.params
    host = debian_bootstrap.Host.read()
    options = {name: params[name] for name in argument_spec() if name not in NOT_IN_RECIPE}
    recipe = debian_bootstrap.Recipe.from_options(params["suite"] or host.codename, options)
    cache = Path(params["cache"])
    tar = recipe.tar(cache)
    reference = params["reference"]
    result: dict[str, Any] = {"recipe": recipe.digest, "tar": str(tar), "done": []}

    before = None
    if reference and not (params["cli"] or module.check_mode):
        raise ValueError("cli is empty: name the Docker client that imports the image.")
    if reference and params["cli"]:
        before = local_images.inspect(params["cli"], [reference]).get(reference)
        if before and before.label(local_images.RECIPE_LABEL) == recipe.digest:
            return {**result, "changed": False, "image": {"id": before.id, "size": before.size}}
    if not tar.exists():
        # In check mode, mmdebstrap may be one of the packages that a real run installs first.
        host.check(installable=module.check_mode)
        result["done"].append("bootstrap")
        if not module.check_mode:
            debian_bootstrap.bootstrap(
                recipe,
                cache,
                host=host,
                ca_bundle=params["ca_bundle"] or "",
                environment=debian_bootstrap.proxies(params),
                timeout=params["timeout"],
            )
    after = None
    if reference:
        result["done"].append("import")
        if not module.check_mode:
            local_images.import_tar(
                params["cli"], tar, reference, recipe.changes(), timeout=params["timeout"]
            )
            after = local_images.inspect(params["cli"], [reference])[reference]
            result["image"] = {"id": after.id, "size": after.size}
            if before:
                local_images.remove_replaced(params["cli"], before)
    result["changed"] = bool(result["done"])
    if reference:
        old = before.label(local_images.RECIPE_LABEL) if before else ""
        result["diff"] = {
            "before": {"image": before.id if before else "", "recipe": old},
            "after": {"image": after.id if after else "(new)", "recipe": recipe.digest},
        }
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = make(module)
    except debian_bootstrap.BuildError as error:
        module.fail_json(msg=f"{error}.", **({"log": error.log} if error.log else {}))
    except (local_images.EngineError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
