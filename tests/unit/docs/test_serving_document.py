"""docs/serving.md and model/README.md are right about the service's interface."""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model.service.serving import json_batches, settings
from model.service.serving.app import create_app
from model.service.training.saving import save
from model.train import train
from support import ROOT
from support.documents import Document, words_of

README = Document(ROOT / "model/README.md")
SERVING = Document(ROOT / "docs/serving.md")
# Settings that are read in addition to Flask's.
CUSTOMARY = {"PORT": "8080", "WEB_CONCURRENCY": "1", "INSTANCE_NAME": ""}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifact")
    save(train(), folder)
    return create_app({"MODEL_FOLDER": str(folder)})


def test_every_setting_is_documented_with_its_default():
    documented = {
        words_of(cells[0])[0]: cells[1]
        for cells in README.rows("Settings")
        if cells[0].startswith("`")
    }
    known = {
        f"{settings.PREFIX}_{name}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.DEFAULTS.items()
    }
    known["PREDICTION_MODEL_FOLDER"] = "`artifact` beside `main.py`"
    assert documented == CUSTOMARY | known


def test_settings_named_elsewhere_are_there():
    known = {f"{settings.PREFIX}_{name}" for name in settings.DEFAULTS}
    named = set(re.findall(r"\bPREDICTION_[A-Z_]+", SERVING.text + README.text))
    assert named - known == set()


def test_every_endpoint_is_documented(app):
    named = {
        re.sub(r"[?…].*", "", path).rstrip("/") or "/"
        for cells in README.rows("Endpoints")
        for path in re.findall(r"(?:GET |POST |`)(/[^`\s]*)", cells[0])
    }
    served = {re.sub("<.*", "", rule.rule).rstrip("/") or "/" for rule in app.url_map.iter_rules()}
    protocol, assets = re.compile("/v2(/|$)"), {"/static"}
    assert {path for path in served if not protocol.match(path)} - assets == {
        path for path in named if not protocol.match(path)
    }
    assert any(map(protocol.match, named))


def test_every_metric_is_documented(app):
    client = app.test_client()
    client.post("/v1/predictions", json={"columns": {"f": [0.05] * 100}})
    exposed = {
        sample.name
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    documented = {words_of(cells[0])[0] for cells in SERVING.rows("Metrics") if "`" in cells[0]}
    counted_by_the_server = {"http_request_duration_seconds"}
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in exposed} | (
        counted_by_the_server
    ) == documented


def test_limits():
    rows = {cells[0]: cells[1] for cells in SERVING.rows("Limits")}
    assert rows["a JSON document"] == (
        f"{json_batches.DOCUMENT_BYTES >> 20} MiB and {json_batches.DOCUMENT_VALUES:,} values"
    )
    megabytes = settings.DEFAULTS["MAX_BODY_BYTES"] >> 20
    assert rows["a request's body"] == f"`PREDICTION_MAX_BODY_BYTES`, {megabytes} MiB"


def test_the_examples_are_answered_as_they_say(app):
    client = app.test_client()
    assert f"answers `{client.get('/prediction/?f=0.05').text}`" in SERVING.text
    shown = [json.loads(text) for language, text in SERVING.fenced if language == "json"]
    for values in ([0.05, -0.02], [0.05, None]):
        answer = client.post("/v1/predictions", json={"columns": {"f": values}})
        assert answer.get_json() in shown
    twice = client.get("/prediction/?f=1&f=2").get_json()
    assert twice in shown
