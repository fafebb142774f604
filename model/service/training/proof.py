"""Testing, over many inputs, that a form of the model predicts the same as scikit-learn."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.service.contract.features import Feature
from model.service.contract.forms.estimator import EstimatorPredictor
from model.service.contract.predictor import LARGE, Predictor, RefusedError

INPUTS = 100_000
BLOCK = 10_000
# One of this many inputs is also tested as a single prediction, as text.
SINGLE_OF = 200
# Seconds after which no further block of inputs is tested.
MOST_SECONDS = 60.0
# The number of input pairs between which the place of a change in the prediction is searched.
BORDERS = 200

UNKNOWN = "\ue000 unknown"
TINY = 5e-324
EXTREMES = (
    *(0.0, -0.0, TINY, -TINY, 1e-310, 2.2250738585072014e-308, -1e-100, 1e-5, 1.0, -1.0, 1e8),
    *(-1e16, 3.4028234663852886e38, 3.4028236e38, -3.5e38, 1e100, -1e154, 1e300),
    *(1e308, -1e308, 1.7976931348623157e308, -1.7976931348623157e308),
)
WHOLE_EXTREMES = (0, 1, -1, 255, -32769, 2**31, -(2**31), 2**53, -(2**53))

REGRESSION_TOLERANCE = 1e-9
PROBABILITY_TOLERANCE = 1e-6

# One array for each feature.
Inputs = list[Any]
# Maps inputs and the estimator's predictions for them to the scale of differences, one number for
# each row.
Scale = Callable[[Inputs, NDArray[Any]], NDArray[np.float64]]


class DifferenceError(Exception):
    """The form's predictions differ; the message is a clause that says how."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The result: the number of inputs and the greatest difference, 0 if exact."""

    inputs: int
    greatest: float


