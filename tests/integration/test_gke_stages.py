"""The stages of site.yml on GKE: what is asked for, planned, reached, found, expired, taken down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ansible_run import ROOT, Run, run_playbook
from gke_play import LOCATION, Play, playing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODES = "nodes@docker-ml-api-rehearsal.iam.gserviceaccount.com"


def live(play: Play) -> dict[str, dict[str, Any]]:
    """What Google has: LOCATION/CLUSTER → the cluster, with its pools by name."""
    return {
        where: {**record["live"], "pools": {k: v["live"] for k, v in record["pools"].items()}}
        for where, record in play.google.world.dump()["clusters"].items()
    }


# --- What the inventory says


def test_every_fact_reaches_its_cluster(tmp_path: Path) -> None:
    """Also what is given as text, by -e; what is left out is left to Google."""
    with playing(tmp_path, "pilot", "scaled", "wide", "seed") as play:
        play.clusters["pilot"] |= {
            "gke_mode": "autopilot",
            "gcp_location": "europe-west1",
            "gke_release_channel": "RAPID",
        }
        play.clusters["scaled"] |= {
            "gke_autoscaling": {"min": 1, "max": 4},
            "gke_spot": True,
            "gke_node_service_account": NODES,
            "gke_authorized_networks": [{"cidr": "198.51.100.0/24", "name": "office"}],
            "gke_maintenance_window": {"start": "03:00"},
            "gke_labels": {"team": "science"},
        }
        play.clusters["wide"] |= {
            "gcp_location": "europe-west4",
            "gke_node_pools": [{"name": "small", "nodes": 1}, {"name": "idle", "nodes": 0}],
            "gke_options": {"deletion_protection": True},
        }
        play.clusters["seed"] |= {"gke_machine_type": "g1-small", "gke_nodes": 2, "gke_ttl": "8h"}
        play.succeed("-e", "gke_private_nodes=true")
        found = live(play)

    assert sorted(found) == [
        "europe-west1-b/scaled",
        "europe-west1-b/seed",
        "europe-west1/pilot",
        "europe-west4/wide",
    ]
    pilot, scaled = found["europe-west1/pilot"], found["europe-west1-b/scaled"]
    wide, seed = found["europe-west4/wide"], found["europe-west1-b/seed"]
    assert all(one["privateClusterConfig"]["enablePrivateNodes"] for one in found.values())

    assert pilot["autopilot"]["enabled"]
    assert pilot["releaseChannel"]["channel"] == "RAPID"

    assert scaled["masterAuthorizedNetworksConfig"]["cidrBlocks"] == [
        {"displayName": "office", "cidrBlock": "198.51.100.0/24"}
    ]
    window = scaled["maintenancePolicy"]["window"]["dailyMaintenanceWindow"]
    assert window["startTime"] == "03:00"
    assert scaled["resourceLabels"]["team"] == "science"
    pool = scaled["pools"]["main"]
    assert (pool["autoscaling"]["minNodeCount"], pool["autoscaling"]["maxNodeCount"]) == (1, 4)
    assert pool["config"]["spot"]
    assert pool["config"]["serviceAccount"] == NODES

    assert sorted(wide["pools"]) == ["idle", "small"]
    assert len(wide["locations"]) == 3
    assert wide["resourceLabels"]["deletion-protection"] == "true"
    assert wide["resourceLabels"]["ttl"] == "none"

    assert seed["resourceLabels"]["ttl"] == "8h"
    assert seed["releaseChannel"]["channel"] == "REGULAR"
    pool = seed["pools"]["main"]
    assert (pool["config"]["machineType"], pool["initialNodeCount"]) == ("g1-small", 2)
    assert pool["config"]["serviceAccount"] == "default"
    assert "spot" not in pool["config"]
    assert not pool["autoscaling"].get("enabled")
    assert not seed["masterAuthorizedNetworksConfig"].get("enabled")
    assert "window" not in seed["maintenancePolicy"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """Two clusters that are wanted and not there."""
    with playing(tmp_path_factory.mktemp("two"), "one", "other") as play:
        yield play


# What is wrong, for one of the clusters: its variables, and what the sentence names.
WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no project": ({"gcp_project": ""}, ["gcp_project is empty", "GCP_PROJECT"]),
    "no key": (
        {"gcp_service_account_file": ""},
        ["gcp_service_account_file is empty", "gcloud auth application-default login"],
    ),
    "a key's file that is not there": (
        {"gcp_service_account_file": "/nowhere/key.json"},
        ["/nowhere/key.json cannot be read", "GCP_SERVICE_ACCOUNT_FILE"],
    ),
    "a file that is no key": (
        {"gcp_service_account_file": str(ROOT / "site.yml")},
        ["site.yml is no key of a service account", "GCP_SERVICE_ACCOUNT_FILE"],
    ),
    "no token": (
        {"gcp_auth_kind": "accesstoken", "gcp_service_account_file": ""},
        ["There is no access token", "GCP_ACCESS_TOKEN"],
    ),
    "no location": (
        {"gcp_location": "Belgium"},
        ["'Belgium'", "gcp_location", "europe-west1-b"],
    ),
    "no registry": ({"image_registry": ""}, ["image_registry is empty", "docker.io/ACCOUNT"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_filled_in_stops_all(two: Play, case: str) -> None:
    variables, words = WRONG[case]
    two.clusters["other"] = variables
    try:
        run = two.run()
    finally:
        two.clusters["other"] = {}
    assert run.status != 0
    assert (run.changed, two.calls()) == ([], [])
    assert len(run.failure.splitlines()) == 1, run.failure
    for word in words:
        assert word in run.failure
