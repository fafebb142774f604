"""The server's own program: see ansible_server.py.

Modules of Ansible and of its collections run in the process that Ansible forks for their task, as
the project's own do (action_plugins/in_process.py), where that makes no difference: on this
machine, with this Python, as this user. Else they are sent.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from unittest import mock

from ansible import constants
from ansible.cli import playbook
from ansible.module_utils import _internal
from ansible.plugins.action import ActionBase
from ansible.vars.clean import remove_internal_keys

_PROJECT = Path(__file__).parent.parent
sys.path += [str(_PROJECT), str(Path(__file__).parent)]

import ansible_warm  # noqa: E402 - needs the path

from action_plugins import in_process  # noqa: E402

if TYPE_CHECKING:
    from types import ModuleType

# What most runs import, the modules that run in the process of a task among it.
_ALSO = (
    "ansible.executor.playbook_executor",
    "ansible.plugins.action.normal",
    "ansible.plugins.strategy.linear",
    "docker",
    "google.auth.transport.requests",
    "google.oauth2.service_account",
    "kubernetes.dynamic",
    "requests",
)
# What most runs read.
_PARSED = ("*.yml", "inventory/**/*.yml", "playbooks/*.yml", "roles/*/*/*.yml")
# Of what is in these; not what starts itself anew under another Python.
_IN_PROCESS = re.compile(
    r".*/(?P<name>ansible/modules/(command|copy|file|getent|slurp|stat|tempfile|uri)"
    r"|ansible_collections/(community/docker|google/cloud|kubernetes/core)/plugins/modules/\w+)\.py$"
)
_send = ActionBase._execute_module
_UNEXPECTED = 250
_PR_SET_PDEATHSIG = 1
_PACKED = "ansiballz_cache"


def serve(longest_request: int) -> None:
    """Fork a run for each request until the other side ends."""
    for name in _ALSO:
        importlib.import_module(name)
    ansible_warm.prepare(path for pattern in _PARSED for path in _PROJECT.glob(pattern))
    Path(constants.DEFAULT_LOCAL_TMP, _PACKED).mkdir()
    asked = socket.socket(fileno=os.dup(0))
    # Nobody waits for the end of a run.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Path(os.devnull).open("r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
    while True:
        request, files, _, _ = socket.recv_fds(asked, longest_request, 3)
        if not request:
            return
        ansible_warm.learn(Path(constants.DEFAULT_LOCAL_TMP))
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            asked.close()
            _run(json.loads(request), *files)
        for file in files:
            os.close(file)


def _execute(self: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Run a module here, or send it: ActionBase._execute_module."""
    name = options.get("module_name") or self._task.action
    task_vars = options.get("task_vars") or {}
    here = in_process.ActionModule._is_here(self, task_vars)
    here = here and not arguments and not options.get("wrap_async")
    module = _module(self, name) if here else None
    if module is None:
        sent: dict[str, Any] = _send(self, *arguments, **options)
        return sent
    if not self._is_pipelining_enabled("new") and self._connection._shell.tmpdir is None:
        self._make_tmp_path()
    given = options.get("module_args")
    given = self._task.args if given is None else given
    unknown = options.get("ignore_unknown_opts", False)
    self._update_module_args(name, given, task_vars, ignore_unknown_opts=unknown)
    environment: dict[str, str] = {}
    self._compute_environment_string(environment)
    with mock.patch.object(_internal, "is_controller", new=False):
        written = in_process.run(module, given, environment, self._loader.get_basedir())
    data: dict[str, Any] = self._parse_returned_data({"stdout": written}, "legacy")
    remove_internal_keys(data)
    for stream in ("stdout", "stderr"):
        if stream in data:
            data.setdefault(f"{stream}_lines", (data[stream] or "").splitlines())
    return data


def _module(action: Any, name: str) -> ModuleType | None:
    loader = action._shared_loader_obj.module_loader
    found = loader.find_plugin_with_context(name, collection_list=action._task.collections)
    path = _IN_PROCESS.match(found.plugin_resolved_path or "")
    return importlib.import_module(path["name"].replace("/", ".")) if path else None


def _run(request: dict[str, Any], stdout: int, stderr: int, status: int) -> NoReturn:
    """Be the run."""
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.set_inheritable(status, False)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["command"]
    # The server's own files go with the server.
    atexit._clear()
    tempfile.tempdir = None
    shared = Path(constants.DEFAULT_LOCAL_TMP)
    own = Path(tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=shared.parent))
    constants.DEFAULT_LOCAL_TMP = str(own)
    # Modules are packed without their arguments, under a lock.
    (own / _PACKED).symlink_to(shared / _PACKED)
    ActionBase._execute_module = _execute
    ansible_warm.install()
    code = _UNEXPECTED
    try:
        playbook.main(sys.argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        atexit._run_exitfuncs()
        ansible_warm.teach(shared)
        shutil.rmtree(own, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(status, str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
