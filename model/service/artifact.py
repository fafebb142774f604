"""The model on disk: `model.skops` and its card, `card.json`, in one folder.

skops, not pickle: reading a pickle runs whatever code is in it. Of the types in the file
only scikit-learn's and numpy's own, and those named in TRUSTED_TYPES, are ever made.
"""

import hashlib
import io
import json
import os
import platform
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from numpy.typing import NDArray
from skops.io.exceptions import UntrustedTypesFoundException

from model.service.features import Feature, from_card, to_card
from model.service.profile import features_of
from model.service.training import Estimator, Training

MODEL_FILE = "model.skops"
CARD_FILE = "card.json"

# Full names of further types a model may hold. Each one is code that loading may run:
# name only types you have read.
TRUSTED_TYPES: tuple[str, ...] = ("numpy.dtype", "sklearn.tree._tree.Tree")

# Versions of these are part of what the model is.
LIBRARIES = ("numpy", "scikit-learn", "scipy", "skops")

SCHEMA_FILE = "schema.json"
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArtifactError(Exception):
    """The folder holds no model that can be served: one sentence says why."""


@dataclass(frozen=True)
class Artifact:
    """A model as it was read from its folder."""

    estimator: Estimator
    card: Mapping[str, Any]

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, in the order of the estimator's columns."""
        return tuple(map(from_card, self.card["features"]))


def save(training: Training, folder: Path) -> Mapping[str, Any]:
    """Write the model and its card into `folder`, made if need be; return the card.

    The same training gives the same bytes. The card is written last: a folder with a
    card is complete.

    Raises ArtifactError if the model could not be read back and answer the same.
    """
    model = canonical(skops.io.dumps(training.estimator))
    restored = _restore(model)
    if not np.array_equal(
        restored.predict(training.frame), training.estimator.predict(training.frame)
    ):
        raise ArtifactError("The saved model does not predict what the trained one does.")
    card = describe(training, model)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / MODEL_FILE, model)
    _write(folder / CARD_FILE, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    return card


def load(folder: Path) -> Artifact:
    """Read the model and its card from `folder`.

    Raises ArtifactError if a file is missing or damaged, the two do not belong together,
    the model holds types that are not trusted, or another scikit-learn trained it.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_bytes())
        model = (folder / MODEL_FILE).read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"There is no {error.filename}: train the model first with "
            f"`python -m model.service.build {folder}`."
        ) from error
    except OSError as error:
        raise ArtifactError(f"{error.filename} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ArtifactError(f"{folder / CARD_FILE} is not JSON: {error}.") from error
    _check_card(card, folder / CARD_FILE)
    if hashlib.sha256(model).hexdigest() != card["model_sha256"]:
        raise ArtifactError(
            f"{folder / MODEL_FILE} is not the file that {CARD_FILE} describes "
            "(its SHA-256 differs): train the model again."
        )
    trained, installed = card["libraries"]["scikit-learn"], version("scikit-learn")
    if trained != installed:
        raise ArtifactError(
            f"{folder / MODEL_FILE} was trained with scikit-learn {trained}, but {installed} is "
            "installed: train the model again."
        )
    return Artifact(_restore(model), card)


def describe(training: Training, model: bytes) -> dict[str, Any]:
    """Return the model card: what the model is, made of what, and how good."""
    rows, columns = training.frame.shape
    return {
        "schema": 1,
        "name": training.name,
        "version": training.version,
        "estimator": str(training.estimator),
        "task": "classification" if hasattr(training.estimator, "classes_") else "regression",
        "form": "estimator",
        "features": [
            to_card(feature) for feature in features_of(training.frame, training.parameters)
        ],
        "target": training.target_name,
        "dataset": training.dataset,
        "rows": rows,
        "columns": columns,
        "data_sha256": data_hash(
            np.asarray(training.frame).astype("U"), training.target.astype("U")
        ),
        "fitted_on": "all rows",
        "evaluation": training.evaluation,
        # Six digits: the last bits differ between processors.
        "metrics": {name: float(f"{value:.6g}") for name, value in training.metrics.items()},
        "libraries": {
            "python": platform.python_version(),
            **{library: version(library) for library in LIBRARIES},
        },
        "model_sha256": hashlib.sha256(model).hexdigest(),
    }


def data_hash(*arrays: NDArray[Any]) -> str:
    """Return the SHA-256 of the arrays' .npy forms: their types, shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        digest.update(buffer.getbuffer())
    return digest.hexdigest()


def canonical(model: bytes) -> bytes:
    """Return the same skops file without what differs from run to run.

    skops numbers objects and names members by memory address, and zip records the time.
    """
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop(SCHEMA_FILE))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: numbers.setdefault(value, len(numbers)) if key == "__id__" else renumber(value)
                for key, value in node.items()
            }
        if isinstance(node, list):
            return [renumber(item) for item in node]
        if isinstance(node, str) and node in members:
            return names.setdefault(node, f"{len(names)}{Path(node).suffix}")
        return node

    schema = renumber(schema)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for old, new in names.items():
            archive.writestr(zipfile.ZipInfo(new, ZIP_EPOCH), members[old])
        archive.writestr(zipfile.ZipInfo(SCHEMA_FILE, ZIP_EPOCH), json.dumps(schema, indent=1))
    return buffer.getvalue()


def _restore(model: bytes) -> Estimator:
    try:
        estimator = skops.io.loads(model, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        found = skops.io.get_untrusted_types(data=model)
        raise ArtifactError(
            f"The model holds types that are not trusted: {', '.join(found)}. If you know them "
            f"to be harmless, name them in TRUSTED_TYPES of {__name__}."
        ) from error
    except Exception as error:
        # A damaged file surfaces as whatever its parts raise.
        raise ArtifactError(f"The model cannot be read: {error!r}.") from error
    if not callable(getattr(estimator, "predict", None)):
        raise ArtifactError(f"The model is a {type(estimator).__name__}, which cannot predict.")
    return estimator  # type: ignore[no-any-return]


def _check_card(card: Any, path: Path) -> None:
    try:
        complete = (
            isinstance(card["model_sha256"], str)
            and isinstance(card["libraries"]["scikit-learn"], str)
            and len(card["features"]) > 0
            and all(map(from_card, card["features"]))
        )
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise ArtifactError(f"{path} is not a model card of this service: train the model again.")


def _write(path: Path, content: bytes) -> None:
    """Replace the file at once: whoever reads sees the old or the new one, whole."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
