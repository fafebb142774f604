"""`python -m model.service.training.build`, at once and in two steps."""

import dataclasses
import json
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.service.training import Training, build, compilation
from support import models

Give = Callable[[Any], None]


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Return a function that replaces the default train.py; None: without train()."""

    def put(train: Any) -> None:
        module = types.ModuleType("train")
        module.__file__ = "model/train.py"
        if train is not None:
            module.train = train  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, build.MODULE, module)

    return put


@pytest.fixture(autouse=True)
def quick_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = compilation.compile_model
    monkeypatch.setattr(
        "model.service.training.saving.compile_model",
        lambda *arguments: slow(*arguments[:4], inputs=500),
    )


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_it_says_what_it_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "on the way"
    build.main([str(folder)])
    card = json.loads((folder / "card.json").read_text())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "diabetes 1: LinearRegression()"
    assert lines[1] == "  r2 0.333058, at least 0.25"
    assert f"  served as coefficients: {card['proof']['method']}" in lines
    assert lines[-1] == f"  saved in {folder}"


def test_it_says_what_does_not_serve(
    give: Give, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give(lambda: dataclasses.replace(models.several(), ceilings={"r2": 1}))
    build.main([str(tmp_path)])
    out = capsys.readouterr().out
    assert "  r2 -0.350196, at least -10, at most 1\n" in out
    assert "  not as coefficients: " in out


@pytest.mark.parametrize(("train", "needed"), [(models.line, "train"), (models.forest, "compile")])
def test_two_steps_save_what_one_does(
    give: Give,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    train: Callable[[], Training],
    needed: str,
) -> None:
    give(train)
    build.main(["--train-to", str(tmp_path / "training")])
    assert capsys.readouterr().out.splitlines()[-1] == needed
    assert [path.name for path in tmp_path.iterdir()] == ["training"]
    give(None)
    build.main(["--trained", str(tmp_path / "training"), str(tmp_path / "two")])
    give(train)
    build.main([str(tmp_path / "one")])
    assert files_in(tmp_path / "two") == files_in(tmp_path / "one")


MISSED = "The metric r2 is 0.333058, below its floor 0.9."


@pytest.mark.parametrize(
    ("train", "complaint"),
    [
        (lambda: dataclasses.replace(models.line(), floors={"r2": 0.9}), MISSED),
        (
            lambda: dataclasses.replace(models.line(), name="?"),
            (
                "name must be 1 to 64 letters, digits, dots, hyphens or underscores, the first "
                "and the last a letter or a digit, as it is part of URLs, not '?'."
            ),
        ),
        (lambda: 1, "train() in model/train.py must return a Training, not a int."),
        (None, "model/train.py must define train()."),
    ],
)
@pytest.mark.parametrize("step", [[], ["--train-to"]])
def test_what_is_wrong_is_one_sentence(
    give: Give, tmp_path: Path, train: Any, complaint: str, step: list[str]
) -> None:
    give(train)
    with pytest.raises(SystemExit) as exit_:
        build.main([*step, str(tmp_path / "made")])
    assert exit_.value.code == f"The model was not saved: {complaint}"
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_train_itself_shows_where(give: Give, tmp_path: Path) -> None:
    def train() -> Training:
        raise KeyError("bmi")

    give(train)
    with pytest.raises(KeyError, match="bmi"):
        build.main([str(tmp_path / "made")])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no training"),
        (b"garbage", "holds no training"),
        (pickle.dumps(1), "must return a Training, not a int"),
    ],
)
def test_a_file_without_a_training_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "training").write_bytes(content)
    with pytest.raises(SystemExit, match=rf"The model was not saved: .*training {complaint}"):
        build.main(["--trained", str(tmp_path / "training"), str(tmp_path / "made")])


def test_it_says_why_it_cannot_save(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"The model was not saved: .*file"):
        build.main([str(tmp_path / "file")])


def test_a_missing_compiler_is_named(
    give: Give, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model.service.training.converters", None)
    give(models.forest)
    with pytest.raises(SystemExit, match=r"needs .*: install requirements-compile\.txt"):
        build.main([str(tmp_path / "made")])


def test_both_steps_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main(["--train-to", str(tmp_path / "a"), "--trained", str(tmp_path / "b")])
    assert "not allowed with" in capsys.readouterr().err
