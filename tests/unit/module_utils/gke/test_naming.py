import json

import pytest
from ansible.module_utils.docker_ml_api.gke import naming
from ansible.module_utils.docker_ml_api.gke.naming import Mark

SERVICE = "8f3a8b0e-0f5b-4f0e-9c5e-3d3c1c5b7f11"
BALANCER = "a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1"
UID = "1a2b3c4d5e6f7081"
ID = "0123456789abcdef" * 4
LABEL = "aerukz4jvpg66ajdivtytk6n54asgrlhrgv433ybencwpcnlzxxq"


def test_hash():
    """The values are those of ingress-gce's fixtures."""
    assert naming.content_hash("ksuid123") == "axyqjz2d"
    assert naming.system_mark("ksuid123") == Mark("system", "axyqjz2d")


def test_ids():
    assert naming.id_label(ID) == LABEL
    assert naming.id_of_label(LABEL) == ID
    assert naming.id_label("no id") == ""
    assert naming.id_of_label("no label!") == ""
    assert len(naming.id_of_label("u73evtkmjveu5e3nbd5lgel66rneey2titvuwrmuoejjqr3wuxha")) == 64
    assert naming.balancer_name(SERVICE) == BALANCER


def test_tags():
    assert naming.node_tag("hello-cluster", ID) == "gke-hello-cluster-01234567-node"
    assert naming.tag_hash("gke-hello-cluster-01234567-node", "hello-cluster") == "01234567"
    assert naming.tag_hash("gke-hello-cluster-01234567-node", "hello") == ""
    assert naming.tag_hash("gke-hello-01234567-89abcdef-node", "hello") == ""
    assert naming.tag_hash("web", "web") == ""


def described(name, **said):
    return {"name": name, "description": json.dumps(said)}


UIDS = {Mark("uid", "1a2b3c4d")}
SYSTEM = {Mark("system", "7kpbhpki")}
BALANCERS = {Mark("balancer", BALANCER)}
# What: the resource, its marks. The names of k8s2 and k8s3 are those of ingress-gce's tests.
MARKS = {
    "balancer": ({"name": BALANCER}, BALANCERS),
    "its firewall": ({"name": f"k8s-fw-{BALANCER}"}, BALANCERS),
    "its health check's firewall": ({"name": f"k8s-{BALANCER}-http-hc"}, BALANCERS),
    "its internal health check's firewall": ({"name": f"{BALANCER}-hc"}, BALANCERS),
    "shared health check": ({"name": f"k8s-{UID}-node"}, UIDS),
    "its firewall, shared": ({"name": f"k8s-{UID}-node-http-hc"}, UIDS),
    "internal backend": ({"name": f"k8s-{UID}-internal-tcp-nmv1-abcdef0123456789"}, UIDS),
    "ingress backend": ({"name": f"k8s-be-30080--{UID}"}, UIDS),
    "ingress URL map": ({"name": f"k8s-um-default-web--{UID}"}, UIDS),
    "ingress certificate": ({"name": f"k8s-ssl-0123456789abcdef-0123456789abcdef--{UID}"}, UIDS),
    "ingress firewall": ({"name": f"k8s-fw-l7--{UID}"}, UIDS),
    "instance group": ({"name": f"k8s-ig--{UID}"}, UIDS),
    "cut": ({"name": "k8s-fws-" + "n" * 46 + "--1a2b3c0"}, {Mark("uid", "1a2b3c")}),
    "cut to nothing": ({"name": "k8s-fws-" + "n" * 49 + "--1a20"}, set()),
    "NEG": ({"name": "k8s1-1a2b3c4d-default-web-80-5e454a9e"}, UIDS),
    "NEG of one's own name": (
        described("my-neg", **{"cluster-uid": "ksuid123", "namespace": "n", "service-name": "s"}),
        {Mark("system", "axyqjz2d")},
    ),
    "L4 rule": ({"name": "k8s2-tcp-7kpbhpki-namespace-name-956p2p7x"}, SYSTEM),
    "L4 rule, any protocol": ({"name": "k8s2-l3-7kpbhpki-namespace-name-956p2p7x"}, SYSTEM),
    "L4 rule, number": ({"name": "k8s2-tcp-7kpbhpki-default-lb-y6efeqo7-a-ipv6"}, SYSTEM),
    "L4 backend": ({"name": "k8s2-7kpbhpki-namespace-name-956p2p7x"}, SYSTEM),
    "L4 shared health check": ({"name": "k8s2-7kpbhpki-l4-shared-hc"}, SYSTEM),
    "L4 firewall": ({"name": "k8s2-7kpbhpki-l4-shared-hc-fw"}, SYSTEM),
    "L4 deny": ({"name": "k8s3-7kpbhpki-956p2p7x-namespace-name-deny"}, SYSTEM),
    "newer URL map": ({"name": "k8s2-um-7kpbhpki-default-web-956p2p7x"}, SYSTEM),
    "newer certificate": ({"name": "k8s2-cr-7kpbhpki-0123456789abcdef-0123"}, SYSTEM),
    "node tag": (
        {"name": "gke-hello-0a1b2c3d-all", "targetTags": ["gke-hello-0a1b2c3d-node", "web"]},
        {Mark("tag", "gke-hello-0a1b2c3d-node")},
    ),
    "somebody's": ({"name": "web", "description": "kubernetes.io"}, set()),
    "nearly": ({"name": "k8s-fw-web"}, set()),
    "a list": ({"name": "x", "description": "[1]"}, set()),
}


@pytest.mark.parametrize(("resource", "marks"), MARKS.values(), ids=MARKS)
def test_marks(resource, marks):
    assert naming.marks_of(resource) == marks


MADE_FOR = {
    "service": ({"kubernetes.io/service-name": "default/web"}, "Service default/web"),
    "L4 service": ({"networking.gke.io/service-name": "default/web"}, "Service default/web"),
    "ingress": ({"kubernetes.io/ingress-name": "default/web"}, "Ingress default/web"),
    "NEG": (
        {"cluster-uid": "u", "namespace": "default", "service-name": "web", "port": "80"},
        "Service default/web",
    ),
    "disk": (
        {
            "kubernetes.io/created-for/pvc/name": "data",
            "kubernetes.io/created-for/pvc/namespace": "default",
        },
        "PersistentVolumeClaim default/data",
    ),
    "other": ({"team": "web"}, ""),
}


@pytest.mark.parametrize(("said", "what"), MADE_FOR.values(), ids=MADE_FOR)
def test_made_for(said, what):
    resource = described("x", **said)
    assert naming.made_for(resource) == what
    assert naming.is_kubernetes(resource) is bool(what)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("gke-hello-default-pool-0a1b2c3d-grp", True),
        ("gke-hello-world-pool-0a1b2c3d-grp", True),
        ("gke-hello-0a1b2c3d-grp", False),
        ("gke-other-pool-0a1b2c3d-grp", False),
    ],
)
def test_pool_groups(name, fits):
    assert naming.is_pool_group(name, "hello") is fits


@pytest.mark.parametrize(
    ("scope", "region"),
    [
        ("global", ""),
        ("regions/europe-west1", "europe-west1"),
        ("zones/europe-west1-b", "europe-west1"),
        ("europe-west1-b", "europe-west1"),
        ("europe-west1", "europe-west1"),
    ],
)
def test_regions(scope, region):
    assert naming.region_of(scope) == region
