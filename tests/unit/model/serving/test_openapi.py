"""The API's description: valid, about this model, and true of what the service does."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from model.service.serving.app import create_app
from model.service.serving.front import Front
from model.service.serving.request_log import RequestLog
from support import models

MODELS = ("line", "mixed", "several")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 7
PATHS = [
    *("/isAlive", "/prediction", "/prediction/", "/v1/predictions"),
    *("/v2", "/v2/health/live", "/v2/health/ready"),
    *(
        f"/v2/models/{{name}}{infix}{end}"
        for infix in ("", "/versions/{version}")
        for end in ("", "/ready", "/infer")
    ),
    *("/", "/docs", "/model", "/openapi.json", "/metrics", "/model/plots/{name}"),
]

WITH_INPUTS = {path for path in PATHS if path.startswith("/pred") or "{" in path} | {
    "/v1/predictions"
}


@pytest.fixture(params=MODELS, scope="module")
def app(request: pytest.FixtureRequest, built: Callable[..., Path]) -> Any:
    return create_app({"MODEL_FOLDER": str(built(getattr(models, request.param)))})


@pytest.fixture
def client(app: Any) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get("/openapi.json").data)
    return found


def test_it_is_valid_and_complete(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1.")
    assert sorted(document["paths"]) == sorted(PATHS)
    operations = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert operation["responses"]["405"]


@pytest.mark.parametrize("app", ["line", "mixed"], indirect=True)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_service_does_what_it_says(app: Any, mode: GenerationMode) -> None:
    """Valid and invalid requests cause no server errors, only responses as described."""
    front = Front(
        app,
        app.extensions["predictor"],
        app.extensions["metrics"],
        RequestLog(lambda _: None, requests=False),
        max_body_bytes=1 << 20,
        concurrency=1,
    )
    schema = schemathesis.openapi.from_wsgi("/openapi.json", front)
    asked = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        strategy = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def ask(case: Any) -> None:
            case.validate_response(case.call(), checks=CHECKS)

        # An operation without inputs has no invalid requests.
        with contextlib.suppress(Unsatisfiable):
            ask()
            asked.add(operation.path)
    if mode is GenerationMode.POSITIVE:
        # schemathesis omits the path that it read the description from.
        assert sorted(asked) == sorted({*PATHS} - {"/openapi.json"})
    else:
        assert asked >= WITH_INPUTS


def test_its_examples_are_answered_as_it_says(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    operation = document["paths"]["/v1/predictions"]["post"]
    answers = operation["responses"]["200"]["content"]
    given = operation["requestBody"]["content"]
    for example in given["application/json"]["examples"].values():
        answer = client.post("/v1/predictions", json=example["value"]).json
        assert answer == answers["application/json"]["examples"]["predictions"]["value"]
    table = given["text/csv"]["examples"]["table"]["value"]
    response = client.post("/v1/predictions", data=table, content_type="text/csv")
    assert response.text == answers["text/csv"]["examples"]["table"]["value"]
    for path, entry in document["paths"].items():
        if path.endswith("/infer"):
            names = {parameter["name"]: parameter for parameter in entry["parameters"]}
            url = path.format(**{name: names[name]["example"] for name in names})
            given = entry["post"]["requestBody"]["content"]["application/json"]
            answers = entry["post"]["responses"]["200"]["content"]["application/json"]
            (request,), (answer,) = (part["examples"].values() for part in (given, answers))
            assert client.post(url, json=request["value"]).json == answer["value"]
    parameters = document["paths"]["/prediction"]["get"]["parameters"]
    query = {
        parameter["name"]: str(parameter["example"]).replace("True", "true")
        for parameter in parameters
        if parameter["example"] is not False
    } | {parameter["name"]: "false" for parameter in parameters if parameter["example"] is False}
    response = client.get("/prediction", query_string=query)
    content = document["paths"]["/prediction"]["get"]["responses"]["200"]["content"]
    assert response.text == content["text/plain"]["example"]


def test_features_are_described(built: Callable[..., Path]) -> None:
    app = create_app({"MODEL_FOLDER": str(built(models.mixed))})
    schemas = app.extensions["openapi"]()["components"]["schemas"]
    record = schemas["Record"]
    assert list(record["properties"]) == [*("bill_mm", "body_g", "age", "island", "sex", "tagged")]
    assert "body_g" not in record["required"]
    assert record["properties"]["body_g"]["type"] == ["number", "null"]
    assert record["properties"]["age"]["type"] == "integer"
    assert record["properties"]["tagged"]["type"] == "boolean"
    assert "Biscoe, Dream, Torgersen" in record["properties"]["island"]["description"]
    assert "values from 1 to 14" in record["properties"]["age"]["description"]
    prediction = schemas["Predictions"]["properties"]["predictions"]["items"]["anyOf"][0]
    assert prediction == {"enum": list(models.SPECIES)}
    assert schemas["Predictions"]["properties"]["classes"] == {"const": list(models.SPECIES)}
