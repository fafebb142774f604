"""What `model.train.train` returns: the contract between a model and its service."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model.service.contract.artifact import Estimator

# A part of a URL's path that every client writes alike.
URL_NAME = re.compile("[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# What a header line of CSV, a label of a metric and a form can hold.
FEATURE_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\s\x00-\x1f\x7f])?")


class TrainingError(ValueError):
    """The training cannot be served: one sentence says why."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Predictions for rows that the estimator had not been fitted on.

    target: what was true, shape (rows,) or (rows, outputs).
    prediction: what was predicted, of the same shape.
    probabilities: of each class, shape (rows, classes), in the order of the estimator's
        `classes_`; of classifiers that have them.
    """

    target: Any
    prediction: Any
    probabilities: Any = None

    def __post_init__(self) -> None:
        """Make arrays of what is given.

        Raises TrainingError if they are not of the same rows.
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
    """A trained model and what is to be known about it.

    estimator: fitted on all rows of the frame; of a search such as GridSearchCV, its best
        estimator is taken.
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
        """Refuse what could not be served.

        Raises TrainingError.
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
        """What requests call the columns of the frame, in its order."""
        return tuple(self.frame.columns if self.parameters is None else self.parameters)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the frame calls its columns; an array's are called as `parameters` says."""
        named = self.parameters is not None and not hasattr(self.frame, "columns")
        return tuple((self.parameters or {}).values() if named else self.frame.columns)

    def missed(self) -> str:
        """Return one sentence that names each metric beyond its bound, or nothing."""
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
    """Replace a frozen dataclass's sequence by an array, and return it."""
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
