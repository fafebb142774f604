"""Checks of every replica, with fake pods, clock, clients and hints."""

import itertools

import pytest
from ansible.module_utils.docker_ml_api.checks.http import (
    Answer,
    Question,
    RequestFailedError,
)
from ansible.module_utils.docker_ml_api.checks.replicas import (
    Interview,
    Replica,
    Roster,
    Target,
    ask_directly,
    explain_silence,
    read_replica,
    selects,
)
from ansible.module_utils.docker_ml_api.checks.runner import Check, Policy

URL = "http://127.0.10.1"
LOCAL = "http://127.0.0.1:8080"
RIGHT = "[199.6]"
WRONG = "[150.0]"
OURS = {"managed-by": "us"}
REFUSED = RequestFailedError("nothing_listens", "nothing listens there", heals=False)
DROPPED = RequestFailedError("dropped", "the connection was dropped", heals=True)
GONE = RequestFailedError("gone", "it is gone", heals=False)
POLICY = Policy(deadline=10.0, retry_delay=0.5)


class FakeClock:
    """A clock that advances only by sleep and by the duration of answers."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds


def pod(name, *, ready=True, going=False, phase="Running", labels=OURS, host=None, **status):
    return {
        "metadata": {
            "name": name,
            "labels": {"app": "web", **labels},
            **({"deletionTimestamp": "2026-01-02T03:04:05Z"} if going else {}),
        },
        "spec": {"hostname": host} if host else {},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            **status,
        },
    }


def restarted(count, **last):
    state = {"terminated": last} if last else {}
    return {
        "containerStatuses": [
            {"name": "sidecar", "restartCount": 0},
            {"name": "web", "restartCount": count, "lastState": state},
        ]
    }


def answered(body=RIGHT, by="", status=200):
    return Answer(status, "", {"x-served-by": by} if by else {}, body.encode(), 0.01)


class World:
    """The pods of a workload, and their answers directly and through the address.

    own: for each pod, a list of answers or errors for direct requests, which is cycled.
    """

    def __init__(self, *pods, own=None, others=None, hint="because"):
        self.pods = list(pods)
        self.own = {name: itertools.cycle(events) for name, events in (own or {}).items()}
        self.others = others or {}
        self.words = hint
        self.clock = FakeClock()
        self.asked = []
        self.hinted = []
        self.reads = 0

    def read(self):
        self.reads += 1
        return list(self.pods)

    def turn(self, event, timeout):
        """Return the event if it is an answer, after its duration; raise it if it is an error."""
        if isinstance(event, RequestFailedError):
            raise event
        assert timeout > 0
        self.clock.now += event.seconds
        return event

    def client(self, events):
        def ask(question, timeout):
            self.asked.append(("", question.url))
            event = next(events)
            while callable(event):
                event()
                event = next(events)
            return self.turn(event, timeout)

        return ask

    def forward(self, name):
        def ask(question, timeout):
            self.asked.append((name, question.url))
            event = next(self.own[name])
            while callable(event):
                event()
                event = next(self.own[name])
            return self.turn(event, timeout)

        return ask

    def elsewhere(self, instance):
        return self.others.get(instance, "")

    def hint(self, replica):
        self.hinted.append(replica.name)
        return self.words

    def become(self, *pods):
        """Return an event that replaces the pods."""

        def change():
            self.pods = list(pods)

        return change


def check(path="/p", base=URL, **options):
    return Check(Question("GET", base + path), **{"expected": [199.6], **options})


def interview(world, *checks, events=(), url=URL, policy=POLICY, labels=OURS):
    """Return the result of the checks; the address cycles through the events."""
    target = Target(
        "web", "default", url, checks or (check(base=url or LOCAL),), "kubectl port-forward"
    )
    return Interview(
        target,
        Roster(world.read(), world.read, labels),
        world,
        client=world.client(itertools.cycle(events)),
        policy=policy,
        clock=world.clock,
        jitter=lambda: 0.0,
        header="X-Served-By",
    ).run()


def two():
    return pod("web-a"), pod("web-b")


A, B = answered(by="web-a"), answered(by="web-b")
WRONG_A, WRONG_B = answered(WRONG, "web-a"), answered(WRONG, "web-b")
NOT_RIGHT = "answered [150.0], expected [199.6] (at [0]: 150.0 is not 199.6)"


# Through the address


def test_every_pod_answers():
    world = World(*two())
    result = interview(world, check("/x", expected=None), check(), events=[A, A, B])
    assert result["problems"] == []
    assert (result["via"], result["by"], result["url"]) == ("address", "header", URL)
    assert result["answered"] == {
        "web-a": {"count": 4, "answers": {f"{URL}/x": [199.6], f"{URL}/p": [199.6]}},
        "web-b": {"count": 2, "answers": {f"{URL}/x": [199.6], f"{URL}/p": [199.6]}},
    }
    first, _ = result["checks"]
    assert first == {
        "url": f"{URL}/x",
        "method": "GET",
        "by": "address",
        "value": [199.6],
        "body": RIGHT,
        "pods": ["web-a", "web-b"],
        "requests": 3,
        "latencies": {"min": 10.0, "p50": 10.0, "p99": 10.0, "max": 10.0},
        "healed": [],
    }
    assert result["summary"][0] == f"{URL}/x answered [199.6] by pods web-a, web-b in 10 ms"
    assert result["try"] == [f"curl {URL}/x", f"curl {URL}/p"]
    assert world.reads == 1


def test_as_many_samples_as_are_asked_for():
    result = interview(World(*two()), check(samples=7), events=[A, B])
    assert result["checks"][0]["requests"] == 7


def test_a_pod_with_another_host_name():
    long = "web-" + "x" * 58 + "-abcde"
    world = World(pod(long), pod("web-b", host="model"))
    events = [answered(by=long[:62]), answered(by="model")]
    assert long[62] == "-"
    assert set(interview(world, events=events)["answered"]) == {long, "web-b"}


def test_a_pod_that_came_meanwhile_must_answer():
    world = World(pod("web-a"))
    events = [world.become(*two()), B, A]
    result = interview(world, events=events)
    assert set(result["answered"]) == {"web-a", "web-b"}
    assert world.reads == 2


def test_a_wrong_answer_names_its_pod():
    world = World(pod("web-a"), pod("web-b", **restarted(2, exitCode=137, reason="OOMKilled")))
    result = interview(world, events=[A, WRONG_B])
    assert result["problems"] == [
        (
            f"{URL}/p: pod web-b {NOT_RIGHT} (container web was restarted 2 times, last with exit "
            "code 137 (OOMKilled))"
        )
    ]
    assert result["checks"][0]["pods"] == ["web-a"]


def test_what_was_wrong_once_stays_wrong():
    result = interview(World(*two()), check(samples=4), events=[WRONG_A, A, B])
    assert result["problems"] == [f"{URL}/p: pod web-a {NOT_RIGHT}"]


def test_pods_that_are_wrong_in_the_same_way():
    result = interview(World(*two()), events=[WRONG_A, WRONG_B])
    assert result["problems"] == [f"{URL}/p: pods web-a, web-b {NOT_RIGHT}"]
    assert result["summary"] == [f"{URL}/p gave no right answer"]
    assert result["checks"][0]["value"] is None


def test_a_pod_that_goes_may_answer_what_it_likes():
    world = World(*two())
    events = [A, world.become(pod("web-a"), pod("web-b", going=True)), WRONG_B]
    assert interview(world, events=events)["problems"] == []


def test_a_pod_that_answered_before_it_went_may_answer_what_it_likes():
    world = World(*two())
    events = [A, B, world.become(pod("web-a")), WRONG_B, A, A]
    result = interview(world, check(samples=4), events=events)
    assert result["problems"] == []
    assert result["answered"]["web-b"]["count"] == 1


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_have_ended_need_not_answer(phase):
    world = World(pod("web-a"), pod("web-b", phase=phase), pod("web-c", ready=False))
    assert set(interview(world, events=[A])["answered"]) == {"web-a"}


def test_a_pod_that_went_before_it_answered():
    world = World(*two())
    events = [*[A] * 20, world.become(pod("web-a")), A]
    assert interview(world, events=events)["problems"] == []


def test_a_pod_that_went_when_the_time_was_over():
    """It did not answer before the deadline, but need not answer after its removal."""
    world = World(*two())
    result = interview(world, events=[slow(4), slow(4), world.become(pod("web-a")), slow(4)])
    assert result["problems"] == []
    assert world.hinted == []


def test_a_pod_that_never_answers():
    world = World(*two())
    (problem,) = interview(world, events=[A])["problems"]
    assert problem.startswith(f"{URL}/p: pod web-b never answered in ")
    requests = int(problem.partition(" in ")[2].partition(" ")[0])
    assert requests >= 20
    assert problem.endswith(f"requests (web-a {requests} times): because")
    assert world.hinted == ["web-b"]


def test_a_pod_that_never_answers_for_no_known_reason():
    (problem,) = interview(World(*two(), hint=""), events=[A])["problems"]
    assert problem.endswith(" times)")


def test_a_silent_pod_that_is_not_ready_any_more():
    world = World(*two())
    failing = pod("web-b", ready=False, **restarted(1))
    (problem,) = interview(world, events=[A, world.become(pod("web-a"), failing)])["problems"]
    assert problem.endswith(": it is not ready any more (container web was restarted once)")
    assert world.hinted == []


def test_a_wrong_pod_is_told_though_another_is_silent():
    (problem,) = interview(World(*two()), events=[WRONG_A])["problems"]
    assert problem == f"{URL}/p: pod web-a {NOT_RIGHT}"


def test_answers_that_name_no_pod():
    world = World(*two(), own={"web-a": [answered()], "web-b": [answered()]})
    result = interview(world, check("/x", expected=None), check(), events=[answered()])
    assert result["problems"] == []
    assert (result["via"], result["by"]) == ("address", "port-forward")
    assert [one["by"] for one in result["checks"]] == ["port-forward", "port-forward"]
    assert result["summary"][0] == (
        f"{URL}/x answered [199.6] by pods web-a, web-b in 10 ms, each asked by port-forward, "
        "since the answers carry no X-Served-By of theirs"
    )
    assert world.asked == [
        ("", f"{URL}/x"), ("", f"{URL}/p"),
        ("web-a", f"{URL}/x"), ("web-a", f"{URL}/p"),
        ("web-b", f"{URL}/x"), ("web-b", f"{URL}/p"),
    ]  # fmt: skip


def test_a_wrong_answer_that_names_no_pod_while_one_goes():
    """While the cluster still routes to it, the address is asked again."""
    going = pod("web-old", going=True)
    world = World(*two(), going, own={"web-a": [answered()], "web-b": [answered()]})
    wrong, right = answered(WRONG), answered()
    result = interview(world, events=[wrong, world.become(*two()), wrong, right])
    assert result["problems"] == []
    assert [name for name, _ in world.asked] == ["", "", "", "web-a", "web-b"]


def test_a_wrong_answer_that_names_no_pod_though_none_goes():
    world = World(*two(), own={"web-a": [answered()], "web-b": [answered()]})
    assert interview(world, events=[answered(WRONG)])["problems"] == [f"{URL}/p: {NOT_RIGHT}"]


def test_a_wrong_answer_that_names_no_pod_until_the_time_is_over():
    going = pod("web-old", going=True)
    world = World(*two(), going, own={"web-a": [answered()], "web-b": [answered()]})
    result = interview(world, events=[answered(WRONG)])
    assert result["problems"] == [f"{URL}/p: {NOT_RIGHT}"]


def test_a_header_of_another_meaning():
    world = World(pod("web-a"), own={"web-a": [answered()]})
    events = [answered(by="cache-1"), answered(by="cache-2"), answered(by="cache-1")]
    result = interview(world, events=events)
    assert (result["problems"], result["by"]) == ([], "port-forward")
    assert [one for one, _ in world.asked] == ["", "", "", "web-a"]


def test_an_address_that_answers_what_no_pod_does():
    world = World(pod("web-a"), own={"web-a": [answered(WRONG)]})
    result = interview(world, events=[answered()])
    assert result["problems"] == [f"{URL}/p, asked by port-forward: pod web-a {NOT_RIGHT}"]
    assert result["summary"][0].startswith(f"{URL}/p answered [199.6] by no pod in 10 ms, each")


def test_a_wrong_answer_that_names_no_pod():
    world = World(pod("web-a"), own={"web-a": [answered()]})
    result = interview(world, events=[answered(WRONG)])
    assert result["problems"] == [f"{URL}/p: {NOT_RIGHT}"]


def test_a_stranger_between_answers_of_pods():
    result = interview(World(*two()), events=[A, answered(by="proxy"), B])
    assert (result["problems"], result["by"]) == ([], "header")


def test_an_address_that_belongs_to_another_workload():
    world = World(pod("web-a"), others={"old-x": "old"})
    result = interview(world, events=[answered(by="old-x")])
    assert result["problems"] == [
        (
            f"{URL}/p: answered by pod old-x of workload old: the address belongs to another "
            "Service by now; run again"
        )
    ]


def test_nothing_answers():
    result = interview(World(*two()), check("/x"), check(), events=[REFUSED])
    assert result["problems"] == [f"{URL}/x: nothing listens there"]
    assert result["answered"] == {}


def test_what_heals():
    result = interview(World(pod("web-a")), check(samples=2), events=[DROPPED, A])
    assert result["problems"] == []
    assert result["checks"][0]["healed"] == ["the connection was dropped (2 times)"]
    assert result["summary"][0].endswith(", after the connection was dropped (2 times)")


def test_what_healed_is_told_of_a_silent_pod():
    (problem,) = interview(World(*two()), events=[DROPPED, *[A] * 99])["problems"]
    assert "times, the connection was dropped (" in problem


def slow(seconds):
    return Answer(200, "", {"x-served-by": "web-a"}, RIGHT.encode(), seconds)


def test_the_deadline_between_samples():
    result = interview(World(pod("web-a")), check(samples=9), events=[slow(4)])
    assert result["problems"] == [f"{URL}/p: gave 3 of 9 right answers before the deadline of 10 s"]


def test_the_deadline_before_a_pod_has_answered():
    (problem,) = interview(World(*two()), events=[slow(4)])["problems"]
    assert problem == f"{URL}/p: pod web-b never answered in 3 requests (web-a 3 times): because"


def test_the_deadline_between_checks():
    result = interview(World(pod("web-a")), check("/x"), check(), events=[slow(11)])
    assert result["problems"] == [f"{URL}/p was not asked before the deadline of 10 s"]


def test_the_pods_must_predict_the_same():
    world = World(*two(), pod("web-c"))
    near = answered("[199.60000000001]", "web-b")
    events = [A, near, answered("[199.7]", "web-c")]
    assert interview(world, check(expected=None), events=events)["problems"] == [
        f"{URL}/p: the pods do not predict the same: web-a answered [199.6], web-c answered [199.7]"
    ]
    assert interview(world, check(tolerance=0.2), events=events)["problems"] == []


def test_texts_may_differ():
    """An example is a greeting that contains the pod's name."""
    named = [answered(f"Hello from {name}!", name) for name in ("web-a", "web-b")]
    greeting = {"expected": None, "expected_text": "Hello", "text_match": "prefix"}
    for options in (greeting, {"expected": None}):
        result = interview(World(*two()), check(**options), events=named)
        assert result["problems"] == []
        assert result["checks"][0]["body"] == "Hello from web-a!"


