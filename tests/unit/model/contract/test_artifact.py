"""The estimator on disk: the same bytes each time, and only what is trusted is loaded."""

import functools
import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVR

from model.service.contract import artifact
from model.service.contract.artifact import dump, load_estimator, restore
from model.service.contract.card import ArtifactError, read_card, read_file
from model.service.training import Training
from support import models

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.random((120, 3))
TARGET = ROWS.sum(axis=1)


def load(folder: Path) -> Any:
    return load_estimator(folder, read_card(folder))


def test_what_is_saved_is_loaded(training: Training, model_folder: Path) -> None:
    assert np.array_equal(
        load(model_folder).predict(training.frame), training.estimator.predict(training.frame)
    )


@pytest.mark.parametrize("train", models.MODELS, ids=lambda train: train.__name__)
def test_any_model_is_read_as_it_was(train: Callable[[], Training]) -> None:
    training = train()
    model = dump(training.estimator)
    again = pickle.loads(pickle.dumps(training.estimator))  # noqa: S301 - our own
    assert dump(again) == model
    assert np.array_equal(
        restore(model).predict(training.frame), training.estimator.predict(training.frame)
    )


@pytest.mark.parametrize(
    "estimator",
    [
        CalibratedClassifierCV(LogisticRegression(), cv=3),
        GaussianProcessRegressor(RBF() + WhiteKernel()),
        HistGradientBoostingRegressor(max_iter=1),
        KNeighborsRegressor(algorithm="ball_tree"),
        KNeighborsRegressor(algorithm="kd_tree", leaf_size=5),
        MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=500, random_state=0),
        RandomForestRegressor(5),
        SVR(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_types_of_scikit_learn_are_trusted(estimator: Any) -> None:
    target = TARGET > 1.5
    # SciPy 1.18 deprecates what a regressor computes from Boolean targets.
    model = estimator.fit(ROWS, target.astype(float) if is_regressor(estimator) else target)
    assert np.allclose(restore(dump(model)).predict(ROWS), model.predict(ROWS), rtol=1e-12)


def test_what_skops_cannot_write_is_told() -> None:
    model = LinearRegression().fit(ROWS, TARGET)
    model.lock_ = io.BytesIO()
    with pytest.raises(ArtifactError, match="skops cannot write the estimator"):
        dump(model)


def test_a_function_without_a_name_is_told() -> None:
    """skops writes it, and nothing can load it."""
    lines = make_pipeline(FunctionTransformer(lambda values: values), LinearRegression())
    with pytest.raises(ArtifactError, match=r"contains .*<lambda>, which has no name .* with def"):
        dump(lines.fit([[0.0], [1.0]], [0.0, 1.0]))


def forged(estimator: Any, change: Callable[[Any], None]) -> bytes:
    """Return the file of an estimator whose arrays were changed."""
    with zipfile.ZipFile(io.BytesIO(dump(estimator))) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    for name, content in members.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content)).copy()
            change(array)
            buffer = io.BytesIO()
            np.save(buffer, array)
            members[name] = buffer.getvalue()
    return packed(members)


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return buffer.getvalue()


def setting(field: str, place: int, value: int) -> Callable[[Any], None]:
    """Return a function that sets a field of the record arrays that have it."""

    def change(array: Any) -> None:
        if field in (array.dtype.names or ()):
            array[field][place] = value

    return change


def setting_whole_numbers(value: int) -> Callable[[Any], None]:
    """Return a function that sets the last number of arrays that contain row numbers."""

    def change(array: Any) -> None:
        if array.dtype == np.int64 and array.shape == (len(ROWS),):
            array[-1] = value

    return change


@functools.cache
def fitted(estimator: Any) -> Any:
    return estimator.fit(ROWS, TARGET)


FOREST = RandomForestRegressor(3, random_state=0)
BOOSTED = HistGradientBoostingRegressor(max_iter=1)
NEIGHBOURS = KNeighborsRegressor(algorithm="kd_tree", leaf_size=5)
BALLS = KNeighborsRegressor(algorithm="ball_tree", leaf_size=5)


