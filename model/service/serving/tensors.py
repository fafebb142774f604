"""Tensors of the Open Inference Protocol, as JSON or as binary data that follows the JSON."""

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Datatype: struct's format of one element, little-endian.
FORMATS = {
    "BOOL": "?",
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
BYTES = "BYTES"
DATATYPES = (*FORMATS, BYTES)
FLOATS = ("FP16", "FP32", "FP64")
# The length that precedes the bytes of a BYTES element.
LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """A tensor does not match its declaration; the message is a clause."""


@dataclass(frozen=True)
class Tensor:
    """Elements in row-major order."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    values: Sequence[Any]


def decode(datatype: str, data: bytes | memoryview, elements: int) -> list[Any]:
    """Return the elements of binary data; BYTES elements as str.

    Raises TensorError.
    """
    if datatype == BYTES:
        return _texts(data, elements)
    form = f"<{elements}{FORMATS[datatype]}"
    if struct.calcsize(form) != len(data):
        raise TensorError(
            f"has {len(data)} bytes of binary data where {struct.calcsize(form)} are needed"
        )
    return list(struct.unpack(form, data))


def encode(datatype: str, values: Sequence[Any]) -> bytes:
    """Return elements as binary data."""
    if datatype == BYTES:
        parts = []
        for value in values:
            data = str(value).encode()
            parts += [LENGTH.pack(len(data)), data]
        return b"".join(parts)
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def flat(data: Any) -> Sequence[Any]:
    """Return the elements of a JSON tensor as a flat list; its lists may be nested by dimension."""
    if not isinstance(data, list):
        raise TensorError("must have its data in a list")
    elements: list[Any] = data
    while elements and isinstance(elements[0], list) and set(map(type, elements)) == {list}:
        elements = [element for part in elements for element in part]
    return elements


def check_elements(datatype: str, values: Sequence[Any]) -> Sequence[Any]:
    """Return the elements of a JSON tensor, checked against its datatype; None is a missing value.

    Raises TensorError.
    """
    types = set(map(type, values))
    types.discard(type(None))
    if datatype == BYTES:
        taken = types <= {str}
    elif datatype == "BOOL":
        taken = types <= {bool}
    elif datatype in FLOATS:
        taken = types <= {float, int}
    else:
        taken = types <= {int}
    if not taken:
        raise TensorError(f"has data that is not {datatype}")
    return values


def without_nan(values: Sequence[Any]) -> Sequence[Any]:
    """Return the elements with NaN replaced by None, a missing value."""
    if math.isfinite(sum(values)):
        return values
    return [None if math.isnan(value) else value for value in values]


def elements_of(shape: Iterable[int]) -> int:
    """Return the number of elements of a tensor of this shape."""
    return math.prod(shape)


def _texts(data: bytes | memoryview, elements: int) -> list[str]:
    texts = []
    position = 0
    try:
        while position < len(data):
            (length,) = LENGTH.unpack_from(data, position)
            position += LENGTH.size
            text = data[position : position + length]
            if len(text) != length:
                raise TensorError("has binary data that ends within an element")
            texts.append(str(text, "utf-8"))
            position += length
    except struct.error as error:
        raise TensorError("has binary data that ends within an element's length") from error
    except UnicodeDecodeError as error:
        raise TensorError("has an element that is not UTF-8") from error
    if len(texts) != elements:
        raise TensorError(f"has {len(texts)} elements of binary data where {elements} are needed")
    return texts
