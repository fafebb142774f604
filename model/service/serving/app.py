"""The HTTP API: a Flask application factory."""

import functools
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from model.service.contract.card import read_card
from model.service.contract.features import to_card
from model.service.contract.loading import load_predictor
from model.service.contract.predictor import Predictor
from model.service.serving import openapi, page, problem, settings
from model.service.serving.answer import InvalidParametersError
from model.service.serving.api import documents, inference, prediction, predictions
from model.service.serving.api.extensions import request_id
from model.service.serving.metrics import Metrics
from model.service.serving.problem import ProblemError

BLUEPRINTS = (
    prediction.blueprint,
    predictions.blueprint,
    inference.blueprint,
    documents.blueprint,
    page.blueprint,
)


def create_app(
    config: Mapping[str, Any] | None = None,
    predictor: Predictor | None = None,
    metrics: Metrics | None = None,
    card: Mapping[str, Any] | None = None,
) -> Flask:
    """Return the application; loads the model unless `predictor` is given.

    metrics: counts for all workers; by default, counts for this process only.
    card: the model card; by default, derived from `predictor` if that is given.

    Raises ArtifactError if there is no model that can be served.
    """
    app = Flask("model", static_folder=None)
    app.config.from_mapping(settings.DEFAULTS)
    app.config.from_prefixed_env(settings.PREFIX)
    app.config.from_mapping(config or {})
    if predictor is None:
        folder = Path(app.config["MODEL_FOLDER"])
        predictor, card = load_predictor(folder), card or read_card(folder)
    card = card or _card(predictor)
    app.extensions["predictor"] = predictor
    app.extensions["metrics"] = metrics or Metrics(predictor.features)
    app.extensions["card"] = card
    app.extensions["openapi"] = functools.cache(
        functools.partial(openapi.document, card, predictor)
    )
    # `/prediction//` is not found, instead of redirected.
    app.url_map.merge_slashes = False
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.register_error_handler(InvalidParametersError, _invalid_parameters)
    app.register_error_handler(ProblemError, _problem)
    app.register_error_handler(HTTPException, _http_error)
    return app


def _card(predictor: Predictor) -> Mapping[str, Any]:
    return {
        "name": "model",
        "version": "1",
        "estimator": "",
        "task": predictor.task,
        "form": predictor.form,
        "outputs": predictor.outputs,
        "classes": list(predictor.classes),
        "features": [to_card(feature) for feature in predictor.features],
    }


def _invalid_parameters(error: InvalidParametersError) -> Response:
    body = problem.invalid_parameters(error, request_id())
    return Response(body, HTTPStatus.BAD_REQUEST, content_type=problem.CONTENT_TYPE)


def _problem(error: ProblemError) -> Response:
    if problem.is_inference(request.path):
        body, content_type = problem.error_document(request.path, error.status, error.detail)
        return Response(body, error.status, content_type=content_type)
    body = problem.problem(
        error.status,
        error.detail,
        title=error.title,
        type_=error.type,
        errors=error.errors,
        request_id=request_id(),
    )
    return Response(body, error.status, content_type=problem.CONTENT_TYPE)


def _http_error(error: HTTPException) -> Response:
    """Convert any other HTTP error into a problem document; its headers (Allow, …) are kept.

    Flask has already logged an unexpected exception when it arrives here as a 500.
    """
    original = error.get_response(request.environ)
    status = original.status_code
    body, content_type = problem.error_document(
        request.path, status, error.description or "", request_id()
    )
    response = Response(body, status, list(original.headers))
    response.content_type = content_type
    return response
