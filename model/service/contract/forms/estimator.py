"""The form "estimator": the scikit-learn estimator itself."""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from model.service.contract.artifact import Estimator
from model.service.contract.features import Feature, Value, from_card
from model.service.contract.predictor import (
    LARGE,
    Columns,
    Form,
    OverflowedError,
    RefusedError,
    Task,
    is_large,
)

if TYPE_CHECKING:
    from model.service.contract.forms.weighted_sum import WeightedSum

# What the parts of an estimator raise for values that they do not accept.
REFUSALS = (ValueError, ArithmeticError, LookupError)
# Trees name this type when they reject a number that is finite in double precision.
SINGLE_PRECISION = "float32"
# What scikit-learn says of the numbers that it rejects; the first is for finite ones.
NOT_FINITE = ("", "NaN", "infinity")
# The most parts into which a batch with rejected rows is divided to find these rows.
MOST_PARTS = 2000
# The representation of a missing value in a DataFrame's object column, by the name that this module
# gives to the column's dtype.
MISSING: Mapping[str, Any] = {"object": None, "object, missing is nan": np.nan}


class EstimatorPredictor:
    """Predicts with the estimator."""

    form: Form = "estimator"
    weighted_sum: "WeightedSum | None" = None

    def __init__(
        self,
        features: tuple[Feature, ...],
        task: Task,
        outputs: int,
        estimator: Estimator,
        dtypes: Sequence[str] | None,
    ) -> None:
        """Initialize with the estimator; dtypes: those of the frame's columns, see `Compiled`."""
        self.features = features
        self.task = task
        self.outputs = outputs
        self._estimator: Any = estimator
        self._dtypes = None if dtypes is None else tuple(dtypes)
        classes = getattr(estimator, "classes_", None)
        # A classifier with several outputs has a list of arrays, one per output.
        self.labels: tuple[Any, ...] = (
            tuple(classes.tolist()) if isinstance(classes, np.ndarray) else ()
        )
        self.classes = self.labels if hasattr(estimator, "predict_proba") else ()

    def text(self, row: Sequence[Value]) -> str:
        """Return the prediction for one row as numpy prints it."""
        frame = self.frame([[value] for value in row])
        large = is_large(row)
        try:
            prediction = (self._ask_large if large else self._ask)("predict", frame)
        except REFUSALS as error:
            raise (OverflowedError if large else RefusedError)(_clause(error)) from error
        if prediction.dtype.kind == "f" and not np.isfinite(prediction).all():
            if large:
                raise OverflowedError
            raise RefusedError("the prediction is not a finite number")
        if large and self.labels and self._undecided(frame)[0]:
            raise OverflowedError
        return str(prediction)

    def predict(self, columns: Columns) -> NDArray[Any]:
        """Return the prediction for each row."""
        return self._each("predict", columns)

    def probabilities(self, columns: Columns) -> NDArray[Any]:
        """Return the probability of each class for each row; NaN for a row without a prediction."""
        return self._each("predict_proba", columns)

    def scores(self, columns: Columns) -> NDArray[Any] | None:
        """Return the scores by which the estimator chooses a class; None if it exposes none."""
        for method in ("decision_function", "predict_proba"):
            if hasattr(self._estimator, method):
                return self._each(method, columns)
        return None

    def frame(self, columns: Columns) -> Any:
        """Return the rows in the layout of the training data: an array or a DataFrame."""
        if self._dtypes is None:
            array = np.empty((len(columns[0]), len(columns)))
            for index, column in enumerate(columns):
                array[:, index] = column
            return array
        return pd.DataFrame(
            {
                feature.column: series(feature, dtype, column)
                for feature, dtype, column in zip(self.features, self._dtypes, columns, strict=True)
            },
            copy=False,
        )

    def _each(self, method: str, columns: Columns) -> NDArray[Any]:
        """Return a method's result for each row, whether the estimator accepts every row or not."""
        frame = self.frame(columns)
        try:
            answer = self._ask(method, frame)
        except REFUSALS:
            answer = self._apart(method, frame)
        if method == "predict" and self.labels:
            large = np.flatnonzero(self._large_rows(frame))
            if large.size:
                undecided = large[self._undecided(_rows(frame, large))]
                if undecided.size:
                    answer = answer.astype(object)
                    answer[undecided] = None
        return answer

    def _ask(self, method: str, frame: Any, *, finite: bool = False) -> NDArray[Any]:
        """Return a method's result; finite: whether its parts may skip the check for finite values.

        Without this check, trees treat numbers beyond single precision as infinite, and other parts
        calculate with NaN.
        """
        with (
            # The parameters were validated by the training.
            config_context(assume_finite=finite, skip_parameter_validation=True),
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
        ):
            # Warnings about unknown categories and overflow.
            warnings.simplefilter("ignore")
            answer: NDArray[Any] = np.asarray(getattr(self._estimator, method)(frame))
        # A target of shape (rows, 1) has one output as well.
        return answer.ravel() if method == "predict" and self.outputs == 1 else answer

    def _ask_large(self, method: str, frame: Any) -> NDArray[Any]:
        """Return a method's result for large rows, which trees treat as infinite."""
        try:
            return self._ask(method, frame)
        except REFUSALS as error:
            if SINGLE_PRECISION not in str(error):
                raise
            return self._ask(method, frame, finite=True)

    def _apart(self, method: str, frame: Any) -> NDArray[Any]:
        """Return a method's result for the rows that the estimator accepts; the others have none.

        Rows that it rejects are found by dividing the batch, up to a limit: beyond it, rows in the
        remaining parts have none either.
        """
        answers: list[Any] = [None] * len(frame)
        large, doubts = self._large_rows(frame), self._doubts(frame)
        for doubt, beyond in itertools.product(NOT_FINITE, (False, True)):
            ask = self._ask_large if beyond else self._ask
            indices = np.flatnonzero((large == beyond) & (doubts == doubt))
            rows = _rows(frame, indices)
            parts = [(0, len(indices))] if indices.size else []
            for _ in range(MOST_PARTS):
                if not parts:
                    break
                start, end = parts.pop()
                try:
                    answer = ask(method, rows[start:end]).tolist()
                except REFUSALS as error:
                    if doubt and doubt in str(error):
                        continue  # each of these rows would be rejected alone
                    if end - start > 1:
                        middle = (start + end) // 2
                        parts += [(middle, end), (start, middle)]
                else:
                    for index, value in zip(indices[start:end].tolist(), answer, strict=True):
                        answers[index] = value
        return self._array(method, answers)

    def _doubts(self, frame: Any) -> NDArray[np.str_]:
        """Return which of NOT_FINITE each row gives to the last step of a pipeline, if any."""
        doubts = np.full(len(frame), "", "U8")
        if not isinstance(self._estimator, Pipeline):
            return doubts
        try:
            with config_context(assume_finite=True), np.errstate(all="ignore"):
                inputs = np.asarray(self._estimator[:-1].transform(frame), np.float64)
        except Exception:  # noqa: BLE001 - transformers raise anything; then it is not known
            return doubts
        if inputs.ndim == 2:  # noqa: PLR2004 - a table
            doubts[np.isnan(inputs).any(axis=1)] = "NaN"
            doubts[np.isinf(inputs).any(axis=1)] = "infinity"
        return doubts

    def _array(self, method: str, answers: Sequence[Any]) -> NDArray[Any]:
        """Return the answers as an array; no answer is None for labels and NaN for numbers."""
        label = method == "predict" and self.task == "classification"
        width = len(self.classes) if method == "predict_proba" else self.outputs
        example = next((answer for answer in answers if answer is not None), None)
        shape = np.shape(example) if example is not None else (width,) if width > 1 else ()
        array = np.empty((len(answers), *shape), object if label else np.float64)
        for index, answer in enumerate(answers):
            array[index] = (None if label else np.nan) if answer is None else answer
        return array

    def _large_rows(self, frame: Any) -> NDArray[np.bool_]:
        """Return which rows are large."""
        if self._dtypes is None:
            large: NDArray[np.bool_] = (np.abs(frame) > LARGE).any(axis=1)
            return large
        large = np.zeros(len(frame), bool)
        for feature in self.features:
            if feature.kind == "number":
                large |= np.abs(frame[feature.column].to_numpy(np.float64)) > LARGE
        return large

    def _undecided(self, frame: Any) -> NDArray[np.bool_]:
        """Return for which rows, all of them large, the label comes from scores that overflow.

        The sign of an infinite score depends on the order of a sum.
        """
        for method in ("decision_function", "predict_proba"):
            if hasattr(self._estimator, method):
                scores = self._apart(method, frame)
                decided = np.isfinite(scores.reshape(len(scores), -1)).all(axis=1)
                return ~decided  # type: ignore[no-any-return]
        return np.zeros(len(frame), bool)


