"""Predictions for many rows, with JSON or CSV as input and output."""

import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import orjson
from flask import Blueprint, Response, request

from model.service.contract.predictor import Predictor
from model.service.serving import csv_batches, json_batches
from model.service.serving.answer import InvalidParametersError, ParameterError
from model.service.serving.api import extensions
from model.service.serving.api.body import Body
from model.service.serving.batches import Predicted, RowErrors
from model.service.serving.json_batches import JSON
from model.service.serving.problem import ProblemError

CSV = "text/csv"
BOOLEANS = {"true": True, "false": False}

_one_at_a_time = threading.Lock()

blueprint = Blueprint("predictions", __name__)


@blueprint.post("/v1/predictions")
def predictions() -> Response:
    """Return a prediction for each row, in the order of the rows."""
    given, wanted = _content_types()
    if given == CSV:
        return _table(wanted)
    data = Body().document()
    json_batches.check_size(data)
    with _one_at_a_time if len(data) > json_batches.LARGE_BYTES else contextlib.nullcontext():
        return _document(data, wanted)


def _content_types() -> tuple[str, str]:
    """Return the media types of the request's body and of the response."""
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
    predictor, metrics = extensions.predictor(), extensions.metrics()
    if wanted == JSON:
        return _sent([json_batches.answer(data, predictor, metrics)], JSON)
    asked = json_batches.read(data, predictor)
    table = csv_batches.Table(predictor, probabilities=asked.probabilities)
    parts = [table.begin(), table.block(json_batches.predicted(asked, predictor, metrics))]
    return _sent(parts, table.content_type)


def _sent(parts: Sequence[bytes], content_type: str) -> Response:
    # With direct_passthrough the server gets the list itself and sends it at once.
    return Response(parts, content_type=content_type, direct_passthrough=True)


def _table(wanted: str) -> Response:
    asked = request.args.get("probabilities", "false")
    if asked not in BOOLEANS:
        raise InvalidParametersError([ParameterError("probabilities", "is not true or false")])
    probabilities = BOOLEANS[asked]
    predictor = extensions.predictor()
    json_batches.check_probabilities(predictor, probabilities)
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
    """Return one document. Its beginning depends on all rows, so they must fit in memory."""
    values: list[bytes] = []
    likely: list[bytes] = []
    errors: RowErrors = {}
    rows = size = error_count = 0
    for predicted in answered:
        values.append(orjson.dumps(predicted.predictions)[1:-1])
        likely.append(orjson.dumps(predicted.probabilities)[1:-1] if probabilities else b"")
        for row, row_errors in itertools.islice(
            predicted.errors.items(), json_batches.MOST_ERRORS - len(errors)
        ):
            errors[rows + row] = row_errors
        rows += len(predicted.predictions)
        error_count += len(predicted.errors)
        size += len(values[-1]) + len(likely[-1])
        if size > json_batches.ANSWER_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The answer is too large for one JSON document: accept {CSV}, or "
                f"{json_batches.SMALLER}.",
            )
    answer = [b'{"predictions":[', b",".join(values), b"]"]
    if probabilities:
        answer += [b',"probabilities":[', b",".join(likely), b"]"]
        answer += [b',"classes":', orjson.dumps(predictor.classes)]
    if errors:
        told = json_batches.listed(errors) | {"error_count": error_count}
        answer += [b",", orjson.dumps(told)[1:-1]]
    return _sent([*answer, b"}"], JSON)
