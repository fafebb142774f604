"""Predictions for many rows: values are validated by column, errors are reported by row.

A column of valid values needs only a few passes in C. Only a column with an invalid value is
checked value by value.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from model.service.contract.features import Feature, Kind
from model.service.contract.predictor import Predictor, RefusedError
from model.service.serving.answer import (
    LEAST_INTEGER,
    MOST_INTEGER,
    NO_PREDICTION,
    NUMBER,
    ROW,
    ParameterError,
    refusal_errors,
)

TOO_LARGE = "is too large: the largest number is 1.7976931348623157e+308"
NONE = type(None)
# Of at most this many rows of a batch without a prediction it is found out why.
MOST_REASONS = 100

# Row number: why the feature rejects the value.
Faults = dict[int, str]
RowErrors = dict[int, tuple[ParameterError, ...]]


class Counter(Protocol):
    """Counts the rows of each batch, for the metrics."""

    def predicted_rows(
        self,
        columns: Sequence[Sequence[Any]],
        rows: int,
        bounds: Sequence[tuple[float, float]] | None = None,
        /,
    ) -> None:
        """Count predicted rows; gets their values by feature, and the values' bounds if known."""

    def rejected_rows(self, rows: int, /) -> None:
        """Count rows that were not predicted."""


@dataclass(frozen=True)
class Predicted:
    """Predictions in the order of the rows; None for a row that has an entry in `errors`."""

    predictions: list[Any]
    probabilities: list[Any] | None = None
    errors: RowErrors = field(default_factory=dict)


def predict(
    predictor: Predictor,
    metrics: Counter | None,
    columns: Sequence[Sequence[Any]],
    rows: int,
    *,
    probabilities: bool = False,
    faulty: Mapping[int, tuple[ParameterError, ...]] | None = None,
) -> Predicted:
    """Predict each row whose values are valid.

    columns: unvalidated values in the order of the features, each column of length `rows`.
    faulty: rows already known to be invalid, with their errors.
    """
    errors: RowErrors = dict(faulty or {})
    checked: list[Sequence[Any]] = []
    for feature, column in zip(predictor.features, columns, strict=True):
        values, faults = check(feature, column)
        checked.append(values)
        for row, detail in faults.items():
            if not (faulty and row in faulty):
                errors[row] = (*errors.get(row, ()), ParameterError(feature.name, detail))
    kept: Sequence[int] = range(rows)
    if errors:
        kept = [row for row in kept if row not in errors]
        checked = [[column[row] for row in kept] for column in checked]
    predictions = _list(predictor.predict(checked)) if kept else []
    refused = _refused(predictions)
    if refused:
        reasons = _reasons(predictor, checked, refused)
        errors.update((kept[index], reason) for index, reason in reasons.items())
        good = sorted(set(range(len(kept))).difference(refused))
        kept = [kept[index] for index in good]
        checked = [[column[index] for index in good] for column in checked]
        predictions = [predictions[index] for index in good]
    likely = _list(predictor.probabilities(checked)) if probabilities and kept else []
    if metrics:
        if kept:
            metrics.predicted_rows(checked, len(kept))
        if errors:
            metrics.rejected_rows(len(errors))
    if errors:
        predictions, likely = _spread(predictions, kept, rows), _spread(likely, kept, rows)
    return Predicted(predictions, likely if probabilities else None, dict(sorted(errors.items())))


