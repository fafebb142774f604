"""Predictions for CSV, block by block: any number of rows in a fixed amount of memory.

A client may send its whole table before it reads a byte of the response. To avoid a deadlock,
the response is buffered until the last row has arrived, with numbers packed, up to KEPT_BYTES.
Buffering also makes the status correct even if the last row is invalid, and the Content-Length
known, so that the client detects a truncated response. Only a longer response begins before the
request body has ended. The client must then read while it sends, as curl does: as long as it
does not read, the server cannot read what it sends.

The buffer is in memory, not in a file: a container with a read-only root file system has only
a tmpfs for temporary files, which is memory too, and smaller.
"""

import csv
import io
import itertools
import logging
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, cast

import orjson

from model.service.contract.features import Feature
from model.service.contract.predictor import Predictor
from model.service.serving.answer import BOOLEANS, NUMBER, ROW, ParameterError
from model.service.serving.batches import NONE, Counter, Predicted, RowErrors, predict
from model.service.serving.problem import DocumentError, ProblemError

READ_BYTES = 1 << 17
LINE_BYTES = 1 << 18
BLOCK_ROWS = 4096
# A number takes eight bytes, so this is about a million rows.
KEPT_BYTES = 1 << 23

BOM = b"\xef\xbb\xbf"
EMPTY = ("",)

log = logging.getLogger(__name__)


class Stream(Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, or no bytes at the end."""


@dataclass(frozen=True)
class Block:
    """A block of rows as `batches.predict` takes them."""

    columns: list[Sequence[Any]]
    rows: int
    faulty: RowErrors


def blocks(stream: Stream, features: Sequence[Feature]) -> Iterator[Block]:
    """Yield blocks of rows from a body that consists of a header line and a line for each row.

    Columns that are not features are ignored. An empty field is a missing value; so is an empty
    line of a table with one column, while at the end of a wider table it is not a row.

    Raises DocumentError.
    """
    texts = _texts(stream)
    first, _, rest = next(texts, "").partition("\n")
    try:
        header = next(csv.reader([first], strict=True), [])
    except csv.Error as error:
        raise _broken(1, error) from error
    for feature in features:
        if (count := header.count(feature.name)) != 1:
            raise DocumentError(
                f"The header line must name the column {feature.name} once, not {count} times.",
                [ParameterError(feature.name, "is no column" if not count else "is there twice")],
            )
    indices = [header.index(feature.name) for feature in features]
    texts = itertools.chain([rest] if rest else [], texts)
    for fields, faulty in _fields(texts, len(header)):
        columns = [
            from_texts(feature, fields[index])
            for feature, index in zip(features, indices, strict=True)
        ]
        yield Block(columns, len(fields[0]), faulty)


def from_texts(feature: Feature, texts: Sequence[str]) -> Sequence[Any]:
    """Return a column's texts converted to values; a text that is not a valid value is kept."""
    if "" in texts:
        return [_from_text(feature, text) if text else None for text in texts]
    if feature.kind in ("category", "text"):
        return texts
    if feature.is_numeric:
        # Most numbers are also valid JSON: parse them all at once, which is faster than float().
        try:
            numbers = orjson.loads(f"[{','.join(texts)}]")
        except orjson.JSONDecodeError:
            pass
        else:
            if len(numbers) == len(texts) and set(map(type, numbers)) <= {float, int}:
                return cast("list[Any]", numbers)
    return [_from_text(feature, text) for text in texts]


def _from_text(feature: Feature, text: str) -> Any:
    if feature.kind == "boolean":
        return BOOLEANS.get(text, text)
    if feature.is_numeric and NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
        # Keep integers exact that exceed the 53 bits of a float's significand.
        digits = text.lstrip("+-")
        exact = feature.kind == "integer" and digits.isdigit() and len(digits) <= 19  # noqa: PLR2004
        return int(text) if exact else value
    return text


def _texts(stream: Stream) -> Iterator[str]:
    """Yield the body in blocks of whole lines, each block but the last ending with a newline."""
    left = b""
    first = True
    while data := stream.read(READ_BYTES):
        if first:
            data, first = data.removeprefix(BOM), False
        head, end, tail = data.rpartition(b"\n")
        if end:
            yield _decoded(left + head + end)
            left = tail
        else:
            left += tail
        if len(left) > LINE_BYTES:
            raise DocumentError(
                f"A line is longer than {LINE_BYTES} bytes: end each row with a line feed.",
                status=HTTPStatus.BAD_REQUEST,
            )
    if left:
        yield _decoded(left)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"The table is not UTF-8: {error.reason}.", status=HTTPStatus.BAD_REQUEST
        ) from error


def _fields(texts: Iterator[str], width: int) -> Iterator[tuple[list[Sequence[str]], RowErrors]]:
    """Yield blocks of rows by column; a row of another width is empty and listed as faulty."""
    line = 2
    if width > 1:
        texts = _without_blank_end(texts)
    for text in texts:
        if '"' in text:
            # A quoted field may contain a newline: from here on, csv.reader splits the lines.
            yield from _quoted(itertools.chain([text], texts), width, line)
            return
        lines = text.removesuffix("\n").split("\n")
        if width == 1 and "," not in text:
            if "\r" in text:
                lines = [line.removesuffix("\r") for line in lines]
            yield [lines], {}
        else:
            yield from _quoted(iter([text]), width, line)
        line += len(lines)


