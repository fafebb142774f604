#!/usr/bin/python
"""Ansible module docker_windows_listing: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_listing
short_description: Parse what a Windows machine's docker command listed
description:
  - Says what is on an engine as M(community.docker.docker_host_info) says it, by what the docker
    command printed on a Windows machine, where that module does not work.
  - Reads and changes nothing; it runs on the controller.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  inspected:
    description: What each inspection printed; one that found nothing is left out.
    type: dict
    required: true
    suboptions:
      container:
        description: What C(docker container inspect) printed.
        type: str
        default: ""
      image:
        description: What C(docker image inspect) printed.
        type: str
        default: ""
      network:
        description: What C(docker network inspect) printed.
        type: str
        default: ""
  removable:
    description: Identities of the containers that may be removed.
    type: list
    elements: str
    required: true
  disk_usage:
    description: What C(docker system df --verbose) printed as JSON.
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
- name: Read the answers
  docker_windows_listing:
    inspected:
      image: '[{"Id": "sha256:1", "RepoTags": ["hello-app:v1"]}]'
    removable: []
  delegate_to: localhost
  register: listed
"""

RETURN = r"""
found:
  description:
    - What may be removed, with the keys C(containers), C(images), C(networks), C(disk_usage).
  returned: success
  type: dict
  sample: {containers: [], images: [], networks: [], disk_usage: {BuildCache: []}}
used:
  description: All containers, as C(containers).
  returned: success
  type: dict
  sample: {containers: []}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import windows_engine

_PRINTED = {"type": "str", "default": ""}
ARGUMENTS = {
    "inspected": {
        "type": "dict",
        "required": True,
        "options": {"container": _PRINTED, "image": _PRINTED, "network": _PRINTED},
    },
    "removable": {"type": "list", "elements": "str", "required": True},
    "disk_usage": {"type": "str", "default": ""},
}


def main() -> None:
    """Wire the options to what they say."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    options = module.params
    try:
        listed = windows_engine.listing(
            options["inspected"], options["removable"], options["disk_usage"]
        )
    except (ValueError, KeyError, TypeError) as error:
        module.fail_json(msg=f"The docker command printed what cannot be read: {error!r}.")
    module.exit_json(changed=False, **listed)


if __name__ == "__main__":
    main()
