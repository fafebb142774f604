"""The OpenAPI 3.1 document of the API, for the features of the served model."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.service.contract.features import Feature
from model.service.contract.predictor import Predictor
from model.service.serving import batches, csv_batches, problem, tensors
from model.service.serving.answer import LEAST_INTEGER, MOST_INTEGER
from model.service.serving.api import inference
from model.service.serving.api.documents import FORMATS
from model.service.serving.json_batches import DOCUMENT_BYTES, DOCUMENT_VALUES, MOST_ERRORS

Schema = dict[str, Any]

JSON, CSV, TEXT, HTML = "application/json", "text/csv", "text/plain", "text/html"
ROWS = 2  # in the examples

# Status: name and description of the error response.
PROBLEMS = {
    "400": ("BadRequest", "What was sent cannot be read."),
    "404": ("NotFound", "There is no such thing."),
    "405": ("MethodNotAllowed", "The path does not take this method; `Allow` names those it does."),
    "406": ("NotAcceptable", "The answer cannot be what `Accept` wants."),
    "413": ("ContentTooLarge", "More was sent than the service takes at once."),
    "415": ("UnsupportedMediaType", "The body is of a type that the service does not read."),
    "422": ("InvalidDocument", "The document does not have the shape that the operation takes."),
    "500": ("ServerError", "The service failed; its log tells more under the request's id."),
    "503": ("Busy", "Too many requests are under way: try again when `Retry-After` says."),
}
KINDS: Mapping[str, Schema] = {
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "category": {"type": "string"},
    "text": {"type": "string"},
}


def document(card: Mapping[str, Any], predictor: Predictor) -> dict[str, Any]:
    """Return the OpenAPI document."""
    maker = _Maker(card, predictor)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Predictions of the model {card['name']}",
            "version": str(card["version"]),
            "description": _about(card),
        },
        "tags": [
            {"name": "predictions", "description": "Ask the model."},
            {
                "name": "inference",
                "description": (
                    "The Open Inference Protocol (v2), for clients of KServe, Triton and the like. "
                    "Its errors are objects with one sentence: `error`."
                ),
            },
            {"name": "documents", "description": "What is known about the model and the service."},
        ],
        "paths": maker.paths(),
        "components": {
            "schemas": maker.schemas(),
            "responses": _problem_responses(),
            "headers": _headers(),
            "parameters": {"RequestId": _request_id()},
        },
    }


def example_value(feature: Feature) -> Any:
    """Return a typical value of a feature."""
    if feature.is_numeric:
        value = feature.median if feature.median is not None else 0.0
        return round(value) if feature.kind == "integer" else value
    shares = dict(zip(feature.categories, feature.shares, strict=False))
    usual = max(feature.categories, key=lambda name: shares.get(name, 0.0), default="")
    if feature.kind == "boolean":
        return usual == "true"
    return usual or "text"


def value_schema(feature: Feature) -> Schema:
    """Return the schema of a feature's values."""
    schema: Schema = dict(KINDS[feature.kind])
    if feature.kind == "integer":
        schema |= {"minimum": LEAST_INTEGER, "maximum": MOST_INTEGER}
    if feature.kind in ("category", "text"):
        schema["maxLength"] = feature.longest
    if feature.closed:
        schema["enum"] = list(feature.categories)
    if feature.nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    schema["description"] = _described(feature)
    schema["examples"] = [example_value(feature)]
    return schema


def _described(feature: Feature) -> str:
    parts = []
    if feature.column != feature.name:
        parts.append(f"The training data's column {feature.column}.")
    if feature.least is not None and feature.most is not None:
        told = f"The training data has values from {feature.least:.6g} to {feature.most:.6g}"
        if feature.median is not None:
            told += f", half of them up to {feature.median:.6g}"
        parts.append(told + ".")
    elif feature.categories and feature.kind != "boolean":
        parts.append(f"The training data has {feature.named}.")
    if feature.nullable:
        parts.append("May be missing.")
    return " ".join(parts) or f"The training data's column {feature.column}."


