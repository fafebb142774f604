"""Decoding what Ansible sends to a Windows machine: PowerShell, and manifests of modules."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

_ENCODED = re.compile(r"-EncodedCommand\s+'?([A-Za-z0-9+/=]+)", re.IGNORECASE)
# The end of the bootstrap script in the input.
_END = "\n\0\0\0\0\n"
_MODULE = "module_wrapper.ps1"
_BECOME = "become_wrapper.ps1"
_ASYNC = "async_wrapper.ps1"


class UnreadableError(Exception):
    """The input is not of a kind that Ansible sends."""


@dataclass(frozen=True)
class Script:
    """A helper script of Ansible, with its parameters."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call of a module, with its arguments."""

    module: str
    arguments: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    # The source of the module as sent.
    source: str = ""
    become_user: str = ""
    is_async: bool = False
    internal: dict[str, Any] = field(default_factory=dict)

    @property
    def check_mode(self) -> bool:
        """Whether the call is in check mode."""
        return bool(self.internal.get("_ansible_check_mode"))

    @property
    def no_log(self) -> bool:
        """Whether the task hides its arguments."""
        return bool(self.internal.get("_ansible_no_log"))


def command_text(command: str) -> str:
    """Return the PowerShell text of a command line; other command lines are unchanged."""
    match = _ENCODED.search(command)
    if not match:
        return command
    return base64.b64decode(match.group(1)).decode("utf-16-le")


def read(data: bytes) -> Call | Script:
    """Return the call or script in the input of Ansible's bootstrap script."""
    _, end, rest = data.decode().partition(_END)
    if not end:
        raise UnreadableError("The input is no manifest of Ansible's.")
    manifest = json.loads(rest.partition(_END)[0])
    actions = {action["name"]: action for action in manifest["actions"]}
    if _MODULE not in actions:
        [action] = manifest["actions"]
        return Script(action["name"], action["params"])
    parameters = actions[_MODULE]["params"]
    script = parameters["Script"]
    source = base64.b64decode(manifest["scripts"][script]["script"]).decode("utf-8-sig")
    given = {v["Name"]: v["Value"] for v in parameters.get("Variables", [])}
    arguments = given.get("complex_args", {})
    become = actions.get(_BECOME, {"params": {}})["params"]
    return Call(
        module=module_name(script),
        arguments={k: v for k, v in arguments.items() if not k.startswith("_ansible_")},
        internal={k: v for k, v in arguments.items() if k.startswith("_ansible_")},
        environment=parameters.get("Environment") or {},
        source=source,
        become_user=become.get("BecomeUser", ""),
        is_async=_ASYNC in actions,
    )


def module_name(script: str) -> str:
    """Return the module's name as in playbooks.

    ansible_collections.ansible.windows.plugins.modules.win_stat.ps1 -> ansible.windows.win_stat;
    ansible.modules.x.ps1 or x.ps1, of library/, -> x.
    """
    name = script.removesuffix(".ps1")
    parts = name.split(".")
    if parts[0] == "ansible_collections":
        return ".".join([parts[1], parts[2], parts[-1]])
    return parts[-1]
