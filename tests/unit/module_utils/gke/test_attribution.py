"""Which resources are attributed to a cluster, how certain that is, and which are left alone."""

import json

import pytest
from ansible.module_utils.docker_ml_api.gke import attribution as gke_attribution
from ansible.module_utils.docker_ml_api.gke import naming
from ansible.module_utils.docker_ml_api.gke.attribution import KINDS, Found

LABELS = {"managed-by": "docker-ml-api"}
NAME, ZONE, REGION = "hello-cluster", "europe-west1-b", "europe-west1"
ID, OTHER_ID = "0123456789abcdef" * 4, "fedcba9876543210" * 4
TAG = "gke-hello-cluster-01234567-node"
BALANCER = "a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1"
UID = "1a2b3c4d5e6f7081"
SYSTEM_UID = "ksuid123"
SYSTEM = "axyqjz2d"
KIND = {kind.collection: kind for kind in KINDS}
URL = "https://www.googleapis.com/compute/v1/projects/p/"
OF_WEB = json.dumps({"kubernetes.io/service-name": "default/web"})


def found(collection, name, scope="", **resource):
    scope = scope or ("global" if collection == "firewalls" else f"regions/{REGION}")
    return Found(KIND[collection], scope, {"name": name, **resource})


def rule(name=BALANCER, **resource):
    target = f"{URL}regions/{REGION}/targetPools/{name}"
    return found("forwardingRules", name, description=OF_WEB, target=target, **resource)


def pool(name=BALANCER, **resource):
    return found("targetPools", name, description=OF_WEB, **resource)


def firewall(name=f"k8s-fw-{BALANCER}", tag=TAG, **resource):
    return found("firewalls", name, targetTags=[tag], **resource)


def disk(name="pvc-1", scope=f"zones/{ZONE}", **resource):
    said = json.dumps({"kubernetes.io/created-for/pvc/name": "d", "x": 1})
    return found("disks", name, scope, description=said, **resource)


def labels(name=NAME, location=ZONE, cluster_id="", **others):
    given = {naming.CLUSTER_LABEL: name, naming.LOCATION_LABEL: location, **others}
    if cluster_id:
        given[naming.ID_LABEL] = naming.id_label(cluster_id)
    return {key.replace("_", "-"): value for key, value in given.items() if value}


def living(name="other", location=ZONE, cluster_id=OTHER_ID, **cluster):
    return {"name": name, "location": location, "id": cluster_id, **cluster}


def known(**values):
    return gke_attribution.read_identity(NAME, ZONE, values)


NOTHING = known()
BY_ID = known(cluster_id=ID, ours=True)


def judged(identity, *resources, clusters=()):
    """Return name → (attribution, swept), and check the order of deletion."""
    answer = gke_attribution.attribute(identity, resources, clusters, LABELS)
    taken = {one.found.path: (one.attribution, one.sweep) for one in answer.leftovers}
    assert list(taken) == sorted(
        taken, key=lambda path: (list(KIND).index(path.split("/")[-2]), path)
    )
    return {path.rpartition("/")[2]: value for path, value in taken.items()}


CERTAIN, LIKELY, POSSIBLE = ("certain", True), ("likely", True), ("possible", False)

