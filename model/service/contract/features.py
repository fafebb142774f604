"""The inputs of a model: the values that requests may send, and those in the training data."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["number", "integer", "boolean", "category", "text"]
# A missing value is None; in arrays of numbers also NaN.
Value = float | int | bool | str | None
# The greatest number of characters of a text, unless the training data has long ones.
TEXT_LENGTH = 256
# What a message names of many texts: as many as this, each with as many characters.
NAMED, NAMED_LENGTH = 10, 40


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the training frame.

    name: its name in requests. column: its name in the frame.
    kind: "number" is any finite number, "integer" a whole number, "category" one of a small set
        of texts, "text" any text.
    nullable: whether the training data has missing values in this column; if so, requests may
        omit the value.
    closed: for a category, whether the model rejects values that are not in `categories`.
    longest: for a text or an open category, the greatest number of characters that requests may
        send.
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
    longest: int = TEXT_LENGTH
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

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """Return the categories, for tests of membership."""
        return frozenset(self.categories)

    @functools.cached_property
    def named(self) -> str:
        """Return the categories as a message names them: of many, the first ones."""
        return named(self.categories)


def named(texts: Iterable[str]) -> str:
    """Return texts as a message names them, with a bound on its length.

    Of many texts, these are the first ones and the number of all; a long text is cut.
    """
    every = tuple(texts)
    first = [
        text if len(text) <= NAMED_LENGTH else f"{text[:NAMED_LENGTH]}…" for text in every[:NAMED]
    ]
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return f"{', '.join(first)}{more}"


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
