#!/usr/bin/python
"""Ansible module docker_engine_tunnel: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: docker_engine_tunnel
short_description: Open a tunnel to another machine's Docker engine for the duration of a run
description:
  - Reads the address of a Docker engine and, if it is on another machine, opens a Unix socket on
    this machine that connects to it. All Docker clients (the command, the SDK, community.docker)
    can use such a socket, and find it through the variables that are returned.
  - By ssh, each connection runs C(docker system dial-stdio) on the other machine, as the docker
    command does. All connections share one login, which never prompts on the terminal.
    By tcp, each connection uses TLS with a certificate on both sides.
  - The tunnel ends with the run of Ansible that opened it. Its sockets are in a folder that only
    the user of the run can access.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  engine:
    description:
      - Address of the engine. Empty for the engine of this machine (or of E(DOCKER_HOST)), or
        C(unix:///PATH), C(ssh://USER@HOST), C(ssh://USER@HOST:PORT) or C(tcp://HOST:2376).
    type: str
    default: ""
  connection:
    description:
      - The Ansible connection of the host. An engine on another machine is accessed from the
        machine that Ansible runs on, so it must be V(local).
    type: str
    default: local
  tls:
    description: Folder with C(ca.pem), C(cert.pem) and C(key.pem), for C(tcp://).
    type: path
  tls_ca:
    description: Certificate of the CA that signed the engine's, instead of the folder's.
    type: path
  tls_cert:
    description: Certificate of this client, instead of the folder's.
    type: path
  tls_key:
    description: Key of this client, instead of the folder's.
    type: path
  ssh_args:
    description: Additional arguments for ssh, as on its command line.
    type: str
    default: ""
  ports:
    description: Ports of the engine's machine to forward as well, as C(HOST:PORT); by ssh only.
    type: list
    elements: str
    default: []
  timeout:
    description: Timeout in seconds of the login, and again of the engine's first answer.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
    description: Also opens the tunnel, since this changes nothing on the engine.
  diff_mode:
    support: none
    description: Changes nothing.
notes:
  - The ssh program runs as the user of this run, so that user's ssh settings and keys apply.
requirements: [ssh]
"""

EXAMPLES = r"""
- name: Open a tunnel to the engine
  docker_engine_tunnel:
    engine: ssh://ada@server.example.com
  register: way

- name: Query that engine
  ansible.builtin.command:
    argv: [docker, version]
  environment: "{{ way.environment }}"
  changed_when: false
"""

RETURN = r"""
kind:
  description: V(local), V(unix), V(ssh) or V(tcp).
  returned: success
  type: str
  sample: ssh
host:
  description: The engine's machine; empty if it is this one.
  returned: success
  type: str
  sample: server.example.com
environment:
  description: The variables through which clients find the engine; empty if none are needed.
  returned: success
  type: dict
ports:
  description: The sockets for O(ports).
  returned: success
  type: dict
"""

import inspect
import os
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.docker import address as engine_address
from ansible.module_utils.docker_ml_api.docker import tunnel

ARGUMENTS: dict[str, Any] = {
    "engine": {"type": "str", "default": ""},
    "connection": {"type": "str", "default": "local"},
    "tls": {"type": "path"},
    "tls_ca": {"type": "path"},
    "tls_cert": {"type": "path"},
    # A path is not a secret.
    "tls_key": {"type": "path", "no_log": False},
    "ssh_args": {"type": "str", "default": ""},
    "ports": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 30},
}
SOCKET = "engine.sock"
_RUNS = ("ansible-playbook", "ansible-console", "ansible")


def run_of(pid: int, root: Path = Path("/proc")) -> int:
    """Return the ID of the run's process: an Ansible ancestor of `pid`, or this one's parent."""
    parent, found = os.getppid(), 0
    while pid > 1:
        try:
            words = (root / str(pid) / "cmdline").read_text(encoding="utf-8").split("\0")
            fields = (root / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2]
        except OSError:
            break
        if engine_address.program_of(words) in _RUNS:
            # Tasks are forked: the outermost of the consecutive Ansible processes is the run.
            found = pid
        elif found:
            break
        pid = int(fields.split()[1])
    return found or parent


