"""Query string in, text out."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn import datasets, linear_model

from model.service.answer import InvalidParametersError, answer, parse
from model.service.predictor import EstimatorPredictor, Predictor

NOT_DECIMAL = "is not a decimal number such as 0.05, -1 or 5e-2"
TOO_LARGE = "is too large: the largest number is 1.7976931348623157e+308"
TOO_LONG = "is longer than 64 characters"
MISSING = "is missing: give a number, as in ?f=0.05"
OVERFLOW = "is too large: the prediction is beyond the largest number"


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


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("f=1&g=2", 1.0),
        ("g=2&f=1&F=3", 1.0),
        ("&&f=1&", 1.0),
        ("%66=1", 1.0),
        ("f=%31", 1.0),
    ],
)
def test_what_else_is_in_the_query_is_ignored(query: str, value: float) -> None:
    assert parse(("f",), query) == [value]


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


def test_values_come_in_the_models_order() -> None:
    assert parse(("a", "b", "c"), "c=3&a=1&b=2") == [1.0, 2.0, 3.0]


def test_each_parameter_at_fault_is_named() -> None:
    with pytest.raises(InvalidParametersError) as caught:
        parse(("a", "b", "c"), "a=1&b=x")
    assert [error.parameter for error in caught.value.errors] == ["b", "c"]


class Classes:
    """An estimator whose prediction is a name."""

    def predict(self, X: Any, /) -> Any:  # noqa: N803
        return np.array([f"{row[0]:+} {row[1]:+}" for row in X])


def test_a_class_is_answered_by_its_name() -> None:
    assert answer(EstimatorPredictor(Classes(), ("a", "b")), "b=-2&a=1") == "['+1.0 -2.0']"
