"""The result of `model.train.train`: the contract between a model and its service."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model.service.contract.artifact import Estimator

# A segment of a URL's path that needs no encoding.
URL_NAME = re.compile("[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# Names that are valid in a CSV header, a metric's label and a form.
FEATURE_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\s\x00-\x1f\x7f])?")


class TrainingError(ValueError):
    """The training cannot be served; the message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Predictions for rows that the estimator had not been fitted on.

    target: the true values, shape (rows,) or (rows, outputs).
    prediction: the predicted values, of the same shape.
    probabilities: for classifiers that have them, the probability of each class, shape
        (rows, classes), in the order of the estimator's `classes_`.
    """

    target: Any
    prediction: Any
    probabilities: Any = None

    def __post_init__(self) -> None:
        """Convert the fields to arrays.

        Raises TrainingError if they do not have the same number of rows.
        """
        target, prediction = _array(self, "target"), _array(self, "prediction")
        if target.shape != prediction.shape or not target.size:
            raise TrainingError(
                f"held_out's prediction must have the shape of its target, {target.shape}, "
                f"not {prediction.shape}."
            )
        if self.probabilities is not None:
            probabilities = _array(self, "probabilities")
            if probabilities.ndim != 2 or len(probabilities) != len(target):  # noqa: PLR2004
                raise TrainingError(
                    f"held_out's probabilities must have the shape ({len(target)}, classes), "
                    f"not {probabilities.shape}."
                )


@dataclass(frozen=True, kw_only=True)
class Training:
    """A trained model and the information about it.

    estimator: fitted on all rows of the frame. For a search such as GridSearchCV, its best
        estimator is used.
    frame: the data that it was fitted on: a pandas DataFrame, or an array of numbers of shape
        (rows, columns) with `parameters`.
    target: the values to predict, shape (rows,) or (rows, outputs).
    target_name: what the prediction means, with its unit if it has one.
    dataset: the source of the data.
    metrics: names and values, measured on rows that the estimator was not fitted on.
    evaluation: how the metrics were measured, in words.
    floors: lower bounds of metrics. A lower value fails the build.
    ceilings: upper bounds of metrics, for errors and losses. At least one metric has a floor or
        a ceiling.
    held_out: predictions for held-out rows, from which the card's plots of residuals or
        calibration are drawn.
    parameters: the names of the frame's columns in requests, in their order, if these differ
        from the columns' own names: {"f": "bmi"} is requested as /prediction/?f=0.05.
    shown_rows: the number of rows of the frame that the model card contains, for the plot of
        its page. The card is as public as the service: 0 shows none.
    name, version: the model's name and version in URLs, /v2/models/<name>/versions/<version>.
    """

    estimator: "Estimator"
    frame: Any
    target: Any
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
        """Validate the training.

        Raises TrainingError if it cannot be served.
        """
        best = getattr(self.estimator, "best_estimator_", self.estimator)
        object.__setattr__(self, "estimator", best)
        if not callable(getattr(best, "predict", None)):
            raise TrainingError(f"estimator must have a method predict, which {best!r} has not.")
        rows, columns = self._check_frame()
        target = _array(self, "target")
        if target.shape[:1] != (rows,) or target.ndim > 2:  # noqa: PLR2004 - rows and outputs
            raise TrainingError(
                f"target must have a value for each of the {rows} rows of frame, "
                f"not the shape {target.shape}."
            )
        self._check_texts()
        self._check_parameters(columns)
        self._check_names()
        self._check_bounds()
        if isinstance(self.shown_rows, bool) or not (
            isinstance(self.shown_rows, int) and self.shown_rows >= 0
        ):
            raise TrainingError(
                f"shown_rows must be a whole number from 0, not {self.shown_rows!r}."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns in requests, in the order of the frame."""
        return tuple(self.frame.columns if self.parameters is None else self.parameters)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns in the frame; for an array, the values of `parameters`."""
        named = self.parameters is not None and not hasattr(self.frame, "columns")
        return tuple((self.parameters or {}).values() if named else self.frame.columns)

    def missed(self) -> str:
        """Return one sentence that names each metric beyond its bound, or an empty string."""
        faults = [
            f"{name} is {_figure(self.metrics[name])}, {side} {_figure(bound)}"
            for side, bounds in (
                ("below its floor", self.floors),
                ("above its ceiling", self.ceilings),
            )
            for name, bound in bounds.items()
            if (self.metrics[name] < bound if side.startswith("b") else self.metrics[name] > bound)
        ]
        return f"The metric {', and the metric '.join(faults)}." if faults else ""

    def _check_frame(self) -> tuple[int, int]:
        shape = getattr(self.frame, "shape", None)
        if not (hasattr(self.frame, "columns") or hasattr(self.frame, "__array_interface__")):
            raise TrainingError(
                "frame must be a pandas DataFrame or a numpy array, "
                f"not a {type(self.frame).__name__}."
            )
        if shape is None or len(shape) != 2 or not all(shape):  # noqa: PLR2004 - rows and columns
            raise TrainingError(f"frame must have the shape (rows, columns), not {shape}.")
        if not hasattr(self.frame, "columns") and self.frame.dtype.kind not in "biuf":
            raise TrainingError(
                f"An array as frame must be of numbers, not of {self.frame.dtype}: give a "
                "DataFrame for other columns."
            )
        return shape[0], shape[1]

    def _check_texts(self) -> None:
        for what in ("name", "version"):
            text = getattr(self, what)
            if not (isinstance(text, str) and URL_NAME.fullmatch(text)):
                raise TrainingError(
                    f"{what} must be 1 to 64 letters, digits, dots, hyphens or underscores, the "
                    f"first and the last a letter or a digit, as it is part of URLs, not {text!r}."
                )
        for what in ("target_name", "dataset", "evaluation"):
            if not (isinstance(text := getattr(self, what), str) and text.strip()):
                raise TrainingError(f"{what} must be a text that says it, not {text!r}.")

    def _check_parameters(self, columns: int) -> None:
        if self.parameters is None:
            if not hasattr(self.frame, "columns"):
                raise TrainingError(
                    "parameters must name the columns of a frame without column names."
                )
            return
        if len(self.parameters) != columns:
            raise TrainingError(
                f"parameters must name each of the {columns} columns of frame, "
                f"not {len(self.parameters)}."
            )
        named, given = list(self.parameters.values()), list(getattr(self.frame, "columns", []))
        if given and named != given:
            raise TrainingError(
                f"parameters must have the columns of frame in their order, {_list(given)}, "
                f"not {_list(named)}."
            )

    def _check_names(self) -> None:
        for name in self.columns:
            if not isinstance(name, str):
                raise TrainingError(f"frame's columns must be named by texts, not {name!r}.")
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise TrainingError(f"frame has several columns of the name {_list(twice)}.")
        for name in self.names:
            if not (isinstance(name, str) and FEATURE_NAME.fullmatch(name)):
                raise TrainingError(
                    "A feature must be named by 1 to 128 printable characters, the first and the "
                    f"last no spaces, not {name!r}: rename the column, or name it in parameters."
                )

    def _check_bounds(self) -> None:
        if not self.metrics:
            raise TrainingError("metrics must hold at least one measure on held-out rows.")
        for what in ("metrics", "floors", "ceilings"):
            for name, value in getattr(self, what).items():
                if not _is_finite(value):
                    raise TrainingError(f"{what} must be finite numbers: {name} is {value!r}.")
        bounded = {*self.floors, *self.ceilings}
        if not bounded:
            raise TrainingError("floors or ceilings must bound at least one of the metrics.")
        if unknown := bounded - set(self.metrics):
            raise TrainingError(
                f"floors and ceilings must be of metrics, which {_list(sorted(unknown))} is not."
            )


def _array(owner: object, name: str) -> "NDArray[Any]":
    """Replace a frozen dataclass's sequence by an array, and return the array."""
    import numpy as np  # noqa: PLC0415 - what serves coefficients has none

    array = np.asarray(getattr(owner, name))
    object.__setattr__(owner, name, array)
    return array


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _figure(value: float) -> str:
    return f"{float(value):.6g}"


def _list(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))
