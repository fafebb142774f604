"""The Open Inference Protocol through Flask's client; test_triton_client asks a real server."""

import json
import struct
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from model.service.serving import json_batches
from model.service.serving.app import create_app
from support import models

MODEL = "/v2/models/diabetes"
INFER = f"{MODEL}/infer"
HEADER = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def client(model_folder: Path) -> FlaskClient:
    return create_app({"MODEL_FOLDER": str(model_folder)}).test_client()


@pytest.fixture(scope="module")
def mixed(mixed_folder: Path) -> FlaskClient:
    return create_app({"MODEL_FOLDER": str(mixed_folder)}).test_client()


def tensor(name: str = "f", datatype: str = "FP64", **fields: Any) -> dict[str, Any]:
    data = fields.get("data", [0.05, 1])
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data, **fields}


def asked(*inputs: Any, **fields: Any) -> dict[str, Any]:
    return {"inputs": list(inputs), **fields}


def expected(*rows: float) -> Any:
    return models.line().estimator.predict(np.array(rows).reshape(-1, 1)).tolist()


def assert_error(response: TestResponse, status: HTTPStatus, text: str) -> None:
    assert (response.status_code, response.content_type) == (status, "application/json")
    document = json.loads(response.data)
    assert list(document) == ["error"]
    assert text in document["error"]


def test_metadata(client: FlaskClient, mixed: FlaskClient) -> None:
    assert client.get("/v2").json == {
        "name": "docker-ml-api",
        "version": "1",
        "extensions": ["binary_tensor_data"],
    }
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert client.get(path).json == {
            "name": "diabetes",
            "versions": ["1"],
            "platform": "scikit-learn_coefficients",
            "inputs": [{"name": "f", "datatype": "FP64", "shape": [-1]}],
            "outputs": [{"name": "predict", "datatype": "FP64", "shape": [-1]}],
        }
        assert client.get(f"{path}/ready").json == {"name": "diabetes", "ready": True}
    document = mixed.get("/v2/models/mixed").json
    assert document is not None
    assert [entry["datatype"] for entry in document["inputs"]] == [
        *("FP64", "FP64", "INT64", "BYTES", "BYTES", "BOOL")
    ]
    assert document["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]},
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", f"{MODEL}/versions/2", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/nope", 404),
        ("GET", f"{MODEL}/config", 404),
        ("GET", INFER, 405),
        ("DELETE", "/v2", 405),
    ],
)
def test_errors_are_the_protocols(
    client: FlaskClient, method: str, path: str, status: HTTPStatus
) -> None:
    assert_error(client.open(path, method=method), status, "")


TAKEN = [
    tensor(),
    tensor(shape=[2, 1]),
    tensor(shape=[2, 1], data=[[0.05], [1]]),
    tensor(datatype="FP32"),
    tensor(name="input", shape=[2, 1]),
    tensor(name="input", shape=[2, 1], data=[[0.05], [1]]),
]


@pytest.mark.parametrize("given", TAKEN, ids=str)
def test_tensors_are_answered(client: FlaskClient, given: Any) -> None:
    for path in (INFER, f"{MODEL}/versions/1/infer"):
        response = client.post(path, json=asked(given, id="abc"))
        assert response.json == {
            "model_name": "diabetes",
            "model_version": "1",
            "id": "abc",
            "outputs": [
                {"name": "predict", "datatype": "FP64", "shape": [2], "data": expected(0.05, 1)}
            ],
        }


FORMATS = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def binary(document: Any, *parts: bytes) -> dict[str, Any]:
    head = json.dumps(document).encode()
    return {"data": head + b"".join(parts), "headers": {HEADER: str(len(head))}}


