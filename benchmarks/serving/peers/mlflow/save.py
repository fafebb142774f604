"""Save the estimator as an MLflow model: python save.py MODEL QUESTIONS FOLDER."""

import json
import pickle
import sys
from pathlib import Path

import mlflow.sklearn
import numpy as np
from mlflow.models import infer_signature


def main() -> None:
    """Save the model with its signature, as recommended by MLflow's documentation."""
    model, questions, folder = sys.argv[1:]
    estimator = pickle.loads(Path(model).read_bytes())  # noqa: S301 - made by the benchmark itself
    asked = json.loads(Path(questions).read_text(encoding="utf-8"))["columns"]
    rows = np.column_stack(list(asked.values()))
    mlflow.sklearn.save_model(
        estimator, folder, signature=infer_signature(rows, estimator.predict(rows))
    )


if __name__ == "__main__":
    main()
