"""The inputs of a model: the values that requests may send, and those in the training data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["number", "integer", "boolean", "category", "text"]
# A missing value is None; in arrays of numbers also NaN.
Value = float | int | bool | str | None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the training frame.

    name: its name in requests. column: its name in the frame.
    kind: "number" is any finite number, "integer" a whole number, "category" one of a small set
        of texts, "text" any text.
    nullable: whether the training data has missing values in this column; if so, requests may
        omit the value.
    closed: for a category, whether the model rejects values that are not in `categories`.
    least, most, median: for numbers and integers, statistics of the training data.
    categories: for a category or boolean, the texts that occur in the training data, sorted.
    edges: for numbers and integers, the inner edges of the bins used to measure drift, in
        ascending order: a value v is in bin `bisect_right(edges, v)`. Empty for other kinds.
    shares: the fraction of the training data in each bin or, for a category or boolean, with
        each of `categories`. The sum is at most 1: missing values are in no bin.
    """

    name: str
    column: str
    kind: Kind
    nullable: bool = False
    closed: bool = False
    least: float | None = None
    most: float | None = None
    median: float | None = None
    categories: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Return whether the values are numbers."""
        return self.kind in ("number", "integer")


def to_card(feature: Feature) -> dict[str, Any]:
    """Return the feature's entry in the model card, in JSON types."""
    return asdict(feature)


def from_card(entry: Mapping[str, Any]) -> Feature:
    """Return the feature that an entry of the model card describes.

    Raises ValueError if the entry is invalid.
    """
    try:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in entry.items()
        }
        feature = Feature(**fields)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"no feature of a model card: {error}") from error
    if not isinstance(feature.name, str) or feature.kind not in get_args(Kind):
        raise ValueError(f"no feature of a model card: {feature}")
    return feature