def check(feature: Feature, column: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
    """Return the column as the model takes it, and the error of each invalid value by row."""
    types = set(map(type, column))
    missing = feature.nullable and NONE in types
    if missing:
        types.discard(NONE)
        present: Sequence[Any] = [value for value in column if value is not None]
    else:
        present = column
    if not _QUICK[feature.kind](feature, types, present):
        values = []
        faults = {}
        for row, given in enumerate(column):
            value, fault = _value(feature, given)
            values.append(value)
            if fault:
                faults[row] = fault
        return values, faults
    if feature.kind == "number" and int in types:
        if missing:
            return [value if value is None else float(value) for value in column], {}
        return list(map(float, column)), {}
    return column, {}


def _numbers(_: Feature, types: set[type], values: Sequence[Any]) -> bool:
    # A sum of numbers is finite only if each is, and may overflow where none does.
    return types <= {float, int} and math.isfinite(sum(values))


def _integers(_: Feature, types: set[type], values: Sequence[Any]) -> bool:
    return types <= {int} and (
        not values or (min(values) >= LEAST_INTEGER and max(values) <= MOST_INTEGER)
    )


def _booleans(_: Feature, types: set[type], __: Sequence[Any]) -> bool:
    return types <= {bool}


def _texts(feature: Feature, types: set[type], values: Sequence[Any]) -> bool:
    if not types <= {str}:
        return False
    if feature.closed:
        return feature.known.issuperset(values)
    return max(map(len, values), default=0) <= feature.longest


_QUICK: Mapping[Kind, Callable[[Feature, set[type], Sequence[Any]], bool]] = {
    "number": _numbers,
    "integer": _integers,
    "boolean": _booleans,
    "category": _texts,
    "text": _texts,
}


def _value(feature: Feature, value: Any) -> tuple[Any, str]:
    """Return one value as the model takes it, and its error, empty if the value is valid."""
    if value is None:
        return None, "" if feature.nullable else "is missing"
    return _TAKEN[feature.kind](feature, value)


def _number(_: Feature, value: Any) -> tuple[Any, str]:
    if type(value) not in (float, int):
        if isinstance(value, str) and NUMBER.fullmatch(value):
            return None, TOO_LARGE
        return None, "is not a number such as 0.05, -1 or 5e-2"
    if not math.isfinite(value):
        return None, "is not a finite number"
    return float(value), ""


def _integer(_: Feature, value: Any) -> tuple[Any, str]:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        return None, "is not a whole number such as 3 or -1"
    if not LEAST_INTEGER <= value <= MOST_INTEGER:
        return None, f"is not from {LEAST_INTEGER} to {MOST_INTEGER}"
    return value, ""


def _boolean(_: Feature, value: Any) -> tuple[Any, str]:
    return (value, "") if type(value) is bool else (None, "is not true or false")


def _text(feature: Feature, value: Any) -> tuple[Any, str]:
    if feature.closed:
        if isinstance(value, str) and value in feature.known:
            return value, ""
        return None, f"is not one of {feature.named}"
    if not isinstance(value, str):
        return None, "is not a text"
    if len(value) > feature.longest:
        return None, f"is longer than {feature.longest} characters"
    return value, ""


_TAKEN: Mapping[Kind, Callable[[Feature, Any], tuple[Any, str]]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _text,
    "text": _text,
}


def _list(values: Any) -> list[Any]:
    """Return a list or array as a list; numpy may not be installed."""
    return values if isinstance(values, list) else list(values.tolist())


def _refused(predictions: Sequence[Any]) -> list[int]:
    """Return the indices of the rows that have no prediction."""
    first = predictions[0] if predictions else ""
    if isinstance(first, float):
        # A sum of numbers is finite only if each is, and may overflow where none does.
        if math.isfinite(sum(predictions)):
            return []
        return [index for index, value in enumerate(predictions) if not math.isfinite(value)]
    if isinstance(first, list):
        numbers = set(map(type, itertools.chain.from_iterable(predictions))) == {float}
        if numbers and math.isfinite(sum(map(sum, predictions))):
            return []
        return [
            index
            for index, values in enumerate(predictions)
            if any(
                value is None or (isinstance(value, float) and not math.isfinite(value))
                for value in values
            )
        ]
    return [index for index, label in enumerate(predictions) if label is None]


def _reasons(
    predictor: Predictor, columns: Sequence[Sequence[Any]], rows: Sequence[int]
) -> RowErrors:
    """Return why these rows have no prediction, for the first ones; the others share a reason."""
    reasons: RowErrors = {}
    for row in rows[:MOST_REASONS]:
        reasons[row] = (ParameterError(ROW, NO_PREDICTION),)
        try:
            predictor.text([column[row] for column in columns])
        except RefusedError as error:
            reasons[row] = refusal_errors(predictor.features, error)
    said = set(reasons.values())
    shared = said.pop() if len(said) == 1 else (ParameterError(ROW, NO_PREDICTION),)
    return reasons | dict.fromkeys(rows[MOST_REASONS:], shared)


def _spread(values: Sequence[Any], kept: Sequence[int], rows: int) -> list[Any]:
    """Return a list of length `rows` with the values at the rows `kept` and None elsewhere."""
    spread: list[Any] = [None] * rows
    for row, value in zip(kept, values, strict=False):
        spread[row] = value
    return spread