def test_an_expected_text_that_is_a_value_too():
    given = [answered("1", "web-a"), answered("2", "web-b")]
    options = {"expected": None, "expected_text": "[0-9]", "text_match": "regex"}
    assert interview(World(*two()), check(**options), events=given)["problems"] == []


def test_a_bound_on_the_latency():
    (problem,) = interview(World(pod("web-a")), check(latency_p50=5.0), events=[A])["problems"]
    assert problem.startswith(f"{URL}/p: answered too slowly: p50 of 1 samples is 10 ms")


def test_nothing_to_check():
    target = Target("web", "default", URL, (), "")
    world = World(pod("web-a"))
    result = Interview(
        target, Roster(world.read(), world.read, OURS), world,
        client=world.client(iter(())), policy=POLICY, clock=world.clock, jitter=lambda: 0.0,
        header="X-Served-By",
    ).run()  # fmt: skip
    assert (result["problems"], result["checks"], result["by"]) == ([], [], "header")


# The pods


def test_there_is_no_ready_pod():
    world = World(pod("web-a", ready=False))
    result = interview(world, events=[A])
    assert result["problems"] == [
        (
            "has no ready pod to ask, for 10 s: 'kubectl --namespace default get pods --selector "
            "app=web' shows them"
        )
    ]
    assert world.asked == []
    assert world.clock.now <= 110


