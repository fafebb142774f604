"""Values in, prediction out: the model without HTTP, in whatever form it is served."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from model.service.contract.features import Feature, Value

if TYPE_CHECKING:
    from model.service.contract.forms.weighted_sum import WeightedSum

Form = Literal["coefficients", "onnx", "estimator"]
Task = Literal["regression", "classification"]
Columns = Sequence[Sequence[Value]]


class OverflowedError(ValueError):
    """The inputs are finite, and too large: so is their prediction, or a step to it."""


class Predictor(Protocol):
    """What the service asks of a model. Values are valid for their features already.

    Safe to be called by several threads at a time, and to be forked.
    """

    features: tuple[Feature, ...]
    form: Form
    task: Task
    # How many values one prediction has: 1, or the target's columns.
    outputs: int
    # Of a classifier with probabilities, its classes; otherwise empty.
    classes: tuple[Any, ...]
    # What predicts from columns of nothing but numbers, with no Python object for each.
    weighted_sum: "WeightedSum | None"

    def text(self, row: Sequence[Value]) -> str:
        """Return the prediction for one row as numpy prints it: `[199.60524718]`.

        The hot path. Raises OverflowedError.
        """

    def predict(self, columns: Columns) -> Any:
        """Return the predictions for rows given by column, all of one length of at least 1.

        A list, or an array of shape (rows,), or (rows, outputs) for several outputs; in the
        order of the rows. What overflows is infinite or not a number, or None instead of a
        label.
        """

    def probabilities(self, columns: Columns) -> Any:
        """Return the probability of each class for each row, shape (rows, classes).

        Only of predictors with `classes`.
        """
