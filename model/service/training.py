"""What `model.train.train` returns: the contract between a model and its service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


class Estimator(Protocol):
    """A fitted scikit-learn estimator or Pipeline."""

    def predict(self, X: Any, /) -> NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Predict one value for each row of an array of shape (rows, columns)."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A trained model and what is to be known about it.

    estimator: fitted on all rows.
    features: the numbers it was fitted on, shape (rows, columns).
    target: what it predicts, shape (rows,).
    parameters: the query parameter of each column, in the columns' order, and the
        feature's name: {"f": "bmi"} is asked as /prediction/?f=0.05.
    target_name: what the prediction means, with its unit if it has one.
    dataset: where the data comes from.
    metrics: name and value, measured on rows the estimator was not fitted on.
    evaluation: how the metrics were measured, in words.
    """

    estimator: Estimator
    features: NDArray[Any]
    target: NDArray[Any]
    parameters: Mapping[str, str]
    target_name: str
    dataset: str
    metrics: Mapping[str, float]
    evaluation: str

    def __post_init__(self) -> None:
        """Refuse what could not be served.

        Raises ValueError.
        """
        if self.features.ndim != 2:  # noqa: PLR2004 - rows and columns
            raise ValueError(
                f"features must have the shape (rows, columns), not {self.features.shape}"
            )
        rows, columns = self.features.shape
        if rows == 0 or self.target.shape != (rows,):
            raise ValueError(f"target must have the shape ({rows},), not {self.target.shape}")
        if len(self.parameters) != columns:
            raise ValueError(
                f"parameters must name each of the {columns} columns of features, "
                f"not {len(self.parameters)}"
            )
        if not self.metrics:
            raise ValueError("metrics must hold at least one measure on held-out rows")
