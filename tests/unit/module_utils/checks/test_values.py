"""Reading and comparing a model's values."""

import math
import re

import pytest
from ansible.module_utils.docker_ml_api.checks.values import (
    UnreadableValueError,
    difference,
    is_close,
    one_line,
    percentile,
    read_value,
    shorten,
)

INF = math.inf
NAN = math.nan


def same(one, other):
    """Equality in which NaN equals NaN, and 1 differs from True and 1.0."""
    return repr(one) == repr(other)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # JSON
        ("199.6", 199.6),
        ("12", 12),
        ("true", True),
        ("null", None),
        ("[199.6, 12]", [199.6, 12]),
        ('{"prediction": [1.5], "model": "v1"}', {"prediction": [1.5], "model": "v1"}),
        ('"text"', "text"),
        ("[NaN, Infinity, -Infinity]", [NAN, INF, -INF]),
        ("[]", []),
        # numpy
        ("[199.6 12.]", [199.6, 12.0]),
        ("[199.6]", [199.6]),
        ("[ 1.  2. -3.]", [1.0, 2.0, -3.0]),
        ("[[1. 2.]\n [3. 4.]]", [[1.0, 2.0], [3.0, 4.0]]),
        ("[[[1 2]]]\n", [[[1, 2]]]),
        ("[1.e+00 2.5e-07]", [1.0, 2.5e-07]),
        ("[nan inf -inf]", [NAN, INF, -INF]),
        ("[ True False]", [True, False]),
        ("12.", 12.0),
        ("nan", NAN),
        ("[1., 2.]", [1.0, 2.0]),
        ("  [7 8]  ", [7, 8]),
        ("[123456789012345678901234567890 1]", [1.2345678901234568e29, 1]),
    ],
)
def test_read_value(text, value):
    assert same(read_value(text), value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither JSON nor"),
        ("Hello, world!", "Hello"),
        ("<html>", "<html>"),
        ("1 2", "neither JSON nor"),
        ("[1 2] [3 4]", "neither JSON nor"),
        ("[1 2", "not closed"),
        ("1]", "was not opened"),
        ("[1. 2. ... 9.]", "abbreviated"),
        ("[1.5 x]", '"x" is no number'),
        ("[ " * 100 + "x" + " ]" * 100, "deeper"),
        ("[" * 100000, "deeper"),
    ],
)
def test_read_value_refuses(text, says):
    with pytest.raises(UnreadableValueError, match=re.escape(says)):
        read_value(text)


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance", "relative", "close"),
    [
        (199.60, 199.6, 0, 0, True),
        (199.61, 199.6, 0, 0, False),
        (199.65, 199.6, 0.1, 0, True),
        (199.75, 199.6, 0.1, 0, False),
        (2.0, 1.0, 1.0, 0, True),
        (-1.05, -1.0, 0, 0.1, True),
        (-1.2, -1.0, 0, 0.1, False),
        (0.05, 0.0, 0, 0.1, False),
        (101.0, 100.0, 5, 0.001, True),
        (104.0, 100.0, 0.001, 0.05, True),
        (106.0, 100.0, 0.001, 0.05, False),
        (105.5, 100.0, 5, 0.01, False),
        (NAN, 1.0, 1e9, 1e9, False),
        (1.0, NAN, 1e9, 1e9, False),
        (NAN, NAN, 0, 0, True),
        (INF, 1.0, 1e308, 1e308, False),
        (1.0, INF, 0, 1, False),
        (INF, INF, 0, 0, True),
        (INF, -INF, 0, 1, False),
        (NAN, INF, 0, 0, False),
    ],
)
def test_is_close(actual, expected, tolerance, relative, close):
    assert is_close(actual, expected, tolerance, relative) is close


HUGE = 10**400


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance", "says"),
    [
        ([199.61], [199.6], 0.1, ""),
        ([199.61], [199.6], 0, "at [0]: 199.61 is not 199.6"),
        (199.6, 199.6, 0, ""),
        (1, 1.0, 0, ""),
        ([199.6], 199.6, 0.1, "the list [199.6] is not the number 199.6"),
        (199.6, [199.6], 0.1, "the number 199.6 is not the list [199.6]"),
        ([1, 2, 3], [1, 2], 0, "the list is of length 3, not 2"),
        ([[1, 2], [3, 5]], [[1, 2], [3, 4]], 0.5, "at [1][1]: 5 is not 4"),
        ([[1, 2], [3]], [[1, 2], [3, 4]], 0.5, "at [1]: the list is of length 1, not 2"),
        (True, True, 0, ""),
        (True, False, 1, "the truth value true is not the truth value false"),
        (True, 1, 1, "the truth value true is not the number 1"),
        (1, True, 1, "the number 1 is not the truth value true"),
        ("1", 1, 1, 'the text "1" is not the number 1'),
        ("a", "b", 1, 'the text "a" is not the text "b"'),
        (None, 1, 1, "the value null is not the number 1"),
        (None, None, 0, ""),
        ({"p": [1.01]}, {"p": [1.0]}, 0.1, ""),
        ({"p": [1.2]}, {"p": [1.0]}, 0.1, 'at ["p"][0]: 1.2 is not 1.0'),
        ({"q": 1}, {"p": 1}, 0, "the mapping lacks p"),
        ({"p": 1, "q": 1}, {"p": 1}, 0, "the mapping holds q, which was not expected"),
        ({}, {}, 0, ""),
        ([], [], 0, ""),
        (HUGE, HUGE, 0, ""),
        ([NAN], [NAN], 0, ""),
        ([NAN], [1.0], 9, "at [0]: NaN is not 1.0"),
    ],
)
def test_difference(actual, expected, tolerance, says):
    assert difference(actual, expected, tolerance) == says


def test_difference_of_numbers_too_large_for_a_float():
    assert difference(HUGE, HUGE + 1, 10.0).endswith("…")


@pytest.mark.parametrize(
    ("values", "percent", "result"),
    [
        ([5.0], 50, 5.0),
        ([5.0], 99, 5.0),
        ([1.0, 2.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 50, 50.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 21)], 99, 20.0),
        ([float(n) for n in range(1, 201)], 99, 198.0),
        ([4.0, 2.0], 0, 2.0),
        ([4.0, 2.0], 100, 4.0),
    ],
)
def test_percentile(values, percent, result):
    assert percentile(values, percent) == result


def test_percentile_of_nothing():
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Internal error\nat line 5", "Internal error"),
        ("\n\n  first  \nsecond", "first"),
        ("", ""),
        ("x" * 100, "x" * 79 + "…"),
        ("a\x1b[31mred\x07", "a�[31mred�"),
    ],
)
def test_one_line(text, line):
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [([1, "ä"], '[1, "ä"]'), ("x" * 200, '"' + "x" * 78 + "…"), (NAN, "NaN")],
)
def test_shorten(value, text):
    assert shorten(value) == text
