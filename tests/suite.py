"""The test suite as a whole, and its fast part.

    python tests/suite.py all [ARGUMENT OF PYTEST …]    make test
    python tests/suite.py check [PATH …]                make check WHAT=…

`all`: what the tests share is made ready once, before they start; then all tests run, and the
linters beside them; then what they work on is taken down, and it is looked for what they left
behind.
`check`: the linters, and the unit tests that need neither an engine nor a cluster; with paths
(roles/container, library/port_owner.py, tests/unit/model …) what there is for these.

The output of each stage is shown if it failed, and kept in .cache/suite/.
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
# What serves the next run, of another clone as well.
KEPT = build.cache_folder(os.environ).with_name("suite")
PROCESSORS = len(os.sched_getaffinity(0))
# More than there are processors: a part of what tests do is waiting.
WORKERS = PROCESSORS + 2
PREFIX = "suite-"
BUILD_CACHE = "8GB"
PYTHON = sys.executable
_NOT_UP = 3  # what `status` of the rehearsal's parts ends with
CLUSTER_COMMAND = (PYTHON, "-m", "rehearsal.kubernetes")
GOOGLE_COMMAND = (PYTHON, "-m", "rehearsal.gke")
ANSIBLE_LINT = ("ansible-lint", "--strict", "--offline")
# What it looks at, and what decides what it says.
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
    """A stage failed; what it printed was shown."""


@dataclass
class Suite:
    """Stages, and how long each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, stage: str, *command: str | Path, **environment: str) -> None:
        """Run a command whose output is of interest when it fails."""
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
        """Run a command whose output is shown as it comes."""
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
        """Run the linters; all of them, whichever fails."""
        failed = []
        for linter in linters:
            name = " ".join(linter[:2]) if linter[0] == "ruff" else Path(linter[0]).name
            passed = KEPT / f"{name}.passed"
            # It has no cache of its own, and takes minutes.
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
        """Run it with forked runs: it has Ansible check the syntax of each playbook and role."""
        with tempfile.TemporaryDirectory() as folder, ansible_server.program(Path(folder)) as path:
            self.run(name, *ANSIBLE_LINT, PATH=f"{path}{os.pathsep}{os.environ['PATH']}")

    def packages(self) -> None:
        """Install what is missing of what tests and rehearsal need: before all else that uses apt.

        .venv tells what was installed once, not whether it is there.
        """
        self.run("packages of the tests", "scripts/setup-test")
        code = "from rehearsal.kubernetes import host; host.use_system_programs()"
        self.run("packages of the rehearsal", PYTHON, "-c", f"{code}; host.install_missing()")

    def engine(self) -> None:
        """Bring a Docker engine by the project's own role."""
        self.run("engine", "ansible-playbook", "site.yml", "--tags=docker")

    def programs(self) -> None:
        """Build the programs of the cluster, bring it up, and the double of Google's APIs."""
        # Tests of what is written in Go need the toolchain, however long the programs are there.
        code = "import os; from rehearsal.kubernetes import build"
        code += "; cache = build.cache_folder(os.environ)"
        code += "; build.ensure_built(cache, print); build.ensure_go(cache, print)"
        self.run("programs", PYTHON, "-c", code)
        self.run("cluster", *CLUSTER_COMMAND, "up", "--token-webhook", google.TOKEN_REVIEW_URL)
        self.run("double", *GOOGLE_COMMAND, "up", "--kubernetes", str(rehearsal.DEFAULT_FOLDER))

    def images(self) -> None:
        """Have the base images, the layers of the apps' images, and images of test machines."""
        names = ("--tags=images", f"--extra-vars=apps_prefix={PREFIX}")
        self.run("images", "ansible-playbook", "site.yml", *names)
        # Their layers stay in the build cache. With other names they would be one image with the
        # tests' own, which could not be removed then.
        self.run("image names", "docker", "rmi", "--force", *leftovers.images(f"{PREFIX}*"))
        where = "molecule/docker_linux"
        playbook = ("ansible-playbook", f"--inventory={where}/inventory.yml", f"{where}/images.yml")
        self.run("machines", *playbook)

    def prepare(self) -> None:
        """Make ready what the tests share, on an engine that runs."""
        at_once(self.programs, self.images)

    def keep_logs(self) -> None:
        """Keep the cluster's logs, which go with it: for what failed."""
        logs = rehearsal.Layout().logs
        if logs.is_dir():
            shutil.rmtree(LOGS / "cluster", ignore_errors=True)
            # Those of pods that are on their way out may go meanwhile.
            with contextlib.suppress(shutil.Error):
                shutil.copytree(logs, LOGS / "cluster", symlinks=True)
            say(f"The cluster's logs: {LOGS / 'cluster'}")

    def end(self, *, cluster: bool, double: bool) -> None:
        """Take down what `prepare` brought up; bound what is kept."""
        if double:
            self.run("double down", *GOOGLE_COMMAND, "down")
        if cluster:
            self.run("cluster down", *CLUSTER_COMMAND, "down")
        if not leftovers.engine_runs():
            return  # it failed, as was said
        # What was pushed to the registry that is gone.
        if images := leftovers.digests(f"{rehearsal.REGISTRY}/*/*"):
            self.run("images removed", "docker", "rmi", "--force", *images)
        prune = ("builder", "prune", "--force", f"--keep-storage={BUILD_CACHE}")
        self.run("build cache bounded", "docker", *prune)

    def compiled(self) -> None:
        """Compile the tests once, and not in each worker, while little else is done."""
        self.run("tests compiled", PYTHON, "-m", "pytest", "--collect-only", "--quiet", "--quiet")

    def tests(self, arguments: Sequence[str]) -> None:
        """Run pytest."""
        parallel = (f"--numprocesses={WORKERS}", "--dist=loadscope")
        self.show("tests", PYTHON, "-m", "pytest", *parallel, "--durations=10", *arguments)

    def table(self) -> None:
        """Show how long each stage took."""
        say("\nSeconds by stage, several of them at once:")
        for stage, seconds in self.seconds.items():
            say(f"{seconds:8.1f}  {stage}")


def linted_state() -> str:
    """Return a hash of all that ansible-lint sees; nothing where there is no checkout to ask."""
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
    """Run stages side by side to the end of all, whichever fails."""
    with ThreadPoolExecutor() as executor:
        running = [executor.submit(stage) for stage in stages]
    failed = [str(one.exception()) for one in running if one.exception()]
    if failed:
        raise FailedError("\n".join(failed))


def is_up(command: Sequence[str]) -> bool:
    """Return whether a part of the rehearsal is up, well or not."""
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
        # Of a part of the tests the share that it covers says nothing.
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
    """Run the fast part, or what there is for these paths."""
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
    """Print a line at once."""
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
