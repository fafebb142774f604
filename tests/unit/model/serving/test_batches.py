"""Columns of any values in, predictions and errors by row out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from model.service.contract.features import Feature, Kind
from model.service.contract.predictor import OverflowedError, RefusedError
from model.service.serving.answer import OVERFLOW, ParameterError
from model.service.serving.batches import MOST_REASONS, TOO_LARGE, check, predict

NOT_A_NUMBER = "is not a number such as 0.05, -1 or 5e-2"
NOT_WHOLE = "is not a whole number such as 3 or -1"
MISSING = "is missing"


def feature(kind: Kind, **fields: Any) -> Feature:
    return Feature(name="f", column="f", kind=kind, **fields)


CLOSED = feature("category", closed=True, categories=("a", "b"))
# (feature, column, the column as passed to the model)
GOOD = [
    (feature("number"), [0.5, -1e308], [0.5, -1e308]),
    (feature("number"), [1, 2.5, 2**63], [1.0, 2.5, 2.0**63]),
    (feature("number"), [1e308, 1e308], [1e308, 1e308]),  # whose sum is infinite
    (feature("number", nullable=True), [1, None], [1.0, None]),
    (feature("number", nullable=True), [None], [None]),
    (feature("integer"), [1, -(2**63)], [1, -(2**63)]),
    (feature("integer"), [1, 2.0], [1, 2]),
    (feature("integer", nullable=True), [None, 3.0], [None, 3]),
    (feature("boolean"), [True, False], [True, False]),
    (feature("boolean", nullable=True), [True, None], [True, None]),
    (CLOSED, ["a", "b", "a"], ["a", "b", "a"]),
    (feature("category", categories=("a",)), ["z"], ["z"]),
    (feature("text"), ["", "é" * 256], ["", "é" * 256]),
    (feature("text", longest=300), ["é" * 300], ["é" * 300]),
    (feature("text"), [], []),
]


@pytest.mark.parametrize(("taker", "column", "taken"), GOOD)
def test_good_values_are_taken(taker: Feature, column: list[Any], taken: list[Any]) -> None:
    values, faults = check(taker, column)
    assert (list(values), faults) == (taken, {})
    assert list(map(type, values)) == list(map(type, taken))


BAD = [
    (feature("number"), None, MISSING),
    (feature("number"), True, NOT_A_NUMBER),
    (feature("number"), "1", TOO_LARGE),
    (feature("number"), "x", NOT_A_NUMBER),
    (feature("number"), [1], NOT_A_NUMBER),
    (feature("number"), {}, NOT_A_NUMBER),
    (feature("number"), math.nan, "is not a finite number"),
    (feature("number"), -math.inf, "is not a finite number"),
    (feature("number", nullable=True), "x", NOT_A_NUMBER),
    (feature("integer"), 1.5, NOT_WHOLE),
    (feature("integer"), True, NOT_WHOLE),
    (feature("integer"), math.inf, NOT_WHOLE),
    (feature("integer"), 2**63, "is not from -9223372036854775808 to 9223372036854775807"),
    (feature("boolean"), 1, "is not true or false"),
    (feature("boolean"), "true", "is not true or false"),
    (CLOSED, "c", "is not one of a, b"),
    (CLOSED, 1, "is not one of a, b"),
    (CLOSED, ["a"], "is not one of a, b"),
    (feature("category"), 1, "is not a text"),
    (feature("text"), None, MISSING),
    (feature("text"), "x" * 257, "is longer than 256 characters"),
    (feature("text", longest=300), "x" * 301, "is longer than 300 characters"),
    (
        feature("category", closed=True, categories=("a", *map(str, range(3000)))),
        "x",
        "is not one of a, 0, 1, 2, 3, 4, 5, 6, 7, 8 and 2991 more",
    ),
]
GOOD_VALUE = {"number": 0.5, "integer": 1, "boolean": True, "category": "a", "text": "a"}


@pytest.mark.parametrize(("taker", "value", "detail"), BAD)
def test_a_bad_value_is_told_and_the_others_are_taken(
    taker: Feature, value: Any, detail: str
) -> None:
    good = GOOD_VALUE[taker.kind]
    values, faults = check(taker, [good, value, good])
    assert faults == {1: detail}
    assert [values[0], values[2]] == [good, good]


class Doubling:
    """A model that doubles its first feature."""

    features = (feature("number"), Feature(name="g", column="g", kind="text"))
    form = "estimator"
    task = "regression"
    outputs = 1
    classes = (0, 1)

    def __init__(self, made: Any = list) -> None:
        self.made = made
        self.asked: list[Any] = []

    def text(self, _: Sequence[Any]) -> str:
        raise OverflowedError

    def predict(self, columns: Sequence[Sequence[Any]]) -> Any:
        self.asked.append([list(column) for column in columns])
        return self.made([2 * value for value in columns[0]])

    def probabilities(self, columns: Sequence[Sequence[Any]]) -> Any:
        return self.made([[value, 1 - value] for value in columns[0]])


class Counted:
    """Metrics that record their calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def predicted_rows(self, columns: Sequence[Sequence[Any]], rows: int) -> None:
        self.calls.append(([list(column) for column in columns], rows))

    def rejected_rows(self, rows: int) -> None:
        self.calls.append(rows)