def _without_blank_end(texts: Iterator[str]) -> Iterator[str]:
    """Yield the blocks of lines without the blank lines at the end of the last one."""
    blank = ""
    for text in texts:
        whole = blank + text
        rest = whole.rstrip("\r\n")
        end = whole[len(rest) :]
        # A block that is all blank has no line to end.
        own = end.find("\n") + 1 if rest else 0
        blank = end[own:]
        if rest:
            yield rest + end[:own]


def _quoted(
    texts: Iterable[str], width: int, line: int
) -> Iterator[tuple[list[Sequence[str]], RowErrors]]:
    lines = (part for text in texts for part in io.StringIO(text, newline="\n"))
    reader = csv.reader(lines, strict=True)
    while True:
        try:
            rows: list[Sequence[str]] = list(itertools.islice(reader, BLOCK_ROWS))
        except csv.Error as error:
            raise _broken(line + reader.line_num - 1, error) from error
        if not rows:
            return
        faulty: RowErrors = {}
        if set(map(len, rows)) != {width}:
            for index, row in enumerate(rows):
                if len(row or EMPTY) != width:
                    detail = f"has {len(row)} fields where the header line has {width}"
                    faulty[index] = (ParameterError(ROW, detail),)
                    rows[index] = EMPTY * width
                elif not row:
                    rows[index] = EMPTY
        yield list(zip(*rows, strict=True)), faulty


def _broken(line: int, error: csv.Error) -> DocumentError:
    return DocumentError(f"Line {line} is not CSV: {error}.", status=HTTPStatus.BAD_REQUEST)


class Table:
    """The response as CSV: a line for each row, in the order of the rows."""

    content_type = "text/csv; charset=utf-8"

    def __init__(self, predictor: Predictor, *, probabilities: bool) -> None:
        """Initialize with what determines the columns."""
        outputs = predictor.outputs
        self._several = outputs > 1
        self._classes = list(predictor.classes) if probabilities else []
        self._plain = not (self._several or self._classes)
        self._header = (
            [f"prediction_{number}" for number in range(1, outputs + 1)]
            if self._several
            else ["prediction"]
        )
        self._header += [f"probability_{name}" for name in self._classes]

    def begin(self) -> bytes:
        """Return the header line."""
        return _lines([[*self._header, "error"]])

    def block(self, predicted: Predicted) -> bytes:
        """Return a line for each row: the prediction, or the reason why there is none."""
        values, errors = predicted.predictions, predicted.errors
        if self._plain and set(map(type, values)) <= {float, NONE}:
            numbers = orjson.dumps(values)[1:-1]
            if not errors:
                return numbers.replace(b",", b",\n") + b",\n"
            cells = [[text] for text in numbers.decode().replace("null", "").split(",")]
        else:
            width = len(self._header)
            likely = (predicted.probabilities if self._classes else None) or itertools.repeat(())
            cells = [
                [*(value if self._several else [value]), *(more or ())]
                if value is not None
                else [""] * width
                for value, more in zip(values, likely, strict=False)
            ]
        return _lines(
            [*row, _sentence(errors[index]) if index in errors else ""]
            for index, row in enumerate(cells)
        )

    def packed(self, predicted: Predicted) -> "array[float] | None":
        """Return the predictions packed for a later call of `block`, or None if not lossless."""
        values = predicted.predictions
        if self._plain and not predicted.errors and set(map(type, values)) == {float}:
            return array("d", values)
        return None

    def end(self, fault: str = "") -> bytes:
        """Return the end: nothing, or a line that says why the remaining rows are not answered."""
        return _lines([[*("" for _ in self._header), fault]]) if fault else b""


def _sentence(errors: Iterable[ParameterError]) -> str:
    return "; ".join(f"{error.parameter} {error.detail}" for error in errors)


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def answered(
    stream: Stream,
    predictor: Predictor,
    metrics: Counter | None,
    *,
    probabilities: bool,
) -> Iterator[Predicted]:
    """Yield the predictions for a body's rows, block by block.

    Raises DocumentError.
    """
    for block in blocks(stream, predictor.features):
        yield predict(
            predictor,
            metrics,
            block.columns,
            block.rows,
            probabilities=probabilities,
            faulty=block.faulty,
        )


def kept(answered: Iterator[Predicted], table: Table) -> tuple[Iterator[bytes], int | None]:
    """Return the parts of the response, and its size in bytes if all parts fit in the buffer.

    Raises what `answered` raises as long as all parts fit in the buffer.
    """
    begin = table.begin()
    keeping: list[bytes | array[float]] = []
    size, held = len(begin), 0
    for predicted in answered:
        text = table.block(predicted)
        size += len(text)
        keeping.append(table.packed(predicted) or text)
        held += memoryview(keeping[-1]).nbytes
        if held > KEPT_BYTES:
            more = _on_the_way(map(table.block, answered), table.end)
            return itertools.chain([begin], _let_go(keeping, table), more), None
    return itertools.chain([begin], _let_go(keeping, table)), size


def _let_go(keeping: "list[bytes | array[float]]", table: Table) -> Iterator[bytes]:
    """Yield the parts and release the memory of each one after it was sent."""
    keeping.reverse()
    while keeping:
        part = keeping.pop()
        yield part if isinstance(part, bytes) else table.block(Predicted(part.tolist()))


def _on_the_way(parts: Iterator[bytes], end: Callable[[str], bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    except ProblemError as error:
        yield end(f"The rows from here on are not answered: {error.detail}")
    except Exception:
        log.exception("An answer was cut short")
        yield end("The rows from here on are not answered: the service failed.")
