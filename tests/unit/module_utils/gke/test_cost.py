import pytest
from ansible.module_utils.docker_ml_api.gke import cost
from ansible.module_utils.docker_ml_api.gke.cost import NOTHING, UNKNOWN, Amount
from ansible.module_utils.docker_ml_api.gke.prices import Prices, parse

from support.gke_plan_examples import cluster, pool

HERE = "europe-west1"
PRICES = {
    "cluster_hour": {"fee": 0.1},
    "machine_hour": {"e2-small": {HERE: 0.02}, "e2-medium": {HERE: 0.04}},
    "spot_machine_hour": {"e2-medium": {HERE: 0.01}},
    "disk_gib_month": {"pd-balanced": {HERE: 0.1}},
    "external_ip_hour": {"standard": 0.005, "spot": 0.0025},
    "forwarding_rule_hour": {"first_five": {HERE: 0.025}, "each_further": {HERE: 0.01}},
    "autopilot_hour": {"vcpu": {HERE: 0.05}, "memory_gib": {HERE: 0.005}},
}
SOURCE = {"about": "a test", "url": "https://example.com", "seen": "2026-01-02"}


def prices(**changed):
    return Prices(parse({"lists": [{"source": SOURCE, **PRICES, **changed}]}, "prices.yml"))


def costed(wanted, listed=None, **options):
    """Return the name, pool, quantity and amount of each cost."""
    found = cost.costs(wanted, listed or prices(), **options)
    return [(one.what, one.pool, one.quantity, str(one.monthly)) for one in found]


FEE = ("management fee", "", "1 cluster", "73.00")

# What: the wanted cluster, and what it costs
COSTS = {
    "two nodes in a zone": (
        cluster(node_pools=[pool(nodes=2)]),
        [
            FEE,
            ("machines", "apps", "2 x e2-small", "29.20"),
            ("disks", "apps", "2 x 50 GiB pd-balanced", "10.00"),
            ("external addresses", "apps", "2", "7.30"),
        ],
    ),
    "private nodes": (
        cluster(private_nodes=True, node_pools=[pool(nodes=2)]),
        [
            FEE,
            ("machines", "apps", "2 x e2-small", "29.20"),
            ("disks", "apps", "2 x 50 GiB pd-balanced", "10.00"),
        ],
    ),
    "a region has nodes in three zones": (
        cluster(location=HERE, private_nodes=True, node_pools=[pool(nodes=1)]),
        [
            FEE,
            ("machines", "apps", "3 x e2-small", "43.80"),
            ("disks", "apps", "3 x 50 GiB pd-balanced", "15.00"),
        ],
    ),
    "the cluster names its zones": (
        cluster(
            location=HERE,
            locations=[f"{HERE}-b", f"{HERE}-c"],
            private_nodes=True,
            node_pools=[pool(nodes=1)],
        ),
        [
            FEE,
            ("machines", "apps", "2 x e2-small", "29.20"),
            ("disks", "apps", "2 x 50 GiB pd-balanced", "10.00"),
        ],
    ),
    "a pool names its zones": (
        cluster(private_nodes=True, node_pools=[pool(nodes=2, locations=[f"{HERE}-d"])]),
        [
            FEE,
            ("machines", "apps", "2 x e2-small", "29.20"),
            ("disks", "apps", "2 x 50 GiB pd-balanced", "10.00"),
        ],
    ),
    "autoscaling": (
        cluster(node_pools=[pool(autoscaling={"min": 1, "max": 3})]),
        [
            FEE,
            ("machines", "apps", "1 to 3 x e2-small", "14.60 to 43.80"),
            ("disks", "apps", "1 to 3 x 50 GiB pd-balanced", "5.00 to 15.00"),
            ("external addresses", "apps", "1 to 3", "3.65 to 10.95"),
        ],
    ),
    "autoscaling from none": (
        cluster(private_nodes=True, node_pools=[pool(autoscaling={"min": 0, "max": 1})]),
        [
            FEE,
            ("machines", "apps", "0 to 1 x e2-small", "at most 14.60"),
            ("disks", "apps", "0 to 1 x 50 GiB pd-balanced", "at most 5.00"),
        ],
    ),
    "Spot with a price": (
        cluster(node_pools=[pool(nodes=1, spot=True, machine_type="e2-medium")]),
        [
            FEE,
            ("machines", "apps", "1 x e2-medium (Spot)", "7.30"),
            ("disks", "apps", "1 x 50 GiB pd-balanced", "5.00"),
            ("external addresses", "apps", "1", "1.82"),
        ],
    ),
    "Spot without a price costs no more than regular": (
        cluster(private_nodes=True, node_pools=[pool(nodes=1, spot=True)]),
        [
            FEE,
            ("machines", "apps", "1 x e2-small (Spot)", "at most 14.60"),
            ("disks", "apps", "1 x 50 GiB pd-balanced", "5.00"),
        ],
    ),
    "unknown prices": (
        cluster(
            private_nodes=True,
            node_pools=[
                pool(nodes=1, machine_type="m9-giga", disk_type="hyperdisk-balanced"),
                pool(name="spot", nodes=1, machine_type="m9-giga", spot=True),
            ],
        ),
        [
            FEE,
            ("machines", "apps", "1 x m9-giga", "unknown"),
            ("disks", "apps", "1 x 50 GiB hyperdisk-balanced", "unknown"),
            ("machines", "spot", "1 x m9-giga (Spot)", "unknown"),
            ("disks", "spot", "1 x 50 GiB pd-balanced", "5.00"),
        ],
    ),
    "no nodes of unknown price": (
        cluster(node_pools=[pool(nodes=0, machine_type="m9-giga")]),
        [
            FEE,
            ("machines", "apps", "0 x m9-giga", "0.00"),
            ("disks", "apps", "0 x 50 GiB pd-balanced", "0.00"),
            ("external addresses", "apps", "0", "0.00"),
        ],
    ),
    "Autopilot": (
        cluster(mode="autopilot", location=HERE),
        [FEE, ("pods", "", "what they request", "unknown")],
    ),
}


