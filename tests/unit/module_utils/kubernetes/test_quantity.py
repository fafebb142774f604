import pytest
from ansible.module_utils.docker_ml_api.kubernetes import quantity

# Quantity: the form in which the API server returns it.
CANONICAL = {
    "0": "0",
    "0Mi": "0",
    "0.5": "500m",
    ".5": "500m",
    "5.": "5",
    "+5": "5",
    "-1": "-1",
    "1000m": "1",
    "1500m": "1500m",
    "1000": "1k",
    "1500": "1500",
    "100u": "100u",
    "0.1n": "1n",
    "1e3": "1k",
    "1E3": "1k",
    "15e-1": "1500m",
    "7E": "7E",
    "1Gi": "1Gi",
    "1024Mi": "1Gi",
    "1000Mi": "1000Mi",
    "1.5Gi": "1536Mi",
    "0.5Ki": "512",
    "1.1Gi": "1181116007",
    "1025Ki": "1025Ki",
    "1Ki": "1Ki",
    "9223372036854775807": "9223372036854775807",
    "64m": "64m",
}


@pytest.mark.parametrize(("given", "expected"), CANONICAL.items())
def test_canonical(given, expected):
    assert quantity.canonical(given) == expected
    assert quantity.canonical(expected) == expected


@pytest.mark.parametrize(("given", "expected"), [(1, "1"), (0.25, "250m"), (2048, "2048")])
def test_numbers(given, expected):
    assert quantity.canonical(given) == expected


@pytest.mark.parametrize(
    ("one", "other"), [("0.5", "500m"), ("1Gi", "1024Mi"), ("1e3", "1k"), (1, "1000m")]
)
def test_equal_values(one, other):
    assert quantity.parse(one) == quantity.parse(other)


@pytest.mark.parametrize(("less", "more"), [("1M", "1Mi"), ("64m", "64Mi"), ("1e-9", "2n")])
def test_order(less, more):
    assert quantity.parse(less) < quantity.parse(more)


@pytest.mark.parametrize(
    "given", ["", "abc", "1 Mi", "64mb", "1KI", "1e", "1e3Mi", "--1", "1,5", True, None, ["1"]]
)
def test_no_quantity(given):
    with pytest.raises(ValueError, match="is no quantity such as"):
        quantity.parse(given)


@pytest.mark.parametrize("given", ["8Ei", "9223372036854775808", "1e19", "-1e19"])
def test_too_large(given):
    with pytest.raises(ValueError, match="too large"):
        quantity.parse(given)
