"""Cloud resources of workloads, which remain if their cluster is deleted first.

GKE's controllers create these resources for a Service of type LoadBalancer, an Ingress or a volume,
and delete them together with it. If the cluster is deleted first, its controllers are gone as well:
the resources remain and incur costs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import catalog, compute, values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from rehearsal.gke.model.state import State

NODE_PORT = 30080
HEALTH_PORT = 10256
HEALTH_SOURCES = ["130.211.0.0/22", "35.191.0.0/16"]
L4_HEALTH_SOURCES = [*HEALTH_SOURCES, "209.85.152.0/22", "209.85.204.0/22"]
SHARED = "This resource is shared by all L4  Services using ExternalTrafficPolicy: Cluster."
LONGEST_NAME = 63
HTTP: Final = 80

SERVICE_KINDS = ("target-pool", "backend-service", "internal")
FIELDS = {
    "Service": ("namespace", "name", "uid", "ports", "kind", "ip", "static_address"),
    "Ingress": ("namespace", "name", "service", "port", "ip", "https", "static_address"),
    "Volume": ("namespace", "claim", "uid", "size_gb", "zone"),
}


@dataclass(frozen=True)
class Owner:
    """The Kubernetes object that owns the resources."""

    cluster: str
    kind: str
    namespace: str
    name: str

    @property
    def text(self) -> str:
        """The owner in the notation of records."""
        return f"{self.cluster} {self.kind}/{self.namespace}/{self.name}"


def attach(state: State, cluster: dict[str, Any], kind: str, given: Mapping[str, Any]) -> list[str]:
    """Create the resources that GKE creates for a cluster's object; return their links.

    :raises ValueError: unknown kind or fields.
    """
    if kind not in FIELDS:
        message = f"no such object: {kind}; there are {', '.join(FIELDS)}"
        raise ValueError(message)
    unknown = sorted(set(given) - set(FIELDS[kind]))
    if unknown:
        message = f"a {kind} has no {', '.join(unknown)}; it has {', '.join(FIELDS[kind])}"
        raise ValueError(message)
    name = str(given.get("claim" if kind == "Volume" else "name", ""))
    if not name:
        message = f"{kind}: its name is missing"
        raise ValueError(message)
    key = f"{cluster['live']['location']}/{cluster['live']['name']}"
    owner = Owner(key, kind, str(given.get("namespace", "default")), name)
    before = set(state.compute)
    maker = _Maker(state, cluster, owner)
    {"Service": maker.service, "Ingress": maker.ingress, "Volume": maker.volume}[kind](given)
    return [
        compute.link(state, record["scope"], record["collection"], record["body"]["name"])
        for at, record in state.compute.items()
        if at not in before
    ]


def detach(state: State, cluster: dict[str, Any], kind: str, namespace: str, name: str) -> int:
    """Delete the resources of an object, like GKE's controllers; return their number.

    Resources shared with other objects of the cluster remain until the last of these is deleted.
    """
    key = f"{cluster['live']['location']}/{cluster['live']['name']}"
    own = Owner(key, kind, namespace, name).text
    gone = [at for at, record in state.compute.items() if record["owner"] == own]
    for at in gone:
        del state.compute[at]
    if not any(record["owner"].startswith(f"{key} Service/") for record in state.compute.values()):
        gone += _drop(state, f"{key} shared/Service")
    if not any(record["owner"].startswith(f"{key} Ingress/") for record in state.compute.values()):
        gone += _drop(state, f"{key} shared/Ingress")
    return len(gone)


def _drop(state: State, owner: str) -> list[str]:
    gone = [at for at, record in state.compute.items() if record["owner"] == owner]
    for at in gone:
        del state.compute[at]
    return gone


def system_uid(cluster: dict[str, Any]) -> str:
    """Return the UID of the cluster's namespace kube-system; newer names contain its hash."""
    given = cluster.get("system_uid")
    return str(given) if given else values.uuid_of("kube-system", cluster["uid"])


def ingress_uid(cluster: dict[str, Any]) -> str:
    """Return the UID in the ConfigMap kube-system/ingress-uid: 16 hexadecimal digits."""
    return values.digest("ingress-uid", cluster["uid"])[:16]


