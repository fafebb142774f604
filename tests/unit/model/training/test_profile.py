"""What is known of each column of a training frame, and which columns cannot be served."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model.service.contract.features import Feature, from_card, to_card
from model.service.training import Training, TrainingError
from model.service.training.profile import features_of
from support import models

ROWS = 200
LETTERS = [f"word {number:03}" for number in range(ROWS)]


def on(frame: pd.DataFrame, estimator: Any = None) -> Training:
    """Return a training on the frame's rows; the default estimator ignores the features."""
    target = np.arange(len(frame), dtype=float)
    fitted = (estimator or DummyRegressor()).fit(frame, target)
    return dataclasses.replace(
        models.line(), estimator=fitted, frame=frame, target=target, parameters=None
    )


def column(values: Any, estimator: Any = None) -> Feature:
    (feature,) = features_of(on(pd.DataFrame({"x": values}), estimator))
    return feature


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 2.5, 1.0], {"kind": "number", "least": 0.5, "most": 2.5, "median": 1.0}),
        ([3, 1, 2, 2], {"kind": "integer", "least": 1.0, "most": 3.0, "median": 2.0}),
        ([1.0, None, 2.0], {"kind": "number", "nullable": True, "median": 1.5}),
        (pd.array([1, None, 4], dtype="Int64"), {"kind": "integer", "nullable": True, "most": 4.0}),
        (np.array([255, 0], np.uint8), {"kind": "integer", "most": 255.0}),
        (
            [True, False, True, True],
            {"kind": "boolean", "categories": ("false", "true"), "shares": (0.25, 0.75)},
        ),
        ([True, True], {"kind": "boolean", "categories": ("false", "true"), "shares": (0.0, 1.0)}),
        (
            pd.Series([True, None], dtype=object),
            {"kind": "boolean", "nullable": True, "shares": (0.0, 0.5)},
        ),
        (
            ["b", "a", "b", "b"],
            {"kind": "category", "categories": ("a", "b"), "shares": (0.25, 0.75)},
        ),
        (pd.Series(["a", None], dtype=object), {"kind": "category", "nullable": True}),
        (pd.Series(["a", "b"], dtype="category"), {"kind": "category", "closed": True}),
        (LETTERS, {"kind": "text", "categories": (), "shares": ()}),
        (["only"], {"kind": "category", "categories": ("only",), "shares": (1.0,)}),
        (["x" * 25, "y"], {"kind": "category", "longest": 256}),
        (["x" * 26, "y"], {"kind": "category", "longest": 260}),
        ([f"{letter} {'x' * 300}" for letter in LETTERS], {"kind": "text", "longest": 3090}),
    ],
)
def test_a_column_is_known_by_its_values(values: Any, expected: dict[str, Any]) -> None:
    feature = column(values)
    assert {name: getattr(feature, name) for name in expected} == expected
    assert from_card(to_card(feature)) == feature


def test_bins_hold_about_the_same_share() -> None:
    feature = column(np.arange(1000.0))
    assert len(feature.edges) == 9
    assert feature.shares == pytest.approx([0.1] * 10, abs=0.001)


def test_bins_of_missing_and_equal_values() -> None:
    feature = column([0.0] * 98 + [1.0, None])
    assert feature.edges == (0.0,)
    assert feature.shares == (0.0, 0.99)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([None, None], "Column x of frame has no value in any row: leave it out"),
        ([np.nan, np.nan], "has no value in any row"),
        ([1.0, np.inf], "Column x of frame has infinite values, which requests cannot say"),
        (
            pd.to_datetime(["2026-01-01", "2026-01-02"]),
            r"Column x of frame holds datetime64\[.*\], which requests cannot say: make it",
        ),
        (pd.to_timedelta([1, 2], unit="s"), r"holds timedelta64\[.*\], which requests cannot say"),
        ([1j, 2j], "holds complex128, which requests cannot say"),
        (pd.arrays.SparseArray([0.0, 1.0]), r"holds Sparse\[float64, nan\], which requests"),
        (
            pd.Series(["a", 1], dtype=object),
            "holds int, str in a column of type object, which requests cannot say",
        ),
        (pd.Series([1, 2], dtype="category"), "holds int in a column of type category"),
        (pd.Series([b"a", b"b"], dtype=object), "holds bytes in a column of type object"),
        (["a", ""], "Column x of frame has empty texts, which requests cannot tell from missing"),
    ],
)
def test_a_column_that_requests_cannot_say_is_refused(values: Any, complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        column(values)


@pytest.mark.parametrize(
    ("unknown", "words", "kind", "closed"),
    [
        ("error", 3, "category", True),
        ("ignore", 3, "category", False),
        ("error", ROWS, "category", True),
        ("ignore", ROWS, "text", False),
    ],
)
def test_an_estimator_that_refuses_other_texts_closes_its_categories(
    unknown: str, words: int, kind: str, closed: bool
) -> None:
    estimator = make_pipeline(OneHotEncoder(handle_unknown=unknown), LinearRegression())
    feature = column(LETTERS[:words], estimator)
    assert (feature.kind, feature.closed) == (kind, closed)
    assert len(feature.categories) == (words if kind == "category" else 0)


@pytest.mark.parametrize("values", [[1, 2, 4], [0.5, 1.5, 2.5], [True, True, True]])
def test_an_estimator_that_refuses_other_numbers_cannot_be_served(values: list[Any]) -> None:
    refusing = make_pipeline(OneHotEncoder(handle_unknown="error"), LinearRegression())
    with pytest.raises(TrainingError, match="refuses values of x that the training data has not"):
        column(values, refusing)
    ignoring = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression())
    assert column(values, ignoring).name == "x"


def test_an_estimator_of_other_columns_is_told() -> None:
    training = on(pd.DataFrame({"x": [1.0, 2.0]}))
    other = LinearRegression().fit(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(TrainingError, match="cannot predict the first row of frame, ValueError: X"):
        features_of(dataclasses.replace(training, estimator=other))
    with pytest.raises(TrainingError, match="cannot predict the first row of frame, NotFittedErr"):
        features_of(dataclasses.replace(training, estimator=LinearRegression()))


def test_each_column_of_a_mixed_frame() -> None:
    features = {feature.name: feature for feature in features_of(models.mixed())}
    assert {name: (feature.kind, feature.nullable) for name, feature in features.items()} == {
        "bill_mm": ("number", False),
        "body_g": ("number", True),
        "age": ("integer", False),
        "island": ("category", False),
        "sex": ("category", True),
        "tagged": ("boolean", False),
    }
    assert features["island"].categories == models.ISLANDS
    assert not features["island"].closed


def test_an_array_has_the_columns_that_parameters_name(training: Training) -> None:
    (feature,) = features_of(training)
    assert (feature.name, feature.column, feature.kind) == ("f", "bmi", "number")
    assert feature.least == training.frame.min()
    assert feature.most == training.frame.max()


def test_only_the_columns_that_an_estimator_looks_at_are_probed_by_it() -> None:
    frame = pd.DataFrame({"x": ["a", "b", "a"], "y": ["c", "d", "d"]})
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="error"), ["x"]))
    features = features_of(on(frame, make_pipeline(encoder, LinearRegression())))
    assert [feature.closed for feature in features] == [True, False]
