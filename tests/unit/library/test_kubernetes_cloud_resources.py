"""The module against a server that keeps objects and their finalizers, and the real cluster."""

import contextlib
import itertools
import json

import kubernetes_cloud_resources
import pytest
from ansible.module_utils.docker_ml_api.kubernetes import cloud_resources
from ansible.module_utils.docker_ml_api.kubernetes import cluster as cluster_access

from support.api_server import Answer, refusal, serving
from support.run_module import run_module

SYSTEM = "8f3a8b0e-0f5b-4f0e-9c5e-3d3c1c5b7f11"
PLURALS = {where.plural: kind for kind, where in cluster_access.KINDS.items()}
PROTECTION = "kubernetes.io/pvc-protection"
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"


class Kubernetes:
    """An API server that keeps objects; `controllers` run whenever time passes."""

    def __init__(self):
        self.objects = {}
        self.controllers = []
        self.refusals = {}
        self.numbers = itertools.count(1)
        self.now = 0.0

    def put(self, kind, name, namespace="n", spec=None, uid=None, **metadata):
        made = {
            "kind": kind,
            "metadata": {
                "name": name,
                "uid": uid or f"uid-{next(self.numbers)}",
                **({"namespace": namespace} if namespace else {}),
                **metadata,
            },
            "spec": spec or {},
        }
        self.objects[kind, namespace, name] = made
        return made

    def titles(self):
        return sorted("/".join(filter(None, key)) for key in self.objects)

    def remove(self, kind, name, namespace="n"):
        del self.objects[kind, namespace, name]

    def finish(self, kind, name, namespace="n"):
        """Remove an object that is being deleted, as if its last finalizer were removed."""
        one = self.objects.get((kind, namespace, name))
        if one and "deletionTimestamp" in one["metadata"]:
            self.remove(kind, name, namespace)

    def sleep(self, seconds):
        self.now += seconds
        for controller in self.controllers:
            controller()

    def respond(self, request):
        parts = request.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = parts.pop(1) if parts[0] == "namespaces" and len(parts) > 2 else ""
        if namespace:
            parts.pop(0)
        kind = PLURALS[parts[0]]
        if (request.method, kind) in self.refusals:
            return self.refusals[request.method, kind]
        if len(parts) == 1:
            items = [
                one
                for (of, where, _), one in self.objects.items()
                if of == kind and namespace in ("", where)
            ]
            return Answer({"items": items})
        one = self.objects.get((kind, namespace, parts[1]))
        if one is None:
            return refusal(404, "NotFound", f"{parts[0]} {parts[1]} not found")
        if request.method == "GET":
            return Answer(one)
        return self.delete(kind, namespace, one, request.body)

    def delete(self, kind, namespace, one, options):
        metadata = one["metadata"]
        if options["preconditions"]["uid"] != metadata["uid"]:
            return refusal(409, "Conflict", "the UID in the precondition does not match")
        if metadata.get("finalizers"):
            metadata["deletionTimestamp"] = "2026-11-22T12:00:00Z"
        else:
            self.remove(kind, metadata["name"], namespace)
        return Answer({"kind": "Status", "status": "Success"})


@pytest.fixture
def kube():
    made = Kubernetes()
    made.put("Namespace", "kube-system", "", uid=SYSTEM)
    return made


@contextlib.contextmanager
def removal(kube, timeout=60, namespaces=(), *, dry=False):
    with serving(kube.respond) as server:
        connected = cluster_access.connect({"kubeconfig": server.kubeconfig()})
        made = kubernetes_cloud_resources.Removal(
            connected,
            timeout,
            namespaces,
            dry=dry,
            clock=lambda: kube.now,
            sleep=kube.sleep,
        )
        made.run()
        made.deletions = [one.path for one in server.requests if one.method == "DELETE"]
        yield made


def run(kube, **options):
    with removal(kube, **options) as made:
        return made


def balancer(kube, name="web", **metadata):
    metadata.setdefault("finalizers", [CLEANUP])
    kube.controllers.append(lambda: kube.finish("Service", name))
    return kube.put("Service", name, spec={"type": "LoadBalancer"}, **metadata)


