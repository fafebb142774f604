"""Computes the monthly cost of a wanted GKE cluster from list prices, as far as they are known.

The wanted cluster is described in cluster_options. Amounts are US dollars for a month of 730
hours, without taxes, discounts, and usage-dependent costs: traffic, logs, volumes, data that load
balancers process.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ansible.module_utils.docker_ml_api.gke.prices import Price, Prices

# The length of a month in Google's own calculator.
MONTH_HOURS = 730
# Google's number of zones for the nodes of a region, if none are given.
_ZONES_OF_REGION = 3
_FIRST_RULES = 5


@dataclass(frozen=True)
class Amount:
    """From `low` to `high`; `high` is None if the maximum is unknown."""

    low: float
    high: float | None

    def __add__(self, other: Amount) -> Amount:
        """Return the sum of two amounts."""
        known = self.high is not None and other.high is not None
        return Amount(
            self.low + other.low,
            (self.high or 0.0) + (other.high or 0.0) if known else None,
        )

    def __str__(self) -> str:
        """Return the amount as 73.00, 12.00 to 24.00, at least 12.00, at most 24.00, or unknown."""
        low = f"{self.low:.2f}"
        if self.high is None:
            return f"at least {low}" if self.low else "unknown"
        high = f"{self.high:.2f}"
        if low == high:
            return low
        return f"{low} to {high}" if self.low else f"at most {high}"

    def data(self) -> dict[str, float | None]:
        """Return the amount as plain data, rounded to cents."""
        return {
            "low": round(self.low, 2),
            "high": None if self.high is None else round(self.high, 2),
        }


FEE = "management fee"
UNKNOWN = Amount(0.0, None)
NOTHING = Amount(0.0, 0.0)


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of the amounts."""
    return sum(amounts, NOTHING)


@dataclass(frozen=True)
class Cost:
    """One item of the cost.

    pool: its node pool, or empty.
    quantity: the quantity as text.
    unit_price: in dollars, None if unknown.
    missing: the item whose price is unknown, or empty.
    """

    what: str
    pool: str
    quantity: str
    unit_price: float | None
    monthly: Amount
    source: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    note: str = ""

    def data(self) -> dict[str, Any]:
        """Return the cost as plain data."""
        return {**asdict(self), "monthly": self.monthly.data()}


def is_free_once(cluster: Mapping[str, Any]) -> bool:
    """Return whether the credit of GKE's free tier may be used for the cluster's fee."""
    return cluster_options.is_autopilot(cluster) or not cluster_options.is_region(
        cluster["location"]
    )


def costs(
    cluster: Mapping[str, Any],
    prices: Prices,
    *,
    load_balancers: int = 0,
    pod_requests: Mapping[str, float] | None = None,
) -> list[Cost]:
    """Return the items of the cluster's cost.

    load_balancers: the number that the workloads request.
    pod_requests: for an Autopilot cluster, the sum of its pods' requests (`vcpu`, `memory_gib`,
        `ephemeral_storage_gib`).
    """
    region = cluster_options.region_of(cluster["location"])
    found = [_fee(prices, region)]
    if cluster_options.is_autopilot(cluster):
        found += _pods(prices, region, pod_requests)
    for pool in cluster["node_pools"]:
        found += _pool(cluster, pool, prices, region)
    if load_balancers:
        found.append(_forwarding_rules(prices, region, load_balancers))
    return found


def _fee(prices: Prices, region: str) -> Cost:
    price = prices.find("cluster_hour", "fee", region)
    hours = (MONTH_HOURS, MONTH_HOURS)
    return _cost(FEE, "1 cluster", price, hours, of="the management fee")


def _pods(prices: Prices, region: str, requests: Mapping[str, float] | None) -> Iterator[Cost]:
    if requests is None:
        yield Cost(
            "pods",
            "",
            "what they request",
            None,
            UNKNOWN,
            missing="what the pods of an Autopilot cluster request",
        )
        return
    for name, unit in (
        ("vcpu", "vCPU"),
        ("memory_gib", "GiB of memory"),
        ("ephemeral_storage_gib", "GiB of ephemeral storage"),
    ):
        amount = requests.get(name) or 0
        if amount:
            hours = amount * MONTH_HOURS
            price = prices.find("autopilot_hour", name, region)
            quantity = f"{amount:g} {unit}"
            yield _cost("pods", quantity, price, (hours, hours), of=f"{unit} in {region}")


