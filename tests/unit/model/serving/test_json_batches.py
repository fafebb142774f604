"""Machine code for JSON documents of numbers: it predicts as Python does, or not at all."""

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.service.contract.features import Feature
from model.service.contract.forms.coefficients import CoefficientsPredictor
from model.service.serving import json_batches
from model.service.serving.json_batches import answer, numbers
from model.service.serving.metrics import Metrics
from model.service.serving.problem import DocumentError

F, G = (
    Feature(name=name, column=name, kind="number", least=0, most=9, edges=(5,), shares=(0.5, 0.5))
    for name in "fg"
)
WHOLE = Feature(name="f", column="f", kind="integer")

# Case: (the document, its columns)
GOOD = {
    "as is": ('{"columns":{"f":[1.5,-2e3],"g":[0,7]}}', [[1.5, -2e3], [0.0, 7.0]]),
    "in another order": ('{"columns":{"g":[1],"f":[2]}}', [[2.0], [1.0]]),
    "with space": ('{ "columns" : {"f" : [ 1 ],\n"g":[2]} }\n', [[1.0], [2.0]]),
    "escaped": ('{"\\u0063olumns":{"\\u0066":[1],"g":[2]}}', [[1.0], [2.0]]),
    "great whole numbers": (
        '{"columns":{"f":[9007199254740993,18446744073709551615],"g":[-9223372036854775808,0]}}',
        [[9007199254740992.0, 18446744073709551616.0], [-9223372036854775808.0, 0.0]],
    ),
    "small numbers": (
        '{"columns":{"f":[5e-324,2e-324],"g":[1e-400,-0.0]}}',
        [[5e-324, 0.0], [0.0, -0.0]],
    ),
}


@pytest.mark.parametrize(("document", "columns"), GOOD.values(), ids=GOOD)
def test_columns_of_numbers(document: str, columns: list[list[float]]) -> None:
    found = numbers(document.encode(), (F, G))
    assert found is not None
    expected = [array("d", column).tobytes() for column in columns]
    assert [column.tobytes() for column in found] == expected


OTHERS = {
    "no JSON": "{",
    "more after it": '{"columns":{"f":[1],"g":[2]}} []',
    "a byte order mark": '\ufeff{"columns":{"f":[1],"g":[2]}}',
    "a list": '[{"columns":{"f":1,"g":[2]}}]',
    "records": '{"records":[{"f":1,"g":[2]}]}',
    "a member more": '{"columns":{"f":[1],"g":[2]},"probabilities":false}',
    "columns twice": '{"columns":{"f":[1],"g":2},"columns":{"f":[1],"g":2}}',
    "a column twice": '{"columns":{"f":[1],"f":[1],"g":2}}',
    "a column twice, none missing": '{"columns":{"f":[1],"f":1,"g":[2]}}',
    "a column less": '{"columns":{"f":[1]}}',
    "a column more": '{"columns":{"f":[1],"g":[2],"h":3}}',
    "another column": '{"columns":{"f":[1],"h":[2]}}',
    "a column is a number": '{"columns":{"f":[1],"g":2}}',
    "a column is an object": '{"columns":{"f":[1],"g":{"a":[1]}}}',
    "lists in a list": '{"columns":{"f":[[1,2]],"g":[3,4]}}',
    "a list in a list": '{"columns":{"f":[[1],2],"g":[3,4]}}',
    "no rows": '{"columns":{"f":[],"g":[]}}',
    "of two lengths": '{"columns":{"f":[1],"g":[1,2]}}',
    "a text": '{"columns":{"f":["1"],"g":[2]}}',
    "a truth": '{"columns":{"f":[true],"g":[2]}}',
    "missing": '{"columns":{"f":[null],"g":[2]}}',
    "not a number": '{"columns":{"f":[NaN],"g":[2]}}',
    "too large": '{"columns":{"f":[1e400],"g":[2]}}',
    "too many digits": '{"columns":{"f":[18446744073709551616],"g":[2]}}',
    "too large a prediction": '{"columns":{"f":[1e308],"g":[1e308]}}',
    "columns are a list": '{"columns":[1],"f":[1]}',
    "a bracket in a name": '{"columns":{"f":[1],"g[":[2]}}',
    "nothing": "",
}


@pytest.fixture(autouse=True, scope="module")
def _small_ones_too() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_batches, "LEAST_BYTES", 0)
        yield


@pytest.mark.parametrize("document", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_as_without_machine_code(sums_library: Path, document: str) -> None:
    def asked(library: Path) -> Any:
        metrics = Metrics((F, G))
        predictor = CoefficientsPredictor((F, G), [2.0, 3.0], 1.0, library)
        try:
            said = answer(document.encode(), predictor, metrics)
        except DocumentError as error:
            return type(error), str(error), error.errors
        return said, metrics._slot.tolist()

    assert asked(sums_library) == asked(Path("nowhere"))


def test_other_kinds_of_features_are_not_looked_at() -> None:
    assert numbers(b'{"columns":{"f":[1]}}', (WHOLE,)) is None
    assert numbers(b'{"columns":{"f":[1]}}', (F,)) is not None


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.floats(allow_nan=False, allow_infinity=False) | st.integers()] * 2),
        min_size=1,
        max_size=300,
    )
)
def test_answers_and_counts_are_the_same(
    sums_library: Path, rows: list[tuple[float, float]]
) -> None:
    f, g = zip(*rows, strict=True)
    body = json.dumps({"columns": {"f": f, "g": g}}).encode()
    said = []
    for library in (sums_library, Path("nowhere")):
        metrics = Metrics((F, G))
        predictor = CoefficientsPredictor((F, G), [2.0, -0.3], 1.0, library)
        assert bool(predictor.weighted_sum) is (library is sums_library)
        said.append((answer(body, predictor, metrics), metrics._slot.tolist()))
    assert said[0] == said[1]


def test_small_documents_are_left_to_python(
    sums_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"columns":{"f":[1]}}'
    predictor = CoefficientsPredictor((F,), [2.0], 1.0, sums_library)
    monkeypatch.setattr(predictor, "predict", lambda columns: [7.0 for _ in columns[0]])
    monkeypatch.setattr(json_batches, "LEAST_BYTES", len(body))
    assert answer(body, predictor, None) == b'{"predictions":[3.0]}'
    monkeypatch.setattr(json_batches, "LEAST_BYTES", len(body) + 1)
    assert answer(body, predictor, None) == b'{"predictions":[7.0]}'
