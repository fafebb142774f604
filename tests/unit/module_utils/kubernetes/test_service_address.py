"""The state of a Service's address, from the API's JSON, with a fake clock and source."""

import socket

import pytest
from ansible.module_utils.docker_ml_api.kubernetes.service_address import (
    Failed,
    Found,
    Moment,
    Search,
    Target,
    Waiting,
    ask_resolver,
    examine,
    forward_commands,
    ingress_of,
    kubectl_access,
    live_port,
    local_port,
    node_addresses,
    read_events,
    read_moment,
    result_of,
    url_of,
)

# 2026-01-02T03:04:05Z
NOW = 1767323045.0
CREATED = "2026-01-02T03:04:00Z"
AGO = {5: "2026-01-02T03:04:00Z", 60: "2026-01-02T03:03:05Z", 61: "2026-01-02T03:03:04Z"}
GRACE = 20.0
MOMENT = Moment(NOW, 0.0)
TARGET = Target("web", "default", "web", 80, "LoadBalancer")
PORT = {"name": "http", "port": 80, "nodePort": 30080}


def service(kind="LoadBalancer", *ingress, ports=(PORT,), conditions=None, **metadata):
    return {
        "metadata": {"name": "web", "uid": "u1", "creationTimestamp": CREATED, **metadata},
        "spec": {"type": kind, "ports": list(ports)},
        "status": {
            "loadBalancer": {"ingress": list(ingress)} if ingress else {},
            **({"conditions": conditions} if conditions else {}),
        },
    }


def event(reason, message="", kind="Warning", *, count=1, ago=5, uid="u1", **further):
    return {
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": message,
        "type": kind,
        "count": count,
        "lastTimestamp": AGO[ago],
        "source": {"component": "service-controller"},
        **further,
    }


ENSURING = event("EnsuringLoadBalancer", "Ensuring load balancer", "Normal")
NOT_READ = Moment(None, 0.0)
NOBODY = (
    "this cluster has no load balancer: nothing has cared for Service web since its creation; set "
    "workload_expose: NodePort or ClusterIP to say so"
)
TOO_YOUNG = "nothing has cared for a load balancer of Service web yet; seen last: no event"


def lacks(failure):
    return Failed(
        f"Service web gets no load balancer: {failure}. Fix that and run again, or set "
        "workload_expose: NodePort or ClusterIP."
    )


def waits(last):
    return Waiting(f"Service web has no address yet; seen last: {last}")


