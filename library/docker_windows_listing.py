#!/usr/bin/python
"""Ansible module docker_windows_listing: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_windows_listing
short_description: Parse what a Windows machine's docker command listed
description:
  - Reports the objects of an engine as M(community.docker.docker_host_info) does, from the output
    of the docker command on a Windows machine, where that module does not work.
  - Changes nothing; runs on the controller.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  inspected:
    description: Output of each inspection; leave out an inspection that found nothing.
    type: dict
    required: true
    suboptions:
      container:
        description: Output of C(docker container inspect).
        type: str
        default: ""
      image:
        description: Output of C(docker image inspect).
        type: str
        default: ""
      network:
        description: Output of C(docker network inspect).
        type: str
        default: ""
  removable:
    description: IDs of the containers that may be removed.
    type: list
    elements: str
    required: true
  disk_usage:
    description: Output of C(docker system df --verbose) as JSON.
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
- name: Parse the output
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
    """Run the module."""
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
