"""What GKE creates for workloads, with real names and descriptions, and what it leaves."""

import json

import pytest

from rehearsal.gke.model import attachments, values
from support.google_client import CLUSTERS, COMPUTE, ZONE, Client

UID = "f1d2d2f9-24e9-86ac-86fd-f7b36c94bcdf"
BALANCER = "af1d2d2f924e986ac86fdf7b36c94bcd"


@pytest.fixture
def google():
    client = Client()
    client.create(resourceLabels={"managed-by": "us"})
    return client


def left(google):
    """Return the keys of all resources except those created and deleted with clusters."""
    return google.world.control("show", {})["compute"]


def one(google, key):
    return google.world.state.compute[key]["body"]


def uids(google):
    """Return the UID in its ConfigMap, the hash of the UID of kube-system, and this UID."""
    record = google.world.state.clusters[f"{ZONE}/web"]
    system = attachments.system_uid(record)
    return attachments.ingress_uid(record), values.content_hash(system), system


def test_service_with_a_target_pool(google):
    cluster = google.cluster()
    links = google.world.attach(
        "web", "Service", name="api", uid=UID, ports=[80, 443], ip="8.8.4.4"
    )
    ingress, _, _ = uids(google)
    region = "regions/europe-west1"
    assert left(google) == [
        f"firewalls/global/k8s-{ingress}-node-http-hc",
        f"firewalls/global/k8s-fw-{BALANCER}",
        f"forwardingRules/{region}/{BALANCER}",
        f"httpHealthChecks/global/k8s-{ingress}-node",
        f"targetPools/{region}/{BALANCER}",
    ]
    assert len(links) == 5
    rule = one(google, f"forwardingRules/{region}/{BALANCER}")
    assert rule["description"] == '{"kubernetes.io/service-name":"default/api"}'
    assert (rule["IPAddress"], rule["portRange"]) == ("8.8.4.4", "80-443")
    assert rule["target"].endswith(f"{region}/targetPools/{BALANCER}")
    pool = one(google, f"targetPools/{region}/{BALANCER}")
    assert len(pool["instances"]) == 2
    assert pool["healthChecks"] == [links[0]]
    firewall = one(google, f"firewalls/global/k8s-fw-{BALANCER}")
    assert firewall["targetTags"] == [f"gke-web-{cluster['id'][:8]}-node"]
    assert firewall["description"] == (
        '{"kubernetes.io/service-name":"default/api", "kubernetes.io/service-ip":"8.8.4.4"}'
    )
    health = one(google, f"firewalls/global/k8s-{ingress}-node-http-hc")
    assert health["description"] == f'{{"kubernetes.io/cluster-id":"{ingress}"}}'


@pytest.mark.parametrize(
    ("kind", "scheme"), [("backend-service", "EXTERNAL"), ("internal", "INTERNAL")]
)
def test_service_with_a_backend_service(google, kind, scheme):
    google.world.attach("web", "Service", namespace="shop", name="api", kind=kind)
    ingress, system, _ = uids(google)
    region = "regions/europe-west1"
    names = left(google)
    assert names[0].startswith(f"backendServices/{region}/k8s2-{system}-shop-api-")
    name = names[0].rpartition("/")[2]
    rule_name = f"forwardingRules/{region}/{name.replace('k8s2-', 'k8s2-tcp-')}"
    group = f"instanceGroups/zones/{ZONE}/k8s-ig--{ingress}"
    assert set(names[1:]) == {
        f"firewalls/global/{name}",
        f"firewalls/global/k8s2-{system}-l4-shared-hc-fw",
        rule_name,
        f"healthChecks/{region}/k8s2-{system}-l4-shared-hc",
        group,
    }
    rule = one(google, rule_name)
    assert rule["loadBalancingScheme"] == scheme
    said = json.loads(rule["description"])
    assert said["networking.gke.io/service-name"] == "shop/api"
    assert said["networking.gke.io/service-ip"] == rule["IPAddress"]
    assert one(google, group)["size"] == 2


def test_kind_of_load_balancer_is_a_setting():
    google = Client(load_balancers="backend-service")
    google.create()
    google.world.attach("web", "Service", name="api")
    assert any(key.startswith("backendServices/") for key in left(google))


