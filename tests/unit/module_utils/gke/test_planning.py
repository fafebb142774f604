import textwrap
from datetime import UTC, datetime

import pytest
from ansible.module_utils.docker_ml_api.gke import comparison, create_request, planning
from ansible.module_utils.docker_ml_api.gke.cost import Amount
from ansible.module_utils.docker_ml_api.gke.prices import Prices, parse

from support.gke_plan_examples import cluster, pool

HERE = "europe-west1"
PROJECT, US, NOW = "p", "docker-ml-api", datetime(2026, 11, 22, tzinfo=UTC)
SOURCE = {"about": "a test", "url": "https://example.com", "seen": "2026-01-02"}
LISTS = {
    "cluster_hour": {"fee": 0.1},
    "credit_month": {"free_tier": 74.4},
    "machine_hour": {"e2-small": {HERE: 0.02}, "e2-medium": {HERE: 0.04}},
    "disk_gib_month": {"pd-balanced": {HERE: 0.1}},
    "external_ip_hour": {"standard": 0.005},
}
PRICES = Prices(parse({"lists": [{"source": SOURCE, **LISTS}]}, "prices.yml"))


def live(wanted, **pools):
    """Return the wanted cluster as the API describes it; `pools` adds fields to its pools."""
    made = create_request.cluster_body(wanted, PROJECT, US, NOW)
    found = [create_request.pool_body(one, wanted) for one in wanted["node_pools"]]
    for one in found:
        one.update(pools.get(one["name"], {}))
    return {**made, "location": wanted["location"], "status": "RUNNING", "nodePools": found}


def changes(wanted, there, **options):
    """Return what gke_cluster_changes returns."""
    found = comparison.plan(wanted, there, PROJECT, US, NOW, **options)
    assert found["refused"] == []
    return {**found, "exists": there is not None}


def planned(wanted, there=None, *, allow_replace=False, prices=PRICES, **options):
    asked = changes(wanted, there, allow_replace=allow_replace)
    return planning.plan(wanted, asked, prices, **options)


def shown(plan):
    """Return the pool, the action, and the fields as text of each row."""
    return [
        (
            row["pool"],
            row["action"],
            [f"{one['path']}: {one['before']} -> {one['after']}" for one in row["fields"]],
        )
        for row in plan["rows"]
    ]


ONE = cluster(node_pools=[pool(nodes=2)])
TWO = cluster(labels={"env": "prod"}, node_pools=[pool(nodes=3), pool(name="more", nodes=1)])

