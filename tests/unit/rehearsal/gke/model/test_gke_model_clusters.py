"""Clusters are created, shown and deleted as by GKE."""

import pytest

from support.google_client import CLUSTERS, NUMBER, PROJECT, ROOT, ZONE, Client

REGION = f"/v1/projects/{PROJECT}/locations/us-central1/clusters"
SECOND = {"name": "web", "initialNodeCount": 1}


@pytest.fixture
def google():
    return Client(ca_certificate="Q0E=")


def test_life_of_a_cluster(google):
    operation = google.ok("POST", CLUSTERS, {"cluster": SECOND})
    assert operation["operationType"] == "CREATE_CLUSTER"
    assert operation["targetLink"] == (
        f"https://container.googleapis.com/v1/projects/{NUMBER}/zones/{ZONE}/clusters/web"
    )
    assert operation["zone"] == operation["location"] == ZONE

    making = google.cluster()
    assert making["status"] == making["nodePools"][0]["status"] == "PROVISIONING"
    assert not {"endpoint", "instanceGroupUrls"} & set(making)
    assert "clusterCaCertificate" not in making["masterAuth"]

    google.wait(3)
    cluster = google.cluster()
    assert cluster["status"] == "RUNNING"
    assert cluster["endpoint"] == "127.0.20.1"
    assert cluster["masterAuth"]["clusterCaCertificate"] == "Q0E="
    assert cluster["selfLink"].endswith(f"/v1/projects/{PROJECT}/zones/{ZONE}/clusters/web")
    assert [pool["name"] for pool in cluster["nodePools"]] == ["default-pool"]
    assert cluster["currentNodeCount"] == 1
    assert cluster["instanceGroupUrls"] == cluster["nodePools"][0]["instanceGroupUrls"]

    google.ok("DELETE", f"{CLUSTERS}/web")
    assert google.cluster()["status"] == "STOPPING"
    google.wait()
    assert google.refused("GET", f"{CLUSTERS}/web") == (
        404,
        f"Not found: projects/{PROJECT}/zones/{ZONE}/clusters/web.",
    )


def test_what_google_fills_in(google):
    cluster = google.create()
    pool = cluster["nodePools"][0]
    expected = {
        "autopilot": {},
        "databaseEncryption": {
            "currentState": "CURRENT_STATE_DECRYPTED",
            "state": "DECRYPTED",
        },
        "defaultMaxPodsConstraint": {"maxPodsPerNode": "110"},
        "labelFingerprint": "a9dc16a7",
        "legacyAbac": {},
        "loggingService": "logging.googleapis.com/kubernetes",
        "maintenancePolicy": {"resourceVersion": "e3b0c442"},
        "network": "default",
        "releaseChannel": {"channel": "REGULAR"},
        "shieldedNodes": {"enabled": True},
        "locations": [ZONE],
    }
    assert {name: cluster[name] for name in expected} == expected
    assert cluster["ipAllocationPolicy"]["useIpAliases"] is True
    assert pool["management"] == {"autoRepair": True, "autoUpgrade": True}
    assert pool["upgradeSettings"] == {"maxSurge": 1, "strategy": "SURGE"}
    assert pool["autoscaling"] == {}
    config = pool["config"]
    assert (config["machineType"], config["diskType"], config["diskSizeGb"]) == (
        "e2-medium",
        "pd-balanced",
        100,
    )
    assert config["serviceAccount"] == "default"
    assert config["shieldedInstanceConfig"] == {"enableIntegrityMonitoring": True}
    assert cluster["nodeConfig"] == config


def test_what_is_false_is_not_shown(google):
    cluster = google.create(
        shieldedNodes={"enabled": False},
        nodePools=[
            {
                "name": "main",
                "initialNodeCount": 0,
                "config": {"spot": False, "preemptible": False, "labels": {"tier": ""}},
            }
        ],
    )
    assert cluster["shieldedNodes"] == {}
    pool = cluster["nodePools"][0]
    assert not {"initialNodeCount"} & set(pool)
    assert not {"spot", "preemptible"} & set(pool["config"])
    assert pool["config"]["labels"] == {"tier": ""}
    # Fields that Google declares optional are shown even if they are false.
    assert cluster["networkConfig"]["defaultEnablePrivateNodes"] is False


