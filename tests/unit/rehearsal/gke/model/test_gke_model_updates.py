"""Changes of clusters: what they change, and what GKE refuses."""

import pytest

from support.google_client import CLUSTERS, PROJECT, ZONE, Client

WEB = f"{CLUSTERS}/web"
POOL = f"{PROJECT}.svc.id.goog"
NETWORKS = {"enabled": True, "cidrBlocks": [{"cidrBlock": "198.51.100.0/24", "displayName": "o"}]}


@pytest.fixture
def google():
    client = Client()
    client.create(resourceLabels={"team": "ml"})
    return client


def looked_up(cluster, path):
    for part in path.split("."):
        cluster = cluster[int(part)] if part.isdigit() else cluster.get(part, {})
    return cluster


@pytest.mark.parametrize(
    ("update", "path", "expected"),
    [
        ({"desiredReleaseChannel": {"channel": "RAPID"}}, "releaseChannel.channel", "RAPID"),
        ({"desiredReleaseChannel": {"channel": "UNSPECIFIED"}}, "releaseChannel", {}),
        (
            {"desiredMasterVersion": "1.34.4-gke.1047000"},
            "currentMasterVersion",
            "1.34.4-gke.1047000",
        ),
        ({"desiredNodeVersion": "-"}, "nodePools.0.version", "1.34.4-gke.1047000"),
        (
            {"desiredImageType": "ubuntu_containerd", "desiredNodePoolId": "main"},
            "nodePools.0.config.imageType",
            "UBUNTU_CONTAINERD",
        ),
        (
            {"desiredNodePoolAutoscaling": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 3}},
            "nodePools.0.autoscaling",
            {"enabled": True, "minNodeCount": 1, "maxNodeCount": 3, "locationPolicy": "BALANCED"},
        ),
        (
            {"desiredLocations": [ZONE, "europe-west1-c"]},
            "nodePools.0.locations",
            ["europe-west1-b", "europe-west1-c"],
        ),
        (
            {"desiredWorkloadIdentityConfig": {"workloadPool": POOL}},
            "workloadIdentityConfig.workloadPool",
            POOL,
        ),
        ({"desiredShieldedNodes": {}}, "shieldedNodes", {}),
        (
            {"desiredAddonsConfig": {"gcsFuseCsiDriverConfig": {"enabled": True}}},
            "addonsConfig.gcsFuseCsiDriverConfig.enabled",
            True,
        ),
        (
            {"desiredLoggingService": "none", "desiredMonitoringService": "none"},
            "loggingService",
            "none",
        ),
        (
            {
                "desiredMonitoringConfig": {
                    "componentConfig": {"enableComponents": ["SYSTEM_COMPONENTS"]}
                }
            },
            "monitoringConfig.componentConfig.enableComponents",
            ["SYSTEM_COMPONENTS"],
        ),
        (
            {"desiredMasterAuthorizedNetworksConfig": NETWORKS},
            "controlPlaneEndpointsConfig.ipEndpointsConfig.authorizedNetworksConfig.cidrBlocks",
            NETWORKS["cidrBlocks"],
        ),
        (
            {
                "desiredControlPlaneEndpointsConfig": {
                    "ipEndpointsConfig": {"authorizedNetworksConfig": NETWORKS}
                }
            },
            "masterAuthorizedNetworksConfig.cidrBlocks",
            NETWORKS["cidrBlocks"],
        ),
        (
            {"desiredDefaultEnablePrivateNodes": True},
            "privateClusterConfig.enablePrivateNodes",
            True,
        ),
        (
            {"desiredEnablePrivateEndpoint": True},
            "controlPlaneEndpointsConfig.ipEndpointsConfig.enablePublicEndpoint",
            False,
        ),
        (
            {"desiredPrivateClusterConfig": {"masterGlobalAccessConfig": {"enabled": True}}},
            "privateClusterConfig.masterGlobalAccessConfig.enabled",
            True,
        ),
        (
            {"desiredVerticalPodAutoscaling": {"enabled": True}},
            "verticalPodAutoscaling.enabled",
            True,
        ),
        (
            {"desiredDnsConfig": {"clusterDns": "CLOUD_DNS"}},
            "networkConfig.dnsConfig.clusterDns",
            "CLOUD_DNS",
        ),
        (
            {"desiredIntraNodeVisibilityConfig": {"enabled": True}},
            "networkConfig.enableIntraNodeVisibility",
            True,
        ),
        (
            {"desiredL4ilbSubsettingConfig": {"enabled": True}},
            "networkConfig.enableL4ilbSubsetting",
            True,
        ),
        (
            {"desiredDatabaseEncryption": {"state": "ENCRYPTED", "keyName": "k"}},
            "databaseEncryption.currentState",
            "CURRENT_STATE_ENCRYPTED",
        ),
    ],
)
def test_update(google, update, path, expected):
    before = google.cluster()
    google.ok("PUT", WEB, {"update": update})
    changing = google.cluster()
    assert changing["status"] == "RECONCILING"
    # The change takes effect only at the end.
    assert looked_up(changing, path) == looked_up(before, path)
    google.wait()
    after = google.cluster()
    assert after["status"] == after["nodePools"][0]["status"] == "RUNNING"
    assert looked_up(after, path) == expected
    assert after["etag"] != before["etag"]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({}, "Must specify a field to update."),
        ({"desiredNodePoolId": "main"}, "Must specify a field to update."),
        (
            {
                "desiredShieldedNodes": {"enabled": True},
                "desiredReleaseChannel": {"channel": "RAPID"},
            },
            (
                "Only one field can be updated at a time; these were given together: "
                "desired_release_channel, desired_shielded_nodes."
            ),
        ),
        ({"desiredReleaseChannel": {"channel": "STABLE"}}, "cannot be enrolled in release channel"),
        ({"desiredMasterVersion": "1.33"}, "cannot be downgraded"),
        ({"desiredMasterVersion": "1.99"}, "is unsupported"),
        ({"desiredNodeVersion": "1.35.1-gke.1396000"}, "greater minor version than master"),
        ({"desiredNodeVersion": "1.2"}, 'Node version "1.2" is unsupported'),
        ({"desiredNodeVersion": "-", "desiredNodePoolId": "none"}, 'Node pool "none" not found'),
        ({"desiredLocations": []}, "must not be empty"),
        ({"desiredLocations": ["europe-west1-c"]}, "primary zone"),
        (
            {"desiredNodePoolAutoscaling": {"enabled": True, "minNodeCount": 3, "maxNodeCount": 1}},
            "min_node_count (3) must be between 0 and max_node_count (1)",
        ),
        ({"desiredWorkloadIdentityConfig": {"workloadPool": "other.svc.id.goog"}}, POOL),
        ({"desiredPrivateClusterConfig": {"enablePrivateNodes": True}}, "only field"),
        (
            {
                "desiredMasterAuthorizedNetworksConfig": {
                    "cidrBlocks": [{"cidrBlock": "1.2.3.0/24"}]
                }
            },
            "enabled is false",
        ),
        ({"desiredStackType": "IPV4_IPV6"}, "Updating desired_stack_type is not supported."),
    ],
)
def test_refused_updates(google, update, words):
    status, message = google.refused("PUT", WEB, {"update": update})
    assert status == 400
    assert words in message
    assert google.cluster()["status"] == "RUNNING"


