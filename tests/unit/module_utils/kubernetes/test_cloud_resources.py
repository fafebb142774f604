import pytest
from ansible.module_utils.docker_ml_api.kubernetes import cloud_resources


def item(kind, name="web", namespace="n", spec=None, **metadata):
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec or {},
    }


NEG = "cloud.google.com/neg"
# What: the object, whether it stands for something in the cloud.
IN_CLOUD = {
    "load balancer": (item("Service", spec={"type": "LoadBalancer"}), True),
    "cluster IP": (item("Service", spec={"type": "ClusterIP"}), False),
    "was a load balancer": (
        item("Service", finalizers=["service.kubernetes.io/load-balancer-cleanup"]),
        True,
    ),
    "was a newer one": (item("Service", finalizers=["gke.networking.io/l4-netlb-v2"]), True),
    "another finalizer": (item("Service", finalizers=["example.com/hold"]), False),
    "NEG": (item("Service", annotations={NEG: '{"exposed_ports": {"80": {}}}'}), True),
    "NEG of an Ingress": (item("Service", annotations={NEG: '{"ingress": true}'}), False),
    "garbled": (item("Service", annotations={NEG: "{"}), False),
    "a list": (item("Service", annotations={NEG: "[1]"}), False),
    "ingress": (item("Ingress"), True),
    "gateway": (item("Gateway"), True),
    "claim": (item("PersistentVolumeClaim"), True),
}


@pytest.mark.parametrize(("one", "is_it"), IN_CLOUD.values(), ids=IN_CLOUD)
def test_in_cloud(one, is_it):
    assert cloud_resources.in_cloud(one) is is_it


def test_titles():
    assert cloud_resources.title(item("Service")) == "Service n/web"
    volume = {"kind": "PersistentVolume", "metadata": {"name": "pvc-1"}}
    assert cloud_resources.title(volume) == "PersistentVolume pvc-1"


def test_claims_of_pods():
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "b", "configMap": {"name": "c"}},
    ]
    pod = item("Pod", "web-1", spec={"volumes": volumes})
    assert cloud_resources.claims_of(pod) == {("n", "data"), ("n", "web-1-scratch")}
    assert cloud_resources.claims_of(item("Pod")) == set()


def test_owners():
    def owned(kind, *, controller=True):
        reference = {"kind": kind, "name": "x", "controller": controller}
        return item("Pod", ownerReferences=[reference])

    assert cloud_resources.owner(owned("ReplicaSet")) == ("ReplicaSet", "x")
    assert cloud_resources.owner(owned("SparkApplication")) is None
    assert cloud_resources.owner(owned("ReplicaSet", controller=False)) is None
    assert cloud_resources.owner(item("Pod")) is None


def volume(policy="Delete", claim="data", phase="Bound", **source):
    reference = {"namespace": "n", "name": claim} if claim else None
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": "pvc-1"},
        "spec": {"persistentVolumeReclaimPolicy": policy, "claimRef": reference, **source},
        "status": {"phase": phase},
    }


def csi(driver, handle):
    return {"csi": {"driver": driver, "volumeHandle": handle}}


DISKS = {
    "disk": (csi("pd.csi.storage.gke.io", "projects/p/zones/z/disks/pvc-1"), "pvc-1"),
    "filestore": (csi("filestore.csi.storage.gke.io", "modeInstance/z/pvc-2/vol1"), "vol1"),
    "in the tree": ({"gcePersistentDisk": {"pdName": "disk"}}, "disk"),
    "elsewhere": (csi("nfs.csi.k8s.io", "server/share"), ""),
    "on the host": ({"hostPath": {"path": "/x"}}, ""),
}


@pytest.mark.parametrize(("source", "name"), DISKS.values(), ids=DISKS)
def test_disks(source, name):
    assert cloud_resources.disk_of(volume(**source)) == name
    kept = cloud_resources.retained([volume("Retain", **source)])
    assert bool(kept) is bool(name)
    assert cloud_resources.retained([volume("Delete", **source)]) == []


GOING = {
    "claim goes": (volume(), True),
    "another claim": (volume(claim="other"), False),
    "released": (volume(claim="other", phase="Released"), True),
    "failed": (volume(claim="other", phase="Failed"), True),
    "available": (volume(claim=None, phase="Available"), False),
    "retained": (volume("Retain"), False),
}


@pytest.mark.parametrize(("one", "goes"), GOING.values(), ids=GOING)
def test_going_volumes(one, goes):
    assert bool(cloud_resources.going_volumes([one], {("n", "data")})) is goes