class _Maker:
    """Creates the resources of one object."""

    def __init__(self, state: State, cluster: dict[str, Any], owner: Owner) -> None:
        self.state = state
        self.cluster = cluster
        self.owner = owner
        live = cluster["live"]
        self.region = f"regions/{catalog.region_of(live['location'])}"
        self.zones = [f"zones/{zone}" for zone in live["locations"]]
        self.tag = compute.node_tag(cluster)
        self.network = compute.network(state, cluster)
        self.object = f"{owner.namespace}/{owner.name}"

    def put(self, collection: str, scope: str, shared: str = "", **body: Any) -> str:
        """Create a resource of this object, or one that objects share, and return its link."""
        owner = f"{self.owner.cluster} shared/{shared}" if shared else self.owner.text
        return compute.put(self.state, collection, scope, body, owner)

    def address(self, given: Mapping[str, Any], scope: str) -> str:
        """Return the object's IP address, and reserve it if requested."""
        number = self.state.next_number()
        ip = str(given.get("ip") or f"203.0.113.{number % 254 + 1}")
        if given.get("static_address"):
            body = {"name": given["static_address"], "address": ip, "addressType": "EXTERNAL"}
            compute.put(
                self.state, "addresses", scope, {**body, "networkTier": "PREMIUM"}, self.owner.text
            )
        return ip

    def instances(self) -> list[str]:
        """Return the links of the cluster's nodes."""
        return [
            user
            for record in compute.records(self.state)
            if record["owner"] == "derived" and record["collection"] == "disks"
            for user in record["body"]["users"]
            if record["body"]["labels"]["goog-k8s-cluster-name"] == self.cluster["live"]["name"]
            and record["body"]["labels"]["goog-k8s-cluster-location"]
            == self.cluster["live"]["location"]
        ]

    def service(self, given: Mapping[str, Any]) -> None:
        """Create a load balancer."""
        kind = given.get("kind") or self.state.settings.load_balancers
        if kind not in SERVICE_KINDS:
            message = f"kind {kind} of a Service: there are {', '.join(SERVICE_KINDS)}"
            raise ValueError(message)
        ports = [int(port) for port in given.get("ports", (HTTP,))]
        if kind == "target-pool":
            self._target_pool(given, ports)
        else:
            self._backend_service(given, ports, internal=kind == "internal")

    def _target_pool(self, given: Mapping[str, Any], ports: list[int]) -> None:
        uid = str(given.get("uid") or values.uuid_of("service", self.owner.text))
        name = ("a" + uid.replace("-", ""))[:32]
        ip = self.address(given, self.region)
        said = json.dumps({"kubernetes.io/service-name": self.object}, separators=(",", ":"))
        by_ip = {"kubernetes.io/service-name": self.object, "kubernetes.io/service-ip": ip}
        shared = f"k8s-{ingress_uid(self.cluster)}-node"
        said_of_all = f'{{"kubernetes.io/cluster-id":"{ingress_uid(self.cluster)}"}}'
        check = self.put(
            "httpHealthChecks",
            "global",
            shared="Service",
            name=shared,
            description=said_of_all,
            checkIntervalSec=8,
            timeoutSec=1,
            healthyThreshold=1,
            unhealthyThreshold=3,
            port=HEALTH_PORT,
            requestPath="/healthz",
        )
        self.firewall(
            f"{shared}-http-hc",
            said_of_all,
            L4_HEALTH_SOURCES,
            [HEALTH_PORT],
            shared="Service",
        )
        pool = self.put(
            "targetPools",
            self.region,
            name=name,
            description=said,
            healthChecks=[check],
            instances=self.instances(),
            sessionAffinity="NONE",
        )
        self.put(
            "forwardingRules",
            self.region,
            name=name,
            description=said,
            IPAddress=ip,
            IPProtocol="TCP",
            portRange=f"{min(ports)}-{max(ports)}",
            target=pool,
            loadBalancingScheme="EXTERNAL",
            networkTier="PREMIUM",
        )
        text = json.dumps(by_ip, separators=(", ", ":"))
        self.firewall(f"k8s-fw-{name}", text, ["0.0.0.0/0"], ports, destinations=[ip])

    def _backend_service(
        self, given: Mapping[str, Any], ports: list[int], *, internal: bool
    ) -> None:
        """Create the resources that ingress-gce's L4 controller creates."""
        system = values.content_hash(system_uid(self.cluster))
        scheme = "INTERNAL" if internal else "EXTERNAL"
        parts = (self.owner.namespace, self.owner.name)
        suffix = values.content_hash(";".join((system, *parts)))
        name = "-".join(("k8s2", system, *parts, suffix))[:LONGEST_NAME]
        ip = (
            str(given.get("ip") or "10.128.0.100") if internal else self.address(given, self.region)
        )
        said = self._l4(self.object)
        check = self.put(
            "healthChecks",
            self.region,
            shared="Service",
            name=f"k8s2-{system}-l4-shared-hc",
            description=self._l4("", shared=True),
            type="HTTP",
            httpHealthCheck={"port": HEALTH_PORT, "requestPath": "/healthz", "proxyHeader": "NONE"},
            checkIntervalSec=8,
            timeoutSec=1,
            healthyThreshold=1,
            unhealthyThreshold=3,
        )
        self.firewall(
            f"k8s2-{system}-l4-shared-hc-fw",
            self._l4("", shared=True),
            L4_HEALTH_SOURCES,
            [HEALTH_PORT],
            shared="Service",
        )
        groups = [self._instance_group(zone) for zone in self.zones]
        service = self.put(
            "backendServices",
            self.region,
            name=name,
            description=said,
            protocol="TCP",
            loadBalancingScheme=scheme,
            sessionAffinity="NONE",
            backends=[{"group": group, "balancingMode": "CONNECTION"} for group in groups],
            healthChecks=[check],
        )
        self.put(
            "forwardingRules",
            self.region,
            name="-".join(("k8s2", "tcp", system, *parts, suffix))[:LONGEST_NAME],
            description=self._l4(self.object, ip),
            IPAddress=ip,
            IPProtocol="TCP",
            ports=[str(port) for port in ports],
            backendService=service,
            loadBalancingScheme=scheme,
            networkTier="PREMIUM",
        )
        self.firewall(name, said, ["0.0.0.0/0"], ports, destinations=[ip])

    @staticmethod
    def _l4(service: str, ip: str = "", *, shared: bool = False) -> str:
        said = {"networking.gke.io/service-name": service, "networking.gke.io/api-version": "ga"}
        if ip:
            said["networking.gke.io/service-ip"] = ip
        if shared:
            said["networking.gke.io/resource-description"] = SHARED
        return json.dumps(said, separators=(",", ":"))

    def _instance_group(self, zone: str) -> str:
        """Create the unmanaged instance group that all load balancers of a zone share."""
        size = sum(f"/{zone}/" in instance for instance in self.instances())
        return self.put(
            "instanceGroups",
            zone,
            shared="Service" if self.owner.kind == "Service" else "Ingress",
            name=f"k8s-ig--{ingress_uid(self.cluster)}",
            namedPorts=[{"name": f"port{NODE_PORT}", "port": NODE_PORT}],
            network=self.network,
            size=size,
        )

    def ingress(self, given: Mapping[str, Any]) -> None:
        """Create an HTTP load balancer with container-native backends (NEGs)."""
        system = values.content_hash(system_uid(self.cluster))
        short = ingress_uid(self.cluster)[:8]
        parts = (self.owner.namespace, self.owner.name)
        suffix = values.content_hash(";".join((system_uid(self.cluster), *parts)))
        service, port = str(given.get("service", self.owner.name)), int(given.get("port", HTTP))
        said = json.dumps({"kubernetes.io/ingress-name": self.object})
        backend = "-".join(("k8s1", short, self.owner.namespace, service, str(port)))
        backend = f"{backend[: LONGEST_NAME - 9]}-{values.digest(short, self.object)[:8]}"
        groups = [self._neg(zone, backend, service, port) for zone in self.zones]
        about = {
            "kubernetes.io/service-name": f"{self.owner.namespace}/{service}",
            "kubernetes.io/service-port": str(port),
            "x-features": ["NEG"],
        }
        check = self.put(
            "healthChecks",
            "global",
            name=backend,
            description="Default kubernetes L7 Loadbalancing health check for NEG.",
            type="HTTP",
            httpHealthCheck={"portSpecification": "USE_SERVING_PORT", "requestPath": "/"},
            checkIntervalSec=15,
            timeoutSec=15,
            healthyThreshold=1,
            unhealthyThreshold=2,
        )
        backends = self.put(
            "backendServices",
            "global",
            name=backend,
            description=json.dumps(about, separators=(",", ":")),
            protocol="HTTP",
            loadBalancingScheme="EXTERNAL",
            backends=[
                {"group": group, "balancingMode": "RATE", "maxRatePerEndpoint": 1e8}
                for group in groups
            ],
            healthChecks=[check],
        )
        ip = self.address(given, "global")

        def named(infix: str) -> str:
            return "-".join(("k8s2", infix, system, *parts, suffix))[:LONGEST_NAME]

        url_map = self.put(
            "urlMaps", "global", name=named("um"), description=said, defaultService=backends
        )
        proxy = self.put(
            "targetHttpProxies", "global", name=named("tp"), description=said, urlMap=url_map
        )
        self._front(named("fr"), said, ip, proxy, HTTP)
        if given.get("https"):
            certificate = self.put(
                "sslCertificates",
                "global",
                name=f"{named('cr')[: LONGEST_NAME - 9]}-{suffix}",
                description=said,
                type="SELF_MANAGED",
            )
            secure = self.put(
                "targetHttpsProxies",
                "global",
                name=named("ts"),
                description=said,
                urlMap=url_map,
                sslCertificates=[certificate],
            )
            self._front(named("fs"), said, ip, secure, 443)
        self.firewall(
            f"k8s-fw-l7--{ingress_uid(self.cluster)}",
            "GCE L7 firewall rule",
            HEALTH_SOURCES,
            [8080],
            shared="Ingress",
        )

    def _front(self, name: str, said: str, ip: str, target: str, port: int) -> None:
        self.put(
            "forwardingRules",
            "global",
            name=name,
            description=said,
            IPAddress=ip,
            IPProtocol="TCP",
            portRange=f"{port}-{port}",
            target=target,
            loadBalancingScheme="EXTERNAL",
            networkTier="PREMIUM",
        )

    def _neg(self, zone: str, name: str, service: str, port: int) -> str:
        said = {
            "cluster-uid": system_uid(self.cluster),
            "namespace": self.owner.namespace,
            "service-name": service,
            "port": str(port),
        }
        return self.put(
            "networkEndpointGroups",
            zone,
            name=name,
            description=json.dumps(said, separators=(",", ":")),
            networkEndpointType="GCE_VM_IP_PORT",
            network=self.network,
            size=1,
        )

    def volume(self, given: Mapping[str, Any]) -> None:
        """Create the disk of a persistent volume claim."""
        uid = str(given.get("uid") or values.uuid_of("claim", self.owner.text))
        zone = f"zones/{given['zone']}" if given.get("zone") else self.zones[0]
        said = {
            "kubernetes.io/created-for/pv/name": f"pvc-{uid}",
            "kubernetes.io/created-for/pvc/name": self.owner.name,
            "kubernetes.io/created-for/pvc/namespace": self.owner.namespace,
            "storage.gke.io/created-by": "pd.csi.storage.gke.io",
        }
        pool = next(iter(self.cluster["pools"]), "")
        self.put(
            "disks",
            zone,
            name=f"pvc-{uid}",
            description=json.dumps(said, separators=(",", ":")),
            labels=compute.labels(self.cluster, pool),
            sizeGb=str(given.get("size_gb", 10)),
            status="READY",
            type=compute.link(self.state, zone, "diskTypes", "pd-balanced"),
        )

    def firewall(
        self,
        name: str,
        description: str,
        sources: list[str],
        ports: list[int],
        *,
        destinations: list[str] | None = None,
        shared: str = "",
    ) -> None:
        """Create a firewall rule for the cluster's nodes."""
        body: dict[str, Any] = {
            "name": name,
            "description": description,
            "network": self.network,
            "direction": "INGRESS",
            "priority": 1000,
            "sourceRanges": sources,
            "targetTags": [self.tag],
            "allowed": [{"IPProtocol": "tcp", "ports": [str(port) for port in ports]}],
        }
        if destinations:
            body["destinationRanges"] = destinations
        self.put("firewalls", "global", shared=shared, **body)
