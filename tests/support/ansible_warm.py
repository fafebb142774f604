"""Optimizations of runs forked from a server (ansible_forks.py): preloading, and fewer forks.

A run of site.yml without changes takes five seconds of CPU time: one to import the plugins that
Ansible loads in any run, one to parse and copy the same files, half a second to compile the same
templates, and two to fork a process for each task. The tests make hundreds of runs. With this
module, a task gets its own process only if others run in parallel, or if it is sent to another
machine.

Modules of Ansible and its collections run in the process of their task, like the project's own
(action_plugins/in_process.py), if this makes no difference: on this machine, with this Python, as
this user. Otherwise, they are sent.
"""

from __future__ import annotations

import contextlib
import importlib
import marshal
import os
import re
import threading
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from ansible import constants
from ansible._internal import _task
from ansible._internal._templating import _jinja_bits
from ansible._internal._templating._jinja_bits import AnsibleEnvironment
from ansible.executor.process import worker
from ansible.executor.task_executor import TaskExecutor
from ansible.executor.task_queue_manager import TaskQueueManager
from ansible.module_utils import _internal
from ansible.module_utils._internal._datatag import AnsibleTagHelper
from ansible.parsing import dataloader
from ansible.plugins import loader as plugins
from ansible.plugins.action import ActionBase
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.vars.clean import remove_internal_keys
from jinja2.environment import TemplateExpression

from action_plugins import in_process
from support import google_keys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, ModuleType

# Actions that only evaluate variables: they send no module and have no external effects.
_DECIDES = {
    f"{prefix}{name}"
    for prefix in ("", "ansible.builtin.", "ansible.legacy.")
    for name in (
        "assert",
        "debug",
        "fail",
        "include_role",
        "include_tasks",
        "set_fact",
        "validate_argument_spec",
    )
}
# Actions that depend on their parent process, and those that keep a client for later tasks.
_APART = re.compile(r"docker_engine_tunnel$|kubernetes\.core\.")
# Modules that run in the process; not those that restart themselves under another Python.
_IN_PROCESS = re.compile(
    r".*/(?P<name>ansible/modules/(command|copy|file|getent|slurp|stat|tempfile|uri)"
    r"|ansible_collections/(community/docker|google/cloud|kubernetes/core)/plugins/modules/\w+)\.py$"
)
_send = ActionBase._execute_module
_Signature = tuple[int, int, int]
# By path: the signature of the file and its parsed content.
_parsed: dict[str, tuple[_Signature, Any]] = {}
# Compiled templates by everything that affects the compilation; `_own` has those that this process
# has compiled.
_Template = tuple[Any, ...]
_compiled: dict[_Template, CodeType] = {}
_own: dict[_Template, CodeType] = {}
# Names like `community.docker.docker_prune`; modules for Windows are not Python.
_OF_COLLECTIONS = re.compile(r"\b((?:community|google|kubernetes)\.[a-z]+)\.([a-z]\w+)")
_configure_collection_loader = plugins._configure_collection_loader
_compile = AnsibleEnvironment.compile
_compile_expression = AnsibleEnvironment.compile_expression
_start = worker.WorkerProcess.start
_is_alive = worker.WorkerProcess.is_alive
_send_callback = TaskQueueManager.send_callback
# A thread of Ansible reports the results of a loop's items while later items run, but modules that
# run in this process redirect standard output and change the environment and the working directory.
_one_at_a_time = threading.RLock()
_load_from_file = dataloader.DataLoader.load_from_file


def prepare(files: Iterable[Path]) -> None:
    """Load the plugins that each run uses, and parse these files of playbooks and roles.

    The collection modules that these use are imported.
    """
    google_keys.trust()
    if AnsibleCollectionConfig.collection_finder is None:
        _configure_collection_loader()
    for kind in ("action", "become", "cache", "callback", "connection", "lookup", "shell"):
        list(getattr(plugins, f"{kind}_loader").all(class_only=True))
    for kind in ("filter", "test"):
        list(getattr(plugins, f"{kind}_loader").all())
    for name in constants.INVENTORY_ENABLED:
        plugins.inventory_loader.get(name)
    loader = dataloader.DataLoader()
    used = set()
    for path in map(str, files):
        try:
            used.update(_OF_COLLECTIONS.findall(Path(path).read_text(encoding="utf-8")))
            signature = _signature(path)
            # The content of playbooks and roles is trusted.
            said = _load_from_file(loader, path, cache="none", trusted_as_template=True)
        except Exception:  # noqa: BLE001, S112 - whoever loads it says what is wrong
            continue
        _parsed[path] = (signature, said)
    for collection, name in sorted(used):
        # Other names are those of filters, which are loaded together, or redirects.
        with contextlib.suppress(ImportError):
            importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}")
        with contextlib.suppress(KeyError):
            plugins.filter_loader.get(f"{collection}.{name}")


def install() -> None:
    """Let this process run tasks itself where possible, and use the parsed files."""
    plugins._configure_collection_loader = _configure_collection_loader_once
    ActionBase._execute_module = _execute
    worker.WorkerProcess.start = _start_or_run
    worker.WorkerProcess.is_alive = _is_under_way
    TaskQueueManager.send_callback = _say
    dataloader.DataLoader.load_from_file = _load
    # deepcopy is the only function of `copy` used there.
    dataloader.copy = types.SimpleNamespace(deepcopy=_copied)
    AnsibleEnvironment.compile = _compile_once
    AnsibleEnvironment.compile_expression = _compile_expression_once