def claim(kube, name="data", policy="Delete"):
    """Create a claim with its volume; its deletion waits for the pods that use it."""
    kube.put("PersistentVolumeClaim", name, finalizers=[PROTECTION])
    volume = kube.put(
        "PersistentVolume",
        f"pvc-{name}",
        "",
        spec={
            "persistentVolumeReclaimPolicy": policy,
            "claimRef": {"namespace": "n", "name": name},
            "csi": {
                "driver": "pd.csi.storage.gke.io",
                "volumeHandle": f"projects/p/zones/z/disks/pvc-{name}",
            },
        },
    )

    def release():
        used = [
            one
            for (kind, *_), one in kube.objects.items()
            if kind == "Pod" and ("n", name) in cloud_resources.claims_of(one)
        ]
        gone = ("PersistentVolumeClaim", "n", name) not in kube.objects
        if gone and policy == "Delete":
            kube.objects.pop(("PersistentVolume", "", f"pvc-{name}"), None)
        if not used:
            kube.finish("PersistentVolumeClaim", name)

    kube.controllers.append(release)
    return volume


def pod(kube, name, claim_name, owner=None):
    references = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    kube.put("Pod", name, spec={"volumes": volumes}, ownerReferences=references)
    if owner:

        def collect():
            if (owner[0], "n", owner[1]) not in kube.objects:
                kube.objects.pop(("Pod", "n", name), None)

        kube.controllers.append(collect)


def test_nothing(kube):
    made = run(kube)
    assert (made.changed, made.removed, made.problems) == (False, [], [])
    assert made.identity == {
        "uids": [],
        "system_uids": [SYSTEM],
        "load_balancers": [],
        "disks": [],
        "keep": [],
    }


def test_all_kinds(kube):
    balancer(kube, uid="8f3a8b0e-0f5b-4f0e-9c5e-3d3c1c5b7f11")
    kube.put("Service", "inside", spec={"type": "ClusterIP"})
    kube.put("Ingress", "front")
    kube.put("Gateway", "gate")
    claim(kube)
    kube.put("ConfigMap", "ingress-uid", "kube-system")["data"] = {
        "uid": "1a2b3c4d5e6f7081",
        "provider-uid": "1a2b3c4d5e6f7081",
    }
    before = kube.titles()
    would = run(kube, dry=True)
    assert kube.titles() == before
    assert would.deletions == []
    made = run(kube)
    assert made.changed
    assert (
        made.removed
        == would.removed
        == [
            "Ingress n/front",
            "Gateway n/gate",
            "Service n/web",
            "PersistentVolumeClaim n/data",
        ]
    )
    assert made.problems == []
    assert (
        made.identity
        == would.identity
        == {
            "uids": ["1a2b3c4d5e6f7081"],
            "system_uids": [SYSTEM],
            "load_balancers": ["a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1"],
            "disks": ["pvc-data"],
            "keep": [],
        }
    )
    assert kube.titles() == [
        "ConfigMap/kube-system/ingress-uid",
        "Namespace/kube-system",
        "Service/n/inside",
    ]
    again = run(kube)
    assert not again.changed
    assert again.deletions == []


# What uses a claim: the objects beside the pod, the pod's owner, what is deleted.
HOLDERS = {
    "a pod alone": ([], None, "Pod n/p"),
    "a set": ([("StatefulSet", "s", None)], ("StatefulSet", "s"), "StatefulSet n/s"),
    "a deployment": (
        [("Deployment", "d", None), ("ReplicaSet", "r", ("Deployment", "d"))],
        ("ReplicaSet", "r"),
        "Deployment n/d",
    ),
    "a cron job": (
        [("CronJob", "c", None), ("Job", "j", ("CronJob", "c"))],
        ("Job", "j"),
        "CronJob n/c",
    ),
    "what nobody knows": ([], ("Database", "x"), "Pod n/p"),
    "a set that is gone": ([], ("ReplicaSet", "r"), "Pod n/p"),
}


