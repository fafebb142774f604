"""Create the inputs of all servers: the estimator, questions, and scikit-learn's predictions.

    python prepare.py FOLDER

It must run where `model` is the package of the model, with the dependencies for training.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

from model.train import train

ROWS = 10_000
SEED = 0
# Realistic inputs have no more digits.
DIGITS = 6


def questions(frame: Any, names: list[str]) -> dict[str, list[Any]]:
    """Return random rows by column, with values within the range of each column."""
    random = np.random.default_rng(SEED)
    columns = {}
    for name, values in zip(names, _columns(frame), strict=True):
        if values.dtype.kind == "f":
            drawn = random.uniform(values.min(), values.max(), ROWS).round(DIGITS)
        else:
            drawn = random.choice(sorted(set(values)), ROWS)
        columns[name] = drawn.tolist()
    return columns


def _columns(frame: Any) -> list[Any]:
    if hasattr(frame, "columns"):
        return [frame[name].to_numpy() for name in frame.columns]
    return list(frame.T)


def _as_fitted(frame: Any, columns: dict[str, list[Any]]) -> Any:
    if hasattr(frame, "columns"):
        return type(frame)(columns)
    return np.column_stack(list(columns.values()))


def main() -> None:
    """Write model.pkl and questions.json."""
    folder = Path(sys.argv[1])
    training = train()
    frame = training.frame
    names = list(training.parameters or frame.columns)
    columns = questions(frame, names)
    rows = _as_fitted(frame, columns)
    predict = training.estimator.predict
    expected = {
        "columns": columns,
        "predictions": predict(rows).tolist(),
        # The text of the service's response: numpy's text of an array with one element.
        "texts": [str(predict(rows[index : index + 1])) for index in range(256)],
    }
    with (folder / "model.pkl").open("wb") as file:
        pickle.dump(training.estimator, file)
    estimator: Any = training.estimator
    if hasattr(estimator, "coef_"):
        line = {"weight": float(estimator.coef_[0]), "intercept": float(estimator.intercept_)}
        (folder / "line.json").write_text(json.dumps(line), encoding="utf-8")
    (folder / "questions.json").write_text(json.dumps(expected), encoding="utf-8")


if __name__ == "__main__":
    main()
