"""The HTTP API through Flask's client."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask import abort
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from model.service.contract.card import ArtifactError
from model.service.contract.features import Feature
from model.service.contract.predictor import Predictor
from model.service.serving.app import create_app
from model.service.serving.problem import CONTENT_TYPE, problem


@pytest.fixture
def client(model_folder: Path) -> FlaskClient:
    return create_app({"MODEL_FOLDER": str(model_folder)}).test_client()


def assert_problem(response: TestResponse, status: HTTPStatus) -> dict[str, Any]:
    assert response.status_code == status
    assert response.content_type == CONTENT_TYPE
    document: dict[str, Any] = json.loads(response.data)
    assert document["status"] == status
    assert document["type"]
    assert document["title"]
    assert document["detail"]
    return document


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/isAlive", "true"),
        ("/prediction/?f=0.05", "[199.60524718]"),
        ("/prediction?f=0.05", "[199.60524718]"),
    ],
)
def test_answers(client: FlaskClient, path: str, text: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.text) == (200, text)
    assert response.content_type == "text/plain; charset=utf-8"
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.content_length == len(text)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "is missing: give a number, as in ?f=0.05"),
        ("?f=", "is not a decimal number such as 0.05, -1 or 5e-2"),
        ("?f=1&f=2", "is given 2 times: give it once"),
        ("?f=nan", "is not a decimal number such as 0.05, -1 or 5e-2"),
        ("?f=1e308", "is too large: the prediction is beyond the largest number"),
        ("?f=" + "9" * 9_999, "is longer than 64 characters"),
    ],
)
@pytest.mark.parametrize("path", ["/prediction/", "/prediction"])
def test_a_bad_parameter_is_a_problem_that_names_it(
    client: FlaskClient, path: str, query: str, detail: str
) -> None:
    document = assert_problem(client.get(path + query), HTTPStatus.BAD_REQUEST)
    assert document == {
        "type": "tag:docker-ml-api,2026:invalid-parameters",
        "title": "Invalid query parameters",
        "status": 400,
        "detail": f"Query parameter f {detail}.",
        "errors": [{"parameter": "f", "detail": detail}],
    }


@pytest.mark.parametrize(
    "path",
    ["/nope", "/isalive", "/isAlive/", "/prediction/1", "/prediction//", "/static/x", "/%00"],
)
def test_another_path_is_not_found(client: FlaskClient, path: str) -> None:
    document = assert_problem(client.get(path), HTTPStatus.NOT_FOUND)
    assert (document["type"], document["title"]) == ("about:blank", "Not Found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/isAlive", "/prediction/?f=0.05", "/prediction"])
def test_another_method_is_not_allowed(client: FlaskClient, path: str, method: str) -> None:
    response = client.open(path, method=method)
    document = assert_problem(response, HTTPStatus.METHOD_NOT_ALLOWED)
    assert document["title"] == "Method Not Allowed"
    assert response.allow.as_set() == {"get", "head", "options"}


class Broken:
    """A model that fails with an unexpected exception."""

    features = (Feature(name="f", column="f", kind="number"),)
    form = "estimator"
    task = "regression"
    outputs = 1
    classes = ()
    weighted_sum = None

    def text(self, row: object) -> str:
        raise RuntimeError(f"secret {row}")

    def predict(self, columns: object) -> Any:
        raise RuntimeError(f"secret {columns}")


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("GET", "/prediction/?f=1", None),
        ("POST", "/v1/predictions", {"columns": {"f": [1.0]}}),
    ],
)
def test_an_unforeseen_error_is_a_problem_and_is_logged(
    caplog: pytest.LogCaptureFixture, method: str, path: str, document: Any
) -> None:
    client = create_app(predictor=Broken()).test_client()
    response = client.open(
        path, method=method, json=document, environ_overrides={"prediction.request_id": "id-1"}
    )
    assert assert_problem(response, HTTPStatus.INTERNAL_SERVER_ERROR)["request_id"] == "id-1"
    assert "secret" not in response.text
    assert "RuntimeError: secret [" in caplog.text


def test_headers_of_an_error_stay(predictor: Predictor) -> None:
    app = create_app(predictor=predictor)
    app.add_url_rule("/busy", "busy", lambda: abort(503, description="Come back later."))
    app.add_url_rule("/own", "own", lambda: abort(app.response_class("x", 418, {"X-Own": "1"})))
    assert (
        assert_problem(app.test_client().get("/busy"), HTTPStatus.SERVICE_UNAVAILABLE)["detail"]
        == "Come back later."
    )
    response = app.test_client().get("/own")
    assert (response.status_code, response.text, response.headers["X-Own"]) == (418, "x", "1")


def test_the_model_is_loaded_once_and_at_start(model_folder: Path, tmp_path: Path) -> None:
    for file in model_folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    client = create_app({"MODEL_FOLDER": str(tmp_path)}).test_client()
    for file in tmp_path.iterdir():
        file.unlink()
    assert client.get("/prediction/?f=0.05").text == "[199.60524718]"
    with pytest.raises(ArtifactError, match="There is no"):
        create_app({"MODEL_FOLDER": str(tmp_path)})


def test_settings_come_from_the_prefixed_environment(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICTION_MODEL_FOLDER", str(model_folder))
    monkeypatch.setenv("PREDICTION_THREADS", "7")
    app = create_app()
    assert app.config["THREADS"] == 7
    assert app.test_client().get("/prediction/?f=0.05").text == "[199.60524718]"


def test_a_problem_without_a_type_of_its_own_has_the_statuss_title() -> None:
    assert json.loads(problem(404, "Gone fishing.")) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Gone fishing.",
    }
