#!/usr/bin/python
"""Ansible module docker_windows_plan: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_plan
short_description: Decide what a Windows machine needs for a Docker engine
description:
  - Takes the facts of a machine and its desired state, and returns either the problems that prevent
    the installation, each as a sentence with its fix, or the steps to perform.
  - Changes nothing; runs on the controller.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  facts:
    description: Facts that were read from the machine.
    type: dict
    required: true
    suboptions:
      distribution_version:
        description: Version of Windows with its build, as C(10.0.22631.0).
        type: str
        required: true
      product_type:
        description: V(workstation), or another value for a server.
        type: str
        required: true
      edition:
        description: The registry's C(EditionID), as C(Core) for Home.
        type: str
        default: ""
      architecture:
        description: V(x86_64), V(arm64), or an architecture that is not supported.
        type: str
        required: true
      memory_mb:
        description: MiB of memory.
        type: int
        required: true
      free_mb:
        description: Free MiB of the system disk, if known.
        type: int
      reboot_pending:
        description: Whether Windows has a restart pending.
        type: bool
        default: false
      administrator:
        description: Whether the connection's user has administrator rights.
        type: bool
        required: true
      hypervisor_present:
        description: Whether a hypervisor is already running.
        type: bool
        default: false
      virtualization_enabled:
        description: Whether the firmware allows a hypervisor; false if one is running.
        type: bool
        default: false
      address_translation:
        description: Whether the processor has second level address translation; false if a
          hypervisor is running.
        type: bool
        default: false
      unknown_users:
        description: Users that are to use the engine but do not exist on the machine.
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
    description: The desired state; each suboption is an input of the role C(docker_host).
    type: dict
    required: true
    suboptions:
      backend:
        description: The backend that runs the engine's Linux.
        type: str
        choices: [wsl-2, hyper-v]
        default: wsl-2
      require_pro:
        description: Whether Windows Home is rejected.
        type: bool
        default: false
      accept_license:
        description: Whether Docker Desktop's licence is accepted.
        type: bool
        required: true
      installer:
        description: URL or path of Docker Desktop's installer; empty for Chocolatey's package.
        type: str
        default: ""
      min_memory_mb:
        description: MiB of memory that the machine must have.
        type: int
        default: 0
      min_free_mb:
        description: Free MiB that the system disk must have.
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
      description: The problems that prevent the installation, each as a sentence with its fix.
      type: list
      elements: str
      sample: []
    windows:
      description: The common name of the Windows version.
      type: str
      sample: Windows 11 Home (build 22631)
    reboot_pending:
      description: Whether Windows has a restart pending.
      type: bool
      sample: false
    features:
      description: Features of Windows that have to be enabled before the installation.
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
      description: The steps to perform, as text and in order.
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
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    plan = windows_machine.plan(module.params["facts"], module.params["wanted"])
    module.exit_json(changed=False, plan=plan)


if __name__ == "__main__":
    main()