def test_a_pool_must_be_named_when_there_is_more_than_one(google):
    pool = {"nodePool": {"name": "more", "initialNodeCount": 1}}
    google.done("POST", f"{WEB}/nodePools", pool)
    refused = google.refused("PUT", WEB, {"update": {"desiredNodeVersion": "-"}})
    assert refused == (400, "Node pool must be specified: there is more than one.")


def test_master_goes_up_by_one_minor_version(google):
    google.create(
        "old", initialClusterVersion="1.30.14-gke.1850000", releaseChannel={"channel": "EXTENDED"}
    )
    status, message = google.refused(
        "PUT", f"{CLUSTERS}/old", {"update": {"desiredMasterVersion": "1.34"}}
    )
    assert (status, "one minor version at a time" in message) == (400, True)
    google.done("PUT", WEB, {"update": {"desiredReleaseChannel": {"channel": "RAPID"}}})
    google.done("PUT", WEB, {"update": {"desiredMasterVersion": "1.35"}})
    assert google.cluster()["currentMasterVersion"] == "1.35.1-gke.1396000"
    assert google.cluster()["currentNodeVersion"] == "1.34.4-gke.1047000"
    operation = google.done("PUT", WEB, {"update": {"desiredNodeVersion": "1.35"}})
    assert operation["operationType"] == "UPGRADE_NODES"
    assert google.cluster()["currentNodeVersion"] == "1.35.1-gke.1396000"
    status, message = google.refused("POST", f"{WEB}:updateMaster", {"masterVersion": "1.34"})
    assert (status, "cannot be downgraded" in message) == (400, True)


