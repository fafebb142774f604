"""Create requests, compared with google.cloud's modules and Google's discovery document."""

import importlib
import json
from datetime import UTC, datetime
from pathlib import Path

import googleapiclient
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.docker_ml_api.gke import create_request

from support import gke_examples as examples

NOW = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
DOCUMENT = json.loads(
    (
        Path(googleapiclient.__file__).parent / "discovery_cache/documents/container.v1.json"
    ).read_text(encoding="utf-8")
)
EVERYTHING = {
    "kubernetes_version": "1.34",
    "network": "ml",
    "subnetwork": "ml",
    "pod_range": "10.8.0.0/14",
    "service_range": "services",
    "locations": [examples.LOCATION, "europe-west1-c"],
    "private_nodes": True,
    "private_endpoint": True,
    "control_plane_range": "172.16.0.0/28",
    "authorized_networks": [{"name": "office", "cidr": "203.0.113.0/24"}, {"cidr": "::/0"}],
    "maintenance_window": {"start": "03:00", "recurrence": "FREQ=WEEKLY;BYDAY=SA"},
    "logging": ["SYSTEM_COMPONENTS"],
    "monitoring": ["SYSTEM_COMPONENTS"],
    "labels": {"camelKey": "x"},
}
FULL_POOL = {
    "autoscaling": {"min": 0, "max": 4},
    "service_account": "nodes@my-project.iam.gserviceaccount.com",
    "labels": {"camelKey": "X"},
    "taints": [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}],
    "tags": ["ml"],
}


def created(*pools, **values):
    return create_request.create_cluster(examples.wanted(*pools, **values), "p", "us", NOW)


def pool_of(**values):
    cluster = examples.wanted(values)
    return create_request.create_pool(cluster["node_pools"][0], cluster)


def module_options(name, monkeypatch):
    """The argument spec of a module of google.cloud."""
    module = importlib.import_module(f"ansible_collections.google.cloud.plugins.modules.{name}")
    seen = {}

    class SeenError(Exception):
        pass

    def init(_module, *_args, **given):
        seen.update(given["argument_spec"])
        raise SeenError

    with monkeypatch.context() as patch:
        patch.setattr(AnsibleModule, "__init__", init)
        with pytest.raises(SeenError):
            module.main()
    return {key: value for key, value in seen.items() if key not in ("auth_kind", "env_type")}


def accepted(name, parameters, monkeypatch):
    result = ArgumentSpecValidator(module_options(name, monkeypatch)).validate(parameters)
    return result.error_messages


CLUSTERS = {"the seed's": ([{}], {}), "with everything": ([FULL_POOL], EVERYTHING)}


@pytest.mark.parametrize(("pools", "values"), CLUSTERS.values(), ids=CLUSTERS)
def test_google_cloud_takes_the_parameters(pools, values, monkeypatch):
    made = created(*pools, **values)
    assert made["by"] == "google_cloud"
    assert accepted("gcp_container_cluster", made["parameters"], monkeypatch) == []


def test_what_google_cloud_would_refuse_is_noticed(monkeypatch):
    wrong = {**created({})["parameters"], "workload_identity_config": {}}
    assert accepted("gcp_container_cluster", wrong, monkeypatch)


@pytest.mark.parametrize("values", [{}, FULL_POOL], ids=["the seed's", "with everything"])
def test_google_cloud_takes_the_pool(values, monkeypatch):
    made = pool_of(**values)
    assert made["by"] == "google_cloud"
    assert made["reasons"] == []
    assert accepted("gcp_container_node_pool", made["parameters"], monkeypatch) == []


def unknown(value, schema, path=""):
    """Yield the fields that Google's document does not contain."""
    properties = DOCUMENT["schemas"][schema]["properties"]
    for key, below in value.items():
        if key not in properties:
            yield f"{path}{key}"
            continue
        told = properties[key]
        inner = told.get("$ref") or told.get("items", {}).get("$ref")
        for one in below if isinstance(below, list) else [below]:
            if inner and isinstance(one, dict):
                yield from unknown(one, inner, f"{path}{key}.")