def _rows(frame: Any, indices: NDArray[np.intp]) -> Any:
    return frame.iloc[indices] if isinstance(frame, pd.DataFrame) else frame[indices]


def _clause(error: Exception) -> str:
    """Return what an estimator said, as a clause of bounded length."""
    said = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return said[:200] or type(error).__name__


def series(feature: Feature, dtype: str, column: Sequence[Value]) -> "pd.Series[Any]":
    """Return a feature's values as a column of a DataFrame."""
    if feature.is_numeric:
        return _numbers(feature, column)
    if dtype == "category":
        return pd.Series(column, dtype=pd.CategoricalDtype(list(feature.categories)))
    if dtype not in MISSING:
        return pd.Series(column, dtype=dtype)
    values = np.empty(len(column), object)
    values[:] = column
    if feature.nullable:
        values[np.equal(values, None)] = MISSING[dtype]  # type: ignore[call-overload]
    return pd.Series(values, dtype=object)


def _numbers(feature: Feature, column: Sequence[Value]) -> "pd.Series[Any]":
    # Integers may exceed 64 bits.
    if feature.kind == "integer" and not feature.nullable:
        with contextlib.suppress(OverflowError):
            return pd.Series(np.array(column, np.int64))
    return pd.Series(np.array(column, np.float64))


def dtype_of(values: "pd.Series[Any]") -> str:
    """Return the dtype name with which `series` creates a column like this one."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "category"
    if values.dtype != object:
        return str(values.dtype)
    missing = values[values.isna()]
    nan = any(isinstance(value, float) for value in missing)
    return "object, missing is nan" if nan else "object"


def parts_of(estimator: Any) -> Iterator[Any]:
    """Yield the estimator and all estimators inside it."""
    seen: set[int] = set()
    left = [estimator]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, BaseEstimator):
            yield part
            left += vars(part).values()
        elif isinstance(part, (list, tuple)):
            left += part
        elif isinstance(part, dict):
            left += part.values()
        elif isinstance(part, np.ndarray) and part.dtype == object:
            left += part.ravel().tolist()


def load(card: Mapping[str, Any], estimator: Estimator) -> EstimatorPredictor:
    """Return the predictor that a card describes.

    Raises KeyError, TypeError or ValueError if the card is invalid.
    """
    for part in parts_of(estimator):
        # Each worker is one job: starting more of them costs more than a prediction.
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = 1
    return EstimatorPredictor(
        tuple(map(from_card, card["features"])),
        card["task"],
        card["outputs"],
        estimator,
        card["dtypes"],
    )
