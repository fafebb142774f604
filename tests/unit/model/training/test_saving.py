"""From a training to the folder that is served."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

from model.service.contract import artifact
from model.service.contract.card import ArtifactError
from model.service.contract.loading import load_predictor
from model.service.training import Training, TrainingError
from model.service.training.saving import check, data_hash, save
from support import ROOT, models

Built = Callable[[Callable[[], Training]], Path]


def card_in(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text())
    return card


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_card_says_what_the_model_is(training: Training, model_folder: Path) -> None:
    card = card_in(model_folder)
    assert (card["name"], card["version"], card["schema"]) == ("diabetes", "1", 1)
    assert card["estimator"] == "LinearRegression()"
    assert (card["task"], card["outputs"], card["classes"]) == ("regression", 1, [])
    assert [(entry["name"], entry["column"]) for entry in card["features"]] == [("f", "bmi")]
    assert (card["rows"], card["columns"]) == (442, 1)
    assert card["target_range"] == [25, 346]
    assert card["fitted_on"] == "all rows"
    assert "held-out" in card["evaluation"]
    assert card["metrics"] == pytest.approx(dict(training.metrics), rel=1e-5)
    assert (card["floors"], card["ceilings"]) == ({"r2": 0.25}, {})
    assert card["data_sha256"] == data_hash(training)
    assert set(card["libraries"]) == {
        "python",
        "numpy",
        "pandas",
        "scikit-learn",
        "scipy",
        "skops",
    }
    assert card["plots"] == ["residuals.svg", "residual_distribution.svg"]
    assert set(card["plot_texts"]) == set(card["plots"])


@pytest.mark.parametrize("train", models.MODELS, ids=lambda train: train.__name__)
def test_the_card_vouches_for_each_file(built: Built, train: Callable[[], Training]) -> None:
    folder = built(train)
    card = card_in(folder)
    files = files_in(folder)
    del files["card.json"]
    assert card["files"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert {"model.skops", *(f"card/{name}" for name in card["plots"])} <= set(files)


def test_the_card_of_a_classifier(built: Built) -> None:
    card = card_in(built(models.mixed))
    assert (card["task"], card["classes"]) == ("classification", list(models.SPECIES))
    assert card["target_range"] is None
    assert card["plots"] == ["calibration.svg", "confusion.svg"]
    assert card_in(built(models.numbered))["classes"] == [0, 1, 2]


def test_the_card_of_several_outputs(built: Built) -> None:
    card = card_in(built(models.several))
    assert (card["task"], card["outputs"], card["target_range"]) == ("regression", 3, None)
    assert card["plots"][:2] == ["residuals_1.svg", "residual_distribution_1.svg"]


def test_the_shown_rows_are_those_of_the_frame(built: Built) -> None:
    training, sample = models.mixed(), card_in(built(models.mixed))["sample"]
    assert set(sample["columns"]) == set(training.frame.columns)
    rows = pd.DataFrame(sample["columns"])
    assert len(rows) == len(sample["target"]) == training.shown_rows
    for place, row in ((0, 0), (-1, -1)):
        shown, given = rows.iloc[place], training.frame.iloc[row]
        for column in training.frame.columns:
            assert shown[column] == given[column] or (
                pd.isna(shown[column]) and pd.isna(given[column])
            )
        assert sample["target"][place] == training.target[row]
    assert None in sample["columns"]["sex"]
    assert set(map(type, sample["columns"]["tagged"])) == {bool}


def test_no_rows_are_shown_unless_asked_for(training: Training, tmp_path: Path) -> None:
    card = save(dataclasses.replace(training, shown_rows=0), tmp_path)
    assert card["sample"] == {"columns": {"f": []}, "target": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"frame": np.ones((442, 1))},
        {"frame": models.line().frame.astype(np.float32)},
        {"parameters": {"f": "bp"}},
        {"target": np.ones(442)},
        {"target": models.line().target.astype(str)},
    ],
)
def test_other_data_has_another_hash(training: Training, changes: dict[str, Any]) -> None:
    assert data_hash(dataclasses.replace(training, **changes)) != data_hash(training)


def test_the_hash_is_of_the_values() -> None:
    training = models.mixed()
    copy = dataclasses.replace(training, frame=training.frame.copy())
    assert data_hash(copy) == data_hash(training)
    changed = training.frame.copy()
    changed.loc[0, "island"] = "Dream" if changed.loc[0, "island"] != "Dream" else "Biscoe"
    assert data_hash(dataclasses.replace(training, frame=changed)) != data_hash(training)
    changed = training.frame.copy()
    changed.loc[0, "sex"] = None
    assert data_hash(dataclasses.replace(training, frame=changed)) != data_hash(training)


def test_the_same_data_gives_the_same_bytes_in_another_process(
    built: Built, tmp_path: Path
) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import pathlib\n"
        "from support import models\n"
        "from model.service.training.saving import save\n"
        "for train in (models.line, models.forest, models.mixed):\n"
        "    save(train(), pathlib.Path(sys.argv[2]) / train.__name__, inputs=int(sys.argv[3]))"
    )
    subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            str(ROOT / "tests"),
            str(tmp_path),
            str(models.PROVEN_BY),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    for train in (models.line, models.forest, models.mixed):
        assert files_in(tmp_path / train.__name__) == files_in(built(train))


def test_another_model_takes_the_first_ones_files_away(training: Training, tmp_path: Path) -> None:
    save(training, tmp_path, inputs=models.PROVEN_BY)
    (tmp_path / "mine.txt").write_text("kept")
    card = card_in(tmp_path)
    card["files"] |= {"model.onnx": "", "../outside.svg": "", "mine.txt": ""}
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "model.onnx").write_text("old")
    outside = tmp_path.parent / "outside.svg"
    outside.write_text("kept")
    save(dataclasses.replace(training, held_out=None), tmp_path)
    assert set(files_in(tmp_path)) == {"card.json", "model.skops", "mine.txt"}
    assert outside.read_text() == "kept"
    outside.unlink()


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LinearRegression()),
        make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=1000)),
    ],
    ids=["regression", "classification"],
)
def test_a_pipeline_is_saved(training: Training, estimator: Any, tmp_path: Path) -> None:
    target = training.target > 150
    fitted = estimator.fit(training.frame, target)
    card = save(
        dataclasses.replace(training, estimator=fitted, target=target, held_out=None), tmp_path
    )
    assert card["estimator"].startswith("Pipeline(")
    assert np.array_equal(
        artifact.load_estimator(tmp_path, card).predict(training.frame),
        fitted.predict(training.frame),
    )


@pytest.mark.parametrize("estimator", [LinearRegression(), KNeighborsRegressor()])
def test_predictions_of_one_column_are_predictions(
    training: Training, estimator: Any, tmp_path: Path
) -> None:
    """An estimator that is fitted on a target of shape (rows, 1) predicts that shape."""
    estimator.fit(training.frame, training.target.reshape(-1, 1))
    card = save(dataclasses.replace(training, estimator=estimator), tmp_path, models.PROVEN_BY)
    assert card["outputs"] == 1
    row = [training.frame[0, 0]] if isinstance(training.frame, np.ndarray) else [0.05]
    expected = estimator.predict(np.array([row])).ravel()
    found = load_predictor(tmp_path)
    assert found.text(row) == str(expected)
    assert np.allclose(found.predict([[row[0]]]), expected)


def test_an_estimator_is_described_without_addresses(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LinearRegression, "__repr__", object.__repr__)
    card = save(training, tmp_path, inputs=models.PROVEN_BY)
    assert re.fullmatch(r"<sklearn\.\S*LinearRegression object>", card["estimator"])


def test_a_model_the_server_would_refuse_is_not_saved(training: Training, tmp_path: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(np.asarray_chkfinite), LinearRegression())
    fitted = pipeline.fit(training.frame, training.target)
    with pytest.raises(ArtifactError, match=r"not trusted: .*asarray_chkfinite"):
        save(dataclasses.replace(training, estimator=fitted), tmp_path)
    assert list(tmp_path.iterdir()) == []


class Moody(LinearRegression):  # type: ignore[misc]
    """Predicts something different each time."""

    calls = 0

    def predict(self, X: Any) -> Any:  # noqa: N803
        Moody.calls += 1
        return super().predict(X) + Moody.calls


def test_a_model_that_does_not_survive_saving_is_refused(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "TRUSTED_TYPES", (f"{__name__}.Moody",))
    fitted = Moody().fit(training.frame, training.target)
    with pytest.raises(ArtifactError, match="does not predict what the trained one does"):
        save(dataclasses.replace(training, estimator=fitted), tmp_path)
    assert list(tmp_path.iterdir()) == []


class Worded(LinearRegression):  # type: ignore[misc]
    """A regressor that predicts text."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.full(len(X), "much")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"floors": {"r2": 0.9}}, "The metric r2 is 0.333058, below its floor 0.9"),
        (
            {"target": np.where(np.arange(442) == 3, np.nan, 1.0)},
            "target has missing values: leave their rows out",
        ),
        ({"target": np.ones((442, 2))}, r"must predict the shape \(442,\), .* not \(442,\) for"),
        (
            {
                "target": np.ones((442, 1)),
                "estimator": LinearRegression().fit(models.line().frame, np.ones((442, 1))),
            },
            r"not \(442, 1\) for a target of shape \(442, 1\): fit it on target\.ravel\(\)",
        ),
        (
            {"estimator": Worded().fit(models.line().frame, models.line().target)},
            "The estimator must predict finite numbers, or be a classifier",
        ),
        ({"estimator": LinearRegression()}, "cannot predict the first row of frame, NotFitted"),
    ],
)
def test_what_cannot_be_served_is_not_saved(
    training: Training, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    changed = dataclasses.replace(training, **changes)
    with pytest.raises(TrainingError, match=complaint):
        check(changed)
    with pytest.raises(TrainingError, match=complaint):
        save(changed, tmp_path)
    assert list(tmp_path.iterdir()) == []


NUMBERS = models.penguins()[0][["bill_mm", "age"]]
HUNDREDS = np.arange(300.0)
SPECIES = models.penguins()[1]
TEXTS = pd.DataFrame({"text": [f"word{i % 7} w{i} other" for i in range(300)], "n": range(300)})
NULLABLE = pd.DataFrame(
    {
        "a": pd.array([1, None] * 150, dtype="Int64"),
        "b": pd.array([True, False] * 150, dtype="boolean"),
    }
)


@pytest.mark.parametrize(
    ("estimator", "frame", "target"),
    [
        pytest.param(
            HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=1),
            models.penguins()[0].astype({"island": "category", "sex": "category"}),
            SPECIES,
            id="pandas categories",
        ),
        pytest.param(
            make_pipeline(models.prepared_penguins(), LinearSVC()),
            models.penguins()[0],
            SPECIES,
            id="classifier without probabilities",
        ),
        pytest.param(LogisticRegression(), NUMBERS, SPECIES == "gentoo", id="boolean classes"),
        pytest.param(
            MultiOutputClassifier(LogisticRegression(max_iter=1000)),
            NUMBERS,
            np.stack([SPECIES, SPECIES[::-1]], axis=1),
            id="several classes at once",
        ),
        pytest.param(
            make_pipeline(
                make_column_transformer((TfidfVectorizer(), "text"), remainder="passthrough"),
                Ridge(),
            ),
            TEXTS,
            HUNDREDS,
            id="free text",
        ),
        pytest.param(
            make_pipeline(SimpleImputer(), Ridge()), NULLABLE, HUNDREDS, id="pandas nullable types"
        ),
        pytest.param(
            DecisionTreeRegressor(max_depth=3),
            pd.DataFrame({"a": (np.arange(300) % 100).astype(np.int8)}),
            HUNDREDS,
            id="small integers",
        ),
        pytest.param(GridSearchCV(Ridge(), {"alpha": [1, 2]}), NUMBERS, HUNDREDS, id="search"),
        pytest.param(
            make_pipeline(
                make_column_transformer((OneHotEncoder(), ["island"]), remainder="drop"), Ridge()
            ),
            models.penguins()[0][["island", "age"]],
            HUNDREDS,
            id="closed categories",
        ),
        pytest.param(
            VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=2))]),
            NUMBERS,
            HUNDREDS,
            id="vote",
        ),
    ],
)
def test_any_estimator_answers_requests_as_it_answers_its_frame(
    training: Training, tmp_path: Path, estimator: Any, frame: pd.DataFrame, target: Any
) -> None:
    fitted = estimator.fit(frame, target)
    changed = dataclasses.replace(
        training, estimator=fitted, frame=frame, target=target, parameters=None, held_out=None
    )
    save(changed, tmp_path, inputs=200)
    predictor = load_predictor(tmp_path)
    columns = [
        [None if pd.isna(value) else value for value in frame[feature.column].astype(object)]
        for feature in predictor.features
    ]
    expected = fitted.predict(frame)
    found = np.asarray(predictor.predict(columns))
    if expected.dtype.kind == "f":
        assert np.allclose(found, expected, rtol=1e-6)
    else:
        assert found.tolist() == expected.tolist()
    row = [column[0] for column in columns]
    assert predictor.text(row).startswith("[")
