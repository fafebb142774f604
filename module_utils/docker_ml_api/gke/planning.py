"""The changes of a GKE cluster and the resulting cost, as data and as a human-readable table.

The changes are the result of the module gke_cluster_changes. A plan as a dict:
    {"cluster", "location", "rows": [row, …], "monthly": amount, "missing": [text, …],
     "free_tier": whether the free tier's credit may pay its fee, and "credit", the amount of that,
     "sources": [{"about", "url", "seen"}, …]}
A row is the cluster or one of its pools:
    {"cluster", "pool": its name or "", "action": one of ACTIONS, "what": text,
     "fields": [{"path", "before", "after"}, …], "monthly": amount, "costs": [cost, …]}
An amount is {"low", "high"} in US dollars a month; `high` is None if the maximum is unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options, cost
from ansible.module_utils.docker_ml_api.gke.cost import Amount, Cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible.module_utils.docker_ml_api.gke.prices import Prices

    Plan = Mapping[str, Any]

KEEP = "keep"
CREATE = "create"
CHANGE = "change"
REPLACE = "replace"
DELETE = "delete"
ACTIONS = (KEEP, CREATE, CHANGE, REPLACE, DELETE)

_HEADER = ("CLUSTER", "POOL", "ACTION", "WHAT", "USD A MONTH")
_NOT_COUNTED = "taxes, discounts, traffic, logs, volumes, load balancers' data"


def plan(
    wanted: Mapping[str, Any],
    changes: Mapping[str, Any],
    prices: Prices,
    *,
    present: bool = True,
    load_balancers: int = 0,
    pod_requests: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the plan of one cluster.

    present: whether it is to exist after the run; if not, only `exists` of the changes is used.

    See cost.costs for the other parameters.
    """
    result: dict[str, Any] = {
        "cluster": wanted["name"],
        "location": wanted["location"],
        "free_tier": cost.is_free_once(wanted),
    }
    if not present:
        rows = [_row(wanted, "", DELETE, _cluster_text(wanted))]
        costs: list[Cost] = []
        result["rows"] = rows if changes.get("exists") else []
    else:
        costs = cost.costs(wanted, prices, load_balancers=load_balancers, pod_requests=pod_requests)
        result["rows"] = list(_rows(wanted, changes, costs))
    credit = prices.find("credit_month", "free_tier", cluster_options.region_of(wanted["location"]))
    fees = cost.total(one.monthly for one in costs if one.what == cost.FEE)
    pays = min(credit.amount, fees.low) if credit and result["free_tier"] else 0.0
    return {
        **result,
        "monthly": cost.total(one.monthly for one in costs).data(),
        "credit": {"fee": round(pays, 2), "of": round(credit.amount, 2) if credit else 0.0},
        "missing": list(dict.fromkeys(one.missing for one in costs if one.missing)),
        "sources": _distinct(one.source for one in costs if one.source),
    }