@pytest.mark.parametrize(("beside", "owner", "deleted"), HOLDERS.values(), ids=HOLDERS)
def test_claims_in_use(kube, beside, owner, deleted):
    claim(kube)
    for kind, name, above in beside:
        references = [{"kind": above[0], "name": above[1], "controller": True}] if above else []
        kube.put(kind, name, ownerReferences=references)
        if above:

            def collect(kind=kind, name=name, above=above):
                if (above[0], "n", above[1]) not in kube.objects:
                    kube.objects.pop((kind, "n", name), None)

            kube.controllers.append(collect)
    pod(kube, "p", "data", owner)
    pod(kube, "other", "somebody-else-s")
    made = run(kube)
    assert made.removed == ["PersistentVolumeClaim n/data", deleted]
    assert made.problems == []
    assert kube.titles() == ["Namespace/kube-system", "Pod/n/other"]


def test_volumes_that_are_retained(kube):
    claim(kube, policy="Retain")
    made = run(kube)
    assert made.retained == [{"volume": "pvc-data", "claim": "n/data", "disk": "pvc-data"}]
    assert made.identity["keep"] == ["pvc-data"]
    assert made.identity["disks"] == []
    assert "PersistentVolume/pvc-data" in kube.titles()
    assert not run(kube).changed


def test_what_is_going_already(kube):
    balancer(kube)
    kube.objects["Service", "n", "web"]["metadata"]["deletionTimestamp"] = "x"
    made = run(kube)
    assert made.changed
    assert (made.removed, made.deletions) == ([], [])
    assert kube.titles() == ["Namespace/kube-system"]


def test_what_comes_back_goes_again(kube):
    kube.put("Ingress", "front")
    times = iter(range(2))
    kube.controllers.append(lambda: next(times, None) is not None and kube.put("Ingress", "front"))
    made = run(kube)
    assert made.removed == ["Ingress n/front"]
    assert len(made.deletions) == 3
    assert made.problems == []


def test_made_anew_under_the_same_name(kube):
    kube.put("Ingress", "front")
    real = kube.delete
    first = [True]

    def delete(kind, namespace, one, options):
        if first.pop() if first else False:
            kube.put(kind, one["metadata"]["name"], namespace)
            one = kube.objects[kind, namespace, one["metadata"]["name"]]
        return real(kind, namespace, one, options)

    kube.delete = delete
    made = run(kube)
    assert made.problems == []
    assert len(made.deletions) == 2
    assert kube.titles() == ["Namespace/kube-system"]


def test_only_some_namespaces(kube):
    kube.put("Ingress", "here", "a")
    kube.put("Ingress", "there", "b")
    assert run(kube, namespaces=["a"]).removed == ["Ingress a/here"]
    assert "Ingress/b/there" in kube.titles()


def stuck(kube, **metadata):
    kube.put("Ingress", "front", finalizers=["networking.gke.io/ingress-finalizer-V2"], **metadata)


def event(kube, uid):
    kube.put("Event", "e", uid="x").update(
        involvedObject={"uid": uid}, type="Warning", message="googleapi: quota exceeded."
    )


def test_what_does_not_go(kube):
    stuck(kube)
    made = run(kube, timeout=30)
    assert made.problems == [
        (
            "Ingress n/front is still there after 30 s: it waits for "
            "networking.gke.io/ingress-finalizer-V2. See to that, and run the same command again."
        )
    ]
    assert 30 <= kube.now < 36


def test_why_it_does_not_go(kube):
    stuck(kube, uid="u")
    event(kube, "u")
    (problem,) = run(kube, timeout=0).problems
    assert problem == (
        "Ingress n/front is still there after 0 s: googleapi: quota exceeded. Fix that, and run "
        "the same command again."
    )


def test_a_volume_that_cannot_be_deleted(kube):
    volume = claim(kube)
    kube.controllers.clear()
    kube.remove("PersistentVolumeClaim", "data")
    volume["status"] = {"phase": "Failed", "message": "the disk is attached elsewhere"}
    made = run(kube, timeout=10)
    assert made.removed == []
    assert made.problems == [
        (
            "PersistentVolume pvc-data is still there after 10 s: the disk is attached elsewhere. "
            "Fix that, and run the same command again."
        )
    ]
    del volume["status"]["message"]
    assert "'kubectl describe persistentvolume pvc-data'" in run(kube, timeout=0).problems[0]


