"""The interface of a model without HTTP, independent of the form in which it is served."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from model.service.contract.features import Feature, Value

if TYPE_CHECKING:
    from model.service.contract.forms.weighted_sum import WeightedSum

Form = Literal["coefficients", "onnx", "estimator"]
Task = Literal["regression", "classification"]
Columns = Sequence[Sequence[Value]]


# A row with a greater number is large: it may exceed single precision (3.4e38), to which decision
# trees convert numbers, before or after it was scaled.
LARGE = 1e30


def is_large(row: Iterable[Value]) -> bool:
    """Return whether a row has a number beyond LARGE."""
    return any(isinstance(value, (int, float)) and abs(value) > LARGE for value in row)


class RefusedError(ValueError):
    """The model has no prediction for valid values; the message is a clause that says why."""


class OverflowedError(RefusedError):
    """The finite inputs are so large that the prediction, or an intermediate result, overflows."""


class Predictor(Protocol):
    """The interface of a model. Callers have validated the values for their features.

    Implementations are thread-safe and fork-safe.
    """

    features: tuple[Feature, ...]
    form: Form
    task: Task
    # The number of values in one prediction: 1, or the number of the target's columns.
    outputs: int
    # The classes of a classifier with probabilities; otherwise empty.
    classes: tuple[Any, ...]
    # Predicts from columns of numbers without creating a Python object for each value, or None.
    weighted_sum: "WeightedSum | None"

    def text(self, row: Sequence[Value]) -> str:
        """Return the prediction for one row as numpy prints it: `[199.60524718]`.

        This is the hot path. Raises RefusedError if the row has no prediction: a part of the model
        rejects it, or a number that is not finite arises from it.
        """

    def predict(self, columns: Columns) -> Any:
        """Return the predictions for rows given by column.

        columns: all of the same length, at least 1. Returns a list or an array of shape (rows,),
        or (rows, outputs) for several outputs, in the order of the rows. A row without a
        prediction has a number that is not finite, or None instead of a label; `text` says why.
        """

    def probabilities(self, columns: Columns) -> Any:
        """Return the probability of each class for each row, shape (rows, classes).

        Only for predictors with `classes`.
        """
