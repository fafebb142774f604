"""Numbers as numpy prints them, without numpy."""

import sys

# The most digits after the point that numpy prints.
PRECISION = 8
# From here on, and below the least, numpy writes an exponent.
MOST = 1e8
LEAST = 1e-4
# Below this, halves of the eighth digit are greater than what numbers can be apart: rounding
# to eight digits gives the shortest digits that tell the number from its neighbours, if these
# are not more.
COARSE = 67108864.0


def array_text(number: float) -> str:
    """Return a finite number as numpy prints an array of it alone: `[199.60524718]`."""
    size = abs(number)
    if LEAST <= size < COARSE or not size:
        return f"[{number:.8f}".rstrip("0") + "]"
    return f"[{_rare(number, size)}]"


def _rare(number: float, size: float) -> str:
    """Return a number that is beyond what most models predict.

    numpy writes the shortest digits that tell the number from its neighbours, rounded if they
    are more than it prints; Python's `repr` finds the same.
    """
    if LEAST <= size < MOST:
        whole, _, fraction = repr(number).partition(".")
        if len(fraction) > PRECISION:
            whole, _, fraction = f"{number:.{PRECISION}f}".partition(".")
        return f"{whole}.{fraction.rstrip('0')}"
    digits, _, exponent = f"{number:.{PRECISION}e}".partition("e")
    if size < sys.float_info.min:
        # So few bits that nine digits may be more than tell it from its neighbours.
        shortest, _, power = repr(number).partition("e")
        if len(shortest.replace(".", "").lstrip("-")) <= PRECISION + 1:
            digits, exponent = shortest if "." in shortest else f"{shortest}.", power
    return f"{digits.rstrip('0')}e{exponent}"
