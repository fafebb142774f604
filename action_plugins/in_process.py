"""Runs modules of library/ and of community.docker in the process of their task: see ActionModule.

Every other entry of this folder is a link to this file. Its name is that of a module, or `normal`,
the plugin that Ansible uses for every module without a plugin of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import importlib.util
import io
import json
import os
import re
import sys
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible.module_utils
from ansible.module_utils import basic
from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder
from ansible.plugins import action

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

_PROJECT = Path(__file__).parent.parent
# Modules without a plugin of their own that only send requests to the engine.
_OF_COLLECTIONS = re.compile(r"community\.docker\.docker_\w+")
# Ansible's name for the serialization of arguments and results.
_PROFILE = "legacy"


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module_of_library(name: str) -> ModuleType | None:
    """Return the module of library/, or None if it has no module of this name."""
    shared = str(_PROJECT / "module_utils")
    if shared not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.insert(0, shared)
    path = _PROJECT / "library" / f"{name}.py"
    return _load(f"docker_ml_api_library.{name}", path) if path.is_file() else None


# Loaded once, in the process that all tasks are forked from.
MODULE = _module_of_library(Path(__file__).stem)
# Ansible's own plugin, loaded by path: loaded by name it could be the project's normal.py.
_Normal: Any = _load("docker_ml_api_normal", Path(action.__path__[0], "normal.py")).ActionModule


class ActionModule(_Normal):  # type: ignore[misc]
    """Runs the module of this name in the process that Ansible forks for the task.

    To run a module, Ansible packs it with everything that it imports, starts another Python and
    compiles the package there, for each task. With modules that only send requests to servers,
    this takes most of the time of a run. (ansible.netcommon does the same for network devices, as
    "direct execution".)

    The module runs in this process only where this makes no difference: on this machine, with this
    Python, as this user. Otherwise it is sent to the host as usual.
    """

    def _execute_module(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        task_vars = options.get("task_vars") or {}
        here = not arguments and self._is_here(task_vars)
        module = self._module() if here else None
        if module is None:
            result: dict[str, Any] = super()._execute_module(*arguments, **options)
            return result
        given = dict(self._task.args)
        self._update_module_args(self._task.action, given, task_vars)
        environment: dict[str, str] = {}
        self._compute_environment_string(environment)
        written = run(module, given, environment, self._loader.get_basedir())
        decoder = get_module_decoder(_PROFILE, Direction.MODULE_TO_CONTROLLER)
        data: dict[str, Any] = json.loads(written, cls=decoder)
        # Keys with this prefix are internal to modules and Ansible.
        return {key: value for key, value in data.items() if not key.startswith("_ansible_")}

    def _module(self) -> ModuleType | None:
        """Return the module if it can run in this process, or None."""
        if MODULE is not None or not _OF_COLLECTIONS.fullmatch(self._task.action):
            return MODULE
        collection, _, name = self._task.action.rpartition(".")
        return importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}")

    def _is_here(self, task_vars: Mapping[str, Any]) -> bool:
        if there := self._task.delegate_to:
            # The connection is to that host, so its interpreter counts.
            task_vars = task_vars.get("ansible_delegated_vars", {}).get(there, {})
        python = self._templar.template(task_vars.get("ansible_python_interpreter"))
        return (
            self._connection.transport == "local"
            and python == sys.executable
            and not self._connection.become
            and not self._task.async_val
        )


def run(
    module: ModuleType,
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
    folder: str | Path = ".",
) -> str:
    """Run the module and return its output, whether it succeeds or fails.

    environment: variables to add to the environment of this process.
    folder: the working directory; for a module that is sent to this machine, Ansible uses the
        folder of the playbook.
    """
    encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()
    # The variables in which AnsibleModule looks for its arguments first.
    vars(basic).update(_ANSIBLE_ARGS=text, _ANSIBLE_PROFILE=_PROFILE)
    output = io.StringIO()
    _end_in_order(os.getpid())
    with (
        _as_it_was(),
        _without_connections(),
        contextlib.redirect_stdout(output),
        contextlib.suppress(SystemExit),
    ):
        os.environ.update(environment)
        os.chdir(folder)
        module.main()
    return output.getvalue()


@functools.cache
def _end_in_order(_process: int) -> None:
    """Register the exit functions of modules to run, once, when this process ends.

    For example, the Kubernetes client removes the files with a kubeconfig's keys in an exit
    function. Since Python 3.13 multiprocessing runs them; earlier versions end the process of a
    task without running them.
    """
    if sys.version_info < (3, 13):
        # The functions registered so far belong to the parent process.
        atexit._clear()  # noqa: SLF001 - as multiprocessing does from 3.13 on
        functions = atexit._run_exitfuncs  # noqa: SLF001 - the same; atexit has no public name for it
        util.Finalize(None, functions, exitpriority=0)


@contextlib.contextmanager
def _without_connections() -> Iterator[None]:
    """Close the connections that a module leaves open, as the end of its process would.

    The items of a loop share the process, and an engine by ssh accepts ten connections per login.
    """
    requests: Any = sys.modules.get("requests")
    if requests is None:
        yield
        return
    opened: list[Any] = []
    begin = requests.Session.__init__

    def begin_noted(self: Any, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        opened.append(self)

    requests.Session.__init__ = begin_noted
    try:
        yield
    finally:
        requests.Session.__init__ = begin
        for session in opened:
            session.close()


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Restore the environment and the working directory; the items of a loop share the process."""
    folder, environment = Path.cwd(), dict(os.environ)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
