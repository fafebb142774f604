"""Documents about the service: the model card and its plots, the OpenAPI document, the metrics."""

from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint, Response, abort, request

from model.service.contract.card import read_file
from model.service.serving import page
from model.service.serving.api import extensions
from model.service.serving.problem import ProblemError

JSON, HTML = "application/json", "text/html"
# For links, which cannot set an Accept header.
FORMATS = {"json": JSON, "html": HTML}
PLOTS = "card"  # the folder beside the card
PLOT_HEADERS = {
    # The SVG of a plot contains inline styles.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

blueprint = Blueprint("documents", __name__)


@blueprint.get("/model")
def model() -> Response:
    """Return the model card as JSON or HTML."""
    wanted: str | None = FORMATS.get(request.args.get("format", ""))
    if not wanted:
        accepted = request.headers.get("Accept")
        wanted = request.accept_mimetypes.best_match([JSON, HTML]) if accepted else JSON
    if not wanted:
        raise ProblemError(
            HTTPStatus.NOT_ACCEPTABLE, f"The card can be {JSON} or {HTML}, as Accept wants it."
        )
    response = _json(extensions.card()) if wanted == JSON else page.card_response()
    response.vary.add("Accept")
    return response


@blueprint.get("/model/plots/<name>")
def plot(name: str) -> Response:
    """Return a plot of the model card."""
    card = extensions.card()
    if name not in card.get("plots", ()):
        abort(HTTPStatus.NOT_FOUND)
    response = Response(
        read_file(extensions.model_folder(), card, f"{PLOTS}/{name}"),
        content_type="image/svg+xml",
        headers=PLOT_HEADERS,
    )
    return _conditional(response)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document."""
    return _json(extensions.openapi())


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the metrics, summed over all workers."""
    text, content_type = extensions.metrics().exposition(request.headers.get("Accept", ""))
    return Response(text, content_type=content_type)


def _json(document: Any) -> Response:
    response = Response(orjson.dumps(document), content_type=JSON)
    response.cache_control.no_cache = True
    return _conditional(response)


def _conditional(response: Response) -> Response:
    """Return 304 Not Modified to a client that has the current version, else the response."""
    response.add_etag()
    response.make_conditional(request)
    return response
