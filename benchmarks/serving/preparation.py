"""The served models, trained and built as in an image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.serving.environments import MODEL, SERVING
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.servers import LINEAR

if TYPE_CHECKING:
    from pathlib import Path

BUILD_AT_MOST = 600


@dataclass(frozen=True)
class Prepared:
    """A model's files and the test questions for it.

    form: the form in which our service serves it. texts: the first predictions as numpy prints
    them.
    """

    folder: Path
    form: str
    columns: dict[str, list[Any]]
    predictions: list[float]
    texts: list[str]


def prepare(tools: Path, folder: Path, model: str) -> Prepared:
    """Build a model in `folder`, which must not exist. Raises MeasurementError."""
    shutil.copytree(
        MODEL, folder / "model", ignore=shutil.ignore_patterns("artifact", "__pycache__", ".*")
    )
    if model != LINEAR:
        shutil.copyfile(SERVING / "trainings" / f"{model}.py", folder / "model" / "train.py")
    path = os.pathsep.join((str(tools / "bin"), os.defpath))
    python = str(tools / "bin" / "python")
    forms = folder / "model" / "service" / "contract" / "forms"
    sums = [str(MODEL / "image" / "weighted_sum.c"), str(forms / "libweighted_sum.so")]
    for command in (
        [str(MODEL / "image" / "compile"), *sums],
        [python, "-m", "model.service.training.build"],
        [python, str(SERVING / "prepare.py"), str(folder)],
    ):
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PYTHONPATH": str(folder), "HOME": str(folder), "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_AT_MOST,
            check=False,
        )
        if done.returncode:
            raise MeasurementError(
                f"The model {model} could not be built: {done.stderr.strip()[-1500:]}"
            )
    card = json.loads((folder / "model" / "artifact" / "card.json").read_text(encoding="utf-8"))
    asked = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    return Prepared(
        folder,
        card.get("form", "estimator"),
        asked["columns"],
        asked["predictions"],
        asked["texts"],
    )


def our_environment(form: str) -> str:
    """Return the name of the environment of our service for a form of the model."""
    return {"coefficients": "ours", "onnx": "ours-onnx", "estimator": "ours-estimator"}[form]
