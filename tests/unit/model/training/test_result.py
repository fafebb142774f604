"""What a train.py may return, and the error messages for anything else."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.service.training import HeldOut, Training, TrainingError
from support import models

TWO = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})


def two(**changes: Any) -> Training:
    """Return a training on two rows of two columns."""
    return dataclasses.replace(
        models.line(), **{"frame": TWO, "target": [1, 2], "parameters": None} | changes
    )


@pytest.mark.parametrize(
    ("changes", "names", "columns"),
    [
        ({}, ("a", "b"), ("a", "b")),
        ({"parameters": {"x": "a", "y": "b"}}, ("x", "y"), ("a", "b")),
        (
            {"frame": np.zeros((2, 2)), "parameters": {"x": "bmi", "y": "bp"}},
            ("x", "y"),
            ("bmi", "bp"),
        ),
        ({"target": pd.Series([1, 2])}, ("a", "b"), ("a", "b")),
        ({"target": ["yes", "no"]}, ("a", "b"), ("a", "b")),
        ({"target": [[1, 2], [3, 4]]}, ("a", "b"), ("a", "b")),
    ],
)
def test_columns_and_their_names(
    changes: dict[str, Any], names: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    training = two(**changes)
    assert training.names == names
    assert training.columns == columns
    assert isinstance(training.target, np.ndarray)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"estimator": None}, "estimator must have a method predict, which None has not"),
        ({"frame": [[1.0]]}, "frame must be a pandas DataFrame or a numpy array, not a list"),
        ({"frame": np.zeros(2)}, r"frame must have the shape \(rows, columns\), not \(2,\)"),
        ({"frame": np.zeros((0, 1))}, r"frame must have the shape \(rows, columns\), not \(0, 1\)"),
        ({"frame": TWO[[]]}, r"frame must have the shape \(rows, columns\), not \(2, 0\)"),
        (
            {"frame": np.array([["a"], ["b"]])},
            "An array as frame must be of numbers, not of <U1: give a DataFrame",
        ),
        ({"target": [1, 2, 3]}, r"a value for each of the 2 rows of frame, not the shape \(3,\)"),
        ({"target": 1.0}, r"a value for each of the 2 rows of frame, not the shape \(\)"),
        ({"parameters": {}}, "parameters must name each of the 2 columns of frame, not 0"),
        ({"frame": np.zeros((2, 2))}, "parameters must name the columns of a frame without"),
        (
            {"parameters": {"x": "b", "y": "a"}},
            "parameters must have the columns of frame in their order, a, b, not b, a",
        ),
        (
            {"frame": TWO.set_axis([0, 1], axis="columns")},
            "frame's columns must be named by texts, not 0",
        ),
        (
            {"frame": TWO.set_axis(["a", "a"], axis="columns")},
            "frame has several columns of the name a",
        ),
        (
            {"frame": TWO.set_axis(["a", " b"], axis="columns")},
            "printable characters, .* not ' b': rename the column, or name it in parameters",
        ),
        ({"parameters": {"x\n": "a", "y": "b"}}, r"printable characters, .* not 'x\\n'"),
        ({"parameters": {"": "a", "y": "b"}}, "printable characters, .* not ''"),
        ({"metrics": {}}, "metrics must hold at least one"),
        ({"metrics": {"r2": float("nan")}}, "metrics must be finite numbers: r2 is nan"),
        ({"metrics": {"r2": "good"}}, "metrics must be finite numbers: r2 is 'good'"),
        ({"floors": {}}, "floors or ceilings must bound at least one of the metrics"),
        ({"floors": {"r3": 0.1}}, "floors and ceilings must be of metrics, which r3 is not"),
        ({"floors": {"r2": float("nan")}}, "floors must be finite numbers: r2 is nan"),
        ({"ceilings": {"r2": None}}, "ceilings must be finite numbers: r2 is None"),
        ({"shown_rows": -1}, "shown_rows must be a whole number from 0, not -1"),
        ({"shown_rows": 1.5}, r"shown_rows must be a whole number from 0, not 1\.5"),
        ({"name": "a/b"}, "name must be 1 to 64 letters, .* as it is part of URLs, not 'a/b'"),
        ({"name": ""}, "name must be 1 to 64 letters"),
        ({"version": 2}, "version must be 1 to 64 letters, .* not 2"),
        ({"version": ".."}, r"version must be 1 to 64 letters, .* not '\.\.'"),
        ({"target_name": ""}, "target_name must be a text that says it, not ''"),
        ({"dataset": None}, "dataset must be a text that says it, not None"),
        ({"evaluation": " "}, "evaluation must be a text that says it, not ' '"),
    ],
)
def test_a_training_that_cannot_be_served_is_refused(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TrainingError, match=complaint):
        two(**changes)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            {"target": [1, 2], "prediction": [1]},
            r"held_out's prediction must have the shape of its target, \(2,\), not \(1,\)",
        ),
        ({"target": [], "prediction": []}, "held_out's prediction must have the shape"),
        (
            {"target": [1, 2], "prediction": [1, 2], "probabilities": [0.5, 0.5]},
            r"held_out's probabilities must have the shape \(2, classes\), not \(2,\)",
        ),
        (
            {"target": [1, 2], "prediction": [1, 2], "probabilities": [[0.5, 0.5]]},
            r"held_out's probabilities must have the shape \(2, classes\), not \(1, 2\)",
        ),
    ],
)
def test_held_out_predictions_of_other_rows_are_refused(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TrainingError, match=complaint):
        HeldOut(**arguments)


@pytest.mark.parametrize(
    ("floors", "ceilings", "complaint"),
    [
        ({"r2": 0.5}, {}, ""),
        ({}, {"error": 2.0}, ""),
        ({"r2": 0.75}, {"error": 2.0}, "The metric r2 is 0.5, below its floor 0.75."),
        ({"r2": 0.5}, {"error": 1.5}, "The metric error is 2, above its ceiling 1.5."),
        (
            {"r2": 0.75},
            {"error": 1.5},
            (
                "The metric r2 is 0.5, below its floor 0.75, and the metric error is 2, above its "
                "ceiling 1.5."
            ),
        ),
    ],
)
def test_a_missed_bound_is_told(
    floors: dict[str, float], ceilings: dict[str, float], complaint: str
) -> None:
    metrics = {"r2": 0.5, "error": 2.0}
    assert two(metrics=metrics, floors=floors, ceilings=ceilings).missed() == complaint
