"""A model that ONNX Runtime runs, in double precision, without scikit-learn and pandas.

Numbers and booleans are the columns of the input NUMBERS, texts those of the input TEXTS, both in
the order of the features. A missing number is NaN. A missing text is MISSING, which no request is
expected to contain: it is a Unicode private-use character.

The session has no threads of its own, because they would not survive a fork.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from model.service.contract.features import Feature, Value, from_card
from model.service.contract.numpy_text import array_text
from model.service.contract.predictor import (
    Columns,
    Form,
    OverflowedError,
    RefusedError,
    Task,
    is_large,
)

if TYPE_CHECKING:
    from model.service.contract.forms.weighted_sum import WeightedSum

NUMBERS = "numbers"
TEXTS = "texts"
PREDICTION = "prediction"
PROBABILITIES = "probabilities"
# Of shape (rows, 1): 0 for a row from which only finite numbers arise inside the model.
DOUBTS = "doubts"
MISSING = "\ue000"
TEXT_KINDS = ("category", "text")


def session_of(model: bytes) -> ort.InferenceSession:
    """Return a session that runs a model on the caller's thread.

    Raises ValueError if ONNX Runtime rejects the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # An arena would keep memory for the next run in each worker.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"ONNX Runtime refuses the model: {error}") from error


class OnnxPredictor:
    """Predicts with an ONNX Runtime session."""

    form: Form = "onnx"
    weighted_sum: "WeightedSum | None" = None

    def __init__(
        self,
        features: tuple[Feature, ...],
        task: Task,
        outputs: int,
        classes: Sequence[Any],
        model: bytes,
    ) -> None:
        """Initialize with the model; classes: a classifier's, in the order of its probabilities.

        Raises ValueError if the model does not have these features as inputs.
        """
        self.features = features
        self.task = task
        self.outputs = outputs
        session = session_of(model)
        named = {output.name for output in session.get_outputs()}
        self.classes = tuple(classes) if PROBABILITIES in named else ()
        self._asked = [PREDICTION, DOUBTS] if DOUBTS in named else [PREDICTION]
        # The Python wrapper of a session takes a third of the time of a small run.
        self._run = session._sess.run  # noqa: SLF001 - see above
        self._texts = [
            index for index, feature in enumerate(features) if feature.kind in TEXT_KINDS
        ]
        self._numbers = [index for index in range(len(features)) if index not in set(self._texts)]
        expected = {NUMBERS: self._numbers, TEXTS: self._texts}
        given = {entry.name: entry.shape[1] for entry in session.get_inputs()}
        if {name: len(indices) for name, indices in expected.items() if indices} != given:
            raise ValueError(f"{given} are not the inputs for these features")
        self._labels = {label: label_text(label) for label in classes}
        # The Python type of a numeric class label.
        self._label_type = type(classes[0]) if classes else float
        self._local = threading.local()

    def text(self, row: Sequence[Value]) -> str:
        """Return the prediction for one row as numpy prints it."""
        if self._texts:
            feeds: dict[str, NDArray[Any]] = {}
            if self._numbers:
                feeds[NUMBERS] = np.array([[row[index] for index in self._numbers]], np.float64)
            values = [row[index] for index in self._texts]
            feeds[TEXTS] = np.array(
                [[MISSING if value is None else value for value in values]], object
            )
        else:
            feeds = {NUMBERS: np.array([row], np.float64)}
        prediction, *doubts = self._run(self._asked, feeds, None)
        if doubts and doubts[0].item() != 0:
            raise self._refusal(row)
        if self.task == "classification":
            return self._labels[prediction.item()]
        if self.outputs == 1:
            number: float = prediction.item()
            if number - number:  # infinite or NaN
                raise self._refusal(row)
            return array_text(number)
        if not np.isfinite(prediction).all():
            raise self._refusal(row)
        return str(prediction)

    def _refusal(self, row: Sequence[Value]) -> RefusedError:
        if is_large(row):
            return OverflowedError()
        return RefusedError("a number that is not finite arises from it inside the model")

    def predict(self, columns: Columns) -> NDArray[Any]:
        """Return the prediction for each row."""
        prediction: NDArray[Any]
        prediction, *doubts = self._run(self._asked, self._feeds(columns), None)
        refused = np.flatnonzero(doubts[0] != 0) if doubts else ()
        if self.task == "classification":
            if not (prediction.dtype == object or self._label_type is int):
                prediction = prediction.astype(self._label_type)
            if len(refused):
                prediction = prediction.astype(object)
                prediction[refused] = None
            return prediction
        if len(refused):
            prediction[refused] = np.nan
        return prediction.reshape(-1) if self.outputs == 1 else prediction

    def probabilities(self, columns: Columns) -> NDArray[np.float64]:
        """Return the probability of each class for each row."""
        probabilities: NDArray[np.float64]
        (probabilities,) = self._run([PROBABILITIES], self._feeds(columns), None)
        return probabilities

    def _feeds(self, columns: Columns) -> dict[str, NDArray[Any]]:
        rows = len(columns[0])
        feeds: dict[str, NDArray[Any]] = {}
        if self._numbers:
            numbers = np.empty((rows, len(self._numbers)))
            for place, index in enumerate(self._numbers):
                numbers[:, place] = columns[index]
            feeds[NUMBERS] = numbers
        if self._texts:
            texts = np.empty((rows, len(self._texts)), object)
            for place, index in enumerate(self._texts):
                texts[:, place] = columns[index]
            if any(self.features[index].nullable for index in self._texts):
                texts[np.equal(texts, None)] = MISSING  # type: ignore[call-overload]
            feeds[TEXTS] = texts
        return feeds


def label_text(label: Any) -> str:
    """Return a class label as numpy prints an array with this label alone."""
    if isinstance(label, bool):
        return "[ True]" if label else "[False]"
    if isinstance(label, float):
        return array_text(label)
    return f"[{label!r}]"


def load(card: Mapping[str, Any], model: bytes) -> OnnxPredictor:
    """Return the predictor that a card describes.

    Raises KeyError, TypeError or ValueError if the card is invalid.
    """
    return OnnxPredictor(
        tuple(map(from_card, card["features"])),
        card["task"],
        card["outputs"],
        card["classes"],
        model,
    )
