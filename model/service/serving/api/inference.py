"""The Open Inference Protocol (version 2, REST) with its binary tensor data extension."""

import itertools
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint, Response, request

from model.service.contract.features import Feature
from model.service.contract.predictor import Predictor
from model.service.serving import json_batches, problem, tensors
from model.service.serving.answer import ParameterError
from model.service.serving.api import extensions
from model.service.serving.api.body import Body
from model.service.serving.batches import predict
from model.service.serving.problem import ProblemError
from model.service.serving.tensors import Tensor, TensorError

PREDICT, PROBABILITIES = "predict", "predict_proba"
EXTENSIONS = ["binary_tensor_data"]
JSON, BINARY = "application/json", "application/octet-stream"
# The length in bytes of the JSON that precedes binary data.
HEADER_LENGTH = "Inference-Header-Content-Length"

# The default datatype of a feature's tensor, and the other datatypes accepted for it.
DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
INTEGERS = tuple(name for name in tensors.FORMATS if "INT" in name)
TAKEN: Mapping[str, tuple[str, ...]] = {
    "number": (*tensors.FLOATS, *INTEGERS),
    "integer": (*INTEGERS, *tensors.FLOATS),
    "boolean": ("BOOL",),
}
MOST_ERRORS = 3
MATRIX = 2  # dimensions

blueprint = Blueprint("inference", __name__, url_prefix=problem.INFERENCE_PATH)


@blueprint.get("")
def server() -> Response:
    """Return the server's metadata."""
    card = extensions.card()
    return _json(
        {"name": "docker-ml-api", "version": str(card["version"]), "extensions": EXTENSIONS}
    )


@blueprint.get("/health/live")
def live() -> Response:
    """Report that the server is live."""
    return _json({"live": True})


@blueprint.get("/health/ready")
def ready() -> Response:
    """Report that the server is ready to predict."""
    return _json({"ready": True})


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<version>")
def model(name: str, version: str | None = None) -> Response:
    """Return the model's metadata: its inputs and outputs."""
    _check_model(name, version)
    predictor = extensions.predictor()
    return _json(
        {
            "name": name,
            "versions": [str(extensions.card()["version"])],
            "platform": f"scikit-learn_{predictor.form}",
            "inputs": [
                {"name": feature.name, "datatype": datatype(feature), "shape": [-1]}
                for feature in predictor.features
            ],
            "outputs": [
                {"name": output, "datatype": kind, "shape": [-1, *dimensions]}
                for output, kind, dimensions in outputs(predictor, extensions.card())
            ],
        }
    )


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<version>/ready")
def model_ready(name: str, version: str | None = None) -> Response:
    """Report that the model is ready to predict."""
    _check_model(name, version)
    return _json({"name": name, "ready": True})