def by_ssh(
    address: engine_address.Address, params: dict[str, Any], folder: Path
) -> tuple[list[tunnel.Door], list[str]]:
    """Return the doors of a tunnel by ssh, and the command that logs in."""
    arguments = engine_address.read_arguments(params["ssh_args"])
    control = str(folder / tunnel.CONTROL)
    doors = [
        tunnel.Door(SOCKET, tuple(engine_address.ssh_command(address, arguments, control))),
        *(
            tunnel.Door(
                f"{number}.sock",
                tuple(engine_address.ssh_command(address, arguments, control, port=port)),
            )
            for number, port in enumerate(params["ports"])
        ),
    ]
    return doors, engine_address.ssh_command(address, arguments, control, master=True)


def by_tls(
    address: engine_address.Address, params: dict[str, Any]
) -> tuple[list[tunnel.Door], list[str]]:
    """Return the door of a tunnel by TLS, after the engine has answered through it.

    Raises EngineAddressError.
    """
    files = {name: params[f"tls_{name}"] or "" for name in engine_address.TLS_FILES}
    certificates = engine_address.check_certificates(
        address, engine_address.read_certificates(params["tls"] or "", files)
    )
    tls = tunnel.Tls(
        address.host, address.port, certificates.ca, certificates.cert, certificates.key
    )
    try:
        with tls.connect(params["timeout"]) as connection:
            # The engine rejects a client's certificate only at the first read.
            answer = tunnel.ping(connection)
    except (OSError, ValueError) as error:
        raise engine_address.EngineAddressError(
            engine_address.explain_tls(address, certificates, error)
        ) from error
    if not tunnel.is_engine(answer):
        raise engine_address.EngineAddressError(engine_address.explain_answer(address, answer))
    return [tunnel.Door(SOCKET, tls=tls)], []


def open_tunnel(address: engine_address.Address, params: dict[str, Any]) -> Path:
    """Open a tunnel through which the engine has answered, and return its folder.

    Raises EngineAddressError.
    """
    if address.kind == "ssh" and not shutil.which("ssh"):
        raise engine_address.EngineAddressError(
            f"docker_engine is {address}, but there is no ssh on this machine: install "
            "openssh-client."
        )
    folder: Path = tunnel.make_folder()
    try:
        if address.kind == "tcp":
            doors, master = by_tls(address, params)
        else:
            doors, master = by_ssh(address, params, folder)
        tunnel.begin(
            inspect.getsource(tunnel),
            folder,
            doors,
            master=master,
            run=run_of(os.getpid()),
            timeout=params["timeout"],
        )
    except tunnel.TunnelError as error:
        raise engine_address.EngineAddressError(
            engine_address.explain_answer(address, error.answer)
            if error.answer
            else engine_address.explain_ssh(address, error.log)
        ) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Return how clients find the engine; raise EngineAddressError."""
    address = engine_address.read_address(params["engine"])
    if address.remote and params["connection"] != "local":
        raise engine_address.EngineAddressError(
            f"docker_engine is {address}, which is reached from the machine that Ansible runs on: "
            f"set ansible_connection of that host to local (it is {params['connection']})."
        )
    engine_address.check_environment(address, os.environ)
    folder = open_tunnel(address, params) if address.remote else None
    return {
        "kind": address.kind,
        "host": address.host,
        "environment": engine_address.environment(address, str(folder / SOCKET) if folder else ""),
        "ports": {
            port: str(folder / f"{number}.sock")
            for number, port in enumerate(params["ports"])
            if folder and address.kind == "ssh"
        },
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if password := engine_address.password_in(module.params["engine"]):
        # Such an address is rejected, and the error must not show the password.
        module.no_log_values.add(password)
    try:
        result = run(module.params)
    except engine_address.EngineAddressError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