def _about(card: Mapping[str, Any]) -> str:
    # The class name only: the card contains all parts and parameters.
    estimator = str(card.get("estimator", "")).partition("(")[0]
    parts = [f"`{estimator}`"] if estimator else []
    if card.get("target"):
        parts.append(f"Predicts: {card['target']}.")
    if card.get("dataset"):
        parts.append(f"Trained on: {card['dataset']}.")
    parts.append(
        "Errors are problem details (RFC 9457). Each answer has an `X-Request-ID`: the client's "
        "own if it sent one."
    )
    return "\n\n".join(parts)


class _Maker:
    """Creates the parts of the document that depend on the model."""

    def __init__(self, card: Mapping[str, Any], predictor: Predictor) -> None:
        self._card = card
        self._predictor = predictor
        self._features = predictor.features
        self._name, self._version = str(card["name"]), str(card["version"])
        self._values = [example_value(feature) for feature in self._features]
        columns = [[value] * ROWS for value in self._values]
        self._predicted = batches.predict(
            predictor, None, columns, ROWS, probabilities=bool(predictor.classes)
        )
        self._columns = {
            feature.name: column for feature, column in zip(self._features, columns, strict=True)
        }
        self._record = {
            feature.name: value for feature, value in zip(self._features, self._values, strict=True)
        }

    def paths(self) -> dict[str, Any]:
        """Return all paths."""
        return {
            "/isAlive": _path("get", self._alive()),
            "/prediction": _path("get", self._prediction("getPrediction")),
            "/prediction/": _path("get", self._prediction("getPredictionWithSlash")),
            "/v1/predictions": _path("post", self._predictions()),
            **self._inference_paths(),
            **self._document_paths(),
        }

    def schemas(self) -> dict[str, Schema]:
        """Return the schemas that paths refer to."""
        required = [feature.name for feature in self._features if not feature.nullable]
        names = [feature.name for feature in self._features]
        record: Schema = {
            "type": "object",
            "description": "One row: a value for each feature. Other members are ignored.",
            "properties": {feature.name: value_schema(feature) for feature in self._features},
            "examples": [self._record],
        }
        if required:
            record["required"] = required
        probabilities = {
            "type": "boolean",
            "default": False,
            "description": "Whether to tell the probability of each class, too.",
        }
        if not self._predictor.classes:
            probabilities |= {"const": False, "description": "This model has none."}
        return {
            "Record": record,
            "Records": {
                "type": "object",
                "required": ["records"],
                "additionalProperties": False,
                "properties": {
                    "records": {"type": "array", "items": _schema("Record")},
                    "probabilities": probabilities,
                },
            },
            "Columns": {
                "type": "object",
                "required": ["columns"],
                "additionalProperties": False,
                "properties": {
                    "columns": {
                        "type": "object",
                        "description": "A list for each feature, all of the same length.",
                        "required": names,
                        "properties": {
                            feature.name: {"type": "array", "items": value_schema(feature)}
                            for feature in self._features
                        },
                    },
                    "probabilities": probabilities,
                },
            },
            "Predictions": self._answer(),
            "RowErrors": {
                "type": "object",
                "required": ["row", "errors"],
                "properties": {
                    "row": {"type": "integer", "minimum": 0, "description": "The first is 0."},
                    "errors": {"type": "array", "items": _schema("ParameterError")},
                },
            },
            "ParameterError": {
                "type": "object",
                "required": ["parameter", "detail"],
                "properties": {
                    "parameter": {"type": "string", "description": "What is wrong."},
                    "detail": {"type": "string", "description": "What is wrong with it."},
                },
                "examples": [{"parameter": self._features[0].name, "detail": "is missing"}],
            },
            "Problem": _problem_schema(),
            **_inference_schemas(),
            "Card": {
                "type": "object",
                "required": ["name", "version", "features", "form"],
                "properties": {
                    "name": {"type": "string"},
                    "version": {"type": "string"},
                    "form": {"enum": ["coefficients", "onnx", "estimator"]},
                    "features": {"type": "array", "items": {"type": "object"}},
                },
            },
        }

    def _value(self) -> Schema:
        """Return the schema of one prediction."""
        classes = self._predictor.classes or self._card.get("classes")
        if classes:
            return {"enum": list(classes)}
        if self._predictor.task == "classification":
            return {"type": ["string", "integer", "number", "boolean"]}
        number: Schema = {"type": "number"}
        if (outputs := self._predictor.outputs) > 1:
            return {"type": "array", "items": number, "minItems": outputs, "maxItems": outputs}
        return number

    def _answer(self) -> Schema:
        properties: Schema = {
            "predictions": {
                "type": "array",
                "description": "In the order of the rows; null for a row that `errors` is about.",
                "items": {"anyOf": [self._value(), {"type": "null"}]},
            },
            "errors": {
                "type": "array",
                "description": f"The first {MOST_ERRORS} rows without a prediction.",
                "maxItems": MOST_ERRORS,
                "items": _schema("RowErrors"),
            },
            "error_count": {
                "type": "integer",
                "minimum": 1,
                "description": "How many rows have no prediction.",
            },
        }
        if classes := self._predictor.classes:
            properties["probabilities"] = {
                "type": "array",
                "description": "Of each class, in the order of `classes`; of each row.",
                "items": {
                    "type": ["array", "null"],
                    "items": {"type": "number"},
                    "minItems": len(classes),
                    "maxItems": len(classes),
                },
            }
            properties["classes"] = {"const": list(classes)}
        return {
            "type": "object",
            "required": ["predictions"],
            "properties": properties,
            "examples": [{"predictions": self._predicted.predictions}],
        }

    def _alive(self) -> Schema:
        return {
            "operationId": "isAlive",
            "tags": ["predictions"],
            "summary": "Is the service up?",
            "description": "For probes: answered without the model, and never refused.",
            "responses": {
                "200": _ok("The service is up.", {TEXT: _text({"const": "true"}, "true")}),
                **_problems("405"),
            },
        }

    def _prediction(self, operation: str) -> Schema:
        return {
            "operationId": operation,
            "tags": ["predictions"],
            "summary": "One prediction, as text",
            "description": (
                "The answer is what numpy prints of an array with one prediction. "
                "Other parameters are ignored."
            ),
            "parameters": [
                {
                    "name": feature.name,
                    "in": "query",
                    "required": not feature.nullable,
                    "description": _described(feature),
                    "schema": value_schema(feature) | {"type": KINDS[feature.kind]["type"]},
                    "example": example_value(feature),
                }
                for feature in self._features
            ],
            "responses": {
                "200": _ok("The prediction.", {TEXT: _text({"type": "string"}, self._printed())}),
                **_problems("400", "405", "500"),
            },
        }

    def _printed(self) -> str:
        if self._predicted.errors:
            return "[0.]"
        return self._predictor.text(self._values)

    def _predictions(self) -> Schema:
        csv_example = "".join(
            ",".join("" if cell is None else str(cell) for cell in row) + "\n"
            for row in (list(self._record), *([self._values] * ROWS))
        )
        table = csv_batches.Table(self._predictor, probabilities=False)
        answered = (table.begin() + table.block(self._predicted)).decode()
        return {
            "operationId": "predict",
            "tags": ["predictions"],
            "summary": "Predictions for many rows",
            "description": (
                "Rows as records, as columns, or as CSV with a header line (RFC 4180; columns "
                "that are no feature are ignored, an empty field is a missing value). The answer "
                "has a prediction for each row, in their order.\n\n"
                "A row that cannot be predicted does not fail the others: its prediction is "
                "null (CSV: empty), and `errors` (CSV: the column `error`) says why.\n\n"
                f"A JSON document may have {DOCUMENT_VALUES} values and {DOCUMENT_BYTES} bytes. "
                "CSV may have any number of rows within the limit for bodies: it is worked on "
                "as it comes. A very long answer may begin before the table has ended.\n\n"
                "`Accept` chooses between JSON and CSV; without it the answer is what the "
                "request is."
            ),
            "parameters": [
                {"$ref": "#/components/parameters/RequestId"},
                {
                    "name": "probabilities",
                    "in": "query",
                    "description": "Of a CSV request: whether to tell each class's probability.",
                    "schema": {"type": "boolean", "default": False}
                    if self._predictor.classes
                    else {"type": "boolean", "const": False},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": {"oneOf": [_schema("Records"), _schema("Columns")]},
                        "examples": {
                            "records": {"value": {"records": [self._record] * ROWS}},
                            "columns": {"value": {"columns": self._columns}},
                        },
                    },
                    CSV: {
                        "schema": {"type": "string"},
                        "examples": {"table": {"value": csv_example}},
                    },
                },
            },
            "responses": {
                "200": _ok(
                    "A prediction for each row.",
                    {
                        JSON: {
                            "schema": _schema("Predictions"),
                            "examples": {
                                "predictions": {
                                    "value": {"predictions": self._predicted.predictions}
                                }
                            },
                        },
                        CSV: {
                            "schema": {"type": "string"},
                            "examples": {"table": {"value": answered}},
                        },
                    },
                ),
                **_problems("400", "405", "406", "413", "415", "422", "500", "503"),
            },
        }

    def _inference_paths(self) -> dict[str, Any]:
        def get(operation: str, summary: str, schema: str, *errors: str) -> Schema:
            return {
                "operationId": operation,
                "tags": ["inference"],
                "summary": summary,
                "description": f"{summary}, as the protocol has it.",
                "responses": {
                    "200": _ok(f"{summary}.", {JSON: {"schema": _schema(schema)}}),
                    **_inference_errors(*errors),
                },
            }

        paths = {
            "/v2": _path("get", get("server", "What the server is", "Server", "405", "503")),
            "/v2/health/live": _path("get", get("live", "The server is up", "Live", "405", "503")),
            "/v2/health/ready": _path(
                "get", get("ready", "The server can predict", "Ready", "405", "503")
            ),
        }
        for infix, suffix in (("", ""), ("/versions/{version}", "OfVersion")):
            path = f"/v2/models/{{name}}{infix}"
            shared = [_path_parameter("name", self._name)]
            if infix:
                shared.append(_path_parameter("version", self._version))
            errors = ("404", "405", "503")
            for end, operation in (
                ("", get(f"model{suffix}", "What the model takes and gives", "Model", *errors)),
                (
                    "/ready",
                    get(f"modelReady{suffix}", "The model can predict", "ModelReady", *errors),
                ),
            ):
                paths[path + end] = _path("get", operation) | {"parameters": shared}
            paths[f"{path}/infer"] = _path("post", self._infer(f"infer{suffix}")) | {
                "parameters": shared
            }
        return paths

    def _infer(self, operation: str) -> Schema:
        request = {
            "inputs": [
                {
                    "name": feature.name,
                    "shape": [ROWS],
                    "datatype": inference.datatype(feature),
                    "data": self._columns[feature.name],
                }
                for feature in self._features
            ]
        }
        answer = {
            "model_name": self._name,
            "model_version": self._version,
            "outputs": [
                {
                    "name": name,
                    "shape": [ROWS, *dimensions],
                    "datatype": kind,
                    "data": _flat(
                        self._predicted.predictions
                        if name == inference.PREDICT
                        else self._predicted.probabilities or [],
                        nested=bool(dimensions),
                    ),
                }
                for name, kind, dimensions in inference.outputs(self._predictor, self._card)
            ],
        }
        return {
            "operationId": operation,
            "tags": ["inference"],
            "summary": "Predictions for tensors",
            "description": (
                "A tensor for each feature, of the shape [rows] or [rows, 1]; of a model whose "
                "features are all numbers, instead one of the shape [rows, features]. If a row "
                "cannot be predicted, nothing is.\n\n"
                "With the binary tensor data extension the JSON is followed by the tensors' data, "
                f"and `{inference.HEADER_LENGTH}` says how long the JSON is."
            ),
            "parameters": [
                {"$ref": "#/components/parameters/RequestId"},
                {
                    "name": inference.HEADER_LENGTH,
                    "in": "header",
                    "description": "How many bytes of the body are JSON, if not all.",
                    "schema": {"type": "integer", "minimum": 0},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": _schema("InferenceRequest"),
                        "examples": {"tensors": {"value": request}},
                    },
                    inference.BINARY: {"schema": {"type": "string", "format": "binary"}},
                },
            },
            "responses": {
                "200": _ok(
                    "The outputs asked for, or all.",
                    {
                        JSON: {
                            "schema": _schema("InferenceResponse"),
                            "examples": {"tensors": {"value": answer}},
                        },
                        inference.BINARY: {"schema": {"type": "string", "format": "binary"}},
                    },
                )
                | {
                    "headers": {
                        "X-Request-ID": {"$ref": "#/components/headers/RequestId"},
                        inference.HEADER_LENGTH: {
                            "description": "How many bytes of the body are JSON, if not all.",
                            "schema": {"type": "integer"},
                        },
                    }
                },
                **_inference_errors("400", "404", "405", "413", "415", "500", "503"),
            },
        }

    def _document_paths(self) -> dict[str, Any]:
        def get(
            operation: str, summary: str, content: Mapping[str, Schema], *errors: str
        ) -> Schema:
            return {
                "operationId": operation,
                "tags": ["documents"],
                "summary": summary,
                "description": f"{summary}.",
                "responses": {
                    "200": _ok(f"{summary}.", content),
                    **_problems("405", "503", *errors),
                },
            }

        page = {HTML: {"schema": {"type": "string"}}}
        paths = {
            "/": _path("get", get("page", "The page that asks the model", page)),
            "/docs": _path("get", get("docs", "This description, for people", page)),
            "/model": _path(
                "get",
                get(
                    "card",
                    "The model card: what the model is, made of what, and how good",
                    {JSON: {"schema": _schema("Card")}, **page},
                    "406",
                )
                | {
                    "parameters": [
                        {
                            "name": "format",
                            "in": "query",
                            "description": "What the answer is, whatever `Accept` says.",
                            "schema": {"enum": list(FORMATS)},
                        }
                    ]
                },
            ),
            "/openapi.json": _path(
                "get", get("openapi", "This description", {JSON: {"schema": {"type": "object"}}})
            ),
            "/metrics": _path(
                "get",
                get(
                    "metrics",
                    "Counts of all workers, for Prometheus",
                    {
                        TEXT: {"schema": {"type": "string"}},
                        "application/openmetrics-text": {"schema": {"type": "string"}},
                    },
                ),
            ),
        }
        if plots := self._card.get("plots"):
            operation = get(
                "plot",
                "A plot of the model card",
                {"image/svg+xml": {"schema": {"type": "string"}}},
                "404",
            )
            paths["/model/plots/{name}"] = _path("get", operation) | {
                "parameters": [_path_parameter("name", *plots)]
            }
        return paths