def test_a_cluster_without_gateways(kube):
    kube.refusals["GET", "Gateway"] = refusal(404, "NotFound", "the server could not find it")
    kube.put("Ingress", "front")
    assert run(kube).removed == ["Ingress n/front"]


@pytest.mark.parametrize(("method", "kind"), [("GET", "Service"), ("DELETE", "Ingress")])
def test_what_is_not_allowed(kube, method, kind):
    kube.put("Ingress", "front")
    said = 'User "tom" cannot do that'
    kube.refusals[method, kind] = refusal(403, "Forbidden", said)
    with pytest.raises(cluster_access.ApiError, match="cannot do that"):
        run(kube)


# As a module


def module(kube, capsys, **options):
    with serving(kube.respond) as server:
        return run_module(
            kubernetes_cloud_resources, capsys, kubeconfig=server.kubeconfig(), **options
        )


def test_module(kube, capsys):
    kube.put("Ingress", "front")
    would = module(kube, capsys, _ansible_check_mode=True)
    assert would["changed"]
    answer = module(kube, capsys)
    assert (answer["changed"], answer["removed"]) == (True, ["Ingress n/front"])
    assert answer["diff"] == would["diff"] == {"before": "Ingress n/front\n", "after": ""}
    assert "diff" not in module(kube, capsys)


def test_module_that_fails(kube, capsys):
    stuck(kube)
    answer = module(kube, capsys, timeout=0)
    assert answer["failed"]
    assert answer["msg"] == answer["problems"][0]
    assert answer["removed"] == ["Ingress n/front"]
    assert answer["identity"]["system_uids"] == [SYSTEM]


def test_module_without_a_cluster(capsys):
    source = {"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c"}}]}
    source["clusters"] = [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]
    answer = run_module(kubernetes_cloud_resources, capsys, kubeconfig=source)
    assert answer["failed"]
    assert "cannot be reached at http://127.0.0.1:1" in answer["msg"]


# On the real cluster, in a separate namespace


def document(kind, api_version, name, **spec):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **spec}


def test_real_cluster(cluster, capsys):
    port = {"port": 80, "targetPort": 8080}
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    template = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {"containers": [{"name": "db", "image": "none"}], "volumes": volumes},
    }
    requests = {"requests": {"storage": "1Mi"}}
    objects = [
        document(
            *("Service", "v1", "web"),
            spec={"type": "LoadBalancer", "selector": {"app": "db"}, "ports": [port]},
        ),
        document("Service", "v1", "inside", spec={"selector": {"app": "db"}, "ports": [port]}),
        document(
            *("Ingress", "networking.k8s.io/v1", "front"),
            spec={"defaultBackend": backend},
        ),
        document(
            *("PersistentVolumeClaim", "v1", "data"),
            spec={"accessModes": ["ReadWriteOnce"], "resources": requests},
        ),
        document(
            *("StatefulSet", "apps/v1", "db"),
            spec={
                "serviceName": "inside",
                "selector": {"matchLabels": {"app": "db"}},
                "template": template,
            },
        ),
    ]
    with cluster.namespace() as namespace:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", stdin=text)
        cluster.kubectl(
            *("wait", "--for=create", "pod/db-0", f"--namespace={namespace}", "--timeout=60s")
        )
        answer = run_module(
            kubernetes_cloud_resources,
            capsys,
            kubeconfig=str(cluster.kubeconfig),
            context=cluster.context,
            namespaces=[namespace],
            timeout=90,
        )
        assert not answer.get("failed"), answer["msg"]
        assert answer["removed"] == [
            f"Ingress {namespace}/front",
            f"Service {namespace}/web",
            f"PersistentVolumeClaim {namespace}/data",
            f"StatefulSet {namespace}/db",
        ]
        kinds = "service,ingress,pvc,statefulset"
        left = cluster.get(kinds, f"--namespace={namespace}")["items"]
        assert [one["metadata"]["name"] for one in left] == ["inside"]
