"""The HTTP API: a Flask application factory."""

import functools
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from model.service import problem, settings
from model.service.answer import ALIVE, InvalidParametersError, answer
from model.service.predictor import Predictor, load_predictor

PREDICTOR = "predictor"

api = Blueprint("api", __name__)


def create_app(
    config: Mapping[str, Any] | None = None, predictor: Predictor | None = None
) -> Flask:
    """Return the application; its model is loaded now, once, unless `predictor` is given.

    Raises ArtifactError if there is no model that can be served, SettingsError if
    INSTANCE_NAME cannot be.
    """
    app = Flask("model", static_folder=None)
    app.config.from_mapping(settings.DEFAULTS)
    app.config.from_prefixed_env(settings.PREFIX)
    app.config.from_mapping(INSTANCE_NAME=os.environ.get("INSTANCE_NAME", ""))
    app.config.from_mapping(config or {})
    instance = settings.instance_name(app.config["INSTANCE_NAME"])
    app.extensions[PREDICTOR] = predictor or load_predictor(Path(app.config["MODEL_FOLDER"]))
    # `/prediction//` is not found, rather than sent elsewhere.
    app.url_map.merge_slashes = False
    app.register_blueprint(api)
    app.register_error_handler(InvalidParametersError, _invalid_parameters)
    app.register_error_handler(HTTPException, _http_error)
    if instance:
        app.after_request(functools.partial(_served_by, instance))
    return app


@api.get("/isAlive")
def is_alive() -> Response:
    """Say that the service is up."""
    return _text(ALIVE)


@api.get("/prediction/")
@api.get("/prediction")
def prediction() -> Response:
    """Answer with the prediction for the query's parameters."""
    return _text(answer(current_app.extensions[PREDICTOR], request.environ["QUERY_STRING"]))


def _served_by(instance: str, response: Response) -> Response:
    response.headers["X-Served-By"] = instance
    return response


def _text(body: str) -> Response:
    return Response(body, mimetype="text/plain")


def _invalid_parameters(error: InvalidParametersError) -> Response:
    return Response(
        problem.invalid_parameters(error), HTTPStatus.BAD_REQUEST, content_type=problem.CONTENT_TYPE
    )


def _http_error(error: HTTPException) -> Response:
    """Turn any other error into a problem; its headers (Allow, …) stay.

    Flask has logged an unexpected exception before it comes here as a 500.
    """
    original = error.get_response(request.environ)
    status = original.status_code
    response = Response(
        problem.problem(status, error.description or ""), status, list(original.headers)
    )
    response.content_type = problem.CONTENT_TYPE
    return response
