"""In which order and by which worker tests are run, and what they need of the machine.

A file is run by one worker, which shares its fixtures, unless its tests share nothing that is
dear. What takes longest comes first, so that no worker is left with it alone at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Collection

TESTS = Path(__file__).parent
# Seconds that a file or a test took: whatever took more than twenty.
_TIMES = {
    name: float(seconds)
    for seconds, name in (
        line.split()
        for line in (TESTS / "longest.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
}
# Files whose tests share nothing but what the whole session shares.
_APART = {
    "integration/test_container_role.py",
    "integration/test_gke_run_faults.py",
    "integration/test_gke_stages.py",
    "integration/test_workload_changes.py",
    "integration/test_workload_failing.py",
    "integration/test_workload_hosts.py",
    "integration/test_workload_killed.py",
    "integration/test_workload_kinds.py",
    "integration/test_workload_refusals.py",
    "integration/test_workload_render.py",
    "integration/test_workload_rollback.py",
    "integration/test_workload_secrets.py",
    "integration/test_workload_teardown.py",
    "molecule/test_scenarios.py",
}


def scope(nodeid: str) -> str:
    """Return what is run by one worker in one go: the test's file, or the test alone."""
    path = nodeid.partition("::")[0]
    return nodeid if path.removeprefix("tests/") in _APART else path


def rank(nodeid: str) -> tuple[float, bool]:
    """Return a key by which the longest scopes come first, and unit tests last."""
    name = scope(nodeid).removeprefix("tests/")
    return -_TIMES.get(name, 0.0), name.startswith("unit/")


def needs(path: Path, fixtures: Collection[str]) -> set[str]:
    """Return which of `engine` and `cluster` a test needs."""
    if TESTS / "unit" not in path.parents:
        return {"engine", "cluster"}
    return {"engine", "cluster"} & {*fixtures}


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's scheduling by scopes, with scopes of our own."""

    def _split_scope(self, nodeid: str) -> Any:
        return scope(nodeid)
