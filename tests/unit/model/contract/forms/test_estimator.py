"""scikit-learn itself behind the predictor's methods."""

import numpy as np
import pandas as pd
import pytest

from model.service.contract.features import Feature
from model.service.contract.forms.estimator import EstimatorPredictor, dtype_of, series
from model.service.contract.predictor import OverflowedError
from model.service.training import Training
from model.service.training.profile import features_of
from support import models

NUMBER = Feature(name="n", column="n", kind="number", nullable=True)
WHOLE = Feature(name="w", column="w", kind="integer")
TEXT = Feature(name="t", column="t", kind="text", nullable=True)
CATEGORY = Feature(name="c", column="c", kind="category", closed=True, categories=("a", "b"))


def of(training: Training) -> EstimatorPredictor:
    framed = isinstance(training.frame, pd.DataFrame)
    dtypes = [dtype_of(training.frame[name]) for name in training.frame] if framed else None
    task = "classification" if hasattr(training.estimator, "classes_") else "regression"
    outputs = 1 if training.target.ndim == 1 else training.target.shape[1]
    return EstimatorPredictor(features_of(training), task, outputs, training.estimator, dtypes)


def test_it_answers_as_the_estimator_does() -> None:
    training = models.mixed()
    predictor = of(training)
    columns = [
        [None if pd.isna(value) else value for value in training.frame[name].tolist()]
        for name in training.frame
    ]
    expected = training.estimator.predict(training.frame)
    assert predictor.predict(columns).tolist() == expected.tolist()
    assert predictor.classes == models.SPECIES
    assert np.array_equal(
        predictor.probabilities(columns), training.estimator.predict_proba(training.frame)
    )
    assert predictor.text([column[0] for column in columns]) == str(expected[:1])


def test_an_array_is_given_an_array() -> None:
    predictor = of(models.line())
    assert predictor.text([0.05]) == str(models.line().estimator.predict([[0.05]]))
    assert predictor.classes == ()


def test_what_overflows_is_told() -> None:
    with pytest.raises(OverflowedError):
        of(models.line()).text([1e308])


def test_trees_take_what_is_beyond_single_precision() -> None:
    predictor = of(models.forest())
    row = models.forest().frame.iloc[0].tolist()
    assert predictor.text([1e39, *row[1:]]) == predictor.text([3e38, *row[1:]])


@pytest.mark.parametrize(
    ("feature", "dtype", "values", "expected"),
    [
        (NUMBER, "float32", [1.5, None], pd.Series([1.5, np.nan])),
        (WHOLE, "int8", [300, -1], pd.Series([300, -1])),
        (WHOLE, "int64", [10**30], pd.Series([1e30])),
        (TEXT, "object", ["a", None], pd.Series(["a", None], dtype=object)),
        (TEXT, "object, missing is nan", ["a", None], pd.Series(["a", np.nan], dtype=object)),
        (TEXT, "str", ["a", None], pd.Series(["a", None], dtype="str")),
        (CATEGORY, "category", ["b"], pd.Series(["b"], dtype=pd.CategoricalDtype(["a", "b"]))),
    ],
)
def test_columns(
    feature: Feature, dtype: str, values: list[object], expected: "pd.Series[object]"
) -> None:
    pd.testing.assert_series_equal(series(feature, dtype, values), expected)
