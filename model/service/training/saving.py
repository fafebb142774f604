"""Saving a training to the folder that is served: the model, its card and its plots."""

import hashlib
import io
import json
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier

from model.service.contract.artifact import MODEL_FILE, dump, restore
from model.service.contract.card import CARD_FILE, SCHEMA, ArtifactError
from model.service.contract.features import Feature, to_card
from model.service.contract.predictor import Task
from model.service.training.compilation import compile_model
from model.service.training.dependence import evenly, partial_dependence, rounded
from model.service.training.plots import plots_of
from model.service.training.profile import features_of, frame_of, predict
from model.service.training.proof import INPUTS
from model.service.training.result import Training, TrainingError

PLOTS_FOLDER = "card"
# Their versions are part of the model's description.
LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
# Files of an earlier model that may be removed if its card names them.
OWN_FILE = re.compile(rf"(?:{PLOTS_FOLDER}/)?[\w-]+\.(?:skops|onnx|svg)")
ADDRESS = re.compile(" at 0x[0-9a-f]+")


def check(training: Training) -> tuple[Feature, ...]:
    """Return the features of a training.

    Raises TrainingError if a metric is beyond its bound or the model cannot be served.
    """
    if missed := training.missed():
        raise TrainingError(missed)
    if pd.isna(pd.DataFrame(training.target)).any(axis=None):
        raise TrainingError("target has missing values: leave their rows out.")
    features = features_of(training)
    prediction, rows = predict(training, frame_of(training)), len(training.frame)
    outputs = training.target.shape[1:]
    if prediction.shape != (rows, *outputs) or outputs == (1,):
        raise TrainingError(
            f"The estimator must predict the shape ({rows},), or ({rows}, outputs) for several "
            f"outputs, not {prediction.shape} for a target of shape {training.target.shape}: "
            "fit it on target.ravel() if that has one column."
        )
    if not is_classifier(training.estimator) and (
        prediction.dtype.kind not in "biuf" or not np.isfinite(prediction).all()
    ):
        raise TrainingError("The estimator must predict finite numbers, or be a classifier.")
    return features


def save(training: Training, folder: Path, inputs: int = INPUTS) -> Mapping[str, Any]:
    """Write the model, its plots and its card to `folder` and return the card.

    The folder is created if necessary. inputs: the number of inputs used for the proof.

    The same training gives the same bytes. The card is written last: a folder with a card is
    complete.

    Raises ArtifactError if the saved model cannot be loaded or predicts differently, ValueError if
    the model cannot be served.
    """
    features = check(training)
    model = dump(training.estimator)
    if not _alike(restore(model).predict(training.frame), predict(training, frame_of(training))):
        raise ArtifactError("The saved model does not predict what the trained one does.")
    task: Task = "classification" if is_classifier(training.estimator) else "regression"
    compiled = compile_model(training.estimator, training.frame, features, task, inputs)
    classes = classes_of(training)
    plots = plots_of(
        training.held_out, training.target_name, classes if task == "classification" else None
    )
    files = {
        MODEL_FILE: model,
        **compiled.files,
        **{f"{PLOTS_FOLDER}/{name}": plot.svg for name, plot in plots.items()},
    }
    card = {
        **describe(training, features, task),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        **compiled.to_card(),
        "plots": list(plots),
        "plot_texts": {name: plot.text for name, plot in plots.items()},
    }
    content = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    stale = _files_of(folder) - set(files)
    for name, data in (files | {CARD_FILE: content.encode()}).items():
        _write(folder / name, data)
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    return card


def describe(training: Training, features: Sequence[Feature], task: Task) -> dict[str, Any]:
    """Return the card's entries about the training: the model, its data and its metrics."""
    rows, columns = training.frame.shape
    classes, target = classes_of(training), training.target
    outputs = target.shape[1] if target.ndim > 1 else 1
    numbers = task == "regression"
    return {
        "schema": SCHEMA,
        "name": training.name,
        "version": training.version,
        "estimator": ADDRESS.sub("", str(training.estimator)),
        "task": task,
        "outputs": outputs,
        "classes": classes,
        "features": [to_card(feature) for feature in features],
        "target": training.target_name,
        "target_range": [target.min().item(), target.max().item()]
        if numbers and outputs == 1
        else None,
        "dataset": training.dataset,
        "rows": rows,
        "columns": columns,
        "data_sha256": data_hash(training),
        "fitted_on": "all rows",
        "evaluation": training.evaluation,
        "metrics": {name: rounded(value) for name, value in training.metrics.items()},
        "floors": {name: float(bound) for name, bound in training.floors.items()},
        "ceilings": {name: float(bound) for name, bound in training.ceilings.items()},
        "libraries": {
            "python": platform.python_version(),
            **{library: version(library) for library in LIBRARIES},
        },
        "partial_dependence": partial_dependence(training, features, classes)
        if numbers or classes
        else [],
        "sample": sample_of(training, features),
    }


def classes_of(training: Training) -> list[Any]:
    """Return the classes of a classifier with one output, in JSON types; otherwise an empty list.

    Raises TrainingError if JSON has no such types.
    """
    classes = getattr(training.estimator, "classes_", None)
    if not is_classifier(training.estimator) or not isinstance(classes, np.ndarray):
        return []
    labels: list[Any] = classes.tolist()
    if not all(isinstance(label, str | int | float) for label in labels):
        raise TrainingError(
            f"The classes must be texts, whole numbers or booleans, not {labels[0]!r}."
        )
    return labels


def sample_of(training: Training, features: Sequence[Feature]) -> dict[str, Any]:
    """Return the evenly spaced rows that the card contains, by column."""
    frame = frame_of(training)
    places = evenly(len(frame), training.shown_rows)
    rows = frame.iloc[places].astype(object)
    return {
        "columns": {
            feature.name: [
                None if pd.isna(value) else value for value in rows[feature.column].tolist()
            ]
            for feature in features
        },
        "target": training.target[places].tolist(),
    }


def data_hash(training: Training) -> str:
    """Return the SHA-256 of the columns and the target: their names, types, shapes and values."""
    digest = hashlib.sha256()
    frame = frame_of(training)
    for column in frame.columns:
        digest.update(f"{column}\0{frame[column].dtype}\0".encode())
        digest.update(_canonical(frame[column].to_numpy()))
    digest.update(_canonical(training.target))
    return digest.hexdigest()


def _canonical(array: NDArray[Any]) -> bytes:
    if array.dtype.kind in "biufU":
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        return buffer.getvalue()
    cells = [[None if pd.isna(cell) else str(cell)] for cell in array.ravel().tolist()]
    return json.dumps([list(array.shape), cells]).encode()


def _alike(one: Any, other: NDArray[Any]) -> bool:
    """Return whether predictions are the same up to rounding in a different order of summation."""
    if np.size(one) != other.size:
        return False
    one = np.reshape(one, other.shape)
    if other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=1e-9, atol=1e-12))
    return np.array_equal(one, other)


def _files_of(folder: Path) -> set[str]:
    """Return the files that the card in the folder names; none without a card."""
    try:
        names = set(json.loads((folder / CARD_FILE).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if OWN_FILE.fullmatch(name)}


def _write(path: Path, content: bytes) -> None:
    """Replace the file atomically: readers see either the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