def test_a_pod_gets_ready_in_time():
    world = World(pod("web-a", ready=False))
    states = itertools.chain([pod("web-a", ready=False)] * 2, itertools.repeat(pod("web-a")))
    world.read = lambda: [next(states)]
    assert interview(world, events=[A])["problems"] == []


@pytest.mark.parametrize(
    ("given", "labels", "trouble"),
    [
        (pod("web-a"), {}, ""),
        (pod("web-a"), OURS, ""),
        (
            pod("web-a", labels={}),
            {"managed-by": "us", "part-of": "x"},
            (
                "it is not ours, for it lacks the label managed-by, part-of, but app=web leads the "
                "Service to it"
            ),
        ),
        (
            pod("web-a", labels={"managed-by": "them"}, **restarted(1, exitCode=1)),
            OURS,
            (
                "it is not ours, for it lacks the label managed-by, but app=web leads the Service "
                "to it, container web was restarted once, last with exit code 1"
            ),
        ),
        (pod("web-a", **restarted(3)), OURS, "container web was restarted 3 times"),
    ],
)
def test_read_replica(given, labels, trouble):
    assert read_replica(given, labels) == Replica("web-a", "web-a", True, False, trouble)


def test_a_pod_without_status():
    assert read_replica({"metadata": {"name": "x"}}, {}) == Replica("x", "x", False, False)


