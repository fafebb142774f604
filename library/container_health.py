#!/usr/bin/python
"""Ansible module container_health: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_health
short_description: Wait until containers are healthy
description:
  - Waits until the health check of each container's image passes; if the image has none, until
    the container runs.
  - Fails as soon as a container is unhealthy, has stopped or keeps restarting, and reports the last
    output of its health check and of its log.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: read_only
options:
  names:
    description: The containers.
    type: list
    elements: str
    required: true
  timeout:
    description: Timeout in seconds for each container.
    type: float
    default: 60
  log_lines:
    description: Number of trailing log lines that a failure shows.
    type: int
    default: 15
requirements: [docker]
"""

EXAMPLES = r"""
- name: Wait until the API is healthy
  container_health:
    names: [test-api]
    timeout: 30
"""

RETURN = r"""
containers:
  description: The IDs of the containers, by name.
  returned: success
  type: dict
  sample: {"test-api": "5f0d9c..."}
"""

import time
import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import docker
    from ansible.module_utils.docker_ml_api.docker import health
    from docker import errors

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

ARGUMENTS: dict[str, Any] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "float", "default": 60},
    "log_lines": {"type": "int", "default": 15},
}
_INTERVAL = 0.5


class UnhealthyError(Exception):
    """A container is not healthy; the message names it and the cause."""


def wait_for(client: docker.DockerClient, name: str, params: dict[str, Any]) -> str:
    """Wait until the container is healthy and return its ID; raise UnhealthyError otherwise."""

    def inspect() -> Any:
        try:
            return client.containers.get(name).attrs
        except errors.NotFound:
            raise UnhealthyError(f"There is no container {name} any more.") from None

    state, container = health.wait(
        inspect, params["timeout"], _INTERVAL, time.monotonic, time.sleep
    )
    if state is not health.Health.HEALTHY:
        try:
            log = client.containers.get(name).logs(tail=params["log_lines"])
        except errors.NotFound:
            raise UnhealthyError(f"There is no container {name} any more.") from None
        raise UnhealthyError(
            health.complaint(name, container, params["timeout"], log.decode(errors="replace"))
        )
    return str(container["Id"])


def run(params: dict[str, Any]) -> dict[str, str]:
    """Wait for one container after the other; return their IDs by name."""
    client = docker.from_env()
    try:
        return {name: wait_for(client, name, params) for name in params["names"]}
    finally:
        client.close()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("docker"), exception=IMPORT_ERROR)
    try:
        containers = run(module.params)
    except UnhealthyError as error:
        module.fail_json(msg=str(error))
    except errors.DockerException as error:
        module.fail_json(msg=f"The Docker engine does not answer: {error}")
    module.exit_json(changed=False, containers=containers)


if __name__ == "__main__":
    main()
