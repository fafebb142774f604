"""Numbers in, prediction out: the model without HTTP, in whatever form it is served."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from model.service.features import Feature, Value

Form = Literal["coefficients", "onnx", "estimator"]
Task = Literal["regression", "classification"]
Columns = Sequence[Sequence[Value]]


class OverflowedError(ValueError):
    """The inputs are finite, their prediction is not: it is beyond the largest number."""


class Predictor(Protocol):
    """What the service asks of a model. Values are valid for their features already.

    Safe to be called by several threads at a time.
    """

    features: tuple[Feature, ...]
    form: Form
    task: Task
    # How many values one prediction has: 1, or the target's columns.
    outputs: int
    # Of a classifier with probabilities, its classes; otherwise empty.
    classes: tuple[Any, ...]

    def text(self, row: Sequence[Value]) -> str:
        """Return the prediction for one row as numpy prints it: `[199.60524718]`.

        The hot path. Raises OverflowedError.
        """

    def predict(self, columns: Columns) -> Any:
        """Return the predictions for rows given by column, all of one length of at least 1.

        A list, or an array of shape (rows,), or (rows, outputs) for several outputs; in the
        order of the rows. What overflows is infinite or not a number.
        """

    def probabilities(self, columns: Columns) -> Any:
        """Return the probability of each class for each row, shape (rows, classes).

        Only of predictors with `classes`.
        """


def load_predictor(folder: Path) -> Predictor:
    """Read the model in `folder`, once, in the form that its card names.

    Raises ArtifactError.
    """
    from model.service.artifact import load

    artifact = load(folder)
    return EstimatorPredictor(artifact)


class EstimatorPredictor:
    form: Form = "estimator"
    outputs = 1
    classes = ()

    def __init__(self, artifact):
        self.features = artifact.features
        self.task = artifact.card["task"]
        self._estimator = artifact.estimator

    def text(self, row):
        with np.errstate(over="ignore", invalid="ignore"):
            prediction = self._estimator.predict([row])
        if prediction.dtype.kind == "f" and not np.isfinite(prediction).all():
            raise OverflowedError
        return str(prediction)

    def predict(self, columns):
        with np.errstate(over="ignore", invalid="ignore"):
            return self._estimator.predict(np.column_stack(columns))
