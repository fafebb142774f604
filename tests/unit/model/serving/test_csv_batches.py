"""CSV requests and responses, block by block."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from model.service.contract.features import Feature, Kind
from model.service.serving import csv_batches
from model.service.serving.batches import Predicted
from model.service.serving.csv_batches import Table, blocks, from_texts, kept
from model.service.serving.problem import DocumentError, ProblemError


def feature(name: str, kind: Kind = "number", **fields: Any) -> Feature:
    return Feature(name=name, column=name, kind=kind, **fields)


F, G = feature("f"), feature("g", "text", nullable=True)


def read(table: str | bytes, *features: Feature) -> tuple[list[list[Any]], dict[int, str]]:
    """Return all rows of a table by column, and the errors of faulty rows."""
    columns: list[list[Any]] = [[] for _ in features]
    faulty = {}
    data = table.encode() if isinstance(table, str) else table
    for block in blocks(io.BytesIO(data), features):
        for row, errors in block.faulty.items():
            faulty[len(columns[0]) + row] = errors[0].detail
        for column, values in zip(columns, block.columns, strict=True):
            assert len(values) == block.rows
            column.extend(values)
    return columns, faulty


ONE = [
    ("f\n0.05\n1\n", [0.05, 1]),
    ("f\n0.05\n1", [0.05, 1]),
    ("f\r\n0.05\r\n1\r\n", [0.05, 1]),
    ("\ufefff\n1\n", [1]),
    ('"f"\n"1"\n', [1]),
    ("f\n", []),
    ("f", []),
    ("f\n\n1\n", [None, 1]),
    ("f\n1\n\n", [1, None]),
    ("f\n+1\n.5\n05\n1e2\n", [1.0, 0.5, 5.0, 100.0]),
    ("f\nx\n1e400\nnan\ninf\n1_0\n 1\n", ["x", "1e400", "nan", "inf", "1_0", " 1"]),
    ("f\nnull\n[1]\n", ["null", "[1]"]),
    ('f\n"1,2"\n"1],[2"\n', ["1,2", "1],[2"]),
    ("a,f,b\nx,1,y\n,2,\n", [1, 2]),
    ('a,f\n"x\ny",1\n"""",2\n', [1, 2]),
    ("a,f\r\n1,2\r\n", [2]),
    # A blank line at the end of a wider table is not a row.
    ("a,f\n1,2\n\n", [2]),
    ("a,f\r\n1,2\r\n\r\n\r\n", [2]),
    ('a,f\n"1",2\n\n', [2]),
    ("a,f\n\n", []),
]


@pytest.mark.parametrize(("table", "values"), ONE)
def test_a_column_is_read(table: str, values: list[Any]) -> None:
    assert read(table, F) == ([values], {})


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_where_the_blocks_end_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    table = 'g,f\n"a\n""b""",1\né,2\r\n,3\nx,4\n"",5'
    monkeypatch.setattr(csv_batches, "READ_BYTES", size)
    monkeypatch.setattr(csv_batches, "BLOCK_ROWS", 2)
    assert read(table, F, G) == ([[1, 2, 3, 4, 5], ['a\n"b"', "é", None, "x", None]], {})
    assert read(f"{table}\n\r\n\n", F, G) == read(table, F, G)
    plain = table.replace('"a\n""b"""', "a").replace('""', "")
    assert read(plain, F, G) == ([[1, 2, 3, 4, 5], ["a", "é", None, "x", None]], {})


def test_a_row_of_another_width_is_faulty() -> None:
    table = "f,g\n1,a\n2\n3,b,c\n\n4,d\n"
    columns, faulty = read(table, F, G)
    assert columns == [[1, None, None, None, 4], ["a", None, None, None, "d"]]
    assert faulty == {
        1: "has 1 fields where the header line has 2",
        2: "has 3 fields where the header line has 2",
        3: "has 0 fields where the header line has 2",
    }
    # In a table with one column, an empty line is an empty field.
    assert read('f\n\n"1"\n\n2\n1,2\n', F) == (
        [[None, 1, None, 2, None]],
        {4: "has 2 fields where the header line has 1"},
    )


BROKEN = [
    ("", "The header line must name the column f once, not 0 times."),
    ("g\n1\n", "The header line must name the column f once, not 0 times."),
    ("f,f\n1,1\n", "The header line must name the column f once, not 2 times."),
    ('"f\n1\n', "Line 1 is not CSV: unexpected end of data."),
    ('f\n1\n"2\n3\n', "Line 4 is not CSV: unexpected end of data."),
    ('f\n1\n"2"x\n3\n', "Line 3 is not CSV: ',' expected after '\"'."),
    (b"f\n\xff\n", "The table is not UTF-8: invalid start byte."),
    ("f\n" + "1" * 300_000, "A line is longer than 262144 bytes: end each row with a line feed."),
    ('f\n"' + "1\n" * 200_000, "Line 65538 is not CSV: field larger than field limit (131072)."),
]


