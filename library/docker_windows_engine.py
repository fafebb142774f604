#!/usr/bin/python
"""Ansible module docker_windows_engine: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_engine
short_description: Evaluate the output of the Docker clients of a Windows machine
description:
  - Reports on a Windows machine what M(docker_engine_info) reports on a Linux host, from the output
    of its clients, which M(ansible.windows.win_command) ran.
  - Changes nothing; runs on the controller.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  asked:
    description:
      - The results of C(docker version --format '{{json .}}'), one for each client, each with its
        command (the part up to C(docker)) as C(item), as in the results of a loop.
      - The first client that reaches an engine is used, otherwise the first installed client.
    type: list
    elements: dict
    required: true
  info:
    description:
      - The output of C(docker info --format '{{json .}}') of the client that reaches an engine.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Evaluate the answers
  docker_windows_engine:
    asked:
      - item: [docker]
        rc: 0
        stdout: '{"Client": {"Version": "28.5.1"}, "Server": {"Version": "28.5.1", "Os": "linux"}}'
  delegate_to: localhost
  register: judged
"""

RETURN = r"""
engine:
  description:
    - What was found, with the keys that M(docker_engine_info) returns, and the following.
  returned: always
  type: dict
  contains:
    command:
      description: The command of the client; empty if there is none.
      type: list
      elements: str
      sample: [wsl.exe, --exec, docker]
    cli:
      description: The program of that command.
      type: str
      sample: docker
    answers:
      description: Whether the engine answered.
      type: bool
      sample: true
    error:
      description: Why the engine did not answer, as a sentence; empty if it did.
      type: str
      sample: ""
    os:
      description: The system that the engine's containers run on.
      type: str
      sample: linux
    server_version:
      description: The engine's version; empty if it did not answer.
      type: str
      sample: 28.5.1
    desktop:
      description: Whether the engine is Docker Desktop's.
      type: bool
      sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import windows_engine

ARGUMENTS = {
    "asked": {"type": "list", "elements": "dict", "required": True},
    "info": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    engine = windows_engine.judge(module.params["asked"], module.params["info"])
    module.exit_json(changed=False, engine=engine)


if __name__ == "__main__":
    main()
