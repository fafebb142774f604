import pytest
from ansible.module_utils.docker_ml_api.kubernetes import rollout
from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import LogSource, Patience, Trouble
from ansible.module_utils.docker_ml_api.kubernetes.rollout import (
    Failed,
    Key,
    Limits,
    Live,
    Ready,
    Waiting,
    Watch,
    Workload,
)

from support import api_objects as live
from support.api_objects import RUNNING, condition, container, pod, replica_set, waiting

PATIENT = Patience()
STRICT = Patience(readiness=30)
KEY = Key("default", "web")
DEPLOYMENT = Workload(KEY, "Deployment", 2)
CONTROLLER = Workload(KEY, "ReplicationController", 2)


def pods(owner, count, *, ready=True, start=1, **further):
    return [
        pod(f"web-{owner}-{number}", ready=ready, owner=owner, **further)
        for number in range(start, start + count)
    ]


def of_template(template, count, **further):
    labels = {"docker-ml-api/template": template} if template else {}
    return [
        {
            **one,
            "metadata": {**one["metadata"], "name": f"web-{template}-{number}", "labels": labels},
        }
        for number, one in enumerate(pods("controller", count, **further), 1)
    ]


def deployed(controller, *found, sets=None):
    return Live(
        controller, [replica_set("1", "old"), replica_set()] if sets is None else sets, found
    )


BOTH = ("web-new-1", "web-new-2")
OLD_SET = replica_set("1", "old")
REFUSED = condition("ReplicaFailure", "True", "FailedCreate", "no")
STARTING = pod("web-new-2", owner="new")
BROKEN = pod("web-new-2", waiting("InvalidImageName", "no"), owner="new")
RUNS = container(started=True, **RUNNING)

