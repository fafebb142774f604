#!/usr/bin/python
"""Ansible module docker_windows_plan: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_plan
short_description: Decide what a Windows machine needs for a Docker engine
description:
  - Takes what was read of a machine and what is wanted of it, and says either what stands in
    the way, a sentence each with what fixes it, or what has to be done.
  - Reads and changes nothing; it runs on the controller.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  facts:
    description: What was read of the machine.
    type: dict
    required: true
    suboptions:
      distribution_version:
        description: Version of Windows with its build, as C(10.0.22631.0).
        type: str
        required: true
      product_type:
        description: V(workstation), or another word for a server.
        type: str
        required: true
      edition:
        description: The registry's C(EditionID), as C(Core) for Home.
        type: str
        default: ""
      architecture:
        description: V(x86_64), V(arm64), or one that will not do.
        type: str
        required: true
      memory_mb:
        description: MiB of memory.
        type: int
        required: true
      free_mb:
        description: Free MiB of the system's disk, if that is known.
        type: int
      reboot_pending:
        description: Whether Windows has a restart pending.
        type: bool
        default: false
      administrator:
        description: Whether the connection's user has an administrator's rights.
        type: bool
        required: true
      hypervisor_present:
        description: Whether a hypervisor runs already.
        type: bool
        default: false
      virtualization_enabled:
        description: Whether the firmware lets a hypervisor run; false where one runs.
        type: bool
        default: false
      address_translation:
        description: Whether the processor has second level address translation; false where a
          hypervisor runs.
        type: bool
        default: false
      unknown_users:
        description: Who is to use the engine and is no user of the machine.
        type: list
        elements: str
        default: []
      wsl_version:
        description: Version of the Windows Subsystem for Linux; empty if it is not installed.
        type: str
        default: ""
      desktop_version:
        description: Version of Docker Desktop; empty if it is not installed.
        type: str
        default: ""
  wanted:
    description: What is wanted; each is an input of the role C(docker_host).
    type: dict
    required: true
    suboptions:
      backend:
        description: What runs the engine's Linux.
        type: str
        choices: [wsl-2, hyper-v]
        default: wsl-2
      require_pro:
        description: Whether Windows Home is refused.
        type: bool
        default: false
      accept_license:
        description: Whether Docker Desktop's licence is accepted.
        type: bool
        required: true
      installer:
        description: Address or path of Docker Desktop's installer; empty for Chocolatey's package.
        type: str
        default: ""
      min_memory_mb:
        description: MiB of memory that the machine must have.
        type: int
        default: 0
      min_free_mb:
        description: Free MiB that the system's disk must have.
        type: int
        default: 0
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Decide what has to be done
  docker_windows_plan:
    facts:
      distribution_version: "{{ ansible_facts.distribution_version }}"
      product_type: "{{ ansible_facts.os_product_type }}"
      edition: "{{ edition.value }}"
      architecture: "{{ ansible_facts.architecture2 }}"
      memory_mb: "{{ ansible_facts.memtotal_mb }}"
      administrator: true
      hypervisor_present: true
    wanted:
      accept_license: true
  delegate_to: localhost
  register: decided
"""

RETURN = r"""
plan:
  description: The decision.
  returned: always
  type: dict
  contains:
    problems:
      description: A sentence for each thing that stands in the way, with what fixes it.
      type: list
      elements: str
      sample: []
    windows:
      description: The system, as people know it.
      type: str
      sample: Windows 11 Home (build 22631)
    reboot_pending:
      description: Whether Windows has a restart pending.
      type: bool
      sample: false
    features:
      description: Features of Windows that have to be on before it is installed.
      type: list
      elements: str
      sample: [Microsoft-Windows-Subsystem-Linux, VirtualMachinePlatform]
    update_wsl:
      description: Whether WSL is too old or missing.
      type: bool
      sample: true
    install:
      description: Whether Docker Desktop has to be installed.
      type: bool
      sample: true
    source:
      description: V(chocolatey) or V(installer).
      type: str
      sample: chocolatey
    download:
      description: Whether the installer has to be downloaded.
      type: bool
      sample: false
    steps:
      description: What has to be done, in words and in order.
      type: list
      elements: str
      sample: [install Docker Desktop by Chocolatey]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import windows_machine

ARGUMENTS = {
    "facts": {"type": "dict", "required": True, "options": windows_machine.GIVEN},
    "wanted": {"type": "dict", "required": True, "options": windows_machine.WANTED},
}


def main() -> None:
    """Wire the options to the decision."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    plan = windows_machine.plan(module.params["facts"], module.params["wanted"])
    module.exit_json(changed=False, plan=plan)


if __name__ == "__main__":
    main()
