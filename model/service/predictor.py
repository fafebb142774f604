"""Numbers in, prediction out: the model without HTTP and without text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.service.artifact import load
from model.service.training import Estimator


class Predictor(Protocol):
    """What the service asks of a model, in whatever form the model is."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The query parameters, in the order `predict` takes their values."""

    def predict(self, row: Sequence[float]) -> NDArray[Any]:
        """Return the prediction for one row of finite numbers, shape (1,).

        A prediction beyond the largest float is infinite or not a number.
        """


class EstimatorPredictor:
    """A fitted scikit-learn estimator."""

    def __init__(self, estimator: Estimator, parameters: tuple[str, ...]) -> None:
        """Take the estimator and the query parameter of each of its columns."""
        self.parameters = parameters
        self._predict = estimator.predict

    def predict(self, row: Sequence[float]) -> NDArray[Any]:
        """Return the prediction for one row of finite numbers, shape (1,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._predict([row])


def load_predictor(folder: Path) -> Predictor:
    """Read the model in `folder`, once.

    Raises ArtifactError.
    """
    artifact = load(folder)
    return EstimatorPredictor(artifact.estimator, artifact.parameters)
