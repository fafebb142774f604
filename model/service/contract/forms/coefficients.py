"""A linear model: its weights and its intercept, in plain Python.

The products are summed from the first feature to the last, then the intercept is added. With one
feature, the result is identical to scikit-learn's, bit for bit. With several features, the linear
algebra library used by scikit-learn sums in an order that depends on the processor and the number
of rows.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from model.service.contract.features import Feature, from_card
from model.service.contract.forms import weighted_sum
from model.service.contract.numpy_text import array_text
from model.service.contract.predictor import Columns, Form, OverflowedError, Task


class CoefficientsPredictor:
    """Predicts by a weighted sum."""

    form: Form = "coefficients"
    task: Task = "regression"
    outputs = 1
    classes: tuple[Any, ...] = ()

    def __init__(
        self,
        features: tuple[Feature, ...],
        weights: Sequence[float],
        intercept: float,
        library: Path = weighted_sum.LIBRARY,
    ) -> None:
        """Initialize with one weight for each feature.

        Raises ArtifactError if the compiled library exists but computes different results.
        """
        if len(weights) != len(features):
            raise ValueError(f"{len(features)} features cannot have {len(weights)} weights")
        self.features = features
        self._first, *others = weights
        self._others = tuple(enumerate(others, 1))
        self._intercept = intercept
        self.weighted_sum = weighted_sum.load(weights, intercept, self.predict, library)

    def text(self, row: Sequence[Any]) -> str:
        """Return the prediction for one row as numpy prints it."""
        prediction = row[0] * self._first
        for index, weight in self._others:
            prediction += row[index] * weight
        prediction += self._intercept
        if not isfinite(prediction):
            raise OverflowedError
        return array_text(prediction)

    def predict(self, columns: Sequence[Sequence[Any]]) -> list[float]:
        """Return the prediction for each row."""
        first, intercept = self._first, self._intercept
        if not self._others:
            return [value * first + intercept for value in columns[0]]
        sums = [value * first for value in columns[0]]
        for index, weight in self._others:
            sums = [
                total + value * weight for total, value in zip(sums, columns[index], strict=True)
            ]
        return [total + intercept for total in sums]

    def probabilities(self, columns: Columns) -> Any:
        """Raise NotImplementedError: regressors have no probabilities."""
        raise NotImplementedError


def weights_of(card: Mapping[str, Any]) -> tuple[tuple[float, ...], float]:
    """Return the weights and the intercept that a card contains.

    Raises ValueError if the card contains none.
    """
    try:
        entry = card["coefficients"]
        return tuple(map(float.fromhex, entry["weights"])), float.fromhex(entry["intercept"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no coefficients: {error!r}") from error


def load(card: Mapping[str, Any]) -> CoefficientsPredictor:
    """Return the predictor that a card describes.

    Raises ValueError if the card describes none.
    """
    weights, intercept = weights_of(card)
    return CoefficientsPredictor(tuple(map(from_card, card["features"])), weights, intercept)
