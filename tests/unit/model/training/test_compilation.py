"""The form in which an estimator is served; a form with other predictions is rejected."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDRegressor,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.service.training import Training, compilation, converters
from model.service.training.compilation import Compiled, compile_model, linear_part, needs_compiler
from model.service.training.profile import features_of
from support import models

INPUTS = 2000


def compiled(training: Training, estimator: Any = None) -> Compiled:
    estimator = estimator or training.estimator
    task = "classification" if hasattr(estimator, "classes_") else "regression"
    return compile_model(estimator, training.frame, features_of(training), task, INPUTS)


@pytest.mark.parametrize(
    ("train", "form", "exact"),
    [
        (models.line, "coefficients", True),
        (models.many, "coefficients", False),
        (models.forest, "onnx", True),
        (models.mixed, "onnx", False),
        (models.several, "onnx", None),
    ],
)
def test_the_cheapest_form(train: Callable[[], Training], form: str, exact: bool | None) -> None:
    found = compiled(train()).to_card()
    assert found["form"] == form
    proof = found["proof"]
    assert proof["inputs"] >= INPUTS
    assert proof["greatest_difference"] <= proof["tolerance"]
    assert exact is None or proof["exact"] is exact
    assert [entry["form"] for entry in proof["rejected"]] == ["coefficients"] * (form == "onnx")
    assert (found["coefficients"] is not None) == (form == "coefficients")


@pytest.mark.parametrize(
    ("estimator", "linear"),
    [
        (LinearRegression(), True),
        (Ridge(fit_intercept=False), True),
        (SGDRegressor(random_state=0), True),
        (make_pipeline("passthrough", Ridge()), True),
        (make_pipeline(StandardScaler(), Ridge()), False),
        (PoissonRegressor(), False),
        (LogisticRegression(), False),
        (KNeighborsRegressor(), False),
    ],
)
def test_what_is_linear(estimator: Any, linear: bool) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 3))
    estimator.fit(values, (values[:, 0] > 0).astype(int))
    assert (linear_part(estimator) is not None) is linear
    assert needs_compiler(estimator) is not linear


def test_a_wrong_sum_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, intercept = linear_part(models.line().estimator) or ([], 0.0)
    wrong = ([float(np.nextafter(weights[0], 0))], intercept)
    monkeypatch.setattr(compilation, "linear_part", lambda _: wrong)
    found = compiled(models.line())
    assert found.form == "onnx"
    assert found.proof["rejected"][0]["reason"].startswith("The weighted sum differs")


def test_a_wrong_model_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Example: trees without single-precision inputs differ only close to their splits."""
    monkeypatch.setattr(converters, "single_precision", lambda write: write.numbers())
    found = compiled(models.forest())
    assert found.form == "estimator"
    assert found.proof["rejected"][1]["reason"].startswith("The converted model differs in the")
    assert found.dtypes == ("float64",) * 10


def test_wrong_labels_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        converters.Writer,
        "most",
        lambda write, scores: write.node("ArgMin", scores, axis=1, keepdims=0),
    )
    found = compiled(models.mixed())
    assert found.form == "estimator"
    assert "another label for the input" in found.proof["rejected"][1]["reason"]


def test_what_cannot_be_converted_is_served_by_scikit_learn() -> None:
    training = models.many()
    estimator = KNeighborsRegressor().fit(training.frame, training.target)
    found = compiled(training, estimator)
    assert (found.form, found.files) == ("estimator", {})
    assert [entry["form"] for entry in found.proof["rejected"]] == ["coefficients", "onnx"]


def test_a_column_that_requests_cannot_say() -> None:
    training = models.many()

    class Odd(LinearRegression):
        def predict(self, X: pd.DataFrame) -> Any:  # noqa: N803 - scikit-learn's name
            return np.full(len(X), float(X.attrs.get("note", 0)))

    frame = training.frame.copy()
    frame.attrs["note"] = 1
    estimator = Odd().fit(frame, training.target)
    with pytest.raises(ValueError, match="answers the values of frame otherwise"):
        compile_model(estimator, frame, features_of(training), "regression", INPUTS)