@pytest.mark.parametrize(
    ("asked", "channel", "version"),
    [
        ({}, "REGULAR", "1.34.4-gke.1047000"),
        ({"releaseChannel": {"channel": "RAPID"}}, "RAPID", "1.35.1-gke.1396000"),
        ({"releaseChannel": {"channel": "UNSPECIFIED"}}, None, "1.34.4-gke.1047000"),
        ({"initialClusterVersion": "1.33"}, "STABLE", "1.33.8-gke.1026000"),
        ({"initialClusterVersion": "1.34.3-gke.1318000"}, "REGULAR", "1.34.3-gke.1318000"),
        ({"initialClusterVersion": "1.35"}, "RAPID", "1.35.1-gke.1396000"),
        (
            {"initialClusterVersion": "latest", "releaseChannel": {"channel": "STABLE"}},
            "STABLE",
            "1.33.8-gke.1026000",
        ),
        ({"initialClusterVersion": "-"}, "REGULAR", "1.34.4-gke.1047000"),
    ],
)
def test_channel_and_version(google, asked, channel, version):
    cluster = google.create(**asked)
    assert cluster["releaseChannel"] == ({"channel": channel} if channel else {})
    assert cluster["currentMasterVersion"] == cluster["nodePools"][0]["version"] == version


def test_regional_cluster_has_its_nodes_in_three_zones(google):
    cluster = google.create(location="us-central1")
    zones = ["us-central1-a", "us-central1-b", "us-central1-c"]
    assert cluster["locations"] == cluster["nodePools"][0]["locations"] == zones
    assert cluster["currentNodeCount"] == 6
    assert len(cluster["instanceGroupUrls"]) == 3
    assert "/locations/us-central1/clusters/web" in cluster["selfLink"]


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/projects/{PROJECT}/zones/{ZONE}/clusters/web",
        f"/v1/projects/{NUMBER}/locations/{ZONE}/clusters/web",
        f"/v1/projects/{NUMBER}/zones/{ZONE}/clusters/web",
    ],
)
def test_all_forms_of_a_path_mean_the_same(google, path):
    google.create()
    assert google.ok("GET", path) == google.cluster()


def test_lists(google):
    google.create()
    google.create("other", location="us-central1")

    def names(location):
        where = f"/v1/projects/{PROJECT}/locations/{location}/clusters"
        return [each["name"] for each in google.ok("GET", where).get("clusters", [])]

    assert names("-") == ["web", "other"]
    assert names(ZONE) == ["web"]
    assert names("us-east1") == []


def test_list_shows_a_new_cluster_late():
    google = Client(list_lag_seconds=60)
    google.create()
    assert google.ok("GET", CLUSTERS) == {}
    assert google.cluster()["status"] == "RUNNING"
    google.wait(60)
    assert [each["name"] for each in google.ok("GET", CLUSTERS)["clusters"]] == ["web"]


def test_autopilot(google):
    cluster = google.create(location="us-central1", autopilot={"enabled": True})
    assert cluster["autopilot"] == {"enabled": True}
    assert cluster["workloadIdentityConfig"] == {"workloadPool": f"{PROJECT}.svc.id.goog"}
    assert cluster["networkConfig"]["datapathProvider"] == "ADVANCED_DATAPATH"
    assert cluster["verticalPodAutoscaling"] == {"enabled": True}
    where = f"{REGION}/web/nodePools"
    refusal = (400, "Autopilot node pools cannot be accessed or modified.")
    pool = {"nodePool": {"name": "more", "initialNodeCount": 1}}
    assert google.refused("POST", where, pool) == refusal
    assert google.refused("DELETE", f"{where}/default-pool") == refusal
    assert google.refused("POST", f"{where}/default-pool:setSize", {"nodeCount": 2}) == refusal
    assert google.refused("POST", f"{where}/default-pool:rollback", {}) == refusal