def compare(
    form: Predictor,
    reference: EstimatorPredictor,
    training: Inputs,
    tolerance: float,
    *,
    scale: Scale | None = None,
    inputs: int = INPUTS,
) -> Proof:
    """Compare a form with the estimator.

    training: the training frame's columns, as the forms take them.
    tolerance: the greatest accepted difference, relative to `scale`.
    scale: by default, the magnitude of the prediction or, if that is greater, the greatest
        magnitude of the predictions for the training data.
    inputs: the minimum number of inputs, unless the time runs out.

    Raises DifferenceError if a difference exceeds the tolerance.
    """
    if scale is None:
        scale = _by_prediction(reference, training)
    greatest = 0.0
    asked = 0
    end = time.monotonic() + MOST_SECONDS
    for block in blocks(reference, training, inputs):
        greatest = max(greatest, _compare_block(form, reference, block, tolerance, scale))
        asked += len(block[0])
        if time.monotonic() > end:
            break
    singles = _singles(reference.features, training, inputs // SINGLE_OF)
    greatest = max(greatest, _compare_block(form, reference, singles, tolerance, scale))
    for row in range(len(singles[0])):
        _compare_single(form, reference, [column[row : row + 1] for column in singles], greatest)
    return Proof(inputs=asked, greatest=greatest)


def _compare_block(
    form: Predictor,
    reference: EstimatorPredictor,
    block: Inputs,
    tolerance: float,
    scale: Scale,
) -> float:
    expected = reference.predict(block)
    with np.errstate(all="ignore"):
        found = np.asarray(form.predict(block))
    if found.shape != expected.shape:
        raise DifferenceError(f"has predictions of shape {found.shape}, not {expected.shape}")
    compared = _both_predicted(reference, block, found, expected)
    if not compared.all():
        block = [column[compared] for column in block]
        found, expected = found[compared], expected[compared]
        if not len(found):
            return 0.0
    if reference.task == "regression":
        differences = _differences(found, expected)
        scales = scale(block, expected)
        if differences.ndim > 1:
            scales = scales[:, np.newaxis]
        with np.errstate(all="ignore"):
            shares = np.where(differences, differences / scales, 0.0)
        # Whether a sum overflows depends on the order of summation.
        shares[~np.isfinite(scales) & np.ones_like(shares, bool)] = 0.0
        return _accept(shares, tolerance, block, "the prediction")
    greatest = 0.0
    if reference.classes:
        if not form.classes:
            raise DifferenceError("has no probabilities")
        probabilities = reference.probabilities(block)
        greatest = _accept(
            _differences(np.asarray(form.probabilities(block)), probabilities),
            PROBABILITY_TOLERANCE,
            block,
            "a probability",
        )
    unequal = found != expected
    if unequal.any() and not _tied(reference, [column[unequal] for column in block]).all():
        row = _row(block, int(np.flatnonzero(unequal)[0]))
        raise DifferenceError(f"has another label for the input {row}")
    return greatest


def _both_predicted(
    reference: EstimatorPredictor, block: Inputs, found: NDArray[Any], expected: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return which rows have a prediction by both; raise DifferenceError if only one has.

    Whether the scores of a large row overflow may depend on the order of a sum. Numbers without a
    prediction are compared as numbers.
    """
    if reference.task == "regression":
        return np.ones(len(found), bool)
    refused = _refused(expected)
    one_sided = refused != _refused(found)
    for column, feature in zip(block, reference.features, strict=True):
        if feature.is_numeric:
            one_sided &= ~(np.abs(column.astype(float)) > LARGE)
    if one_sided.any():
        index = int(np.flatnonzero(one_sided)[0])
        row = _row(block, index)
        if refused[index]:
            raise DifferenceError(f"has a prediction for {row}, which scikit-learn rejects")
        raise DifferenceError(f"has no prediction for the input {row}")
    return ~(refused | _refused(found))


def _refused(predictions: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which labels are None."""
    if predictions.dtype != object:
        return np.zeros(len(predictions), bool)
    missing = np.equal(predictions, None).reshape(len(predictions), -1)  # type: ignore[call-overload]
    refused: NDArray[np.bool_] = missing.any(axis=1)
    return refused


def _compare_single(
    form: Predictor, reference: EstimatorPredictor, single: Inputs, greatest: float
) -> None:
    """Compare the text for one row; greatest: the greatest difference of numbers so far.

    A form that has been exact so far must be exact here, too. Otherwise its text may differ if it
    is the text of the form's own number, whose difference was accepted.
    """
    row = _row(single, 0)
    expected = reference.predict(single)
    try:
        found = form.text(row)
    except RefusedError:
        found = ""
    if found == _text(expected):
        return
    alone = np.asarray(form.predict(single))
    both = _both_predicted(reference, single, alone, expected).all()
    if not both and found == _text(alone):
        return
    if not greatest or found != _text(alone):
        raise DifferenceError(
            f"has the text {found!r} instead of {_text(expected)!r} for the input {row}"
        )


def _text(prediction: NDArray[Any]) -> str:
    if prediction.dtype.kind == "f":
        return str(prediction) if np.isfinite(prediction).all() else ""
    return "" if _refused(prediction).any() else str(prediction)


def _differences(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    if found.shape != expected.shape:
        raise DifferenceError(f"has answers of shape {found.shape}, not {expected.shape}")
    with np.errstate(all="ignore"):
        differences = np.abs(found - expected)
    same = (found == expected) | ~(np.isfinite(found) | np.isfinite(expected))
    return np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))


def _accept(shares: NDArray[np.float64], tolerance: float, block: Inputs, what: str) -> float:
    greatest = float(shares.max())
    if greatest <= tolerance:
        return greatest
    rows = shares if shares.ndim == 1 else shares.max(axis=1)
    raise DifferenceError(
        f"differs in {what} by {greatest:.3g}, more than {tolerance:.3g}, "
        f"for the input {_row(block, int(rows.argmax()))}"
    )


def _tied(reference: EstimatorPredictor, inputs: Inputs) -> NDArray[np.bool_]:
    """Return, for each input, whether the estimator's two best classes are practically tied."""
    scores = reference.scores(inputs)
    if scores is None:
        return np.zeros(len(inputs[0]), bool)
    if scores.ndim == 1:
        scores = np.column_stack([np.zeros_like(scores), scores])
    best = np.sort(scores, axis=1)[:, -2:]
    tied: NDArray[np.bool_] = best[:, 1] - best[:, 0] <= PROBABILITY_TOLERANCE
    return tied


def _by_prediction(reference: EstimatorPredictor, training: Inputs) -> Scale:
    if reference.task == "classification":
        return lambda inputs, _: np.ones(len(inputs[0]))
    usual = float(np.abs(reference.predict(training)).max()) or 1.0

    def scale(_: Inputs, expected: NDArray[Any]) -> NDArray[np.float64]:
        size = np.abs(expected)
        rows = size if size.ndim == 1 else size.max(axis=1)
        return np.where(np.isfinite(rows), np.maximum(rows, usual), usual)

    return scale


def _row(inputs: Inputs, index: int) -> list[Any]:
    """Return a row in Python types, with missing values as None."""
    row = [column[index : index + 1].tolist()[0] for column in inputs]
    return [None if value != value else value for value in row]  # noqa: PLR0124 - nan


def blocks(reference: EstimatorPredictor, training: Inputs, inputs: int) -> Iterator[Inputs]:
    """Yield blocks of inputs, at least `inputs` in total: first edge cases, then random ones."""
    features = reference.features
    random = np.random.default_rng(0)
    left = inputs
    for rare in (
        training,
        _extremes(features, training, random),
        _neighbours(features, training, random),
        _borders(reference, training, random),
    ):
        for start in range(0, len(rare[0]), BLOCK):
            block = [column[start : start + BLOCK] for column in rare]
            yield block
            left -= len(block[0])
    while left > 0:
        block = _random(features, training, random, BLOCK)
        yield block
        left -= BLOCK


def _singles(features: Sequence[Feature], training: Inputs, count: int) -> Inputs:
    random = np.random.default_rng(1)
    extremes = _sample(_extremes(features, training, random), random, count // 2)
    others = _random(features, training, random, max(1, count - len(extremes[0])))
    return _joined([extremes, others], training)


def _sample(inputs: Inputs, random: np.random.Generator, most: int) -> Inputs:
    rows = len(inputs[0])
    if rows <= most:
        return inputs
    chosen = np.sort(random.choice(rows, most, replace=False))
    return [column[chosen] for column in inputs]


def _changed(
    training: Inputs, random: np.random.Generator, index: int, values: NDArray[Any]
) -> Inputs:
    """Return random rows of the training data in which one feature has the given values."""
    chosen = random.integers(0, len(training[0]), len(values))
    columns = [column[chosen] for column in training]
    columns[index] = values.astype(columns[index].dtype)
    return columns


def _joined(parts: Sequence[Inputs], like: Inputs) -> Inputs:
    return [
        np.concatenate([column[:0], *(part[index] for part in parts)])
        for index, column in enumerate(like)
    ]


def _extremes(features: Sequence[Feature], training: Inputs, random: np.random.Generator) -> Inputs:
    parts = []
    for index, feature in enumerate(features):
        values: Sequence[Any]
        if feature.is_numeric:
            values = EXTREMES if feature.kind == "number" else WHOLE_EXTREMES
        elif feature.kind == "boolean":
            values = (True, False)
        else:
            values = feature.categories if feature.closed else (*feature.categories, UNKNOWN, "")
        if feature.nullable:
            values = (*values, np.nan if feature.is_numeric else None)
        parts.append(_changed(training, random, index, np.array(values, training[index].dtype)))
    return _joined(parts, training)


def _places(feature: Feature, column: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    """Return candidates for splits of trees, with their neighbours.

    Trees split at values of the training data and halfway between two of them.
    """
    known = np.unique(column[~np.isnan(column.astype(float))])
    middles = known[:-1] + (known[1:] - known[:-1]) / 2
    places = np.concatenate([known, middles])
    if places.size > BORDERS:
        places = random.choice(places, BORDERS, replace=False)
    if feature.kind == "integer":
        return np.concatenate([places, places - 1, places + 1])
    single = places.astype(np.float32)
    return np.concatenate(
        [
            places,
            *(np.nextafter(places, side) for side in (-np.inf, np.inf)),
            *(np.nextafter(single, np.float32(side)) for side in (-np.inf, np.inf)),
            single,
        ]
    ).astype(float)


def _neighbours(
    features: Sequence[Feature], training: Inputs, random: np.random.Generator
) -> Inputs:
    return _joined(
        [
            _changed(training, random, index, _places(feature, training[index], random))
            for index, feature in enumerate(features)
            if feature.is_numeric
        ],
        training,
    )


def _borders(
    reference: EstimatorPredictor, training: Inputs, random: np.random.Generator
) -> Inputs:
    """Return pairs of adjacent inputs between which the estimator's prediction changes."""
    numbers = [
        index for index, feature in enumerate(reference.features) if feature.kind == "number"
    ]
    if not numbers:
        return [column[:0] for column in training]
    rows = random.integers(0, len(training[0]), BORDERS)
    places = random.choice(numbers, BORDERS)
    low = [column[rows] for column in training]
    high = [column.copy() for column in low]
    for index in numbers:
        chosen = places == index
        present = training[index][~np.isnan(training[index])]
        for side in (low, high):
            side[index][chosen] = random.choice(present, int(chosen.sum()))
    changed = _unequal(reference.predict(low), reference.predict(high))
    low, high = ([column[changed] for column in side] for side in (low, high))
    places = places[changed]
    if not places.size:
        return low
    first = reference.predict(low)
    for _ in range(64):
        middle = [column.copy() for column in low]
        for index in numbers:
            chosen = places == index
            middle[index][chosen] = _between(low[index][chosen], high[index][chosen])
        beyond = _unequal(reference.predict(middle), first)
        for index in numbers:
            high[index] = np.where(beyond, middle[index], high[index])
            low[index] = np.where(beyond, low[index], middle[index])
    return _joined([low, high], training)


def _between(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the double halfway between two, counted in doubles, or the first if adjacent."""
    # The bits of doubles, read as integers, have the order of the doubles except for the sign.
    least = np.iinfo(np.int64).min
    low, high = (
        np.where(bits < 0, least - bits, bits)
        for bits in (np.ascontiguousarray(side).view(np.int64) for side in (one, other))
    )
    middle = (low >> 1) + (high >> 1) + (low & high & 1)
    found: NDArray[np.float64] = np.where(middle < 0, least - middle, middle).view(np.float64)
    return found


def _unequal(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    unequal: NDArray[np.bool_] = (one != other).reshape(len(one), -1).any(axis=1)
    return unequal


def _random(
    features: Sequence[Feature], training: Inputs, random: np.random.Generator, rows: int
) -> Inputs:
    """Return rows with independent features, most of them near the training data."""
    columns = []
    for feature, column in zip(features, training, strict=True):
        values = random.choice(column, rows)
        if feature.is_numeric:
            least, most = feature.least or 0.0, feature.most or 0.0
            width = (most - least) or 1.0
            other = random.uniform(least - width / 2, most + width / 2, rows)
            wide = random.normal(0, 1, rows) * 10.0 ** random.integers(-12, 12, rows)
            kind = random.random(rows)
            numbers = np.where(kind < 0.5, values, np.where(kind < 0.9, other, wide))  # noqa: PLR2004 - shares
            if feature.kind == "integer":
                numbers = np.trunc(numbers)
            values = numbers.astype(column.dtype)
        elif feature.kind != "boolean" and not feature.closed:
            values[random.random(rows) < 0.02] = UNKNOWN  # noqa: PLR2004 - a share
        if feature.nullable:
            values[random.random(rows) < 0.05] = np.nan if feature.is_numeric else None  # noqa: PLR2004 - a share
        columns.append(values)
    return columns