BALANCER_PARTS = (rule(), pool(), firewall())
# What: the known identity, the resources, the attributed ones and how.
TAKEN = {
    "a load balancer by the id": (
        BY_ID,
        BALANCER_PARTS,
        {BALANCER: CERTAIN, f"k8s-fw-{BALANCER}": CERTAIN},
    ),
    "a load balancer by the name": (
        NOTHING,
        BALANCER_PARTS,
        {BALANCER: LIKELY, f"k8s-fw-{BALANCER}": LIKELY},
    ),
    "a load balancer by the Service's UID": (
        known(load_balancers=[BALANCER]),
        (rule(), pool()),
        {BALANCER: CERTAIN},
    ),
    "a target pool whose rules are gone": (
        NOTHING,
        (pool(instances=[f"{URL}zones/{ZONE}/instances/gke-hello-cluster-main-0a1b-x"]),),
        {BALANCER: POSSIBLE},
    ),
    "the shared health check by its firewall": (
        BY_ID,
        (
            firewall(f"k8s-{UID}-node-http-hc"),
            found("httpHealthChecks", f"k8s-{UID}-node", "global"),
        ),
        {f"k8s-{UID}-node": CERTAIN, f"k8s-{UID}-node-http-hc": CERTAIN},
    ),
    "an Ingress, by the UID in its firewall": (
        BY_ID,
        (
            firewall(f"k8s-fw-l7--{UID}"),
            found("urlMaps", f"k8s-um-default-web--{UID}", "global"),
            found("networkEndpointGroups", "k8s1-1a2b3c4d-default-web-80-x", f"zones/{ZONE}"),
            found("instanceGroups", f"k8s-ig--{UID}", f"zones/{ZONE}"),
            found("sslCertificates", f"k8s-ssl-1-2--{UID}", "global"),
        ),
        {
            f"k8s-um-default-web--{UID}": CERTAIN,
            "k8s1-1a2b3c4d-default-web-80-x": CERTAIN,
            f"k8s-ig--{UID}": CERTAIN,
            f"k8s-ssl-1-2--{UID}": CERTAIN,
            f"k8s-fw-l7--{UID}": CERTAIN,
        },
    ),
    "a name that was cut": (
        known(uids=[UID]),
        (found("forwardingRules", "k8s-fws-" + "n" * 46 + "--1a2b3c0", "global"),),
        {"k8s-fws-" + "n" * 46 + "--1a2b3c0": CERTAIN},
    ),
    "a newer one by the hash of kube-system": (
        known(system_uids=[SYSTEM_UID]),
        (
            found("forwardingRules", f"k8s2-tcp-{SYSTEM}-default-web-956p2p7x"),
            found("backendServices", f"k8s2-{SYSTEM}-default-web-956p2p7x"),
            found("healthChecks", f"k8s2-{SYSTEM}-l4-shared-hc"),
        ),
        {
            f"k8s2-tcp-{SYSTEM}-default-web-956p2p7x": CERTAIN,
            f"k8s2-{SYSTEM}-default-web-956p2p7x": CERTAIN,
            f"k8s2-{SYSTEM}-l4-shared-hc": CERTAIN,
        },
    ),
    "a NEG of one's own name, by what it says": (
        known(system_uids=[SYSTEM_UID]),
        (
            found(
                "networkEndpointGroups",
                "mine",
                f"zones/{ZONE}",
                description=json.dumps({"cluster-uid": SYSTEM_UID, "namespace": "n"}),
            ),
        ),
        {"mine": CERTAIN},
    ),
    "from NEG to URL map, by kube-system": (
        BY_ID,
        (
            firewall(f"k8s-fw-l7--{UID}"),
            found(
                "networkEndpointGroups",
                "k8s1-1a2b3c4d-default-web-80-x",
                f"zones/{ZONE}",
                description=json.dumps({"cluster-uid": SYSTEM_UID}),
            ),
            found("urlMaps", f"k8s2-um-{SYSTEM}-default-web-956p2p7x", "global"),
        ),
        {
            f"k8s2-um-{SYSTEM}-default-web-956p2p7x": CERTAIN,
            "k8s1-1a2b3c4d-default-web-80-x": CERTAIN,
            f"k8s-fw-l7--{UID}": CERTAIN,
        },
    ),
    "what it refers to": (
        known(load_balancers=[BALANCER]),
        (
            rule(backendService=f"{URL}regions/{REGION}/backendServices/k8s-old"),
            found("backendServices", "k8s-old", description=OF_WEB),
        ),
        {BALANCER: CERTAIN, "k8s-old": CERTAIN},
    ),
    "what it refers to, made by a person": (
        known(load_balancers=[BALANCER]),
        (
            rule(backendService=f"{URL}regions/{REGION}/backendServices/shared"),
            found("backendServices", "shared"),
        ),
        {BALANCER: CERTAIN},
    ),
    "by a URL map to its backends": (
        known(system_uids=[SYSTEM_UID]),
        (
            found(
                "urlMaps",
                f"k8s2-um-{SYSTEM}-default-web-956p2p7x",
                "global",
                pathMatchers=[
                    {
                        "defaultService": f"{URL}global/backendServices/k8s-one",
                        "pathRules": [{"service": f"{URL}global/backendServices/k8s-two"}],
                    }
                ],
            ),
            *(
                found("backendServices", name, "global", description=OF_WEB)
                for name in ("k8s-one", "k8s-two", "k8s-three")
            ),
        ),
        {
            f"k8s2-um-{SYSTEM}-default-web-956p2p7x": CERTAIN,
            "k8s-one": CERTAIN,
            "k8s-two": CERTAIN,
        },
    ),
    "the cluster's own firewall rules": (
        BY_ID,
        (firewall("gke-hello-cluster-01234567-all"),),
        {"gke-hello-cluster-01234567-all": CERTAIN},
    ),
    "its pools' instance groups": (
        known(groups=["gke-hello-cluster-main-0a1b2c3d-grp"]),
        (found("instanceGroups", "gke-hello-cluster-main-0a1b2c3d-grp", f"zones/{ZONE}"),),
        {"gke-hello-cluster-main-0a1b2c3d-grp": CERTAIN},
    ),
    "an instance group that may be hello-cluster-two's": (
        NOTHING,
        (found("instanceGroups", "gke-hello-cluster-two-main-0a1b2c3d-grp", f"zones/{ZONE}"),),
        {"gke-hello-cluster-two-main-0a1b2c3d-grp": POSSIBLE},
    ),
    # Disks: deleting them loses their data.
    "a disk with the id": (BY_ID, (disk(labels=labels(cluster_id=ID)),), {"pvc-1": CERTAIN}),
    "a disk with our label": (
        NOTHING,
        (disk(labels=labels(**LABELS)),),
        {"pvc-1": CERTAIN},
    ),
    "a disk with name and location alone": (
        NOTHING,
        (disk(labels=labels()),),
        {"pvc-1": ("likely", False)},
    ),
    "a disk of an earlier cluster of the name": (
        BY_ID,
        (disk(labels=labels(cluster_id=OTHER_ID, **LABELS)),),
        {"pvc-1": POSSIBLE},
    ),
    "a disk that does not say where its cluster was": (
        NOTHING,
        (disk(labels=labels(location="")),),
        {"pvc-1": POSSIBLE},
    ),
    "a disk that the cluster had": (known(disks=["pvc-1"]), (disk(),), {"pvc-1": CERTAIN}),
    "a disk in use": (
        BY_ID,
        (disk(labels=labels(cluster_id=ID), users=[f"{URL}zones/{ZONE}/instances/vm"]),),
        {"pvc-1": ("certain", False)},
    ),
    "a regional disk": (
        BY_ID,
        (disk(scope=f"regions/{REGION}", labels=labels(cluster_id=ID)),),
        {"pvc-1": CERTAIN},
    ),
    "a disk's id leads to the load balancer": (
        NOTHING,
        (disk(labels=labels(cluster_id=ID, **LABELS)), *BALANCER_PARTS),
        {BALANCER: CERTAIN, "pvc-1": CERTAIN, f"k8s-fw-{BALANCER}": CERTAIN},
    ),
    "an address of a load balancer": (
        BY_ID,
        (firewall(), found("addresses", BALANCER, description=OF_WEB)),
        {BALANCER: CERTAIN, f"k8s-fw-{BALANCER}": CERTAIN},
    ),
    # Resources that must not be attributed to the cluster.
    "an address that a person reserved": (BY_ID, (found("addresses", "web"),), {}),
    "a disk of a person": (BY_ID, (found("disks", "data", f"zones/{ZONE}"),), {}),
    "another cluster's disk": (BY_ID, (disk(labels=labels(name="other", cluster_id=ID)),), {}),
    "the same name elsewhere": (BY_ID, (disk(labels=labels(location="us-east1-b")),), {}),
    "another cluster's firewall": (BY_ID, (firewall(tag="gke-other-01234567-node"),), {}),
    "a longer name's firewall": (
        NOTHING,
        (firewall(tag="gke-hello-cluster-two-01234567-node"),),
        {},
    ),
    "another id's firewall": (BY_ID, (firewall(tag="gke-hello-cluster-89abcdef-node"),), {}),
    "a person's firewall": (BY_ID, (firewall("ssh", tag="bastion"),), {}),
    "no cluster's load balancer": (NOTHING, (rule(), pool()), {}),
    "a group elsewhere": (
        NOTHING,
        (found("instanceGroups", "gke-hello-cluster-main-0a1b2c3d-grp", "zones/us-east1-b"),),
        {},
    ),
}


