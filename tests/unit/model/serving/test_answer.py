"""Query string in, text out."""

import functools
import pickle
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets, linear_model

from model.service.contract.features import Feature, Kind, Value
from model.service.contract.predictor import OverflowedError, Predictor, RefusedError
from model.service.serving.answer import (
    InvalidParametersError,
    ParameterError,
    _parse_carefully,
    answer,
    parser,
)

NOT_DECIMAL = "is not a decimal number such as 0.05, -1 or 5e-2"
TOO_LARGE = "is too large: the largest number is 1.7976931348623157e+308"
TOO_LONG = "is longer than 64 characters"
MISSING = "is missing: give a number, as in ?f=0.05"
OVERFLOW = "is too large: the prediction is beyond the largest number"


def number(name: str, *, nullable: bool = False) -> Feature:
    return Feature(name=name, column=name, kind="number", nullable=nullable)


def category(*categories: str, closed: bool = True) -> Feature:
    return Feature(name="x", column="x", kind="category", closed=closed, categories=categories)


@pytest.fixture(scope="module")
def tutorial_model() -> Any:
    """Fit and pickle, as the tutorial's main.py does."""
    diabetes = datasets.load_diabetes()
    model = linear_model.LinearRegression()
    model.fit(diabetes.data[:, np.newaxis, 2], diabetes.target)
    return pickle.loads(pickle.dumps(model))  # noqa: S301 - made in this line


@pytest.mark.parametrize(
    "number",
    [
        "0.05", "0", "-0", "0.0", "1", "-1", "-0.09027529589851", "0.17055522598066",
        ".5", "5.", "-.5e1", "%2B0.05", "1e2", "1E2", "1e%2B2", "1e-2", "00012", "1e-400",
        "5e-324", "-0.16023373", "1e5", "1e16", "123456789.123456789", "1e20", "-1e300", "1e305",
        "0.1000000000000000055511151231257827021181583404541015625", "9" * 64,
    ],
)  # fmt: skip
def test_text_is_the_tutorials(predictor: Predictor, tutorial_model: Any, number: str) -> None:
    value = float(number.replace("%2B", "+"))
    assert answer(predictor, f"f={number}") == str(tutorial_model.predict([[value]]))


def test_the_tutorials_example(predictor: Predictor) -> None:
    assert answer(predictor, "f=0.05") == "[199.60524718]"


# Other parameters are ignored, and all notations of a value are equivalent.
SAME_QUERIES = ["f=1&g=2", "g=2&f=1&F=3", "&&f=1&", "%66=1", "f=%31", "f=1.", "g&f=1e0", "f=%2B1"]


@pytest.mark.parametrize("query", SAME_QUERIES)
def test_the_same_query(query: str) -> None:
    assert parser((number("f"),))(query) == [1.0]


BAD_QUERIES = [
    ("", MISSING),
    ("g=1", MISSING),
    ("F=1", MISSING),
    ("f[]=1", MISSING),
    ("f", NOT_DECIMAL),
    ("f=", NOT_DECIMAL),
    ("f=1&f=1", "is given 2 times: give it once"),
    ("f=&f=1&f=2", "is given 3 times: give it once"),
    ("f=1;f=2", NOT_DECIMAL),
    ("f=abc", NOT_DECIMAL),
    ("f=1,5", NOT_DECIMAL),
    ("f=1.5.2", NOT_DECIMAL),
    ("f=.", NOT_DECIMAL),
    ("f=e5", NOT_DECIMAL),
    ("f=1e", NOT_DECIMAL),
    ("f=--1", NOT_DECIMAL),
    ("f=+1", NOT_DECIMAL),
    ("f=%201", NOT_DECIMAL),
    ("f=1%0A", NOT_DECIMAL),
    ("f=1%00", NOT_DECIMAL),
    ("f=%00", NOT_DECIMAL),
    ("f=0x10", NOT_DECIMAL),
    ("f=1_0", NOT_DECIMAL),
    ("f=1j", NOT_DECIMAL),
    ("f=True", NOT_DECIMAL),
    ("f=[1]", NOT_DECIMAL),
    ("f=%D9%A3", NOT_DECIMAL),  # ARABIC-INDIC DIGIT THREE, which float takes
    ("f=%EF%BC%91", NOT_DECIMAL),  # FULLWIDTH DIGIT ONE
    ("f=\xd9\xa3", NOT_DECIMAL),  # not percent-encoded: WSGI passes bytes as Latin-1
    ("f=%E2%88%921", NOT_DECIMAL),  # MINUS SIGN
    ("f=%ff", NOT_DECIMAL),
    ("f=%", NOT_DECIMAL),
    ("f=nan", NOT_DECIMAL),
    ("f=NaN", NOT_DECIMAL),
    ("f=inf", NOT_DECIMAL),
    ("f=-Infinity", NOT_DECIMAL),
    ("f=1e400", TOO_LARGE),
    ("f=-1e400", TOO_LARGE),
    ("f=1.7976931348623159e308", TOO_LARGE),
    ("f=1e999999999999999999999999999999", TOO_LARGE),
    ("f=" + "1" * 65, TOO_LONG),
    ("f=" + "1" * 50_000, TOO_LONG),
    ("f=" + "x" * 50_000, TOO_LONG),
    ("f=0." + "0" * 5_000 + "1", TOO_LONG),
    ("f=1e308", OVERFLOW),
    ("f=-1.7976931348623157e308", OVERFLOW),
]


