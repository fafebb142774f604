"""From a fitted estimator to the cheapest form that is proven to give the same predictions.

The forms, in the order in which they are tried:

1. coefficients: a weighted sum in plain Python. It takes one microsecond and has no dependencies.
2. onnx: ONNX Runtime in double precision. It takes about ten microseconds, where scikit-learn takes
   a hundred to several thousand, most of them for input validation.
3. estimator: scikit-learn itself, the reference for the other forms.

A form whose predictions differ beyond its tolerance, for any of the tested inputs, is rejected, and
the next one is tried. The card records the form, the proof and the rejected forms. The compiler is
imported only if the first form is rejected.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.service.contract.artifact import Estimator
from model.service.contract.features import Feature
from model.service.contract.forms.coefficients import CoefficientsPredictor
from model.service.contract.forms.estimator import EstimatorPredictor, dtype_of
from model.service.contract.loading import ONNX_FILE
from model.service.contract.predictor import Form, Task
from model.service.training import proof
from model.service.training.proof import DifferenceError, Inputs, Proof

MADE = (
    "made of the training data: its rows, the values next to them and between them, the nearest "
    "to where a prediction changes, extremes, missing values and unknown categories"
)


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """The form in which a model is served.

    files: the files that the form reads beside the card, by name; without model.skops.
    proof: the card's entry on how the form was compared with the estimator.
    coefficients: the card's entry for the form "coefficients", otherwise None.
    dtypes: the pandas names of the column dtypes of the DataFrame that the estimator was fitted
        on; None if it was fitted on an array.
    """

    form: Form
    files: Mapping[str, bytes] = field(default_factory=dict)
    proof: Mapping[str, Any]
    coefficients: Mapping[str, Any] | None = None
    dtypes: tuple[str, ...] | None = None

    def to_card(self) -> dict[str, Any]:
        """Return the entries of the model card: form, proof, coefficients, dtypes."""
        return {
            "form": self.form,
            "proof": dict(self.proof),
            "coefficients": self.coefficients,
            "dtypes": None if self.dtypes is None else list(self.dtypes),
        }


def needs_compiler(estimator: Estimator) -> bool:
    """Return whether serving the estimator needs more than plain Python."""
    return linear_part(estimator) is None


def compile_model(
    estimator: Estimator,
    frame: Any,
    features: Sequence[Feature],
    task: Task,
    inputs: int = proof.INPUTS,
) -> Compiled:
    """Return the cheapest form that gives the estimator's predictions.

    inputs: the number of inputs used for the proof.

    Raises ValueError if even the estimator's predictions change when the values of the frame come
    from requests: then a column contains values that requests cannot express.
    """
    features = tuple(features)
    dtypes = None
    if isinstance(frame, pd.DataFrame):
        dtypes = tuple(dtype_of(frame[column]) for column in frame.columns)
    training = columns_of(frame, features)
    answers = np.asarray(estimator.predict(frame))
    outputs = answers.shape[1] if answers.ndim > 1 else 1
    reference = EstimatorPredictor(features, task, outputs, estimator, dtypes)
    _check_round_trip(reference, training, answers.reshape(len(answers), -1))
    rejected: list[dict[str, str]] = []
    for compiled in (_to_coefficients, _to_onnx):
        try:
            form = compiled(estimator, reference, training, inputs)
        except _RejectedError as error:
            rejected.append({"form": error.form, "reason": str(error)})
        else:
            form["proof"]["rejected"] = rejected
            return Compiled(**form, dtypes=dtypes)
    return Compiled(
        form="estimator",
        proof=_proof(
            Proof(inputs=len(answers), greatest=0.0), 0.0, "scikit-learn itself answers.", rejected
        ),
        dtypes=dtypes,
    )


class _RejectedError(Exception):
    def __init__(self, form: Form, reason: str) -> None:
        self.form = form
        super().__init__(reason)


def columns_of(frame: Any, features: Sequence[Feature]) -> Inputs:
    """Return the training frame by column, in the types that request values have."""
    table = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(np.asarray(frame))
    columns: Inputs = []
    for feature, (_, values) in zip(features, table.items(), strict=True):
        if feature.is_numeric:
            whole = feature.kind == "integer" and not feature.nullable
            columns.append(
                values.to_numpy(np.int64) if whole else values.to_numpy(np.float64, na_value=np.nan)
            )
        elif feature.kind == "boolean" and not feature.nullable:
            columns.append(values.to_numpy(bool))
        else:
            texts = values.astype(object).to_numpy(copy=True)
            texts[pd.isna(texts)] = None
            columns.append(texts)
    return columns


def _check_round_trip(
    reference: EstimatorPredictor, training: Inputs, answers: NDArray[Any]
) -> None:
    again = reference.predict(training).reshape(answers.shape)
    same = (
        np.allclose(again, answers, rtol=proof.REGRESSION_TOLERANCE)
        if reference.task == "regression"
        else np.array_equal(again, answers)
    )
    if not same:
        raise ValueError(
            "The estimator answers the values of frame otherwise when they come as requests "
            "say them: numbers, true and false, and texts of type str are what its columns may "
            "hold."
        )


def linear_part(estimator: Any) -> tuple[list[float], float] | None:
    """Return the weights and the intercept if `predict` is a weighted sum, otherwise None."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    if steps:
        kept = [step for step in steps if step not in (None, "passthrough")]
        return linear_part(kept[0]) if len(kept) == 1 else None
    weights = getattr(estimator, "coef_", None)
    if not isinstance(weights, np.ndarray) or weights.ndim != 1 or hasattr(estimator, "classes_"):
        return None
    intercept = np.ravel(getattr(estimator, "intercept_", np.nan))
    if intercept.size != 1 or weights.size != getattr(estimator, "n_features_in_", 0):
        return None
    points = np.vstack([np.zeros(weights.size), np.eye(weights.size), -2 * np.eye(weights.size)])
    with warnings.catch_warnings():
        # Warnings about missing feature names.
        warnings.simplefilter("ignore")
        answers = np.asarray(estimator.predict(points))
    expected = points @ weights.astype(float) + float(intercept[0])
    if answers.shape != expected.shape or not np.allclose(answers, expected):
        return None
    return weights.astype(float).tolist(), float(intercept[0])


