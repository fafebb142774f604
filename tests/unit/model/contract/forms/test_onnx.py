"""ONNX Runtime against scikit-learn, model by model."""

import concurrent.futures
import functools
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeRegressor

from model.service.contract.features import Feature
from model.service.contract.forms.estimator import EstimatorPredictor
from model.service.contract.forms.onnx import OnnxPredictor, label_text, load
from model.service.contract.loading import load_predictor
from model.service.contract.predictor import OverflowedError, RefusedError
from model.service.training import Training
from model.service.training.compilation import columns_of
from model.service.training.converters import to_onnx
from model.service.training.profile import features_of
from support import models

DIABETES = load_diabetes()
CANCER = load_breast_cancer()
FEW = tuple(
    Feature(name=f"f{index}", column=f"f{index}", kind="number", nullable=True)
    for index in range(4)
)


def converted(training: Training) -> tuple[OnnxPredictor, list[list[Any]]]:
    """Return the ONNX form, and the training frame's columns as requests give them."""
    return _converted(training.estimator, training.frame, features_of(training))


def _converted(
    estimator: Any, frame: Any, features: tuple[Feature, ...]
) -> tuple[OnnxPredictor, list[list[Any]]]:
    classes = estimator.classes_.tolist() if hasattr(estimator, "classes_") else []
    predictions = np.asarray(estimator.predict(frame))
    predictor = OnnxPredictor(
        features,
        "classification" if classes else "regression",
        1 if predictions.ndim == 1 else predictions.shape[1],
        classes,
        to_onnx(estimator, features),
    )
    columns = [column.tolist() for column in columns_of(frame, features)]
    return predictor, [[None if pd.isna(value) else value for value in c] for c in columns]


def row_of(columns: Sequence[Sequence[Any]], index: int) -> list[Any]:
    return [column[index] for column in columns]


@pytest.mark.parametrize(
    "train",
    [
        models.forest,
        models.mixed,
        models.mixed_linear,
        models.numbered,
        models.several,
    ],
)
def test_it_answers_the_training_data_as_scikit_learn_does(train: Callable[[], Training]) -> None:
    training = train()
    predictor, columns = converted(training)
    expected = training.estimator.predict(training.frame)
    if predictor.task == "regression":
        np.testing.assert_allclose(predictor.predict(columns), expected, rtol=1e-12)
    else:
        assert predictor.predict(columns).tolist() == expected.tolist()
        np.testing.assert_allclose(
            predictor.probabilities(columns),
            training.estimator.predict_proba(training.frame),
            atol=1e-12,
        )
    for index in range(0, len(columns[0]), 17):
        one = training.estimator.predict(training.frame.iloc[index : index + 1])
        assert predictor.text(row_of(columns, index)) == str(one)


def forest_pipeline() -> Any:
    return make_pipeline(StandardScaler(), RandomForestRegressor(n_estimators=5, random_state=0))


@pytest.mark.parametrize(
    ("estimator", "outputs"),
    [
        (DecisionTreeRegressor(random_state=0), 1),
        (DecisionTreeRegressor(random_state=0), 2),
        (RandomForestRegressor(n_estimators=10, random_state=0), 1),
        (RandomForestRegressor(n_estimators=10, random_state=0), 2),
        # Boosting has one output.
        (GradientBoostingRegressor(n_estimators=10, random_state=0), 1),
        (HistGradientBoostingRegressor(max_iter=10, random_state=0), 1),
        (forest_pipeline(), 1),
        (forest_pipeline(), 2),
    ],
)
def test_trees_are_bit_identical_where_they_split(estimator: Any, outputs: int) -> None:
    values = DIABETES.data[:, :4]
    target = DIABETES.target if outputs == 1 else np.column_stack([DIABETES.target] * 2)
    estimator.fit(values, target)
    splits = np.unique(values[:, 2])
    splits = np.concatenate([splits, (splits[1:] + splits[:-1]) / 2])
    single = splits.astype(np.float32)
    near = np.concatenate(
        [
            splits,
            *(np.nextafter(splits, side) for side in (-np.inf, np.inf)),
            *(np.nextafter(single, np.float32(side)) for side in (-np.inf, np.inf)),
        ]
    )
    asked = np.resize(values, (near.size, 4))
    asked[:, 2] = near
    predictor, _ = _converted(estimator, values, FEW)
    assert np.array_equal(predictor.predict(list(asked.T)), estimator.predict(asked))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=10, max_depth=3, random_state=0),
        ExtraTreesClassifier(n_estimators=10, random_state=0),
        GradientBoostingClassifier(n_estimators=5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
        LinearSVC(),
        RidgeClassifier(),
    ],
)
def test_classifiers(estimator: Any, classes: int) -> None:
    values = CANCER.data[:, :4]
    target = np.digitize(values[:, 0], [14.0, 18.0][: classes - 1])
    estimator.fit(values, target)
    predictor, columns = _converted(estimator, values, FEW)
    assert predictor.predict(columns).tolist() == estimator.predict(values).tolist()
    assert predictor.classes == (
        tuple(range(classes)) if hasattr(estimator, "predict_proba") else ()
    )
    if predictor.classes:
        np.testing.assert_allclose(
            predictor.probabilities(columns), estimator.predict_proba(values), atol=1e-12
        )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["it's", 'said "so"'], object),
        np.array(["über", "日本"]),
        np.array([False, True]),
        np.array([-5, 7]),
        np.array([0.0, 1.0]),
    ],
)
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=3, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
)
def test_labels_of_any_type(estimator: Any, labels: Any) -> None:
    values = CANCER.data[:, :4]
    estimator.fit(values, labels[CANCER.target])
    predictor, columns = _converted(estimator, values, FEW)
    expected = estimator.predict(values)
    found = predictor.predict(columns)
    assert found.tolist() == expected.tolist()
    assert {type(label) for label in found.tolist()} == {type(labels.tolist()[0])}
    for index in (0, -1):
        assert predictor.text(row_of(columns, index)) == str(expected[[index]])


