"""The stages of site.yml on GKE: inputs, plan, access, existing clusters, expiry, teardown."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.docker_ml_api.gke import operations, urls
from ansible.module_utils.docker_ml_api.google.api import GoogleSession

from support import ROOT, gke_examples
from support.ansible_run import PLAYBOOK, Run, run_playbook
from support.gke_play import LOCATION, Play, playing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRICES = """\
lists:
  - source: {about: our contract, seen: 2026-11-01}
    forwarding_rule_hour: {first_five: 0.025, each_further: 0.01}
"""
NODES = "nodes@docker-ml-api-rehearsal.iam.gserviceaccount.com"


def shown(play: Play, *arguments: str) -> str:
    """Run site.yml; return the output that users read."""
    play.google.forget_requests()
    done = subprocess.run(
        [PLAYBOOK, *play.arguments(*arguments)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def found_by_google(play: Play, *arguments: str, **environment: str) -> Run:
    """Run site.yml on the clusters that exist in the project."""
    play.google.forget_requests()
    return run_playbook(
        f"--inventory={ROOT}/inventory/gke_clusters.yml",
        *arguments,
        str(ROOT / "site.yml"),
        **play.google.environment,
        **environment,
    )


def create(play: Play, name: str, monkeypatch: pytest.MonkeyPatch, **labels: str) -> None:
    """Create a cluster with these labels, and with our label unless they override it."""
    body = {
        "name": name,
        "resourceLabels": {"managed-by": "docker-ml-api", **labels},
        "nodePools": [{"name": "main", "initialNodeCount": 1}],
    }
    with at_google(play, monkeypatch) as session:
        url = urls.clusters(session.project, LOCATION)
        wait(session, session.request("POST", url, {"cluster": body}))


def delete(play: Play, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete a cluster and nothing else, like a user who deletes it manually."""
    with at_google(play, monkeypatch) as session:
        wait(session, session.request("DELETE", urls.cluster(session.project, LOCATION, name)))


@contextlib.contextmanager
def at_google(play: Play, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleSession]:
    """Open a session with the double."""
    login = {"auth_kind": "serviceaccount", "service_account_file": str(play.google.key_file)}
    with monkeypatch.context() as patch:
        for key, value in play.google.environment.items():
            patch.setenv(key, value)
        with contextlib.closing(
            GoogleSession({"project": play.google.project, **login})
        ) as session:
            yield session


def wait(session: GoogleSession, operation: dict[str, Any]) -> None:
    """Wait for the operation's end."""
    operations.wait(session, LOCATION, operation, operations.Deadline(session, 60))


def age(play: Play, name: str, hours: int = 9) -> None:
    """Make a cluster older."""
    play.google.world.state.clusters[f"{LOCATION}/{name}"]["created"] -= 3600 * hours


def live(play: Play) -> dict[str, dict[str, Any]]:
    """Return Google's clusters: LOCATION/CLUSTER → the cluster, with its pools by name."""
    return {
        where: {**record["live"], "pools": {k: v["live"] for k, v in record["pools"].items()}}
        for where, record in play.google.world.dump()["clusters"].items()
    }


# --- Inputs


def test_every_fact_reaches_its_cluster(tmp_path: Path) -> None:
    """Also a fact given as text with -e; Google decides about what is omitted."""
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
    """Two clusters of the inventory that do not exist."""
    with playing(tmp_path_factory.mktemp("two"), "one", "other") as play:
        yield play