def test_etag(google):
    shielded = {"desiredShieldedNodes": {"enabled": True}}
    stale = google.cluster()["etag"]
    google.done("PUT", WEB, {"update": {**shielded, "etag": stale}})
    answer = google.call("PUT", WEB, {"update": {**shielded, "etag": stale}})
    assert (answer.status, answer.body["error"]["status"]) == (409, "ABORTED")


def test_labels_need_the_fingerprint(google):
    where = f"{WEB}:setResourceLabels"
    labels = {"team": "ml", "stage": "test"}
    fingerprint = google.cluster()["labelFingerprint"]
    answer = google.call("POST", where, {"resourceLabels": labels, "labelFingerprint": "00000000"})
    assert (answer.status, answer.body["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert answer.body["error"]["message"] == (
        "Labels could not be set due to fingerprint mismatch; try again with the proper "
        f'fingerprint: incorrect fingerprint supplied was "00000000", the expected one is '
        f'"{fingerprint}".'
    )
    assert 'supplied was ""' in google.refused("POST", where, {"resourceLabels": labels})[1]
    body = {"resourceLabels": labels, "labelFingerprint": fingerprint}
    assert google.done("POST", where, body)["operationType"] == "SET_LABELS"
    assert google.cluster()["resourceLabels"] == labels
    assert google.cluster()["labelFingerprint"] != fingerprint
    legacy = f"/v1/projects/{PROJECT}/zones/{ZONE}/clusters/web/resourceLabels"
    fingerprint = google.cluster()["labelFingerprint"]
    google.done("POST", legacy, {"resourceLabels": {}, "labelFingerprint": fingerprint})
    assert "resourceLabels" not in google.cluster()
    assert google.cluster()["labelFingerprint"] == "a9dc16a7"


DAILY = {"window": {"dailyMaintenanceWindow": {"startTime": "03:00"}}}
WEEKEND = {
    "window": {
        "recurringWindow": {
            "window": {"startTime": "2026-01-03T00:00:00Z", "endTime": "2026-01-03T08:00:00Z"},
            "recurrence": "FREQ=WEEKLY;BYDAY=SA,SU",
        }
    }
}


def test_maintenance_policy(google):
    where = f"{WEB}:setMaintenancePolicy"
    operation = google.done("POST", where, {"maintenancePolicy": DAILY})
    assert operation["operationType"] == "SET_MAINTENANCE_POLICY"
    policy = google.cluster()["maintenancePolicy"]
    assert policy["window"]["dailyMaintenanceWindow"] == {
        "startTime": "03:00",
        "duration": "PT4H0M0S",
    }
    version = policy["resourceVersion"]
    stale = {"maintenancePolicy": {**WEEKEND, "resourceVersion": "e3b0c442"}}
    assert google.refused("POST", where, stale)[0] == 400
    google.done("POST", where, {"maintenancePolicy": {**WEEKEND, "resourceVersion": version}})
    assert google.cluster()["maintenancePolicy"]["window"] == WEEKEND["window"]
    google.done("POST", where, {"maintenancePolicy": {}})
    assert google.cluster()["maintenancePolicy"] == {"resourceVersion": "e3b0c442"}


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ({**DAILY["window"], **WEEKEND["window"]}, "Only one of the maintenance windows"),
        (
            {
                "recurringWindow": {
                    "window": {
                        "startTime": "2026-01-03T08:00:00Z",
                        "endTime": "2026-01-03T00:00:00Z",
                    }
                }
            },
            "must end after it starts",
        ),
    ],
)
def test_maintenance_policy_that_cannot_be(google, window, words):
    body = {"maintenancePolicy": {"window": window}}
    status, message = google.refused("POST", f"{WEB}:setMaintenancePolicy", body)
    assert status == 400
    assert words in message


