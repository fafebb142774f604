#!/usr/bin/python
"""Ansible module docker_engine_info: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_engine_info
short_description: Find a Docker client to build with and query the engine
description:
  - Reports whether a Docker engine answers and which of the installed C(docker) clients
    can build images with BuildKit on it.
  - Queries the engine itself instead of checking for the client's file. A client does not imply an
    engine, and an engine without a client is found by its socket.
  - Uses E(DOCKER_HOST) from the environment.
  - Reads only; requires no Python package on the host.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: read_only
options:
  executables:
    description:
      - Paths of the clients to choose from, in order of preference.
      - Defaults to every C(docker) on E(PATH), then C(/usr/bin/docker) and
        C(/usr/local/bin/docker).
    type: list
    elements: path
  timeout:
    description: Timeout in seconds of each query by a client.
    type: int
    default: 20
  wait:
    description: Seconds to wait for the engine, if it does not answer at once.
    type: int
    default: 0
  data_root:
    description: Folder in which the engine will store its images, if it does not answer yet.
    type: path
    default: /var/lib/docker
"""

EXAMPLES = r"""
- name: Ask the Docker engine
  docker_engine_info:
  register: docker

- name: Build with the client that can
  ansible.builtin.command:
    argv: ["{{ docker.engine.cli }}", build, --tag, "hello-app:v1", "."]
    chdir: hello-world
  environment:
    DOCKER_BUILDKIT: "1"
  changed_when: true
  when: docker.engine.answers

- name: Wait for an engine that was just started
  docker_engine_info:
    wait: 60
"""

RETURN = r"""
engine:
  description: What was found.
  returned: always
  type: dict
  contains:
    cli:
      description: Path of the client to use; empty if there is none.
      type: str
      sample: /usr/bin/docker
    client_version:
      description: That client's version.
      type: str
      sample: 20.10.24
    buildkit:
      description: Whether that client builds with BuildKit (buildx, or built in before version 23).
      type: bool
    answers:
      description: Whether the engine answered.
      type: bool
    server_version:
      description: The engine's version; empty if it did not answer.
      type: str
      sample: 20.10.24
    os:
      description: The system that the engine's containers run on.
      type: str
      sample: linux
    architecture:
      description: The hardware architecture of the engine; empty if it did not answer.
      type: str
      sample: amd64
    error:
      description: Why the engine did not answer, as a sentence; empty if it did.
      type: str
      sample: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.
    permission_denied:
      description: Whether the engine runs but this user lacks permission to use it.
      type: bool
    local:
      description: Whether the engine is accessed through a socket of this host.
      type: bool
    data_root:
      description: Folder in which the engine stores its images; O(data_root) if it did not answer.
      type: str
      sample: /var/lib/docker
    data_root_free_mb:
      description: Free MiB of that folder's file system; null if the engine runs elsewhere.
      type: int
      sample: 81920
    dockerd:
      description: Path of the installed engine, running or not; empty if there is none.
      type: str
      sample: /usr/sbin/dockerd
    service_manager:
      description: V(systemd), V(openrc), V(sysvinit) or V(none), as used by this host.
      type: str
      sample: systemd
    uid:
      description: The ID of the user that the module runs as.
      type: int
      sample: 0
    python:
      description: The Python interpreter that the module runs with.
      type: str
      sample: /usr/bin/python3
    requests:
      description: Whether that Python can import requests, which community.docker requires.
      type: bool
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import engine as docker_engine

ARGUMENTS = {
    "executables": {"type": "list", "elements": "path"},
    "timeout": {"type": "int", "default": 20},
    "wait": {"type": "int", "default": 0},
    "data_root": {"type": "path", "default": docker_engine.DEFAULT_DATA_ROOT},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    options = module.params
    engine = docker_engine.wait_for(
        lambda: docker_engine.inspect(
            options["executables"], options["timeout"], options["data_root"], dict(os.environ)
        ),
        options["wait"],
        time.monotonic,
        time.sleep,
    )
    module.exit_json(changed=False, engine=engine)


if __name__ == "__main__":
    main()
