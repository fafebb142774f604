"""The inputs of a model: what requests may say for each, and what the training data had."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["number", "integer", "boolean", "category", "text"]
# A missing value is None (numbers: NaN as well, once they are in an array).
Value = float | int | bool | str | None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the training frame.

    name: what requests call it. column: what the frame calls it.
    kind: "number" is any finite number, "integer" a whole one, "category" one of few
        texts, "text" any.
    nullable: whether the training data had missing values here, so that requests may.
    closed: of a category: whether the model refuses what is not among `categories`.
    least, most, median: of the training data, of numbers and integers.
    categories: of a category or boolean, the texts that the training data had, sorted.
    edges: of numbers and integers, the inner edges of the bins by which drift is measured,
        ascending: a value v is in bin `bisect_right(edges, v)`. Empty for others.
    shares: how much of the training data is in each bin; of a category or boolean, has each
        of `categories`. Adds up to at most 1: missing values are in none.
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
        """Whether values are numbers."""
        return self.kind in ("number", "integer")


def to_card(feature: Feature) -> dict[str, Any]:
    """Return the feature as the model card has it, in JSON's types."""
    return asdict(feature)


def from_card(entry: Mapping[str, Any]) -> Feature:
    """Return the feature that an entry of the model card describes.

    Raises ValueError if it describes none.
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
