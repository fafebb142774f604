"""The stages of the suite: what is said when one fails."""

import sys
import types

import pytest

import suite
from suite import FailedError, Suite


@pytest.fixture
def stages(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "LOGS", tmp_path)
    monkeypatch.setattr(suite, "KEPT", tmp_path / "kept")
    return Suite()


def test_a_stage_that_fails_shows_its_output(stages, capsys):
    with pytest.raises(FailedError, match=r"engine failed \(.*\); its output: .*engine\.log$"):
        stages.run("engine", sys.executable, "-c", "print('the reason'); raise SystemExit(3)")
    said = capsys.readouterr().out
    assert "the reason" in said
    assert "engine: FAILED after " in said
    assert stages.seconds["engine"] > 0


def test_a_stage_that_succeeds_says_its_time_alone(stages, capsys):
    stages.run("engine", sys.executable, "-c", "import os; print(os.environ['A'])", A="b")
    assert capsys.readouterr().out.startswith("engine: ")
    assert (suite.LOGS / "engine.log").read_text() == "b\n"


def test_stages_at_once_all_end_whichever_fails():
    ended = []

    def fail(name):
        ended.append(name)
        raise FailedError(f"{name} failed")

    with pytest.raises(FailedError, match="one failed\nthree failed"):
        suite.at_once(lambda: fail("one"), lambda: ended.append("two"), lambda: fail("three"))
    assert sorted(ended) == ["one", "three", "two"]


def test_all_linters_run_whichever_fails(stages):
    failing, passing = (sys.executable, "-c", "raise SystemExit(1)"), (sys.executable, "-c", "")
    with pytest.raises(FailedError, match="failed"):
        stages.lint([failing, passing])
    assert len(stages.seconds) == 1  # of one name
    stages.lint([passing])


def test_ansible_lint_is_not_run_again_over_what_passed(stages, monkeypatch):
    ran = []
    monkeypatch.setattr(Suite, "run", lambda _self, name, *_, **__: ran.append(name))
    states = iter(["a", "a", "b", "", ""])
    monkeypatch.setattr(suite, "linted_state", lambda: next(states))
    for _ in range(5):
        stages.lint([suite.ANSIBLE_LINT])
    assert len(ran) == 4


def test_what_ansible_lint_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    assert suite.linted_state() == ""  # no checkout
    suite.subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    states = [suite.linted_state()]
    for name, text, seen in (
        ("site.yml", "- a", True),
        ("README.md", "text", False),
        ("library/a.py", "import os", True),
        ("site.yml", "- b", True),
        ("tests/a.py", "import os", False),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        states.append(suite.linted_state())
        assert (states[-1] != states[-2]) == seen, name


def test_linters_keep_what_they_know_for_other_clones(stages):
    check = "import os, sys; sys.exit(not os.environ['MYPY_CACHE_DIR'].startswith(sys.argv[1]))"
    stages.lint([(sys.executable, "-c", check, str(suite.KEPT))])


def test_a_path_that_nothing_is_chosen_for(stages, monkeypatch):
    monkeypatch.setattr(suite.selection, "choose", lambda *_: suite.selection.Chosen())
    with pytest.raises(FailedError, match=r"There is no test and no linter for \.gitignore\."):
        suite.check(stages, [".gitignore"])


@pytest.mark.parametrize("engine_ran", [False, True])
def test_what_an_engine_had_before_is_not_left_by_the_suite(stages, monkeypatch, engine_ran):
    there = {"file /tmp/a"}
    monkeypatch.setattr(suite.leftovers, "seen", lambda: set(there))
    monkeypatch.setattr(suite.leftovers, "engine_runs", lambda: engine_ran)
    monkeypatch.setattr(suite, "is_up", lambda _: False)
    for stage in ("packages", "compiled", "prepare", "lint", "tests"):
        monkeypatch.setattr(Suite, stage, lambda *_: None)
    monkeypatch.setattr(Suite, "end", lambda *_, **__: None)
    monkeypatch.setattr(Suite, "engine", lambda _: there.add("image diabetes:v1 1"))
    if engine_ran:
        with pytest.raises(FailedError, match="behind:\nimage diabetes:v1 1"):
            suite.whole(stages, [])
    else:
        suite.whole(stages, [])


def test_the_logs_of_the_cluster_are_kept_when_something_failed(stages, monkeypatch, tmp_path):
    folder = tmp_path / "rehearsal"
    (folder / "logs").mkdir(parents=True)
    log = folder / "logs" / "kubelet.log"
    monkeypatch.setattr(suite.rehearsal, "Layout", lambda: types.SimpleNamespace(logs=log.parent))
    monkeypatch.setattr(suite.leftovers, "seen", set)
    monkeypatch.setattr(suite.leftovers, "after", lambda _: [])
    monkeypatch.setattr(suite, "is_up", lambda _: True)
    for stage in ("packages", "compiled", "engine", "prepare", "lint"):
        monkeypatch.setattr(Suite, stage, lambda *_: None)
    monkeypatch.setattr(Suite, "end", lambda *_, **__: None)
    monkeypatch.setattr(Suite, "tests", lambda *_: None)
    suite.whole(stages, [])
    assert not (suite.LOGS / "cluster").exists()

    def fail(_stages, _arguments):
        raise FailedError("tests failed.")

    monkeypatch.setattr(Suite, "tests", fail)
    for text in ("first", "second"):
        log.write_text(text)
        with pytest.raises(FailedError, match="tests failed"):
            suite.whole(stages, [])
        assert (suite.LOGS / "cluster" / "kubelet.log").read_text() == text


@pytest.mark.parametrize("paths", [[], ["roles/container"]])
def test_check_installs_what_is_missing_first(stages, monkeypatch, paths):
    ran = []
    for name in ("run", "show", "lint"):
        monkeypatch.setattr(stages, name, lambda stage="linters", *_: ran.append(stage))
    suite.check(stages, paths)
    assert ran[0] == "packages of the tests"
    assert "tests" in ran
