"""The estimator behind LitServe."""

import os
import pickle
from pathlib import Path
from typing import Any

import litserve
import numpy as np


class Served(litserve.LitAPI):
    """The four steps of a LitServe API."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - there is but one
        """Load the model, once in each worker."""
        content = Path(os.environ["MODEL"]).read_bytes()
        self.model = pickle.loads(content)  # noqa: S301 - made by the benchmark itself

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        """Return the rows of the request."""
        return np.asarray(request["input"])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict rows."""
        return self.model.predict(x)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Return the response with the predictions."""
        return {"output": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(
        Served(), accelerator="cpu", workers_per_device=int(os.environ["WORKERS"])
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=int(os.environ["WORKERS"]),
        generate_client_file=False,
        log_level="warning",
    )