@pytest.mark.parametrize(("identity", "resources", "taken"), TAKEN.values(), ids=TAKEN)
def test_taken(identity, resources, taken):
    assert judged(identity, *resources) == taken
    if identity.ours is None:
        # Nothing is swept of a cluster that was not ours.
        strange = gke_attribution.read_identity(NAME, ZONE, {**vars(identity), "ours": False})
        answer = gke_attribution.attribute(strange, resources, (), LABELS)
        assert not any(one.sweep for one in answer.leftovers)


# Living clusters


def test_a_living_cluster_keeps_what_is_its():
    other = (
        firewall(f"k8s-fw-l7--{UID}", tag=naming.node_tag("other", OTHER_ID)),
        found("urlMaps", f"k8s-um-default-web--{UID}", "global"),
        disk(labels=labels(name="other")),
        found("instanceGroups", "gke-hello-cluster-x-0a1b2c3d-grp", f"zones/{ZONE}"),
    )
    manager = f"{URL}zones/{ZONE}/instanceGroupManagers/gke-hello-cluster-x-0a1b2c3d-grp"
    alive = living(nodePools=[{"name": "x", "instanceGroupUrls": [manager]}])
    known_wrongly = known(uids=[UID], groups=["gke-hello-cluster-x-0a1b2c3d-grp"])
    assert judged(known_wrongly, *other, clusters=[alive]) == {}
    assert len(judged(known_wrongly, *other)) == 3


