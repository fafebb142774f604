"""POST /v1/predictions through Flask's client."""

import csv
import io
import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from model.service.serving import csv_batches, json_batches
from model.service.serving.app import create_app
from support import models

JSON, CSV = "application/json", "text/csv"
PATH = "/v1/predictions"


@pytest.fixture(scope="module")
def client(model_folder: Path) -> FlaskClient:
    return create_app({"MODEL_FOLDER": str(model_folder)}).test_client()


@pytest.fixture(scope="module")
def mixed(mixed_folder: Path) -> FlaskClient:
    return create_app({"MODEL_FOLDER": str(mixed_folder)}).test_client()


def send_csv(client: FlaskClient, table: str | bytes, accept: str = "*/*") -> TestResponse:
    return client.post(PATH, data=table, content_type=CSV, headers={"Accept": accept})


def assert_problem(response: TestResponse, status: HTTPStatus, detail: str) -> dict[str, Any]:
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    document: dict[str, Any] = json.loads(response.data)
    assert document["status"] == status
    assert detail in document["detail"]
    return document


@pytest.mark.parametrize(
    "document",
    [
        {"records": [{"f": 0.05}, {"f": -1}, {"f": 1e300}]},
        {"records": [{"f": 0.05, "g": "x"}, {"f": -1}, {"f": 1e300}], "probabilities": False},
        {"columns": {"f": [0.05, -1, 1e300]}},
        {"columns": {"f": [0.05, -1, 1e300], "other": [1]}},
    ],
)
def test_rows_are_answered_in_their_order(client: FlaskClient, document: Any) -> None:
    response = client.post(PATH, json=document)
    assert (response.status_code, response.content_type) == (200, JSON)
    expected = models.line().estimator.predict([[0.05], [-1], [1e300]])
    assert response.json == {"predictions": expected.tolist()}


def test_many_rows_are_what_the_estimator_predicts(client: FlaskClient) -> None:
    values = np.random.default_rng(7).normal(0, 0.05, 3000)
    expected = models.line().estimator.predict(values.reshape(-1, 1)).tolist()
    assert client.post(PATH, json={"columns": {"f": values.tolist()}}).json == {
        "predictions": expected
    }
    table = "f\n" + "\n".join(map(str, values)) + "\n"
    answer = csv.DictReader(io.StringIO(send_csv(client, table).text))
    assert [float(row["prediction"]) for row in answer] == expected


@pytest.mark.parametrize("document", [{"records": []}, {"columns": {"f": []}}])
def test_no_rows(client: FlaskClient, document: Any) -> None:
    assert client.post(PATH, json=document).json == {"predictions": []}


def test_a_row_that_cannot_be_predicted_does_not_fail_the_others(client: FlaskClient) -> None:
    records = [{"f": 0.05}, {}, {"f": "x"}, {"f": None}, {"f": 1e308}, {"f": 0.05}]
    response = client.post(PATH, json={"records": records})
    assert response.status_code == 200
    document = response.json
    assert document is not None
    good = document["predictions"][0]
    assert document["predictions"] == [good, None, None, None, None, good]
    assert document["error_count"] == 4
    assert [error["row"] for error in document["errors"]] == [1, 2, 3, 4]
    assert document["errors"][0] == {
        "row": 1,
        "errors": [{"parameter": "f", "detail": "is missing"}],
    }
    assert "beyond the largest number" in document["errors"][3]["errors"][0]["detail"]


def test_only_so_many_errors_are_listed(client: FlaskClient) -> None:
    document = client.post(PATH, json={"columns": {"f": [None] * 250}}).json
    assert document is not None
    assert (len(document["errors"]), document["error_count"]) == (100, 250)
    table = "f\n" + "x\n" * 70_000 + "1\n"
    document = send_csv(client, table, JSON).json
    assert document is not None
    assert (len(document["errors"]), document["error_count"]) == (100, 70_000)
    assert document["errors"][99]["row"] == 99
    assert document["predictions"][-2:] == [None, document["predictions"][-1]]


