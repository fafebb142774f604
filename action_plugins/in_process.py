"""Runs modules of library/ and of community.docker in the process of their task: see ActionModule.

Whatever else is in this folder is a link to this file: by a module's name, or as `normal`, which
Ansible takes for every module that has no plugin of its own.
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
# Of those without a plugin of their own: they ask the engine and nothing else.
_OF_COLLECTIONS = re.compile(r"community\.docker\.docker_\w+")
# By which Ansible tells how arguments and results are written.
_PROFILE = "legacy"


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module_of_library(name: str) -> ModuleType | None:
    """Return the module of library/, or nothing if it has none of this name."""
    shared = str(_PROJECT / "module_utils")
    if shared not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.insert(0, shared)
    path = _PROJECT / "library" / f"{name}.py"
    return _load(f"docker_ml_api_library.{name}", path) if path.is_file() else None


# Once, in the process that all tasks are forked from.
MODULE = _module_of_library(Path(__file__).stem)
# Ansible's own, by its path: by its name it may be the project's normal.py.
_Normal: Any = _load("docker_ml_api_normal", Path(action.__path__[0], "normal.py")).ActionModule


class ActionModule(_Normal):  # type: ignore[misc]
    """Runs the module of this name in the process that Ansible forks for its task.

    To run a module Ansible packs it with all that it imports, starts another Python, and compiles
    it there, for each task anew. With modules that only ask servers this is most of what a run
    takes. (ansible.netcommon does the same for network devices, as "direct execution".)

    This is done only where it makes no difference: on this machine, with this Python, as this
    user. Otherwise the module is sent as usual.
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
        # What begins so is said between modules and Ansible.
        return {key: value for key, value in data.items() if not key.startswith("_ansible_")}

    def _module(self) -> ModuleType | None:
        """Return the module, if it can be run in this process."""
        if MODULE is not None or not _OF_COLLECTIONS.fullmatch(self._task.action):
            return MODULE
        collection, _, name = self._task.action.rpartition(".")
        return importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}")

    def _is_here(self, task_vars: Mapping[str, Any]) -> bool:
        if there := self._task.delegate_to:
            # The connection leads to that host, so its interpreter counts.
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
    """Return what the module writes, whether it ends well or not.

    environment: what is added to this process's own.
    folder: the working directory; a module that is sent to this machine has the playbook's.
    """
    encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()
    # Where AnsibleModule looks first.
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
    """Have what modules register for the end of their process called at the end of this one, once.

    The client of Kubernetes removes so the files with a kubeconfig's keys. From Python 3.13 on
    multiprocessing does this; before, it ends a task's process without.
    """
    if sys.version_info < (3, 13):
        # What is registered so far is for the end of the process that this one was forked from.
        atexit._clear()  # noqa: SLF001 - as multiprocessing does from 3.13 on
        functions = atexit._run_exitfuncs  # noqa: SLF001 - the same; atexit has no public name for it
        util.Finalize(None, functions, exitpriority=0)


@contextlib.contextmanager
def _without_connections() -> Iterator[None]:
    """Close the connections that a module leaves open, as the end of its process would.

    The items of a loop share the process, and an engine by ssh has ten connections in a login.
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
    """Keep the environment and the working directory: the items of a loop share the process."""
    folder, environment = Path.cwd(), dict(os.environ)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
