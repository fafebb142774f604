"""Batches as JSON documents for POST /v1/predictions, with and without Flask."""

import itertools
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from operator import itemgetter
from typing import Any

import orjson

from model.service.contract.features import Feature
from model.service.contract.predictor import Predictor
from model.service.serving.answer import ParameterError
from model.service.serving.batches import Counter, Predicted, RowErrors, predict
from model.service.serving.problem import DocumentError, ProblemError

JSON = "application/json"
MOST_ERRORS = 100
MEMBERS = ("records", "columns", "probabilities")

# Limits of documents that are read as a whole: each of their values takes up to about 250 bytes
# while it is processed. CSV tables have no such limit.
DOCUMENT_BYTES = 1 << 24
DOCUMENT_VALUES = 500_000
# The limit of a JSON document in response to a CSV table.
ANSWER_BYTES = 1 << 25
# Machine code does not pay off for smaller documents: it saves too few objects.
LEAST_BYTES = 1 << 12
# Larger documents are processed one at a time: in parallel they would compete for the GIL, and
# their memory would add up.
LARGE_BYTES = 1 << 19

SMALLER = "send the rows in several requests, or as text/csv to /v1/predictions"


@dataclass(frozen=True)
class Asked:
    """The content of a document: its values by column and the number of rows."""

    columns: Sequence[Sequence[Any]]
    rows: int
    probabilities: bool


def answer(data: bytes, predictor: Predictor, metrics: Counter | None) -> bytes:
    """Return the response document for a request document.

    Raises DocumentError.
    """
    if (predictions := _weighted_sums(data, predictor, metrics)) is not None:
        return orjson.dumps({"predictions": predictions})
    asked = read(data, predictor)
    found = predicted(asked, predictor, metrics)
    told: dict[str, Any] = {"predictions": found.predictions}
    if asked.probabilities:
        told |= {"probabilities": found.probabilities, "classes": predictor.classes}
    if found.errors:
        told |= listed(found.errors)
    return orjson.dumps(told)


def _weighted_sums(
    data: bytes, predictor: Predictor, metrics: Counter | None
) -> list[float] | None:
    """Return the predictions if the document has only valid columns of numbers, otherwise None."""
    if predictor.weighted_sum is None or len(data) < LEAST_BYTES:
        return None
    columns = numbers(data, predictor.features)
    found = predictor.weighted_sum(columns) if columns else None
    if not columns or not found:
        return None
    sums, bounds = found
    if metrics:
        metrics.predicted_rows(columns, len(sums), bounds)
    return sums.tolist()


def numbers(data: bytes, features: Sequence[Feature]) -> list["array[float]"] | None:
    """Return the columns of a document that consists only of columns of numbers, otherwise None."""
    if (
        any(feature.kind != "number" for feature in features)
        # A byte order mark is not valid JSON.
        or data[:1] != b"{"
        # Nested lists would be flattened.
        or not _has(data, b"[", len(features))
    ):
        return None
    # The import takes two megabytes, which a service without large batches saves.
    import simdjson  # noqa: PLC0415 - see above

    try:
        document: Any = simdjson.Parser().parse(data)
        if list(document) != ["columns"]:
            return None
        given = document["columns"]
        if sorted(given) != sorted(feature.name for feature in features):
            return None
        columns = []
        for feature in features:
            column = array("d")
            column.frombytes(given[feature.name].as_buffer(of_type="d"))
            columns.append(column)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return None
    rows = len(columns[0])
    return columns if rows and all(len(column) == rows for column in columns) else None


def _has(data: bytes, byte: bytes, times: int) -> bool:
    """Return whether a byte occurs in the data exactly this often; faster than count()."""
    at = -1
    for _ in range(times):
        at = data.find(byte, at + 1)
        if at < 0:
            return False
    return data.find(byte, at + 1) < 0


def predicted(asked: Asked, predictor: Predictor, metrics: Counter | None) -> Predicted:
    """Return the predictions for the content of a document."""
    return predict(predictor, metrics, asked.columns, asked.rows, probabilities=asked.probabilities)