# What: (wanted, live, whether it may be replaced), and the rows
ROWS = {
    "nothing is there": (ONE, None, False, [("", "create", []), ("apps", "create", [])]),
    "all is there": (ONE, live(ONE), False, [("", "keep", []), ("apps", "keep", [])]),
    "changes in place, and another pool": (
        TWO,
        live(ONE),
        False,
        [
            ("", "change", ["labels.env: None -> prod"]),
            ("apps", "change", ["node_pools.apps.nodes: 2 -> 3"]),
            ("more", "create", []),
        ],
    ),
    "a pool too many": (
        ONE,
        live(cluster(node_pools=[pool(nodes=2), pool(name="old")])),
        False,
        [("", "keep", []), ("apps", "keep", []), ("old", "delete", [])],
    ),
    "a pool that is replaced": (
        cluster(node_pools=[pool(nodes=2, spot=True)]),
        live(ONE),
        True,
        [
            ("", "keep", []),
            ("apps", "replace", ["node_pools.apps.spot: False -> True"]),
        ],
    ),
    "a cluster that is replaced": (
        cluster(private_nodes=True, node_pools=[pool(nodes=2)]),
        live(ONE),
        True,
        [("", "replace", ["private_nodes: False -> True"]), ("apps", "replace", [])],
    ),
    "a pool whose creation failed": (
        ONE,
        live(ONE, apps={"status": "ERROR", "statusMessage": "no quota"}),
        False,
        [
            ("", "keep", []),
            ("apps", "replace", ["node_pools.apps.status: ERROR (no quota) -> RUNNING"]),
        ],
    ),
    "Autopilot": (
        cluster(mode="autopilot", location=HERE),
        None,
        False,
        [("", "create", [])],
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows(case):
    wanted, there, allow_replace, rows = ROWS[case]
    plan = planned(wanted, there, allow_replace=allow_replace)
    assert shown(plan) == rows
    assert planning.is_change(plan) is any(action != "keep" for _, action, _ in rows)


def test_what_follows_a_creation_is_part_of_it():
    wanted = cluster(
        maintenance_window={"start": "03:00"}, logging=["WORKLOADS"], node_pools=[pool()]
    )
    assert changes(wanted, None)["updates"] != []
    assert shown(planned(wanted)) == [("", "create", []), ("apps", "create", [])]


def test_an_absent_cluster_costs_nothing():
    for exists, rows in ((True, [("", "delete", [])]), (False, [])):
        plan = planning.plan(ONE, {"exists": exists}, PRICES, present=False)
        assert shown(plan) == rows
        assert plan["monthly"] == {"low": 0.0, "high": 0.0}
        assert planning.is_change(plan) is exists
        assert (plan["missing"], plan["sources"], plan["credit"]["fee"]) == ([], [], 0.0)


def test_the_data_of_a_plan():
    plan = planned(ONE)
    assert plan["sources"] == [SOURCE]
    assert plan["missing"] == []
    assert plan["credit"] == {"fee": 73.0, "of": 74.4}
    assert plan["free_tier"] is True
    assert plan["monthly"] == {"low": 119.5, "high": 119.5}
    own, apps = plan["rows"]
    assert own["monthly"] == {"low": 73.0, "high": 73.0}
    assert apps["monthly"] == {"low": 46.5, "high": 46.5}
    assert [one["what"] for one in apps["costs"]] == ["machines", "disks", "external addresses"]
    assert (plan["cluster"], plan["location"]) == ("model-test-cluster", f"{HERE}-b")


def test_without_any_price():
    plan = planned(ONE, prices=Prices([]))
    assert plan["monthly"] == {"low": 0.0, "high": None}
    assert plan["missing"] == [
        "the management fee",
        f"e2-small in {HERE}",
        f"pd-balanced in {HERE}",
        f"an external address in {HERE}",
    ]
    assert plan["credit"] == {"fee": 0.0, "of": 0.0}


TABLE = """
CLUSTER             POOL  ACTION  WHAT                                              USD A MONTH
model-test-cluster        change  standard, europe-west1-b, REGULAR                       73.00
                                  labels.env: none → prod
model-test-cluster  apps  change  3 x e2-small, 50 GiB pd-balanced                        69.75
                                  nodes: 2 → 3
model-test-cluster  more  create  1 x e2-small, 50 GiB pd-balanced                        23.25
model-test-cluster  old   delete                                                              -
hello                     create  standard, europe-west1, RAPID, private nodes            73.00
hello               apps  create  3 to 6 x m9-giga, 20 GiB pd-balanced            at least 6.00
total                                                                           at least 245.00
"""


def test_a_table():
    other = cluster(
        name="hello",
        location=HERE,
        private_nodes=True,
        release_channel="RAPID",
        node_pools=[
            pool(
                machine_type="m9-giga",
                autoscaling={"min": 1, "max": 2},
                disk_size_gb=20,
            )
        ],
    )
    one = planned(TWO, live(cluster(node_pools=[pool(nodes=2), pool(name="old")])))
    text, _, notes = planning.table([one, planned(other)]).partition("\n\n")
    assert text == textwrap.dedent(TABLE).strip("\n")
    assert notes.startswith(f"Prices that are not known: m9-giga in {HERE}.")


def test_the_free_tier_is_one_credit_for_all():
    plans = [planned(ONE), planned(cluster(name="b", node_pools=[pool(nodes=2)]))]
    assert planning.total(plans) == Amount(239.0, 239.0)
    assert planning.total(plans, free_tier=True) == Amount(239.0 - 74.4, 239.0 - 74.4)
    assert planning.credit(plans[:1]) == 73.0
    regional = planned(cluster(location=HERE, node_pools=[pool(nodes=2)]))
    assert planning.credit([regional]) == 0.0
    assert planning.credit([]) == 0.0
    text = planning.table(plans)
    assert "up to 74.40 of the fees, once for a billing account (not counted here)" in text
    counted = planning.table(plans, free_tier=True)
    assert "once for a billing account" not in counted
    (line,) = [one for one in counted.splitlines() if "credit of GKE's free tier" in one]
    assert line.endswith("-74.40")
    assert [one.split()[-1] for one in counted.splitlines() if one.startswith("total")] == [
        "164.60"
    ]


NOTES = """
Prices that are not known: m9-giga in europe-west1.
GKE's free tier pays up to 73.00 of the fees, once for a billing account (not counted here).
A month has 730 hours. Not counted: taxes, discounts, traffic, logs, volumes, load balancers' data.
Source: a test, https://example.com, seen 2026-01-02.
"""


def test_the_notes_of_a_table():
    plan = planned(cluster(node_pools=[pool(machine_type="m9-giga")]))
    _, _, notes = planning.table([plan]).partition("\n\n")
    assert notes == textwrap.dedent(NOTES).strip("\n")


def test_fields_of_any_kind_are_readable():
    networks = [{"name": "office", "cidr": "203.0.113.0/24"}]
    wanted = cluster(authorized_networks=networks, node_pools=[pool(nodes=2)])
    text = planning.table([planned(wanted, live(ONE))])
    assert 'authorized_networks: none → ["203.0.113.0/24 (office)"]' in text


def test_no_release_channel_is_told():
    plan = planned(cluster(release_channel="NONE", node_pools=[pool()]))
    assert plan["rows"][0]["what"] == "standard, europe-west1-b, no release channel"


def test_no_plan_at_all():
    assert planning.table([]).splitlines()[:2] == [
        "CLUSTER  POOL  ACTION  WHAT  USD A MONTH",
        "total                               0.00",
    ]
