"""The card, its plots, the API's description and the metrics through Flask's client."""

import hashlib
import json
import xml.etree.ElementTree as ET
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from model.service.serving.app import create_app


@pytest.fixture(scope="module")
def client(model_folder: Path) -> FlaskClient:
    return create_app({"MODEL_FOLDER": str(model_folder)}).test_client()


@pytest.fixture(scope="module")
def card(model_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model_folder / "card.json").read_text())
    return found


JSON, HTML = "application/json", "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        ("/model", None, JSON),
        ("/model", "*/*", JSON),
        ("/model", JSON, JSON),
        ("/model", "text/html,application/xhtml+xml,*/*;q=0.8", HTML),
        ("/model?format=json", "text/html", JSON),
        ("/model?format=html", None, HTML),
        ("/model?format=other", None, JSON),
    ],
)
def test_the_card_is_for_programs_and_for_people(
    client: FlaskClient, card: dict[str, Any], path: str, accept: str | None, content_type: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    response = client.get(path, headers=headers)
    assert (response.status_code, response.content_type) == (200, content_type)
    assert "Accept" in response.vary
    if content_type == JSON:
        assert response.json == card
    else:
        assert card["target"] in response.text


def test_the_card_can_be_nothing_else(client: FlaskClient) -> None:
    response = client.get("/model", headers={"Accept": "image/png"})
    assert response.status_code == HTTPStatus.NOT_ACCEPTABLE
    document = json.loads(response.data)
    assert (
        document["detail"] == "The card can be application/json or text/html, as Accept wants it."
    )


@pytest.mark.parametrize("path", ["/model", "/openapi.json"])
def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, path: str) -> None:
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (HTTPStatus.NOT_MODIFIED, b"")
    assert client.head(path).content_length == len(first.data)


def test_the_plots_are_the_cards(client: FlaskClient, card: dict[str, Any]) -> None:
    assert card["plots"]
    for name in card["plots"]:
        response = client.get(f"/model/plots/{name}")
        assert (response.status_code, response.content_type) == (200, "image/svg+xml")
        assert hashlib.sha256(response.data).hexdigest() == card["files"][f"card/{name}"]
        assert ET.fromstring(response.data).tag.endswith("svg")  # noqa: S314 - made by the build
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["", "x.svg", "..%2fcard.json", "%2e%2e/card.json", "../card.json", "card.json"]
)
def test_nothing_else_is_a_plot(client: FlaskClient, name: str) -> None:
    response = client.get(f"/model/plots/{name}")
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert response.content_type == "application/problem+json"


def test_metrics_in_both_formats(client: FlaskClient) -> None:
    plain = client.get("/metrics")
    assert plain.content_type.startswith("text/plain; version=")
    assert "\npredictions_total " in plain.text
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    opened = client.get("/metrics", headers=accept)
    assert opened.mimetype == "application/openmetrics-text"
    assert opened.text.endswith("# EOF\n")
