"""Weighted sums in machine code: of columns of numbers that are no Python objects.

Compiled from weighted_sum.c when an image is built. Where it is not, as in a checkout, whoever
asks for sums does without.
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
# Of the comparison with Python, at the start.
ROWS = 64
EXTREMES = (0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.0, -1.0, 1e16, -1e16)


class WeightedSum:
    """The sum of each row's values times the weights, and the intercept."""

    def __init__(self, weights: Sequence[float], intercept: float, library: Path = LIBRARY) -> None:
        """Load the library.

        Raises OSError if it is not there, or not this machine's.
        """
        # PyDLL: the interpreter's lock is worth more than the microseconds that it is held.
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
        """Return the sum of each row, and each column's least and greatest value.

        columns: one for each weight, of type "d", all of one length of at least 1, of finite
        numbers. None if a sum is not finite.
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
    """Return the sums in machine code, if the library is there.

    in_python: what returns the same sums.

    Raises ArtifactError if they are not the same to the last bit.
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
