"""The inventory plugin against a double of Google's APIs."""

import json
import os
import subprocess
import sys

import gke_cluster_changes
import gke_plan
import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.module_utils.docker_ml_api.gke import urls
from ansible.module_utils.docker_ml_api.google.api import GoogleSession
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

from rehearsal.gke.clock import StandingClock
from support import ROOT, gke_double
from support.api_server import Answer, serving
from support.run_module import run_module

OURS = {"managed-by": "docker-ml-api", "created-at": "20261122t220500z", "ttl": "8h"}
LABELS = OURS | {"team": "science"}
LOGIN = ("GCP_PROJECT", "GCP_AUTH_KIND", "GCP_SERVICE_ACCOUNT_FILE", "GCP_ACCESS_TOKEN")
VARIABLES = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}

inventory_loader.add_directory(str(ROOT / "inventory_plugins"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (*LOGIN, "GCP_SERVICE_ACCOUNT_CONTENTS", "GCP_SCOPES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    """Yield a project with two clusters of ours and one of another owner."""
    folder = tmp_path_factory.mktemp("google")
    with gke_double.running(folder, clock=StandingClock()) as running:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in running.environment.items():
                patch.setenv(name, value)
            create(running, "hello-cluster", "europe-west1-b", resourceLabels=LABELS)
            create(running, "model-test-cluster", "us-central1", resourceLabels=OURS)
            create(running, "theirs", "europe-west1-c", resourceLabels={"team": "other"})
        yield running


def create(google, name, location, nodes=2, **fields):
    """Create a cluster by a request to the API, and end its operation."""
    login = {
        "project": google.project,
        "auth_kind": "serviceaccount",
        "service_account_file": str(google.key_file),
    }
    session = GoogleSession(login)
    if not (fields.get("autopilot") or {}).get("enabled"):
        fields["initialNodeCount"] = nodes
    body = {"cluster": {"name": name, **fields}}
    session.request("POST", urls.clusters(google.project, location), body)
    session.close()
    google.clock.advance(60)


@pytest.fixture
def at_google(google, monkeypatch):
    for name, value in google.environment.items():
        monkeypatch.setenv(name, value)
    google.forget_requests()
    google.clear_faults()
    return google


@pytest.fixture
def read(tmp_path):
    """Return a function that reads an inventory with the plugin and returns hosts and groups."""

    def parse(*, flush=False, **options):
        path = tmp_path / "gke_clusters.yml"
        path.write_text(yaml.safe_dump({"plugin": "gke_clusters", **options}))
        found = InventoryData()
        plugin = inventory_loader.get("gke_clusters")
        assert plugin.verify_file(str(path))
        plugin.parse(found, DataLoader(), str(path), cache=not flush)
        if options.get("cache"):
            plugin.update_cache_if_changed()
        found.reconcile_inventory()
        return found

    return parse


def members(found):
    """Return the hosts of each group, including those of its children."""
    return {
        name: sorted(str(host) for host in group.get_hosts())
        for name, group in found.groups.items()
        if name not in {"all", "ungrouped"}
    }


def variables(found, host):
    own = found.get_host(host).get_vars()
    return {
        key: value
        for key, value in own.items()
        if key.startswith(("ansible_connection", "ansible_python", "gcp_", "gke_"))
    }


def test_the_clusters_of_ours(at_google, read):
    found = read()
    hosts = ["hello-cluster", "model-test-cluster"]
    assert members(found) == {"gke_clusters": hosts, "clusters": hosts, "gke": hosts}
    hello = variables(found, "hello-cluster")
    version = hello.pop("gke_live_version")
    assert version.startswith("1.")
    assert hello == VARIABLES | {
        "gcp_project": at_google.project,
        "gcp_location": "europe-west1-b",
        "gcp_auth_kind": "serviceaccount",
        "gcp_service_account_file": str(at_google.key_file),
        "gke_cluster_options": {
            "mode": "standard",
            "release_channel": "REGULAR",
            "ttl": "8h",
            "deletion_protection": False,
            "labels": {"team": "science"},
            "private_nodes": False,
            "node_pools": [
                {
                    "name": "default-pool",
                    "machine_type": "e2-medium",
                    "nodes": 2,
                    "locations": ["europe-west1-b"],
                    "spot": False,
                    "disk_type": "pd-balanced",
                    "disk_size_gb": 100,
                }
            ],
        },
        "gke_cluster_found": True,
        "gke_cluster_name": "hello-cluster",
        "gke_cluster_location": "europe-west1-b",
        "gke_live_status": "RUNNING",
        "gke_live_labels": LABELS,
        "gke_live_mode": "standard",
        "gke_live_nodes": 2,
        "gke_live_ours": True,
    }
    asked = [one for one in at_google.requests() if one["api"] == "container"]
    assert [one["method_id"] for one in asked] == ["container.projects.locations.clusters.list"]
    assert at_google.mutations() == []


@pytest.mark.usefixtures("at_google")
def test_those_of_others_when_asked_for(read):
    found = read(only_ours=False)
    assert members(found)["gke_clusters"] == ["hello-cluster", "model-test-cluster", "theirs"]
    assert [variables(found, host)["gke_live_ours"] for host in members(found)["gke_clusters"]] == [
        True,
        True,
        False,
    ]


@pytest.mark.usefixtures("at_google")
def test_ours_by_another_label(read):
    assert members(read(managed_by="somebody"))["gke_clusters"] == []


# Case: (locations, the clusters there)
LOCATIONS = {
    "anywhere": ([], ["hello-cluster", "model-test-cluster"]),
    "a zone": (["europe-west1-b"], ["hello-cluster"]),
    "the zones of a region": (["europe-west1"], ["hello-cluster"]),
    "a region": (["us-central1"], ["model-test-cluster"]),
    "another zone of the region": (["us-central1-a", "europe-west1-c"], []),
}


@pytest.mark.usefixtures("at_google")
@pytest.mark.parametrize("case", LOCATIONS)
def test_locations(read, case):
    locations, hosts = LOCATIONS[case]
    assert members(read(locations=locations))["gke_clusters"] == hosts


@pytest.mark.usefixtures("at_google")
def test_groups_and_variables_of_ones_own(read):
    found = read(
        strict=True,
        parent_groups=["cloud"],
        keyed_groups=[
            {"prefix": "location", "key": "gke_cluster_location"},
            {"prefix": "", "separator": "", "key": "region"},
        ],
        groups={"short_lived": "gke_live_labels.ttl != 'none'"},
        compose={"region": "gke_cluster_location | regex_replace('-[a-z]$')"},
    )
    both = ["hello-cluster", "model-test-cluster"]
    assert members(found) == {
        "gke_clusters": both,
        "cloud": both,
        "location_europe_west1_b": ["hello-cluster"],
        "location_us_central1": ["model-test-cluster"],
        "europe_west1": ["hello-cluster"],
        "us_central1": ["model-test-cluster"],
        "short_lived": both,
    }
    assert found.get_host("hello-cluster").get_vars()["region"] == "europe-west1"


@pytest.mark.usefixtures("at_google")
def test_expressions_that_are_wrong(read):
    with pytest.raises(AnsibleError, match="is undefined"):
        read(strict=True, compose={"region": "no_such_variable"})
    assert members(read(compose={"region": "no_such_variable"}))["gke_clusters"]


def test_the_cache(at_google, read, tmp_path, monkeypatch):
    options = {
        "cache": True,
        "cache_plugin": "jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    first = members(read(**options))
    assert at_google.requests() != []
    at_google.forget_requests()
    # The filters apply to cached clusters, too.
    assert members(read(**options)) == first
    assert members(read(**options, locations=["us-central1"]))["gke_clusters"] == [
        "model-test-cluster"
    ]
    assert at_google.requests() == []
    kept = "".join(path.read_text() for path in (tmp_path / "cache").iterdir())
    assert "hello-cluster" in kept
    assert "PRIVATE KEY" not in kept
    # --flush-cache, and another project with the same inventory file
    read(flush=True, **options)
    assert at_google.requests() != []
    at_google.forget_requests()
    monkeypatch.setenv("GCP_PROJECT", "another-project")
    with pytest.raises(AnsibleParserError, match="another-project"):
        read(**options)
    assert at_google.requests() != []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "project is not set: write it there, or set GCP_PROJECT"),
        ({"project": "p"}, "auth_kind is not set: write it there, or set GCP_AUTH_KIND"),
        (
            {"project": "p", "auth_kind": "serviceaccount", "service_account_file": "/nowhere"},
            "/nowhere",
        ),
        (
            {
                "project": "p",
                "auth_kind": "serviceaccount",
                "service_account_contents": {"type": "service_account"},
            },
            "What service_account_contents holds is no key of a service account",
        ),
    ],
)
def test_a_login_that_is_missing(read, options, said):
    with pytest.raises(AnsibleParserError) as error:
        read(**options)
    assert said in str(error.value)
    assert "gke_clusters.yml: " in str(error.value)


def test_a_key_in_the_environment(at_google, read, monkeypatch):
    monkeypatch.delenv("GCP_SERVICE_ACCOUNT_FILE")
    monkeypatch.setenv("GCP_SERVICE_ACCOUNT_CONTENTS", at_google.key_file.read_text())
    assert members(read())["gke_clusters"]


def test_a_token(at_google, read, monkeypatch):
    monkeypatch.delenv("GCP_SERVICE_ACCOUNT_FILE")
    monkeypatch.setenv("GCP_ACCESS_TOKEN", at_google.access_token())
    assert members(read(auth_kind="accesstoken"))["gke_clusters"]


@pytest.mark.usefixtures("at_google")
def test_a_project_that_is_not_there(read):
    with pytest.raises(AnsibleParserError, match="no project somebody-elses that this login"):
        read(project="somebody-elses")


def test_a_refusal(at_google, read):
    at_google.fault("permission-denied", method="clusters.list")
    with pytest.raises(AnsibleParserError, match=r"lacks the permission container\.clusters\.list"):
        read()
    assert members(read())["gke_clusters"]


def test_a_limit_of_requests_is_waited_for(at_google, read):
    at_google.fault("rate-limit", method="clusters.list", retry_after=0)
    assert members(read(retry_seconds=30))["gke_clusters"]


@pytest.fixture
def telling(monkeypatch):
    """Return functions that serve a list of clusters, and replace Google's API by a server."""

    @staticmethod
    def _serve(answer):
        return serving(lambda _: Answer(answer))

    def patch(url):
        monkeypatch.setattr(urls, "CONTAINER", url)
        monkeypatch.setenv("GCP_PROJECT", "p")
        monkeypatch.setenv("GCP_AUTH_KIND", "accesstoken")
        monkeypatch.setenv("GCP_ACCESS_TOKEN", "token")

    return _serve, patch


def told(name, location, **fields):
    return {"name": name, "location": location, "resourceLabels": OURS, **fields}


def test_clusters_with_the_same_name(telling, read):
    serve, patch = telling
    clusters = [
        told("twin", "europe-west1-c", status="STOPPING"),
        told("single", "us-central1", autopilot={"enabled": True}, status="RUNNING"),
        told("twin", "europe-west1-b"),
    ]
    with serve({"clusters": clusters}) as server:
        patch(server.url)
        found = read()
    assert members(found)["gke_clusters"] == [
        "single",
        "twin.europe-west1-b",
        "twin.europe-west1-c",
    ]
    assert variables(found, "twin.europe-west1-c") == VARIABLES | {
        "gcp_project": "p",
        "gcp_location": "europe-west1-c",
        "gcp_auth_kind": "accesstoken",
        "gcp_service_account_file": "",
        "gke_cluster_options": {
            "mode": "standard",
            "release_channel": "NONE",
            "ttl": "8h",
            "deletion_protection": False,
            "labels": {},
            "private_nodes": False,
            "node_pools": [],
        },
        "gke_cluster_found": True,
        "gke_cluster_name": "twin",
        "gke_cluster_location": "europe-west1-c",
        "gke_live_status": "STOPPING",
        "gke_live_labels": OURS,
        "gke_live_mode": "standard",
        "gke_live_version": "",
        "gke_live_nodes": 0,
        "gke_live_ours": True,
    }
    assert variables(found, "single")["gke_live_mode"] == "autopilot"
    assert variables(found, "twin.europe-west1-b")["gke_live_status"] == "STATUS_UNSPECIFIED"


def test_zones_that_did_not_answer(telling, read):
    """An incomplete list is an error: a teardown would leave the missing clusters."""
    serve, patch = telling
    answer = {"clusters": [told("seen", "europe-west1-b")], "missingZones": ["us-east1-b"]}
    with serve(answer) as server:
        patch(server.url)
        with pytest.raises(AnsibleParserError, match="could not tell the clusters in us-east1-b"):
            read()
        assert members(read(locations=["europe-west1"]))["gke_clusters"] == ["seen"]
        with pytest.raises(AnsibleParserError, match="us-east1-b"):
            read(locations=["us-east1"])


def test_as_ansible_reads_the_file_of_the_repository(at_google):
    run = subprocess.run(
        ["ansible-inventory", "-i", "inventory/gke_clusters.yml", "--list"],
        cwd=ROOT,
        env={**os.environ, **at_google.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    # Ansible marks values from Google as text that is not a template.
    found = json.loads(run.stdout, object_hook=lambda one: one.get("__ansible_unsafe", one))
    assert found["gke_clusters"]["hosts"] == ["hello-cluster", "model-test-cluster"]
    assert found["gke_status_running"]["hosts"] == found["gke_clusters"]["hosts"]
    host = found["_meta"]["hostvars"]["model-test-cluster"]
    assert host["gke_cluster_location"] == "us-central1"
    # The variables of inventory/group_vars/clusters.yml apply to them.
    assert host["workload_labels"]


def test_a_file_that_cannot_be_read_ends_the_run(at_google):
    run = subprocess.run(
        ["ansible-inventory", "-i", "inventory/gke_clusters.yml", "--list"],
        cwd=ROOT,
        env={**os.environ, **at_google.environment, "GCP_PROJECT": "somebody-elses"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "no project somebody-elses" in " ".join(run.stderr.split())


def test_a_pool_is_told_as_far_as_it_costs_money(telling, read):
    config = {"machineType": "n2-standard-4", "diskType": "pd-ssd", "diskSizeGb": 20, "spot": True}
    scaling = {"enabled": True, "minNodeCount": 1, "maxNodeCount": 5}
    for_all = {"enabled": True, "totalMinNodeCount": 1, "totalMaxNodeCount": 9}
    pools = [
        {"name": "big", "config": config, "initialNodeCount": 2, "autoscaling": scaling},
        {"name": "plain", "locations": ["europe-west1-c"], "autoscaling": for_all},
    ]
    network = {"defaultEnablePrivateNodes": True}
    one = told("one", "europe-west1", nodePools=pools, networkConfig=network)
    pilot = told("pilot", "europe-west1", autopilot={"enabled": True}, nodePools=pools)
    serve, patch = telling
    with serve({"clusters": [one, pilot]}) as server:
        patch(server.url)
        found = read()
    options = found.get_host("one").get_vars()["gke_cluster_options"]
    assert options["private_nodes"]
    big, plain = options["node_pools"]
    assert big == {
        "name": "big",
        "machine_type": "n2-standard-4",
        "nodes": 2,
        "locations": [],
        "spot": True,
        "disk_type": "pd-ssd",
        "disk_size_gb": 20,
        "autoscaling": {"min": 1, "max": 5},
    }
    assert (plain["nodes"], plain["locations"]) == (0, ["europe-west1-c"])
    assert "autoscaling" not in plain
    assert found.get_host("pilot").get_vars()["gke_cluster_options"]["node_pools"] == []


# Case: (options, the warning if there is no cluster)
NONE = {
    "of ours": (
        {"managed_by": "tom"},
        "project p has no GKE clusters with the label managed-by=tom (1 others are left alone).",
    ),
    "there": (
        {"managed_by": "tom", "locations": ["us-east1"]},
        "project p has no GKE clusters with the label managed-by=tom in us-east1 (1 others",
    ),
    "at all": (
        {"only_ours": False, "locations": ["us-east1"]},
        "project p has no GKE clusters in us-east1 (1 others are left alone).",
    ),
}


@pytest.mark.parametrize("case", NONE)
def test_that_there_is_none_is_said(telling, read, case, monkeypatch):
    options, said = NONE[case]
    warnings = []
    monkeypatch.setattr(Display, "warning", lambda _, text, **__: warnings.append(text))
    serve, patch = telling
    with serve({"clusters": [told("seen", "europe-west1-b")]}) as server:
        patch(server.url)
        read()
        assert warnings == []
        read(**options)
    [warning] = warnings
    assert warning.partition(".yml: ")[2].startswith(said)


def test_the_options_are_what_is_there(tmp_path, monkeypatch, capsys, read):
    """An Autopilot cluster's options change nothing; those of others yield a plan with prices."""
    labels = LABELS | {"deletion-protection": "true", "ttl": "none"}
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        for name, value in google.environment.items():
            monkeypatch.setenv(name, value)
        create(google, "hello-cluster", "europe-west1-b", resourceLabels=LABELS)
        create(
            google,
            "pilot",
            "us-east1",
            autopilot={"enabled": True},
            releaseChannel={"channel": "RAPID"},
            resourceLabels=labels,
        )
        found = read()
        wanted = {}
        for host in ("pilot", "hello-cluster"):
            known = found.get_host(host).get_vars()
            place = {"name": known["gke_cluster_name"], "location": known["gke_cluster_location"]}
            wanted[host] = {**known["gke_cluster_options"], **place}
        pilot = run_module(gke_cluster_changes, capsys, cluster=wanted["pilot"])
    assert not pilot.get("failed"), pilot
    assert (pilot["updates"], pilot["create"]["cluster"]) == ([], None)
    same = {key: pilot[key] for key in ("exists", "create", "updates", "replace", "delete")}
    prices = str(ROOT / "roles/gke_cluster/files/prices.yml")
    hello = run_module(
        gke_plan, capsys, cluster=wanted["hello-cluster"], changes=same, price_file=prices
    )
    rows = [(one["pool"], one["action"], one["what"]) for one in hello["plan"]["rows"]]
    assert rows == [
        ("", "keep", "standard, europe-west1-b, REGULAR"),
        ("default-pool", "keep", "2 x e2-medium, 100 GiB pd-balanced"),
    ]