def test_a_pod_that_fell_over_still_has_to_answer():
    world = World(pod("web-a"))
    roster = Roster(world.read(), world.read, OURS)
    world.pods = [pod("web-a", ready=False)]
    roster.refresh()
    assert roster.required() == ["web-a"]
    world.pods = []
    roster.refresh()
    assert roster.required() == []
    assert roster.replica("web-a") is None
    assert roster.who("web-a") == Replica("web-a", "web-a", False, True)
    assert roster.who("web-b") is None


# By port-forward


def test_each_pod_is_asked_by_itself():
    world = World(*two(), own={"web-a": [answered()], "web-b": [answered()]})
    options = {"base": LOCAL, "samples": 3, "latency_p99": 0.1}
    result = interview(world, check(**options), url="")
    assert result["problems"] == []
    assert (result["via"], result["by"], result["url"]) == ("port-forward", "port-forward", "")
    assert [name for name, _ in world.asked] == ["web-a", "web-a", "web-b", "web-b"]
    assert result["answered"]["web-a"]["count"] == 2
    assert result["summary"] == [
        (
            f"{LOCAL}/p answered [199.6] by pods web-a, web-b in 10 ms, each asked by "
            "port-forward; the latency was not judged"
        )
    ]
    assert result["try"] == ["kubectl port-forward", f"curl {LOCAL}/p"]