def test_other_addons_stay_as_they_are(google):
    before = google.cluster()["addonsConfig"]
    more = {"gcsFuseCsiDriverConfig": {"enabled": True}}
    google.done("PUT", WEB, {"update": {"desiredAddonsConfig": more}})
    assert google.cluster()["addonsConfig"] == {**before, **more}


def test_network_policy_needs_its_addon(google):
    body = {"networkPolicy": {"enabled": True, "provider": "CALICO"}}
    where = f"{WEB}:setNetworkPolicy"
    assert "addon must be enabled" in google.refused("POST", where, body)[1]
    addons = {"addonsConfig": {"networkPolicyConfig": {"disabled": False}}}
    google.done("POST", f"{WEB}:setAddons", addons)
    assert google.done("POST", where, body)["operationType"] == "SET_NETWORK_POLICY"
    assert google.cluster()["networkPolicy"] == body["networkPolicy"]


@pytest.mark.parametrize(
    ("verb", "body", "path", "expected"),
    [
        ("setLocations", {"locations": [ZONE, "europe-west1-d"]}, "locations.1", "europe-west1-d"),
        ("setLegacyAbac", {"enabled": True}, "legacyAbac.enabled", True),
        ("setLogging", {"loggingService": "none"}, "loggingService", "none"),
        ("setMonitoring", {"monitoringService": "none"}, "monitoringService", "none"),
        (
            "updateMaster",
            {"masterVersion": "1.34.4-gke.1047000"},
            "currentMasterVersion",
            "1.34.4-gke.1047000",
        ),
    ],
)
def test_methods_that_set_one_thing(google, verb, body, path, expected):
    google.done("POST", f"{WEB}:{verb}", body)
    assert looked_up(google.cluster(), path) == expected


def test_basic_authentication_is_gone(google):
    body = {"action": "SET_PASSWORD", "update": {"username": "admin"}}
    status, message = google.refused("POST", f"{WEB}:setMasterAuth", body)
    assert (status, "Basic authentication was removed" in message) == (400, True)


def test_subsetting_stays_once_it_is_on(google):
    google.done("PUT", WEB, {"update": {"desiredL4ilbSubsettingConfig": {"enabled": True}}})
    body = {"update": {"desiredL4ilbSubsettingConfig": {}}}
    assert "cannot be disabled" in google.refused("PUT", WEB, body)[1]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"desiredShieldedNodes": {}}, "cannot be changed for Autopilot"),
        ({"desiredReleaseChannel": {"channel": "UNSPECIFIED"}}, "must be enrolled"),
        ({"desiredNodeVersion": "-"}, "Autopilot node pools"),
    ],
)
def test_autopilot_keeps_what_makes_it_one(google, update, words):
    google.create("auto", location="us-central1", autopilot={"enabled": True})
    where = f"/v1/projects/{PROJECT}/locations/us-central1/clusters/auto"
    status, message = google.refused("PUT", where, {"update": update})
    assert status == 400
    assert words in message
