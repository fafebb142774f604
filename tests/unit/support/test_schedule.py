"""The order of the tests, and what runs together."""

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
