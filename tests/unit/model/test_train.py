"""The trained model against the data it says it was trained on."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from model.service.training import Training


def test_it_is_fitted_on_all_rows_of_one_feature(training: Training) -> None:
    features, target = load_diabetes(return_X_y=True)
    assert np.array_equal(training.features, features[:, [2]])
    assert np.array_equal(training.target, target)
    assert dict(training.parameters) == {"f": "bmi"}
    plain = LinearRegression().fit(features[:, [2]], target)
    assert np.array_equal(
        training.estimator.predict(features[:, [2]]), plain.predict(features[:, [2]])
    )


def test_metrics_are_of_rows_held_out(training: Training) -> None:
    """Worse than on the rows it was fitted on, better than always saying the mean."""
    residuals = training.target - training.estimator.predict(training.features)
    fitted = float(np.sqrt(np.mean(residuals**2)))
    assert fitted < training.metrics["root_mean_squared_error"] < np.std(training.target)
    assert 0 < training.metrics["r2"] < 1 - np.var(residuals) / np.var(training.target)
    assert training.metrics["mean_absolute_error"] < training.metrics["root_mean_squared_error"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"features": np.zeros(442)}, r"features must have the shape \(rows, columns\), not"),
        ({"features": np.zeros((0, 1))}, r"target must have the shape \(0,\)"),
        ({"target": np.zeros(3)}, r"target must have the shape \(442,\), not \(3,\)"),
        ({"parameters": {}}, "parameters must name each of the 1 columns of features, not 0"),
        ({"parameters": {"f": "bmi", "g": "bp"}}, "each of the 1 columns of features, not 2"),
        ({"metrics": {}}, "metrics must hold at least one"),
    ],
)
def test_a_training_that_cannot_be_served_is_refused(
    training: Training, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(training, **change)
