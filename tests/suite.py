"""Run the whole test suite, or its fast part.

    python tests/suite.py all [ARGUMENT OF PYTEST …]    make test
    python tests/suite.py check [PATH …]                make check WHAT=…

`all`: prepares once what the tests share, then runs all tests and, in parallel, the linters; then
takes down what the tests used, and checks for anything that they left behind.

`check`: runs the linters, and the unit tests that need neither an engine nor a cluster; with paths
(roles/container, library/port_owner.py, tests/unit/model …), the linters and tests for these.

The output of each stage is kept in .cache/suite/, and shown if the stage fails.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from rehearsal.gke import layout as google  # noqa: E402
from rehearsal.kubernetes import build  # noqa: E402
from rehearsal.kubernetes import layout as rehearsal  # noqa: E402
from support import ansible_server, leftovers, selection  # noqa: E402 - needs the path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LOGS = ROOT / ".cache" / "suite"
# Cached for the next run, also that of another clone.
KEPT = build.cache_folder(os.environ).with_name("suite")
PROCESSORS = len(os.sched_getaffinity(0))
# More workers than processors, as tests spend part of their time waiting.
WORKERS = PROCESSORS + 2
PREFIX = "suite-"
BUILD_CACHE = "8GB"
PYTHON = sys.executable
_NOT_UP = 3  # the exit status of the rehearsal's `status` commands
CLUSTER_COMMAND = (PYTHON, "-m", "rehearsal.kubernetes")
GOOGLE_COMMAND = (PYTHON, "-m", "rehearsal.gke")
ANSIBLE_LINT = ("ansible-lint", "--strict", "--offline")
# The files that ansible-lint checks, and those that affect its result.
LINTED = re.compile(
    r"\.(ya?ml|j2)$|^(library|module_utils|action_plugins|doc_fragments)/|^\.ansible-lint$"
    r"|^ansible\.cfg$|^requirements-dev\.txt$"
)
LINTERS = (
    ("yamllint", "--strict", "."),
    ANSIBLE_LINT,
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "."),
)


class FailedError(Exception):
    """A stage failed; its output was shown."""


@dataclass
class Suite:
    """The stages of a run and their durations."""

    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, stage: str, *command: str | Path, **environment: str) -> None:
        """Run a command; its output is shown only if it fails."""
        log = LOGS / f"{stage.replace(' ', '-')}.log"
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as output:
            status = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        self._took(stage, began, status)
        if status:
            say(log.read_text(encoding="utf-8", errors="replace")[-8000:])
            raise FailedError(f"{stage} failed ({' '.join(map(str, command))}); its output: {log}")

    def show(self, stage: str, *command: str | Path, **environment: str) -> None:
        """Run a command and show its output immediately."""
        say(f"{stage}: {' '.join(map(str, command))}")
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL, check=False
        )
        self._took(stage, began, done.returncode)
        if done.returncode:
            raise FailedError(f"{stage} failed.")

    def _took(self, stage: str, began: float, status: int) -> None:
        self.seconds[stage] = time.monotonic() - began
        say(f"{stage}: {'FAILED after ' if status else ''}{self.seconds[stage]:.1f} s")

    # The stages

    def lint(self, linters: Iterable[Sequence[str]] = LINTERS) -> None:
        """Run all linters, even if one fails."""
        failed = []
        for linter in linters:
            name = " ".join(linter[:2]) if linter[0] == "ruff" else Path(linter[0]).name
            passed = KEPT / f"{name}.passed"
            # ansible-lint has no cache of its own and takes minutes.
            state = linted_state() if linter == ANSIBLE_LINT else ""
            if state and passed.exists() and passed.read_text(encoding="ascii") == state:
                say(f"{name}: passed with these very files before")
                continue
            try:
                if linter == ANSIBLE_LINT:
                    self._run_ansible_lint(name)
                else:
                    self.run(name, *linter, MYPY_CACHE_DIR=str(KEPT / "mypy"))
            except FailedError as error:
                failed.append(str(error))
            else:
                if state:
                    KEPT.mkdir(parents=True, exist_ok=True)
                    passed.write_text(state, encoding="ascii")
        if failed:
            raise FailedError("\n".join(failed))

    def _run_ansible_lint(self, name: str) -> None:
        """Run ansible-lint, with forked runs of Ansible for its many syntax checks."""
        with tempfile.TemporaryDirectory() as folder, ansible_server.program(Path(folder)) as path:
            self.run(name, *ANSIBLE_LINT, PATH=f"{path}{os.pathsep}{os.environ['PATH']}")

    def packages_of_tests(self) -> None:
        """Install the tests' packages that are missing.

        .venv records what was once installed, not whether it is still installed.
        """
        self.run("packages of the tests", "scripts/setup-test")

    def packages(self) -> None:
        """Install missing packages of the tests and the rehearsal, before other stages use apt."""
        self.packages_of_tests()
        code = "from rehearsal.kubernetes import host; host.use_system_programs()"
        self.run("packages of the rehearsal", PYTHON, "-c", f"{code}; host.install_missing()")

    def engine(self) -> None:
        """Install and start a Docker engine with the project's role."""
        self.run("engine", "ansible-playbook", "site.yml", "--tags=docker")

    def programs(self) -> None:
        """Build the cluster's programs, and start the cluster and the double of Google's APIs."""
        # Tests of Go code need the toolchain, even if the programs are already built.
        code = "import os; from rehearsal.kubernetes import build"
        code += "; cache = build.cache_folder(os.environ)"
        code += "; build.ensure_built(cache, print); build.ensure_go(cache, print)"
        self.run("programs", PYTHON, "-c", code)
        self.run("cluster", *CLUSTER_COMMAND, "up", "--token-webhook", google.TOKEN_REVIEW_URL)
        self.run("double", *GOOGLE_COMMAND, "up", "--kubernetes", str(rehearsal.DEFAULT_FOLDER))

    def images(self) -> None:
        """Prepare the base images, the layers of the apps' images, and images of test machines."""
        names = ("--tags=images", f"--extra-vars=apps_prefix={PREFIX}")
        self.run("images", "ansible-playbook", "site.yml", *names)
        # Remove the names; the layers stay in the build cache. Otherwise these images would be
        # identical to the tests' own images, which then could not be removed.
        self.run("image names", "docker", "rmi", "--force", *leftovers.images(f"{PREFIX}*"))
        where = "molecule/docker_linux"
        playbook = ("ansible-playbook", f"--inventory={where}/inventory.yml", f"{where}/images.yml")
        self.run("machines", *playbook)

    def prepare(self) -> None:
        """Prepare what the tests share; the engine must be running."""
        at_once(self.programs, self.images)

    def keep_logs(self) -> None:
        """Copy the cluster's logs, which are removed with it, for the analysis of failures."""
        logs = rehearsal.Layout().logs
        if logs.is_dir():
            shutil.rmtree(LOGS / "cluster", ignore_errors=True)
            # Logs of terminating pods may be removed in the meantime.
            with contextlib.suppress(shutil.Error):
                shutil.copytree(logs, LOGS / "cluster", symlinks=True)
            say(f"The cluster's logs: {LOGS / 'cluster'}")

    def end(self, *, cluster: bool, double: bool) -> None:
        """Take down what `prepare` started, and limit the build cache."""
        if double:
            self.run("double down", *GOOGLE_COMMAND, "down")
        if cluster:
            self.run("cluster down", *CLUSTER_COMMAND, "down")
        if not leftovers.engine_runs():
            return  # the engine failed, as already reported
        # Images that were pushed to the removed registry.
        if images := leftovers.digests(f"{rehearsal.REGISTRY}/*/*"):
            self.run("images removed", "docker", "rmi", "--force", *images)
        prune = ("builder", "prune", "--force", f"--keep-storage={BUILD_CACHE}")
        self.run("build cache bounded", "docker", *prune)

    def compiled(self) -> None:
        """Compile the tests once instead of in each worker, while the machine is not busy."""
        self.run("tests compiled", PYTHON, "-m", "pytest", "--collect-only", "--quiet", "--quiet")

    def tests(self, arguments: Sequence[str]) -> None:
        """Run pytest."""
        parallel = (f"--numprocesses={WORKERS}", "--dist=loadscope")
        self.show("tests", PYTHON, "-m", "pytest", *parallel, "--durations=10", *arguments)

    def table(self) -> None:
        """Show the duration of each stage."""
        say("\nSeconds by stage, several of them at once:")
        for stage, seconds in self.seconds.items():
            say(f"{seconds:8.1f}  {stage}")