def test_pods_that_are_wrong_by_themselves():
    world = World(*two(), own={"web-a": [answered(WRONG)], "web-b": [REFUSED]})
    result = interview(world, check("/x", LOCAL), check(base=LOCAL), url="")
    asked = "asked by port-forward: "
    assert result["problems"] == [
        f"{LOCAL}/x, {asked}pod web-a {NOT_RIGHT}",
        f"{LOCAL}/x, {asked}pod web-b could not be asked: nothing listens there",
        f"{LOCAL}/p, {asked}pod web-a {NOT_RIGHT}",
    ]


def test_pods_that_answer_differently_by_themselves():
    world = World(*two(), own={"web-a": [answered()], "web-b": [answered(WRONG)]})
    (problem,) = interview(world, check(base=LOCAL, expected=None), url="")["problems"]
    assert problem.startswith(
        f"{LOCAL}/p, asked by port-forward: the pods do not predict the same: web-a answered"
    )


def test_a_pod_that_went_while_it_was_asked():
    world = World(*two())
    world.own = {
        "web-a": itertools.cycle([world.become(pod("web-b")), GONE]),
        "web-b": itertools.cycle([answered()]),
    }
    result = interview(world, url="")
    assert result["problems"] == []
    assert set(result["answered"]) == {"web-b"}


