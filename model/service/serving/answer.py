"""From a query string to the text of the prediction, independent of any web framework."""

import contextlib
import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from model.service.contract.features import Feature, Kind, Value
from model.service.contract.predictor import OverflowedError, Predictor, RefusedError

ALIVE = "true"

# Decimal notation in ASCII. `float` accepts more: spaces, underscores (1_0), digits of
# other scripts, inf and nan.
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"[+-]?[0-9]+")
# The shortest representation of a float has at most 24 characters.
NUMBER_LENGTH = 64
# The range of NumPy's int64.
LEAST_INTEGER, MOST_INTEGER = -(1 << 63), (1 << 63) - 1
OVERFLOW = "is too large: the prediction is beyond the largest number"
# An error that belongs to no feature.
ROW = "row"
NO_PREDICTION = "has no prediction"
BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

Parser = Callable[[str], list[Value]]
Reader = Callable[[str], Value]


@dataclass(frozen=True)
class ParameterError:
    """An error in one query parameter."""

    parameter: str
    detail: str


class InvalidParametersError(ValueError):
    """The query is invalid; `errors` names each parameter at fault."""

    def __init__(self, errors: Iterable[ParameterError], message: str = "") -> None:
        """Initialize with the errors, at least one; message: by default, a sentence for each."""
        self.errors = tuple(errors)
        super().__init__(
            message
            or " ".join(
                f"Query parameter {error.parameter} {error.detail}." for error in self.errors
            )
        )


class ValueTextError(ValueError):
    """A text is not a valid value of a feature; the message continues the feature's name."""


def answer(predictor: Predictor, query: str) -> str:
    """Return the prediction as numpy prints it, e.g. `[199.60524718]`.

    query: the raw query string of the URL. Unknown parameters are ignored.

    Raises InvalidParametersError.
    """
    row = parser(predictor.features)(query)
    try:
        return predictor.text(row)
    except RefusedError as error:
        raise refused(predictor.features, error) from error


def refused(features: Sequence[Feature], error: RefusedError) -> InvalidParametersError:
    """Return the error for inputs that have no prediction."""
    message = "" if isinstance(error, OverflowedError) else f"The row {NO_PREDICTION}: {error}."
    return InvalidParametersError(refusal_errors(features, error), message)


def refusal_errors(features: Sequence[Feature], error: RefusedError) -> tuple[ParameterError, ...]:
    """Return why a row has no prediction.

    If it overflows, there is an error for each feature that can make it: numbers, if any.
    """
    if not isinstance(error, OverflowedError):
        return (ParameterError(ROW, f"{NO_PREDICTION}: {error}"),)
    numeric = [feature for feature in features if feature.is_numeric]
    return tuple(ParameterError(feature.name, OVERFLOW) for feature in numeric or features)


@functools.lru_cache(maxsize=8)
def parser(features: tuple[Feature, ...]) -> Parser:
    """Return a function that parses a query string into a list of values, one for each feature.

    The values are in the order of the features. The function raises InvalidParametersError.
    """
    # Fast path for the common query: each feature once and in order, nothing else, nothing encoded.
    # Any other query is parsed by `_parse_carefully`.
    usual = re.compile(
        "&".join(f"{re.escape(feature.name)}={_usual(feature)}" for feature in features)
    )
    match = usual.fullmatch

    def parse_numbers(query: str) -> list[Value]:
        if found := match(query):
            return list(map(float, found.groups()))
        return _parse_carefully(features, query)

    if all(feature.kind == "number" for feature in features):
        return parse_numbers
    readers = [reader(feature) for feature in features]

    def parse(query: str) -> list[Value]:
        if found := match(query):
            with contextlib.suppress(ValueTextError):
                return [read(text) for read, text in zip(readers, found.groups(), strict=True)]
        return _parse_carefully(features, query)

    return parse


def _usual(feature: Feature) -> str:
    if feature.kind != "number":
        return "([!-$'-*,-~]*)"  # ASCII without %, & and +
    # Short enough to be finite. No plus sign, because it encodes a space.
    return r"(-?(?:[0-9]{1,20}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})(?:[eE]-?[0-9]{1,2})?)"


def reader(feature: Feature) -> Reader:
    """Return a function that converts a decoded text into a value of the feature.

    The function raises ValueTextError.
    """
    readers: Mapping[Kind, Reader] = {
        "number": _number,
        "integer": _integer,
        "boolean": _boolean,
        "category": functools.partial(_closed if feature.closed else _text, feature),
        "text": functools.partial(_text, feature),
    }
    read = readers[feature.kind]
    if not feature.nullable:
        return read
    return lambda text: read(text) if text else None


def _parse_carefully(features: Sequence[Feature], query: str) -> list[Value]:
    given: dict[str, list[str]] = {feature.name: [] for feature in features}
    # WSGI passes bytes as Latin-1.
    text = query.encode("latin-1", "replace").decode(errors="surrogateescape")
    for name, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape"):
        if name in given:
            given[name].append(value)
    row: list[Value] = []
    errors: list[ParameterError] = []
    for feature in features:
        try:
            row.append(_value(feature, given[feature.name]))
        except ValueTextError as error:
            errors.append(ParameterError(feature.name, str(error)))
    if errors:
        raise InvalidParametersError(errors)
    return row


def _value(feature: Feature, texts: Sequence[str]) -> Value:
    if len(texts) > 1:
        raise ValueTextError(f"is given {len(texts)} times: give it once")
    if texts:
        return reader(feature)(texts[0])
    if feature.nullable:
        return None
    what, example = {
        "number": ("a number", "0.05"),
        "integer": ("a whole number", "3"),
        "boolean": ("true or false", "true"),
        "category": ("a text", next(iter(feature.categories), "text")),
        "text": ("a text", "text"),
    }[feature.kind]
    raise ValueTextError(f"is missing: give {what}, as in ?{feature.name}={example}")


def _number(text: str) -> float:
    if len(text) > NUMBER_LENGTH:
        raise ValueTextError(f"is longer than {NUMBER_LENGTH} characters")
    if not NUMBER.fullmatch(text):
        raise ValueTextError("is not a decimal number such as 0.05, -1 or 5e-2")
    number = float(text)
    if not math.isfinite(number):
        raise ValueTextError("is too large: the largest number is 1.7976931348623157e+308")
    return number


def _integer(text: str) -> int:
    if len(text) > NUMBER_LENGTH:
        raise ValueTextError(f"is longer than {NUMBER_LENGTH} characters")
    if INTEGER.fullmatch(text):
        number = int(text)
    elif NUMBER.fullmatch(text) and (value := float(text)).is_integer():
        number = int(value)
    else:
        raise ValueTextError("is not a whole number such as 3 or -1")
    if not LEAST_INTEGER <= number <= MOST_INTEGER:
        raise ValueTextError(
            f"is too large: whole numbers are from {LEAST_INTEGER} to {MOST_INTEGER}"
        )
    return number


def _boolean(text: str) -> bool:
    if text not in BOOLEANS:
        raise ValueTextError("is neither true nor false")
    return BOOLEANS[text]


def _closed(feature: Feature, text: str) -> str:
    if text not in feature.known:
        raise ValueTextError(f"is none of {feature.named}")
    return text


def _text(feature: Feature, text: str) -> str:
    if len(text) > feature.longest:
        raise ValueTextError(f"is longer than {feature.longest} characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueTextError("is no text in UTF-8")
    return text
