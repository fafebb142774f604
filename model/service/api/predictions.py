"""Predictions for many rows: JSON or CSV in, JSON or CSV out."""

import contextlib
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from operator import itemgetter
from typing import Any

import orjson
from flask import Blueprint, Response, request

from model.service import csv_batches
from model.service.answer import InvalidParametersError, ParameterError
from model.service.api import extensions
from model.service.api.body import SMALLER, Body, check_json
from model.service.batches import Predicted, RowErrors, predict
from model.service.features import Feature
from model.service.predictor import Predictor
from model.service.problem import DocumentError, ProblemError

JSON, CSV = "application/json", "text/csv"
MOST_ERRORS = 100
MEMBERS = ("records", "columns", "probabilities")
BOOLEANS = {"true": True, "false": False}

# Larger documents are worked on one at a time: side by side they would take turns at the same
# interpreter, and add up in memory.
LARGE_BYTES = 1 << 19
_one_at_a_time = threading.Lock()

blueprint = Blueprint("predictions", __name__)


@blueprint.post("/v1/predictions")
def predictions() -> Response:
    """Answer with a prediction for each row, in their order."""
    given, wanted = _content_types()
    if given == CSV:
        return _table(wanted)
    data = Body().document()
    check_json(data)
    with _one_at_a_time if len(data) > LARGE_BYTES else contextlib.nullcontext():
        return _document(data, wanted)


def _content_types() -> tuple[str, str]:
    """Return what the body is, and what the answer is to be."""
    environ = request.environ
    accept = environ.get("HTTP_ACCEPT", "*/*")
    if environ.get("CONTENT_TYPE") == JSON and accept in ("*/*", JSON):
        return JSON, JSON
    given = request.mimetype
    if given not in (JSON, CSV):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be {JSON} or {CSV}, not {given!r}.",
        )
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The charset must be utf-8, not {charset!r}."
        )
    if accept in ("", "*/*"):
        return given, given
    offered = [given, *{JSON, CSV}.difference([given])]
    wanted = request.accept_mimetypes.best_match(offered)
    if wanted is None:
        raise ProblemError(
            HTTPStatus.NOT_ACCEPTABLE, f"The answer can be {JSON} or {CSV}, as Accept wants it."
        )
    return given, wanted


def _document(data: bytes, wanted: str) -> Response:
    predictor = extensions.predictor()
    columns, rows, probabilities = _batch(data, predictor)
    predicted = predict(predictor, extensions.metrics(), columns, rows, probabilities=probabilities)
    if wanted == CSV:
        table = csv_batches.Table(predictor, probabilities=probabilities)
        return _sent([table.begin(), table.block(predicted)], table.content_type)
    answer: dict[str, Any] = {"predictions": predicted.predictions}
    if probabilities:
        answer |= {"probabilities": predicted.probabilities, "classes": predictor.classes}
    if predicted.errors:
        answer |= _errors(predicted.errors)
    return _sent([orjson.dumps(answer)], JSON)


def _sent(parts: Sequence[bytes], content_type: str) -> Response:
    # Passed through, the server gets the list itself, and sends it at once.
    return Response(parts, content_type=content_type, direct_passthrough=True)


def _errors(errors: RowErrors) -> dict[str, Any]:
    listed = itertools.islice(errors.items(), MOST_ERRORS)
    return {
        "errors": [{"row": row, "errors": row_errors} for row, row_errors in listed],
        "error_count": len(errors),
    }


def _batch(data: bytes, predictor: Predictor) -> tuple[Sequence[Sequence[Any]], int, bool]:
    """Return the values by column, how many rows they are, and whether probabilities are asked.

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
    _check_probabilities(predictor, probabilities)
    if "records" in document:
        return *_from_records(document["records"], predictor.features), probabilities
    return *_from_columns(document["columns"], predictor.features), probabilities


def _check_probabilities(predictor: Predictor, probabilities: bool) -> None:
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


def _table(wanted: str) -> Response:
    asked = request.args.get("probabilities", "false")
    if asked not in BOOLEANS:
        raise InvalidParametersError([ParameterError("probabilities", "is not true or false")])
    probabilities = BOOLEANS[asked]
    predictor = extensions.predictor()
    _check_probabilities(predictor, probabilities)
    answered = csv_batches.answered(
        Body(), predictor, extensions.metrics(), probabilities=probabilities
    )
    if wanted == JSON:
        return _table_as_document(answered, predictor, probabilities=probabilities)
    table = csv_batches.Table(predictor, probabilities=probabilities)
    parts, size = csv_batches.kept(answered, table)
    response = Response(parts, content_type=table.content_type, direct_passthrough=True)
    if size is not None:
        response.content_length = size
    return response


def _table_as_document(
    answered: Iterator[Predicted], predictor: Predictor, *, probabilities: bool
) -> Response:
    """Answer with one document; its head depends on all rows, so they must fit in memory."""
    values: list[bytes] = []
    likely: list[bytes] = []
    errors: RowErrors = {}
    rows = size = error_count = 0
    for predicted in answered:
        values.append(orjson.dumps(predicted.predictions)[1:-1])
        likely.append(orjson.dumps(predicted.probabilities)[1:-1] if probabilities else b"")
        for row, row_errors in itertools.islice(
            predicted.errors.items(), MOST_ERRORS - len(errors)
        ):
            errors[rows + row] = row_errors
        rows += len(predicted.predictions)
        error_count += len(predicted.errors)
        size += len(values[-1]) + len(likely[-1])
        if size > csv_batches.KEPT_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The answer is too large for one JSON document: accept {CSV}, or {SMALLER}.",
            )
    answer = [b'{"predictions":[', b",".join(values), b"]"]
    if probabilities:
        answer += [b',"probabilities":[', b",".join(likely), b"]"]
        answer += [b',"classes":', orjson.dumps(predictor.classes)]
    if errors:
        told = _errors(errors) | {"error_count": error_count}
        answer += [b",", orjson.dumps(told)[1:-1]]
    return _sent([*answer, b"}"], JSON)
