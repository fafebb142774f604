"""Connection to Windows machines that do not exist: for call-level tests.

See the package windows_double. As the name says, nothing here is tested on Windows.
"""

from __future__ import annotations

import copy
import json
import ntpath
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

sys.path.insert(0, str(Path(__file__).parents[3]))

from support.windows_double import modules, payload, programs, specification
from support.windows_double.world import World

if TYPE_CHECKING:
    from support.windows_double.machine import Machine

DOCUMENTATION = """
name: windows_double
short_description: Answers for Windows machines that do not exist
description:
  - For tests. What would run on a Windows machine is judged, recorded and answered by a model.
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
    description: The user's password; if there is none, a key is taken to be used.
    type: str
    vars:
      - name: ansible_password
extends_documentation_fragment:
  - connection_pipelining
"""

# The maximum time for which a run is held that a test wants to kill.
_HELD_SECONDS = 120
_SHUTDOWN = re.compile(r"shutdown\.exe /r /t (\d+)")
_READS_BOOT_TIME = re.compile(r"LastBootUpTime")
_SUCCESS = re.compile(r"'(success-[0-9a-f-]+)'")
# Quoted always or only if necessary, depending on the version of Ansible.
_REMOVE = re.compile(r"Remove-Item (?!-)(?P<quote>'?)(?P<path>.+?)(?:\\\.)?(?P=quote) -Force")