# What: the Service, its events, the time, and the finding for a LoadBalancer.
LOAD_BALANCERS = {
    "missing": (
        None, [], MOMENT,
        Failed("Service web is not there: deploy the workload first (--tags workloads), or fix "
               "its service_name."),
    ),
    "being deleted": (
        service("LoadBalancer", {"ip": "1.2.3.4"}, deletionTimestamp=CREATED), [], MOMENT,
        Failed("Service web is being deleted: deploy again once it is gone."),
    ),
    "of another type": (
        service("NodePort"), [], MOMENT,
        Failed("Service web is of type NodePort, not LoadBalancer: deploy the workload again "
               "(--tags workloads), or set workload_expose: NodePort."),
    ),
    "of no type": (
        {"metadata": {"name": "web"}, "spec": {}}, [], MOMENT,
        Failed("Service web is of type ClusterIP, not LoadBalancer: deploy the workload again "
               "(--tags workloads), or set workload_expose: ClusterIP."),
    ),
    "an address": (
        service("LoadBalancer", {"ip": "1.2.3.4"}), [], MOMENT,
        Found("load-balancer", 80, "1.2.3.4"),
    ),
    "a host name": (
        service("LoadBalancer", {"hostname": "lb.example.com"}), [], MOMENT,
        Found("load-balancer", 80, "lb.example.com"),
    ),
    "an empty ingress before one": (
        service("LoadBalancer", {}, {"ip": "1.2.3.4"}), [], MOMENT,
        Found("load-balancer", 80, "1.2.3.4"),
    ),
    "young": (service(), [], MOMENT, Waiting(TOO_YOUNG)),
    "nobody cares, by the cluster's clock": (
        service(), [], Moment(NOW + 15, 0.0), Found("port-forward", 80, reason=NOBODY)
    ),
    "nobody cares, by our clock": (
        service(), [], Moment(None, 20.0), Found("port-forward", 80, reason=NOBODY)
    ),
    "its creation is not told": (
        service(creationTimestamp=None), [], Moment(NOW, 19.9), Waiting(TOO_YOUNG)
    ),
    "the clock of the cluster went back": (
        service(), [], Moment(NOW - 60, 20.0), Found("port-forward", 80, reason=NOBODY)
    ),
    "a finalizer": (
        service(finalizers=["service.kubernetes.io/load-balancer-cleanup"]), [],
        Moment(NOW + 99, 99.0), waits("no event"),
    ),
    "a finalizer of Kubernetes's own": (
        service(finalizers=["foregroundDeletion"]), [], Moment(NOW + 99, 0.0),
        Found("port-forward", 80, reason=NOBODY),
    ),
    "a condition": (
        service(conditions=[{"type": "Pending", "status": "True"}]), [], Moment(NOW + 99, 0.0),
        waits("no event"),
    ),
    "an event": (
        service(), [ENSURING], Moment(NOW + 99, 0.0),
        waits("EnsuringLoadBalancer: Ensuring load balancer"),
    ),
    "events of others": (
        service(),
        [
            event("X", uid="u2"),
            event("Failed", source={"component": "endpoint-slice-controller"}),
            event("FailedToUpdateEndpoint", reportingComponent="endpoint-controller", source={}),
        ],
        Moment(NOW + 99, 0.0), Found("port-forward", 80, reason=NOBODY),
    ),
    "one failure": (
        service(), [event("SyncLoadBalancerFailed", "no\n quota")], MOMENT,
        waits("SyncLoadBalancerFailed: no quota"),
    ),
    "a failure twice": (
        service(), [ENSURING, event("SyncLoadBalancerFailed", "no quota.", count=2)], MOMENT,
        lacks("SyncLoadBalancerFailed: no quota (2 times)"),
    ),
    "two failures of one reason": (
        service(),
        [event("SyncLoadBalancerFailed", "newer"), event("SyncLoadBalancerFailed", "old", ago=60)],
        MOMENT, lacks("SyncLoadBalancerFailed: newer (2 times)"),
    ),
    "two reasons, once each": (
        service(), [event("A", "a", ago=60), event("B", "b")], MOMENT, waits("B: b")
    ),
    "as a series": (
        service(),
        [event("A", "a", count=None, series={"count": 3, "lastObservedTime": AGO[5]})], MOMENT,
        lacks("A: a (3 times)"),
    ),
    "a minute ago": (
        service(), [event("A", "a", count=2, ago=60)], MOMENT, lacks("A: a (2 times)")
    ),
    "longer ago, it may be fixed": (
        service(), [event("A", "a", count=2, ago=61)], MOMENT, waits("A: a (2 times)")
    ),
    "longer ago, but nobody's clock says so": (
        service(), [event("A", "a", count=2, ago=61)], NOT_READ, lacks("A: a (2 times)")
    ),
    "no time stamp": (
        service(), [event("A", "a", count=2, lastTimestamp=None)], MOMENT, lacks("A: a (2 times)")
    ),
    "many times, but no failure": (
        service(), [event("A", "a", "Normal", count=5)], MOMENT, waits("A: a (5 times)")
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "events", "moment", "finding"), LOAD_BALANCERS.values(), ids=LOAD_BALANCERS
)
def test_a_load_balancer(found, events, moment, finding):
    assert examine(TARGET, found, events, moment, GRACE) == finding


@pytest.mark.parametrize(
    ("kind", "finding"),
    [
        (
            "NodePort",
            Found(
                "port-forward",
                80,
                reason="a Service of type NodePort is reached at the nodes, which firewalls may "
                "keep away",
                node_port=30080,
            ),
        ),
        (
            "ClusterIP",
            Found(
                "port-forward",
                80,
                reason="a Service of type ClusterIP is reached inside the cluster only",
            ),
        ),
    ],
)
def test_other_types(kind, finding):
    target = Target("web", "default", "web", 80, kind)
    assert examine(target, service(kind), [], MOMENT, GRACE) == finding


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        ([{"port": 443}, {"port": 80}], 80),
        ([{"port": 443}, {"port": 8080, "name": "http"}], 8080),
        ([{"port": 443}, {"port": 9000, "name": "x"}], 443),
        ([], 80),
    ],
)
def test_live_port(ports, port):
    assert live_port(service(ports=ports), 80)["port"] == port


def test_ingress_of_a_service_without_status():
    assert ingress_of({"status": None}) == ("", "")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", NOW),
        ("2026-01-02T03:04:05.500000Z", NOW + 0.5),
        ("Fri, 02 Jan 2026 03:04:05 GMT", NOW),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("Fri, yesterday", None),
    ],
)
def test_read_moment(text, moment):
    assert read_moment(text) == moment


