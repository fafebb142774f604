"""Objects of a real Kubernetes that have cloud resources on GKE: read and synchronized."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from rehearsal.gke.model import attachments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rehearsal.gke.model.state import State

    Wanted = dict[tuple[str, str, str], dict[str, Any]]
    """By kind, namespace and name: the fields for `attachments.attach`."""

TIMEOUT_SECONDS = 3.0
PATHS = {
    "services": "/api/v1/services",
    "ingresses": "/apis/networking.k8s.io/v1/ingresses",
    "claims": "/api/v1/persistentvolumeclaims",
    "namespaces": "/api/v1/namespaces",
}
INTERNAL = "networking.gke.io/load-balancer-type"


class Reader(Protocol):
    """Reads the objects of a Kubernetes: {"services": [Service, …], …}, by the names in `PATHS`."""

    def __call__(self) -> Mapping[str, Iterable[dict[str, Any]]]:
        """Return the objects.

        :raises OSError: the API server does not answer.
        """


def reader(kubeconfig: Path) -> Reader:
    """Return a reader for the cluster of a kubeconfig whose user has a client certificate."""

    def read() -> dict[str, list[dict[str, Any]]]:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        tls = ssl.create_default_context(cadata=authority)
        with tempfile.TemporaryDirectory() as folder:
            login = Path(folder) / "login.pem"  # in a folder accessible only by its owner
            login.write_bytes(
                base64.b64decode(user["client-certificate-data"])
                + b"\n"
                + base64.b64decode(user["client-key-data"])
            )
            tls.load_cert_chain(login)
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        found = {}
        for name, path in PATHS.items():
            with direct.open(f"{cluster['server']}{path}", timeout=TIMEOUT_SECONDS) as answer:
                found[name] = json.load(answer)["items"]
        return found

    return read


def _named(items: Iterable[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def wanted(objects: Mapping[str, Iterable[dict[str, Any]]]) -> Wanted:
    """Return the objects of a Kubernetes for which GKE would create cloud resources."""
    found: Wanted = {}
    for service in objects.get("services", ()):
        if service["spec"].get("type") != "LoadBalancer":
            continue
        internal = _annotations(service).get(INTERNAL) == "Internal"
        ports = [int(port["port"]) for port in service["spec"].get("ports", ())]
        found["Service", *_place(service)] = {
            "uid": service["metadata"]["uid"],
            "ports": ports,
            **({"kind": "internal"} if internal else {}),
            **_ip(service),
        }
    for ingress in objects.get("ingresses", ()):
        found["Ingress", *_place(ingress)] = {
            **_backend(ingress["spec"]),
            "https": bool(ingress["spec"].get("tls")),
            **_ip(ingress),
        }
    for claim in objects.get("claims", ()):
        if claim.get("status", {}).get("phase") == "Bound":
            found["Volume", *_place(claim)] = {"uid": claim["metadata"]["uid"]}
    return found


def _place(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _annotations(item: dict[str, Any]) -> dict[str, str]:
    return item["metadata"].get("annotations") or {}


def _ip(item: dict[str, Any]) -> dict[str, str]:
    points = item.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return {"ip": points[0]["ip"]} if points[0].get("ip") else {}


def _backend(spec: dict[str, Any]) -> dict[str, Any]:
    backends = [spec.get("defaultBackend")]
    for rule in spec.get("rules") or ():
        backends += [path.get("backend") for path in rule.get("http", {}).get("paths", ())]
    service = next((each["service"] for each in backends if each and each.get("service")), None)
    if service is None:
        return {}
    number = service.get("port", {}).get("number")
    return {"service": service["name"], **({"port": number} if number else {})}


def synchronize(
    state: State, cluster: dict[str, Any], objects: Mapping[str, Iterable[dict[str, Any]]]
) -> None:
    """Create and delete the resources that GKE's controllers would, for a running cluster."""
    for space in objects.get("namespaces", ()):
        if space["metadata"]["name"] == "kube-system":
            cluster["system_uid"] = space["metadata"]["uid"]
    asked = wanted(objects)
    seen = {tuple(each) for each in cluster.get("seen", ())}
    for kind, namespace, name in seen - set(asked):
        attachments.detach(state, cluster, kind, namespace, name)
    for (kind, namespace, name), fields in asked.items():
        field = "claim" if kind == "Volume" else "name"
        attachments.attach(state, cluster, kind, {"namespace": namespace, field: name, **fields})
    cluster["seen"] = [list(each) for each in sorted(asked)]