@pytest.mark.parametrize(("query", "detail"), BAD_QUERIES, ids=[q[:24] for q, _ in BAD_QUERIES])
def test_a_bad_query_is_refused(predictor: Predictor, query: str, detail: str) -> None:
    with pytest.raises(InvalidParametersError) as caught:
        answer(predictor, query)
    assert [(error.parameter, error.detail) for error in caught.value.errors] == [("f", detail)]
    assert str(caught.value) == f"Query parameter f {detail}."


# The kinds of features: (the feature, its text in the URL, the value)
VALUES = {
    "number": (number("x"), "5e-2", 0.05),
    "a short way that is long": (number("x"), "9" * 21, 1e21),
    "no number": (number("x", nullable=True), "", None),
    "integer": (Feature(name="x", column="x", kind="integer"), "-3", -3),
    "a whole number with a point": (Feature(name="x", column="x", kind="integer"), "3.0", 3),
    "a whole number with an exponent": (Feature(name="x", column="x", kind="integer"), "2E1", 20),
    "the greatest integer": (
        Feature(name="x", column="x", kind="integer"),
        "9223372036854775807",
        9223372036854775807,
    ),
    "no integer": (Feature(name="x", column="x", kind="integer", nullable=True), "", None),
    "true": (Feature(name="x", column="x", kind="boolean"), "true", True),
    "false": (Feature(name="x", column="x", kind="boolean"), "false", False),
    "True": (Feature(name="x", column="x", kind="boolean"), "True", True),
    "FALSE": (Feature(name="x", column="x", kind="boolean"), "FALSE", False),
    "category": (category("red", "dark green"), "dark+green", "dark green"),
    "category, escaped": (category("red", "dark green"), "dark%20green", "dark green"),
    "category beyond ASCII": (category("grün"), "gr%C3%BCn", "grün"),
    "category, raw UTF-8": (category("grün"), "gr\xc3\xbcn", "grün"),
    "another category": (category("red", closed=False), "blue", "blue"),
    "text": (Feature(name="x", column="x", kind="text"), "a%26b%3Dc;d=e", "a&b=c;d=e"),
    "empty text": (Feature(name="x", column="x", kind="text"), "", ""),
    "no text": (Feature(name="x", column="x", kind="text", nullable=True), "", None),
    "a longer text": (
        Feature(name="x", column="x", kind="text", longest=300),
        "y" * 300,
        "y" * 300,
    ),
    "a long text": (Feature(name="x", column="x", kind="text"), "y" * 256, "y" * 256),
}


@pytest.mark.parametrize(("feature", "text", "value"), VALUES.values(), ids=VALUES)
def test_values(feature: Feature, text: str, value: Value) -> None:
    assert parser((feature,))(f"x={text}") == [value]
    # The additional parameter selects the careful parser.
    assert parser((feature,))(f"y&x={text}") == [value]
    assert type(parser((feature,))(f"x={text}")[0]) is type(value)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_value_that_may_be_missing(kind: Kind) -> None:
    feature = Feature(name="x", column="x", kind=kind, nullable=True)
    assert parser((number("f"), feature))("f=1") == [1.0, None]


