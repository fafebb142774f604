"""The objects in a real Kubernetes determine the cloud resources that GKE would have."""

import base64
import ssl
from ipaddress import IPv4Address

import pytest
import yaml

from rehearsal.gke.model import kubernetes
from rehearsal.kubernetes import certificates
from rehearsal.kubernetes.certificates import Subject
from support.api_server import Answer, kubeconfig, serving
from support.google_client import CLUSTERS, COMPUTE, ZONE, Client

UID = "f1d2d2f9-24e9-86ac-86fd-f7b36c94bcdf"


def thing(name, namespace="default", uid=UID, **rest):
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid}, **rest}


def service(name="api", kind="LoadBalancer", annotations=None, ip=None, **rest):
    item = thing(name, **rest)
    item["metadata"]["annotations"] = annotations
    item["spec"] = {"type": kind, "ports": [{"port": 80}, {"port": 443}]}
    item["status"] = {"loadBalancer": {"ingress": [{"ip": ip}]} if ip else {}}
    return item


def backend(service_name, **port):
    return {"service": {"name": service_name, "port": port}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ({}, {}),
        ({"services": [service(kind="ClusterIP")]}, {}),
        (
            {"services": [service()]},
            {("Service", "default", "api"): {"uid": UID, "ports": [80, 443]}},
        ),
        (
            {"services": [service(ip="127.0.10.1")]},
            {("Service", "default", "api"): {"uid": UID, "ports": [80, 443], "ip": "127.0.10.1"}},
        ),
        (
            {"services": [service(annotations={kubernetes.INTERNAL: "Internal"})]},
            {("Service", "default", "api"): {"uid": UID, "ports": [80, 443], "kind": "internal"}},
        ),
        (
            {"ingresses": [thing("site", spec={"defaultBackend": backend("api", number=8080)})]},
            {("Ingress", "default", "site"): {"service": "api", "port": 8080, "https": False}},
        ),
        (
            {
                "ingresses": [
                    thing(
                        "site",
                        spec={
                            "tls": [{"hosts": ["a"]}],
                            "rules": [
                                {"http": {"paths": [{"backend": backend("web", name="http")}]}},
                                {"host": "b"},
                            ],
                        },
                    )
                ]
            },
            {("Ingress", "default", "site"): {"service": "web", "https": True}},
        ),
        (
            {"ingresses": [thing("site", spec={})]},
            {("Ingress", "default", "site"): {"https": False}},
        ),
        (
            {
                "claims": [
                    thing("data", status={"phase": "Bound"}),
                    thing("late", status={"phase": "Pending"}),
                ]
            },
            {("Volume", "default", "data"): {"uid": UID}},
        ),
    ],
)
def test_what_gke_would_make(objects, expected):
    assert kubernetes.wanted(objects) == expected


@pytest.fixture
def objects():
    return {
        "services": [service()],
        "ingresses": [thing("site", spec={})],
        "claims": [thing("data", status={"phase": "Bound"})],
        "namespaces": [{"metadata": {"name": "kube-system", "uid": "9c5e"}}],
    }


@pytest.fixture
def google(objects):
    client = Client()
    client.world.reader = lambda: objects
    client.create()
    return client


def left(google):
    return google.world.control("show", {})["compute"]


def test_in_step(google, objects):
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    names = left(google)
    assert f"disks/zones/{ZONE}/pvc-{UID}" in names
    assert any(name.startswith("urlMaps/") for name in names)
    before = dict(google.world.state.compute)
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    # Nothing was created again.
    assert all(google.world.state.compute[key] is record for key, record in before.items())
    objects["services"].clear()
    objects["ingresses"].clear()
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    assert left(google) == [f"disks/zones/{ZONE}/pvc-{UID}"]
    objects["claims"].clear()
    google.done("DELETE", f"{CLUSTERS}/web")
    assert left(google) == []


def test_deleted_in_the_wrong_order(google, objects):
    google.ok("DELETE", f"{CLUSTERS}/web")
    # From here on, changes in Kubernetes have no effect: its controllers are gone.
    for items in objects.values():
        items.clear()
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    google.wait()
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    names = left(google)
    assert f"disks/zones/{ZONE}/pvc-{UID}" in names
    assert any("k8s-fw-af1d2d2f9" in name for name in names)


def test_what_was_attached_by_hand_stays(google, objects):
    google.world.attach("web", "Volume", claim="mine", uid="m")
    objects["claims"].clear()
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    assert f"disks/zones/{ZONE}/pvc-m" in left(google)


def test_a_kubernetes_that_does_not_answer(google):
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    names = left(google)

    def down():
        message = "connection refused"
        raise ConnectionError(message)

    google.world.reader = down
    google.ok("GET", f"{COMPUTE}/global/firewalls")
    shown = google.world.control("show", {})
    assert shown["compute"] == names
    assert shown["kubernetes_unread"] == "ConnectionError: connection refused"


def test_nothing_is_asked_without_a_cluster(objects):
    client = Client()
    asked = []
    client.world.reader = lambda: asked.append(1) or objects
    client.ok("GET", f"{COMPUTE}/global/firewalls")
    client.ok("POST", CLUSTERS, {"cluster": {"name": "web", "initialNodeCount": 1}})
    client.ok("GET", f"{COMPUTE}/global/firewalls")
    assert asked == []


def test_reads_a_real_server_by_its_kubeconfig(tmp_path, monkeypatch, objects):
    """It uses the administrator's certificate and no proxy."""
    authority = certificates.make_authority("test")
    served = certificates.sign(
        authority, Subject("server", hosts=(IPv4Address("127.0.0.1"),), client=False)
    )
    admin = certificates.sign(authority, Subject("admin", groups=("system:masters",)))
    for name, content in (
        ("ca.crt", authority.certificate),
        ("server.pem", served.certificate + served.key),
    ):
        (tmp_path / name).write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    tls.load_verify_locations(tmp_path / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    paths = {path: name for name, path in kubernetes.PATHS.items()}

    def respond(request):
        return Answer({"items": objects[paths[request.path]]})

    def inline(content):
        return base64.b64encode(content).decode()

    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(respond, tls) as server:
        user = {
            "client-certificate-data": inline(admin.certificate),
            "client-key-data": inline(admin.key),
        }
        config = kubeconfig(
            server.url, user, certificate_authority_data=inline(authority.certificate)
        )
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        google = Client(kubeconfig=str(path))
        google.create()
        google.ok("GET", f"{COMPUTE}/global/firewalls")
        assert google.world.control("show", {})["kubernetes_unread"] == ""
    assert f"disks/zones/{ZONE}/pvc-{UID}" in left(google)
    assert len(server.requests) == len(paths)
    google.ok("GET", f"{COMPUTE}/global/firewalls")  # the server is gone: nothing changes
    assert f"disks/zones/{ZONE}/pvc-{UID}" in left(google)
