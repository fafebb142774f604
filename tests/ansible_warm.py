"""What runs forked from a server (ansible_forks.py) have ready, and do without forking again.

Of the five seconds of processor time that an unchanging run of site.yml takes, one goes to import
the plugins that Ansible looks at in any run, one to parse and copy the same files, two to fork a
process for each task, most of which only decide something. The tests make hundreds of runs.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible import constants
from ansible._internal import _task
from ansible.executor.process import worker
from ansible.executor.task_executor import TaskExecutor
from ansible.module_utils._internal._datatag import AnsibleTagHelper
from ansible.parsing import dataloader
from ansible.plugins import loader as plugins

if TYPE_CHECKING:
    from collections.abc import Iterable

# These look at variables and say what follows: no module is sent, nothing outside is touched.
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
_Signature = tuple[int, int, int]
# By path and trust: of which file, and what it says.
_parsed: dict[tuple[str, bool], tuple[_Signature, Any]] = {}
_start = worker.WorkerProcess.start
_is_alive = worker.WorkerProcess.is_alive
_load_from_file = dataloader.DataLoader.load_from_file


def prepare(files: Iterable[Path]) -> None:
    """Load the plugins that each run looks at, and parse these files of playbooks and roles."""
    for kind in ("become", "connection", "lookup", "shell"):
        list(getattr(plugins, f"{kind}_loader").all(class_only=True))
    for kind in ("filter", "test"):
        list(getattr(plugins, f"{kind}_loader").all())
    for name in constants.INVENTORY_ENABLED:
        plugins.inventory_loader.get(name)
    loader = dataloader.DataLoader()
    for path in files:
        for trusted in (False, True):
            key = (str(path), trusted)
            try:
                signature = _signature(key[0])
                said = _load_from_file(loader, key[0], cache="none", trusted_as_template=trusted)
            except Exception:  # noqa: BLE001, S112 - whoever loads it says what is wrong
                continue
            _parsed[key] = (signature, said)


def install() -> None:
    """Let this process run tasks that only decide something, and read what was parsed."""
    worker.WorkerProcess.start = _start_or_run
    worker.WorkerProcess.is_alive = _is_under_way
    dataloader.DataLoader.load_from_file = _load
    dataloader.copy = _Copy


def _signature(path: str) -> _Signature:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(self: Any, file_name: str, cache: str = "all", **options: Any) -> Any:
    """Give what a file says: DataLoader.load_from_file."""
    path = self.path_dwim(file_name)
    known = _parsed.get((path, options.get("trusted_as_template", False)))
    if known and not options.get("json_only") and path not in self._FILE_CACHE:
        try:
            unchanged = _signature(path) == known[0]
        except OSError:
            unchanged = False
        if unchanged:
            return known[1] if options.get("unsafe") else _copied(known[1])
    return _load_from_file(self, file_name, cache, **options)


class _Copy:
    """In the place of the module `copy`."""

    copy = staticmethod(copy.copy)

    @staticmethod
    def deepcopy(value: Any) -> Any:
        """Copy what was parsed: all but lists and mappings in it never changes."""
        return _copied(value)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return AnsibleTagHelper.tag_copy(value, {key: _copied(one) for key, one in value.items()})
    if isinstance(value, list):
        return AnsibleTagHelper.tag_copy(value, [_copied(one) for one in value])
    return value


def _is_under_way(self: Any) -> bool:
    """Return whether the task of a worker has not ended."""
    alive: bool = not hasattr(self, "ended") and _is_alive(self)
    return alive


def _start_or_run(self: Any) -> None:
    """Run the task to its end if it only decides something, else start a process for it."""
    task = self._task
    if task.until or task.async_val or task.delegate_to or not _decides(self):
        _start(self)
        return
    # What a process of its own would change of the task and of variables, it would change for
    # itself alone.
    own = task.copy(exclude_parent=True)
    own._parent = task._parent
    with _task.TaskContext(own):
        given = TaskExecutor(
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


def _decides(self: Any) -> bool:
    """Return whether a task only decides something, if only not to be run."""
    task = self._task
    if task.action in _DECIDES:
        return True
    if not task.when or task.loop is not None or task.loop_with:
        return False
    own = task.copy(exclude_parent=True)
    own._parent = task._parent
    try:
        skipped: bool = not own._resolve_conditional(own.when, dict(self._task_vars))
    except Exception:  # noqa: BLE001 - the task's own process says so
        return False
    return skipped