class Connection(ConnectionBase):  # type: ignore[misc]
    """Like ssh, winrm and psrp: modules are piped to PowerShell on the remote machine."""

    transport = "windows_double"
    module_implementation_preferences = (".ps1", ".exe", "")
    has_pipelining = True
    always_pipeline_modules = True
    allow_executable = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._shell_type = "powershell"
        super().__init__(*arguments, **options)

    @property
    def _world(self) -> World:
        return World(Path(self.get_option("world")))

    def _connect(self) -> Connection:
        host = self.get_option("host")
        with self._world.machine(host) as machine:
            if not machine.answers():
                raise AnsibleConnectionFailure(f"{host}: connection timed out")
            user, password = self.get_option("remote_user"), self.get_option("password")
            if password not in (None, "", machine.password):
                raise AnsibleAuthenticationFailure(f"{host}: the password of {user} is refused")
        self._connected = True
        return self

    def reset(self) -> None:
        """Reconnect."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connected = False

    def put_file(self, in_path: str, out_path: str) -> None:
        """Write a file to the machine."""
        self._connect()
        content = Path(in_path).read_bytes()
        with self._world.machine(self.get_option("host")) as machine:
            machine.put_file(out_path.strip("'\""), content)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Read a file of the machine."""
        self._connect()
        with self._world.machine(self.get_option("host")) as machine:
            Path(out_path).write_bytes(machine.content(in_path.strip("'\"")))

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Answer a command instead of running it."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        # Each command has its own connection, as with ssh.
        self._connect()
        if in_data:
            asked = payload.read(in_data)
            if isinstance(asked, payload.Script):
                return 0, self._helper(asked).encode(), b""
            return 0, json.dumps(self._call(asked)).encode(), b""
        return self._text(payload.command_text(cmd))

    # Modules

    def _call(self, call: payload.Call) -> dict[str, Any]:
        host = self.get_option("host")
        world = self._world
        accepts = specification.of(call.module, call.source, world.folder / ".specifications")
        parameters, problems = accepts.judge(call.arguments)
        given = accepts.mask(call.arguments)
        record: dict[str, Any] = {
            # The process that forks the tasks identifies the run.
            "run": os.getppid(),
            "host": host,
            "module": call.module,
            "arguments": dict.fromkeys(given, "********") if call.no_log else given,
            "environment": sorted(call.environment),
            "become": call.become_user,
            "check_mode": call.check_mode,
        }
        with world.machine(host) as machine:
            lost, machine.faults.lost_before = _meets(machine.faults.lost_before, record)
            if lost:
                raise AnsibleConnectionFailure(f"{host}: the connection was lost")
            before = machine.state()
            if problems:
                result = {"failed": True, "msg": " ".join(problems), "refused": True}
            elif call.check_mode and not accepts.check_mode:
                said = f"remote module ({call.module}) does not support check mode"
                result = {"skipped": True, "changed": False, "msg": said}
            else:
                result = self._answer(machine, call, parameters)
            record |= {
                "changed": bool(result.get("changed")),
                "changed_machine": machine.state() != before,
                "outcome": _outcome(result),
                "answer": _hidden(result) if call.no_log else accepts.mask(result),
            }
            lost, machine.faults.lost_after = _meets(machine.faults.lost_after, record)
            held, machine.faults.held_after = _meets(machine.faults.held_after, record)
        world.record(host, record)
        if held:
            self._hold()
        if lost:
            raise AnsibleConnectionFailure(f"{host}: the connection was lost")
        return result

    def _hold(self) -> None:
        """Stop answering until the run is killed."""
        run = os.getppid()
        self._world.hold_file(self.get_option("host")).touch()
        until = time.monotonic() + _HELD_SECONDS
        while os.getppid() == run and time.monotonic() < until:
            time.sleep(0.05)
        # No process is left to report to.
        os._exit(1)

    @staticmethod
    def _answer(machine: Machine, call: payload.Call, parameters: dict[str, Any]) -> dict[str, Any]:
        # In check mode, changes are applied to a copy.
        used = copy.deepcopy(machine) if call.check_mode else machine
        asked = modules.Asked(used, parameters, call.check_mode, call.environment)
        try:
            return modules.answer(call.module, asked)
        except programs.UnmodelledError as error:
            return {"failed": True, "msg": str(error), "unmodelled": True}

    # What Ansible itself runs

    def _helper(self, script: payload.Script) -> str:
        with self._world.machine(self.get_option("host")) as machine:
            if script.name == "powershell_mkdtemp.ps1":
                folder = machine.expand(script.parameters["Directory"])
                path = ntpath.join(folder, script.parameters["Name"])
                machine.make_folder(path)
                return path
            if script.name == "powershell_expand_user.ps1":
                home = machine.expand("%USERPROFILE%")
                return str(script.parameters["Path"]).replace("~", home, 1)
        raise payload.UnreadableError(f"The double does not know {script.name}.")

    def _text(self, text: str) -> tuple[int, bytes, bytes]:
        host = self.get_option("host")
        with self._world.machine(host) as machine:
            if _READS_BOOT_TIME.search(text):
                return 0, str(machine.boot_time).encode(), b""
            success = _SUCCESS.search(text)
            if success:
                return 0, success.group(1).encode(), b""
            removed = _REMOVE.search(text)
            if removed:
                machine.remove(removed["path"])
                return 0, b"", b""
        if _SHUTDOWN.search(text):
            return self._restart(text)
        raise payload.UnreadableError(f"The double does not run {text}")

    def _restart(self, text: str) -> tuple[int, bytes, bytes]:
        record = self._record_command("win_reboot", text)
        with self._world.machine(self.get_option("host")) as machine:
            machine.restart()
            held, machine.faults.held_after = _meets(machine.faults.held_after, record)
        if held:
            self._hold()
        return 0, json.dumps({"stdout": "", "stderr": "", "rc": 0}).encode(), b""

    def _record_command(self, name: str, text: str) -> dict[str, Any]:
        said = re.search(r"/c '((?:[^']|'')*)'", text)
        host = self.get_option("host")
        record = {
            "run": os.getppid(),
            "host": host,
            "module": f"ansible.windows.{name}",
            "arguments": {"msg": said.group(1).replace("''", "'")} if said else {},
            "environment": [],
            "become": "",
            "check_mode": False,
            "changed": True,
            "changed_machine": True,
            "outcome": "changed",
            "answer": {},
        }
        self._world.record(host, record)
        return record


def _meets(wanted: str, record: dict[str, Any]) -> tuple[bool, str]:
    """Return whether this is the awaited call, and the text to wait for from now on."""
    if wanted and wanted in json.dumps(record):
        return True, ""
    return False, wanted


def _outcome(result: dict[str, Any]) -> str:
    for name in ("refused", "unmodelled", "failed", "skipped", "changed"):
        if result.get(name):
            return name
    return "ok"


def _hidden(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("changed", "failed", "skipped") if name in result}
