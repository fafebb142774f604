"""The requests to the servers, in the format of each, and the check of their responses."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, Sequence[Any]]

JSON = "application/json"
# numpy prints eight decimals; ONNX Runtime sums a forest in a different order.
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Question:
    """A request; a POST if it has a body."""

    path: str
    body: str = ""
    content_type: str = JSON

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "POST" if self.body else "GET"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the body."""
        return {"Content-Type": self.content_type} if self.body else {}

    def vegeta_target(self, port: int) -> str:
        """Return the request as a line in vegeta's JSON format."""
        target: dict[str, Any] = {
            "method": self.method,
            "url": f"http://127.0.0.1:{port}{self.path}",
        }
        if self.body:
            target["body"] = base64.b64encode(self.body.encode()).decode()
            target["header"] = {name: [value] for name, value in self.headers.items()}
        return json.dumps(target)


@dataclass(frozen=True)
class Form:
    """The format of a server's requests and responses."""

    ask: Callable[[Columns], Question]
    read: Callable[[bytes], list[float]]


def rows(columns: Columns) -> list[list[Any]]:
    """Return columns converted to rows."""
    return [list(row) for row in zip(*columns.values(), strict=True)]


def part(columns: Columns, start: int, stop: int) -> dict[str, Sequence[Any]]:
    """Return the columns restricted to a range of rows."""
    return {name: values[start:stop] for name, values in columns.items()}


def wrong(found: Sequence[float], expected: Sequence[float]) -> str:
    """Return the first difference from scikit-learn's predictions, empty if there is none."""
    if len(found) != len(expected):
        return f"{len(found)} predictions for {len(expected)} rows"
    for index, (value, right) in enumerate(zip(found, expected, strict=True)):
        if not math.isclose(value, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            return f"{value!r} for row {index}, where scikit-learn predicts {right!r}"
    return ""


def _compact(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def _query(columns: Columns) -> Question:
    return Question(
        f"/prediction/?{urlencode({name: column[0] for name, column in columns.items()})}"
    )


def _values(*keys: str) -> Callable[[bytes], list[float]]:
    """Return a function that reads predictions below these keys of a JSON document."""

    def read(body: bytes) -> list[float]:
        found = json.loads(body)
        for key in keys:
            found = found[int(key) if isinstance(found, list) else key]
        return found if isinstance(found, list) else [found]

    return read


def _in_document(path: str, name: str, read: Callable[[bytes], list[float]]) -> Form:
    """Return the form with rows below one key of a JSON document."""
    return Form(lambda columns: Question(path, _compact({name: rows(columns)})), read)


_V2_TYPES = {float: "FP64", str: "BYTES"}


def _v2_tensor(columns: Columns) -> Question:
    asked = rows(columns)
    tensor = {
        "name": "input",
        "shape": [len(asked), len(columns)],
        "datatype": "FP64",
        # A flat list in row-major order, which is parsed faster than nested lists.
        "data": [value for row in asked for value in row],
    }
    return Question("/v2/models/model/infer", _compact({"inputs": [tensor]}))


def _v2_columns(columns: Columns) -> Question:
    """Return a request with MLServer's content type `pd`."""
    tensors = [
        {
            "name": name,
            "shape": [len(values)],
            "datatype": _V2_TYPES[type(values[0])],
            "data": values,
            "parameters": {"content_type": "str" if isinstance(values[0], str) else "np"},
        }
        for name, values in columns.items()
    ]
    document = {"parameters": {"content_type": "pd"}, "inputs": tensors}
    return Question("/v2/models/model/infer", _compact(document))


TEXT = Form(_query, lambda body: [float(body.strip().strip(b"[]"))])
OURS_BATCH = Form(
    lambda columns: Question("/v1/predictions", _compact({"columns": columns})),
    _values("predictions"),
)
FASTAPI = Form(_query, _values("prediction"))
FASTAPI_BATCH = _in_document("/predictions", "rows", _values("predictions"))
MLFLOW = _in_document("/invocations", "inputs", _values("predictions"))
BENTOML = _in_document("/predict", "rows", _values())
LITSERVE = _in_document("/predict", "input", _values("output"))
MLSERVER = Form(_v2_tensor, _values("outputs", "0", "data"))
MLSERVER_COLUMNS = Form(_v2_columns, _values("outputs", "0", "data"))