INVALID = [
    (b"", 400, "is not JSON"),
    (b"{", 400, "is not JSON"),
    (b"\xff", 400, "is not JSON"),
    (b'{"columns": {"f": [NaN]}}', 400, "is not JSON"),
    (b'{"columns": {"f": [1e400]}}', 400, "is not JSON"),
    (b"[" * 100_000, 400, "is not JSON"),
    (b"[]", 422, "must be an object"),
    (b"{}", 422, 'either "records" or "columns"'),
    (b'{"records": [], "columns": {}}', 422, 'either "records" or "columns"'),
    (b'{"records": [], "probabilites": true}', 422, "may only have records, columns, prob"),
    (b'{"records": {}}', 422, "records must be a list of objects."),
    (b'{"records": [{"f": 1}, [1]]}', 422, "Each of records must be an object."),
    (b'{"records": ["f"]}', 422, "Each of records must be an object."),
    (b'{"columns": []}', 422, "columns must be an object of lists."),
    (b'{"columns": {}}', 422, "columns must have a list for each feature."),
    (b'{"columns": {"f": 1}}', 422, "columns must have a list for each feature."),
    (b'{"records": [], "probabilities": 1}', 422, "probabilities must be true or false."),
    (b'{"records": [], "probabilities": true}', 422, "This model has no probabilities"),
]


@pytest.mark.parametrize(
    ("data", "status", "detail"), INVALID, ids=[str(i[0][:40]) for i in INVALID]
)
def test_a_document_of_another_shape_is_a_problem(
    client: FlaskClient, data: bytes, status: HTTPStatus, detail: str
) -> None:
    response = client.post(PATH, data=data, content_type=JSON)
    document = assert_problem(response, status, detail)
    assert document["type"] == "tag:docker-ml-api,2026:invalid-document"


def test_the_parts_at_fault_are_named(client: FlaskClient, mixed: FlaskClient) -> None:
    document = client.post(PATH, json={"records": [{}, 1, 2]}).json
    assert document is not None
    assert document["errors"] == [
        {"parameter": f"records/{row}", "detail": "is no object"} for row in (1, 2)
    ]
    lists = {name: [] for name in ("bill_mm", "body_g", "age", "island", "sex")}
    document = mixed.post(PATH, json={"columns": {**lists, "sex": 1}}).json
    assert document is not None
    assert document["errors"] == [
        {"parameter": "sex", "detail": "is not a list"},
        {"parameter": "tagged", "detail": "is no column"},
    ]
    document = mixed.post(PATH, json={"columns": {**lists, "tagged": [True]}}).json
    assert document is not None
    assert document["detail"] == "All columns must have the same length."
    assert document["errors"][-1] == {"parameter": "tagged", "detail": "has 1 values"}


NEGOTIATED = [
    (JSON, None, JSON),
    (JSON, "*/*", JSON),
    (JSON, "text/html, */*;q=0.1", JSON),
    (JSON, CSV, CSV),
    (JSON, "text/*", CSV),
    (JSON, "application/json;q=0.1, text/csv", CSV),
    (CSV, None, CSV),
    (CSV, "", CSV),
    (CSV, "text/csv, application/json", CSV),
    (CSV, JSON, JSON),
    ("application/json; charset=UTF-8", None, JSON),
    ("text/csv; charset=utf-8; header=present", None, CSV),
]
BODIES = {JSON: '{"columns": {"f": [0.05, null]}}', CSV: "f\n0.05\n\n"}


@pytest.mark.parametrize(("given", "accept", "answered"), NEGOTIATED)
def test_json_or_csv_in_and_out(
    client: FlaskClient, given: str, accept: str | None, answered: str
) -> None:
    body = BODIES[given.partition(";")[0]]
    headers = {} if accept is None else {"Accept": accept}
    response = client.post(PATH, data=body, content_type=given, headers=headers)
    assert response.status_code == 200
    assert response.mimetype == answered
    assert response.content_length == len(response.data)
    if answered == JSON:
        assert json.loads(response.data)["error_count"] == 1
    else:
        assert response.text.startswith("prediction,error\n199.605")
        assert response.text.endswith(",\n,f is missing\n")


