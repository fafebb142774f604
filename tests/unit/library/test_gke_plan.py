"""The modules gke_plan and gke_budget, as a play uses them after gke_cluster_changes."""

import gke_budget
import gke_cluster_changes
import gke_plan
import pytest
import yaml

from rehearsal.gke.clock import StandingClock
from support import ROOT, documented, gke_double
from support.fresh_module import fresh_module
from support.run_module import run_module

PRICES = ROOT / "roles/gke_cluster/files/prices.yml"
CLUSTER = {
    "name": "hello-cluster",
    "location": "europe-west1-b",
    "node_pools": [{"name": "main", "nodes": 2}],
}
CHANGES = {
    "exists": False,
    "create": {"cluster": {"by": "google_cloud"}, "pools": [{"name": "main"}]},
    "updates": [],
    "replace": {"cluster": None, "pools": []},
    "delete": [],
}
# 730 hours of the fee, two machines and addresses; two disks of 50 GiB.
COSTS = round(73 + 2 * 730 * (0.018428865 + 0.005) + 2 * 50 * 0.1, 2)


@pytest.fixture
def plan(capsys):
    def ask(**options):
        given = {"cluster": CLUSTER, "changes": CHANGES, "price_file": str(PRICES), **options}
        result = run_module(gke_plan, capsys, **given)
        assert documented.result_differences(gke_plan, result) == []
        return result

    return ask


@pytest.fixture
def budget(capsys):
    def ask(*plans, **options):
        result = run_module(gke_budget, capsys, plans=list(plans), **options)
        assert documented.result_differences(gke_budget, result) == []
        return result

    return ask


@pytest.fixture
def own(tmp_path):
    def write(text):
        path = tmp_path / "own.yml"
        path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        return str(path)

    return write


def test_the_seeds_cluster_by_the_prices_of_the_repository(plan, budget):
    result = plan()
    assert not result["changed"]
    assert result["plan"]["monthly"] == {"low": COSTS, "high": COSTS}
    assert result["plan"]["missing"] == []
    assert [one["seen"] for one in result["plan"]["sources"]] == [
        "2026-11-22",
        "2025-03-06",
        "2026-10-16",
    ]
    assert result["table"].splitlines()[1].split()[:2] == ["hello-cluster", "create"]
    whole = budget(result["plan"])
    assert whole["table"] == result["table"]
    assert (whole["changed"], whole["to_do"]) == (False, ["hello-cluster"])
    assert whole["rows"] == result["plan"]["rows"]


def test_after_gke_cluster_changes(plan, budget, capsys, tmp_path, monkeypatch):
    """From no cluster to a table: each module takes the result of the previous one."""
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        for name, value in google.environment.items():
            monkeypatch.setenv(name, value)
        changes = run_module(gke_cluster_changes, capsys, cluster=CLUSTER, _ansible_check_mode=True)
        assert google.mutations() == []
    assert not changes.get("failed"), changes
    planned = plan(changes=changes)["plan"]
    assert [(row["pool"], row["action"]) for row in planned["rows"]] == [
        ("", "create"),
        ("main", "create"),
    ]
    assert budget(planned, budget_monthly=130)["monthly"] == {"low": COSTS, "high": COSTS}


def test_ones_own_prices_go_first(plan, own):
    mine = own(
        {
            "lists": [
                {
                    "source": {"about": "our contract"},
                    "machine_hour": {"e2-small": {"europe-west1": 0.01}},
                }
            ]
        }
    )
    result = plan(own_price_file=mine)["plan"]
    machines = result["rows"][1]["costs"][0]
    assert machines["unit_price"] == 0.01
    assert machines["source"] == {"about": "our contract", "url": "", "seen": ""}
    assert result["monthly"]["low"] < COSTS


def test_an_autopilot_cluster(plan):
    wanted = {"name": "pilot", "location": "us-east1", "mode": "autopilot"}
    made = {**CHANGES, "create": {"cluster": {}, "pools": []}}
    result = plan(cluster=wanted, changes=made)["plan"]
    assert result["monthly"] == {"low": 73.0, "high": None}
    assert result["missing"] == ["what the pods of an Autopilot cluster request"]
    asked = plan(cluster=wanted, changes=made, pod_requests={"vcpu": 1})["plan"]
    assert asked["missing"] == ["vCPU in us-east1"]


def test_an_absent_cluster(plan, budget):
    result = plan(state="absent", changes={"exists": True})["plan"]
    assert [row["action"] for row in result["rows"]] == ["delete"]
    assert budget(result, budget_monthly=0)["monthly"] == {"low": 0.0, "high": 0.0}


def test_load_balancers_of_unknown_price(plan):
    assert plan(load_balancers=2)["plan"]["missing"] == ["load balancers in europe-west1"]


# What: the options, and the messages
WRONG = {
    "an impossible cluster": (
        {"cluster": {**CLUSTER, "location": "nowhere"}},
        ["cluster: location 'nowhere' (gcp_location) must be a zone"],
    ),
    "numbers below zero": (
        {"load_balancers": -1, "pod_requests": {"vcpu": -0.5}},
        [
            "load_balancers must be 0 or more, it is -1.",
            "pod_requests.vcpu must be 0 or more, it is -0.5.",
        ],
    ),
    "changes of something else": (
        {"changes": {"exists": True}},
        ["changes must be what gke_cluster_changes returned for the cluster."],
    ),
    "no file": (
        {"own_price_file": "/nowhere/prices.yml"},
        ["The price file /nowhere/prices.yml cannot be read ([Errno 2] No such file"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(plan, case):
    options, said = WRONG[case]
    result = plan(**options)
    assert result["failed"]
    lines = result["msg"].splitlines()
    assert len(lines) == len(said)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lists: [", " is no YAML: while parsing"),
        ("prices: 3", " must be a mapping with lists"),
        ("currency: EUR\nlists: []", "currency must be USD, it is 'EUR'."),
    ],
)
def test_a_price_file_that_is_wrong(plan, own, text, said):
    path = own(text)
    result = plan(own_price_file=path)
    assert result["failed"]
    assert path in result["msg"]
    assert said in result["msg"]


def test_a_budget_that_is_not_kept(plan, budget):
    planned = plan()["plan"]
    result = budget(planned, budget_monthly=100)
    assert result["failed"]
    assert result["msg"] == (
        f"The clusters would cost {COSTS:.2f} USD a month, more than gke_budget_monthly (100.00 "
        f"USD): hello-cluster {COSTS:.2f}. Give them fewer or smaller nodes, or raise "
        "gke_budget_monthly."
    )
    # The table is returned nevertheless.
    assert result["table"] == plan()["table"]
    assert not budget(planned, budget_monthly=100, free_tier=True).get("failed")


def test_a_budget_of_nonsense(budget):
    for amount in (-1, float("inf"), float("nan")):
        result = budget(budget_monthly=amount)
        assert result["msg"].startswith("gke_budget_monthly must be a number of US dollars, 0 or")
    assert budget({"cluster": "a"})["msg"] == (
        "plans must be what gke_plan returned as plan, for each cluster."
    )


def test_without_pyyaml(capsys):
    with fresh_module("gke_plan", "yaml") as module:
        options = {"cluster": CLUSTER, "changes": CHANGES, "price_file": str(PRICES)}
        answer = run_module(module, capsys, **options)
    assert "Failed to import the required Python library (PyYAML)" in answer["msg"]