def test_the_cluster_itself_is_alive():
    mine = living(NAME, ZONE, ID)
    assert judged(BY_ID, *BALANCER_PARTS, disk(labels=labels()), clusters=[mine]) == {}


def test_a_living_cluster_of_the_same_name_elsewhere():
    """Resources without a location may be left from an earlier cluster of that place."""
    alive = living(NAME, "us-east1-b", OTHER_ID)
    assert set(judged(NOTHING, *BALANCER_PARTS, clusters=[alive]).values()) == {POSSIBLE}
    assert set(judged(BY_ID, *BALANCER_PARTS, clusters=[alive]).values()) == {CERTAIN}
    its = (firewall(tag=naming.node_tag(NAME, OTHER_ID)), rule(), pool())
    assert judged(NOTHING, *its, clusters=[alive]) == {}


def test_a_tag_that_leads_elsewhere():
    far = found("forwardingRules", BALANCER, "regions/us-east1", description=OF_WEB)
    assert judged(NOTHING, firewall(), far) == {}


def test_two_dead_clusters_of_the_name():
    two = (firewall(), firewall("k8s-fw-l7--" + UID, tag="gke-hello-cluster-89abcdef-node"))
    assert set(judged(NOTHING, *two).values()) == {POSSIBLE}
    here = judged(NOTHING, *two, rule())
    assert here[BALANCER] == LIKELY
    assert here[f"k8s-fw-l7--{UID}"] == POSSIBLE


