"""Derives the features from the training frame; used only at build time."""

import dataclasses
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.service.contract.features import TEXT_LENGTH, Feature, Kind
from model.service.training.result import Training, TrainingError

# Requests may send texts this many times as long as the training data's.
LONGER = 10
# A column with more distinct texts than this is free text.
MOST_CATEGORIES = 100
BINS = 10
KINDS: dict[str, Kind] = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}
# A text that does not occur in training data.
UNKNOWN = "\ue000 unknown"


def frame_of(training: Training) -> pd.DataFrame:
    """Return the training frame as a DataFrame, even if it is an array."""
    if isinstance(training.frame, pd.DataFrame):
        return training.frame
    return pd.DataFrame(training.frame, columns=list(training.columns))


def predict(training: Training, frame: pd.DataFrame) -> NDArray[Any]:
    """Return the estimator's predictions for rows like the training frame's.

    Some estimators predict the shape (rows, 1) for a target of shape (rows,).
    """
    found = ask(training, training.estimator.predict, frame)
    return found.ravel() if training.target.ndim == 1 and found.shape == (len(frame), 1) else found


def ask(training: Training, method: Any, frame: pd.DataFrame) -> NDArray[Any]:
    """Return the result of a method of the estimator for rows like the training frame's."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(
            method(frame if isinstance(training.frame, pd.DataFrame) else frame.to_numpy())
        )


def features_of(training: Training) -> tuple[Feature, ...]:
    """Return the features of the training frame, in the order of its columns.

    Raises TrainingError if requests cannot express the values of a column, or if the estimator
    rejects values that requests may contain.
    """
    frame = frame_of(training)
    features = [
        _feature(name, column, frame[column])
        for name, column in zip(training.names, frame.columns, strict=True)
    ]
    row = frame.head(1)
    try:
        predict(training, row)
    except Exception as error:
        raise TrainingError(
            f"The estimator cannot predict the first row of frame, {_first_line(error)}: "
            "fit it on the rows of frame."
        ) from error
    return tuple(_probed(training, feature, row, frame[feature.column]) for feature in features)


def _feature(name: str, column: str, values: "pd.Series[Any]") -> Feature:
    present = values.dropna()
    if present.empty:
        raise TrainingError(f"Column {column} of frame has no value in any row: leave it out.")
    nullable = len(present) < len(values)
    kind = _kind(column, values.dtype, present)
    if kind in ("number", "integer"):
        numbers = present.to_numpy(dtype=float)
        if not np.isfinite(numbers).all():
            raise TrainingError(
                f"Column {column} of frame has infinite values, which requests cannot say: "
                "make them missing or finite."
            )
        edges, shares = _bins(numbers, len(values))
        return Feature(
            name=name,
            column=column,
            kind=kind,
            nullable=nullable,
            least=float(numbers.min()),
            most=float(numbers.max()),
            median=float(np.median(numbers)),
            edges=edges,
            shares=shares,
        )
    if kind == "boolean":
        counted = present.map({True: "true", False: "false"}).value_counts()
        # Requests may contain both values, whatever the training data contains.
        counted = counted.reindex(["false", "true"], fill_value=0)
    else:
        counted = present.astype(object).value_counts().sort_index()
    return Feature(
        name=name,
        column=column,
        kind=kind,
        nullable=nullable,
        closed=isinstance(values.dtype, pd.CategoricalDtype),
        longest=max(TEXT_LENGTH, LONGER * max(map(len, counted.index))),
        categories=tuple(counted.index),
        shares=tuple((counted / len(values)).tolist()),
    )


def _kind(column: str, dtype: Any, present: "pd.Series[Any]") -> Kind:
    """Return the kind of a column; a text is a category until it turns out to be free text."""
    if not isinstance(dtype, pd.SparseDtype) and dtype.kind in KINDS:
        return KINDS[dtype.kind]
    if dtype.kind == "O" or isinstance(dtype, pd.StringDtype):
        types = {type(value) for value in present}
        if types <= {bool, np.bool_}:
            return "boolean"
        if types == {str}:
            if (present == "").any():
                raise TrainingError(
                    f"Column {column} of frame has empty texts, which requests cannot tell from "
                    "missing ones: give them a name, or make them missing."
                )
            return "category"
        names = ", ".join(sorted(kind.__name__ for kind in types))
        held = f"{names} in a column of type {dtype}"
    else:
        held = str(dtype)
    raise TrainingError(
        f"Column {column} of frame holds {held}, which requests cannot say: make it numbers, "
        "booleans or texts."
    )


def _bins(numbers: NDArray[Any], rows: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the inner edges of bins with about equal counts, and the share of rows in each bin."""
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.searchsorted(edges, numbers, side="right")
    counts = np.bincount(places, minlength=edges.size + 1)
    return tuple(edges.tolist()), tuple((counts / rows).tolist())


def _probed(
    training: Training, feature: Feature, row: pd.DataFrame, values: "pd.Series[Any]"
) -> Feature:
    """Return the feature, completed by testing how the estimator handles unseen values.

    Raises TrainingError if the estimator rejects values that requests may contain.
    """
    column = feature.column
    if feature.kind == "category":
        closed = feature.closed or not _accepts(training, row, column, [UNKNOWN])
        if not closed and len(feature.categories) > MOST_CATEGORIES:
            return dataclasses.replace(feature, kind="text", categories=(), shares=())
        return dataclasses.replace(feature, closed=closed)
    if not _accepts(training, row, column, _unseen(feature, values)):
        raise TrainingError(
            f"The estimator refuses values of {column} that the training data has not: make the "
            "column texts, or have its encoder ignore unknown values."
        )
    return feature


def _unseen(feature: Feature, values: "pd.Series[Any]") -> Sequence[Any]:
    """Return values that requests may contain but the training data does not, if there are any."""
    if feature.kind == "boolean":
        return [True, False]
    seen = set(values.dropna())
    if feature.kind == "number":
        between = float(feature.least or 0) + 0.123456789 * (
            float(feature.most or 0) - float(feature.least or 0)
        )
        return [value for value in (between,) if value not in seen]
    limit = np.iinfo(getattr(values.dtype, "numpy_dtype", values.dtype)).max
    whole = range(int(feature.least or 0), min(int(feature.most or 0) + 1, limit) + 1)
    return list(itertools.islice((value for value in whole if value not in seen), 1))


def _accepts(training: Training, row: pd.DataFrame, column: str, values: Sequence[Any]) -> bool:
    """Return whether the estimator predicts for the row with each of the values in the column."""
    for value in values:
        other = row.copy()
        other[column] = pd.Series([value], index=row.index).astype(row[column].dtype)
        try:
            predict(training, other)
        except Exception:  # noqa: BLE001 - estimators refuse by whatever their parts raise
            return False
    return True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
