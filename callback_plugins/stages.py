"""Callback plugin stages: see DOCUMENTATION."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from ansible import constants as C  # noqa: N812 - as Ansible's plugins call it
from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.executor.stats import AggregateStats

    Arguments = ParamSpec("Arguments")

DOCUMENTATION = r"""
---
name: stages
type: stdout
short_description: One line per stage, with its changes and its duration
description:
  - Each play is a stage. It shows what was changed and what was found, and ends with one line
    with the number of changes and the duration. Plays and tasks with nothing to do are
    not shown.
  - On a terminal, the last line shows the current task and its duration so far; during the build
    of an image, also the current build step. There is no such line elsewhere, or if E(CI) is set.
  - A failed task is shown with its complete result. A failure that the play handles itself
    (C(rescue), C(ignore_errors)) is not shown.
  - With C(-v) or more it behaves like the plugin P(ansible.builtin.default#callback).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

# Defined in module_utils/docker_ml_api/progress.py.
PROGRESS = "DOCKER_ML_API_PROGRESS"
ROLE = re.compile(r"^\S+ : ")
# A line of BuildKit's plain progress: "#12 [trained 3/3] RUN …", "#12 5.123 what it prints".
BUILD_STEP = re.compile(r"^#\d+ (?P<step>\[.*)$")
BUILD_LINE = re.compile(r"^#\d+ (?:\d+\.\d+ )?(?P<line>.*)$")
# Keys of results that describe how the task was run, or that repeat its message.
ABOUT_THE_RUN = {
    *("invocation", "ansible_facts", "start", "end", "delta", "attempts", "exception"),
    *("argument_errors", "argument_spec_data", "validate_args_context"),
}
TICK_SECONDS = 1.0
# Shorter durations of tasks are not shown.
SHOWN_SECONDS = 1.0
TAIL_BYTES = 4096


@dataclass
class Stage:
    """A play that runs."""

    name: str
    hosts: int
    began: float = field(default_factory=time.monotonic)
    worked: bool = False
    changes: int = 0
    failures: int = 0


def said(text: str) -> str:
    """Return the message in the last lines of a progress file."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    last = lines[-1]
    if not last.startswith("#"):
        return last
    steps = [found["step"] for line in lines if (found := BUILD_STEP.match(line))]
    step, found = steps[-1] if steps else "", BUILD_LINE.match(last)
    line = found["line"] if found and not BUILD_STEP.match(last) else ""
    return f"{step}: {line}" if step and line else step or line


class Live:
    """The line of a terminal that shows the current task."""

    def __init__(self, tell: Callable[[], str]) -> None:
        """Show the result of `tell` once a second, until the end of this process."""
        self._tell = tell
        self._process = os.getpid()
        self._shown = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        atexit.register(self.end)

    def clear(self) -> None:
        """Remove the line, so that another one can be written in its place."""
        # A forked task process inherits the lock in an arbitrary state, so it must not use it.
        if os.getpid() == self._process:
            with self._lock:
                self._clear()

    def end(self) -> None:
        """Remove the line for good."""
        if os.getpid() == self._process:
            self._ended.set()
            self.clear()

    def _clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def _run(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            text = self._tell()
            width = shutil.get_terminal_size().columns - 1
            with self._lock:
                if text and not self._ended.is_set():
                    self._write(f"\r\x1b[K{text[:width]}")
                    self._shown = True

    @staticmethod
    def _write(text: str) -> None:
        # Not by sys.stdout, whose own lock may be held while a task's process is forked.
        with contextlib.suppress(OSError):
            os.write(1, text.encode())


def brief(
    method: Callable[Arguments, None],
) -> Callable[Arguments, None]:
    """Delegate the event to Ansible's own plugin if the output is verbose."""

    @functools.wraps(method)
    def handle(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        self: Any = arguments[0]
        if self._display.verbosity:
            getattr(super(CallbackModule, self), method.__name__)(*arguments[1:], **named)
        else:
            method(*arguments, **named)

    return handle


class CallbackModule(Default):  # type: ignore[misc]
    """Shows stages."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "stages"

    def __init__(self) -> None:
        """Start the clock and the live line, before tasks' processes are forked."""
        super().__init__()
        self._began = time.monotonic()
        self._stage: Stage | None = None
        self._running: dict[tuple[str, str], tuple[float, Any]] = {}
        self._live: Live | None = None
        self._progress: Path | None = None
        if not self._display.verbosity and _is_watched():
            self._progress = Path(tempfile.mkdtemp(prefix="docker-ml-api-run-"))
            os.environ[PROGRESS] = str(self._progress)
            self._live = Live(self._going_on)
            atexit.register(_remove, self._progress, os.getpid())
            self._clear_before_each_line(self._live)

    def _clear_before_each_line(self, live: Live) -> None:
        """Clear the live line before any output, since warnings can occur at any time."""
        display = self._display.display

        @functools.wraps(display)
        def after_clearing(*arguments: Any, **named: Any) -> Any:
            live.clear()
            return display(*arguments, **named)

        self._display.display = after_clearing

    # What is going on

    def _going_on(self) -> str:
        """Return the live line: the longest running task and its latest progress."""
        # Another thread continues the run in the meantime.
        stage, tasks = self._stage, self._running.copy()
        running = sorted(tasks.items(), key=lambda one: one[1][0])
        if stage is None or not running:
            return ""
        (host, _), (began, task) = running[0]
        where = f" on {host}" if stage.hosts > 1 else ""
        more = f" (and on {len(running) - 1} more)" if len(running) > 1 else ""
        tells = self._tail()
        return (
            f"{stage.name}: {_name(task)}{where}{more}, {time.monotonic() - began:.0f} s"
            f"{': ' if tells else ''}{tells}"
        )

    def _tail(self) -> str:
        # A file may be deleted while it is read.
        with contextlib.suppress(OSError, ValueError):
            latest = max(self._files(), key=lambda path: path.stat().st_mtime_ns)
            with latest.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                return said(file.read().decode(errors="replace"))
        return ""

    def _files(self) -> list[Path]:
        return list(self._progress.iterdir()) if self._progress is not None else []

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Record that a task starts on a host."""
        if not self._running:
            # The progress of earlier tasks is obsolete.
            for path in self._files():
                path.unlink(missing_ok=True)
        self._running[host.name, task._uuid] = time.monotonic(), task  # noqa: SLF001 - its identity
        if self._display.verbosity:
            super().v2_runner_on_start(host, task)

    def _end(self, result: Any) -> float:
        """Record that a task ended; return its duration in seconds."""
        key = result.host.name, result.task._uuid  # noqa: SLF001 - its identity
        began, _ = self._running.pop(key, (time.monotonic(), None))
        return time.monotonic() - began

    # Stages

    @brief
    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Show nothing, since other output follows soon."""

    @brief
    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Start a stage."""
        self._end_stage()
        self._play = play
        hosts = play.get_variable_manager()._inventory.get_hosts(play.hosts)  # noqa: SLF001
        self._stage = Stage(str(play.get_name()).strip(), len(hosts))

    def _end_stage(self) -> None:
        stage, self._stage = self._stage, None
        self._running.clear()
        if stage is None or not stage.worked:
            return
        changes = f"{stage.changes} change{'s' if stage.changes > 1 else ''}"
        outcome = changes if stage.changes else "ok"
        if self._is_check():
            outcome = f"would make {changes}" if stage.changes else "ok"
        color = C.COLOR_CHANGED if stage.changes else C.COLOR_OK
        if stage.failures:
            outcome, color = "failed", C.COLOR_ERROR
        took = _took(time.monotonic() - stage.began, 0)
        self._display.display(f"{stage.name}: {outcome}{took}", color)

    @brief
    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Show nothing for a play without hosts."""

    @brief
    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """Show nothing, since the failures were already shown."""

    @brief
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Show nothing, since it is not yet known whether the task has something to do."""

    @brief
    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Show nothing, as for other tasks."""

    @brief
    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Show nothing, since the included tasks are shown."""

    @brief
    def v2_runner_on_skipped(self, result: Any) -> None:
        """Show nothing for a skipped task."""
        self._end(result)

    @brief
    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Show nothing for a skipped item."""

    @brief
    def v2_runner_retry(self, result: Any) -> None:
        """Show nothing, since the live line counts the seconds."""

    # What was done

    @brief
    def v2_runner_on_ok(self, result: Any) -> None:
        """Show what the task changed, or its message."""
        took = self._end(result)
        if isinstance(result.task, TaskInclude):
            return
        self._worked()
        self._handle_warnings(result.result)
        if not (result.task.loop and "results" in result.result):
            self._show(result, "", took)

    @brief
    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Show what the task changed for an item, or its message."""
        if isinstance(result.task, TaskInclude):
            return
        self._handle_warnings(result.result)
        self._show(result, str(self._get_item_label(result.result)), 0.0)

    def _show(self, result: Any, label: str, took: float) -> None:
        changed = bool(result.result.get("changed"))
        self._count().changes += changed
        message = self._message(result)
        color = C.COLOR_CHANGED if changed else None
        if message:
            host = self._of_host(result)
            if host and "\n" in message:
                # Keep the alignment of a message with several lines.
                self._display.display(f"  {host.rstrip()}", color)
                host = ""
            self._display.display(_indented(host, message), color)
        elif changed:
            name = f"{_name(result.task)}{': ' if label else ''}{label}"
            mark = "would change" if self._is_check() else "changed"
            line = f"  {mark}: {self._of_host(result)}{name}{_took(took, SHOWN_SECONDS)}"
            self._display.display(line, color)

    def _message(self, result: Any) -> str:
        """Return the message of a task for the user, as from debug or an assertion."""
        if not self._run_is_verbose(result):
            return ""
        told = self._returned(result)
        message = told.get("msg", told)
        return "" if message == "All assertions passed" else self._text(message)

    @brief
    def v2_on_file_diff(self, result: Any) -> None:
        """Show the output of --diff, with the name of the task.

        This includes tasks that only compare and leave the change to another task, but not tasks
        with `diff: false`.
        """
        if result.task.diff is False:
            return
        looped = result.task.loop and "results" in result.result
        for one in result.result["results"] if looped else [result.result]:
            diff = self._get_diff(one["diff"]) if one.get("diff") else ""
            if diff:
                self._worked()
                label = f": {self._get_item_label(one)}" if looped else ""
                self._display.display(f"  {self._of_host(result)}{_name(result.task)}{label}:")
                self._display.display(_indented("", diff.rstrip("\n")))

    # What failed

    @brief
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Show a failure completely, unless the play handles it."""
        took = self._end(result)
        if ignore_errors or _is_rescued(result.task):
            return
        if result.task.loop and "results" in result.result:
            self._count().failures += 1
            return  # each item was shown
        self._fail(result, "failed", "", took)

    @brief
    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Show the failure of an item completely."""
        if not (result.task.ignore_errors is True or _is_rescued(result.task)):
            self._fail(result, "failed", str(self._get_item_label(result.result)), 0.0)

    @brief
    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Show why a host cannot be reached."""
        took = self._end(result)
        if not result.task.ignore_unreachable:
            self._fail(result, "unreachable", "", took)

    def _fail(self, result: Any, how: str, label: str, took: float) -> None:
        self._count().failures += 1
        self._handle_warnings(result.result)
        whole = self._returned(result)
        message = whole.pop("msg", "")
        # An assertion returns its condition as well, which repeats the message.
        known = {"changed", "failed", "ansible_loop_var", whole.get("ansible_loop_var")}
        rest = {key: value for key, value in whole.items() if key not in known}
        if set(rest) <= {"assertion", "evaluated_to"} or set(rest) <= {"unreachable"}:
            rest = {}
        name = f"{result.task.get_name()}{': ' if label else ''}{label}"
        color = C.COLOR_UNREACHABLE if how == "unreachable" else C.COLOR_ERROR
        host = self.host_label(result)
        self._display.display(f"  {how}: {name} (on {host}){_took(took, SHOWN_SECONDS)}", color)
        text = "\n".join(part for part in (self._text(message), self._text(rest)) if part)
        self._display.display(_indented("", text), color)

    # The end

    @brief
    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Show the number of changes for each host."""
        self._end_stage()
        if self._live is not None:
            self._live.end()
        for host in sorted(stats.processed):
            counted = stats.summarize(host)
            shown = {"changed": counted["changed"], "ok": counted["ok"]}
            wrong = {"failed": counted["failures"], "unreachable": counted["unreachable"]}
            shown |= {name: number for name, number in wrong.items() if number}
            color = C.COLOR_CHANGED if counted["changed"] else C.COLOR_OK
            if any(wrong.values()):
                color = C.COLOR_ERROR
            text = " ".join(f"{name}={number}" for name, number in shown.items())
            took = _took(time.monotonic() - self._began, 0)
            self._display.display(f"{host}: {text}{took}", color)

    # Words

    def _worked(self) -> None:
        if self._stage is not None:
            self._stage.worked = True

    def _count(self) -> Stage:
        self._worked()
        return self._stage or Stage("", 1)

    def _of_host(self, result: Any) -> str:
        """Return the host's name as a prefix if the stage has several hosts."""
        return f"{result.host.name}: " if self._stage and self._stage.hosts > 1 else ""

    def _is_check(self) -> bool:
        return bool(self._play is not None and self._play.check_mode)

    def _returned(self, result: Any) -> dict[str, Any]:
        """Return the result of a task without the keys that describe how it was run."""
        self._clean_results(result.result, result.task.action)
        return {
            key: value
            for key, value in result.result.items()
            if key not in ABOUT_THE_RUN and not key.startswith("_")
        }

    def _text(self, value: Any) -> str:
        """Return a value in human-readable form."""
        if value in ("", [], {}):
            return ""
        if isinstance(value, str):
            return value.rstrip("\n")
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return "\n".join(value)
        return textwrap.dedent(str(self._dump_results(value, indent=2))).strip("\n")


def _is_watched() -> bool:
    """Return whether the output is a terminal that can rewrite a line."""
    dumb = os.environ.get("TERM", "dumb") == "dumb" or os.environ.get("CI")
    return sys.stdout.isatty() and not dumb


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _name(task: Any) -> str:
    """Return a task's name without the name of its role, which the stage shows."""
    return ROLE.sub("", str(task.get_name()).strip())


def _is_rescued(task: Any) -> bool:
    """Return whether the task is in a block with a rescue section."""
    inner, block = task, task._parent  # noqa: SLF001 - where it stands
    while block is not None:
        if isinstance(block, Block) and block.rescue and not _stands_in(inner, block.rescue):
            return not _stands_in(inner, block.always)
        inner, block = block, block._parent  # noqa: SLF001 - as above
    return False


def _stands_in(inner: Any, part: list[Any]) -> bool:
    return any(one._uuid == inner._uuid for one in part)  # noqa: SLF001 - their identity


def _took(seconds: float, least: float) -> str:
    return f" ({seconds:.1f} s)" if seconds >= least else ""


def _indented(first: str, text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in f"{first}{text}".splitlines())
