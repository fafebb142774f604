"""A single prediction: a query string as input, text as output."""

from flask import Blueprint, Response, request

from model.service.serving.answer import ALIVE, answer
from model.service.serving.api.extensions import predictor

blueprint = Blueprint("prediction", __name__)


@blueprint.get("/isAlive")
def is_alive() -> Response:
    """Report that the service is alive."""
    return _text(ALIVE)


@blueprint.get("/prediction/")
@blueprint.get("/prediction")
def prediction() -> Response:
    """Return the prediction for the query's parameters."""
    # A WSGI server may omit an empty QUERY_STRING.
    return _text(answer(predictor(), request.environ.get("QUERY_STRING", "")))


def _text(body: str) -> Response:
    return Response(body, mimetype="text/plain")