@blueprint.post("/models/<name>/infer")
@blueprint.post("/models/<name>/versions/<version>/infer")
def infer(name: str, version: str | None = None) -> Response:
    """Return a prediction for each row of the input tensors."""
    _check_model(name, version)
    predictor, card = extensions.predictor(), extensions.card()
    document, binary = _document()
    columns, rows = _columns(predictor.features, _inputs(document, binary))
    wanted = _wanted(document, [output for output, _, _ in outputs(predictor, card)])
    predicted = predict(
        predictor, extensions.metrics(), columns, rows, probabilities=PROBABILITIES in wanted
    )
    if predicted.errors:
        raise _refused(_rows_at_fault(predicted.errors))
    given: dict[str, list[Any]] = {
        PREDICT: predicted.predictions,
        PROBABILITIES: predicted.probabilities or [],
    }
    described: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for output, kind, dimensions in outputs(predictor, card):
        if output not in wanted:
            continue
        values: Sequence[Any] = given[output]
        if dimensions:
            values = list(itertools.chain.from_iterable(values))
        entry: dict[str, Any] = {"name": output, "datatype": kind, "shape": [rows, *dimensions]}
        if wanted[output]:
            tail.append(tensors.encode(kind, values))
            entry["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            entry["data"] = values
        described.append(entry)
    answer = {"model_name": name, "model_version": str(card["version"]), "outputs": described}
    if "id" in document:
        answer["id"] = document["id"]
    head = orjson.dumps(answer)
    if not tail:
        return Response([head], content_type=JSON, direct_passthrough=True)
    return Response(
        [head, *tail],
        content_type=BINARY,
        headers={HEADER_LENGTH: str(len(head))},
        direct_passthrough=True,
    )


def datatype(feature: Feature) -> str:
    """Return the default datatype of a feature's tensor."""
    return DATATYPES.get(feature.kind, tensors.BYTES)


def outputs(predictor: Predictor, card: Mapping[str, Any]) -> list[tuple[str, str, list[int]]]:
    """Return each output's name, datatype and dimensions, without the dimension of the rows."""
    kind = "FP64"
    if classes := predictor.classes or card.get("classes"):
        kind = {bool: "BOOL", int: "INT64", float: "FP64"}.get(type(classes[0]), tensors.BYTES)
    dimensions = [predictor.outputs] if predictor.outputs > 1 else []
    described = [(PREDICT, kind, dimensions)]
    if predictor.classes:
        described.append((PROBABILITIES, "FP64", [len(predictor.classes)]))
    return described


def _json(document: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(document), content_type=JSON)


def _refused(detail: str, status: int = HTTPStatus.BAD_REQUEST) -> ProblemError:
    return ProblemError(status, detail)


def _check_model(name: str, version: str | None) -> None:
    card = extensions.card()
    if name != card["name"]:
        raise _refused(
            f"There is no model {name!r}: this server has {card['name']}.", HTTPStatus.NOT_FOUND
        )
    if version is not None and version != str(card["version"]):
        raise _refused(
            f"Model {name} has no version {version!r}: this server has {card['version']}.",
            HTTPStatus.NOT_FOUND,
        )


def _document() -> tuple[Mapping[str, Any], memoryview]:
    """Return the JSON document of the request and the binary data that follows it."""
    data = memoryview(Body().document())
    length = request.headers.get(HEADER_LENGTH)
    if length is not None and not (
        length.isascii() and length.isdigit() and int(length[:12]) <= len(data)
    ):
        raise _refused(f"{HEADER_LENGTH} must be how long the JSON at the body's begin is.")
    head = data if length is None else data[: int(length)]
    json_batches.check_size(bytes(head))
    try:
        document = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise _refused(f"The request is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise _refused("The request must be a JSON object.")
    if not isinstance(document.get("id", ""), str):
        raise _refused("id must be a string.")
    _parameters(document, "the request")
    return document, data[len(head) :]


def _parameters(entry: Mapping[str, Any], of: str) -> Mapping[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _refused(f"parameters of {of} must be an object.")
    return parameters


def _inputs(document: Mapping[str, Any], binary: memoryview) -> list[Tensor]:
    entries = document.get("inputs")
    if not isinstance(entries, list) or not entries:
        raise _refused("inputs must be a list of at least one tensor.")
    inputs = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise _refused("Each of inputs must be an object with a name.")
        size = _parameters(entry, f"input {entry['name']}").get("binary_data_size")
        part = memoryview(b"")
        if size is not None:
            if not _is_whole(size) or size > len(binary):
                raise _refused(
                    f"binary_data_size of input {entry['name']} must be how many bytes "
                    "of binary data it has."
                )
            part, binary = binary[:size], binary[size:]
        try:
            inputs.append(_tensor(entry, None if size is None else part))
        except TensorError as error:
            raise _refused(f"Input {entry['name']} {error}.") from error
    if binary:
        raise _refused(f"{len(binary)} bytes of binary data belong to no input.")
    return inputs


def _is_whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _tensor(entry: Mapping[str, Any], binary: memoryview | None) -> Tensor:
    kind, shape = entry.get("datatype"), entry.get("shape")
    if kind not in tensors.DATATYPES:
        raise TensorError(f"must have one of the datatypes {', '.join(tensors.DATATYPES)}")
    if not isinstance(shape, list) or not shape or not all(map(_is_whole, shape)):
        raise TensorError("must have a shape: a list of whole numbers from 0")
    elements = tensors.elements_of(shape)
    json_batches.check_values(elements)
    if binary is not None:
        if "data" in entry:
            raise TensorError("must have either data or binary data")
        values: Sequence[Any] = tensors.decode(kind, binary, elements)
    else:
        values = tensors.check_elements(kind, tensors.flat(entry.get("data")))
        if len(values) != elements:
            raise TensorError(f"has {len(values)} elements where its shape says {elements}")
    if kind in tensors.FLOATS and binary is not None:
        values = tensors.without_nan(values)
    return Tensor(entry["name"], tuple(shape), kind, values)


def _columns(
    features: Sequence[Feature], inputs: Sequence[Tensor]
) -> tuple[list[Sequence[Any]], int]:
    """Return the values of each feature and the number of rows."""
    by_name = {tensor.name: tensor for tensor in inputs}
    if len(by_name) < len(inputs):
        raise _refused("Two inputs have the same name.")
    names = [feature.name for feature in features]
    width = len(names)
    first = inputs[0]
    if (
        len(inputs) == 1
        and first.name not in names
        and len(first.shape) == MATRIX
        and all(feature.is_numeric for feature in features)
    ):
        if first.shape[1] != width:
            raise _refused(
                f"Input {first.name} must have the shape [rows, {width}]: {', '.join(names)}."
            )
        by_name = {
            name: Tensor(name, first.shape[:1], first.datatype, first.values[index::width])
            for index, name in enumerate(names)
        }
    if set(by_name) != set(names):
        raise _refused(
            f"inputs must be {', '.join(names)}, not {', '.join(sorted(by_name))}"
            + (
                f"; or one of the shape [rows, {width}]."
                if all(feature.is_numeric for feature in features)
                else "."
            )
        )
    rows = by_name[names[0]].shape[0]
    columns: list[Sequence[Any]] = []
    for feature in features:
        tensor = by_name[feature.name]
        if tensor.shape not in ((rows,), (rows, 1)):
            raise _refused(
                f"Input {feature.name} must have the shape [{rows}] or [{rows}, 1], "
                f"not {list(tensor.shape)}."
            )
        taken = TAKEN.get(feature.kind, (tensors.BYTES,))
        if tensor.datatype not in taken:
            raise _refused(
                f"Input {feature.name} must have one of the datatypes {', '.join(taken)}, "
                f"not {tensor.datatype}."
            )
        values = tensor.values
        if tensor.datatype == tensors.BYTES and feature.nullable and "" in values:
            values = [value or None for value in values]
        columns.append(values)
    return columns, rows


def _wanted(document: Mapping[str, Any], known: Sequence[str]) -> dict[str, bool]:
    """Return the requested outputs, each with whether it is returned as binary data."""
    binary = _is_true(_parameters(document, "the request"), "binary_data_output", default=False)
    entries = document.get("outputs")
    if entries is None or entries == []:
        return dict.fromkeys(known, binary)
    if not isinstance(entries, list):
        raise _refused("outputs must be a list.")
    wanted = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("name") not in known:
            raise _refused(f"Each of outputs must be an object with a name of {', '.join(known)}.")
        parameters = _parameters(entry, f"output {entry['name']}")
        wanted[str(entry["name"])] = _is_true(parameters, "binary_data", default=binary)
    return wanted


def _is_true(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise _refused(f"{name} must be true or false.")
    return value


def _rows_at_fault(errors: Mapping[int, tuple[ParameterError, ...]]) -> str:
    told = "; ".join(
        f"row {row}: " + ", ".join(f"{error.parameter} {error.detail}" for error in row_errors)
        for row, row_errors in itertools.islice(errors.items(), MOST_ERRORS)
    )
    return f"{len(errors)} rows cannot be predicted: {told}."