def test_what_is_older_than_the_cluster():
    identity = known(cluster_id=ID, ours=True, created="2026-11-22T12:00:00+00:00")
    for moment, kept in (("11:59:59", "older than the cluster"), ("12:00:01", "")):
        made = f"2026-11-22T{moment}.000-00:00"
        answer = gke_attribution.attribute(identity, [firewall(creationTimestamp=made)], (), LABELS)
        (one,) = answer.leftovers
        assert one.sweep is not bool(kept)
        assert (kept in one.why) or not kept
    # GCE writes timestamps with its own time zone.
    early = firewall(creationTimestamp="2026-11-22T03:00:00.000-08:00")
    (one,) = gke_attribution.attribute(identity, [early], (), LABELS).leftovers
    assert not one.sweep
    odd = firewall(creationTimestamp="lately")
    (one,) = gke_attribution.attribute(identity, [odd], (), LABELS).leftovers
    assert one.sweep


def test_disks_that_were_kept():
    kept = disk(labels=labels(cluster_id=ID, **LABELS))
    identity = known(cluster_id=ID, ours=True, keep=["pvc-1"])
    answer = gke_attribution.attribute(identity, [kept], (), LABELS)
    assert answer.leftovers == []
    assert [one.found.name for one in answer.retained] == ["pvc-1"]
    assert not answer.retained[0].sweep


def test_what_nobody_knows():
    answer = gke_attribution.attribute(NOTHING, [rule(), found("addresses", "mine")], (), LABELS)
    (one,) = answer.unattributed
    public = one.public("my-project")
    assert (public["name"], public["attribution"], public["sweep"]) == (BALANCER, "", False)
    assert public["why"] == "Kubernetes made it, but nothing tells of which cluster"


COMMANDS = {
    "region": (rule(), "forwarding-rules delete {} --region europe-west1"),
    "zone": (disk(BALANCER), "disks delete {} --zone europe-west1-b"),
    "global": (found("urlMaps", BALANCER, "global"), "url-maps delete {} --global"),
    "always global": (firewall(BALANCER), "firewall-rules delete {}"),
    "two words": (
        found("instanceGroups", BALANCER, f"zones/{ZONE}"),
        "instance-groups unmanaged delete {} --zone europe-west1-b",
    ),
}


@pytest.mark.parametrize(("one", "words"), COMMANDS.values(), ids=COMMANDS)
def test_commands(one, words):
    assert one.command("my-project") == (
        f"gcloud compute {words.format(BALANCER)} --project my-project"
    )


def test_identity_of_a_living_cluster():
    manager = f"{URL}zones/{ZONE}/instanceGroupManagers/gke-hello-cluster-main-0a1b2c3d-grp"
    told = gke_attribution.identity_of(
        {
            "id": ID,
            "createTime": "2026-11-22T12:00:00+00:00",
            "resourceLabels": {**LABELS, "team": "web"},
            "nodePools": [{"instanceGroupUrls": [manager]}, {}],
        },
        LABELS,
    )
    assert told["ours"] is True
    assert "gke-hello-cluster-main-0a1b2c3d-grp" in told["groups"]
    read = gke_attribution.read_identity(NAME, ZONE, {"uids": [UID]}, told, {"uids": ["x"]})
    assert (read.cluster_id, read.ours, read.uids) == (ID, True, (UID, "x"))
    assert read.created.hour == 12
    assert gke_attribution.identity_of({}, LABELS)["ours"] is False


def test_the_groups_of_a_pool_whose_name_holds_their_suffix():
    url = f"{URL}zones/{ZONE}/instanceGroupManagers/gke-hello-cluster-a-grp-b-0a1b2c3d-grp"
    told = gke_attribution.identity_of({"nodePools": [{"instanceGroupUrls": [url]}]}, LABELS)
    assert told["groups"] == [
        "gke-hello-cluster-a-grp-b-0a1b2c3d",
        "gke-hello-cluster-a-grp-b-0a1b2c3d-grp",
    ]


def test_an_identity_that_nothing_is_known_of():
    assert gke_attribution.read_identity(NAME, ZONE).ours is None


def test_no_labels_are_not_ours():
    assert not gke_attribution.is_ours({"a": "b"}, {})
