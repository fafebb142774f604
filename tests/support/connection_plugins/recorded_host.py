"""Connection to a Linux host that does not exist: for call-level tests.

Ansible's own action plugins and module builder run. What they would execute on the host is decoded,
validated against the module's documentation, recorded, and answered by a small model of a host.
This tests which modules are called with which arguments, not whether a distribution's packages can
be installed.
"""

from __future__ import annotations

import ast
import fcntl
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.connection.local import Connection as LocalConnection
from ansible.plugins.loader import fragment_loader, module_loader
from ansible.utils.plugin_docs import get_docstring

DOCUMENTATION = """
name: recorded_host
short_description: Records what would be run on a Linux host
description:
  - For tests.
options:
  world:
    description: Folder with a file of JSON for each host, its state and its calls.
    type: path
    vars:
      - name: recorded_host_world
  host:
    description: Name of the host.
    type: str
    vars:
      - name: inventory_hostname
"""

# Modules that only read.
READERS = {"setup", "docker_engine_info", "stat", "getent", "command"}
PACKAGE_MANAGERS = {"apt", "dnf", "dnf5", "zypper", "apk", "pacman"}


def decode(payload: str) -> tuple[str, dict[str, Any]] | None:
    """Return the module's full name and its arguments; None if the text is not a module."""
    _, call, arguments = payload.rpartition("_ansiballz_main(\n")
    if not call:
        return None
    # One argument per line; the packed files beside them are long.
    lines = (line.partition("=") for line in arguments.splitlines())
    named = {
        name: ast.literal_eval(value.removesuffix(","))
        for name, _, value in lines
        if name in ("module_fqn", "params")
    }
    return named["module_fqn"], json.loads(named["params"])["ANSIBLE_MODULE_ARGS"]


def specification(module: str, kept: Path) -> dict[str, Any] | None:
    """Return the documented options as an argument specification, cached in `kept` for all."""
    path = kept / f"{module}.json"
    if not path.exists():
        found = module_loader.find_plugin(module)
        options = get_docstring(found, fragment_loader)[0]["options"] if found else None
        keys = ("type", "elements", "choices", "required", "aliases", "default")
        spec = options and {
            name: {key: option[key] for key in keys if key in option}
            for name, option in options.items()
        }
        kept.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=kept, delete=False) as file:
            json.dump(spec, file)
        Path(file.name).replace(path)
    spec = json.loads(path.read_text())
    for option in (spec or {}).values():
        if isinstance(option.get("choices"), dict):
            option["choices"] = [*option["choices"]]
    return spec


def judge(module: str, arguments: dict[str, Any], kept: Path) -> list[str]:
    """Return the violations of the module's documentation by the arguments."""
    # Passed by action plugins to their own modules; undocumented on purpose.
    private = {"_original_basename", "_raw_params", "_uses_shell", "get_size"}
    spec = specification(module, kept)
    if spec is None:
        return [f"{module} is no module"]
    known = {name for option, one in spec.items() for name in [option, *one.get("aliases", [])]}
    given = {
        name: value
        for name, value in arguments.items()
        if not name.startswith("_ansible") and not (name in private and name not in known)
    }
    return list(ArgumentSpecValidator(spec).validate(given).error_messages)


class Host:
    """A model of a host: which packages are installed, whether the engine runs."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state
        self.packages: list[str] = state["packages"]

    def answer(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the result of the module."""
        if module in PACKAGE_MANAGERS:
            names = arguments["name"]
            new = [name for name in names if name not in self.packages]
            self.packages += new
            return {"changed": bool(new)}
        return getattr(self, f"_{module}", self._any)(arguments)

    def _any(self, arguments: dict[str, Any]) -> dict[str, Any]:
        made = json.dumps(arguments, sort_keys=True)
        changed = made not in self.state["made"]
        if changed:
            self.state["made"].append(made)
        return {"changed": changed}

    def _setup(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"ansible_facts": {f"ansible_{k}": v for k, v in self.state["facts"].items()}}

    def _docker_daemon_config(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"changed": False, "restart_pending": False, "config": {}}

    def _stat(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"stat": {"exists": False}}

    def _command(self, arguments: dict[str, Any]) -> dict[str, Any]:
        argv = arguments["argv"]
        rc, out = 0, ""
        if argv[0] in ("dpkg-query", "rpm", "apk", "pacman"):
            rc = 0 if argv[-1] in self.packages else 1
            out = "ii" if rc == 0 else ""
        elif argv[0].endswith("/docker-engine"):
            self.state["running"] = self.state["installed_by"] in self.packages
            rc, out = (0, "started") if self.state["running"] else (1, "")
        return {"rc": rc, "stdout": out, "stderr": "", "changed": True}

    def _service(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments["name"] != "docker" or self.state["installed_by"] not in self.packages:
            return {"failed": True, "msg": f"Could not find the service {arguments['name']}"}
        changed = not self.state["running"]
        self.state["running"] = True
        return {"changed": changed}

    _systemd = _sysvinit = _service

    def _docker_engine_info(self, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        running = self.state["running"]
        builds = self.state["built_by"] in self.packages
        engine = {
            "cli": "/usr/bin/docker" if running or builds else "",
            "client_version": "28.0.0",
            "buildkit": builds,
            "answers": running,
            "server_version": "28.0.0" if running else "",
            "os": "linux",
            "error": "" if running else "Cannot connect to the Docker daemon.",
            "permission_denied": False,
            "local": True,
            "data_root": "/var/lib/docker",
            "data_root_free_mb": 100000,
            "dockerd": "/usr/bin/dockerd" if self.state["installed_by"] in self.packages else "",
            "service_manager": self.state["service_manager"],
            "uid": 0,
            "python": "/usr/bin/python3",
            "requests": self.state["requests_by"] in self.packages,
        }
        return {"engine": engine}


class Connection(LocalConnection):  # type: ignore[misc]
    """Records modules, and runs everything else (temporary folders) on this machine."""

    transport = "recorded_host"
    has_pipelining = True

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Answer modules with the model, and run everything else."""
        called = decode(in_data.decode()) if in_data else self._decode_file(cmd)
        if called is None:
            ran: tuple[int, bytes, bytes] = super().exec_command(cmd, in_data, sudoable)
            return ran
        full_name, arguments = called
        module = full_name.rsplit(".", 1)[-1]
        path = Path(self.get_option("world"), f"{self.get_option('host')}.json")
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = json.load(file)
            problems = judge(module_name(full_name), arguments, path.parent / "specifications")
            given = {k: v for k, v in arguments.items() if not k.startswith("_ansible")}
            changes = module not in READERS
            state["calls"].append({"module": module, "arguments": given, "changes": changes})
            answer = (
                {"failed": True, "msg": " ".join(problems)}
                if problems
                else Host(state).answer(module, given)
            )
            file.seek(0)
            file.truncate()
            json.dump(state, file)
        return 0, json.dumps(answer).encode(), b""

    @staticmethod
    def _decode_file(cmd: str) -> tuple[str, dict[str, Any]] | None:
        match = re.search(r"(/\S+/AnsiballZ_\w+\.py)", cmd)
        if not match or "python" not in cmd:
            return None
        return decode(Path(match.group(1)).read_text())


def module_name(full_name: str) -> str:
    """Return a module's name as in playbooks; a collection's module keeps its full name."""
    parts = full_name.split(".")
    if parts[0] == "ansible_collections":
        return ".".join([parts[1], parts[2], parts[-1]])
    return parts[-1]
