"""Checks whether planned clusters (see planning) stay within a budget, in US dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import planning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CENT = 0.01


def problem(
    plans: Sequence[Mapping[str, Any]], budget: float, *, free_tier: bool = False
) -> str | None:
    """Return a sentence if the clusters may cost more a month than `budget`, otherwise None.

    An unknown price could be any amount, so it exceeds every budget.
    """
    whole = planning.total(plans, free_tier=free_tier)
    limit = f"gke_budget_monthly ({budget:.2f} USD)"
    if whole.low > budget + _CENT / 2:
        return (
            f"The clusters would cost {_least(whole)} USD a month, more than {limit}: "
            f"{_parts(plans)}. Give them fewer or smaller nodes, or raise gke_budget_monthly."
        )
    if whole.high is None:
        return (
            f"Whether the clusters stay within {limit} is not known: they would cost at least "
            f"{whole.low:.2f} USD a month, and the price of "
            f"{' and of '.join(planning.missing_prices(plans))} is missing. Put it into a file "
            "of the form of roles/gke_cluster/files/prices.yml and name that with gke_prices_file, "
            "or set no gke_budget_monthly."
        )
    if whole.high > budget + _CENT / 2:
        return (
            f"The clusters would cost up to {whole.high:.2f} USD a month, more than {limit}: "
            f"{_parts(plans)}. Give them fewer or smaller nodes or a lower maximum of autoscaling, "
            "or raise gke_budget_monthly."
        )
    return None


def _least(whole: planning.Amount) -> str:
    exact = whole.high is not None and f"{whole.high:.2f}" == f"{whole.low:.2f}"
    return f"{whole.low:.2f}" if exact else f"at least {whole.low:.2f}"


def _parts(plans: Sequence[Mapping[str, Any]]) -> str:
    """Return each cluster with its cost, the most expensive first."""
    amounts = [(planning.total([one]), one["cluster"]) for one in plans]
    amounts.sort(key=lambda one: -one[0].low if one[0].high is None else -one[0].high)
    return ", ".join(f"{name} {amount}" for amount, name in amounts)