def _distinct(sources: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    return [dict(one) for one in dict.fromkeys(tuple(source.items()) for source in sources)]


def _rows(
    wanted: Mapping[str, Any], changes: Mapping[str, Any], costs: Sequence[Cost]
) -> Iterator[dict[str, Any]]:
    created = changes["create"]["cluster"] is not None
    replaced = changes["replace"]["cluster"]
    # Updates that follow the creation of a cluster are part of it.
    updates = [] if created else changes["updates"]
    fields = list(replaced["fields"]) if replaced else _fields(updates, "")
    action = CREATE if created else CHANGE if fields else KEEP
    text = _cluster_text(wanted)
    yield _row(wanted, "", REPLACE if replaced else action, text, fields=fields, costs=costs)
    made = {one["name"] for one in changes["create"]["pools"]}
    for pool in wanted["node_pools"]:
        name = pool["name"]
        again = _fields(changes["replace"]["pools"], name)
        fields = again or _fields(updates, name)
        action = CREATE if name in made else CHANGE if fields else KEEP
        if again or (replaced and name in made):
            action = REPLACE
        yield _row(wanted, name, action, _pool_text(wanted, pool), fields=fields, costs=costs)
    for call in changes["delete"]:
        yield _row(wanted, call["pool"], DELETE, "")


def _fields(calls: Sequence[Mapping[str, Any]], pool: str) -> list[dict[str, Any]]:
    """Return the fields of the calls for a pool, or for the cluster itself if `pool` is empty."""
    return [field for call in calls if call["pool"] == pool for field in call["fields"]]


def _row(
    wanted: Mapping[str, Any],
    pool: str,
    action: str,
    what: str,
    *,
    fields: Sequence[Mapping[str, Any]] = (),
    costs: Sequence[Cost] = (),
) -> dict[str, Any]:
    own = [one for one in costs if one.pool == pool]
    return {
        "cluster": wanted["name"],
        "pool": pool,
        "action": action,
        "what": what,
        "fields": [dict(one) for one in fields],
        "monthly": cost.total(one.monthly for one in own).data(),
        "costs": [one.data() for one in own],
    }


def _cluster_text(wanted: Mapping[str, Any]) -> str:
    channel = wanted["release_channel"]
    released = "no release channel" if channel == "NONE" else channel
    private = ", private nodes" if wanted["private_nodes"] else ""
    return f"{wanted['mode']}, {wanted['location']}, {released}{private}"


def _pool_text(wanted: Mapping[str, Any], pool: Mapping[str, Any]) -> str:
    count = cost.count_text(cost.nodes(wanted, pool))
    spot = " (Spot)" if pool["spot"] else ""
    return f"{count} x {pool['machine_type']}{spot}, {pool['disk_size_gb']} GiB {pool['disk_type']}"


# --- Human-readable output


def is_change(one: Plan) -> bool:
    """Return whether the plan changes anything."""
    return any(row["action"] != KEEP for row in one["rows"])


def total(plans: Sequence[Plan], *, free_tier: bool = False) -> Amount:
    """Return the total cost; free_tier: whether the credit of the free tier is still available."""
    found = cost.total(_amount(one["monthly"]) for one in plans)
    pays = credit(plans) if free_tier else 0.0
    return Amount(found.low - pays, None if found.high is None else found.high - pays)


def credit(plans: Sequence[Plan]) -> float:
    """Return the credit that the free tier grants on the clusters' fees, once for all of them."""
    fees = sum(one["credit"]["fee"] for one in plans)
    return float(min(fees, max((one["credit"]["of"] for one in plans), default=0)))


def table(plans: Sequence[Plan], *, free_tier: bool = False) -> str:
    """Return the plans as a table, with notes on its figures."""
    lines = [_HEADER, *(line for one in plans for row in one["rows"] for line in _lines(row))]
    pays = credit(plans) if free_tier else 0.0
    if pays:
        lines.append(("", "", "", "credit of GKE's free tier", f"-{pays:.2f}"))
    whole = total(plans, free_tier=free_tier)
    lines.append(("total", "", "", "", str(whole)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    shown = [
        "  ".join(
            # Amounts are right-aligned.
            cell.rjust(width) if column == len(_HEADER) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*shown, "", *_notes(plans, free_tier=free_tier)])


def _lines(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    amount = "-" if row["action"] == DELETE else str(_amount(row["monthly"]))
    yield row["cluster"], row["pool"], row["action"], row["what"], amount
    for field in row["fields"]:
        path = field["path"].removeprefix(f"node_pools.{row['pool']}.")
        change = f"{path}: {_brief(field['before'])} → {_brief(field['after'])}"
        yield "", "", "", change, ""


def _brief(value: Any) -> str:
    if value is None or value in ({}, []):
        return "none"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _notes(plans: Sequence[Plan], *, free_tier: bool) -> Iterator[str]:
    missing = missing_prices(plans)
    if missing:
        yield f"Prices that are not known: {', '.join(missing)}."
    pays = credit(plans)
    if pays and not free_tier:
        yield (
            f"GKE's free tier pays up to {pays:.2f} of the fees, once for a billing account (not "
            "counted here)."
        )
    yield f"A month has {cost.MONTH_HOURS} hours. Not counted: {_NOT_COUNTED}."
    sources = _distinct(source for one in plans for source in one["sources"])
    for source in sources:
        seen = f"seen {source['seen']}" if source["seen"] else ""
        told = ", ".join(part for part in (source["about"], source["url"], seen) if part)
        yield f"Source: {told}."


def missing_prices(plans: Sequence[Plan]) -> list[str]:
    """Return the items whose prices are not known."""
    return list(dict.fromkeys(missing for one in plans for missing in one["missing"]))


def _amount(data: Mapping[str, Any]) -> Amount:
    return Amount(data["low"], data["high"])
