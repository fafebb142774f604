"""Formatting numbers as numpy prints them, without importing numpy."""

import sys

# The maximum number of fractional digits that numpy prints.
PRECISION = 8
# numpy uses exponent notation from MOST on and below LEAST.
MOST = 1e8
LEAST = 1e-4
# Below this, adjacent floats differ by less than one unit of the eighth fractional digit. If a
# number's shortest representation has at most eight fractional digits, rounding to eight digits
# therefore gives it.
COARSE = 67108864.0


def array_text(number: float) -> str:
    """Return a finite number as numpy prints an array of it alone, e.g. `[199.60524718]`."""
    size = abs(number)
    if LEAST <= size < COARSE or not size:
        return f"[{number:.8f}".rstrip("0") + "]"
    return f"[{_rare(number, size)}]"


def _rare(number: float, size: float) -> str:
    """Return the text of a number outside the range that most models predict.

    numpy writes the shortest digits that identify the float, rounded if there are more than it
    prints; Python's `repr` finds the same digits.
    """
    if LEAST <= size < MOST:
        whole, _, fraction = repr(number).partition(".")
        if len(fraction) > PRECISION:
            whole, _, fraction = f"{number:.{PRECISION}f}".partition(".")
        return f"{whole}.{fraction.rstrip('0')}"
    digits, _, exponent = f"{number:.{PRECISION}e}".partition("e")
    if size < sys.float_info.min:
        # Subnormal numbers have so few bits that fewer than nine digits may identify them.
        shortest, _, power = repr(number).partition("e")
        if len(shortest.replace(".", "").lstrip("-")) <= PRECISION + 1:
            digits, exponent = shortest if "." in shortest else f"{shortest}.", power
    return f"{digits.rstrip('0')}e{exponent}"