@pytest.mark.parametrize(
    ("given", "headers", "status", "detail"),
    [
        ("", {}, 415, "Content-Type must be application/json or text/csv, not ''."),
        ("text/plain", {}, 415, "Content-Type must be"),
        ("application/x-www-form-urlencoded", {}, 415, "Content-Type must be"),
        ("text/csv; charset=latin-1", {}, 415, "The charset must be utf-8, not 'latin-1'."),
        (JSON, {"Content-Encoding": "gzip"}, 415, "Content-Encoding 'gzip' is not supported"),
        (CSV, {"Content-Encoding": "br"}, 415, "Content-Encoding 'br' is not supported"),
        (JSON, {"Accept": "image/png"}, 406, "application/json or text/csv, as Accept wants"),
        (CSV, {"Accept": "text/html"}, 406, "application/json or text/csv, as Accept wants"),
    ],
)
def test_other_types_are_refused(
    client: FlaskClient, given: str, headers: dict[str, str], status: HTTPStatus, detail: str
) -> None:
    response = client.post(PATH, data=b"f\n1\n", content_type=given, headers=headers)
    assert_problem(response, status, detail)


@pytest.mark.parametrize("table", ["g\n1\n", 'f\n"1\n', "f\n1\n" * 30_000 + '"'])
@pytest.mark.parametrize("accept", [JSON, CSV])
def test_a_broken_table_is_a_problem_wherever_it_is_broken(
    client: FlaskClient, table: str, accept: str
) -> None:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if table.startswith("g") else HTTPStatus.BAD_REQUEST
    assert_problem(send_csv(client, table, accept), status, "ine")


PENGUINS = [
    {"bill_mm": 39.1, "body_g": None, "age": 3, "island": "Dream", "sex": None, "tagged": True},
    {"bill_mm": 50, "body_g": 5400.0, "age": 2, "island": "Biscoe", "sex": "male", "tagged": False},
]


def test_features_of_all_kinds_and_probabilities(mixed: FlaskClient) -> None:
    estimator = models.mixed().estimator
    frame = models.mixed().frame.iloc[:0].reindex(range(2))
    frame = frame.assign(
        **{
            name: np.array([row[name] for row in PENGUINS], dtype)
            for name, dtype in (
                ("bill_mm", float), ("body_g", float), ("age", int),
                ("island", object), ("sex", object), ("tagged", bool),
            )
        }
    )  # fmt: skip
    records = {"records": PENGUINS, "probabilities": True}
    columns = {name: [row[name] for row in PENGUINS] for name in PENGUINS[0]}
    for document in (records, {"columns": columns, "probabilities": True}):
        answer = mixed.post(PATH, json=document).json
        assert answer is not None
        assert answer["predictions"] == estimator.predict(frame).tolist()
        assert answer["classes"] == list(models.SPECIES)
        assert np.allclose(answer["probabilities"], estimator.predict_proba(frame), atol=1e-6)
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=PENGUINS[0])
    writer.writeheader()
    writer.writerows(PENGUINS)
    response = mixed.post(f"{PATH}?probabilities=true", data=table.getvalue(), content_type=CSV)
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["prediction"] for row in rows] == estimator.predict(frame).tolist()
    assert [float(row["probability_gentoo"]) for row in rows] == pytest.approx(
        estimator.predict_proba(frame)[:, 2], abs=1e-6
    )
    as_document = mixed.post(
        f"{PATH}?probabilities=true",
        data=table.getvalue(),
        content_type=CSV,
        headers={"Accept": JSON},
    )
    assert as_document.json == answer


def test_probabilities_of_rows_without_a_prediction_are_null(mixed: FlaskClient) -> None:
    bad = {**PENGUINS[0], "age": 1.5, "tagged": None}
    answer = mixed.post(PATH, json={"records": [bad, PENGUINS[1]], "probabilities": True}).json
    assert answer is not None
    assert answer["probabilities"][0] is None
    assert sum(answer["probabilities"][1]) == pytest.approx(1)
    assert [error["parameter"] for error in answer["errors"][0]["errors"]] == ["age", "tagged"]
    response = mixed.post(f"{PATH}?probabilities=perhaps", data="f\n", content_type=CSV)
    assert_problem(response, HTTPStatus.BAD_REQUEST, "probabilities is not true or false")


