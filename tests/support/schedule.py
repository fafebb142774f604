"""In which order and by which worker tests are run, and what they need of the machine.

A file is run by one worker, which shares its fixtures, unless its tests share nothing that is
dear. What takes longest comes first, so that no worker is left with it alone at the end.

    make test ARGS=--junit-xml=report.xml
    python tests/support/schedule.py report.xml > tests/support/longest.txt
"""

from __future__ import annotations

import collections
import fcntl
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

TESTS = Path(__file__).parents[1]
_SECONDS = 20
# Seconds that a file or a test took: whatever took more than that.
_TIMES = {
    name: float(seconds)
    for seconds, name in (
        line.split(maxsplit=1)
        for line in Path(__file__).with_name("longest.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}
# Files whose tests share nothing but what the whole session shares: no fixture of a module's.
_APART = {
    "integration/test_container_role.py",
    "integration/test_gke_run_faults.py",
    "integration/test_workload_failing.py",
    "integration/test_workload_hosts.py",
    "integration/test_workload_killed.py",
    "integration/test_workload_kinds.py",
    "integration/test_workload_render.py",
    "integration/test_workload_secrets.py",
    "integration/test_workload_teardown.py",
    "molecule/test_scenarios.py",
}
# All clusters of Google's double are the one cluster that tests share: when they go, so do all load
# balancers and volumes that there are. Nobody else has any meanwhile, so it comes first.
_ALONE_ON_THE_CLUSTER = "molecule/test_scenarios.py::test_scenario[gke]"
_ALSO_ON_THE_CLUSTER = "molecule/test_scenarios.py::test_scenario[kubernetes]"


def scope(nodeid: str) -> str:
    """Return what is run by one worker in one go: the test's file, or the test alone."""
    path = nodeid.partition("::")[0]
    return nodeid if path.removeprefix("tests/") in _APART else path


def rank(nodeid: str) -> tuple[bool, float, bool]:
    """Return a key by which the longest scopes come first, and unit tests last."""
    name = scope(nodeid).removeprefix("tests/")
    return name != _ALONE_ON_THE_CLUSTER, -_TIMES.get(name, 0.0), name.startswith("unit/")


def needs(path: Path, fixtures: Collection[str]) -> set[str]:
    """Return which of `engine` and `cluster` a test needs."""
    if TESTS / "unit" not in path.parents:
        return {"engine", "cluster"}
    return {"engine", "cluster"} & {*fixtures}


class Turns:
    """Whose turn it is on the cluster: one scope's alone, or that of all others."""

    def __init__(self, path: Path) -> None:
        """Take the file that all processes of the session lock."""
        self._file = path.open("a")
        self._held = False

    def close(self) -> None:
        """Close the file, and give the turn away with it."""
        self._file.close()

    def begin(self, nodeid: str, fixtures: Collection[str]) -> None:
        """Wait for the turn of a test's scope, if it has to do with the cluster."""
        name = scope(nodeid).removeprefix("tests/")
        if name == _ALONE_ON_THE_CLUSTER:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        elif "cluster" in fixtures or name == _ALSO_ON_THE_CLUSTER:
            fcntl.flock(self._file, fcntl.LOCK_SH)
        else:
            return
        self._held = True

    def end(self, nodeid: str, following: str) -> None:
        """Give the turn away when the scope has ended, and with it what its tests shared."""
        if self._held and scope(nodeid) != scope(following):
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._held = False


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduling by scopes, with scopes of our own."""

    def _split_scope(self, nodeid: str) -> Any:
        return scope(nodeid)


def longest(report: Path) -> Iterator[str]:
    """Give the lines of longest.txt by pytest's report (JUnit's XML) of a run."""
    seconds: collections.Counter[str] = collections.Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own
        # A test's class is of no interest.
        names = (name for name in case.attrib["classname"].split(".") if name[:1].islower())
        path = f"{'/'.join(names)}.py"
        test = scope(f"{path}::{case.attrib['name']}")
        seconds[test.removeprefix("tests/")] += float(case.attrib["time"])  # type: ignore[assignment]
    yield "# Seconds, as measured on two busy processors: files, and tests of files that are split."
    for name, took in seconds.most_common():
        if took > _SECONDS:
            yield f"{took:.0f} {name}"


if __name__ == "__main__":
    print(*longest(Path(sys.argv[1])), sep="\n")  # noqa: T201 - the command's output