@pytest.mark.parametrize("label", ["a", 3, True, False, 0.5, "it's"])
def test_label_text(label: Any) -> None:
    assert label_text(label) == str(np.array([label]))


@pytest.mark.parametrize("train", [models.mixed, models.mixed_linear])
def test_missing_values_and_unknown_categories(train: Callable[[], Training]) -> None:
    training = train()
    predictor, columns = converted(training)
    row = row_of(columns, 4)
    names = [feature.name for feature in predictor.features]
    for name, value in [
        ("bill_mm", 1e30),
        ("body_g", None),
        ("sex", None),
        ("sex", ""),
        ("island", "Atlantis"),
        ("tagged", True),
        ("age", -(2**40)),
    ]:
        asked = [value if other == name else known for other, known in zip(names, row, strict=True)]
        frame = pd.DataFrame([asked], columns=names).astype(training.frame.dtypes.to_dict())
        with np.errstate(over="ignore"):
            assert predictor.text(asked) == str(training.estimator.predict(frame)), name


@functools.cache
def forest() -> OnnxPredictor:
    return converted(models.forest())[0]


@settings(deadline=None)
@given(st.lists(st.floats(-3.4e38, 3.4e38) | st.floats(-0.2, 0.2), min_size=10, max_size=10))
def test_any_number(row: list[float]) -> None:
    training = models.forest()
    frame = pd.DataFrame([row], columns=training.frame.columns)
    expected = training.estimator.predict(frame)
    assert forest().text(row) == str(expected)
    assert forest().predict([[value] for value in row]).tolist() == expected.tolist()


def test_columns_may_be_arrays_and_of_whole_numbers() -> None:
    predictor, columns = converted(models.numbered())
    expected = predictor.predict(columns).tolist()
    assert predictor.predict([np.array(column) for column in columns]).tolist() == expected
    assert predictor.predict([column[:1] for column in columns]).tolist() == expected[:1]


@pytest.mark.parametrize("outputs", [1, 2])
def test_what_overflows_is_told(outputs: int) -> None:
    estimator = LinearRegression()
    estimator.fit(DIABETES.data[:, :4], np.column_stack([DIABETES.target] * outputs))
    predictor, columns = _converted(estimator, DIABETES.data[:, :4], FEW)
    asked = [[1.7e308, *column[:1]] for column in columns]
    with pytest.raises(OverflowedError):
        predictor.text(row_of(asked, 0))
    found = predictor.predict(asked)
    assert not np.isfinite(found[0]).any()
    assert np.isfinite(found[1]).all()


def small(estimator: Any) -> Any:
    """Return an estimator of numbers that a scaler enlarges, since they differ by a thousandth."""
    return estimator.fit(CANCER.data[:, :4] / 1e6, CANCER.target)


# Case: (an estimator, whether scikit-learn rejects what its scaler makes infinite)
GUARDED = {
    "scaled": (lambda: small(make_pipeline(StandardScaler(), LogisticRegression())), True),
    "scaled, of votes": (
        lambda: small(
            VotingClassifier([("a", make_pipeline(StandardScaler(), LogisticRegression()))])
        ),
        True,
    ),
    "an infinite score": (lambda: small(LogisticRegression(C=1e9)), True),
    "trees, scaled": (
        lambda: small(make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0))),
        False,
    ),
}


