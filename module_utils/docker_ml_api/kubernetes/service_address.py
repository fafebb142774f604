"""Determines how the Service of a workload is accessed, from the API's JSON.

A Service of type LoadBalancer gets its address from a controller of the cluster's provider. A
cluster may have none (kind, a plain kubeadm). Then nothing happens to the Service, which is the
only way to detect this.

Times are in seconds; moments are seconds since 1970, by the API server's clock.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ansible.module_utils.docker_ml_api import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Object = dict[str, Any]

LOAD_BALANCER = "LoadBalancer"
NODE_PORT = "NodePort"
CLUSTER_IP = "ClusterIP"
EXPOSE = (LOAD_BALANCER, NODE_PORT, CLUSTER_IP)

VIA_ADDRESS = "load-balancer"
VIA_FORWARD = "port-forward"

HTTP_PORT = 80
# Lower ports require root on the user's machine; such a port is forwarded to 8000 + it.
PRIVILEGED = 1024
PRIVILEGED_OFFSET = 8000

# A repeated failure is final, since the controllers retry forever at increasing intervals.
REPEATED = 2
# An older failure may have been fixed since: the controllers wait up to five minutes between
# attempts.
RECENT = 60.0
POLL_FIRST = 0.25
POLL_MAX = 2.0

# Kubernetes's own finalizers and controllers, which do not indicate a load balancer.
OWN_FINALIZERS = {"foregroundDeletion", "orphan", "kubernetes"}
OWN_REPORTERS = {
    "endpoint-controller",
    "endpoint-slice-controller",
    "endpoint-slice-mirroring-controller",
    "ipallocator-repair-controller",
    "portallocator-repair-controller",
}
OTHERS = f"{NODE_PORT} or {CLUSTER_IP}"


@dataclass(frozen=True)
class Target:
    """The Service of one workload; `expose` is the type that it should have."""

    name: str
    namespace: str
    service_name: str
    service_port: int
    expose: str


@dataclass(frozen=True)
class Found:
    """How the Service is accessed; `address` is empty if it has none."""

    via: str
    port: int
    address: str = ""
    reason: str = ""
    nodes: tuple[tuple[str, str], ...] = ()  # names and addresses
    node_port: int = 0


@dataclass(frozen=True)
class Waiting:
    """The address is not known yet; `last` is what was last seen."""

    last: str


@dataclass(frozen=True)
class Failed:
    """There will be no address; `words` is the reason."""

    words: str


Finding = Found | Waiting | Failed


@dataclass(frozen=True)
class Moment:
    """The time at which the Services were read.

    now: by the API server's clock; None if unknown.
    waited: seconds since the first read.
    """

    now: float | None
    waited: float


@dataclass(frozen=True)
class Happening:
    """An event of a Service, with all its occurrences."""

    reason: str
    message: str
    warning: bool
    count: int
    last: float | None

    def __str__(self) -> str:
        """Return the event as kubectl shows it."""
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.reason}: {self.message}{times}"


def read_moment(text: str | None) -> float | None:
    """Return the moment of an API time stamp or an HTTP Date header; None if it is invalid."""
    if not text:
        return None
    try:
        if "," in text:
            return email.utils.parsedate_to_datetime(text).timestamp()
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def read_events(events: Iterable[Mapping[str, Any]], uid: str) -> list[Happening]:
    """Return the events of the object with that uid, the newest last."""
    found = []
    for event in events:
        about = event.get("involvedObject") or {}
        source = event.get("reportingComponent") or (event.get("source") or {}).get("component")
        if about.get("uid") != uid or source in OWN_REPORTERS:
            continue
        series = event.get("series") or {}
        stamps = (
            series.get("lastObservedTime"),
            event.get("lastTimestamp"),
            event.get("eventTime"),
            event.get("metadata", {}).get("creationTimestamp"),
        )
        found.append(
            Happening(
                reason=str(event.get("reason") or ""),
                message=" ".join(str(event.get("message") or "").split()),
                warning=event.get("type") == "Warning",
                count=int(series.get("count") or event.get("count") or 1),
                last=next((when for when in map(read_moment, stamps) if when is not None), None),
            )
        )
    return sorted(found, key=lambda happening: happening.last or 0)


def live_port(service: Mapping[str, Any], wanted: int) -> Object:
    """Return the Service's port: the wanted one, or else the one named http, or the first."""
    ports: list[Object] = service.get("spec", {}).get("ports") or [{"port": wanted}]
    for fits in (
        lambda port: port["port"] == wanted,
        lambda port: port.get("name") == "http",
        lambda _: True,
    ):
        for port in ports:
            if fits(port):
                return port
    return ports[0]  # pragma: no cover - the last rule fits any port


