"""Scheduling: the order of tests, their distribution to workers, and the resources they need.

A file is run by one worker, so that its tests share fixtures, unless they share nothing expensive.
The longest files run first, so that no worker is left alone with one at the end.

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
# Seconds of the files and tests that take longer than this.
_TIMES = {
    name: float(seconds)
    for seconds, name in (
        line.split(maxsplit=1)
        for line in Path(__file__).with_name("longest.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}
# Files whose tests share only session fixtures, no module fixtures.
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
# All clusters of Google's double are the one cluster that the tests share. When they are deleted,
# so are all its load balancers and volumes. Therefore this test runs first, while no other test has
# any.
_ALONE_ON_THE_CLUSTER = "molecule/test_scenarios.py::test_scenario[gke]"
_ALSO_ON_THE_CLUSTER = "molecule/test_scenarios.py::test_scenario[kubernetes]"


def scope(nodeid: str) -> str:
    """Return the unit that one worker runs: the test's file, or the test alone."""
    path = nodeid.partition("::")[0]
    return nodeid if path.removeprefix("tests/") in _APART else path


def rank(nodeid: str) -> tuple[bool, float, bool]:
    """Return a sort key that puts the longest scopes first and unit tests last."""
    name = scope(nodeid).removeprefix("tests/")
    return name != _ALONE_ON_THE_CLUSTER, -_TIMES.get(name, 0.0), name.startswith("unit/")


def needs(path: Path, fixtures: Collection[str]) -> set[str]:
    """Return the resources that a test needs: `engine`, `cluster`, both or none."""
    if TESTS / "unit" not in path.parents:
        return {"engine", "cluster"}
    return {"engine", "cluster"} & {*fixtures}


class Turns:
    """Exclusive access of one scope to the cluster, or shared access of all others."""

    def __init__(self, path: Path) -> None:
        """Initialize with the lock file of the session's processes."""
        self._file = path.open("a")
        self._held = False

    def close(self) -> None:
        """Close the file, which releases the lock."""
        self._file.close()

    def begin(self, nodeid: str, fixtures: Collection[str]) -> None:
        """Acquire the lock for a test's scope if it uses the cluster."""
        name = scope(nodeid).removeprefix("tests/")
        if name == _ALONE_ON_THE_CLUSTER:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        elif "cluster" in fixtures or name == _ALSO_ON_THE_CLUSTER:
            fcntl.flock(self._file, fcntl.LOCK_SH)
        else:
            return
        self._held = True

    def end(self, nodeid: str, following: str) -> None:
        """Release the lock when the scope, with its shared fixtures, has ended."""
        if self._held and scope(nodeid) != scope(following):
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._held = False


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduling by scope, with this module's scopes."""

    def _split_scope(self, nodeid: str) -> Any:
        return scope(nodeid)


def longest(report: Path) -> Iterator[str]:
    """Yield the lines of longest.txt from pytest's report (JUnit XML) of a run."""
    seconds: collections.Counter[str] = collections.Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own
        # The class of a test is ignored.
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