@pytest.mark.parametrize("made", [list, np.array])
def test_rows_without_a_prediction_are_named(made: Any) -> None:
    model, metrics = Doubling(made), Counted()
    columns = [[1.0, "x", 1e308, 3.0, None], ["a", "b", "c", 4, 5]]
    faulty = {0: (ParameterError("row", "is odd"),)}
    predicted = predict(model, metrics, columns, 5, probabilities=True, faulty=faulty)
    assert predicted.predictions == [None] * 5
    assert predicted.probabilities == [None] * 5
    assert predicted.errors == {
        0: (ParameterError("row", "is odd"),),
        1: (ParameterError("f", NOT_A_NUMBER),),
        2: (ParameterError("f", OVERFLOW),),
        3: (ParameterError("g", "is not a text"),),
        4: (ParameterError("f", MISSING), ParameterError("g", "is not a text")),
    }
    # The model gets only valid rows, and only predicted rows are counted as predictions.
    assert model.asked == [[[1e308], ["c"]]]
    assert metrics.calls == [5]


def test_what_overflows_without_a_number_has_an_error() -> None:
    class Texts(Doubling):
        features = (feature("text"), Feature(name="g", column="g", kind="text"))

        def predict(self, columns: Sequence[Sequence[Any]]) -> Any:
            return [math.inf if value == "much" else 1.0 for value in columns[0]]

    predicted = predict(Texts(), None, [["much", "little"], ["a", "b"]], 2)
    assert predicted.predictions == [None, 1.0]
    assert predicted.errors == {0: (ParameterError("f", OVERFLOW), ParameterError("g", OVERFLOW))}


@pytest.mark.parametrize("made", [list, np.array])
def test_the_others_are_predicted_in_their_places(made: Any) -> None:
    model, metrics = Doubling(made), Counted()
    columns = [[0.25, "x", 1e308, 0.5], ["a", "b", "c", "d"]]
    predicted = predict(model, metrics, columns, 4, probabilities=True)
    assert predicted.predictions == [0.5, None, None, 1.0]
    assert predicted.probabilities == [[0.25, 0.75], None, None, [0.5, 0.5]]
    assert list(predicted.errors) == [1, 2]
    assert metrics.calls == [([[0.25, 0.5], ["a", "d"]], 2), 2]


class Refusing(Doubling):
    """A model that has a prediction for no row, and says why by the row's number."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__()
        self.reasons = reasons
        self.explained = 0

    def text(self, row: Sequence[Any]) -> str:
        self.explained += 1
        if reason := self.reasons[int(row[0]) % len(self.reasons)]:
            raise RefusedError(reason)
        return "[1]"

    def predict(self, columns: Sequence[Sequence[Any]]) -> Any:
        return [None] * len(columns[0])


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (("it is negative",), ("has no prediction: it is negative",) * 2),
        (("a", "b"), ("has no prediction: a", "has no prediction")),
        (("",), ("has no prediction",) * 2),
    ],
)
def test_why_a_row_has_no_prediction_is_found_out_for_some(
    reasons: Sequence[str], said: Sequence[str]
) -> None:
    model = Refusing(reasons)
    rows = 10_000
    errors = predict(model, None, [list(range(rows)), ["a"] * rows], rows).errors
    assert len(errors) == rows
    assert model.explained == MOST_REASONS
    assert [errors[row] for row in (0, rows - 1)] == [(ParameterError("row", s),) for s in said]


def test_what_is_not_asked_for_is_not_made() -> None:
    predicted = predict(Doubling(), None, [[1.0], ["a"]], 1)
    assert (predicted.predictions, predicted.probabilities) == ([2.0], None)
    assert predict(Doubling(), None, [[], []], 0).predictions == []


@pytest.mark.parametrize(
    ("made", "places"),
    [
        ([[1.0, 2.0], [1.0, math.inf], [math.nan, 1.0]], [0]),
        ([[1e308, 1e308], [1e308, 1e308], [0.0, 0.0]], [0, 1, 2]),
        (["a", None, "b"], [0, 2]),
        ([["a", 1.0], [None, None], ["b", 2.0]], [0, 2]),
        ([None, None, "b"], [2]),
        ([1, 2, 3], [0, 1, 2]),
        ([math.nan, 1.0, -math.inf], [1]),
    ],
    ids=str,
)
def test_no_prediction_is_beyond_the_largest_number(made: list[Any], places: list[int]) -> None:
    """This holds for numbers, labels and several numbers."""
    model = Doubling(lambda _: made)
    predicted = predict(model, None, [[0.5] * 3, ["a"] * 3], 3)
    expected = [made[row] if row in places else None for row in range(3)]
    assert predicted.predictions == expected
    assert sorted({0, 1, 2} - set(predicted.errors)) == places
