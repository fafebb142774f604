"""The trained model against the data it says it was trained on."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from model.service.training import Training


def test_it_is_fitted_on_all_rows_of_one_feature(training: Training) -> None:
    features, target = load_diabetes(return_X_y=True)
    assert np.array_equal(training.frame, features[:, [2]])
    assert np.array_equal(training.target, target)
    assert dict(training.parameters or {}) == {"f": "bmi"}
    plain = LinearRegression().fit(features[:, [2]], target)
    assert np.array_equal(
        training.estimator.predict(features[:, [2]]), plain.predict(features[:, [2]])
    )


def test_metrics_are_of_rows_held_out(training: Training) -> None:
    """They are worse than on the training rows, and better than always predicting the mean."""
    residuals = training.target - training.estimator.predict(training.frame)
    fitted = float(np.sqrt(np.mean(residuals**2)))
    assert fitted < training.metrics["root_mean_squared_error"] < np.std(training.target)
    assert 0 < training.metrics["r2"] < 1 - np.var(residuals) / np.var(training.target)
    assert training.metrics["mean_absolute_error"] < training.metrics["root_mean_squared_error"]


def test_held_out_predictions_are_those_that_were_measured(training: Training) -> None:
    assert training.held_out
    errors = training.held_out.target - training.held_out.prediction
    # One root over all rows, not the mean of the folds' roots.
    together = float(np.sqrt(np.mean(errors**2)))
    assert together == pytest.approx(training.metrics["root_mean_squared_error"], rel=0.01)


def test_it_is_better_than_its_floor(training: Training) -> None:
    assert training.floors == {"r2": 0.25}
    assert training.missed() == ""