@pytest.mark.parametrize(
    ("pools", "values"),
    [
        *CLUSTERS.values(),
        ([], {"mode": "autopilot", "location": "europe-west1", **EVERYTHING, "locations": None}),
    ],
)
def test_google_knows_the_fields(pools, values):
    assert list(unknown(created(*pools, **values)["body"], "Cluster")) == []
    assert list(unknown({"nope": 1, "releaseChannel": {"x": 1}}, "Cluster")) == [
        "nope", "releaseChannel.x"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        FULL_POOL,
        {"spot": True, "locations": [examples.LOCATION], "upgrade": {"strategy": "BLUE_GREEN"}},
    ],
)
def test_google_knows_the_pool(values):
    assert list(unknown(pool_of(**values)["body"], "NodePool")) == []


def test_parameters():
    parameters = created(FULL_POOL, **EVERYTHING)["parameters"]
    assert parameters["location"] == examples.LOCATION
    assert parameters["initial_node_count"] == 1
    assert parameters["release_channel"] == {"channel": "REGULAR"}
    assert parameters["shielded_nodes"] == {"enabled": True}
    assert parameters["initial_cluster_version"] == "1.34"
    assert parameters["ip_allocation_policy"] == {
        "use_ip_aliases": True,
        "cluster_ipv4_cidr_block": "10.8.0.0/14",
        "services_secondary_range_name": "services",
    }
    assert parameters["private_cluster_config"] == {
        "enable_private_nodes": True,
        "enable_private_endpoint": True,
        "master_ipv4_cidr_block": "172.16.0.0/28",
    }
    assert parameters["master_authorized_networks_config"] == {
        "enabled": True,
        "cidr_blocks": [
            {"display_name": "office", "cidr_block": "203.0.113.0/24"},
            {"cidr_block": "::/0"},
        ],
    }
    # The keys of labels are the user's and are not converted.
    assert parameters["resource_labels"] == {
        "camelKey": "x", "created-at": "20261122t220500z", "managed-by": "us", "ttl": "none"
    }  # fmt: skip


def test_the_first_pool_is_as_safe_as_the_others():
    config = created(FULL_POOL)["parameters"]["node_config"]
    assert config["service_account"] == FULL_POOL["service_account"]
    assert config["shielded_instance_config"] == {
        "enable_secure_boot": True, "enable_integrity_monitoring": True
    }  # fmt: skip
    assert "taints" not in config


def test_pool_parameters():
    parameters = pool_of(**FULL_POOL)["parameters"]
    assert parameters["cluster"] == {"name": examples.NAME}
    assert parameters["initial_node_count"] == 2
    assert parameters["autoscaling"] == {
        "enabled": True, "min_node_count": 0, "max_node_count": 4
    }  # fmt: skip
    assert parameters["management"] == {"auto_upgrade": True, "auto_repair": True}
    config = parameters["config"]
    assert config["labels"] == {"camelKey": "X"}
    assert config["taints"] == [{"key": "dedicated", "value": "ml", "effect": "NO_SCHEDULE"}]
    assert config["oauth_scopes"] == ["https://www.googleapis.com/auth/cloud-platform"]


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({"spot": True}, ["spot"]),
        ({"locations": [examples.LOCATION]}, ["locations"]),
        ({"upgrade": {"max_surge": 2}}, ["upgrade"]),
        ({"spot": True, "upgrade": {"strategy": "BLUE_GREEN"}}, ["spot", "upgrade"]),
    ],
)
def test_pools_that_need_the_api(values, reasons):
    made = pool_of(**values)
    assert made["by"] == "api"
    assert made["parameters"] is None
    assert made["reasons"] == reasons
    assert made["body"]["config"]["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}


def test_autopilot():
    made = created(mode="autopilot", location="europe-west1")
    assert (made["by"], made["parameters"], made["reasons"]) == ("api", None, ["mode"])
    assert made["body"]["autopilot"] == {"enabled": True}
    for field in ("initialNodeCount", "nodeConfig", "shieldedNodes", "workloadIdentityConfig"):
        assert field not in made["body"]


def test_no_channel_no_identity():
    made = created(release_channel="NONE", workload_identity=False)
    assert made["body"]["releaseChannel"] == {"channel": "UNSPECIFIED"}
    cluster = examples.wanted(workload_identity=False)
    config = create_request.pool_config(cluster["node_pools"][0], cluster)
    assert "workloadMetadataConfig" not in config