# What: a workload, its live objects, and the verdict.
READY = {
    "deployment": (
        DEPLOYMENT, deployed(live.deployment(), *pods("new", 2)), Ready(BOTH, "2")
    ),
    "deployment: autoscaled to more": (
        DEPLOYMENT, deployed(live.deployment(3), *pods("new", 3)), Ready((*BOTH, "web-new-3"), "2")
    ),
    "deployment: an old pod is on its way out": (
        DEPLOYMENT,
        deployed(live.deployment(), *pods("new", 2), *pods("old", 1, deletionTimestamp=live.NOW)),
        Ready(BOTH, "2"),
    ),
    "deployment: evicted pods of the past": (
        DEPLOYMENT,
        deployed(live.deployment(), *pods("new", 2), pod("x", phase="Failed", owner="new")),
        Ready(BOTH, "2"),
    ),
    "deployment: down to nothing": (
        Workload(KEY, "Deployment", 0), deployed(live.deployment(0)), Ready((), "2")
    ),
    "deployment: its last refusal is over": (
        DEPLOYMENT,
        deployed(
            live.deployment(conditions=[condition("ReplicaFailure", "False", "FailedCreate")]),
            *pods("new", 2),
        ),
        Ready(BOTH, "2"),
    ),
    "controller": (
        CONTROLLER, Live(live.controller(), [], of_template("new", 2)), Ready(BOTH, "new")
    ),
    "controller: no template label": (
        CONTROLLER,
        Live(live.controller(template=None), [], pods("controller", 2)),
        Ready(("web-controller-1", "web-controller-2"), ""),
    ),
    "controller: somebody else's pods": (
        CONTROLLER,
        Live(live.controller(), [], [*of_template("new", 2), *pods("other", 1, ready=False)]),
        Ready(BOTH, "new"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("workload", "found", "verdict"), READY.values(), ids=READY)
def test_ready(workload, found, verdict):
    assert rollout.assess(workload, found, PATIENT) == verdict


# What: a workload, its live objects, its state, and the causes of its troubles.
NOT_READY = {
    "missing": (DEPLOYMENT, Live(None), "it does not exist", ["missing"]),
    "not observed": (
        DEPLOYMENT,
        deployed(live.deployment(seen=False), *pods("new", 2)),
        "the Deployment's controller has not taken up the change",
        [],
    ),
    "deployment: being created": (
        DEPLOYMENT,
        deployed(live.deployment(availableReplicas=1), *pods("new", 1), STARTING),
        "1 of 2 pods ready; pod web-new-2: ContainerCreating",
        [],
    ),
    "deployment: the old ones are there": (
        DEPLOYMENT,
        deployed(live.deployment(replicas=2, updatedReplicas=1), *pods("new", 1), *pods("old", 1)),
        "1 of 2 pods ready; 1 of an earlier version still there",
        [],
    ),
    "deployment: available too short a time": (
        DEPLOYMENT,
        deployed(live.deployment(availableReplicas=None), *pods("new", 2)),
        "2 of 2 pods ready",
        [],
    ),
    "deployment: the status is ahead of the pods": (
        DEPLOYMENT, deployed(live.deployment(), *pods("new", 1)), "1 of 2 pods ready", []
    ),
    "deployment: the autoscaler has not acted": (
        DEPLOYMENT,
        deployed(live.deployment(1), *pods("new", 1)),
        "1 of 1 pods ready; 2 are wanted",
        [],
    ),
    "deployment: no ReplicaSet yet": (
        DEPLOYMENT,
        deployed(live.deployment(updatedReplicas=0), *pods("old", 2), sets=[OLD_SET]),
        "0 of 2 pods ready; 2 of an earlier version still there",
        [],
    ),
    "deployment: a broken pod of the old version does not count": (
        DEPLOYMENT,
        deployed(
            live.deployment(replicas=2, updatedReplicas=1),
            pod("web-new-1", owner="new"),
            pod("web-old-1", waiting("InvalidImageName", "no"), owner="old"),
        ),
        "0 of 2 pods ready; pod web-new-1: ContainerCreating; 1 of an earlier version still there",
        [],
    ),
    "deployment: a broken pod": (
        DEPLOYMENT,
        deployed(live.deployment(availableReplicas=1), *pods("new", 1), BROKEN),
        "1 of 2 pods ready; pod web-new-2: InvalidImageName: no",
        ["image"],
    ),
    "deployment: paused": (
        DEPLOYMENT,
        deployed(live.deployment(updatedReplicas=0, spec={"paused": True}), *pods("old", 2)),
        "0 of 2 pods ready; 2 of an earlier version still there",
        ["paused"],
    ),
    "deployment: refused": (
        DEPLOYMENT,
        deployed(
            live.deployment(updatedReplicas=None),
            sets=[OLD_SET, replica_set(conditions=[REFUSED])],
        ),
        "0 of 2 pods ready; 2 of an earlier version still there",
        ["refused"],
    ),
    "deployment: its old version was refused": (
        DEPLOYMENT,
        deployed(
            live.deployment(
                availableReplicas=1,
                conditions=[REFUSED],
            ),
            *pods("new", 1),
        ),
        "1 of 2 pods ready",
        [],
    ),
    "deployment: not even a ReplicaSet": (
        DEPLOYMENT,
        deployed(
            live.deployment(
                replicas=0,
                spec={"replicas": 2},
                conditions=[condition("Progressing", "False", "ReplicaSetCreateError", "quota")],
            ),
            sets=[],
        ),
        "0 of 2 pods ready",
        ["refused"],
    ),
    "deployment: no progress": (
        DEPLOYMENT,
        deployed(
            live.deployment(
                availableReplicas=1,
                conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")],
            ),
            *pods("new", 1),
            pod("web-new-2", RUNS, owner="new", phase="Running"),
        ),
        "1 of 2 pods ready; pod web-new-2: running, not ready yet",
        ["deadline"],
    ),
    "deployment: no progress, though its pods are ready": (
        DEPLOYMENT,
        deployed(
            live.deployment(
                availableReplicas=1,
                conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")],
            ),
            *pods("new", 2),
        ),
        "2 of 2 pods ready",
        ["deadline"],
    ),
    "deployment: no progress, and why; evictions last": (
        DEPLOYMENT,
        deployed(
            live.deployment(
                availableReplicas=1,
                conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")],
            ),
            pod("web-new-1", owner="new", phase="Failed"),
            BROKEN,
        ),
        "0 of 2 pods ready; pod web-new-2: InvalidImageName: no",
        ["image", "eviction", "deadline"],
    ),
    "controller: outdated pods": (
        CONTROLLER,
        Live(live.controller(), [], [*of_template("new", 1), *of_template("old", 1)]),
        "1 of 2 pods ready; 1 of an earlier version still there",
        [],
    ),
    "controller: refused": (
        CONTROLLER,
        Live(
            live.controller(
                available=0,
                replicas=2,
                conditions=[REFUSED],
            )
        ),
        "0 of 2 pods ready; 2 of an earlier version still there",
        ["refused"],
    ),
    "controller: not available": (
        CONTROLLER,
        Live(live.controller(available=1), [], of_template("new", 2)),
        "2 of 2 pods ready",
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("workload", "found", "what", "causes"), NOT_READY.values(), ids=NOT_READY)
def test_not_ready(workload, found, what, causes):
    verdict = rollout.assess(workload, found, PATIENT)
    assert isinstance(verdict, Waiting)
    assert (verdict.what, [trouble.cause for trouble in verdict.troubles]) == (what, causes)


def test_the_deadline_of_a_controller():
    slow = of_template("new", 1, ready=False)
    slow[0]["status"] |= {"phase": "Running", "containerStatuses": [RUNS]}
    (trouble,) = rollout.assess(CONTROLLER, Live(live.controller(), [], slow), STRICT).troubles
    assert (trouble.cause, trouble.grace) == ("probe", 30)


def test_the_deadline_of_a_deployment_is_its_own():
    slow = pod("web-new-1", RUNS, owner="new", phase="Running")
    assert rollout.assess(DEPLOYMENT, deployed(live.deployment(), slow), STRICT).troubles == ()


def test_no_progress_in_words():
    found = deployed(
        live.deployment(
            conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")],
            spec={"progressDeadlineSeconds": 10},
        ),
        pod(
            "web-new-1",
            container("other", ready=True, **RUNNING),
            RUNS,
            owner="new",
            phase="Running",
        ),
    )
    (trouble,) = rollout.assess(DEPLOYMENT, found, PATIENT).troubles
    assert trouble.text == (
        "no progress for 10 s, its progressDeadlineSeconds; pod web-new-1: running, not ready yet:"
        " correct the app, or its probes"
    )
    assert trouble.log == LogSource("web-new-1", "web", previous=False)


# What: the API server's message, the grace and the advice.
REFUSALS = {
    "quota": (
        'pods "web-" is forbidden: exceeded quota: q, requested: pods=1', 15, "raise the quota"
    ),
    "quota wants limits": ("failed quota: q: must specify limits.cpu", 15, "let the app say"),
    "Pod Security": (
        'pods "web-" is forbidden: violates PodSecurity "restricted:latest": x', 0, "Security level"
    ),
    "webhook": ('admission webhook "x" denied the request: no', 0, "webhook complains about"),
    "webhook that fails": ("failed calling webhook: timeout", 15, "correct what it names"),
    "namespace": ("because it is being terminated", 15, "wait until the namespace is gone"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "grace", "advice"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(message, grace, advice):
    refused = [condition("ReplicaFailure", "True", "FailedCreate", message)]
    (trouble,) = rollout.troubles(Live(live.controller(conditions=refused)), PATIENT)
    assert trouble.grace == grace
    assert f"the cluster refuses its pods ({message}): " in trouble.text
    assert advice in trouble.text


def test_nothing_there_no_troubles():
    assert rollout.troubles(Live(None), PATIENT) == []
    assert rollout.current_pods(Live(None)) == []


def trouble(cause="room", grace=10.0, subject="web-1"):
    return Trouble(cause, subject, f"{subject} {cause}", grace)


# What: the troubles at looks one second apart, and the look and cause of the failure.
RIPENING = {
    "at once": ([[trouble(grace=0)]], (0, "room")),
    "after its grace": ([[trouble(grace=2)]] * 4, (2, "room")),
    "healed": ([[trouble(grace=2)], [trouble(grace=2)], []], None),
    "healed, then again": (
        [[trouble(grace=2)], [trouble(grace=2)], [], [trouble(grace=2)], [trouble(grace=2)]], None
    ),
    "another pod's": ([[trouble(grace=1)], [trouble(grace=1, subject="web-2")]], None),
    "the first that is final": ([[trouble(), trouble("crash", 0)]], (0, "crash")),
    "its grace is shortened": ([[trouble()], [trouble(grace=0)]], (1, "room")),
    "an eviction before the first look": ([[trouble("eviction", 0)]] * 3, None),
    "an eviction": ([[]] + [[trouble("eviction", 2)]] * 3, (3, "eviction")),
    "two evictions": (
        [[], [trouble("eviction")], [trouble("eviction"), trouble("eviction", subject="web-2")]],
        (2, "eviction"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("looks", "final"), RIPENING.values(), ids=RIPENING)
def test_ripe(looks, final):
    watch = Watch()
    verdicts = [watch.look(Waiting("x", tuple(found)), now) for now, found in enumerate(looks)]
    failures = [
        (look, verdict.trouble.cause)
        for look, verdict in enumerate(verdicts)
        if isinstance(verdict, Failed)
    ]
    assert failures[:1] == ([final] if final else [])


def test_the_deadline_ends_every_grace():
    watch = Watch()
    assert watch.ripe([trouble("refused", 9), trouble("deadline", 2)], 0) is None
    assert watch.ripe([trouble("refused", 9), trouble("deadline", 2)], 2).cause == "refused"
    assert Watch().ripe([trouble("deadline", 0)], 0).cause == "deadline"


AT_WORK, RUN, PROBED = Waiting("x"), Ready(("a",), "1", probed=False), Ready(("a",), "1")
# What: verdicts one second apart, and the first look at which it is ready.
SETTLING = {
    "probed": ([AT_WORK, PROBED], 1),
    "not probed": ([AT_WORK] + [RUN] * 9, 6),
    "not probed, ready at the first look": ([RUN] * 9, 5),
    "not probed, ready for a moment at the first look": ([RUN, *[AT_WORK] * 9], None),
    "not probed, crashes": ([AT_WORK, *[RUN] * 5, AT_WORK, *[RUN] * 5], None),
}


@pytest.mark.parametrize(("verdicts", "ready"), SETTLING.values(), ids=SETTLING)
def test_settled(verdicts, ready):
    watch = Watch()
    told = [watch.look(verdict, now) for now, verdict in enumerate(verdicts)]
    found = [look for look, verdict in enumerate(told) if isinstance(verdict, Ready)]
    assert found[:1] == ([] if ready is None else [ready])


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


WELL = deployed(live.deployment(), *pods("new", 2))
SLOW = deployed(live.deployment(availableReplicas=1), *pods("new", 1))
SICK = deployed(live.deployment(availableReplicas=1), *pods("new", 1), BROKEN)

# What: live objects of each workload, look by look (the last repeats);
# which are ready, failed, waiting; seconds; whether it timed out.
WAITS = {
    "all are ready": ({"a": [WELL], "b": [WELL]}, "ab", "", "", 0, False),
    "one after a while": ({"a": [WELL], "b": [SLOW, SLOW, WELL]}, "ab", "", "", 4, False),
    "never": ({"a": [WELL], "b": [SLOW]}, "a", "", "b", 60, True),
    "one fails, the other settles": ({"a": [SICK], "b": [SLOW, WELL]}, "b", "a", "", 2, False),
    "one fails, the other does not settle": ({"a": [SICK], "b": [SLOW]}, "", "a", "b", 15, False),
    "one fails late": ({"a": [SLOW] * 25 + [SICK], "b": [SLOW]}, "", "a", "b", 60, True),
    "both fail": ({"a": [SICK], "b": [SLOW, SICK]}, "", "ab", "", 2, False),
    "none": ({}, "", "", "", 0, False),
}


@pytest.mark.parametrize("case", WAITS.values(), ids=WAITS)
def test_wait(case):
    looks, ready, failed, waits, seconds, timed_out = case
    clock, asked = Clock(), []
    looks = {Key("default", name): list(given) for name, given in looks.items()}

    def read(pending):
        asked.append([workload.key.name for workload in pending])
        return {
            one.key: looks[one.key].pop(0) if len(looks[one.key]) > 1 else looks[one.key][0]
            for one in pending
        }

    outcome = rollout.wait(
        [Workload(key, "Deployment", 2) for key in looks],
        read,
        patience=PATIENT,
        limits=Limits(timeout=60, settle=15, interval=2),
        clock=clock,
        sleep=clock.sleep,
    )
    assert [
        "".join(key.name for key in found)
        for found in (outcome.ready, outcome.failed, outcome.waiting)
    ] == [ready, failed, waits]
    assert (clock.now, outcome.timed_out) == (seconds, timed_out)
    # A workload with a final result is not read again.
    assert not set(asked[-1] if seconds else "") & set(ready if ready == "a" else "")
