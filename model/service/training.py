"""What `model.train.train` returns: the contract between a model and its service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray


class Estimator(Protocol):
    """A fitted scikit-learn estimator or Pipeline."""

    def predict(self, X: Any, /) -> NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Predict one value for each row of the frame it was fitted on."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Predictions for rows that the estimator had not been fitted on.

    target: what was true, shape (rows,).
    prediction: what was predicted, shape (rows,).
    probabilities: of each class, shape (rows, classes), in the order of the estimator's
        `classes_`; of classifiers that have them.
    """

    target: NDArray[Any]
    prediction: NDArray[Any]
    probabilities: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Training:
    """A trained model and what is to be known about it.

    estimator: fitted on all rows of the frame.
    frame: what it was fitted on: a pandas DataFrame, or an array of numbers of shape
        (rows, columns) with `parameters`.
    target: what it predicts, shape (rows,) or (rows, outputs).
    target_name: what the prediction means, with its unit if it has one.
    dataset: where the data comes from.
    metrics: name and value, measured on rows the estimator was not fitted on.
    evaluation: how the metrics were measured, in words.
    floors: the least that a metric may be: less fails the build.
    ceilings: the most that a metric may be, for errors and losses. At least one metric has
        a floor or a ceiling.
    held_out: predictions for held-out rows; the card's plots of residuals, or of calibration,
        are made from them.
    parameters: what requests call each column of the frame, in its order, if not by its own
        name: {"f": "bmi"} is asked as /prediction/?f=0.05.
    shown_rows: how many rows of the frame the model card shows, in the plot of its page.
        The card is public wherever the service is: 0 shows none.
    name, version: what the model is called in URLs, /v2/models/<name>/versions/<version>.
    """

    estimator: Estimator
    frame: Any
    target: NDArray[Any]
    target_name: str
    dataset: str
    metrics: Mapping[str, float]
    evaluation: str
    floors: Mapping[str, float] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    held_out: HeldOut | None = None
    parameters: Mapping[str, str] | None = None
    shown_rows: int = 0
    name: str = "model"
    version: str = "1"

    def __post_init__(self) -> None:
        """Refuse what could not be served.

        Raises ValueError.
        """
        shape = self.frame.shape
        if len(shape) != 2:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"frame must have the shape (rows, columns), not {shape}")
        rows, columns = shape
        if not rows or not columns or self.target.shape[:1] != (rows,):
            raise ValueError(
                f"target must have a value for each of the {rows} rows of frame, "
                f"not the shape {self.target.shape}"
            )
        if self.parameters is not None and len(self.parameters) != columns:
            raise ValueError(
                f"parameters must name each of the {columns} columns of frame, "
                f"not {len(self.parameters)}"
            )
        if self.parameters is None and not hasattr(self.frame, "columns"):
            raise ValueError("parameters must name the columns of a frame without column names")
        if not self.metrics:
            raise ValueError("metrics must hold at least one measure on held-out rows")
        bounded = {*self.floors, *self.ceilings}
        if not bounded:
            raise ValueError("floors or ceilings must bound at least one of the metrics")
        if unknown := bounded - set(self.metrics):
            raise ValueError(
                f"floors and ceilings must be of metrics, which {', '.join(sorted(unknown))} is not"
            )