def _to_coefficients(
    estimator: Estimator, reference: EstimatorPredictor, training: Inputs, inputs: int
) -> dict[str, Any]:
    part = linear_part(estimator)
    if part is None:
        raise _RejectedError("coefficients", "It does not predict by one weighted sum.")
    weights, intercept = part
    form = CoefficientsPredictor(reference.features, weights, intercept)
    several = len(weights) > 1
    # The rounding error of each step of the sum is up to half a unit in the last place, in both
    # orders of summation.
    tolerance = (len(weights) + 2) * 2.0**-52 if several else 0.0

    def magnitude(block: Inputs, _: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            return np.abs(intercept) + sum(  # type: ignore[no-any-return]
                np.abs(column.astype(float) * weight)
                for column, weight in zip(block, weights, strict=True)
            )

    try:
        found = proof.compare(form, reference, training, tolerance, scale=magnitude, inputs=inputs)
    except DifferenceError as error:
        raise _RejectedError("coefficients", f"The weighted sum {error}.") from error
    method = f"Compared with scikit-learn's answers to inputs {MADE}."
    if several:
        method += (
            " Differences are shares of the sum of the terms' magnitudes: scikit-learn's own "
            "answers differ as much between one row and several, and between processors."
        )
    return {
        "form": "coefficients",
        "proof": _proof(found, tolerance, method),
        "coefficients": {
            "weights": [weight.hex() for weight in weights],
            "intercept": intercept.hex(),
        },
    }


def _to_onnx(
    estimator: Estimator, reference: EstimatorPredictor, training: Inputs, inputs: int
) -> dict[str, Any]:
    from model.service.contract.forms.onnx import OnnxPredictor  # noqa: PLC0415 - not for every model
    from model.service.training.converters import to_onnx  # noqa: PLC0415 - not for every model

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = to_onnx(estimator, reference.features)
        form = OnnxPredictor(
            reference.features, reference.task, reference.outputs, reference.labels, model
        )
    except Exception as error:
        raise _RejectedError("onnx", f"It cannot be converted: {_first_line(error)}.") from error
    classifies = reference.task == "classification"
    tolerance = proof.PROBABILITY_TOLERANCE if classifies else proof.REGRESSION_TOLERANCE
    try:
        found = proof.compare(form, reference, training, tolerance, inputs=inputs)
    except DifferenceError as error:
        raise _RejectedError("onnx", f"The converted model {error}.") from error
    except Exception as error:
        raise _RejectedError("onnx", f"The converted model fails: {_first_line(error)}.") from error
    measure = (
        "Labels are equal, but where scikit-learn itself has two classes as good as equal; "
        "differences are of probabilities."
        if classifies
        else "Differences are shares of the prediction, or of the greatest one for the training "
        "data if that is more."
    )
    return {
        "form": "onnx",
        "files": {ONNX_FILE: model},
        "proof": _proof(
            found, tolerance, f"Compared with scikit-learn's answers to inputs {MADE}. {measure}"
        ),
    }


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0].rstrip(".")


def _proof(
    found: Proof, tolerance: float, method: str, rejected: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    return {
        "inputs": found.inputs,
        "tolerance": tolerance,
        # Rounded to three digits, as the last bits differ between processors.
        "greatest_difference": float(f"{found.greatest:.3g}"),
        "exact": not found.greatest,
        "method": method,
        "rejected": list(rejected),
    }