def test_events_in_their_order():
    """Of the timestamps, the one of the last occurrence determines the order."""
    events = [
        event("third", series={"count": 2, "lastObservedTime": AGO[5]}, lastTimestamp=AGO[61]),
        event("second", lastTimestamp=None, eventTime=AGO[60]),
        event("first", lastTimestamp=None, metadata={"creationTimestamp": AGO[61]}),
        event("unknown", lastTimestamp=None),
    ]
    told = read_events(events, "u1")
    assert [one.reason for one in told] == ["unknown", "first", "second", "third"]
    assert [one.last for one in told] == [None, NOW - 61, NOW - 60, NOW - 5]


def test_node_addresses():
    def node(name, **addresses):
        told = [{"type": kind, "address": address} for kind, address in addresses.items()]
        return {"metadata": {"name": name}, "status": {"addresses": told}}

    nodes = [
        node("b", Hostname="b", InternalIP="10.0.0.2", ExternalIP="1.2.3.4"),
        node("a", InternalIP="10.0.0.1"),
        node("c", Hostname="c"),
        {"metadata": {"name": "d"}},
    ]
    assert node_addresses(nodes) == (("a", "10.0.0.1"), ("b", "1.2.3.4"))


@pytest.mark.parametrize(
    ("address", "port", "url"),
    [
        ("1.2.3.4", 80, "http://1.2.3.4"),
        ("1.2.3.4", 8080, "http://1.2.3.4:8080"),
        ("lb.example.com", 443, "http://lb.example.com:443"),
        ("2001:db8::1", 80, "http://[2001:db8::1]"),
        ("2001:db8::1", 9000, "http://[2001:db8::1]:9000"),
    ],
)
def test_url_of(address, port, url):
    assert url_of(address, port) == url


def test_commands():
    assert (local_port(80), local_port(1023), local_port(1024)) == (8080, 9023, 1024)
    access = kubectl_access({"kubeconfig": "/home/a user/config", "context": "kind-kind"})
    command, url = forward_commands("default", "web", 80, access)
    assert command == (
        "kubectl --kubeconfig '/home/a user/config' --context kind-kind --namespace default "
        "port-forward service/web 8080:80"
    )
    assert url == "http://127.0.0.1:8080"
    assert kubectl_access({"kubeconfig": {"clusters": []}, "context": None}) == []


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (
            Found("load-balancer", 8080, "1.2.3.4"),
            {
                "address": "1.2.3.4",
                "port": 8080,
                "service_port": 8080,
                "url": "http://1.2.3.4:8080",
                "try": ["curl http://1.2.3.4:8080"],
            },
        ),
        (
            Found("port-forward", 80, reason="inside", nodes=(("n", "10.0.0.1"),), node_port=30080),
            {
                "address": "10.0.0.1",
                "port": 30080,
                "service_port": 80,
                "url": "",
                "reason": "inside",
                "nodes": [{"name": "n", "address": "10.0.0.1"}],
                "try": [
                    "curl http://10.0.0.1:30080",
                    "kubectl --namespace default port-forward service/web 8080:80",
                    "curl http://127.0.0.1:8080",
                ],
            },
        ),
        (
            Found("port-forward", 80, node_port=30080),
            {
                "address": "",
                "port": 30080,
                "service_port": 80,
                "url": "",
                "try": [
                    "kubectl --namespace default port-forward service/web 8080:80",
                    "curl http://127.0.0.1:8080",
                ],
            },
        ),
    ],
)
def test_result(found, result):
    expected = {"name": "web", "namespace": "default", "via": found.via, "reason": "", "nodes": []}
    assert result_of(TARGET, found, []) == {**expected, **result}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, ""),
        (socket.gaierror(socket.EAI_NONAME, "Name not known"), "Name not known"),
        (OSError("odd"), "odd"),
        (TimeoutError(), "the name server does not answer"),
    ],
)  # fmt: skip
def test_ask_resolver(error, says):
    def resolve(hostname):
        assert hostname == "lb.example.com"
        if error:
            raise error

    assert ask_resolver(resolve, "lb.example.com") == says


# The search


class FakeClock:
    def __init__(self):
        self.slept = []

    def monotonic(self):
        return sum(self.slept)

    def sleep(self, seconds):
        self.slept.append(seconds)


class AwayError(Exception):
    """The API server is away."""


class FakeSource:
    """A cluster: each look takes the next of `looks`; the last one repeats."""

    def __init__(self, *looks, events=(), nodes=(), unresolved=()):
        self.looks = list(looks)
        self.told_events = list(events)
        self.told_nodes = list(nodes)
        self.names = list(unresolved)
        self.asked = []

    def services(self, namespace):
        self.asked.append(("services", namespace))
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return look

    def events(self, namespace):
        self.asked.append(("events", namespace))
        return self.told_events

    def nodes(self):
        self.asked.append(("nodes", ""))
        return self.told_nodes

    def now(self):
        return NOW

    def unresolved(self, hostname):
        self.asked.append(("name", hostname))
        return self.names.pop(0) if self.names else ""


def search(source, *targets, timeout=30.0, outlast=(AwayError,)):
    found = Search(source, FakeClock(), timeout, GRACE, outlast)
    found.run(targets or [TARGET])
    assert {*found.found, *found.failed} == {*(targets or [TARGET])}
    return found


AT_WORK = service(finalizers=["example.com/lb"])
GIVEN = service("LoadBalancer", {"ip": "1.2.3.4"})


def test_what_is_there_is_found_by_one_request():
    other = Target("other", "default", "web", 80, "LoadBalancer")
    source = FakeSource([GIVEN])
    found = search(source, TARGET, other)
    assert {one.address for one in found.found.values()} == {"1.2.3.4"}
    assert source.asked == [("services", "default"), ("name", "1.2.3.4"), ("name", "1.2.3.4")]
    assert found.clock.slept == []


def test_each_namespace_is_asked_while_one_of_its_services_waits():
    there = Target("web", "there", "web", 80, "LoadBalancer")
    source = FakeSource([GIVEN], [AT_WORK], [AT_WORK], [GIVEN])
    found = search(source, TARGET, there)
    asked = [one for one in source.asked if one[0] != "name"]
    assert asked == [
        ("services", "default"), ("services", "there"), ("events", "there"),
        ("services", "there"), ("events", "there"), ("services", "there"),
    ]  # fmt: skip
    assert found.clock.slept == [0.25, 0.5]


def test_a_failure_ends_the_wait_of_one_only():
    source = FakeSource([AT_WORK, {**service("ClusterIP"), "metadata": {"name": "inner"}}], [GIVEN])
    inner = Target("inner", "default", "inner", 80, "LoadBalancer")
    found = search(source, TARGET, inner)
    assert found.found[TARGET].address == "1.2.3.4"
    assert "is of type ClusterIP" in found.failed[inner]


def test_the_wait_ends():
    source = FakeSource([AT_WORK], events=[ENSURING])
    found = search(source, timeout=5)
    assert found.failed == {
        TARGET: "Service web has no address yet; seen last: EnsuringLoadBalancer: Ensuring load "
        "balancer (waited 5 s). 'kubectl --namespace default describe service web' says more; "
        "raise workload_address_timeout, or set workload_expose: NodePort or ClusterIP."
    }
    assert found.clock.slept == [0.25, 0.5, 1.0, 2.0, 1.25]


def test_a_host_name_must_be_known():
    named = service("LoadBalancer", {"hostname": "lb.example.com"})
    source = FakeSource([named], unresolved=["not known", "not known"])
    found = search(source)
    assert found.found[TARGET].address == "lb.example.com"
    assert len(found.clock.slept) == 2
    failed = search(FakeSource([named], unresolved=["not known"] * 9), timeout=1).failed[TARGET]
    assert failed.startswith(
        "the load balancer of Service web has the name lb.example.com, which cannot be looked up "
        "yet; seen last: not known (waited 1 s)"
    )


def test_an_api_server_that_goes_away_meanwhile():
    away = AwayError("cannot be reached.")
    source = FakeSource([AT_WORK], away, away, [GIVEN])
    assert search(source).found[TARGET].address == "1.2.3.4"


def test_what_was_found_before_the_api_server_went_away_is_kept():
    there = Target("web", "there", "web", 80, "LoadBalancer")
    # Both wait; then one is found, and the request for the other's namespace fails.
    source = FakeSource([AT_WORK], [AT_WORK], [GIVEN], AwayError("away"), [GIVEN])
    assert set(search(source, TARGET, there).found) == {TARGET, there}
    assert [one for one in source.asked if one[0] == "services"][-1] == ("services", "there")


@pytest.mark.parametrize(
    ("looks", "timeout"),
    [
        ([AwayError("away"), [GIVEN]], 30.0),
        ([[AT_WORK], AwayError("away")], 2.0),
    ],
    ids=["from the first", "for too long"],
)
def test_an_api_server_that_is_away(looks, timeout):
    with pytest.raises(AwayError):
        search(FakeSource(*looks), timeout=timeout)


def test_nodes_are_read_once_and_for_node_ports_only():
    node = {
        "metadata": {"name": "n"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
    }
    one = Target("web", "default", "web", 80, "NodePort")
    two = Target("web", "there", "web", 80, "NodePort")
    source = FakeSource([service("NodePort")], nodes=[node])
    found = search(source, one, two)
    assert found.found[one].nodes == found.found[two].nodes == (("n", "10.0.0.1"),)
    assert (found.found[one].node_port, found.found[one].port) == (30080, 80)
    assert source.asked == [("services", "default"), ("services", "there"), ("nodes", "")]