# Problems that are detected together: the cluster's variables, and parts of the message.
WRONG: dict[str, dict[str, tuple[dict[str, Any], list[str]]]] = {
    "what there is no login without": {
        "project": ({"gcp_project": ""}, ["gcp_project is empty", "GCP_PROJECT"]),
        "key": (
            {"gcp_service_account_file": ""},
            ["gcp_service_account_file is empty", "gcloud auth application-default login"],
        ),
        "token": (
            {"gcp_auth_kind": "accesstoken", "gcp_service_account_file": ""},
            ["There is no access token", "GCP_ACCESS_TOKEN"],
        ),
    },
    "what Google cannot be asked with": {
        "file": (
            {"gcp_service_account_file": "/nowhere/key.json"},
            ["/nowhere/key.json cannot be read", "GCP_SERVICE_ACCOUNT_FILE"],
        ),
        "no-key": (
            {"gcp_service_account_file": str(ROOT / "site.yml")},
            ["site.yml is no key of a service account", "GCP_SERVICE_ACCOUNT_FILE"],
        ),
        "place": (
            {"gcp_location": "Belgium"},
            ["'Belgium' (gcp_location)", "europe-west1-b"],
        ),
    },
    "what the workloads need": {
        "registry": ({"image_registry": ""}, ["image_registry is empty", "docker.io/ACCOUNT"]),
    },
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_filled_in_stops_all(two: Play, case: str) -> None:
    """Each has its own message, and clusters without a problem are not created either."""
    wrong = WRONG[case]
    good = two.names
    two.clusters |= {name: variables for name, (variables, _) in wrong.items()}
    try:
        run = two.run()
    finally:
        for name in wrong:
            del two.clusters[name]
    assert run.status != 0
    assert (run.changed, two.calls()) == ([], [])
    sentences = run.failure.splitlines()
    assert len(sentences) == len(wrong), run.failure
    for _, words in wrong.values():
        assert [all(word in one for word in words) for one in sentences].count(True) == 1, words
    assert {run.report["stats"][name]["changed"] for name in good} == {0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """Two existing clusters."""
    with (
        playing(tmp_path_factory.mktemp("made"), "one", "other") as play,
        pytest.MonkeyPatch.context() as patch,
    ):
        with at_google(play, patch) as session:
            for name in play.names:
                gke_examples.make(session, gke_examples.wanted({"nodes": 1}, name=name))
        yield play


# --- Plan and budget


def test_before_anything_is_there(two: Play, tmp_path: Path) -> None:
    """Check mode covers the whole run, and applies a budget with custom prices."""
    prices = tmp_path / "prices.yml"
    prices.write_text(PRICES)
    two.variables |= {"gke_prices_file": str(prices), "gke_budget_monthly": 180}

    run = two.run("--check", "--diff", "--tags=all")
    assert run.status != 0
    assert (run.changed, two.calls()) == ([], [])
    # The budget is for both together; each alone is within it.
    assert "would cost 226.70 USD a month, more than gke_budget_monthly (180.00 USD)" in run.failure
    assert "one 113.35, other 113.35" in run.failure

    two.variables["gke_free_tier"] = True
    two.variables["gke_budget_monthly"] = 200
    run = two.succeed("--check", "--diff", "--tags=all")
    assert two.calls() == []
    assert run.changed == ["gke_cluster : Compare with the live cluster"] * 2
    for name in two.names:
        assert f"{name} is not there yet; it would carry hello-web." in run.messages


def test_the_plan_of_a_change(made: Play) -> None:
    made.clusters["one"] = {"gke_labels": {"team": "science"}, "gke_nodes": 2}
    try:
        text = shown(made, "--tags=clusters,plan", "--check", "--diff")
    finally:
        made.clusters["one"] = {}
    assert made.calls() == []
    assert "    -node_pools.main.nodes: 1\n    +node_pools.main.nodes: 2\n" in text
    assert "    +labels.team: science\n" in text
    lines = text[text.index("    CLUSTER ") :].splitlines()[:8]
    assert [" ".join(line.split()) for line in lines] == [
        "CLUSTER POOL ACTION WHAT USD A MONTH",
        "one change standard, europe-west1-b, REGULAR at least 73.00",
        "labels.team: none → science",
        "one main change 2 x e2-small, 50 GiB pd-balanced 44.21",
        "nodes: 1 → 2",
        "other keep standard, europe-west1-b, REGULAR at least 73.00",
        "other main keep 1 x e2-small, 50 GiB pd-balanced 22.10",
        "total at least 212.31",
    ]
    # The amounts are aligned: nothing is wrapped or quoted.
    assert len({len(line) for line in lines if line[-1].isdigit() and "→" not in line}) == 1


# --- Access


def test_a_kubeconfig_for_people(made: Play, tmp_path: Path) -> None:
    """Only the owner can read it, kubectl accepts it, and a foreign file is not changed."""
    mine, foreign = tmp_path / "mine", tmp_path / "foreign"
    foreign.write_text("apiVersion: v1\n")
    made.clusters["one"] = {"gke_cluster_kubeconfig_path": str(mine)}
    made.clusters["other"] = {"gke_cluster_kubeconfig_path": str(foreign)}
    try:
        failure = made.fail("--tags=kubeconfig")
    finally:
        made.clusters |= {"one": {}, "other": {}}
    assert f"{foreign} is somebody else's kubeconfig" in failure
    assert "gke_cluster_kubeconfig_path" in failure
    assert foreign.read_text() == "apiVersion: v1\n"
    assert made.calls() == []
    assert mine.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        ["kubectl", f"--kubeconfig={mine}", "get", "--raw=/version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert '"gitVersion"' in said.stdout, said.stderr


@pytest.mark.parametrize(
    "secret", ["gke_cluster_access_token", "gke_cluster_service_account_contents"]
)
def test_a_secret_given_as_a_variable_goes_with_the_run(
    made: Play, tmp_path: Path, secret: str
) -> None:
    """Its file is removed even if the run fails for all hosts after using the secret."""
    token = secret.endswith("token")
    made.variables = {
        "gcp_auth_kind": "accesstoken" if token else "serviceaccount",
        "gcp_service_account_file": "",
        secret: made.google.access_token() if token else made.google.key_file.read_text(),
    }
    # Left behind by a killed run.
    left = tmp_path / f"docker-ml-api-{os.getuid()}" / "run-4194305"
    left.mkdir(parents=True, mode=0o700)
    left.parent.chmod(0o700)
    (left / "google-0").touch()
    try:
        run = made.run("--tags=check", XDG_RUNTIME_DIR=str(tmp_path))
    finally:
        made.variables = {}
    # The cluster was queried, and lacks the workload.
    assert run.status != 0
    assert "hello-web" in run.failure
    assert list(tmp_path.iterdir()) == []


# --- Clusters of other inventories


def test_what_is_found_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing(tmp_path) as play:
        create(play, "lone", monkeypatch)
        create(play, "theirs", monkeypatch, **{"managed-by": "somebody"})
        path = f"gke_cluster_kubeconfig_path={tmp_path}/kubeconfig"

        run = found_by_google(play)
        assert run.status != 0
        assert (run.changed, play.calls()) == ([], [])
        [said] = run.failure.splitlines()
        assert said.startswith("lone was found in the project")
        assert "inventory/gke.yml" in said

        run = found_by_google(play, "--tags=plan,check,kubeconfig", "-e", path).ok()
        assert play.calls() == []
        assert "default/hello-web is not on lone." in str(run.messages)
        [table] = [text for text in run.messages if text.startswith("CLUSTER")]
        assert [line.split()[:3] for line in table.splitlines()[1:3]] == [
            ["lone", "keep", "standard,"],
            ["lone", "main", "keep"],
        ]
        assert "theirs" not in run.text
        assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600

        run = found_by_google(play, "--tags=teardown", "--check").ok()
        assert run.changed
        assert play.calls() == []
        found_by_google(play, "--tags=teardown").ok()
        assert play.calls() == ["delete lone"]
        assert list(play.state()) == [f"{LOCATION}/theirs", "theirs/main"]

        run = found_by_google(play, "--tags=teardown").ok()
        assert play.calls() == []
        words = " ".join(run.text.split())
        assert f"project {play.google.project} has no GKE clusters with the label" in words
        assert "(1 others are left alone)" in words


# --- Expiry and teardown


def test_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protected = {"deletion-protection": "true"}
    with playing(tmp_path, "over", "young", "kept") as play:
        create(play, "over", monkeypatch, ttl="8h")
        create(play, "young", monkeypatch, ttl="2d")
        create(play, "kept", monkeypatch, ttl="8h", **protected)
        create(play, "stray", monkeypatch, ttl="8h")
        create(play, "theirs", monkeypatch, ttl="8h", **{"managed-by": "somebody"})
        for name in ("over", "young", "kept", "stray", "theirs"):
            age(play, name)

        run = play.run("--tags=expire")
        assert play.calls() == ["delete over"]
        assert run.status != 0
        assert "Cluster kept in europe-west1-b is protected against deletion" in run.failure
        [said] = [text for text in run.messages if "time of other clusters" in text]
        assert f": stray in {LOCATION} of project {play.google.project}. Remove them with " in said
        assert said.endswith("-i inventory/gke_clusters.yml site.yml --tags expire")

        found_by_google(play, "--tags=expire")
        assert play.calls() == ["delete stray"]
        assert sorted(live(play)) == [f"{LOCATION}/{name}" for name in ("kept", "theirs", "young")]


def test_what_a_teardown_in_the_wrong_order_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, "one", "theirs") as play:
        play.variables["gke_cluster_leftovers_timeout"] = 0
        create(play, "theirs", monkeypatch, **{"managed-by": "somebody"})
        create(play, "one", monkeypatch)
        before = set(play.direct("show")["compute"])
        for thing in ("Service", "Ingress"):
            play.direct("attach", cluster="one", object=thing, namespace="default", name="api")
        play.direct("attach", cluster="one", object="Volume", namespace="default", claim="data")
        made = set(play.direct("show")["compute"]) - before
        delete(play, "one", monkeypatch)
        left = set(play.direct("show")["compute"]) & made
        assert len(left) >= 10

        failure = play.fail("--tags=teardown")
        assert play.calls() == []
        for path in left:
            assert f" {path.rpartition('/')[2]} " in failure
        assert failure.count("gcloud compute ") == len(left)
        assert "gke_cluster_sweep: true" in failure
        assert "Cluster theirs in europe-west1-b is not deleted" in failure

        run = play.run("--tags=teardown", "-e", "gke_cluster_sweep=true")
        assert "Cluster theirs in europe-west1-b is not deleted" in run.failure
        assert not set(play.direct("show")["compute"]) & made
        assert list(live(play)) == [f"{LOCATION}/theirs"]


def test_a_cluster_whose_api_server_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, "one", endpoint="127.0.0.1:1") as play:
        create(play, "one", monkeypatch)
        failure = play.fail("--tags=teardown")
        assert play.calls() == []
        assert "127.0.0.1:1" in failure
        assert "gke_cluster_resources_first: false" in failure

        play.succeed("--tags=teardown", "-e", "gke_cluster_resources_first=false")
        assert play.calls() == ["delete one"]
        play.settled("--tags=teardown")
