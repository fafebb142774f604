"""Each difference, and the one call that removes it."""

import copy
from datetime import UTC, datetime

import pytest
from ansible.module_utils.docker_ml_api.gke import cluster_options, comparison

from support import gke_examples as examples

PROJECT = "my-project"
US = "docker-ml-api"
NOW = datetime(2026, 11, 22, 22, 5, tzinfo=UTC)
ZONE = examples.LOCATION

# A pool and a cluster as GKE describes them, with all its defaults; zeros are omitted.
POOL = {
    "name": "main",
    "initialNodeCount": 2,
    "autoscaling": {},
    "config": {
        "machineType": "e2-small",
        "diskType": "pd-balanced",
        "diskSizeGb": 50,
        "imageType": "COS_CONTAINERD",
        "oauthScopes": ["https://www.googleapis.com/auth/logging.write"],
        "serviceAccount": "default",
        "metadata": {"disable-legacy-endpoints": "true"},
        "resourceLabels": {"goog-gke-node-pool-provisioning-model": "on-demand"},
        "shieldedInstanceConfig": {
            "enableIntegrityMonitoring": True,
            "enableSecureBoot": True,
        },
        "workloadMetadataConfig": {"mode": "GKE_METADATA"},
        "windowsNodeConfig": {},
    },
    "locations": [ZONE],
    "management": {"autoRepair": True, "autoUpgrade": True},
    "maxPodsConstraint": {"maxPodsPerNode": "110"},
    "upgradeSettings": {"maxSurge": 1, "strategy": "SURGE"},
    "version": "1.34.4-gke.1047000",
    "status": "RUNNING",
}
LIVE = {
    "name": examples.NAME,
    "location": ZONE,
    "locations": [ZONE],
    "status": "RUNNING",
    "addonsConfig": {"gcePersistentDiskCsiDriverConfig": {"enabled": True}},
    "currentMasterVersion": "1.34.4-gke.1047000",
    "initialClusterVersion": "1.34.1-gke.1000",
    "ipAllocationPolicy": {
        "clusterIpv4CidrBlock": "10.8.0.0/14",
        "clusterSecondaryRangeName": "gke-hello-pods-1",
        "servicesIpv4CidrBlock": "34.118.224.0/20",
        "useIpAliases": True,
    },
    "labelFingerprint": "a9dc16a7",
    "loggingConfig": {"componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"]}},
    "maintenancePolicy": {"resourceVersion": "e3b0c442"},
    "masterAuthorizedNetworksConfig": {"gcpPublicCidrsAccessEnabled": True},
    "monitoringConfig": {
        "componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS"]},
        "managedPrometheusConfig": {"enabled": True},
    },
    "network": "default",
    "networkConfig": {
        "network": "projects/my-project/global/networks/default",
        "subnetwork": "projects/my-project/regions/europe-west1/subnetworks/default",
    },
    "nodePools": [POOL],
    "privateClusterConfig": {"privateEndpoint": "10.132.0.2"},
    "releaseChannel": {"channel": "REGULAR"},
    "resourceLabels": {
        "created-at": "20261101t120000z",
        "goog-terraform-provisioned": "true",
        "managed-by": US,
        "ttl": "none",
    },
    "shieldedNodes": {"enabled": True},
    "workloadIdentityConfig": {"workloadPool": "my-project.svc.id.goog"},
}