@pytest.mark.parametrize(
    ("fields", "location", "words"),
    [
        ({}, ZONE, "must be regional"),
        ({"nodePools": [{"name": "main", "initialNodeCount": 1}]}, "us-central1", "nodePools"),
        ({"nodeConfig": {"machineType": "e2-small"}}, "us-central1", "nodeConfig"),
        ({"shieldedNodes": {"enabled": False}}, "us-central1", "Shielded nodes must be enabled"),
        ({"releaseChannel": {"channel": "UNSPECIFIED"}}, "us-central1", "release channel"),
    ],
)
def test_autopilot_refusals(google, fields, location, words):
    body = {"cluster": {"name": "web", "autopilot": {"enabled": True}, **fields}}
    status, message = google.refused(
        "POST", f"/v1/projects/{PROJECT}/locations/{location}/clusters", body
    )
    assert status == 400
    assert words in message


NETWORKS = {"enabled": True, "cidrBlocks": [{"cidrBlock": "203.0.113.0/24"}]}
MAIN = [{"name": "main", "initialNodeCount": 1}]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "Must be a match of regex"),
        ({"name": "Web"}, '"Web"'),
        ({"name": "web-"}, '"web-"'),
        ({"name": "w" * 41}, "Must be a match of regex"),
        ({"initialNodeCount": 0}, "initial_node_count must be greater than zero"),
        ({"nodePools": MAIN}, "must not be set when Cluster.node_pools is set"),
        ({"initialNodeCount": 0, "nodePools": MAIN * 2}, "more than once"),
        ({"resourceLabels": {"Team": "x"}}, 'Label key "Team"'),
        ({"resourceLabels": {"team": "Ü"}}, 'Label value "Ü"'),
        ({"resourceLabels": {f"l{n}": "" for n in range(65)}}, "Too many labels: 65"),
        ({"initialClusterVersion": "1.12"}, 'Master version "1.12" is unsupported'),
        ({"initialClusterVersion": "1.34.4-gke.1"}, "is unsupported"),
        ({"locations": ["us-east1-b"]}, 'not in region "europe-west1"'),
        ({"locations": ["europe-west1-c"]}, f'primary zone "{ZONE}"'),
        ({"nodeConfig": {"machineType": "e2-gigantic"}}, '"e2-gigantic" does not exist in zone'),
        (
            {
                "privateClusterConfig": {"enablePrivateNodes": True},
                "networkConfig": {"defaultEnablePrivateNodes": True},
            },
            "invalid to specify both enablePrivateNodes and defaultEnablePrivateNodes",
        ),
        (
            {
                "privateClusterConfig": {"enablePrivateEndpoint": True},
                "controlPlaneEndpointsConfig": {
                    "ipEndpointsConfig": {"enablePublicEndpoint": True}
                },
            },
            "invalid to specify both enablePrivateEndpoint and enablePublicEndpoint",
        ),
        (
            {
                "masterAuthorizedNetworksConfig": NETWORKS,
                "controlPlaneEndpointsConfig": {
                    "ipEndpointsConfig": {"authorizedNetworksConfig": NETWORKS}
                },
            },
            "invalid to specify both masterAuthorizedNetworksConfig",
        ),
        ({"privateClusterConfig": {"enablePrivateEndpoint": True}}, "private nodes"),
        ({"privateClusterConfig": {"masterIpv4CidrBlock": "172.16.0.0/24"}}, "of size /28"),
        ({"privateClusterConfig": {"masterIpv4CidrBlock": "private"}}, '"private"'),
        (
            {"masterAuthorizedNetworksConfig": {"cidrBlocks": NETWORKS["cidrBlocks"]}},
            "enabled is false",
        ),
        (
            {
                "masterAuthorizedNetworksConfig": {
                    "enabled": True,
                    "cidrBlocks": [{"cidrBlock": "203.0.113.1/24"}],
                }
            },
            "has host bits set",
        ),
        (
            {
                "maintenancePolicy": {
                    "window": {"dailyMaintenanceWindow": {"startTime": "3 o'clock"}}
                }
            },
            "HH:MM",
        ),
    ],
)
def test_refusals(google, fields, words):
    status, message = google.refused("POST", CLUSTERS, {"cluster": {**SECOND, **fields}})
    assert status == 400
    assert words in message
    assert google.ok("GET", CLUSTERS) == {}


