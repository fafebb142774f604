"""The pages through Flask's client: their content, and what their headers allow."""

import html.parser
import json
import re
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from model.service.contract.features import Feature, to_card
from model.service.serving import page, reference

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "input", "img", "br", "circle", "line", "path", "rect"}

FEATURES = (
    Feature(name="f", column="bmi", kind="number", least=-0.0903, most=0.1706, median=-0.0073),
    Feature(name="age", column="age", kind="integer", nullable=True, least=1, most=14, median=7.5),
    Feature(
        name="tagged",
        column="tagged",
        kind="boolean",
        categories=("false", "true"),
        shares=(0.3, 0.7),
    ),
    Feature(
        name="island",
        column="island",
        kind="category",
        closed=True,
        categories=("Biscoe", "Dream"),
        shares=(0.2, 0.8),
    ),
    Feature(
        name="sex",
        column="sex",
        kind="category",
        nullable=True,
        categories=("female", "male"),
        shares=(0.5, 0.4),
    ),
    Feature(name="remark", column="remark", kind="text"),
)
CARD = {
    "name": "diabetes",
    "version": "1",
    "estimator": "LinearRegression()",
    "task": "regression",
    "outputs": 1,
    "classes": [],
    "features": [to_card(feature) for feature in FEATURES],
    "target": "progression",
    "dataset": "load_diabetes",
    "rows": 442,
    "columns": 6,
    "fitted_on": "all rows",
    "data_sha256": "d" * 64,
    "evaluation": "mean over the folds",
    "metrics": {"r2": 0.33289, "mean_absolute_error": 52.0},
    "floors": {"r2": 0.25},
    "ceilings": {"mean_absolute_error": 60},
    "target_range": [25.0, 346.0],
    "libraries": {"numpy": "2.4.0"},
    "files": {"model.skops": "e" * 64},
    "form": "coefficients",
    "proof": {
        "inputs": 100000,
        "tolerance": 0.0,
        "greatest_difference": 0.0,
        "exact": True,
        "method": "Compared on many inputs.",
        "rejected": [{"form": "onnx", "reason": "It was not needed."}],
    },
    "partial_dependence": [{"feature": "f", "values": [-0.09, 0.17], "predictions": [60, 300]}],
    "sample": {"columns": {"f": [0.1], "remark": ["fine"]}, "target": [151]},
    "plots": ["residuals.svg"],
    "plot_texts": {"residuals.svg": "Residuals against predictions."},
}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Prediction", "version": "1", "description": "Asks `f`.\n\nMore <b>."},
    "tags": [{"name": "prediction", "description": "One at a time."}],
    "paths": {
        "/prediction/": {
            "parameters": [{"$ref": "#/components/parameters/f"}],
            "get": {
                "operationId": "predict",
                "tags": ["prediction"],
                "summary": "Predict one row",
                "responses": {
                    "200": {
                        "description": "The prediction",
                        "content": {"text/plain": {"schema": {"type": "string"}, "example": "[1]"}},
                    },
                    "400": {"$ref": "#/components/responses/problem"},
                },
            },
        },
        "/v2/models/{name}": {
            "delete": {
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"const": "a b"}}
                ],
                "responses": {"204": {"description": "Gone"}},
            }
        },
        "/v1/predictions": {
            "post": {
                "operationId": "predictMany",
                "description": "In order.",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Rows"},
                            "examples": {"one": {"value": {"records": [{"f": "it's $HOME"}]}}},
                        },
                        "text/csv": {"schema": {"type": "string"}},
                    },
                },
                "responses": {
                    "200": {
                        "description": "Predictions",
                        "content": {"application/json": {}, "text/csv": {}},
                    }
                },
            }
        },
    },
    "components": {
        "parameters": {
            "f": {
                "name": "f",
                "in": "query",
                "required": True,
                "example": 0.05,
                "schema": {"type": "number", "minimum": -1, "maximum": 2},
            }
        },
        "responses": {"problem": {"description": "A problem"}},
        "schemas": {
            "Rows": {
                "type": "object",
                "required": ["records"],
                "properties": {
                    "records": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"f": {"type": ["number", "null"]}},
                        },
                    },
                    "same": {"anyOf": [{"$ref": "#/components/schemas/Rows"}, {"enum": ["a", 1]}]},
                },
            }
        },
    },
}


