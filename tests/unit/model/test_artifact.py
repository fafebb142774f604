"""The model on disk: same bytes each time, and nothing loaded that was not meant to be."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from model.service import artifact, build
from model.service.artifact import ArtifactError
from model.service.training import Training

ROOT = Path(artifact.__file__).parents[2]


def test_what_is_saved_is_loaded(training: Training, model_folder: Path) -> None:
    loaded = artifact.load(model_folder)
    assert loaded.parameters == ("f",)
    assert np.array_equal(
        loaded.estimator.predict(training.features), training.estimator.predict(training.features)
    )


def test_the_card_says_what_the_model_is(training: Training, model_folder: Path) -> None:
    card = json.loads((model_folder / "card.json").read_text())
    assert card["estimator"] == "LinearRegression()"
    assert card["parameters"] == [{"name": "f", "feature": "bmi"}]
    assert (card["rows"], card["columns"]) == (442, 1)
    assert card["fitted_on"] == "all rows"
    assert "held-out" in card["evaluation"]
    assert card["metrics"] == pytest.approx(dict(training.metrics), rel=1e-5)
    assert card["data_sha256"] == artifact.data_hash(training.features, training.target)
    assert card["model_sha256"] == sha256((model_folder / "model.skops").read_bytes())
    assert set(card["libraries"]) == {"python", "numpy", "scikit-learn", "scipy", "skops"}


@pytest.mark.parametrize(
    ("features", "target"),
    [
        (np.zeros((2, 2)), np.zeros(2)),
        (np.zeros((4, 1)), np.zeros(4)),
        (np.array([[0.0], [1.0]]), np.zeros(2)),
        (np.zeros((2, 1), np.float32), np.zeros(2)),
    ],
)
def test_other_data_has_another_hash(features: Any, target: Any) -> None:
    assert artifact.data_hash(features, target) != artifact.data_hash(np.zeros((2, 1)), np.zeros(2))


def test_the_same_data_gives_the_same_bytes_in_another_process(
    model_folder: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "model.service.build", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    for name in ("model.skops", "card.json"):
        assert (tmp_path / name).read_bytes() == (model_folder / name).read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["card.json", "model.skops"]


def test_build_prints_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build.main([str(tmp_path / "made" / "on the way")])
    card = (tmp_path / "made" / "on the way" / "card.json").read_text()
    assert json.loads(capsys.readouterr().out) == json.loads(card)


def test_build_says_why_it_cannot_save(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"The model was not saved: .*file"):
        build.main([str(tmp_path / "file")])


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LinearRegression()),
        make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=1000)),
    ],
)
def test_a_pipeline_is_saved_and_loaded(training: Training, estimator: Any, tmp_path: Path) -> None:
    target = training.target > 150
    fitted = estimator.fit(training.features, target)
    card = artifact.save(dataclasses.replace(training, estimator=fitted, target=target), tmp_path)
    assert card["estimator"].startswith("Pipeline(")
    assert np.array_equal(
        artifact.load(tmp_path).estimator.predict(training.features),
        fitted.predict(training.features),
    )


def test_a_model_the_server_would_refuse_is_not_saved(training: Training, tmp_path: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(np.asarray_chkfinite), LinearRegression())
    fitted = pipeline.fit(training.features, training.target)
    with pytest.raises(ArtifactError, match=r"not trusted: .*asarray_chkfinite"):
        artifact.save(dataclasses.replace(training, estimator=fitted), tmp_path)
    assert list(tmp_path.iterdir()) == []


class Moody(LinearRegression):  # type: ignore[misc]
    """Predicts something else each time."""

    calls = 0

    def predict(self, X: Any) -> Any:  # noqa: N803
        Moody.calls += 1
        return super().predict(X) + Moody.calls


def test_a_model_that_does_not_survive_saving_is_refused(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "TRUSTED_TYPES", (f"{__name__}.Moody",))
    fitted = Moody().fit(training.features, training.target)
    with pytest.raises(ArtifactError, match="does not predict what the trained one does"):
        artifact.save(dataclasses.replace(training, estimator=fitted), tmp_path)
    assert list(tmp_path.iterdir()) == []


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def edited_card(model: bytes, card: dict[str, Any], **changes: Any) -> tuple[bytes, bytes]:
    return model, json.dumps(card | changes).encode()


def replaced_model(content: bytes, card: dict[str, Any]) -> tuple[bytes, bytes]:
    """A forged model, with a card forged to match."""
    return edited_card(content, card, model_sha256=sha256(content))


def renamed_class(model: bytes, module: str, name: str) -> bytes:
    """The model's file with the estimator's class replaced in its schema."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    schema = json.loads(members["schema.json"])
    schema["__module__"], schema["__class__"] = module, name
    members["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return buffer.getvalue()


Forge = Callable[[bytes, dict[str, Any]], tuple[bytes, bytes]]


@pytest.mark.parametrize(
    ("forge", "complaint"),
    [
        pytest.param(
            lambda model, card: (model + b" ", json.dumps(card).encode()),
            r"model\.skops is not the file that card\.json describes",
            id="model changed, card not",
        ),
        pytest.param(
            lambda _, card: replaced_model(
                skops.io.dumps(make_pipeline(FunctionTransformer(os.system), LinearRegression())),
                card,
            ),
            r"types that are not trusted: .*posix\.system",
            id="function that runs commands",
        ),
        pytest.param(
            lambda model, card: replaced_model(renamed_class(model, "subprocess", "Popen"), card),
            r"types that are not trusted: subprocess\.Popen",
            id="foreign class",
        ),
        pytest.param(
            lambda model, card: replaced_model(renamed_class(model, "evil_module", "Evil"), card),
            r"types that are not trusted: evil_module\.Evil",
            id="class of a module that is not there",
        ),
        pytest.param(
            lambda _, card: replaced_model(skops.io.dumps([1, 2]), card),
            "The model is a list, which cannot predict",
            id="no estimator",
        ),
        pytest.param(
            lambda _, card: replaced_model(b"not a zip", card),
            "The model cannot be read: BadZipFile",
            id="no archive",
        ),
        pytest.param(
            lambda model, card: replaced_model(model[: len(model) // 2], card),
            "The model cannot be read: BadZipFile",
            id="cut short",
        ),
        pytest.param(
            lambda model, card: edited_card(
                model, card, libraries=card["libraries"] | {"scikit-learn": "0.1"}
            ),
            "was trained with scikit-learn 0.1, but .* is installed: train the model again",
            id="another scikit-learn",
        ),
        pytest.param(lambda model, _: (model, b"{"), "card.json is not JSON", id="card no JSON"),
        pytest.param(lambda model, _: (model, b"\xff"), "card.json is not JSON", id="card no text"),
        pytest.param(lambda model, _: (model, b"[]"), "not a model card", id="card a list"),
        pytest.param(lambda model, _: (model, b"{}"), "not a model card", id="card empty"),
        pytest.param(
            lambda model, card: edited_card(model, card, parameters=[]),
            "not a model card",
            id="card without parameters",
        ),
        pytest.param(
            lambda model, card: edited_card(model, card, parameters=[{"name": 1}]),
            "not a model card",
            id="parameter without a name",
        ),
    ],
)
def test_a_tampered_folder_is_refused(
    model_folder: Path, tmp_path: Path, forge: Forge, complaint: str
) -> None:
    model = (model_folder / "model.skops").read_bytes()
    card = json.loads((model_folder / "card.json").read_text())
    forged_model, forged_card = forge(model, card)
    (tmp_path / "model.skops").write_bytes(forged_model)
    (tmp_path / "card.json").write_bytes(forged_card)
    with pytest.raises(ArtifactError, match=complaint):
        artifact.load(tmp_path)


@pytest.mark.parametrize("name", ["model.skops", "card.json"])
def test_a_missing_file_is_named(model_folder: Path, tmp_path: Path, name: str) -> None:
    for file in model_folder.iterdir():
        if file.name != name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ArtifactError, match=rf"There is no .*{name}: train the model first"):
        artifact.load(tmp_path)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ArtifactError, match=r"card\.json cannot be read: Is a directory"):
        artifact.load(tmp_path)
