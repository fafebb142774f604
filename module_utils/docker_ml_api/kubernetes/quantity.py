"""Quantities of Kubernetes (`500m`, `1Gi`, `1e3`): their value, and their canonical form."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,2})|)"
)
_DECIMAL = {
    suffix: Decimal(10) ** (3 * power)
    for power, suffix in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], -3)
}
_BINARY = {
    suffix: Decimal(1024) ** power
    for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], 1)
}
# The smallest unit that the API stores; finer values are rounded up.
_FINEST = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)
_EXACT = Context(prec=60)


def parse(text: Any) -> Decimal:
    """Return the value of a quantity, which may be a number.

    Raises ValueError if it is not a quantity.
    """
    return _parts(text)[0]


def canonical(text: Any) -> str:
    """Return the quantity as the API server returns it: `0.5` → `500m`, `1024Mi` → `1Gi`.

    A fraction of a byte is rounded up. Raises ValueError if it is not a quantity.
    """
    value, suffix = _parts(text)
    if suffix in _BINARY and abs(value) >= _BINARY["Ki"]:
        value = value.to_integral_value(ROUND_CEILING)
        return _written(value, _BINARY | {"": Decimal(1)})
    return _written(value, _DECIMAL)


def _parts(text: Any) -> tuple[Decimal, str]:
    match = None
    if isinstance(text, (str, int, float)) and not isinstance(text, bool):
        match = _QUANTITY.fullmatch(str(text))
    if not match:
        raise ValueError(f"{text!r} is no quantity such as 500m, 1.5 or 64Mi")
    suffix = match["suffix"] or ""
    scale = _BINARY.get(suffix) or _DECIMAL.get(suffix, Decimal(1))
    scale *= Decimal(10) ** int(match["exponent"] or 0)
    value = _EXACT.multiply(Decimal(match["number"]), scale)
    if abs(value) > _LARGEST:
        raise ValueError(f"{text!r} is too large a quantity")
    return value.quantize(_FINEST, ROUND_CEILING, _EXACT), suffix


def _written(value: Decimal, scales: dict[str, Decimal]) -> str:
    """Format with the largest suffix that results in an integer."""
    if not value:
        return "0"
    counts = {suffix: _EXACT.divide(value, scale) for suffix, scale in scales.items()}
    whole = {suffix: int(count) for suffix, count in counts.items() if count == int(count)}
    suffix = min(whole, key=lambda suffix: abs(whole[suffix]))
    return f"{whole[suffix]}{suffix}"
