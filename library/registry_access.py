#!/usr/bin/python
"""Ansible module registry_access: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: registry_access
short_description: Check that a registry is reachable and accepts a login
description:
  - Sends one or two GET requests to the registry's API (C(/v2/) and, if the registry requires one,
    its token service). Neither an engine nor a client is needed, so a wrong password is detected
    before anything is installed or built.
  - A registry whose TLS certificate is not trusted on this machine is not an error, since the
    engine may trust it.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [read_only, registry_login]
options:
  registry:
    description: The registry, with or without a path.
    type: str
    required: true
  docker_config:
    description: Folder of the docker client's configuration.
    type: path
    default: ~/.docker
  timeout:
    description: Timeout in seconds of each request.
    type: int
    default: 10
requirements: [docker, requests]
"""

EXAMPLES = r"""
- name: Check the login before images are built
  registry_access:
    registry: docker.io/account
    username: account
    password: "{{ lookup('ansible.builtin.env', 'IMAGE_REGISTRY_PASSWORD') }}"
"""

RETURN = r"""
access:
  description:
    - V(open), no login is required; V(accepted), the login was accepted.
    - V(stored), the docker client has a stored login, which was not tested.
    - V(unverified), the registry uses a certificate that is not trusted on this machine, or it is
      on another machine and uses no TLS, so that no password is sent to it.
  returned: success
  type: str
  sample: accepted
"""

import traceback
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible.module_utils.docker_ml_api.registry import access as registry
    from docker import auth
    from docker.errors import DockerException

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

ARGUMENTS: dict[str, Any] = {
    "registry": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "docker_config": {"type": "path", "default": "~/.docker"},
    "timeout": {"type": "int", "default": 10},
}


def has_stored_login(docker_config: str, host: str) -> bool:
    """Return whether the docker client has a login for *host*."""
    path = Path(docker_config) / "config.json"
    if not path.is_file():
        return False
    return bool(auth.load_config(str(path)).resolve_authconfig(host))


def run(params: dict[str, Any]) -> str:
    """Return how the registry can be used; raise RegistryError or DockerException."""
    username = params["username"]
    credentials = registry.Credentials(username, params["password"]) if username else None
    access: str = registry.check_access(
        params["registry"],
        credentials,
        known_elsewhere=not credentials
        and has_stored_login(params["docker_config"], registry.host_of(params["registry"])),
        timeout=params["timeout"],
    )
    return access


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=IMPORT_ERROR)
    try:
        access = run(module.params)
    except (registry.RegistryError, DockerException) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, access=access)


if __name__ == "__main__":
    main()
