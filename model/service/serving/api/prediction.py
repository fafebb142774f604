"""One prediction, asked by a query, answered as text."""

from flask import Blueprint, Response, request

from model.service.serving.answer import ALIVE, answer
from model.service.serving.api.extensions import predictor

blueprint = Blueprint("prediction", __name__)


@blueprint.get("/isAlive")
def is_alive() -> Response:
    """Say that the service is up."""
    return _text(ALIVE)


@blueprint.get("/prediction/")
@blueprint.get("/prediction")
def prediction() -> Response:
    """Answer with the prediction for the query's parameters."""
    # A server may leave an empty one out.
    return _text(answer(predictor(), request.environ.get("QUERY_STRING", "")))


def _text(body: str) -> Response:
    return Response(body, mimetype="text/plain")
