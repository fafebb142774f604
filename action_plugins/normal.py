"""Runs modules of community.docker in the process of their task: see in_process.ActionModule.

Ansible takes this plugin for every module that has no plugin of its own. All others are sent as
usual.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from action_plugins import in_process
else:
    _NAME = "docker_ml_api_in_process"
    _SPECIFICATION = importlib.util.spec_from_file_location(
        _NAME, Path(__file__).with_name("in_process.py")
    )
    in_process = importlib.util.module_from_spec(_SPECIFICATION)
    _SPECIFICATION.loader.exec_module(in_process)

# They ask the engine and nothing else.
IN_PROCESS = re.compile(r"community\.docker\.docker_\w+")


class ActionModule(in_process.ActionModule):
    """Runs the module that the task names here if it is one of these, and this is the host."""

    def _module(self) -> ModuleType | None:
        if not IN_PROCESS.fullmatch(self._task.action):
            return None
        collection, _, name = self._task.action.rpartition(".")
        return importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}")