# Case: (the kind of feature, its text in the URL or None, the detail)
FAULTS = {
    "no whole number": ("integer", "1.5", "is not a whole number such as 3 or -1"),
    "no number": ("integer", "one", "is not a whole number such as 3 or -1"),
    "an infinite integer": ("integer", "1e999", "is not a whole number such as 3 or -1"),
    "an integer too large": (
        "integer",
        "9223372036854775808",
        "is too large: whole numbers are from -9223372036854775808 to 9223372036854775807",
    ),
    "a long integer": ("integer", "1" * 65, TOO_LONG),
    "missing integer": ("integer", None, "is missing: give a whole number, as in ?x=3"),
    "tRUE": ("boolean", "tRUE", "is neither true nor false"),
    "missing boolean": ("boolean", None, "is missing: give true or false, as in ?x=true"),
    "category": ("category", "blue", "is none of red, green"),
    "no UTF-8, of few": ("category", "%ff", "is none of red, green"),
    "missing category": ("category", None, "is missing: give a text, as in ?x=red"),
    "long text": ("text", "y" * 257, "is longer than 256 characters"),
    "no UTF-8": ("text", "%ff", "is no text in UTF-8"),
    "half a surrogate": ("text", "%ed%a0%80", "is no text in UTF-8"),
    "missing text": ("text", None, "is missing: give a text, as in ?x=text"),
}


@pytest.mark.parametrize(("kind", "text", "detail"), FAULTS.values(), ids=FAULTS)
def test_faults(kind: Kind, text: str | None, detail: str) -> None:
    categories = ("red", "green") if kind == "category" else ()
    feature = Feature(name="x", column="x", kind=kind, closed=True, categories=categories)
    with pytest.raises(InvalidParametersError) as caught:
        parser((feature,))("" if text is None else f"x={text}")
    assert caught.value.errors == (ParameterError("x", detail),)


MANY = (number("a"), Feature(name="b", column="b", kind="integer"), number("c.d (e)"))


def test_values_come_in_the_models_order() -> None:
    assert parser(MANY)("c.d+(e)=3&a=1&b=2") == [1.0, 2, 3.0]
    assert parser(MANY)("a=1&b=2&c.d%20(e)=3") == [1.0, 2, 3.0]
    assert parser((number("a"), number("b")))("a=1&b=-.5e-1") == [1.0, -0.05]


def test_each_parameter_at_fault_is_named() -> None:
    with pytest.raises(InvalidParametersError) as caught:
        parser(MANY)("a=1&b=x")
    assert [error.parameter for error in caught.value.errors] == ["b", "c.d (e)"]


def outcome(parse: Callable[[str], object], query: str) -> object:
    try:
        return parse(query)
    except InvalidParametersError as error:
        return error.errors


KINDS = (
    number("n"),
    Feature(name="i", column="i", kind="integer", nullable=True),
    Feature(name="b", column="b", kind="boolean"),
    category("x", "y"),
    Feature(name="t", column="t", kind="text"),
)
TEXTS = st.one_of(
    st.floats(allow_nan=True).map(str),
    st.integers().map(str),
    st.text("0123456789.eE+-_%&=; xy\u0663", max_size=12),
    st.sampled_from(["true", "false", "x", "y", "", "1_0", "inf", "nan", "1e400", "1e99", "%31"]),
)


@given(st.lists(TEXTS, min_size=5, max_size=5), st.permutations(range(5)), st.booleans())
def test_both_ways_say_the_same(texts: list[str], order: list[int], complete: bool) -> None:
    for features in (KINDS, KINDS[:1]):
        places = sorted(order[: len(features)]) if complete else order
        query = "&".join(
            f"{features[place].name}={texts[place]}" for place in places if place < len(features)
        )
        query = query.encode().decode("latin-1")
        careful = functools.partial(_parse_carefully, features)
        assert repr(outcome(parser(features), query)) == repr(outcome(careful, query))


class Overflowing:
    """A model whose predictions overflow."""

    features = (number("f"), category("red"))

    def text(self, _: object) -> str:
        raise OverflowedError


def test_only_numbers_can_be_too_large() -> None:
    predictor: Any = Overflowing()
    with pytest.raises(InvalidParametersError) as caught:
        answer(predictor, "f=1&x=red")
    assert caught.value.errors == (ParameterError("f", OVERFLOW),)
    predictor.features = predictor.features[1:]
    with pytest.raises(InvalidParametersError) as caught:
        answer(predictor, "x=red")
    assert caught.value.errors == (ParameterError("x", OVERFLOW),)


def test_a_row_that_the_model_rejects_has_no_prediction() -> None:
    class Refusing(Overflowing):
        def text(self, _: object) -> str:
            raise RefusedError("Input X contains NaN")

    predictor: Any = Refusing()
    with pytest.raises(InvalidParametersError) as caught:
        answer(predictor, "f=1&x=red")
    assert str(caught.value) == "The row has no prediction: Input X contains NaN."
    assert caught.value.errors == (
        ParameterError("row", "has no prediction: Input X contains NaN"),
    )