@pytest.mark.parametrize("case", COSTS)
def test_what_a_cluster_costs(case):
    wanted, expected = COSTS[case]
    assert costed(wanted) == expected


def test_what_the_pods_of_an_autopilot_cluster_cost():
    requests = {"vcpu": 2, "memory_gib": 0.5, "ephemeral_storage_gib": 1}
    assert costed(cluster(mode="autopilot", location=HERE), pod_requests=requests) == [
        FEE,
        ("pods", "", "2 vCPU", "73.00"),
        ("pods", "", "0.5 GiB of memory", "1.82"),
        ("pods", "", "1 GiB of ephemeral storage", "unknown"),
    ]
    none = costed(cluster(mode="autopilot", location=HERE), pod_requests={})
    assert none == [FEE]


@pytest.mark.parametrize(("count", "monthly"), [(1, "18.25"), (5, "18.25"), (7, "32.85")])
def test_what_load_balancers_cost(count, monthly):
    found = costed(cluster(), load_balancers=count)
    assert found == [FEE, ("load balancers", "", str(count), monthly)]


@pytest.mark.parametrize(
    ("rules", "count", "monthly"),
    [
        ({}, 1, "unknown"),
        ({"first_five": {HERE: 0.025}}, 5, "18.25"),
        ({"first_five": {HERE: 0.025}}, 6, "unknown"),
    ],
)
def test_load_balancers_without_a_price(rules, count, monthly):
    found = costed(cluster(), prices(forwarding_rule_hour=rules), load_balancers=count)
    assert found[-1] == ("load balancers", "", str(count), monthly)


def test_whose_price_is_missing_is_named():
    wanted = cluster(
        node_pools=[
            pool(machine_type="m9-giga", disk_type="hyperdisk"),
            pool(name="spot", spot=True),
        ]
    )
    listed = prices(external_ip_hour={}, cluster_hour={})
    found = cost.costs(wanted, listed, load_balancers=1)
    assert [one.missing for one in found] == [
        "the management fee",
        f"m9-giga in {HERE}",
        f"hyperdisk in {HERE}",
        f"an external address in {HERE}",
        f"e2-small in {HERE} as Spot",
        "",
        f"an external address in {HERE}",
        "",
    ]


def test_as_data():
    machines = cost.costs(cluster(node_pools=[pool(nodes=1)]), prices())[1]
    assert machines.data() == {
        "what": "machines",
        "pool": "apps",
        "quantity": "1 x e2-small",
        "unit_price": 0.02,
        "monthly": {"low": 14.6, "high": 14.6},
        "source": SOURCE,
        "missing": "",
        "note": "",
    }
    assert UNKNOWN.data() == {"low": 0.0, "high": None}


# What: amounts, their sum, and its text
SUMS = {
    "nothing": ([], NOTHING, "0.00"),
    "known": ([Amount(1, 1), Amount(2, 2)], Amount(3, 3), "3.00"),
    "ranges": ([Amount(1, 2), Amount(0, 3)], Amount(1, 5), "1.00 to 5.00"),
    "something unknown": ([Amount(1, 1), UNKNOWN], Amount(1, None), "at least 1.00"),
    "all unknown": ([UNKNOWN, UNKNOWN], UNKNOWN, "unknown"),
    "at most": ([Amount(0, 1), NOTHING], Amount(0, 1), "at most 1.00"),
}


@pytest.mark.parametrize("case", SUMS)
def test_sums(case):
    amounts, expected, shown = SUMS[case]
    found = cost.total(amounts)
    assert (found, str(found)) == (expected, shown)


@pytest.mark.parametrize(
    ("wanted", "free"),
    [
        (cluster(), True),
        (cluster(location=HERE), False),
        (cluster(mode="autopilot", location=HERE), True),
    ],
)
def test_whose_fee_the_free_tier_may_pay(wanted, free):
    assert cost.is_free_once(wanted) is free