def learn(folder: Path) -> None:
    """Load templates that runs have compiled and that `teach` has stored in this folder."""
    for path in folder.glob("*.compiled"):
        _compiled.update(marshal.loads(path.read_bytes()))  # noqa: S302 - of such a run
        path.unlink()


def teach(folder: Path) -> None:
    """Store the templates compiled by this run for later runs."""
    if _own:
        path = folder / f"{os.getpid()}.part"
        path.write_bytes(marshal.dumps(_own))
        path.rename(path.with_suffix(".compiled"))


def _configure_collection_loader_once(prefix_collections_path: Any = None) -> None:
    """Keep the loader of collections unchanged, unless this run has its own paths."""
    if prefix_collections_path:
        _configure_collection_loader(prefix_collections_path)


def _signature(path: str) -> _Signature:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(self: Any, file_name: str, cache: str = "all", **options: Any) -> Any:
    """Return a file's parsed content: replaces DataLoader.load_from_file."""
    path = self.path_dwim(file_name)
    known = _parsed.get(path) if options.get("trusted_as_template") else None
    if known and not options.get("json_only") and path not in self._FILE_CACHE:
        try:
            unchanged = _signature(path) == known[0]
        except OSError:
            unchanged = False
        if unchanged:
            return known[1] if options.get("unsafe") else _copied(known[1])
    return _load_from_file(self, file_name, cache, **options)


def _key(environment: Any, source: str, *more: Any) -> _Template:
    context = _jinja_bits._TemplateCompileContext.current(optional=True)
    # Ansible's cache of lexers uses the same key.
    settings = (getattr(environment, name) for name in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES)
    escaped = context.escape_backslashes if context else None
    # As bytes, because the tags of the text are irrelevant here.
    return (*settings, escaped, source.encode("utf-8", "surrogatepass"), *more)


def _compile_once(self: Any, source: Any, *arguments: Any, **options: Any) -> Any:
    """Compile a template: replaces AnsibleEnvironment.compile."""
    if not isinstance(source, str) or arguments or options:
        code = _compile(self, source, *arguments, **options)
        if self.__dict__.get("expression"):
            _own[self.expression] = code
        return code
    key = _key(self, source)
    if key not in _compiled:
        _compiled[key] = _own[key] = _compile(self, source)
    return _compiled[key]


def _compile_expression_once(self: Any, source: str, undefined_to_none: bool = True) -> Any:
    """Compile an expression: replaces AnsibleEnvironment.compile_expression."""
    key = _key(self, source, "expression")
    if key in _compiled:
        globals_ = self.make_globals(None)
        template = self.template_class.from_code(self, _compiled[key], globals_, None)
        return TemplateExpression(template, undefined_to_none)
    self.expression = key
    try:
        made = _compile_expression(self, source, undefined_to_none)
    finally:
        del self.expression
    _compiled[key] = _own[key]
    return made


def _copied(value: Any) -> Any:
    """Copy parsed content; only its lists and mappings are mutable."""
    if isinstance(value, dict):
        return AnsibleTagHelper.tag_copy(value, {key: _copied(one) for key, one in value.items()})
    if isinstance(value, list):
        return AnsibleTagHelper.tag_copy(value, [_copied(one) for one in value])
    return value


def _execute(self: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Run a module here or send it: replaces ActionBase._execute_module."""
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


def _is_under_way(self: Any) -> bool:
    """Return whether the task of a worker is still running."""
    alive: bool = not hasattr(self, "ended") and _is_alive(self)
    return alive


class _Executor(TaskExecutor):  # type: ignore[misc]
    """Blocks callbacks while an action runs in this process."""

    def _get_action_handler_with_module_context(self, templar: Any) -> tuple[Any, Any]:
        action, context = super()._get_action_handler_with_module_context(templar)
        run = action.run

        def run_alone(*arguments: Any, **options: Any) -> Any:
            with _one_at_a_time:
                return run(*arguments, **options)

        action.run = run_alone
        return action, context


def _say(self: Any, *arguments: Any, **options: Any) -> None:
    """Notify the callback plugins: replaces TaskQueueManager.send_callback."""
    with _one_at_a_time:
        _send_callback(self, *arguments, **options)


def _start_or_run(self: Any) -> None:
    """Run the task in this process if possible, otherwise start a process for it."""
    task = self._task
    if task.until or task.async_val or task.delegate_to or not (_decides(self) or _waits(self)):
        _start(self)
        return
    # A separate process would change only its own copies of the task and the variables.
    own = task.copy(exclude_parent=True)
    own._parent = task._parent
    with _task.TaskContext(own):
        given = _Executor(
            self._host,
            own,
            dict(self._task_vars),
            self._play_context.copy(),
            self._loader,
            self._shared_loader_obj,
            self._final_q,
            self._variable_manager,
        ).run()
    self.ended = True
    result = worker._RawTaskResult(
        host=self._host, task=own, return_data=given, task_fields=own.dump_attrs()
    )
    self._final_q.send_task_result(result)


def _waits(self: Any) -> bool:
    """Return whether the task runs on this machine and no other runs in parallel."""
    given = self._task_vars
    alone = len(given.get("ansible_play_batch", ())) == 1
    here = given.get("ansible_connection") == "local"
    return alone and here and not _APART.match(self._task.action)


def _decides(self: Any) -> bool:
    """Return whether a task only evaluates variables, or is skipped by its condition."""
    task = self._task
    if task.action in _DECIDES:
        return True
    if not task.when or task.loop is not None or task.loop_with:
        return False
    try:
        skipped: bool = not task._resolve_conditional(task.when, dict(self._task_vars))
    except Exception:  # noqa: BLE001 - the task's own process says so
        return False
    return skipped