def _path(method: str, operation: Schema) -> Schema:
    return {method: operation}


def _path_parameter(name: str, *values: str) -> Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"One of {', '.join(values)}.",
        "schema": {"type": "string", "enum": list(values)},
        "example": values[0],
    }


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _text(schema: Schema, example: str) -> Schema:
    return {"schema": schema, "example": example}


def _flat(values: Sequence[Any], *, nested: bool) -> list[Any]:
    return [part for value in values for part in value] if nested else list(values)


def _ok(description: str, content: Mapping[str, Schema]) -> Schema:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}},
        "content": dict(content),
    }


def _problems(*statuses: str) -> Schema:
    return {
        status: {"$ref": f"#/components/responses/{PROBLEMS[status][0]}"} for status in statuses
    }


def _problem_headers(status: str) -> Schema:
    headers = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    if status == "503":
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == "405":
        headers["Allow"] = {"$ref": "#/components/headers/Allow"}
    return headers


def _problem_responses() -> Schema:
    return {
        name: {
            "description": description,
            "headers": _problem_headers(status),
            "content": {problem.CONTENT_TYPE: {"schema": _schema("Problem")}},
        }
        for status, (name, description) in PROBLEMS.items()
    }


def _inference_errors(*statuses: str) -> Schema:
    return {
        status: {
            "description": PROBLEMS[status][1],
            "headers": _problem_headers(status),
            "content": {JSON: {"schema": _schema("InferenceError")}},
        }
        for status in statuses
    }


