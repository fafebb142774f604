"""HTML pages: a form that requests predictions, the model card and the API reference.

The pages are rendered once, only from the model card and the OpenAPI document. All links are
relative, so the pages work behind a proxy that adds a prefix to every path.
"""

import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, current_app, request
from jinja2 import Environment, FileSystemLoader

from model.service.contract.features import Feature, from_card, to_card
from model.service.serving import reference

FOLDER = Path(__file__).parent
# The only files that are served from the folder static/.
STATIC: Mapping[str, str] = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
YEAR = 365 * 24 * 3600
# About as many steps of a slider as a user can distinguish by hand.
SLIDER_STEPS = 200
# The entries of a field that the script needs.
FIELD_KEYS = ("id", "name", "label", "column", "kind", "nullable", "least", "most", "options")
# Numbers below this are written without an exponent; beyond it, every float is whole anyway.
PLAIN = 1e15
GROUPED = 10_000
MINUS = "\N{MINUS SIGN}"

blueprint = Blueprint("page", __name__)


@dataclass(frozen=True)
class Static:
    """A static file. version: a hash of its content."""

    content: bytes
    content_type: str
    version: str


@blueprint.get("/")
def index() -> Response:
    """Return the page with the prediction form."""
    return _page("index", lambda: model_page(_card(), _classes()))


@blueprint.get("/docs")
def docs() -> Response:
    """Return the API reference."""
    return _page("docs", lambda: docs_page(_card(), _document()))


@blueprint.get("/static/<name>")
def static(name: str) -> Response:
    """Return a static file; if its version is in the request, it can be cached forever."""
    if name not in STATIC:
        abort(404)
    file = static_file(name)
    response = Response(file.content, content_type=file.content_type)
    if request.args.get("v") == file.version:
        response.cache_control.public = True
        response.cache_control.max_age = YEAR
        response.cache_control.immutable = True
    else:
        response.cache_control.no_cache = True
    response.headers.update(HEADERS)
    response.set_etag(file.version)
    response.make_conditional(request)
    return response


def card_response() -> Response:
    """Return the model card as an HTML response."""
    return _page("card", lambda: card_page(_card()))


def html_response(text: str) -> Response:
    """Return a page with headers that restrict it to resources and scripts of this service."""
    response = Response(text, content_type="text/html; charset=utf-8")
    response.cache_control.no_cache = True
    response.headers.update(HEADERS)
    response.set_etag(hashlib.sha256(response.data).hexdigest()[:32])
    response.make_conditional(request)
    return response


def model_page(card: Mapping[str, Any], classes: Sequence[Any] = ()) -> str:
    """Return the HTML of the page with the prediction form.

    classes: those of a classifier with probabilities.
    """
    fields = [
        field(index, feature, card.get("sample", {}))
        for index, feature in enumerate(map(from_card, card["features"]))
    ]
    script = {
        "task": card.get("task", "regression"),
        "target": card.get("target", "prediction"),
        "range": card.get("target_range"),
        "classes": list(classes) or list(card.get("classes", [])),
        "probabilities": bool(classes),
        "outputs": card.get("outputs", 1),
        "fields": [{key: entry[key] for key in FIELD_KEYS} for entry in fields],
        "dependence": card.get("partial_dependence", []),
        "sample": card.get("sample"),
    }
    return _templates().get_template("page.html").render(card=card, fields=fields, script=script)


def card_page(card: Mapping[str, Any]) -> str:
    """Return the HTML of the model card."""
    return _templates().get_template("card.html").render(card=card)


def docs_page(card: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return the HTML of the API reference, rendered from the OpenAPI document."""
    return (
        _templates()
        .get_template("reference.html")
        .render(card=card, api=reference.view(document), document=document)
    )


@functools.cache
def static_file(name: str) -> Static:
    """Return the static file with this name, one of STATIC."""
    content = (FOLDER / "static" / name).read_bytes()
    return Static(content, STATIC[name], hashlib.sha256(content).hexdigest()[:16])


def field(index: int, feature: Feature, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form field of a feature, preset to a typical value of the training data."""
    entry: dict[str, Any] = {
        "id": f"f{index}",
        "name": feature.name,
        "label": feature.name,
        "column": feature.column if feature.column != feature.name else "",
        "kind": feature.kind,
        "nullable": feature.nullable,
        "closed": feature.closed,
        "longest": feature.longest,
        "least": feature.least,
        "most": feature.most,
        "options": list(feature.categories),
        "slider": None,
        "step": "any",
        "value": "",
    }
    if feature.is_numeric and None not in (feature.least, feature.most, feature.median):
        entry |= _numeric(feature)
    elif feature.categories:
        shares = dict(zip(feature.categories, feature.shares, strict=False))
        entry["value"] = max(feature.categories, key=lambda text: shares.get(text, 0))
    elif feature.kind == "boolean":
        entry |= {"options": ["false", "true"], "value": "false"}
    else:
        shown = sample.get("columns", {}).get(feature.name, [])
        entry["value"] = next((text for text in shown if text), "")
    return entry


def _numeric(feature: Feature) -> dict[str, Any]:
    """Return a slider's bounds, within the training range, and a typical value on a step of it."""
    least, most = feature.least or 0.0, feature.most or 0.0
    median = feature.median or 0.0
    if feature.kind == "integer":
        exponent = 0
    elif most > least:
        exponent = math.floor(math.log10((most - least) / SLIDER_STEPS))
    else:
        return {"value": f"{median:.12g}"}
    decimals = max(0, -exponent)

    def on_step(steps: int) -> str:
        return f"{steps * 10.0**exponent:.{decimals}f}"

    size = 10.0**exponent
    # Rounded, so that a bound that lies on a step is not lost to the division's rounding error.
    low, high = math.ceil(round(least / size, 6)), math.floor(round(most / size, 6))
    usual = min(max(round(median / size), low), high)
    return {
        "step": on_step(1),
        "slider": (on_step(low), on_step(high)) if high > low else None,
        "value": on_step(usual),
    }


def number(value: Any) -> str:
    """Return a formatted number: four significant digits for fractions, a typographic minus."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if math.isfinite(value) and value == int(value) and abs(value) < PLAIN:
        text = f"{int(value):,}" if abs(value) >= GROUPED else str(int(value))
    else:
        text = f"{value:.4g}"
    return text.replace("-", MINUS)


def file_url(name: str) -> str:
    """Return the relative URL of a static file."""
    return f"static/{name}?v={static_file(name).version}"


@functools.cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["number"] = number
    environment.filters["prose"] = reference.prose
    environment.filters["code"] = reference.code
    environment.globals["file"] = file_url
    return environment


def _page(name: str, render: Callable[[], str]) -> Response:
    pages: dict[str, str] = current_app.extensions.setdefault("pages", {})
    if name not in pages:
        pages[name] = render()
    return html_response(pages[name])


def _card() -> Mapping[str, Any]:
    """Return the served model's card; for a predictor without a card, one with its features."""
    card: Mapping[str, Any] | None = current_app.extensions.get("card")
    predictor = current_app.extensions["predictor"]
    return card or {"features": [to_card(feature) for feature in predictor.features]}


def _classes() -> Sequence[Any]:
    classes: Sequence[Any] = current_app.extensions["predictor"].classes
    return classes


def _document() -> Mapping[str, Any]:
    document: Mapping[str, Any] = current_app.extensions["openapi"]()
    return document
