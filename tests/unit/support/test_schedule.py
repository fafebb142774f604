"""The order of the tests, and what runs together."""

import fcntl

import pytest

from support import ROOT, schedule


def test_files_that_are_named_are_there():
    named = {name.partition("::")[0] for name in schedule._TIMES} | schedule._APART
    assert {name for name in named if not (ROOT / "tests" / name).is_file()} == set()


def test_what_is_run_test_by_test_has_no_fixture_that_tests_share():
    texts = {name: (ROOT / "tests" / name).read_text() for name in schedule._APART}
    assert [name for name, text in texts.items() if 'scope="module"' in text] == []


def test_scopes():
    unit = "tests/unit/docs/test_documents.py::test_links_lead_somewhere[README.md]"
    assert schedule.scope(unit) == "tests/unit/docs/test_documents.py"
    scenario = "tests/molecule/test_scenarios.py::test_scenario[gke]"
    assert schedule.scope(scenario) == scenario


def test_the_longest_come_first_and_short_unit_tests_last(monkeypatch):
    times = {"integration/test_a.py": 30.0, "molecule/test_scenarios.py::test_scenario[gke]": 60.0}
    monkeypatch.setattr(schedule, "_TIMES", times)
    ids = [
        "tests/unit/test_u.py::test_x",
        "tests/integration/test_b.py::test_x",
        "tests/integration/test_a.py::test_x",
        "tests/molecule/test_scenarios.py::test_scenario[gke]",
    ]
    assert sorted(ids, key=schedule.rank) == [*reversed(ids)]


ALONE = f"tests/{schedule._ALONE_ON_THE_CLUSTER}"
OTHERS = {
    "a test with the cluster": ("tests/integration/test_a.py::test_x", ["cluster", "play"]),
    "molecule's other scenario": (f"tests/{schedule._ALSO_ON_THE_CLUSTER}", []),
}


def test_what_is_alone_on_the_cluster_is_a_scenario_and_comes_first():
    names = {f"test_scenario[{path.name}]" for path in (ROOT / "molecule").iterdir()}
    scenarios = (schedule._ALONE_ON_THE_CLUSTER, schedule._ALSO_ON_THE_CLUSTER)
    assert {name.partition("::")[2] for name in scenarios} <= names
    longest = "tests/molecule/test_scenarios.py::test_scenario[fresh_machine]"
    assert sorted([longest, ALONE], key=schedule.rank) == [ALONE, longest]


@pytest.fixture
def two(tmp_path):
    made = [schedule.Turns(tmp_path / "turns") for _ in range(2)]
    yield made
    for turns in made:
        turns.close()


def free(path, mode):
    """Return whether a third process would get the lock at once."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("other", OTHERS)
def test_turns_on_the_cluster(two, tmp_path, other):
    path = tmp_path / "turns"
    nodeid, fixtures = OTHERS[other]
    two[0].begin(ALONE, [])
    assert not free(path, fcntl.LOCK_SH)
    two[0].end(ALONE, "")
    for turns in two:
        turns.begin(nodeid, fixtures)
    assert free(path, fcntl.LOCK_SH)
    two[0].end(nodeid, "tests/unit/test_b.py::test_x")
    assert not free(path, fcntl.LOCK_EX)
    two[1].end(nodeid, "")
    assert free(path, fcntl.LOCK_EX)


def test_the_turn_is_that_of_the_whole_scope(two, tmp_path):
    names = [f"tests/integration/test_a.py::{name}" for name in ("test_x", "test_y", "test_z")]
    two[0].begin(names[0], ["cluster"])
    two[0].end(names[0], names[1])
    two[0].begin(names[1], [])
    two[0].end(names[1], names[2])
    assert not free(tmp_path / "turns", fcntl.LOCK_EX)
    two[0].end(names[2], "")
    assert free(tmp_path / "turns", fcntl.LOCK_EX)


def test_who_has_nothing_to_do_with_the_cluster_does_not_wait(two):
    two[0].begin(ALONE, [])
    two[1].begin("tests/unit/test_b.py::test_x", ["tmp_path"])


def test_needs():
    folder = ROOT / "tests"
    assert schedule.needs(folder / "unit/a.py", ["engine", "tmp_path"]) == {"engine"}
    assert schedule.needs(folder / "unit/a.py", ["capsys"]) == set()
    assert schedule.needs(folder / "molecule/a.py", []) == {"engine", "cluster"}


def test_the_list_is_made_from_a_report(tmp_path):
    cases = {
        ("tests.unit.library.test_a", "test_x"): 15,
        ("tests.unit.library.test_a.TestClass", "test_y[a b]"): 10,
        ("tests.unit.library.test_b", "test_x"): 20,
        ("tests.molecule.test_scenarios", "test_scenario[gke]"): 300,
    }
    text = "".join(
        f'<testcase classname="{name}" name="{test}" time="{seconds}"/>'
        for (name, test), seconds in cases.items()
    )
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{text}</testsuite></testsuites>")
    assert [*schedule.longest(report)][1:] == [
        "300 molecule/test_scenarios.py::test_scenario[gke]",
        "25 unit/library/test_a.py",
    ]
