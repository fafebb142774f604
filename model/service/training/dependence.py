"""Partial dependence: the mean prediction as a function of one feature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.service.contract.features import Feature
from model.service.training.profile import ask, frame_of, predict
from model.service.training.result import Training

POINTS = 40
ROWS = 500
# The total for all features: with many features, each is averaged over fewer rows.
MOST_PREDICTIONS = 1_000_000
# Significant digits; the last bits differ between processors.
DIGITS = 6


def partial_dependence(
    training: Training, features: Sequence[Feature], classes: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return the card's entries, in the order of the features; free texts have none.

    A prediction is a number, or one number per output. For a classifier, it is the probability of
    each class or, without probabilities, the frequency with which each class is predicted.
    """
    frame = frame_of(training)
    rows = max(1, min(ROWS, len(frame), MOST_PREDICTIONS // (POINTS * len(features))))
    # With only one feature, there is nothing to average over.
    sample = frame.iloc[evenly(len(frame), rows if len(features) > 1 else 1)]
    entries = []
    for feature in features:
        values = _values(feature)
        if not values:
            continue
        blocks = sample.iloc[np.tile(np.arange(len(sample)), len(values))].reset_index(drop=True)
        moved = pd.Series(np.repeat(np.array(values, dtype=object), len(sample)))
        blocks[feature.column] = moved.astype(frame[feature.column].dtype)
        answers = _answers(training, blocks, classes)
        means = answers.reshape(len(values), len(sample), *answers.shape[1:]).mean(axis=1)
        entries.append(
            {
                "feature": feature.name,
                "values": [
                    str(value).lower() if isinstance(value, bool) else value for value in values
                ],
                "predictions": [rounded(mean) for mean in means.tolist()],
            }
        )
    return entries


def evenly(length: int, count: int) -> NDArray[np.intp]:
    """Return up to `count` evenly spaced indices below `length`, including the first and last."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(np.intp))


def rounded(value: Any) -> Any:
    """Return a number, or nested lists of numbers, rounded to DIGITS significant digits."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}")


def _values(feature: Feature) -> list[Any]:
    if feature.kind == "boolean":
        return [False, True]
    if not feature.is_numeric:
        return list(feature.categories)
    least, most = feature.least or 0.0, feature.most or 0.0
    if feature.kind == "integer":
        return sorted({round(value) for value in np.linspace(least, most, POINTS).tolist()})
    # The ends are not rounded, so that they stay within the training range.
    inner = np.linspace(least, most, POINTS)[1:-1].tolist()
    return sorted({least, most, *(value for value in map(rounded, inner) if least < value < most)})


def _answers(training: Training, frame: pd.DataFrame, classes: Sequence[Any]) -> NDArray[Any]:
    if not classes:
        return predict(training, frame)
    if hasattr(training.estimator, "predict_proba"):
        return ask(training, training.estimator.predict_proba, frame)
    predictions = predict(training, frame)
    return np.stack([predictions == label for label in classes], axis=1).astype(float)