def listed(errors: RowErrors) -> dict[str, Any]:
    """Return the response's entries about the rows that were not predicted."""
    first = itertools.islice(errors.items(), MOST_ERRORS)
    return {
        "errors": [{"row": row, "errors": row_errors} for row, row_errors in first],
        "error_count": len(errors),
    }


def check_size(data: bytes) -> None:
    """Raise ProblemError if a document has too many values to be worked on at once."""
    # Each value takes at least one byte, plus a comma before the next.
    if len(data) > 2 * DOCUMENT_VALUES:
        check_values(data.count(b",") + 1)


def check_values(values: int) -> None:
    """Raise ProblemError if a document has too many values to be worked on at once."""
    if values > DOCUMENT_VALUES:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The document has more than {DOCUMENT_VALUES} values: {SMALLER}.",
        )


def read(data: bytes, predictor: Predictor) -> Asked:
    """Return the content of a request document.

    Raises DocumentError.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DocumentError(
            f"The document is not JSON: {error}.", status=HTTPStatus.BAD_REQUEST
        ) from error
    if not isinstance(document, dict):
        raise DocumentError('The document must be an object with "records" or "columns".')
    if unknown := [name for name in document if name not in MEMBERS]:
        raise DocumentError(
            f"The document may only have {', '.join(MEMBERS)}.",
            [ParameterError(name, "is unknown") for name in unknown[:MOST_ERRORS]],
        )
    if ("records" in document) == ("columns" in document):
        raise DocumentError('The document must have either "records" or "columns".')
    probabilities = document.get("probabilities", False)
    if not isinstance(probabilities, bool):
        raise DocumentError(
            "probabilities must be true or false.",
            [ParameterError("probabilities", "is not true or false")],
        )
    check_probabilities(predictor, probabilities)
    if "records" in document:
        columns, rows = _from_records(document["records"], predictor.features)
    else:
        columns, rows = _from_columns(document["columns"], predictor.features)
    return Asked(columns, rows, probabilities)


def check_probabilities(predictor: Predictor, probabilities: bool) -> None:
    """Raise DocumentError if probabilities are requested but the model has none."""
    if probabilities and not predictor.classes:
        raise DocumentError(
            "This model has no probabilities: leave them out.",
            [ParameterError("probabilities", "must be false: this model has none")],
        )


def _from_records(records: Any, features: Sequence[Feature]) -> tuple[Sequence[Sequence[Any]], int]:
    if not isinstance(records, list):
        raise DocumentError(
            "records must be a list of objects.", [ParameterError("records", "is not a list")]
        )
    try:
        columns = [list(map(itemgetter(feature.name), records)) for feature in features]
    except (KeyError, TypeError, IndexError):
        wrong = [row for row, record in enumerate(records) if not isinstance(record, dict)]
        if wrong:
            raise DocumentError(
                "Each of records must be an object.",
                [ParameterError(f"records/{row}", "is no object") for row in wrong[:MOST_ERRORS]],
            ) from None
        columns = [[record.get(feature.name) for record in records] for feature in features]
    return columns, len(records)


def _from_columns(columns: Any, features: Sequence[Feature]) -> tuple[Sequence[Sequence[Any]], int]:
    if not isinstance(columns, Mapping):
        raise DocumentError(
            "columns must be an object of lists.", [ParameterError("columns", "is not an object")]
        )
    wrong = [
        ParameterError(feature.name, "is not a list" if feature.name in columns else "is no column")
        for feature in features
        if not isinstance(columns.get(feature.name), list)
    ]
    if wrong:
        raise DocumentError("columns must have a list for each feature.", wrong)
    chosen = [columns[feature.name] for feature in features]
    rows = len(chosen[0])
    if any(len(column) != rows for column in chosen):
        raise DocumentError(
            "All columns must have the same length.",
            [
                ParameterError(feature.name, f"has {len(column)} values")
                for feature, column in zip(features, chosen, strict=True)
            ],
        )
    return chosen, rows
