"""Weighted sums in machine code equal those in Python to the last bit."""

import math
import random
import subprocess
import sys
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.service.contract.card import ArtifactError
from model.service.contract.features import Feature
from model.service.contract.forms.coefficients import CoefficientsPredictor
from model.service.contract.forms.weighted_sum import WeightedSum, load

ANY = st.floats(allow_nan=False, allow_infinity=False)
GREATEST = sys.float_info.max


def in_python(weights: Sequence[float], intercept: float) -> CoefficientsPredictor:
    features = tuple(Feature(name=f"f{i}", column="f", kind="number") for i in range(len(weights)))
    return CoefficientsPredictor(features, weights, intercept, Path("nowhere"))


@settings(deadline=None)
@given(
    weights=st.lists(ANY, min_size=1, max_size=4),
    intercept=ANY,
    values=st.lists(ANY, min_size=4, max_size=40),
)
def test_bit_by_bit(
    sums_library: Path, weights: list[float], intercept: float, values: list[float]
) -> None:
    rows = len(values) // len(weights)
    columns = [array("d", values[i * rows : (i + 1) * rows]) for i in range(len(weights))]
    expected = in_python(weights, intercept).predict(columns)
    found = WeightedSum(weights, intercept, sums_library)(columns)
    if all(map(math.isfinite, expected)):
        assert found is not None
        assert found[0].tobytes() == array("d", expected).tobytes()
        assert found[1] == [(min(column), max(column)) for column in columns]
    else:
        assert found is None


def test_many_rows(sums_library: Path) -> None:
    numbers = random.Random(7)  # noqa: S311 - any numbers do
    column = array(
        "d", (numbers.uniform(-1, 1) * 10 ** numbers.uniform(-300, 300) for _ in range(10**5))
    )
    weight, intercept = 949.4352603839491, 152.1334841628965
    found = WeightedSum([weight], intercept, sums_library)([column])
    assert found
    assert found[0].tolist() == [value * weight + intercept for value in column]


def test_the_stack_stays_free_of_code(sums_library: Path) -> None:
    """Otherwise, glibc 2.41 and later refuses to load the library."""
    program = """
import ctypes, pathlib, sys
ctypes.PyDLL(sys.argv[1])
print(pathlib.Path("/proc/self/maps").read_text())
"""
    maps = subprocess.run(
        [sys.executable, "-c", program, sums_library], check=True, capture_output=True, text=True
    ).stdout
    assert [line.split()[1] for line in maps.splitlines() if "[stack]" in line] == ["rw-p"]


# Case: (the weights, the columns)
OVERFLOWS = {
    "a product": ([2.0], [[1.0, GREATEST, 1.0]]),
    "a sum": ([1.0, 1.0], [[GREATEST], [GREATEST]]),
    "of both signs": ([2.0, 2.0], [[GREATEST], [-GREATEST]]),
}


@pytest.mark.parametrize(("weights", "columns"), OVERFLOWS.values(), ids=OVERFLOWS)
def test_what_overflows_is_not_said(
    sums_library: Path, weights: list[float], columns: list[list[float]]
) -> None:
    assert WeightedSum(weights, 0.0, sums_library)([array("d", one) for one in columns]) is None


@pytest.mark.parametrize("lengths", [(2, 1), (1, 2), (1,), (1, 1, 1)])
def test_columns_that_do_not_fit(sums_library: Path, lengths: tuple[int, ...]) -> None:
    sums = WeightedSum([1.0, 2.0], 0.0, sums_library)
    with pytest.raises(ValueError, match=r"differ in length|zip\(\) argument"):
        sums([array("d", bytes(8 * length)) for length in lengths])


def test_a_predictor_has_them_if_they_were_compiled(sums_library: Path) -> None:
    feature = (Feature(name="f", column="f", kind="number"),)
    assert CoefficientsPredictor(feature, [2.0], 1.0, sums_library).weighted_sum
    assert CoefficientsPredictor(feature, [GREATEST], 1.0, sums_library).weighted_sum
    assert CoefficientsPredictor(feature, [2.0], 1.0, Path("nowhere")).weighted_sum is None


WRONG = {
    "another order": ("sums[row] += intercept;", "sums[row] = intercept + 0.1 + sums[row] - 0.1;"),
    "a wrong bound": ("greatest = value;", "greatest = least;"),
    "less precise": ("sums[row] = value * weight;", "sums[row] = (float)(value * weight);"),
    "overflows": ("fault += sums", "fault = 1; fault += sums"),
}


@pytest.mark.parametrize(("old", "new"), WRONG.values(), ids=WRONG)
def test_wrong_ones_are_refused(compile_sums: Callable[..., Path], old: str, new: str) -> None:
    library = compile_sums(old, new)
    with pytest.raises(ArtifactError, match=r"does not compute what Python does: build the image"):
        load([0.1, 3.3], 0.7, in_python([0.1, 3.3], 0.7).predict, library)


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "libsums.so"
    library.write_text("no library")
    with pytest.raises(ArtifactError, match=r"cannot be loaded: .*\. Build the image again\."):
        load([1.0], 0.0, in_python([1.0], 0.0).predict, library)