@pytest.mark.parametrize(("table", "detail"), BROKEN, ids=[detail for _, detail in BROKEN])
def test_a_broken_table_is_refused(table: str | bytes, detail: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(table, F)
    assert caught.value.detail == detail


VALUES = [
    (feature("f", "integer"), ["1", "-2", "+3"], [1, -2, 3]),
    (feature("f", "integer"), ["1.0", "9007199254740993"], [1.0, 9007199254740993]),
    (feature("f", "integer"), ["+9007199254740993"], [9007199254740993]),
    (feature("f", "integer"), ["1.5", "x"], [1.5, "x"]),
    (feature("f", "boolean"), ["true", "False", "TRUE", "1", "", "x"],
     [True, False, True, "1", None, "x"]),
    (feature("f", "category"), ["a", "", "null"], ["a", None, "null"]),
    (feature("f", "text"), ["a", "1"], ["a", "1"]),
]  # fmt: skip


@pytest.mark.parametrize(("taker", "texts", "values"), VALUES)
def test_values_are_made_of_texts(taker: Feature, texts: list[str], values: list[Any]) -> None:
    made = from_texts(taker, texts)
    assert list(made) == values
    assert list(map(type, made)) == list(map(type, values))


class Shape:
    """The properties of a model that a table's columns depend on."""

    weighted_sum = None

    def __init__(self, outputs: int = 1, classes: tuple[Any, ...] = ()) -> None:
        self.outputs, self.classes = outputs, classes


class Error:
    parameter, detail = "f", 'is "odd", and more'


ANSWERS = [
    (Shape(), Predicted([1.5, -0.0, 1e22]), "prediction,error\n1.5,\n-0.0,\n1e+22,\n"),
    (Shape(), Predicted([]), "prediction,error\n"),
    (
        Shape(),
        Predicted([1.5, None], errors={1: (Error, Error)}),
        'prediction,error\n1.5,\n,"f is ""odd"", and more; f is ""odd"", and more"\n',
    ),
    (Shape(), Predicted([None], errors={0: (Error,)}),
     'prediction,error\n,"f is ""odd"", and more"\n'),
    (Shape(), Predicted(["a,b", "c"]), 'prediction,error\n"a,b",\nc,\n'),
    (Shape(), Predicted([1, True]), "prediction,error\n1,\nTrue,\n"),
    (Shape(2), Predicted([[1.0, 2.0], None], errors={1: (Error,)}),
     'prediction_1,prediction_2,error\n1.0,2.0,\n,,"f is ""odd"", and more"\n'),
    (Shape(1, ("a", "b")), Predicted(["a", None], [[0.25, 0.75], None], {1: (Error,)}),
     'prediction,probability_a,probability_b,error\na,0.25,0.75,\n,,,"f is ""odd"", and more"\n'),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "predicted", "text"), ANSWERS)
def test_a_line_for_each_row(shape: Any, predicted: Predicted, text: str) -> None:
    table = Table(shape, probabilities=bool(shape.classes))
    parts = [table.begin(), *([table.block(predicted)] if predicted.predictions else [])]
    assert (b"".join(parts) + table.end()).decode() == text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ProblemError(413, "Too long."), "Too long."),
        (RuntimeError("secret"), "the service failed."),
    ],
)
def test_an_answer_that_has_begun_says_that_it_was_cut(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    monkeypatch.setattr(csv_batches, "KEPT_BYTES", 23)

    def answered() -> Iterator[Predicted]:
        for number in range(4):
            yield Predicted([float(number)])
        raise error

    answer, size = kept(answered(), Table(Shape(), probabilities=False))
    assert size is None
    assert b"".join(answer).decode() == (
        "prediction,error\n0.0,\n1.0,\n2.0,\n3.0,\n"
        f",The rows from here on are not answered: {told}\n"
    )


def test_an_answer_that_is_kept_has_not_begun_when_a_row_is_broken() -> None:
    def answered() -> Iterator[Predicted]:
        yield Predicted([1.0])
        raise ProblemError(400, "x")

    with pytest.raises(ProblemError):
        kept(answered(), Table(Shape(), probabilities=False))


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        (Shape(), [Predicted([1.5, -0.0, 5e-324]), Predicted([None, 2.0], errors={0: (Error,)})]),
        (Shape(), [Predicted(["a", "b,c"]), Predicted([1, 2])]),
        (Shape(2), [Predicted([[1.0, 2.0]])]),
        (Shape(1, ("a", "b")), [Predicted([1.0], [[0.25, 0.75]])]),
    ],
)
def test_an_answer_is_kept_as_it_is(shape: Any, parts: list[Predicted]) -> None:
    table = Table(shape, probabilities=bool(shape.classes))
    answer, size = kept(iter(parts), table)
    text = b"".join(answer)
    assert text == table.begin() + b"".join(map(table.block, parts))
    assert size == len(text)