def _zones(cluster: Mapping[str, Any], pool: Mapping[str, Any]) -> int:
    named = pool["locations"] or cluster["locations"]
    if named:
        return len(set(named))
    return _ZONES_OF_REGION if cluster_options.is_region(cluster["location"]) else 1


def nodes(cluster: Mapping[str, Any], pool: Mapping[str, Any]) -> tuple[int, int]:
    """Return the minimum and maximum number of nodes of the pool in all its zones."""
    zones = _zones(cluster, pool)
    bounds = pool["autoscaling"]
    if bounds:
        return bounds["min"] * zones, bounds["max"] * zones
    return pool["nodes"] * zones, pool["nodes"] * zones


def count_text(count: tuple[int, int]) -> str:
    """Return a number of nodes as text: 3, or 1 to 3."""
    return str(count[0]) if count[0] == count[1] else f"{count[0]} to {count[1]}"


def _pool(
    cluster: Mapping[str, Any], pool: Mapping[str, Any], prices: Prices, region: str
) -> Iterator[Cost]:
    name = pool["name"]
    count = nodes(cluster, pool)
    hours = count[0] * MONTH_HOURS, count[1] * MONTH_HOURS
    shown = count_text(count)
    yield _machines(pool, prices, region, count)
    size, kind = pool["disk_size_gb"], pool["disk_type"]
    yield _cost(
        "disks",
        f"{shown} x {size} GiB {kind}",
        prices.find("disk_gib_month", kind, region),
        (count[0] * size, count[1] * size),
        of=f"{kind} in {region}",
        pool=name,
    )
    if not cluster["private_nodes"]:
        variant = "spot" if pool["spot"] else "standard"
        yield _cost(
            "external addresses",
            shown,
            prices.find("external_ip_hour", variant, region),
            hours,
            of=f"an external address in {region}",
            pool=name,
        )


def _machines(pool: Mapping[str, Any], prices: Prices, region: str, count: tuple[int, int]) -> Cost:
    machine, name = pool["machine_type"], pool["name"]
    hours = count[0] * MONTH_HOURS, count[1] * MONTH_HOURS
    quantity = f"{count_text(count)} x {machine}"
    price = prices.find("machine_hour", machine, region)
    of = f"{machine} in {region}"
    if pool["spot"]:
        quantity, of = f"{quantity} (Spot)", f"{of} as Spot"
        regular, price = price, prices.find("spot_machine_hour", machine, region)
        if regular and not price:
            return Cost(
                "machines",
                name,
                quantity,
                None,
                Amount(0.0, regular.amount * hours[1]),
                asdict(regular.source),
                missing=of,
                note="at most what a regular machine costs",
            )
    return _cost("machines", quantity, price, hours, of=of, pool=name)


def _forwarding_rules(prices: Prices, region: str, count: int) -> Cost:
    """Return the base cost of load balancers: the first five together, then each."""
    first = prices.find("forwarding_rule_hour", "first_five", region)
    further = prices.find("forwarding_rule_hour", "each_further", region)
    beyond = max(0, count - _FIRST_RULES)
    what, quantity = "load balancers", str(count)
    if first is None or (beyond and further is None):
        return Cost(what, "", quantity, None, UNKNOWN, missing=f"load balancers in {region}")
    hourly = first.amount + (further.amount * beyond if further else 0.0)
    monthly = Amount(hourly * MONTH_HOURS, hourly * MONTH_HOURS)
    return Cost(
        what,
        "",
        quantity,
        hourly,
        monthly,
        asdict(first.source),
        note="charged by project: less if it has others",
    )


def _cost(
    what: str,
    quantity: str,
    price: Price | None,
    units: tuple[float, float],
    *,
    of: str,
    pool: str = "",
) -> Cost:
    """Return the cost of units[0] to units[1] units; `of` names the item in `missing`."""
    if not units[1]:
        # A quantity of zero costs nothing, whatever the price.
        return Cost(what, pool, quantity, price.amount if price else None, NOTHING)
    if price is None:
        return Cost(what, pool, quantity, None, UNKNOWN, missing=of)
    monthly = Amount(price.amount * units[0], price.amount * units[1])
    return Cost(what, pool, quantity, price.amount, monthly, asdict(price.source))
