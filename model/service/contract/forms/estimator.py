"""The form "estimator": the scikit-learn estimator itself."""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import config_context

from model.service.contract.artifact import Estimator
from model.service.contract.features import Feature, Value, from_card
from model.service.contract.predictor import Columns, Form, OverflowedError, Task

if TYPE_CHECKING:
    from model.service.contract.forms.weighted_sum import WeightedSum

# Decision trees convert numbers to single precision.
MOST = float(np.finfo(np.float32).max)
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
        # Skip part of scikit-learn's validation, which also makes it reject less: its trees then
        # treat numbers beyond single precision as infinite.
        self._settings = {"assume_finite": True, "skip_parameter_validation": True}

    def text(self, row: Sequence[Value]) -> str:
        """Return the prediction for one row as numpy prints it."""
        frame = self.frame([[value] for value in row])
        try:
            prediction = self._ask("predict", frame)
        except ValueError as error:
            if any(map(_is_large, row)):
                raise OverflowedError from error
            raise
        if prediction.dtype.kind == "f" and not np.isfinite(prediction).all():
            raise OverflowedError
        return str(prediction)

    def predict(self, columns: Columns) -> NDArray[Any]:
        """Return the prediction for each row."""
        return self._ask("predict", self.frame(columns))

    def probabilities(self, columns: Columns) -> NDArray[Any]:
        """Return the probability of each class for each row."""
        return self._ask("predict_proba", self.frame(columns))

    def scores(self, columns: Columns) -> NDArray[Any] | None:
        """Return the scores by which the estimator chooses a class; None if it exposes none."""
        for method in ("decision_function", "predict_proba"):
            if hasattr(self._estimator, method):
                return self._ask(method, self.frame(columns))
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

    def _ask(self, method: str, frame: Any) -> NDArray[Any]:
        with (
            config_context(**self._settings),
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
        ):
            # Warnings about unknown categories and overflow.
            warnings.simplefilter("ignore")
            answer: NDArray[Any] = np.asarray(getattr(self._estimator, method)(frame))
        # A target of shape (rows, 1) has one output as well.
        return answer.ravel() if method == "predict" and self.outputs == 1 else answer


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


def _is_large(value: Value) -> bool:
    return isinstance(value, (int, float)) and abs(value) > MOST


def load(card: Mapping[str, Any], estimator: Estimator) -> EstimatorPredictor:
    """Return the predictor that a card describes.

    Raises KeyError, TypeError or ValueError if the card is invalid.
    """
    return EstimatorPredictor(
        tuple(map(from_card, card["features"])),
        card["task"],
        card["outputs"],
        estimator,
        card["dtypes"],
    )