def test_a_pod_that_took_the_place_of_another_is_asked():
    world = World(pod("web-a"))
    world.own = {
        "web-a": itertools.cycle([world.become(pod("web-b")), GONE]),
        "web-b": itertools.cycle([answered()]),
    }
    assert set(interview(world, url="")["answered"]) == {"web-b"}


def test_all_pods_went():
    world = World(pod("web-a"))
    world.own = {"web-a": itertools.cycle([world.become(), GONE])}
    assert interview(world, url="")["problems"] == [
        f"{LOCAL}/p: its pods went away while they were asked: run again"
    ]


def test_no_time_for_the_second_check():
    world = World(pod("web-a"), own={"web-a": [slow(11)]})
    result = interview(world, check("/x", LOCAL), check(base=LOCAL), url="")
    assert result["problems"] == [f"{LOCAL}/p was not asked before the deadline of 10 s"]


# Why a pod is silent

SERVICE = {"metadata": {"name": "web"}, "spec": {"sessionAffinity": "None"}}
STICKY = {"metadata": {"name": "web"}, "spec": {"sessionAffinity": "ClientIP"}}
POLICIES = [{"metadata": {"name": name}} for name in ("b", "a")]


def slices(name="web-b", **conditions):
    endpoints = [{"targetRef": {"name": name}, "conditions": conditions}, {"targetRef": None}]
    return [{"endpoints": None}, {"endpoints": endpoints}]


UNLISTED = (
    "Service web does not list it among its ready endpoints: compare its selector and targetPort "
    "with the pod"
)
AFFINITY = (
    "Service web has sessionAffinity ClientIP, which leads one client to one pod: set it to None"
)


@pytest.mark.parametrize(
    ("service", "listed", "policies", "direct", "words"),
    [
        (None, [], [], "", "its Service is gone"),
        (SERVICE, slices(), [], "", ""),
        (SERVICE, slices(ready=True), [], "it answers", "it answers"),
        (STICKY, slices(), [], "", AFFINITY),
        (SERVICE, [], [], "", UNLISTED),
        (SERVICE, slices(ready=False), [], "", UNLISTED),
        (SERVICE, slices("web-a"), [], "", UNLISTED),
        (SERVICE, slices(), POLICIES, "", ("NetworkPolicy a, b may keep the load balancer's way "
         "shut")),
        (STICKY, [], [], "it answers", f"{AFFINITY}; {UNLISTED}; it answers"),
    ],
)  # fmt: skip
def test_explain_silence(service, listed, policies, direct, words):
    replica = Replica("web-b", "web-b", True, False)
    assert explain_silence(replica, service, listed, policies, direct) == words


def rule(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "env": "prod"}}, False),
        (rule("app", "In", "web", "x"), True),
        (rule("app", "In", "x"), False),
        (rule("env", "In", "prod"), False),
        (rule("app", "NotIn", "web"), False),
        (rule("app", "NotIn", "x"), True),
        (rule("env", "NotIn", "prod"), True),
        (rule("app", "Exists"), True),
        (rule("env", "Exists"), False),
        (rule("app", "DoesNotExist"), False),
        (rule("env", "DoesNotExist"), True),
        (rule("app", "Unknown"), False),
        ({"matchLabels": {"app": "web"}, **rule("env", "Exists")}, False),
    ],
)
def test_selects(selector, fits):
    assert selects(selector, {"app": "web"}) is fits


def test_ask_directly():
    world = World(own={"web-a": [answered(status=404)], "web-b": [REFUSED]})
    one = check()
    assert ask_directly(world.forward("web-a"), one, 1.0) == (
        "asked by port-forward it answers with status 404"
    )
    assert ask_directly(world.forward("web-b"), one, 1.0) == (
        "asked by port-forward it does not answer either: nothing listens there"
    )
