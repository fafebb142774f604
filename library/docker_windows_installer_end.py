#!/usr/bin/python
"""Ansible module docker_windows_installer_end: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_installer_end
short_description: Explain why an installation of Docker Desktop failed
description:
  - Takes the result of the failed module and returns a sentence that explains its exit code and how
    to fix the problem.
  - Changes nothing; runs on the controller.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  result:
    description:
      - The result of M(ansible.windows.win_package) or M(chocolatey.chocolatey.win_chocolatey).
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Explain the exit code of the installer
  docker_windows_installer_end:
    result: "{{ ansible_failed_result }}"
  delegate_to: localhost
  register: ended
"""

RETURN = r"""
sentence:
  description: The explanation.
  returned: always
  type: str
  sample: "The installer ended with 1223: it was cancelled at the machine."
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import windows_machine

ARGUMENTS = {"result": {"type": "dict", "required": True}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    sentence = windows_machine.installer_end(module.params["result"])
    module.exit_json(changed=False, sentence=sentence)


if __name__ == "__main__":
    main()