def test_ingress(google):
    google.world.attach("web", "Ingress", name="site", service="api", port=8080, https=True)
    ingress, system, system_uid = uids(google)
    names = left(google)
    collections = [name.partition("/")[0] for name in names]
    assert collections == [
        "backendServices",
        "firewalls",
        "forwardingRules",
        "forwardingRules",
        "healthChecks",
        "networkEndpointGroups",
        "sslCertificates",
        "targetHttpProxies",
        "targetHttpsProxies",
        "urlMaps",
    ]
    backend = names[0].rpartition("/")[2]
    assert backend.startswith(f"k8s1-{ingress[:8]}-default-api-8080-")
    assert names[1] == f"firewalls/global/k8s-fw-l7--{ingress}"
    assert names[2].startswith(f"forwardingRules/global/k8s2-fr-{system}-default-site-")
    assert names[5] == f"networkEndpointGroups/zones/{ZONE}/{backend}"
    neg = json.loads(one(google, names[5])["description"])
    assert (neg["cluster-uid"], neg["service-name"]) == (system_uid, "api")
    assert one(google, names[2])["target"].endswith(names[7].partition("global/")[2])
    assert one(google, names[0])["backends"][0]["group"].endswith(backend)


def test_volume(google):
    google.world.attach("web", "Volume", claim="data", uid=UID, size_gb=20)
    assert left(google) == [f"disks/zones/{ZONE}/pvc-{UID}"]
    disk = google.ok("GET", f"{COMPUTE}/zones/{ZONE}/disks/pvc-{UID}")
    assert disk["sizeGb"] == "20"
    assert disk["labels"]["goog-k8s-cluster-name"] == "web"
    assert disk["labels"]["managed-by"] == "us"
    assert len(disk["labels"]["goog-gke-cluster-id-base32"]) == 52
    said = json.loads(disk["description"])
    assert said["kubernetes.io/created-for/pvc/name"] == "data"
    assert said["storage.gke.io/created-by"] == "pd.csi.storage.gke.io"
    google.world.attach("web", "Volume", claim="far", zone="europe-west1-c")
    assert any(name.startswith("disks/zones/europe-west1-c/pvc-") for name in left(google))


def test_reserved_address(google):
    google.world.attach("web", "Service", name="api", ip="8.8.4.4", static_address="front")
    address = google.ok("GET", f"{COMPUTE}/regions/europe-west1/addresses/front")
    assert (address["address"], address["status"]) == ("8.8.4.4", "IN_USE")


EVERYTHING = (
    ("Service", {"name": "api"}),
    ("Service", {"name": "other", "kind": "backend-service"}),
    ("Service", {"name": "inner", "kind": "internal"}),
    ("Ingress", {"name": "site", "https": True, "static_address": "front"}),
    ("Volume", {"claim": "data"}),
)


def test_the_wrong_order_leaves_everything(google):
    for kind, fields in EVERYTHING:
        google.world.attach("web", kind, **fields)
    before = left(google)
    google.done("DELETE", f"{CLUSTERS}/web")
    assert left(google) == before
    assert len(before) > 20
    assert google.ok("GET", f"{COMPUTE}/zones/{ZONE}/disks")["items"][0]["name"].startswith("pvc-")


def test_the_right_order_leaves_nothing(google):
    for kind, fields in EVERYTHING:
        google.world.attach("web", kind, **fields)
    for kind, fields in EVERYTHING:
        name = fields.get("name") or fields["claim"]
        gone = google.world.control("detach", {"cluster": "web", "object": kind, "name": name})
        assert gone["gone"] > 0
    assert left(google) == []


def test_what_is_shared_stays_while_another_needs_it(google):
    google.world.attach("web", "Service", name="api")
    before = left(google)
    google.world.attach("web", "Service", name="second")
    google.world.control("detach", {"cluster": "web", "object": "Service", "name": "second"})
    assert left(google) == before
    # Attaching an existing object again creates nothing.
    assert google.world.attach("web", "Service", name="api") == []


def test_clusters_do_not_share(google):
    google.create("other")
    google.world.attach("web", "Service", name="api", uid=UID)
    mine = left(google)
    google.world.attach("other", "Service", name="api")
    google.world.control("detach", {"cluster": "other", "object": "Service", "name": "api"})
    assert left(google) == mine
    google.create("web", location="us-east1-b")
    google.world.attach("us-east1-b/web", "Service", name="api")
    assert any("regions/us-east1" in key for key in left(google))


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("Pod", {"name": "x"}, "no such object: Pod; there are Service, Ingress, Volume"),
        (
            "Service",
            {"name": "x", "colour": "red"},
            "a Service has no colour; it has namespace, name",
        ),
        ("Service", {"namespace": "shop"}, "its name is missing"),
        ("Volume", {"uid": UID}, "its name is missing"),
        ("Service", {"name": "x", "kind": "magic"}, "kind magic of a Service"),
    ],
)
def test_what_cannot_be_attached(google, kind, fields, words):
    with pytest.raises(ValueError, match=words):
        google.world.attach("web", kind, **fields)
    assert left(google) == []
