"""Reads and compares the values in the answers of a model.

A value is any JSON value: None, bool, int, float, str, list or dict of values,
numbers including NaN and the infinities. This module is independent of HTTP.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_NUMPY_TOKEN = re.compile(r"\s*(?:(?P<mark>[\[\],])|(?P<word>[^\s\[\],]+))")
_NUMPY_WORDS = {"True": True, "False": False, "None": None}
_KINDS: dict[type, str] = {bool: "truth value", str: "text", list: "list", dict: "mapping"}
# Deeper nesting is not a prediction; Python's own limit is near 1000.
_MAX_DEPTH = 64


class UnreadableValueError(ValueError):
    """The text is neither JSON nor numpy's text of an array."""


def read_value(text: str) -> Any:
    """Return the value that a text represents.

    The text is parsed as JSON, or else as the text of a numpy array or scalar: numbers between
    brackets, separated by white space or commas, such as ``[199.6 12.]``.

    Raises UnreadableValueError, with a sentence, for any other text.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _read_numpy(text)


def _read_numpy(text: str) -> Any:
    """Return the value of a numpy array's text: a number, or nested lists of numbers."""
    root: list[Any] = []
    stack = [root]
    position = 0
    text = text.rstrip()
    while position < len(text):
        token = _NUMPY_TOKEN.match(text, position)
        if token is None:  # pragma: no cover - every character but white space is a token
            raise UnreadableValueError("it cannot be read")
        position = token.end()
        mark, word = token["mark"], token["word"]
        if mark == "[":
            if len(stack) > _MAX_DEPTH:
                raise UnreadableValueError(f"its lists are nested deeper than {_MAX_DEPTH}")
            inner: list[Any] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif mark == "]":
            if len(stack) == 1:
                raise UnreadableValueError("a bracket is closed that was not opened")
            stack.pop()
        elif word is not None:
            stack[-1].append(_read_word(word))
    if len(stack) > 1:
        raise UnreadableValueError("a bracket is not closed")
    if len(root) != 1:
        raise UnreadableValueError("it is neither JSON nor a number or list of numbers")
    return root[0]


def _read_word(word: str) -> Any:
    if word == "...":
        raise UnreadableValueError("numpy abbreviated it: numbers are missing where the dots are")
    if word in _NUMPY_WORDS:
        return _NUMPY_WORDS[word]
    try:
        return int(word) if re.fullmatch(r"[+-]?[0-9]{1,18}", word) else float(word)
    except ValueError:
        raise UnreadableValueError(f"{shorten(word)} is no number") from None


def is_number(value: Any) -> bool:
    """Return whether the value is a number; true and false are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_close(actual: float, expected: float, tolerance: float, relative: float) -> bool:
    """Return whether two numbers differ by at most the larger of the two tolerances.

    The tolerances are the absolute one, and `relative` times the expected number's magnitude.
    NaN equals NaN, and an infinity equals itself; neither is close to any other number.
    """
    if math.isnan(actual) or math.isnan(expected):
        return math.isnan(actual) and math.isnan(expected)
    if math.isinf(actual) or math.isinf(expected):
        return actual == expected
    return abs(actual - expected) <= max(tolerance, relative * abs(expected))


def difference(actual: Any, expected: Any, tolerance: float = 0.0, relative: float = 0.0) -> str:
    """Return as text the first difference between two values; empty if they are equal.

    Numbers are compared with tolerance, all other values exactly; lists must have the same
    length, mappings the same keys.
    """
    return _difference(actual, expected, tolerance, relative, "")


def _difference(actual: Any, expected: Any, tolerance: float, relative: float, at: str) -> str:
    where = f"at {at}: " if at else ""
    if is_number(expected) and is_number(actual):
        close = _is_close(actual, expected, tolerance, relative)
        return "" if close else f"{where}{shorten(actual)} is not {shorten(expected)}"
    if type(actual) is not type(expected):
        return f"{where}{_describe(actual)} is not {_describe(expected)}"
    if isinstance(expected, (list, dict)):
        shape = _shape_difference(actual, expected)
        if shape:
            return where + shape
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            place = f"{at}[{json.dumps(key)}]"
            found = _difference(actual[key], expected[key], tolerance, relative, place)
            if found:
                return found
        return ""
    return "" if actual == expected else f"{where}{_describe(actual)} is not {_describe(expected)}"


def _is_close(actual: float, expected: float, tolerance: float, relative: float) -> bool:
    try:
        return is_close(float(actual), float(expected), tolerance, relative)
    except OverflowError:  # an integer that is too large for a float
        return actual == expected


def _shape_difference(actual: Any, expected: Any) -> str:
    """Return how the lengths of two lists, or the keys of two mappings, differ."""
    if isinstance(expected, list):
        if len(actual) == len(expected):
            return ""
        return f"the list is of length {len(actual)}, not {len(expected)}"
    missing = sorted(str(key) for key in expected.keys() - actual.keys())
    surplus = sorted(str(key) for key in actual.keys() - expected.keys())
    if missing:
        return f"the mapping lacks {', '.join(missing)}"
    return f"the mapping holds {', '.join(surplus)}, which was not expected" if surplus else ""


def _describe(value: Any) -> str:
    kind = "number" if is_number(value) else _KINDS.get(type(value), "value")
    return f"the {kind} {shorten(value)}"


def shorten(value: Any, limit: int = 80) -> str:
    """Return a value as one line of JSON of at most `limit` characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str, limit: int = 80) -> str:
    """Return the first line of a text that is not blank, printable and of limited length."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(char if char.isprintable() else "�" for char in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def percentile(values: list[float], percent: float) -> float:
    """Return the nearest-rank percentile: the smallest value that `percent` % do not exceed.

    Values are not interpolated: with fewer than 100 values the 99th percentile is the maximum.
    Raises ValueError if there are no values.
    """
    if not values:
        raise ValueError("a percentile needs at least one value")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]
