import pytest
from ansible.module_utils.docker_ml_api.gke import budget as gke_budget


def plan(low, high, name="hello", fee=73.0, missing=()):
    """Return a plan like gke_planning's, with the keys that a budget uses."""
    return {
        "cluster": name,
        "rows": [],
        "monthly": {"low": low, "high": high},
        "credit": {"fee": fee, "of": 74.4},
        "missing": list(missing),
    }


LIMIT = "gke_budget_monthly (100.00 USD)"
FEWER = "Give them fewer or smaller nodes, or raise gke_budget_monthly."

# What: (plans, budget), and the message
CASES = {
    "nothing planned": ([], 0, None),
    "below": ([plan(100, 100)], 101, None),
    "exactly": ([plan(33.33, 33.33), plan(66.67, 66.67)], 100, None),
    "above by a cent": (
        [plan(100.01, 100.01)],
        100,
        (f"The clusters would cost 100.01 USD a month, more than {LIMIT}: hello 100.01. {FEWER}"),
    ),
    "together above, the dearest first": (
        [plan(40, 40, "a"), plan(70, 70, "b")],
        100,
        (
            f"The clusters would cost 110.00 USD a month, more than {LIMIT}: "
            f"b 70.00, a 40.00. {FEWER}"
        ),
    ),
    "above with the fewest nodes": (
        [plan(110, 150)],
        100,
        (
            f"The clusters would cost at least 110.00 USD a month, more than {LIMIT}: "
            f"hello 110.00 to 150.00. {FEWER}"
        ),
    ),
    "above with the most nodes": (
        [plan(90, 150)],
        100,
        (
            f"The clusters would cost up to 150.00 USD a month, more than {LIMIT}: "
            "hello 90.00 to 150.00. Give them fewer or smaller nodes or a lower maximum of "
            "autoscaling, or raise gke_budget_monthly."
        ),
    ),
    "within with the most nodes": ([plan(90, 100)], 100, None),
    "unknown": (
        [plan(73, None, missing=["m9-giga in r", "pd-odd in r"]), plan(10, 10, "b")],
        100,
        (
            f"Whether the clusters stay within {LIMIT} is not known: they would "
            "cost at least 83.00 USD a month, and the price of m9-giga in r and of pd-odd in r is "
            "missing. Put it into a file of the form of roles/gke_cluster/files/prices.yml and "
            "name that with gke_prices_file, or set no gke_budget_monthly."
        ),
    ),
    "unknown, and above without it": (
        [plan(173, None, missing=["m9-giga in r"]), plan(10, 10, "b")],
        100,
        (
            f"The clusters would cost at least 183.00 USD a month, more than {LIMIT}: "
            f"hello at least 173.00, b 10.00. {FEWER}"
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_budget(case):
    plans, budget, said = CASES[case]
    assert gke_budget.problem(plans, budget) == said


def test_the_free_tier_where_it_is_counted():
    plans = [plan(100, 100), plan(100, 100, "b")]
    assert gke_budget.problem(plans, 125.60, free_tier=True) is None
    assert "cost 125.60 USD" in gke_budget.problem(plans, 125.59, free_tier=True)
    assert gke_budget.problem(plans, 125.60) is not None