@pytest.mark.parametrize(
    ("estimator", "change", "part"),
    [
        (FOREST, setting("left_child", 0, 10**6), "Tree"),
        (FOREST, setting("left_child", 0, -2), "Tree"),
        (FOREST, setting("right_child", 0, 10**6), "Tree"),
        (FOREST, setting("right_child", 0, 0), "Tree"),
        (FOREST, setting("feature", 0, 3), "Tree"),
        (FOREST, setting("feature", 0, -3), "Tree"),
        (BOOSTED, setting("left", 0, 10**6), "TreePredictor"),
        (BOOSTED, setting("right", 0, 0), "TreePredictor"),
        (BOOSTED, setting("feature_idx", 0, -1), "TreePredictor"),
        (BOOSTED, setting("is_categorical", 0, 1), "TreePredictor"),
        (NEIGHBOURS, setting("idx_end", 0, 10**6), "KDTree"),
        (NEIGHBOURS, setting("idx_start", -1, -1), "KDTree"),
        (NEIGHBOURS, setting("is_leaf", -1, 0), "KDTree"),
        (NEIGHBOURS, setting_whole_numbers(10**6), "KDTree"),
        (BALLS, setting("idx_end", 0, 10**6), "BallTree"),
    ],
)
def test_indices_beyond_their_arrays_are_refused(
    estimator: Any, change: Callable[[Any], None], part: str
) -> None:
    model = fitted(estimator)
    assert restore(forged(model, lambda _array: None))
    with pytest.raises(ArtifactError, match=f"The model's {part} points outside itself"):
        restore(forged(model, change))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def replaced_model(content: bytes, card: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return a forged model, with a card forged to match."""
    files = card["files"] | {"model.skops": sha256(content)}
    return content, json.dumps(card | {"files": files}).encode()


def renamed_class(model: bytes, module: str, name: str) -> bytes:
    """Return the model's file with the estimator's class replaced in its schema."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    schema = json.loads(members["schema.json"])
    schema["__module__"], schema["__class__"] = module, name
    members["schema.json"] = json.dumps(schema).encode()
    return packed(members)


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
            lambda model, card: (model, json.dumps(card | {"files": {}}).encode()),
            r"model\.skops is not the file that card\.json describes",
            id="card without the file",
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
            r"types that are not trusted: subprocess\.Popen\. If you know .* TRUSTED_TYPES of mod",
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
            lambda model, card: (
                model,
                json.dumps(
                    card | {"libraries": card["libraries"] | {"scikit-learn": "0.1"}}
                ).encode(),
            ),
            "was trained with scikit-learn 0.1, but .* is installed: train the model again",
            id="another scikit-learn",
        ),
        pytest.param(lambda model, _: (model, b"{"), "card.json is not JSON", id="card no JSON"),
        pytest.param(lambda model, _: (model, b"\xff"), "card.json is not JSON", id="card no text"),
        pytest.param(lambda model, _: (model, b"[]"), "not a model card", id="card a list"),
        pytest.param(lambda model, _: (model, b"{}"), "not a model card", id="card empty"),
        pytest.param(
            lambda model, card: (model, json.dumps(card | {"features": []}).encode()),
            "not a model card",
            id="card without features",
        ),
        pytest.param(
            lambda model, card: (model, json.dumps(card | {"features": [{"name": 1}]}).encode()),
            "not a model card",
            id="feature without a kind",
        ),
        pytest.param(
            lambda model, card: (model, json.dumps(card | {"files": []}).encode()),
            "not a model card",
            id="card without files",
        ),
        pytest.param(
            lambda model, card: (model, json.dumps(card | {"libraries": None}).encode()),
            "not a model card",
            id="card without libraries",
        ),
        pytest.param(
            lambda model, card: (model, json.dumps(card | {"schema": 2}).encode()),
            "not a model card",
            id="card of another schema",
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
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.skops", "card.json"])
def test_a_missing_file_is_named(model_folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(model_folder, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    with pytest.raises(ArtifactError, match=rf"There is no .*{name}: train the model first"):
        load(tmp_path / "copy")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ArtifactError, match=r"card\.json cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_beside_the_card_is_the_one_it_names(model_folder: Path) -> None:
    card = read_card(model_folder)
    for name in card["files"]:
        assert sha256(read_file(model_folder, card, name)) == card["files"][name]
    with pytest.raises(ArtifactError, match=r"card\.json is not the file that card\.json"):
        read_file(model_folder, card, "card.json")


def test_trusted_types_are_named_one_by_one() -> None:
    assert all(name.rpartition(".")[2].isidentifier() for name in artifact.TRUSTED_TYPES)
    assert len(set(artifact.TRUSTED_TYPES)) == len(artifact.TRUSTED_TYPES)


def test_bytes_between_the_fields_of_records_are_not_kept() -> None:
    gapped = {"names": ["a", "b"], "formats": ["u1", "<i8"], "offsets": [0, 8], "itemsize": 16}
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2, np.dtype(gapped)))
    head = buffer.getvalue()[:-32]
    record = b"\x01" + b"%s" + b"\x02" * 8
    dirty, clean = (head + 2 * record.replace(b"%s", gap * 7) for gap in (b"\xff", b"\x00"))
    assert artifact._without_gaps(dirty) == clean
