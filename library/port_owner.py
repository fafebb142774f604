#!/usr/bin/python
"""Ansible module port_owner: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: port_owner
short_description: Find out which TCP ports are in use, and by which program
description:
  - Reads Linux' C(/proc), so neither C(ss) nor C(netstat) nor a Python package is needed.
  - The name of another user's program is only visible to root; every user can see that the port is
    in use.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: read_only
options:
  ports:
    description: The ports to check.
    type: list
    elements: int
    required: true
  address:
    description: The address to listen on.
    type: str
    default: 127.0.0.1
  listeners:
    description:
      - Whether the programs of this host are checked. Set V(false) if the engine, and therefore
        its ports, are on another machine.
    type: bool
    default: true
  containers:
    description:
      - The engine's containers, as M(community.docker.docker_host_info) lists them with
        O(community.docker.docker_host_info#module:verbose_output), to name the container that
        publishes a port.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Check whether the ports are free
  port_owner:
    ports: [8080, 9000]
  register: ports
"""

RETURN = r"""
taken:
  description: The ports that are in use.
  returned: success
  type: list
  elements: dict
  contains:
    port:
      description: The port.
      type: int
      sample: 9000
    owner:
      description: The program or container that uses it, as far as this user may know.
      type: str
      sample: nginx (pid 4711)
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import tcp_ports

ARGUMENTS: dict[str, Any] = {
    "ports": {"type": "list", "elements": "int", "required": True},
    "address": {"type": "str", "default": "127.0.0.1"},
    "listeners": {"type": "bool", "default": True},
    "containers": {"type": "list", "elements": "dict", "default": []},
}
PROC = Path("/proc")


def owner(listener: tcp_ports.Listener) -> str:
    """Return a description of the program that listens."""
    found = tcp_ports.owner(PROC, listener.inode)
    if found.pid:
        return f"{found.program} (pid {found.pid})"
    return "a program that only root may see (run again with --become to name it)"


def run(params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one entry for each port that is in use; raise ValueError for a wrong address."""
    found = tcp_ports.listeners(PROC) if params["listeners"] else []
    taken = []
    for port in params["ports"]:
        container = tcp_ports.publisher(params["containers"], params["address"], port)
        listener = tcp_ports.conflict(found, params["address"], port)
        if container:
            taken.append({"port": port, "owner": f"the container {container}"})
        elif listener:
            taken.append({"port": port, "owner": owner(listener)})
    return taken


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        taken = run(module.params)
    except ValueError as error:
        module.fail_json(msg=f"address: {error}.")
    module.exit_json(changed=False, taken=taken)


if __name__ == "__main__":
    main()