def _headers() -> Schema:
    return {
        "RequestId": {
            "description": "The request's id, under which the log has it.",
            "required": True,
            "schema": {"type": "string"},
        },
        "RetryAfter": {
            "description": "After how many seconds to try again.",
            "schema": {"type": "integer"},
        },
        "Allow": {
            "description": "The methods that the path takes.",
            "schema": {"type": "string"},
        },
    }


def _request_id() -> Schema:
    return {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id of your own: 1 to 64 of letters, digits, `.`, `_` and `-`.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    }


def _problem_schema() -> Schema:
    return {
        "type": "object",
        "description": "RFC 9457 problem details.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {
                "type": "string",
                "examples": [
                    "about:blank",
                    problem.INVALID_PARAMETERS,
                    problem.INVALID_DOCUMENT,
                ],
            },
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "request_id": {"type": "string"},
            "errors": {"type": "array", "items": _schema("ParameterError")},
        },
    }


def _inference_schemas() -> dict[str, Schema]:
    datatype = {"enum": list(tensors.DATATYPES)}
    shape = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
    described = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {"name": {"type": "string"}, "datatype": datatype, "shape": shape},
    }
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": datatype,
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 1,
            },
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }
    text = {"type": "string"}
    return {
        "InferenceError": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": text},
        },
        "Server": {
            "type": "object",
            "required": ["name", "version", "extensions"],
            "properties": {
                "name": text,
                "version": text,
                "extensions": {"type": "array", "items": text},
            },
        },
        "Live": _flag("live"),
        "Ready": _flag("ready"),
        "ModelReady": _flag("ready", name=text),
        "Model": {
            "type": "object",
            "required": ["name", "versions", "platform", "inputs", "outputs"],
            "properties": {
                "name": text,
                "versions": {"type": "array", "items": text},
                "platform": text,
                "inputs": {"type": "array", "items": described},
                "outputs": {"type": "array", "items": described},
            },
        },
        "Tensor": tensor,
        "InferenceRequest": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": text,
                "parameters": {"type": "object"},
                "inputs": {"type": "array", "items": _schema("Tensor"), "minItems": 1},
                "outputs": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": text, "parameters": {"type": "object"}},
                    },
                },
            },
        },
        "InferenceResponse": {
            "type": "object",
            "required": ["model_name", "model_version", "outputs"],
            "properties": {
                "model_name": text,
                "model_version": text,
                "id": text,
                "outputs": {"type": "array", "items": _schema("Tensor")},
            },
        },
    }


def _flag(flag: str, **more: Schema) -> Schema:
    return {
        "type": "object",
        "required": [flag, *more],
        "properties": {flag: {"const": True}, **more},
    }