def test_name_that_is_taken(google):
    google.create()
    answer = google.call("POST", CLUSTERS, {"cluster": SECOND})
    assert (answer.status, answer.body["error"]["status"]) == (409, "ALREADY_EXISTS")
    assert answer.body["error"]["message"] == (
        f"Already exists: projects/{PROJECT}/zones/{ZONE}/clusters/web."
    )
    google.create(location="us-central1")  # the same name elsewhere is another cluster


def test_location_that_does_not_exist(google):
    where = f"/v1/projects/{PROJECT}/locations/europe-west1-z"
    said = (400, 'Location "europe-west1-z" does not exist.')
    assert google.refused("POST", f"{where}/clusters", {"cluster": SECOND}) == said
    assert google.refused("GET", f"{where}/serverConfig") == said


def test_old_and_new_network_fields_say_the_same(google):
    cluster = google.create(
        privateClusterConfig={"enablePrivateNodes": True, "enablePrivateEndpoint": True},
        masterAuthorizedNetworksConfig=NETWORKS,
    )
    assert cluster["networkConfig"]["defaultEnablePrivateNodes"] is True
    endpoints = cluster["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]
    assert endpoints["enablePublicEndpoint"] is False
    assert "publicEndpoint" not in endpoints
    assert endpoints["authorizedNetworksConfig"] == cluster["masterAuthorizedNetworksConfig"]
    assert cluster["masterAuthorizedNetworksConfig"]["cidrBlocks"] == NETWORKS["cidrBlocks"]
    assert cluster["nodePools"][0]["networkConfig"]["enablePrivateNodes"] is True

    other = google.create(
        "other",
        networkConfig={"defaultEnablePrivateNodes": True},
        controlPlaneEndpointsConfig={"ipEndpointsConfig": {"enablePublicEndpoint": False}},
    )
    assert other["privateClusterConfig"]["enablePrivateNodes"] is True
    assert other["privateClusterConfig"]["enablePrivateEndpoint"] is True


def test_range_of_the_control_plane(google):
    private = {"enablePrivateNodes": True, "masterIpv4CidrBlock": "172.16.0.0/28"}
    shown = google.create(privateClusterConfig=private)["privateClusterConfig"]
    assert {name: shown[name] for name in private} == private


def test_network_and_ranges_that_were_asked_for(google):
    cluster = google.create(
        network=f"projects/{PROJECT}/global/networks/shop",
        subnetwork="shop-nodes",
        ipAllocationPolicy={
            "useIpAliases": True,
            "clusterSecondaryRangeName": "pods",
            "servicesSecondaryRangeName": "services",
            "servicesIpv4CidrBlock": "10.200.0.0/20",
            "clusterIpv4CidrBlock": "/20",
        },
    )
    assert (cluster["network"], cluster["subnetwork"]) == ("shop", "shop-nodes")
    assert cluster["networkConfig"]["network"] == f"projects/{PROJECT}/global/networks/shop"
    policy = cluster["ipAllocationPolicy"]
    assert policy["clusterSecondaryRangeName"] == "pods"
    assert policy["clusterIpv4CidrBlock"] == cluster["clusterIpv4Cidr"] == "10.4.0.0/14"
    assert cluster["servicesIpv4Cidr"] == "10.200.0.0/20"
    made = google.create("made", ipAllocationPolicy={"createSubnetwork": True})
    made_name = made["ipAllocationPolicy"]["clusterSecondaryRangeName"]
    assert made_name == f"gke-made-pods-{made['id'][:8]}"
    old = google.create("old", clusterIpv4Cidr="10.96.0.0/14")
    assert old["ipAllocationPolicy"]["clusterIpv4CidrBlock"] == "10.96.0.0/14"


def test_server_config_and_autopilot_compatibility(google):
    config = google.ok("GET", f"{ROOT}/serverConfig")
    assert config == google.ok("GET", f"/v1/projects/{PROJECT}/zones/{ZONE}/serverconfig")
    regular = next(each for each in config["channels"] if each["channel"] == "REGULAR")
    assert regular["defaultVersion"] == config["defaultClusterVersion"]
    assert regular["defaultVersion"] in config["validMasterVersions"]
    google.create()
    where = f"{CLUSTERS}/web:checkAutopilotCompatibility"
    assert google.ok("GET", where)["summary"]