def ingress_of(service: Mapping[str, Any]) -> tuple[str, str]:
    """Return the load balancer's IP address and host name; empty if it has none."""
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    for ingress in balancer.get("ingress") or []:
        if ingress.get("ip") or ingress.get("hostname"):
            return str(ingress.get("ip") or ""), str(ingress.get("hostname") or "")
    return "", ""


def taken_up(service: Mapping[str, Any], happenings: Sequence[Happening]) -> bool:
    """Return whether a controller handles the Service's load balancer."""
    finalizers = set(service["metadata"].get("finalizers") or []) - OWN_FINALIZERS
    conditions = (service.get("status") or {}).get("conditions")
    return bool(finalizers or conditions or happenings)


def examine(
    target: Target,
    service: Mapping[str, Any] | None,
    events: Iterable[Mapping[str, Any]],
    moment: Moment,
    grace: float,
) -> Finding:
    """Return the state of a Service's address; names are resolved and nodes added later.

    grace: for how many seconds after its creation no controller must have handled the Service to
        conclude that the cluster has no load balancer.
    """
    if service is None or service["metadata"].get("deletionTimestamp"):
        return Failed(_missing(target.service_name, service))
    kind = service["spec"].get("type") or CLUSTER_IP
    if kind != target.expose:
        return Failed(
            f"Service {target.service_name} is of type {kind}, not {target.expose}: deploy the "
            f"workload again (--tags workloads), or set workload_expose: {kind}."
        )
    port = live_port(service, target.service_port)
    if target.expose != LOAD_BALANCER:
        number = int(port.get("nodePort") or 0) if target.expose == NODE_PORT else 0
        return Found(VIA_FORWARD, port["port"], reason=_why_forward(kind), node_port=number)
    address, hostname = ingress_of(service)
    if address or hostname:
        return Found(VIA_ADDRESS, port["port"], address or hostname)
    return _without_address(target, service, events, moment, grace)


def _missing(name: str, service: Mapping[str, Any] | None) -> str:
    if service is None:
        return (
            f"Service {name} is not there: deploy the workload first (--tags workloads), or fix "
            "its service_name."
        )
    return f"Service {name} is being deleted: deploy again once it is gone."


def _without_address(
    target: Target,
    service: Mapping[str, Any],
    events: Iterable[Mapping[str, Any]],
    moment: Moment,
    grace: float,
) -> Finding:
    name = target.service_name
    happenings = read_events(events, service["metadata"].get("uid", ""))
    failure = repeated_failure(happenings, moment)
    if failure:
        return Failed(
            f"Service {name} gets no load balancer: {failure}. Fix that and run again, or set "
            f"workload_expose: {OTHERS}."
        )
    if taken_up(service, happenings):
        last = str(happenings[-1]) if happenings else "no event"
        return Waiting(f"Service {name} has no address yet; seen last: {last}")
    created = read_moment(service["metadata"].get("creationTimestamp"))
    age = moment.waited
    if moment.now is not None and created is not None:
        age = max(age, moment.now - created)
    if age < grace:
        return Waiting(
            f"nothing has cared for a load balancer of Service {name} yet; seen last: no event"
        )
    return Found(
        VIA_FORWARD,
        live_port(service, target.service_port)["port"],
        reason=(
            f"this cluster has no load balancer: nothing has cared for Service {name} since its "
            f"creation; set workload_expose: {OTHERS} to say so"
        ),
    )


def _why_forward(kind: str) -> str:
    if kind == CLUSTER_IP:
        return "a Service of type ClusterIP is reached inside the cluster only"
    return "a Service of type NodePort is reached at the nodes, which firewalls may keep away"


def repeated_failure(happenings: Sequence[Happening], moment: Moment) -> str:
    """Return the newest failure that occurred repeatedly and recently; empty if there is none."""
    times: dict[str, int] = {}
    for happening in happenings:
        if happening.warning:
            times[happening.reason] = times.get(happening.reason, 0) + happening.count
    for happening in reversed(happenings):
        count = times.get(happening.reason, 0)
        fresh = (
            moment.now is None or happening.last is None or moment.now - happening.last <= RECENT
        )
        if happening.warning and count >= REPEATED and fresh:
            return f"{happening.reason}: {happening.message.rstrip('.')} ({count} times)"
    return ""


def node_addresses(nodes: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return the names and addresses of nodes: the external address, or else the internal one."""
    found = []
    for node in nodes:
        by_type: dict[str, str] = {}
        for address in (node.get("status") or {}).get("addresses") or []:
            by_type.setdefault(address["type"], address["address"])
        best = by_type.get("ExternalIP") or by_type.get("InternalIP")
        if best:
            found.append((str(node["metadata"]["name"]), best))
    return tuple(sorted(found))


def url_of(address: str, port: int) -> str:
    """Return the URL of an address, with IPv6 in brackets and without the default HTTP port."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}" + ("" if port == HTTP_PORT else f":{port}")


def local_port(port: int) -> int:
    """Return the local port that a Service's port is forwarded to."""
    return port + PRIVILEGED_OFFSET if port < PRIVILEGED else port


def forward_commands(
    namespace: str, service: str, port: int, access: Sequence[str]
) -> tuple[str, str]:
    """Return the command that forwards a port to the Service, and the resulting URL.

    access: the arguments that select the cluster, such as `--context`, `kind`.
    """
    local = local_port(port)
    words = ["kubectl", *access, "--namespace", namespace, "port-forward"]
    words += [f"service/{service}", f"{local}:{port}"]
    return shlex.join(words), url_of("127.0.0.1", local)


def kubectl_access(params: Mapping[str, Any]) -> list[str]:
    """Return the arguments of kubectl that select the cluster of a module's options."""
    words = []
    if isinstance(params.get("kubeconfig"), str) and params["kubeconfig"]:
        words += ["--kubeconfig", params["kubeconfig"]]
    if params.get("context"):
        words += ["--context", params["context"]]
    return words


def result_of(target: Target, found: Found, access: Sequence[str]) -> dict[str, Any]:
    """Return the module's result for a workload, as documented in RETURN."""
    url = url_of(found.address, found.port) if found.via == VIA_ADDRESS else ""
    address, port = found.address, found.port
    commands = []
    if url:
        commands.append(shlex.join(["curl", url]))
    else:
        forward, answer = forward_commands(
            target.namespace, target.service_name, found.port, access
        )
        commands += [forward, shlex.join(["curl", answer])]
    if found.node_port:
        port = found.node_port
        address = found.nodes[0][1] if found.nodes else ""
        if address:
            commands.insert(0, shlex.join(["curl", url_of(address, port)]))
    return {
        "name": target.name,
        "namespace": target.namespace,
        "via": found.via,
        "address": address,
        "port": port,
        "service_port": found.port,
        "url": url,
        "reason": found.reason,
        "nodes": [{"name": name, "address": where} for name, where in found.nodes],
        "try": commands,
    }


class Source(Protocol):
    """Provides what the search needs to know about the cluster and the network."""

    def services(self, namespace: str) -> list[Object]:
        """Return this project's Services in the namespace."""

    def events(self, namespace: str) -> list[Object]:
        """Return the events of the namespace's Services."""

    def nodes(self) -> list[Object]:
        """Return the cluster's nodes; none if the user may not list them."""

    def now(self) -> float | None:
        """Return the time of the API server at its last answer; None if unknown."""

    def unresolved(self, hostname: str) -> str:
        """Return why a host name cannot be resolved; empty if it can."""


class Clock(Protocol):
    """A clock."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""


@dataclass
class Search:
    """Finds the addresses of many workloads, with a few requests for each poll."""

    source: Source
    clock: Clock
    timeout: float
    grace: float
    # Errors that are tolerated after the first successful poll, when the API server is unavailable.
    outlast: tuple[type[Exception], ...] = ()
    found: dict[Target, Found] = field(default_factory=dict)
    failed: dict[Target, str] = field(default_factory=dict)

    def run(self, targets: Sequence[Target]) -> None:
        """Fill `found` and `failed`; afterwards each target is in one of them."""
        start = self.clock.monotonic()
        pending = list(targets)
        waiting: dict[Target, str] = {}
        poll = POLL_FIRST
        while True:
            waited = self.clock.monotonic() - start
            try:
                waiting = self._look(pending, waited)
            except self.outlast as error:
                if not waiting or waited >= self.timeout:
                    raise
                known = {*self.found, *self.failed}
                waiting = {
                    target: str(error).rstrip(".") for target in waiting if target not in known
                }
            if not waiting:
                break
            left = self.timeout - (self.clock.monotonic() - start)
            if left <= 0:
                for target, last in waiting.items():
                    self.failed[target] = (
                        f"{last} (waited {self.timeout:g} s). 'kubectl --namespace "
                        f"{target.namespace} describe service {target.service_name}' says more; "
                        f"raise workload_address_timeout, or set workload_expose: {OTHERS}."
                    )
                break
            pending = list(waiting)
            progress.say(*waiting.values())
            self.clock.sleep(min(poll, left))
            poll = min(poll * 2, POLL_MAX)
        self._add_nodes()

    def _look(self, targets: Sequence[Target], waited: float) -> dict[Target, str]:
        """Examine the targets once; return those that have to wait, with their last state."""
        waiting: dict[Target, str] = {}
        for namespace in dict.fromkeys(target.namespace for target in targets):
            services = {
                service["metadata"]["name"]: service for service in self.source.services(namespace)
            }
            moment = Moment(self.source.now(), waited)
            here = [target for target in targets if target.namespace == namespace]
            events: list[Object] = []
            if any(_needs_events(target, services.get(target.service_name)) for target in here):
                events = self.source.events(namespace)
            for target in here:
                service = services.get(target.service_name)
                finding = examine(target, service, events, moment, self.grace)
                if isinstance(finding, Found):
                    finding = self._resolved(target, finding)
                if isinstance(finding, Found):
                    self.found[target] = finding
                elif isinstance(finding, Failed):
                    self.failed[target] = finding.words
                else:
                    waiting[target] = finding.last
        return waiting

    def _resolved(self, target: Target, found: Found) -> Finding:
        """Return `found` when its host name can be resolved, which takes minutes in some clouds."""
        if found.via != VIA_ADDRESS:
            return found
        why = self.source.unresolved(found.address)
        if not why:
            return found
        return Waiting(
            f"the load balancer of Service {target.service_name} has the name {found.address}, "
            f"which cannot be looked up yet; seen last: {why}"
        )

    def _add_nodes(self) -> None:
        at_nodes = [target for target, found in self.found.items() if found.node_port]
        if not at_nodes:
            return
        nodes = node_addresses(self.source.nodes())
        for target in at_nodes:
            found = self.found[target]
            self.found[target] = Found(
                found.via,
                found.port,
                reason=found.reason,
                nodes=nodes,
                node_port=found.node_port,
            )


def _needs_events(target: Target, service: Mapping[str, Any] | None) -> bool:
    return target.expose == LOAD_BALANCER and service is not None and not any(ingress_of(service))


def ask_resolver(resolve: Callable[[str], Any], hostname: str) -> str:
    """Return why a name cannot be resolved, as text; empty if it can, or is an address."""
    try:
        resolve(hostname)
    except TimeoutError:
        return "the name server does not answer"
    except OSError as error:
        return error.strerror or str(error)
    return ""
