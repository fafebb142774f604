"""The estimator behind BentoML, with and without adaptive batching."""

import os
import pickle
from pathlib import Path

import bentoml
import numpy as np

WORKERS = int(os.environ["WORKERS"])


def _model() -> object:
    return pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301 - made by the benchmark


@bentoml.service(workers=WORKERS)
class Plain:
    """Predicts each request separately."""

    def __init__(self) -> None:
        """Load the model, once in each worker."""
        self.model = _model()

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predict rows."""
        return self.model.predict(rows)


@bentoml.service(workers=WORKERS)
class Batched:
    """Predicts concurrent requests together."""

    def __init__(self) -> None:
        """Load the model, once in each worker."""
        self.model = _model()

    @bentoml.api(batchable=True, max_batch_size=20_000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predict rows."""
        return self.model.predict(rows)
