"""From a query string to the text of the prediction: the API without a web framework."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from model.service.predictor import OverflowedError, Predictor

ALIVE = "true"

# Decimal notation in ASCII. `float` accepts more: spaces, underscores (1_0), digits of
# other scripts, inf and nan.
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Any float's shortest form has at most 24 characters.
NUMBER_LENGTH = 64


@dataclass(frozen=True)
class ParameterError:
    """What is wrong with one query parameter."""

    parameter: str
    detail: str


class InvalidParametersError(ValueError):
    """The query cannot be answered; `errors` names each parameter at fault."""

    def __init__(self, errors: Iterable[ParameterError]) -> None:
        """Take each parameter at fault, at least one."""
        self.errors = tuple(errors)
        super().__init__(
            " ".join(f"Query parameter {error.parameter} {error.detail}." for error in self.errors)
        )


def answer(predictor: Predictor, query: str) -> str:
    """Return the prediction as numpy prints it: `[199.60524718]`.

    query: the raw query string of the URL. Parameters the model does not know are ignored.

    Raises InvalidParametersError.
    """
    row = parse(tuple(feature.name for feature in predictor.features), query)
    try:
        return predictor.text(row)
    except OverflowedError as error:
        raise InvalidParametersError(
            ParameterError(feature.name, "is too large: the prediction is beyond the largest number")
            for feature in predictor.features
        ) from error


def parse(parameters: tuple[str, ...], query: str) -> list[float]:
    """Return the value of each parameter, in their order: finite numbers.

    Raises InvalidParametersError.
    """
    given: dict[str, list[str]] = {name: [] for name in parameters}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given:
            given[name].append(value)
    numbers: list[float] = []
    errors: list[ParameterError] = []
    for name, values in given.items():
        if fault := _fault(name, values):
            errors.append(ParameterError(name, fault))
        else:
            numbers.append(float(values[0]))
    if errors:
        raise InvalidParametersError(errors)
    return numbers


def _fault(name: str, values: list[str]) -> str:
    if not values:
        return f"is missing: give a number, as in ?{name}=0.05"
    if len(values) > 1:
        return f"is given {len(values)} times: give it once"
    if len(values[0]) > NUMBER_LENGTH:
        return f"is longer than {NUMBER_LENGTH} characters"
    if not NUMBER.fullmatch(values[0]):
        return "is not a decimal number such as 0.05, -1 or 5e-2"
    if not math.isfinite(float(values[0])):
        return "is too large: the largest number is 1.7976931348623157e+308"
    return ""