@pytest.mark.parametrize(("made", "rejected"), GUARDED.values(), ids=GUARDED)
def test_a_label_is_not_made_of_numbers_that_are_not_finite(made: Any, rejected: bool) -> None:
    estimator = made()
    frame = CANCER.data[:, :4] / 1e6
    features = tuple(Feature(name=f"f{i}", column=f"f{i}", kind="number") for i in range(4))
    predictor, columns = _converted(estimator, frame, features)
    asked = [[1.7e308, *column[:3]] for column in columns]
    expected = predictor.predict([column[1:] for column in asked]).tolist()
    found = predictor.predict(asked).tolist()
    assert found[1:] == expected == estimator.predict(frame[:3]).tolist()
    assert (found[0] is None) is rejected
    # scikit-learn behind the same interface agrees.
    itself = EstimatorPredictor(features, "classification", 1, estimator, None)
    assert itself.predict(asked).tolist() == found
    for each in (predictor, itself):
        if rejected:
            with pytest.raises(OverflowedError):
                each.text(row_of(asked, 0))
        else:
            assert each.text(row_of(asked, 0)) == f"[{found[0]}]"


def test_what_arises_from_usual_numbers_is_not_too_large() -> None:
    scaled = make_pipeline(StandardScaler(), LinearRegression())
    scaled.fit(DIABETES.data[:, :4], DIABETES.target)
    _, columns = _converted(scaled, DIABETES.data[:, :4], FEW)
    scaled[0].scale_[0] = 0.0
    with np.errstate(divide="ignore"):
        model = to_onnx(scaled, FEW)
    predictor = OnnxPredictor(FEW, "regression", 1, (), model)
    with pytest.raises(RefusedError, match="a number that is not finite arises") as raised:
        predictor.text(row_of(columns, 0))
    assert not isinstance(raised.value, OverflowedError)
    assert np.isnan(predictor.predict(columns)).all()


def test_threads_share_it() -> None:
    predictor, columns = converted(models.mixed())
    rows = [row_of(columns, index) for index in range(len(columns[0]))]
    expected = [predictor.text(row) for row in rows]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(predictor.text, rows)) == expected


def test_it_survives_a_fork(forest_folder: Path) -> None:
    """Workers are forked from the process that has loaded, and may have used, the model."""
    predictor = load_predictor(forest_folder)
    row = models.forest().frame.iloc[0].tolist()
    expected = predictor.text(row)
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert load_predictor(forest_folder).text(row) == expected
    # A session starts no threads, which a forked child would not have.
    assert len(list(Path("/proc/self/task").iterdir())) == threads
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            signal.alarm(30)
            right = predictor.text(row) == expected
            right &= predictor.predict([[value] * 1000 for value in row]).shape == (1000,)
            os._exit(0 if right else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]


def test_columns_may_have_any_name() -> None:
    training = models.mixed_linear()
    named = {"bill_mm": "bill length (mm)", "sex": "prediction", "island": "probabilities"}
    frame, target = models.penguins()
    frame = frame.rename(columns=named)
    estimator = make_pipeline(
        models.make_column_transformer(
            (models.OneHotEncoder(handle_unknown="ignore"), ["probabilities", "prediction"]),
            (models.SimpleImputer(), ["bill length (mm)", "body_g"]),
        ),
        RandomForestClassifier(n_estimators=3, random_state=0),
    ).fit(frame, target)
    features = tuple(
        Feature(
            name=feature.name,
            column=named.get(feature.column, feature.column),
            kind=feature.kind,
            nullable=feature.nullable,
        )
        for feature in features_of(training)
    )
    predictor, columns = _converted(estimator, frame, features)
    assert predictor.predict(columns).tolist() == estimator.predict(frame).tolist()


def test_the_same_estimator_gives_the_same_bytes() -> None:
    for train in (models.forest, models.mixed):
        training = train()
        features = features_of(training)
        assert to_onnx(training.estimator, features) == to_onnx(training.estimator, features)


def test_a_model_of_other_features_is_refused(forest_folder: Path) -> None:
    card = json.loads((forest_folder / "card.json").read_bytes())
    model = (forest_folder / "model.onnx").read_bytes()
    with pytest.raises(ValueError, match="are not the inputs for these features"):
        load({**card, "features": card["features"][1:]}, model)
    with pytest.raises(ValueError, match="ONNX Runtime refuses the model"):
        load(card, model[:100])