class Page(html.parser.HTMLParser):
    """A page's elements with their attributes, and its text; it must be well-formed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]

    def one(self, tag: str, **wanted: str) -> dict[str, str]:
        (found,) = self.all(tag, **wanted)
        return found


def client_of(card: Any = CARD, document: Any = DOCUMENT) -> FlaskClient:
    app = Flask("pages")
    app.register_blueprint(page.blueprint)
    app.add_url_rule("/model", "model", page.card_response)
    app.extensions["card"] = card
    app.extensions["openapi"] = lambda: document
    app.extensions["predictor"] = SimpleNamespace(classes=(), features=FEATURES)
    return app.test_client()


@pytest.fixture
def client() -> FlaskClient:
    return client_of()


PATHS = ("/", "/model", "/docs")


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_one_that_people_and_machines_can_read(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    shown = Page(response.text)
    assert shown.one("html")["lang"] == "en"
    assert len(shown.all("h1")) == len(shown.all("main")) == len(shown.all("title")) == 1
    assert shown.all("meta", name="viewport")
    identifiers = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for _, attributes in shown.elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(identifiers)
    assert all("alt" in image for image in shown.all("img"))
    assert [link["href"] for link in shown.all("a", **{"aria-current": "page"})] == [
        {"/": "./"}.get(path, path[1:])
    ]


@pytest.mark.parametrize("path", [*PATHS, "/static/page.css", "/static/page.js"])
def test_nothing_but_the_services_own_files_is_loaded(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(
        part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", PATHS)
def test_a_page_obeys_its_policy_and_works_below_any_prefix(client: FlaskClient, path: str) -> None:
    shown = Page(client.get(path).text)
    for name, attributes in shown.elements:
        assert not {key for key in attributes if key == "style" or key.startswith("on")}
        for key in ("href", "src", "action"):
            assert not re.match(r"/|[a-z]+:", attributes.get(key, "")), (name, attributes)
    assert not shown.all("style")
    for script in shown.all("script"):
        assert "src" in script or script["type"] == "application/json"


def test_files_are_kept_by_their_version_and_asked_for_again_without(client: FlaskClient) -> None:
    shown = Page(client.get("/").text)
    urls = [link["href"] for link in shown.all("link")] + [shown.all("script")[0]["src"]]
    assert {url.partition("?")[0] for url in urls} <= {f"static/{name}" for name in page.STATIC}
    for url in urls:
        versioned = client.get(f"/{url}")
        assert versioned.status_code == 200
        assert versioned.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        plain = client.get("/" + url.partition("?")[0])
        assert plain.headers["Cache-Control"] == "no-cache"
        assert plain.data == versioned.data
        again = client.get(
            "/" + url.partition("?")[0], headers={"If-None-Match": plain.headers["ETag"]}
        )
        assert (again.status_code, again.data) == (HTTPStatus.NOT_MODIFIED, b"")


@pytest.mark.parametrize("path", PATHS)
def test_an_unchanged_page_is_not_sent_again(client: FlaskClient, path: str) -> None:
    first = client.get(path)
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (HTTPStatus.NOT_MODIFIED, b"")
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.content_length == len(first.data)


@pytest.mark.parametrize(
    "name",
    [
        "page.html",
        "base.html",
        "..",
        "../page.py",
        "%2e%2e/page.py",
        "..%2fpage.py",
        "page.css/",
        "",
    ],
)
def test_no_other_file_is_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == HTTPStatus.NOT_FOUND


def test_every_file_is_there_and_they_are_small() -> None:
    present = {file.name for file in (page.FOLDER / "static").iterdir()}
    assert present == set(page.STATIC)
    own = [page.static_file(name).content for name in page.STATIC if not name.endswith(".svg")]
    assert sum(map(len, own)) <= 40_000


def test_the_form_has_a_field_for_each_feature_set_to_what_is_usual(client: FlaskClient) -> None:
    shown = Page(client.get("/").text)
    number, slider = shown.one("input", id="f0"), shown.one("input", id="f0-slider")
    assert (number["name"], number["type"], number["value"]) == ("f", "number", "-0.007")
    # The slider has the range of the training data; the number may exceed it.
    assert (slider["min"], slider["max"], slider["step"]) == ("-0.090", "0.170", "0.001")
    assert "name" not in slider
    assert "min" not in number
    integer, slider = shown.one("input", id="f1"), shown.one("input", id="f1-slider")
    assert (integer["step"], slider["step"], slider["min"], slider["max"]) == ("1", "1", "1", "14")
    assert integer["value"] == "8"
    assert shown.one("input", id="f1-missing")["type"] == "checkbox"
    assert not shown.all("input", id="f0-missing")
    radios = shown.all("input", name="tagged")
    assert [(radio["value"], "checked" in radio) for radio in radios] == [
        ("false", False),
        ("true", True),
    ]
    assert shown.one("select", id="f3")["name"] == "island"
    assert shown.one("select", id="f4")["name"] == "sex"
    means = [option["data-means"] for option in shown.all("option") if "data-means" in option]
    assert means == ["missing", "other"]  # both of sex: island accepts only its own values
    assert shown.one("input", id="f5")["value"] == "fine"
    assert f"Training data: {page.MINUS}0.0903 to 0.1706" in shown.text


@pytest.mark.parametrize(
    ("feature", "slider", "step", "value"),
    [
        (("number", 0.0, 1.0, 0.5), ("0.000", "1.000"), "0.001", "0.500"),
        (("number", 2.5, 2.5, 2.5), None, "any", "2.5"),
        (("number", -3e9, 5e9, 1.0), ("-3000000000", "5000000000"), "10000000", "0"),
        (("number", 1e-12, 3e-12, 2e-12), ("0.00000000000100", "0.00000000000300"), None, None),
        (("integer", 0, 1, 0.5), ("0", "1"), "1", "0"),
        (("integer", 3, 3, 3), None, "1", "3"),
        (("number", None, None, None), None, "any", ""),
    ],
)
def test_sliders_of_any_scale(
    feature: tuple[Any, ...], slider: Any, step: str | None, value: str | None
) -> None:
    kind, least, most, median = feature
    made = page.field(
        0, Feature(name="x", column="x", kind=kind, least=least, most=most, median=median), {}
    )
    assert made["slider"] == slider
    assert step in (None, made["step"])
    assert value in (None, made["value"])


def test_the_script_gets_what_it_draws(client: FlaskClient) -> None:
    source = client.get("/").text
    config = json.loads(re.search(r'id="config">(.*?)</script>', source, re.DOTALL)[1])
    assert config["dependence"] == CARD["partial_dependence"]
    assert config["sample"] == CARD["sample"]
    assert [field["name"] for field in config["fields"]] == [feature.name for feature in FEATURES]
    assert (config["range"], config["target"]) == ([25.0, 346.0], "progression")


def test_whatever_the_card_says_is_text() -> None:
    card = json.loads(json.dumps(CARD).replace("progression", EVIL).replace("bmi", EVIL))
    for path in PATHS:
        source = client_of(card).get(path).text
        assert EVIL not in source
        Page(source)


def test_a_predictor_without_a_card_has_a_page() -> None:
    shown = Page(client_of(card=None).get("/").text)
    assert shown.one("input", id="f0")["name"] == "f"


@pytest.mark.parametrize(
    "said",
    [
        "mean absolute error 52 at most 60",
        "r2 0.3329 at least 0.25",
        "Mean over the folds.",
        "Compared on many inputs.",
        "Inputs compared with scikit-learn 100,000",
        "onnx : It was not needed.",
        "442 rows, 6 columns; fitted on all rows",
        "Biscoe, Dream (no other)",
        "female, male (others accepted)",
        "numpy 2.4.0",
        "d" * 64,
    ],
)
def test_the_card_tells(client: FlaskClient, said: str) -> None:
    assert said in Page(client.get("/model").text).text


def test_the_card_shows_its_plots(client: FlaskClient) -> None:
    image = Page(client.get("/model").text).one("img")
    assert image["src"] == "model/plots/residuals.svg"
    assert image["alt"] == "Residuals against predictions."


@pytest.mark.parametrize(
    "missing", ["metrics", "plots", "proof", "floors", "libraries", "files", "target_range"]
)
def test_a_card_may_lack_a_part(missing: str) -> None:
    card = {key: value for key, value in CARD.items() if key != missing}
    for path in PATHS:
        Page(client_of(card).get(path).text)


@pytest.mark.parametrize(
    "said",
    [
        "GET /prediction/",
        "Predict one row",
        "f query number , at least -1 , at most 2 required",
        'curl "$URL/prediction/?f=0.05"',
        'curl --request DELETE "$URL/v2/models/name"',
        '--data-binary \'{"records": [{"f": "it\'"\'"\'s $HOME"}]}\'',
        "records array of object required f number or null",
        'same Rows or "a" | 1',
        "400 A problem",
        "Asks f .",
        "More <b>.",
        "One at a time.",
    ],
)
def test_the_reference_tells(client: FlaskClient, said: str) -> None:
    assert said in Page(client.get("/docs").text).text


def test_the_reference_has_a_form_for_each_operation_that_changes_nothing(
    client: FlaskClient,
) -> None:
    shown = Page(client.get("/docs").text)
    forms = [(form["data-method"], form["data-path"]) for form in shown.all("form")]
    assert forms == [("GET", "/prediction/"), ("POST", "/v1/predictions")]
    assert shown.one("input", name="f")["value"] == "0.05"


@pytest.mark.parametrize(
    ("value", "text"),
    [(442, "442"), (100000, "100,000"), (-0.090271, "~0.09027"), (1e-9, "1e~09"), (True, "True")],
)
def test_numbers_for_people(value: Any, text: str) -> None:
    assert page.number(value) == text.replace("~", page.MINUS)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2], "b": None},
        {"inputs": [{"name": "f", "shape": [2], "data": [0.123456789] * 8}], "é": "x" * 90},
        ["y" * 50, ["z" * 50, {}], []],
    ],
)
def test_examples_are_broken_only_where_they_are_long(value: Any) -> None:
    text = reference.json_text(value)
    assert json.loads(text) == value
    assert (text.count("\n") == 0) == (len(json.dumps(value)) <= 80)
    assert all(len(line) <= 80 or '"xxx' in line or "0.12" in line for line in text.split("\n"))


def test_backticks_are_code_and_the_rest_is_text() -> None:
    assert (
        reference.prose("A `<x>` & b.\n\nC.") == "<p>A <code>&lt;x&gt;</code> &amp; b.</p><p>C.</p>"
    )
