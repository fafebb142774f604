"""Weighted sums in machine code, over columns of unboxed numbers.

The library is compiled from weighted_sum.c when an image is built. Where it is missing, as in a
checkout of the source, callers compute the sums in Python.
"""

import ctypes
import math
import random
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from model.service.contract.card import ArtifactError

LIBRARY = Path(__file__).with_name("libweighted_sum.so")
WORD = 8
# The number of random rows, and the extreme values, in the comparison with Python at startup.
ROWS = 64
EXTREMES = (0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.0, -1.0, 1e16, -1e16)


class WeightedSum:
    """Computes each row's weighted sum of values plus the intercept."""

    def __init__(self, weights: Sequence[float], intercept: float, library: Path = LIBRARY) -> None:
        """Load the library.

        Raises OSError if it is missing or built for another platform.
        """
        # PyDLL keeps the GIL: releasing and reacquiring it costs more than the microseconds saved.
        loaded = ctypes.PyDLL(str(library))
        pointer = ctypes.c_void_p
        self._add_column = loaded.add_column
        self._add_column.argtypes = (
            *(pointer, ctypes.c_long, ctypes.c_double, ctypes.c_int),
            *(pointer, pointer),
        )
        self._add_column.restype = None
        self._add_intercept = loaded.add_intercept
        self._add_intercept.argtypes = (pointer, ctypes.c_long, ctypes.c_double)
        self._add_intercept.restype = ctypes.c_double
        self._weights = tuple(weights)
        self._intercept = intercept

    def __call__(
        self, columns: Sequence["array[float]"]
    ) -> tuple["array[float]", list[tuple[float, float]]] | None:
        """Return each row's sum and each column's minimum and maximum, or None on overflow.

        columns: one array of type "d" for each weight, all of the same length (at least 1), with
        finite numbers. The result is None if any sum is not finite.
        """
        rows = len(columns[0])
        sums = array("d", bytes(WORD * rows))
        to, found = sums.buffer_info()[0], array("d", bytes(2 * WORD))
        bounds: list[tuple[float, float]] = []
        for column, weight in zip(columns, self._weights, strict=True):
            if len(column) != rows:
                raise ValueError("the columns differ in length")
            self._add_column(
                *(column.buffer_info()[0], rows, weight, not bounds),
                *(to, found.buffer_info()[0]),
            )
            bounds.append((found[0], found[1]))
        if self._add_intercept(to, rows, self._intercept) != 0:
            return None
        return sums, bounds


def load(
    weights: Sequence[float],
    intercept: float,
    in_python: Callable[[Sequence["array[float]"]], list[float]],
    library: Path = LIBRARY,
) -> WeightedSum | None:
    """Return the weighted sum in machine code, or None if the library does not exist.

    in_python: computes the same sums in Python, for comparison.

    Raises ArtifactError if the results differ, even in the last bit.
    """
    if not library.exists():
        return None
    try:
        compiled = WeightedSum(weights, intercept, library)
    except OSError as error:
        raise ArtifactError(
            f"{library} cannot be loaded: {error}. Build the image again."
        ) from None
    numbers = random.Random(0)  # noqa: S311 - any numbers do
    columns = [
        array("d", numbers.sample(EXTREMES, len(EXTREMES)) + [numbers.gauss() for _ in range(ROWS)])
        for _ in weights
    ]
    expected = in_python(columns)
    found = compiled(columns)
    if found is None:
        same = not all(map(math.isfinite, expected))
    else:
        bounds = [(min(column), max(column)) for column in columns]
        same = found[0].tobytes() == array("d", expected).tobytes() and found[1] == bounds
    if not same:
        raise ArtifactError(f"{library} does not compute what Python does: build the image again.")
    return compiled