def test_several_outputs(built: Callable[..., Path]) -> None:
    client = create_app({"MODEL_FOLDER": str(built(models.several))}).test_client()
    frame = models.several().frame.iloc[:3]
    expected = models.several().estimator.predict(frame)
    answer = client.post(PATH, json={"columns": frame.to_dict("list")}).json
    assert answer is not None
    assert np.allclose(answer["predictions"], expected)
    rows = csv.reader(io.StringIO(send_csv(client, frame.to_csv(index=False)).text))
    assert next(rows) == ["prediction_1", "prediction_2", "prediction_3", "error"]
    assert np.allclose([list(map(float, row[:3])) for row in rows], expected)


def test_documents_are_limited_and_tables_are_not(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_batches, "DOCUMENT_VALUES", 1000)
    monkeypatch.setattr(json_batches, "DOCUMENT_BYTES", 10_000)
    monkeypatch.setattr(json_batches, "LARGE_BYTES", 10)
    rows = {"columns": {"f": [0] * 1000}}
    assert client.post(PATH, json=rows).status_code == 200
    rows["columns"]["f"].append(0)
    assert_problem(client.post(PATH, json=rows), 413, "more than 1000 values: send the rows in")
    long = {"columns": {"f": [0.123456789] * 900}}
    assert_problem(client.post(PATH, json=long), 413, "larger than 10000 bytes: send the rows in")
    assert send_csv(client, "f\n" + "0.123456789\n" * 2000).text.count("\n") == 2001
    monkeypatch.setattr(json_batches, "ANSWER_BYTES", 1000)
    assert_problem(send_csv(client, "f\n" + "0\n" * 2000, JSON), 413, "accept text/csv")


def chunked(data: bytes) -> dict[str, Any]:
    """Return the WSGI environment of a body without a Content-Length."""
    return {
        "wsgi.input": io.BytesIO(data),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_LENGTH": "",
    }


def test_a_body_without_a_length(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    body = BODIES[JSON].encode()
    response = client.post(PATH, content_type=JSON, environ_overrides=chunked(body))
    assert json.loads(response.data)["error_count"] == 1
    monkeypatch.setattr(json_batches, "DOCUMENT_BYTES", len(body) - 1)
    response = client.post(PATH, content_type=JSON, environ_overrides=chunked(body))
    assert_problem(response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "larger than")


@pytest.mark.parametrize("given", [JSON, CSV])
def test_a_body_that_ends_early_is_not_answered(client: FlaskClient, given: str) -> None:
    cut = {"CONTENT_LENGTH": "500", "wsgi.input_terminated": True}
    response = client.post(PATH, data=BODIES[given], content_type=given, environ_overrides=cut)
    assert_problem(response, HTTPStatus.BAD_REQUEST, "bytes that Content-Length announced")


def test_an_answer_that_is_too_long_to_keep_begins_before_the_table_has_ended(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_batches, "READ_BYTES", 100)
    monkeypatch.setattr(csv_batches, "KEPT_BYTES", 1000)
    response = send_csv(client, "f\n" + "0.05\n" * 2000)
    assert response.content_length is None
    assert response.text.count("\n199.605") == 2000


def test_what_is_counted(model_folder: Path) -> None:
    app = create_app({"MODEL_FOLDER": str(model_folder)})
    client = app.test_client()
    client.post(PATH, json={"columns": {"f": [0.05, 0.05, None, 99.0]}})
    send_csv(client, "f\n0.05\nx\n99\n")
    text = app.extensions["metrics"].exposition("")[0].decode()
    assert "\npredictions_total 5.0\n" in text
    assert "\nprediction_rejected_rows_total 2.0\n" in text
    assert '\nprediction_input_out_of_range_total{feature="f"} 2.0\n' in text