def sized(size: int, **fields: Any) -> dict[str, Any]:
    given = tensor(**fields)
    del given["data"]
    return {**given, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize("datatype", FORMATS)
def test_each_numeric_datatype_as_json_and_as_binary_data(
    client: FlaskClient, datatype: str
) -> None:
    answer = expected(1, 2, 3)
    given = tensor(datatype=datatype, data=[1, 2, 3])
    document = client.post(INFER, json=asked(given)).json
    assert document is not None
    assert document["outputs"][0]["data"] == answer
    data = struct.pack(f"<3{FORMATS[datatype]}", 1, 2, 3)
    request = asked(
        sized(len(data), datatype=datatype, data=[1, 2, 3]),
        outputs=[{"name": "predict", "parameters": {"binary_data": True}}],
    )
    response = client.post(INFER, **binary(request, data))
    assert response.content_type == "application/octet-stream"
    length = int(response.headers[HEADER])
    head = json.loads(response.data[:length])
    assert head["outputs"] == [
        {
            "name": "predict",
            "datatype": "FP64",
            "shape": [3],
            "parameters": {"binary_data_size": 24},
        }
    ]
    assert list(struct.unpack("<3d", response.data[length:])) == answer


def test_one_tensor_for_many_features(built: Callable[..., Path]) -> None:
    client = create_app({"MODEL_FOLDER": str(built(models.several))}).test_client()
    frame = models.several().frame.iloc[:4]
    given = tensor("x", data=frame.to_numpy().ravel().tolist(), shape=[4, 3])
    document = client.post("/v2/models/several/infer", json=asked(given)).json
    assert document is not None
    (output,) = document["outputs"]
    assert output["shape"] == [4, 3]
    predicted = models.several().estimator.predict(frame)
    assert np.allclose(np.reshape(output["data"], (4, 3)), predicted)
    each = [tensor(name, data=frame[name].tolist()) for name in reversed(frame.columns)]
    assert client.post("/v2/models/several/infer", json=asked(*each)).json == document


def penguin(**changes: Any) -> list[Any]:
    values = {
        "bill_mm": ("FP64", 39.1),
        "body_g": ("FP64", None),
        "age": ("INT64", 3),
        "island": ("BYTES", "Dream"),
        "sex": ("BYTES", "male"),
        "tagged": ("BOOL", True),
    } | changes
    return [tensor(name, datatype, data=[value]) for name, (datatype, value) in values.items()]


def test_all_kinds_of_features_labels_and_probabilities(mixed: FlaskClient) -> None:
    document = mixed.post("/v2/models/mixed/infer", json=asked(*penguin())).json
    assert document is not None
    label, likely = document["outputs"]
    assert (label["datatype"], label["shape"]) == ("BYTES", [1])
    assert likely["shape"] == [1, 3]
    assert models.SPECIES[int(np.argmax(likely["data"]))] == label["data"][0]
    only = mixed.post(
        "/v2/models/mixed/infer", json=asked(*penguin(), outputs=[{"name": "predict_proba"}])
    ).json
    assert only is not None
    assert only["outputs"] == [likely]
    # NaN and an empty text represent missing values.
    data = struct.pack("<d", float("nan")) + struct.pack("<I", 0)
    inputs = [
        sized(8, name=entry["name"], data=[0])
        if entry["name"] == "body_g"
        else sized(4, name="sex", datatype="BYTES", data=[0])
        if entry["name"] == "sex"
        else entry
        for entry in penguin()
    ]
    with_binary = mixed.post("/v2/models/mixed/infer", **binary(asked(*inputs), data))
    missing = mixed.post("/v2/models/mixed/infer", json=asked(*penguin(sex=("BYTES", None))))
    assert with_binary.status_code == 200
    assert with_binary.json == missing.json
    labels = mixed.post(
        "/v2/models/mixed/infer", json=asked(*penguin(), parameters={"binary_data_output": True})
    )
    length = int(labels.headers[HEADER])
    size = len(label["data"][0])
    assert labels.data[length:].startswith(struct.pack("<I", size) + label["data"][0].encode())


TEXT = tensor(datatype="BYTES", data=["x"])
REFUSED = [
    ({}, "inputs must be a list of at least one tensor."),
    (asked(), "inputs must be a list of at least one tensor."),
    ([], "The request must be a JSON object."),
    (asked(1), "Each of inputs must be an object with a name."),
    (asked(tensor(), id=1), "id must be a string."),
    (asked(tensor(), parameters=1), "parameters of the request must be an object."),
    (asked(tensor(), parameters={"binary_data_output": 1}), "binary_data_output must be true or"),
    (asked(tensor(parameters=[])), "parameters of input f must be an object."),
    (asked(tensor(datatype="FP8")), "Input f must have one of the datatypes BOOL, UINT8,"),
    (asked(tensor(shape=[])), "Input f must have a shape"),
    (asked(tensor(shape=[-1])), "Input f must have a shape"),
    (asked(tensor(shape=[3])), "Input f has 2 elements where its shape says 3."),
    (asked(tensor(shape=[1, 2])), "must have the shape"),
    (asked(tensor(shape=[2, 1, 1])), "Input f must have the shape [2] or [2, 1], not [2, 1, 1]."),
    (asked(tensor(name="x", shape=[1, 2])), "Input x must have the shape [rows, 1]: f."),
    (asked(tensor(name="x")), "inputs must be f, not x; or one of the shape [rows, 1]."),
    (asked(tensor(), tensor()), "Two inputs have the same name."),
    (asked(tensor(), tensor("g")), "inputs must be f, not f, g"),
    (asked(TEXT), "Input f must have one of the datatypes FP16,"),
    (asked(tensor(data=["x"])), "Input f has data that is not FP64."),
    (asked(tensor(datatype="INT8", data=[0.5])), "Input f has data that is not INT8."),
    (asked(tensor(datatype="BOOL", data=[1])), "Input f has data that is not BOOL."),
    (asked(tensor(data={})), "Input f must have its data in a list."),
    (asked(tensor(data=[[1], 2], shape=[2])), "Input f has data that is not FP64."),
    (asked(tensor(data=[None])), "1 rows cannot be predicted: row 0: f is missing."),
    (asked(tensor(data=[1e308])), "beyond the largest number"),
    (asked(tensor(), outputs=1), "outputs must be a list."),
    (asked(tensor(), outputs=[{"name": "x"}]), "with a name of predict."),
    (asked(tensor(), outputs=[{"name": "predict_proba"}]), "with a name of predict."),
    (asked(tensor(parameters={"binary_data_size": 8})), "binary_data_size of input f must be"),
    (asked(tensor(parameters={"binary_data_size": 0})), "have either data or binary data."),
]


@pytest.mark.parametrize(("document", "error"), REFUSED, ids=[text for _, text in REFUSED])
def test_a_bad_request_is_refused(client: FlaskClient, document: Any, error: str) -> None:
    assert_error(client.post(INFER, json=document), HTTPStatus.BAD_REQUEST, error)


BAD_BINARY = [
    (asked(sized(8)), b"\0" * 8, "Input f has 8 bytes of binary data where 16 are needed."),
    (asked(sized(16)), b"\0" * 15, "binary_data_size of input f must be"),
    (asked(sized(16)), b"\0" * 17, "1 bytes of binary data belong to no input."),
    (asked(sized(-1)), b"", "binary_data_size of input f must be"),
    (asked(sized(16)), struct.pack("<2d", 1, float("inf")), "row 1: f is not a finite number"),
    (asked(sized(16)), struct.pack("<2d", 1, float("nan")), "row 1: f is missing"),
    (asked(sized(3, datatype="BYTES")), b"\0" * 3, "ends within an element's length."),
    (asked(sized(5, datatype="BYTES")), b"\2\0\0\0x", "ends within an element."),
    (asked(sized(5, datatype="BYTES")), b"\1\0\0\0\xff", "has an element that is not UTF-8."),
    (asked(sized(5, datatype="BYTES")), b"\1\0\0\0x", "1 elements of binary data where 2 are"),
]


@pytest.mark.parametrize(("document", "data", "error"), BAD_BINARY, ids=[b[2] for b in BAD_BINARY])
def test_bad_binary_data_is_refused(
    client: FlaskClient, document: Any, data: bytes, error: str
) -> None:
    assert_error(client.post(INFER, **binary(document, data)), HTTPStatus.BAD_REQUEST, error)


@pytest.mark.parametrize("length", ["x", "-1", "99999", "1" * 5000, "1.0", "٣"])
def test_a_bad_header_length_is_refused(client: FlaskClient, length: str) -> None:
    response = client.post(
        INFER,
        data=json.dumps(asked(tensor())),
        environ_overrides={"HTTP_INFERENCE_HEADER_CONTENT_LENGTH": length},
    )
    assert_error(response, HTTPStatus.BAD_REQUEST, HEADER)


def test_other_bodies_are_refused(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_error(client.post(INFER, data=b"\xff"), HTTPStatus.BAD_REQUEST, "is not JSON")
    compressed = client.post(INFER, data=b"x", headers={"Content-Encoding": "gzip"})
    assert_error(compressed, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is.")
    monkeypatch.setattr(json_batches, "DOCUMENT_VALUES", 100)
    many = asked(sized(101, datatype="INT8", shape=[101]))
    assert_error(client.post(INFER, **binary(many, b"\0" * 101)), 413, "more than 100 values")


def test_no_rows(client: FlaskClient) -> None:
    document = client.post(INFER, json=asked(tensor(data=[]))).json
    assert document is not None
    assert document["outputs"][0]["data"] == []
