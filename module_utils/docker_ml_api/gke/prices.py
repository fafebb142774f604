"""Price files: Google's prices for the parts of a GKE cluster, and their sources.

A price file as a dict:
    {"currency": "USD", "lists": [{"source": {"about": …, "url": …, "seen": "2026-11-01"},
                                   "machine_hour": {"e2-small": {"europe-west4": 0.0184}}}]}
Each kind of price has names, and each name has a price for each region, or one number for all
regions. If several lists have a price, the last one applies, so files can be layered by
concatenating their lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CURRENCY = "USD"
# The kinds of prices, and their units.
KINDS = {
    "cluster_hour": "an hour of a cluster",
    "credit_month": "a month, given back",
    "machine_hour": "an hour of a machine",
    "spot_machine_hour": "an hour of a Spot machine",
    "disk_gib_month": "a GiB of disk a month",
    "external_ip_hour": "an hour of an external address",
    "forwarding_rule_hour": "an hour of a load balancer's forwarding rule",
    "autopilot_hour": "an hour of what pods request",
}
_EVERYWHERE = ""
_SOURCE_KEYS = {"about", "url", "seen"}


class PriceFileError(ValueError):
    """A price file is invalid; the message has one sentence for each problem."""


@dataclass(frozen=True)
class Source:
    """The source of a price, and the day on which it was seen; each may be empty."""

    about: str = ""
    url: str = ""
    seen: str = ""

    def __str__(self) -> str:
        """Return the source as one line."""
        seen = f"seen {self.seen}" if self.seen else ""
        return ", ".join(part for part in (self.about, self.url, seen) if part)


@dataclass(frozen=True)
class Price:
    """An amount in US dollars for one unit of its kind."""

    amount: float
    source: Source


# The prices of one source, by kind, name and region.
PriceList = dict[tuple[str, str, str], Price]


class Prices:
    """Finds prices in lists of prices."""

    def __init__(self, lists: Sequence[PriceList]) -> None:
        """Set the lists; the last one with a price applies."""
        self._lists = list(reversed(lists))

    def find(self, kind: str, name: str, region: str) -> Price | None:
        """Return the price, or None if no list has it."""
        for prices in self._lists:
            for place in (region, _EVERYWHERE):
                price = prices.get((kind, name, place))
                if price:
                    return price
        return None


def parse(document: Any, file: str) -> list[PriceList]:
    """Return the lists of a price file; `file` is its name in errors, and the default source.

    Raises PriceFileError.
    """
    if not isinstance(document, dict) or not isinstance(document.get("lists"), list):
        raise PriceFileError(
            f"The price file {file} must be a mapping with lists, each with a source and prices."
        )
    problems = []
    currency = document.get("currency", CURRENCY)
    if currency != CURRENCY:
        problems.append(f"currency must be {CURRENCY}, it is {currency!r}")
    unknown = [key for key in document if key not in {"currency", "lists"}]
    if unknown:
        problems.append(f"it has {', '.join(map(str, unknown))} beside currency and lists")
    lists = []
    for number, given in enumerate(document["lists"]):
        prices: PriceList = {}
        for key, value in _list(given, file, f"lists[{number}]"):
            if isinstance(value, str):
                problems.append(value)
            else:
                prices[key] = value
        lists.append(prices)
    if problems:
        raise PriceFileError("\n".join(f"Price file {file}: {one}." for one in problems))
    return lists


def _list(given: Any, file: str, where: str) -> Iterator[tuple[tuple[str, str, str], Price | str]]:
    """Yield the prices of a list with their keys; in place of an invalid price its problem."""
    none = ("", "", "")
    if not isinstance(given, dict):
        yield none, f"{where} must be a mapping of a source and prices"
        return
    told = given.get("source") or {"about": file}
    if not isinstance(told, dict) or not set(told) <= _SOURCE_KEYS:
        yield none, f"{where}.source must be a mapping with about, url and seen"
        return
    source = Source(**{key: " ".join(str(value).split()) for key, value in told.items()})
    for kind, names in given.items():
        place = f"{where}.{kind}"
        if kind == "source":
            continue
        if kind not in KINDS:
            yield none, f"{place} is no kind of price: use {', '.join(KINDS)}"
        elif not isinstance(names, dict):
            yield none, f"{place} must be a mapping of names and prices"
        else:
            for name, value in names.items():
                yield from _prices(kind, str(name), value, source, f"{place}.{name}")


def _prices(
    kind: str, name: str, value: Any, source: Source, where: str
) -> Iterator[tuple[tuple[str, str, str], Price | str]]:
    regions: Mapping[Any, Any] = value if isinstance(value, dict) else {_EVERYWHERE: value}
    for region, amount in regions.items():
        key = (kind, name, str(region))
        if _is_amount(amount):
            yield key, Price(float(amount), source)
        else:
            place = f"{where}.{region}" if region else where
            yield key, f"{place} must be a number of dollars for {KINDS[kind]}, it is {amount!r}"


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )
