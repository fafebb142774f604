"""A weighted sum in plain Python, against scikit-learn."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.service.contract.features import Feature
from model.service.contract.forms.coefficients import CoefficientsPredictor, load
from model.service.contract.loading import load_predictor
from model.service.contract.predictor import OverflowedError
from support import models

ANY = st.floats(allow_nan=False, allow_infinity=False)
LINE = models.line().estimator
F = Feature(name="f", column="bmi", kind="number")
G = Feature(name="g", column="bp", kind="integer")


def predictor(*features: Feature, weights: list[float], intercept: float) -> CoefficientsPredictor:
    return CoefficientsPredictor(features, weights, intercept)


@pytest.fixture(scope="module")
def line() -> CoefficientsPredictor:
    return predictor(F, weights=[float(LINE.coef_[0])], intercept=float(LINE.intercept_))


@settings(deadline=None)
@given(number=ANY)
def test_one_feature_is_bit_identical(line: CoefficientsPredictor, number: float) -> None:
    with np.errstate(over="ignore"):
        expected = LINE.predict([[number]])
    assert line.predict([[number]]) == expected.tolist()
    if np.isfinite(expected).all():
        assert line.text([number]) == str(expected)
    else:
        with pytest.raises(OverflowedError):
            line.text([number])


@settings(deadline=None)
@given(st.lists(st.lists(ANY, min_size=3, max_size=3), min_size=1, max_size=8))
def test_several_features_differ_by_the_last_bits(rows: list[list[float]]) -> None:
    weights, intercept = np.array([1.25e3, -3.3, 1e-7]), 0.1
    three = predictor(F, F, F, weights=weights.tolist(), intercept=intercept)
    with np.errstate(all="ignore"):
        expected = np.array(rows) @ weights + intercept
        size = np.abs(rows) @ np.abs(weights) + intercept
    found = three.predict(list(zip(*rows, strict=True)))
    for one, other, most in zip(found, expected.tolist(), size.tolist(), strict=True):
        if math.isfinite(most):
            assert abs(one - other) <= 2**-50 * most
    if math.isfinite(found[0]):
        assert three.text(rows[0]) == str(np.array(found[:1]))


def test_values_may_be_whole_numbers_or_booleans() -> None:
    two = predictor(G, F, weights=[2.0, -1.0], intercept=0.5)
    assert two.text([3, True]) == "[5.5]"
    assert two.predict([[3, -1], [True, False]]) == [5.5, -1.5]
    assert two.predict((np.array([3, -1]), np.array([1.0, 0.0]))) == [5.5, -1.5]


def test_what_overflows_is_not_finite() -> None:
    two = predictor(F, F, weights=[10.0, -10.0], intercept=0.0)
    found = two.predict([[1e308, 1e308, 1.0], [0.0, 1e308, 1.0]])
    assert found[0] == math.inf
    assert math.isnan(found[1])
    assert found[2] == 0.0


def test_regressors_have_no_probabilities(line: CoefficientsPredictor) -> None:
    assert (line.form, line.task, line.outputs, line.classes) == (
        "coefficients",
        "regression",
        1,
        (),
    )
    with pytest.raises(NotImplementedError):
        line.probabilities([[0.0]])


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"weights": ["0x1p+0", "0x1p+0"], "intercept": "0x0p+0"},
        {"weights": [1.0], "intercept": "0x0p+0"},
        {"weights": ["one"], "intercept": "0x0p+0"},
    ],
)
def test_a_card_without_coefficients(model_folder: Path, entry: object) -> None:
    card = json.loads((model_folder / "card.json").read_bytes())
    with pytest.raises(ValueError, match=r"coefficients|weights|hexadecimal"):
        load({**card, "coefficients": entry})


def test_it_is_what_the_card_says(model_folder: Path) -> None:
    loaded = load_predictor(model_folder)
    assert loaded.text([0.05]) == "[199.60524718]"
    assert loaded.predict([[0.05]]) == LINE.predict([[0.05]]).tolist()
