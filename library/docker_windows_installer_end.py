#!/usr/bin/python
"""Ansible module docker_windows_installer_end: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_installer_end
short_description: Explain why an installation of Docker Desktop failed
description:
  - Takes the result of the module that failed and says in a sentence what its exit code means and
    what fixes it.
  - Reads and changes nothing; it runs on the controller.
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
- name: Say what the installer's end means
  docker_windows_installer_end:
    result: "{{ ansible_failed_result }}"
  delegate_to: localhost
  register: ended
"""

RETURN = r"""
sentence:
  description: What it means.
  returned: always
  type: str
  sample: "The installer ended with 1223: it was cancelled at the machine."
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import windows_machine

ARGUMENTS = {"result": {"type": "dict", "required": True}}


def main() -> None:
    """Wire the result to its meaning."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    sentence = windows_machine.installer_end(module.params["result"])
    module.exit_json(changed=False, sentence=sentence)


if __name__ == "__main__":
    main()
