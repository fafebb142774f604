"""Callback plugin: records when each task ran, what was checked, and what changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats

DOCUMENTATION = r"""
name: rehearsal_record
type: aggregate
short_description: Writes down when each task worked, what was checked, and what changed
description:
  - Writes a JSON object to the file that E(REHEARSAL_RECORD) names, at the end of the run.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Records a run without output."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "rehearsal_record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Start without records."""
        super().__init__()
        self._began: dict[tuple[str, str], float] = {}
        self._spans: list[tuple[str, float, float]] = []
        self._checked: list[str] = []

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Record the start of a task on a host."""
        self._began[host.name, task._uuid] = time.time()  # noqa: SLF001 - its identity

    def _end(self, result: Any) -> None:
        task = result.task
        began = self._began.pop((result.host.name, task._uuid), None)  # noqa: SLF001
        if began is not None:
            self._spans.append((task.resolved_action or task.action, began, time.time()))
        said = result.result.get("msg")
        if isinstance(said, dict):
            self._checked += said.get("checked", [])

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note the end."""
        self._end(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note the end."""
        del ignore_errors
        self._end(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note the end."""
        self._end(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Discard the start: the task did not run."""
        self._began.pop((result.host.name, result.task._uuid), None)  # noqa: SLF001

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Write the record to a file."""
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        record = {"spans": self._spans, "checked": self._checked, "hosts": hosts}
        Path(os.environ["REHEARSAL_RECORD"]).write_text(json.dumps(record), encoding="utf-8")
