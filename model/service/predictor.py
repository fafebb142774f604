"""Values in, prediction out: the model without HTTP, in whatever form it is served."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from model.service.card import CARD_FILE, ArtifactError, read_card, read_file
from model.service.features import Feature, Value

if TYPE_CHECKING:
    from model.service.forms.weighted_sum import WeightedSum

Form = Literal["coefficients", "onnx", "estimator"]
Task = Literal["regression", "classification"]
Columns = Sequence[Sequence[Value]]

ONNX_FILE = "model.onnx"


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


def load_predictor(folder: Path) -> Predictor:
    """Read the model in `folder`, once, in the form that its card names.

    Only what that form needs is imported.

    Raises ArtifactError.
    """
    card = read_card(folder)
    predictor: Predictor
    try:
        if card["form"] == "coefficients":
            from model.service.forms import coefficients  # noqa: PLC0415 - this form only

            predictor = coefficients.load(card)
        elif card["form"] == "onnx":
            from model.service.forms import onnx  # noqa: PLC0415 - this form only

            predictor = onnx.load(card, read_file(folder, card, ONNX_FILE))
        elif card["form"] == "estimator":
            from model.service.artifact import load_estimator  # noqa: PLC0415 - this form only
            from model.service.forms import estimator  # noqa: PLC0415 - this form only

            predictor = estimator.load(card, load_estimator(folder, card))
        else:
            raise ValueError(f"no form {card['form']!r}")  # noqa: TRY301 - told as the others
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"The form {card['form']} needs {error.name}: install requirements-{card['form']}.txt."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder / CARD_FILE} holds no model that can be served: {error}. "
            "Train the model again."
        ) from error
    return predictor