def linted_state() -> str:
    """Return a hash of all files that affect ansible-lint; empty outside of a Git checkout."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return ""
    found = hashlib.sha256(sys.version.encode())
    for name in sorted(set(done.stdout.split("\0"))):
        path = ROOT / name
        if name and LINTED.search(name) and path.is_file():
            found.update(f"\0{name}\0".encode() + path.read_bytes())
    return found.hexdigest()


def at_once(*stages: Callable[[], None]) -> None:
    """Run stages in parallel until all have ended, even if one fails."""
    with ThreadPoolExecutor() as executor:
        running = [executor.submit(stage) for stage in stages]
    failed = [str(one.exception()) for one in running if one.exception()]
    if failed:
        raise FailedError("\n".join(failed))


def is_up(command: Sequence[str]) -> bool:
    """Return whether a part of the rehearsal is up, healthy or not."""
    done = subprocess.run([*command, "status"], cwd=ROOT, capture_output=True, check=False)
    return done.returncode != _NOT_UP


def whole(suite: Suite, arguments: Sequence[str]) -> None:
    """Run the whole suite."""
    before, engine_ran = leftovers.seen(), leftovers.engine_runs()
    up = {"cluster": is_up(CLUSTER_COMMAND), "double": is_up(GOOGLE_COMMAND)}

    def made_ready() -> None:
        suite.engine()
        if not engine_ran:
            before.update(leftovers.of_started_engine())
        suite.prepare()

    try:
        suite.packages()
        at_once(*([] if arguments else [suite.compiled]), made_ready)
        # The coverage of only a part of the tests is meaningless.
        chosen = arguments or ("--cov", "--cov-report=term:skip-covered")
        at_once(suite.lint, lambda: suite.tests(chosen))
    except FailedError:
        suite.keep_logs()
        raise
    finally:
        suite.end(**{name: not there for name, there in up.items()})
    left = leftovers.after(before)
    if left:
        raise FailedError("The suite left something behind:\n" + "\n".join(left))
    say("Nothing is left but the kept caches and the engine with its base images.")


def check(suite: Suite, paths: Sequence[str]) -> None:
    """Run the fast part, or the tests and linters for these paths."""
    suite.packages_of_tests()
    if not paths:
        unit = ("-m", "not engine and not cluster", "tests/unit")
        at_once(suite.lint, lambda: suite.tests(unit))
        return
    chosen = selection.choose(ROOT, paths)
    if not (chosen.linters or chosen.tests):
        raise FailedError(f"There is no test and no linter for {' '.join(paths)}.")
    suite.lint(chosen.linters)
    if chosen.tests:
        suite.show("tests", PYTHON, "-m", "pytest", "--durations=5", *chosen.tests)


def say(line: str) -> None:
    """Print a line immediately."""
    print(line, flush=True)  # noqa: T201 - the command's output


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("all", "check"))
    options, more = parser.parse_known_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    suite, began = Suite(), time.monotonic()
    try:
        {"all": whole, "check": check}[options.command](suite, more)
    except FailedError as error:
        suite.table()
        say(f"\n{error}\n{options.command}: FAILED after {time.monotonic() - began:.0f} s")
        return 1
    suite.table()
    say(f"{options.command}: all is well, after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