def merged(below, above):
    """Return `below` updated recursively with `above`; None removes a key, {} empties it."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        elif value and isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def live(pool=None, *others, **cluster):
    pools = [merged(POOL, pool or {}), *(merged(POOL, one) for one in others)]
    return merged({**LIVE, "nodePools": pools}, cluster)


def planned(wanted, there, **options):
    return comparison.plan(wanted, there, PROJECT, US, NOW, **options)


def calls(plan, key="updates"):
    return [(one["call"], one["path"], one["body"]) for one in plan[key]]


def update(**desired):
    return ("clusters.update", "", {"update": desired})


def of_pool(call, body, pool="main"):
    verb = "" if call == "update" else f":{call}"
    return (f"nodePools.{call}", f"/nodePools/{pool}{verb}", body)


def labelled(**labels):
    kept = {"created-at": "20261101t120000z", "goog-terraform-provisioned": "true"}
    ours = {"managed-by": US, "ttl": "none"}
    body = {"resourceLabels": {**ours, **labels, **kept}, "labelFingerprint": "a9dc16a7"}
    return ("clusters.setResourceLabels", ":setResourceLabels", body)


def policy(**window):
    body = {"maintenancePolicy": {"resourceVersion": "e3b0c442", "window": window}}
    return ("clusters.setMaintenancePolicy", ":setMaintenancePolicy", body)


OFFICE = {"name": "office", "cidr": "203.0.113.0/24"}
BLOCK = {"displayName": "office", "cidrBlock": "203.0.113.0/24"}

# What: the wanted cluster's options, the live one's values, the calls, the fields.
CLUSTER = {
    "nothing": ({}, {}, [], []),
    "Google's later version": (
        {"kubernetes_version": "1.34.2"}, {"currentMasterVersion": "1.35.0-gke.1"}, [], []
    ),
    "another creation": ({}, {"resourceLabels": {"created-at": None}}, [], []),
    "a label more": (
        {"labels": {"team": "ml"}},
        {},
        [labelled(team="ml")],
        [("labels.team", None, "ml")],
    ),
    "another label": (
        {"labels": {"team": "ml"}},
        {"resourceLabels": {"team": "web"}},
        [labelled(team="ml")],
        [("labels.team", "web", "ml")],
    ),
    "a label less": (
        {},
        {"resourceLabels": {"team": "web"}},
        [labelled()],
        [("labels.team", "web", None)],
    ),
    "a label that is empty": (
        {"labels": {"team": ""}}, {}, [labelled(team="")], [("labels.team", None, "")]
    ),
    "ttl": ({"ttl": "8h"}, {}, [labelled(ttl="8h")], [("labels.ttl", "none", "8h")]),
    "release channel": (
        {"release_channel": "STABLE"},
        {},
        [update(desiredReleaseChannel={"channel": "STABLE"})],
        [("release_channel", "REGULAR", "STABLE")],
    ),
    "no release channel": (
        {"release_channel": "NONE"},
        {},
        [update(desiredReleaseChannel={"channel": "UNSPECIFIED"})],
        [("release_channel", "REGULAR", "NONE")],
    ),
    "none there, none wanted": (
        {"release_channel": "NONE"}, {"releaseChannel": {}}, [], []
    ),
    "authorized networks": (
        {"authorized_networks": [OFFICE]},
        {},
        [
            update(
                desiredMasterAuthorizedNetworksConfig={
                    "gcpPublicCidrsAccessEnabled": True, "enabled": True, "cidrBlocks": [BLOCK]
                }
            )
        ],
        [("authorized_networks", None, ["203.0.113.0/24 (office)"])],
    ),
    "the same ones, in another order": (
        {"authorized_networks": [OFFICE, {"cidr": "198.51.100.0/24"}]},
        {
            "masterAuthorizedNetworksConfig": {
                "enabled": True, "cidrBlocks": [{"cidrBlock": "198.51.100.0/24"}, BLOCK]
            }
        },
        [],
        [],
    ),
    "the same ones in the newer field": (
        {"authorized_networks": [OFFICE]},
        {
            "masterAuthorizedNetworksConfig": None,
            "controlPlaneEndpointsConfig": {
                "ipEndpointsConfig": {
                    "authorizedNetworksConfig": {"enabled": True, "cidrBlocks": [BLOCK]}
                }
            },
        },
        [],
        [],
    ),
    "nobody": (
        {"authorized_networks": []},
        {"masterAuthorizedNetworksConfig": {"gcpPublicCidrsAccessEnabled": None}},
        [
            update(
                desiredMasterAuthorizedNetworksConfig={"enabled": True, "cidrBlocks": []}
            )
        ],
        [("authorized_networks", None, [])],
    ),
    "everybody": (
        {},
        {"masterAuthorizedNetworksConfig": {"enabled": True, "cidrBlocks": [BLOCK]}},
        [update(desiredMasterAuthorizedNetworksConfig={"enabled": False})],
        [("authorized_networks", ["203.0.113.0/24 (office)"], None)],
    ),
    "private endpoint": (
        {"private_nodes": True, "private_endpoint": True},
        {"networkConfig": {"defaultEnablePrivateNodes": True}},
        [
            update(
                desiredControlPlaneEndpointsConfig={
                    "ipEndpointsConfig": {"enablePublicEndpoint": False}
                }
            )
        ],
        [("private_endpoint", False, True)],
    ),
    "private endpoint no more": (
        {"private_nodes": True},
        {
            "privateClusterConfig": {
                "enablePrivateNodes": True, "enablePrivateEndpoint": True
            }
        },
        [
            update(
                desiredControlPlaneEndpointsConfig={
                    "ipEndpointsConfig": {"enablePublicEndpoint": True}
                }
            )
        ],
        [("private_endpoint", True, False)],
    ),
    "private endpoint in the newer field": (
        {"private_nodes": True, "private_endpoint": True},
        {
            "networkConfig": {"defaultEnablePrivateNodes": True},
            "controlPlaneEndpointsConfig": {
                "ipEndpointsConfig": {"enablePublicEndpoint": False}
            },
        },
        [],
        [],
    ),
    "shielded nodes": (
        {},
        {"shieldedNodes": {}},
        [update(desiredShieldedNodes={"enabled": True})],
        [("shielded_nodes", False, True)],
    ),
    "logging": (
        {"logging": ["SYSTEM_COMPONENTS"]},
        {},
        [
            update(
                desiredLoggingConfig={
                    "componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS"]}
                }
            )
        ],
        [("logging", ["SYSTEM_COMPONENTS", "WORKLOADS"], ["SYSTEM_COMPONENTS"])],
    ),
    "logging in another order": (
        {"logging": ["WORKLOADS", "SYSTEM_COMPONENTS"]}, {}, [], []
    ),
    "no monitoring": (
        {"monitoring": []},
        {},
        [update(desiredMonitoringConfig={"componentConfig": {"enableComponents": []}})],
        [("monitoring", ["SYSTEM_COMPONENTS"], [])],
    ),
    "no monitoring there": (
        {"monitoring": []}, {"monitoringConfig": {"componentConfig": None}}, [], []
    ),
    "window": (
        {"maintenance_window": {"start": "03:00"}},
        {},
        [policy(dailyMaintenanceWindow={"startTime": "03:00"})],
        [("maintenance_window", None, "03:00 UTC for 4h, FREQ=DAILY")],
    ),
    "window that there is": (
        {"maintenance_window": {"start": "03:00", "duration": "4h"}},
        {
            "maintenancePolicy": {
                "window": {
                    "dailyMaintenanceWindow": {"startTime": "03:00", "duration": "PT4H0M0S"}
                }
            }
        },
        [],
        [],
    ),
    "window no more, exclusions stay": (
        {},
        {
            "maintenancePolicy": {
                "window": {
                    "dailyMaintenanceWindow": {"startTime": "03:00"},
                    "maintenanceExclusions": {"xmas": {"startTime": "a", "endTime": "b"}},
                }
            }
        },
        [policy(maintenanceExclusions={"xmas": {"startTime": "a", "endTime": "b"}})],
        [("maintenance_window", "03:00 UTC for 4h, FREQ=DAILY", None)],
    ),
    "version": (
        {"kubernetes_version": "1.35"},
        {"nodePools": [{**POOL, "version": "1.35.0-gke.1"}]},
        [update(desiredMasterVersion="1.35")],
        [("kubernetes_version", "1.34.4-gke.1047000", "1.35")],
    ),
    "zones": (
        {"locations": [ZONE, "europe-west1-c"]},
        {},
        [update(desiredLocations=[ZONE, "europe-west1-c"])],
        [("locations", [ZONE], [ZONE, "europe-west1-c"])],
    ),
    "network as a path": (
        {"network": "projects/my-project/global/networks/default", "subnetwork": "default"},
        {},
        [],
        [],
    ),
    "ranges that there are": (
        {"pod_range": "10.8.0.0/14", "service_range": "/20"}, {}, [], []
    ),
    "the name of a range": ({"pod_range": "gke-hello-pods-1"}, {}, [], []),
    "two at once": (
        {"labels": {"team": "ml"}, "release_channel": "RAPID"},
        {},
        [update(desiredReleaseChannel={"channel": "RAPID"}), labelled(team="ml")],
        [("release_channel", "REGULAR", "RAPID"), ("labels.team", None, "ml")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "there", "made", "fields"), CLUSTER.values(), ids=CLUSTER)
def test_cluster(values, there, made, fields):
    plan = planned(examples.wanted(**values), live(**there))
    assert calls(plan) == made
    found = [one for call in plan["updates"] for one in call["fields"]]
    assert [(one["path"], one["before"], one["after"]) for one in found] == fields
    assert plan["create"] == {"cluster": None, "pools": []}
    assert plan["replace"] == {"cluster": None, "pools": []}
    assert plan["delete"] == plan["refused"] == []


SPOTTED = {"cloud.google.com/gke-spot": "true"}
GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}

# What: the wanted pool's options, the live one's values, the calls, the fields below the pool.
POOLS = {
    "nothing": ({}, {}, [], []),
    "nodes": ({"nodes": 3}, {}, [of_pool("setSize", {"nodeCount": 3})], [("nodes", 2, 3)]),
    "no nodes": (
        {"nodes": 0}, {"initialNodeCount": None}, [], []
    ),
    "machine type": (
        {"machine_type": "e2-medium"},
        {},
        [of_pool("update", {"machineType": "e2-medium"})],
        [("machine_type", "e2-small", "e2-medium")],
    ),
    "machine and disk together": (
        {"machine_type": "c4-standard-2", "disk_type": "hyperdisk-balanced", "disk_size_gb": 60},
        {},
        [
            of_pool(
                "update",
                {
                    "machineType": "c4-standard-2",
                    "diskType": "hyperdisk-balanced",
                    "diskSizeGb": "60",
                },
            )
        ],
        [
            ("machine_type", "e2-small", "c4-standard-2"),
            ("disk_type", "pd-balanced", "hyperdisk-balanced"),
            ("disk_size_gb", 50, 60),
        ],
    ),
    "disk in the newer field": (
        {},
        {
            "config": {
                "diskType": None, "diskSizeGb": None,
                "bootDisk": {"diskType": "pd-balanced", "sizeGb": "50"},
            }
        },
        [],
        [],
    ),
    "blue-green, then the machine": (
        {"machine_type": "e2-medium", "upgrade": {"strategy": "BLUE_GREEN"}},
        {},
        [
            of_pool(
                "update",
                {
                    "upgradeSettings": {
                        "strategy": "BLUE_GREEN",
                        "blueGreenSettings": {
                            "standardRolloutPolicy": {
                                "batchNodeCount": 1, "batchSoakDuration": "0s"
                            },
                            "nodePoolSoakDuration": "0s",
                        },
                    }
                },
            ),
            of_pool("update", {"machineType": "e2-medium"}),
        ],
        [
            ("upgrade.strategy", "SURGE", "BLUE_GREEN"),
            ("upgrade.soak_seconds", 3600, 0),
            ("machine_type", "e2-small", "e2-medium"),
        ],
    ),
    "blue-green as it is": (
        {"upgrade": {"strategy": "BLUE_GREEN", "soak_seconds": 60}},
        {
            "upgradeSettings": {
                "strategy": "BLUE_GREEN",
                "maxSurge": None,
                "blueGreenSettings": {
                    "nodePoolSoakDuration": "60s",
                    "standardRolloutPolicy": {"batchPercentage": 0.25},
                },
            }
        },
        [],
        [],
    ),
    "blue-green for longer, in the same batches": (
        {"upgrade": {"strategy": "BLUE_GREEN", "soak_seconds": 90}},
        {
            "upgradeSettings": {
                "strategy": "BLUE_GREEN",
                "blueGreenSettings": {
                    "nodePoolSoakDuration": "60s",
                    "standardRolloutPolicy": {"batchPercentage": 0.25},
                },
            }
        },
        [
            of_pool(
                "update",
                {
                    "upgradeSettings": {
                        "strategy": "BLUE_GREEN",
                        "blueGreenSettings": {
                            "standardRolloutPolicy": {"batchPercentage": 0.25},
                            "nodePoolSoakDuration": "90s",
                        },
                    }
                },
            )
        ],
        [("upgrade.soak_seconds", 60, 90)],
    ),
    "surge": (
        {"upgrade": {"max_surge": 0, "max_unavailable": 2}},
        {},
        [
            of_pool(
                "update",
                {"upgradeSettings": {"strategy": "SURGE", "maxSurge": 0, "maxUnavailable": 2}},
            )
        ],
        [("upgrade.max_surge", 1, 0), ("upgrade.max_unavailable", 0, 2)],
    ),
    "no upgrade settings are Google's": ({}, {"upgradeSettings": None}, [], []),
    "image": (
        {"image_type": "UBUNTU_CONTAINERD"},
        {},
        [
            of_pool(
                "update",
                {"imageType": "UBUNTU_CONTAINERD", "nodeVersion": "1.34.4-gke.1047000"},
            )
        ],
        [("image_type", "COS_CONTAINERD", "UBUNTU_CONTAINERD")],
    ),
    "autoscaling": (
        {"autoscaling": {"min": 1, "max": 4}},
        {},
        [
            of_pool(
                "setAutoscaling",
                {"autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 4}},
            )
        ],
        [("autoscaling", None, {"min": 1, "max": 4})],
    ),
    "its bounds": (
        {"autoscaling": {"min": 0, "max": 5}},
        {"autoscaling": {"enabled": True, "maxNodeCount": 4, "locationPolicy": "ANY"}},
        [
            of_pool(
                "setAutoscaling",
                {
                    "autoscaling": {
                        "locationPolicy": "ANY", "enabled": True,
                        "minNodeCount": 0, "maxNodeCount": 5,
                    }
                },
            )
        ],
        [("autoscaling", {"min": 0, "max": 4}, {"min": 0, "max": 5})],
    ),
    "bounds of all zones": (
        {"autoscaling": {"min": 0, "max": 5}},
        {"autoscaling": {"enabled": True, "totalMaxNodeCount": 4}},
        [
            of_pool(
                "setAutoscaling",
                {"autoscaling": {"enabled": True, "minNodeCount": 0, "maxNodeCount": 5}},
            )
        ],
        [
            (
                "autoscaling",
                {"min": 0, "max": 0, "total_min": 0, "total_max": 4},
                {"min": 0, "max": 5},
            )
        ],
    ),
    "what the autoscaler chose": (
        {"nodes": 1, "autoscaling": {"min": 1, "max": 4}},
        {
            "initialNodeCount": 4,
            "autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 4},
        },
        [],
        [],
    ),
    "no autoscaling any more": (
        {},
        {"autoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 4}},
        [
            of_pool("setAutoscaling", {"autoscaling": {"enabled": False}}),
            of_pool("setSize", {"nodeCount": 2}),
        ],
        [("autoscaling", {"min": 1, "max": 4}, None), ("nodes", "autoscaled", 2)],
    ),
    "labels": (
        {"labels": {"tier": "ml", "size": 1}},
        {"config": {"labels": {"tier": "web", "old": "x", **SPOTTED}}},
        [of_pool("update", {"labels": {"labels": {**SPOTTED, "tier": "ml", "size": "1"}}})],
        [("labels.old", "x", None), ("labels.size", None, "1"), ("labels.tier", "web", "ml")],
    ),
    "taints": (
        {"taints": [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}]},
        {"config": {"taints": [GPU]}},
        [
            of_pool(
                "update",
                {
                    "taints": {
                        "taints": [
                            {"key": "dedicated", "value": "ml", "effect": "NO_SCHEDULE"}, GPU
                        ]
                    }
                },
            )
        ],
        [
            (
                "taints",
                ["nvidia.com/gpu=present:NoSchedule"],
                ["dedicated=ml:NoSchedule", "nvidia.com/gpu=present:NoSchedule"],
            )
        ],
    ),
    "taints no more": (
        {},
        {"config": {"taints": [{"key": "dedicated", "effect": "NO_EXECUTE"}]}},
        [of_pool("update", {"taints": {"taints": []}})],
        [("taints", ["dedicated=:NoExecute"], [])],
    ),
    "tags": (
        {"tags": ["web", "ml"]},
        {"config": {"tags": ["ml"]}},
        [of_pool("update", {"tags": {"tags": ["ml", "web"]}})],
        [("tags", ["ml"], ["ml", "web"])],
    ),
    "tags in another order": ({"tags": ["web", "ml"]}, {"config": {"tags": ["ml", "web"]}}, [], []),
    "management": (
        {},
        {"management": {"autoUpgrade": None}},
        [of_pool("setManagement", {"management": {"autoUpgrade": True, "autoRepair": True}})],
        [("auto_upgrade", False, True)],
    ),
    "metadata": (
        {},
        {"config": {"workloadMetadataConfig": None}},
        [of_pool("update", {"workloadMetadataConfig": {"mode": "GKE_METADATA"}})],
        [("workload_identity", False, True)],
    ),
    "zones": (
        {"locations": ["europe-west1-c"]},
        {},
        [of_pool("update", {"locations": ["europe-west1-c"]})],
        [("locations", [ZONE], ["europe-west1-c"])],
    ),
    "the default account has a name": ({"service_account": "default"}, {}, [], []),
}  # fmt: skip


@pytest.mark.parametrize(("values", "there", "made", "fields"), POOLS.values(), ids=POOLS)
def test_pool(values, there, made, fields):
    plan = planned(examples.wanted(values), live(there))
    assert calls(plan) == made
    found = [one for call in plan["updates"] for one in call["fields"]]
    paths = [(f"node_pools.main.{path}", before, after) for path, before, after in fields]
    assert [(one["path"], one["before"], one["after"]) for one in found] == paths
    assert plan["create"]["pools"] == plan["delete"] == plan["refused"] == []


@pytest.mark.parametrize(("size", "made"), [(2, []), (5, [of_pool("setSize", {"nodeCount": 2})])])
def test_the_machines_are_counted(size, made):
    assert calls(planned(examples.wanted(), live(), sizes={"main": size})) == made


def test_versions_of_pools():
    wanted = examples.wanted(kubernetes_version="1.34.4-gke.1047000")
    plan = planned(wanted, live({"version": "1.33.9-gke.1"}))
    assert calls(plan) == [of_pool("update", {"nodeVersion": "1.34.4-gke.1047000"})]
    assert plan["updates"][0]["summary"] == (
        "node_pools.main.version: 1.33.9-gke.1 → 1.34.4-gke.1047000"
    )


@pytest.mark.parametrize(
    ("there", "wanted", "older"),
    [
        ("1.34.4-gke.1", None, False),
        ("1.34.4-gke.1", "latest", False),
        ("1.34.4-gke.1", "1.34", False),
        ("1.34.4-gke.1", "1.34.4", False),
        ("1.34.4-gke.1", "1.34.4-gke.1", False),
        ("1.34.4-gke.1", "1.34.4-gke.2", True),
        ("1.9.0-gke.1", "1.10", True),
        ("1.34.4-gke.1", "1.35", True),
        (None, "1.35", False),
        ("latest", "latest", False),
    ],
)
def test_is_older(there, wanted, older):
    assert comparison.is_older(there, wanted) is older


def test_order_of_calls():
    """A channel requires managed pools; an identity is removed from pools before the cluster."""
    unmanaged = {"management": {}}
    wanted = examples.wanted(workload_identity=False)
    plan = planned(wanted, live(unmanaged, releaseChannel={}))
    assert [one["call"] for one in plan["updates"]] == [
        "nodePools.setManagement", "nodePools.update", "clusters.update", "clusters.update"
    ]  # fmt: skip
    assert [list(one["body"].get("update", {})) for one in plan["updates"][2:]] == [
        ["desiredReleaseChannel"], ["desiredWorkloadIdentityConfig"]
    ]  # fmt: skip
    assert plan["updates"][3]["body"] == {
        "update": {"desiredWorkloadIdentityConfig": {"workloadPool": ""}}
    }

    there = live({"config": {"workloadMetadataConfig": None}}, workloadIdentityConfig={})
    free = examples.wanted({"auto_upgrade": False}, release_channel="NONE")
    plan = planned(free, there)
    assert [one["call"] for one in plan["updates"]] == [
        "clusters.update", "clusters.update", "nodePools.setManagement", "nodePools.update"
    ]  # fmt: skip


def test_zones_of_pools_follow_those_of_the_cluster():
    zones = [ZONE, "europe-west1-c"]
    plan = planned(examples.wanted({"locations": [ZONE]}, locations=zones), live())
    assert calls(plan) == [
        update(desiredLocations=zones),
        of_pool("update", {"locations": [ZONE]}),
    ]


# --- What cannot change in place

FIXED = {
    "network": ({"network": "ml"}, {}, ("network", "default", "ml")),
    "another project's network": (
        {"network": "projects/host/global/networks/default"},
        {},
        ("network", "default", "projects/host/global/networks/default"),
    ),
    "subnetwork": ({"subnetwork": "ml"}, {}, ("subnetwork", "default", "ml")),
    "pods": ({"pod_range": "10.0.0.0/14"}, {}, ("pod_range", "10.8.0.0/14", "10.0.0.0/14")),
    "pods' size": ({"pod_range": "/16"}, {}, ("pod_range", "10.8.0.0/14", "/16")),
    "pods' range": ({"pod_range": "pods"}, {}, ("pod_range", "10.8.0.0/14", "pods")),
    "services": (
        {"service_range": "10.0.0.0/20"},
        {},
        ("service_range", "34.118.224.0/20", "10.0.0.0/20"),
    ),
    "private nodes": ({"private_nodes": True}, {}, ("private_nodes", False, True)),
    "control plane": (
        {"private_nodes": True, "control_plane_range": "172.16.0.0/28"},
        {
            "privateClusterConfig": {
                "enablePrivateNodes": True,
                "masterIpv4CidrBlock": "172.16.1.0/28",
            }
        },
        ("control_plane_range", "172.16.1.0/28", "172.16.0.0/28"),
    ),
    "Autopilot": ({}, {"autopilot": {"enabled": True}}, ("mode", "autopilot", "standard")),
}


@pytest.mark.parametrize(("values", "there", "refused"), FIXED.values(), ids=FIXED)
def test_fixed_fields_of_clusters(values, there, refused):
    wanted = examples.wanted(**values)
    plan = planned(wanted, live(**there))
    path, before, after = refused
    assert plan["refused"] == [{"path": path, "before": before, "after": after}]
    assert plan["updates"] == plan["delete"] == []
    assert plan["create"]["cluster"] is None

    allowed = planned(wanted, live(**there), allow_replace=True)
    assert allowed["refused"] == []
    assert allowed["replace"] == {
        "cluster": {"name": examples.NAME, "location": ZONE, "fields": plan["refused"]},
        "pools": [],
    }
    assert allowed["create"] == planned(wanted, None)["create"]


FIXED_POOLS = {
    "spot": ({"spot": True}, ("spot", False, True)),
    "secure boot": ({"secure_boot": False}, ("secure_boot", True, False)),
    "integrity": ({"integrity_monitoring": False}, ("integrity_monitoring", True, False)),
    "account": ({"service_account": "a@b"}, ("service_account", "default", "a@b")),
    "scopes": (
        {"oauth_scopes": ["x"]},
        ("oauth_scopes", ["https://www.googleapis.com/auth/logging.write"], ["x"]),
    ),
}


@pytest.mark.parametrize(("values", "refused"), FIXED_POOLS.values(), ids=FIXED_POOLS)
def test_fixed_fields_of_pools(values, refused):
    wanted = examples.wanted({**values, "nodes": 5}, labels={"team": "ml"})
    path, before, after = refused
    plan = planned(wanted, live())
    assert plan["refused"] == [
        {"path": f"node_pools.main.{path}", "before": before, "after": after}
    ]
    assert plan["replace"]["pools"] == plan["create"]["pools"] == plan["updates"] == []

    allowed = planned(wanted, live(), allow_replace=True)
    assert calls(allowed["replace"], "pools") == [("nodePools.delete", "/nodePools/main", None)]
    assert [one["name"] for one in allowed["create"]["pools"]] == ["main"]
    assert calls(allowed) == [labelled(team="ml")]
    assert allowed["delete"] == allowed["refused"] == []


def test_one_refusal_keeps_all_else():
    """With one refusal, no pool is replaced or created."""
    plan = planned(
        examples.wanted({"spot": True}, {"name": "b"}),
        live({}, {"name": "b", "status": "ERROR"}),
    )
    assert [one["path"] for one in plan["refused"]] == ["node_pools.main.spot"]
    assert plan["replace"]["pools"] == plan["create"]["pools"] == []


# --- Failed, missing and surplus clusters and pools


def test_a_pool_that_failed_is_made_anew():
    plan = planned(examples.wanted(), live({"status": "ERROR", "statusMessage": "No quota."}))
    assert plan["refused"] == []
    assert calls(plan["replace"], "pools") == [("nodePools.delete", "/nodePools/main", None)]
    assert plan["replace"]["pools"][0]["summary"] == (
        "node_pools.main.status: ERROR (No quota.) → RUNNING"
    )
    assert [one["name"] for one in plan["create"]["pools"]] == ["main"]


def test_a_cluster_that_failed_is_made_anew():
    failed = live(status="ERROR", statusMessage="No quota.")
    bare = {**failed, "nodePools": [{**POOL, "name": "default-pool", "status": "ERROR"}]}
    plan = planned(examples.wanted(), bare)
    assert plan["replace"]["cluster"]["fields"] == [
        {"path": "status", "before": "ERROR (No quota.)", "after": "RUNNING"}
    ]
    assert plan["create"]["cluster"]["by"] == "google_cloud"
    # A cluster with a node pool may have worked before.
    assert planned(examples.wanted(), failed)["refused"] == plan["replace"]["cluster"]["fields"]
    assert planned(examples.wanted(), failed, allow_replace=True)["create"]["cluster"]


def test_pools_that_are_missing_or_too_much():
    there = live({"name": "old"}, {"name": "going", "status": "STOPPING"}, {"name": "default-pool"})
    auto = merged(POOL, {"name": "auto", "autoscaling": {"autoprovisioned": True}})
    there["nodePools"].append(auto)
    plan = planned(examples.wanted({"name": "main"}, {"name": "going"}), there)
    assert [one["name"] for one in plan["create"]["pools"]] == ["main", "going"]
    assert calls(plan, "delete") == [
        ("nodePools.delete", "/nodePools/old", None),
        ("nodePools.delete", "/nodePools/default-pool", None),
    ]
    assert plan["delete"][0]["target"] == "node pool old of cluster hello-cluster"
    assert plan["updates"] == plan["refused"] == []


def test_autopilot():
    wanted = examples.wanted(mode="autopilot", location="europe-west1", labels={"team": "ml"})
    there = live(autopilot={"enabled": True}, shieldedNodes={"enabled": True})
    there["nodePools"][0]["config"]["machineType"] = "e2-standard-2"
    assert calls(planned(wanted, there)) == [labelled(team="ml")]
    plan = planned(wanted, there)
    assert plan["delete"] == plan["create"]["pools"] == []


# --- Updates after a creation

AFTER = {
    "identity is always one of them": (
        {}, [update(desiredWorkloadIdentityConfig={"workloadPool": "my-project.svc.id.goog"})]
    ),
    "nothing": ({"workload_identity": False}, []),
    "what google.cloud cannot say": (
        {
            "workload_identity": False,
            "logging": [],
            "monitoring": ["SYSTEM_COMPONENTS"],
            "maintenance_window": {"start": "03:00"},
        },
        [
            update(desiredLoggingConfig={"componentConfig": {"enableComponents": []}}),
            update(
                desiredMonitoringConfig={
                    "componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS"]}
                }
            ),
            (
                "clusters.setMaintenancePolicy",
                ":setMaintenancePolicy",
                {
                    "maintenancePolicy": {
                        "window": {"dailyMaintenanceWindow": {"startTime": "03:00"}}
                    }
                },
            ),
        ],
    ),
    "all that it can": (
        {
            "workload_identity": False,
            "authorized_networks": [OFFICE],
            "private_nodes": True,
            "private_endpoint": True,
            "control_plane_range": "172.16.0.0/28",
            "release_channel": "NONE",
            "kubernetes_version": "1.34",
            "shielded_nodes": True,
            "network": "ml",
            "subnetwork": "ml",
            "pod_range": "pods",
            "service_range": "/20",
            "locations": [ZONE, "europe-west1-c"],
            "labels": {"team": "ml"},
            "ttl": "8h",
        },
        [],
    ),
    "Autopilot needs nothing": (
        {
            "mode": "autopilot",
            "location": "europe-west1",
            "logging": ["SYSTEM_COMPONENTS"],
            "maintenance_window": {"start": "03:00", "recurrence": "FREQ=WEEKLY;BYDAY=SA"},
        },
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "made"), AFTER.values(), ids=AFTER)
def test_what_follows_a_creation(values, made):
    plan = planned(examples.wanted(**values), None)
    assert calls(plan) == made
    autopilot = values.get("mode") == "autopilot"
    assert plan["create"]["cluster"]["by"] == ("api" if autopilot else "google_cloud")
    assert [one["name"] for one in plan["create"]["pools"]] == ([] if autopilot else ["main"])
    labels = plan["create"]["cluster"]["body"]["resourceLabels"]
    assert labels["created-at"] == "20261122t220500z"
    assert cluster_options.is_ours({"resourceLabels": labels})
