"""The estimator, loaded once in each worker."""

import os
import pickle
from pathlib import Path
from typing import Any

ESTIMATOR: Any = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301 - made by the benchmark
