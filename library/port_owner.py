#!/usr/bin/python
"""Ansible module port_owner: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: port_owner
short_description: Tells which TCP ports are taken, and by what program
description:
  - Reads Linux' C(/proc), so that neither C(ss) nor C(netstat) nor a Python package is needed.
  - Another user's program has a name here only for root; that the port is taken is seen by all.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  ports:
    description: The ports to look at.
    type: list
    elements: int
    required: true
  address:
    description: The address that is going to be listened on.
    type: str
    default: 127.0.0.1
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: See whether the ports are free
  port_owner:
    ports: [8080, 9000]
  register: ports
"""

RETURN = r"""
taken:
  description: The ports that cannot be listened on.
  returned: success
  type: list
  elements: dict
  contains:
    port:
      description: The port.
      type: int
      sample: 9000
    program:
      description: The program that listens there; empty where this user may not see it.
      type: str
      sample: nginx
    pid:
      description: Its process ID; 0 where this user may not see it.
      type: int
      sample: 4711
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api import tcp_ports

ARGUMENTS: dict[str, Any] = {
    "ports": {"type": "list", "elements": "int", "required": True},
    "address": {"type": "str", "default": "127.0.0.1"},
}
PROC = Path("/proc")


def run(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one entry for each port that is taken."""
    found = tcp_ports.listeners(PROC)
    taken = []
    for port in params["ports"]:
        listener = tcp_ports.conflict(found, params["address"], port)
        if listener:
            owner = tcp_ports.owner(PROC, listener.inode)
            taken.append({"port": port, "program": owner.program, "pid": owner.pid})
    return taken


def main() -> None:
    """Wire the options to the questions."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        taken = run(module.params)
    except ValueError as error:
        module.fail_json(msg=f"address: {error}.")
    module.exit_json(changed=False, taken=taken)


if __name__ == "__main__":
    main()
