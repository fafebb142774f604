"""What the training frame says of each feature; at build time only."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from model.service.features import Feature

# A column of more different texts than this is free text.
MOST_CATEGORIES = 100
BINS = 10
KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}


def features_of(frame: Any, parameters: Mapping[str, str] | None) -> tuple[Feature, ...]:
    """Return the features of a training frame, in the order of its columns.

    Raises ValueError if a column has a type that requests cannot say.
    """
    columns = frame if isinstance(frame, pd.DataFrame) else _named(frame, parameters)
    names = list(parameters or map(str, columns.columns))
    return tuple(
        _feature(name, str(column), columns[column])
        for name, column in zip(names, columns.columns, strict=True)
    )


def _named(frame: Any, parameters: Mapping[str, str] | None) -> pd.DataFrame:
    return pd.DataFrame(np.asarray(frame), columns=list((parameters or {}).values()))


def _feature(name: str, column: str, values: "pd.Series[Any]") -> Feature:
    present = values.dropna()
    nullable = len(present) < len(values)
    kind = KINDS.get(values.dtype.kind, "category")
    if kind in ("number", "integer"):
        numbers = present.to_numpy(dtype=float)
        inner = np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])
        edges = np.unique(inner)
        counts = np.bincount(np.searchsorted(edges, numbers, side="right"), minlength=edges.size + 1)
        return Feature(
            name=name,
            column=column,
            kind=kind,
            nullable=nullable,
            least=float(numbers.min()),
            most=float(numbers.max()),
            median=float(np.median(numbers)),
            edges=tuple(edges.tolist()),
            shares=tuple((counts / len(values)).tolist()),
        )
    texts = present.map(lambda value: str(value).lower() if kind == "boolean" else str(value))
    counted = texts.value_counts().sort_index()
    if len(counted) > MOST_CATEGORIES:
        return Feature(name=name, column=column, kind="text", nullable=nullable)
    return Feature(
        name=name,
        column=column,
        kind=kind,
        nullable=nullable,
        categories=tuple(counted.index),
        shares=tuple((counted / len(values)).tolist()),
    )
