"""Numbers as numpy prints them, against numpy."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.service.contract.numpy_text import array_text

BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0])
DECIMALS = st.builds(
    lambda digits, power: float(f"{digits}e{power}"),
    st.integers(-(10**17), 10**17),
    st.integers(-330, 290),
)
# Exactly halfway between two numbers of eight digits.
HALVES = st.builds(lambda whole, power: whole / 2**power, st.integers(0, 2**40), st.integers(1, 45))
# Around the limits of the ranges that are formatted differently.
COARSE = st.floats(2.0**25, 2.0**27) | st.floats(9e-5, 2e-4)
SUBNORMAL = st.integers(0, 2**52).map(lambda bits: bits * 5e-324)


def edges() -> list[float]:
    powers = [2.0**power for power in range(-1074, 1024)]
    powers += [float(f"1e{power}") for power in range(-323, 309)]
    return [
        side
        for power in powers
        for side in (power, -power, math.nextafter(power, 0), math.nextafter(power, math.inf))
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (199.60524717854573, "[199.60524718]"),
        (0.0, "[0.]"),
        (-0.0, "[-0.]"),
        (5.0, "[5.]"),
        (0.001953125, "[0.00195312]"),
        (99999999.99999999, "[99999999.99999999]"),
        (1e8, "[1.e+08]"),
        (1e-4, "[0.0001]"),
        (9.9999e-5, "[9.9999e-05]"),
        (5e-324, "[5.e-324]"),
        (1.7976931348623157e308, "[1.79769313e+308]"),
    ],
)
def test_examples(number: float, text: str) -> None:
    assert array_text(number) == text == str(np.array([number]))


def test_edges() -> None:
    assert [number for number in edges() if array_text(number) != str(np.array([number]))] == []


@settings(deadline=None, max_examples=1000)
@given(
    st.floats(allow_nan=False, allow_infinity=False) | BITS | DECIMALS | HALVES | COARSE | SUBNORMAL
)
def test_any_finite_number(number: float) -> None:
    if math.isfinite(number):
        assert array_text(number) == str(np.array([number]))
