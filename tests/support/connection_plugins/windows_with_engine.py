"""Connection to a Windows machine that does not exist, whose Docker engine is this machine's.

Like windows_double, but the docker command lists and removes objects of this machine's real engine,
as if its client ran on Windows. MEANWHILE in the environment names what somebody else does in
between, as JSON: by a command's second word, a command that is run before each such.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.windows_double import programs
from support.windows_double.connection.windows_double import Connection as Modelled

if TYPE_CHECKING:
    from support.windows_double.machine import Machine

DOCUMENTATION = """
name: windows_with_engine
short_description: Answers for Windows machines that do not exist, by the engine that does
description:
  - For tests.
options:
  world:
    description: Folder of the machines.
    type: path
    required: true
    vars:
      - name: windows_double_world
  host:
    description: Name of the machine.
    type: str
    vars:
      - name: inventory_hostname
  remote_user:
    description: User of the machine.
    type: str
    vars:
      - name: ansible_user
  password:
    description: The user's password.
    type: str
    vars:
      - name: ansible_password
extends_documentation_fragment:
  - connection_pipelining
"""

REAL = {"container", "image", "network", "system", "ps", "images"}
_modelled = programs._docker


def _docker(machine: Machine, arguments: list[str]) -> programs.Ran:
    if arguments[0] not in REAL:
        return _modelled(machine, arguments)
    for word, command in json.loads(os.environ.get("MEANWHILE", "{}")).items():
        if arguments[1:2] == [word]:
            subprocess.run(["docker", *command], capture_output=True, check=False)
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    return programs.Ran(done.returncode, done.stdout, done.stderr)


class Connection(Modelled):
    """Like its base class, with another docker command."""

    transport = "windows_with_engine"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # The process of a task has only one connection.
        programs._docker = _docker
