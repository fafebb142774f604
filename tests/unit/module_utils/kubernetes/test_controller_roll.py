import copy
import itertools

import pytest
from ansible.module_utils.docker_ml_api.kubernetes import controller_roll, rollout
from ansible.module_utils.docker_ml_api.kubernetes.controller_roll import (
    Delete,
    Done,
    Mark,
    Scale,
    Wait,
)
from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import Patience
from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key, Limits, Live, Workload

from support import api_objects as live

MARK = {controller_roll.DELETION_COST: controller_roll.LOWEST_COST}


def pod(name, template, *, ready=True, owner="controller", **further):
    labels = {"docker-ml-api/template": template} if template else {}
    return live.pod(name, ready=ready, owner=owner, labels=labels, **further)


def pods(letters):
    """Return pods: N, n for a current one that is ready or not; O, o for an outdated one."""
    return [
        pod(
            f"{letter}{number}", "new" if letter in "Nn" else "old", ready=letter.isupper(),
        )
        for number, letter in enumerate(letters)
    ]  # fmt: skip


def identity(*names):
    return tuple((name, name) for name in names)


# What: the controller's size, its pods, how many are wanted, and the next step.
STEPS = {
    "nothing to do": (2, "NN", 2, Done()),
    "nothing at all": (0, "", 0, Done()),
    "the first start": (2, "Nn", 2, Wait("1 of 2 pods are ready, 2 are there")),
    "to be created": (2, "N", 2, Wait("1 of 2 pods are ready, 1 are there")),
    "grown": (2, "NN", 3, Scale(3)),
    "shrunk": (5, "NNNNN", 2, Scale(2)),
    "left one too many": (3, "NNN", 2, Scale(2)),
    "to nothing": (2, "OO", 0, Scale(0)),
    "to nothing, going": (0, "O", 0, Wait("1 of 0 pods are ready, 1 are there")),
    "all outdated": (2, "OO", 2, Scale(3)),
    "all outdated, of one": (1, "O", 1, Scale(2)),
    "all outdated, grown": (2, "OO", 4, Scale(5)),
    "all outdated, shrunk": (4, "OOOO", 2, Delete(identity("O0"))),
    "one more is to come": (3, "OO", 2, Wait("2 of 3 pods are there")),
    "one more is starting": (3, "OOn", 2, Wait("pod n2 is not ready")),
    "one more is there": (3, "OON", 2, Delete(identity("O0"))),
    "replaced, to come": (3, "ON", 2, Wait("2 of 3 pods are there")),
    "replaced, starting": (3, "OnN", 2, Wait("pod n1 is not ready")),
    "one left": (3, "ONN", 2, Mark(identity("O0"))),
    "the controller has not yet removed the last": (2, "ONN", 2, Wait("3 of 2 pods are there")),
    "stopped before the scaling": (3, "OOO", 2, Delete(identity("O0"))),
    "broken: all": (2, "oo", 2, Delete(identity("o0", "o1"))),
    "broken: one of two": (2, "oO", 2, Delete(identity("o0"))),
    "broken: two of three": (3, "ooO", 3, Delete(identity("o0"))),
    "broken: its replacement starts": (3, "onO", 3, Wait("pod n1 is not ready")),
    "broken: a bad release is taken back": (3, "NNo", 2, Mark(identity("o2"))),
    "broken: a bad release, one served": (3, "NoO", 2, Delete(identity("o1"))),
    "an old one falls ill while it rolls": (3, "NoN", 2, Mark(identity("o1"))),
}


@pytest.mark.parametrize(("size", "letters", "replicas", "step"), STEPS.values(), ids=STEPS)
def test_next_step(size, letters, replicas, step):
    found = pods(letters)
    ready = sum(letter.isupper() for letter in letters)
    assert (
        controller_roll.next_step(Live(live.controller(size, available=ready), [], found), replicas)
        == step
    )


def test_the_marked_one_is_left_to_the_controller():
    found = [*pods("NN"), pod("O2", "old", annotations=MARK)]
    assert controller_roll.next_step(Live(live.controller(3), [], found), 2) == Scale(2)


# What: a change of the controller "NNO" of size 3, and what is waited for.
UNSETTLED = {
    "the change is not observed": (
        {"seen": False}, "NNO", "the controller has not taken up the change"
    ),
    "ready, but not available": ({"available": 2}, "NNO", "2 of 3 ready pods are available"),
    "one more, not available": ({"available": 2}, "NOO", "2 of 3 pods are available"),
}  # fmt: skip


@pytest.mark.parametrize(("state", "letters", "what"), UNSETTLED.values(), ids=UNSETTLED)
def test_unsettled(state, letters, what):
    found = Live(live.controller(3, **state), [], pods(letters))
    assert controller_roll.next_step(found, 2) == Wait(what)


# What: a pod that is ignored, beside two good ones.
OTHERS = {
    "on its way out": pod("x", "old", deletionTimestamp=live.NOW),
    "ended": pod("x", "old", phase="Failed"),
    "of another controller": pod("x", "old", owner="other"),
    "of nobody": pod("x", "old", owner=None),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_pods_that_do_not_count(other):
    found = Live(live.controller(2), [], [*pods("NN"), other])
    assert controller_roll.next_step(found, 2) == Done()
    assert controller_roll.plan(found, 2) == []
    assert controller_roll.ready_pods(found) == ["N0", "N1"]


def test_a_pod_without_the_label_is_outdated():
    found = Live(live.controller(1), [], [pod("x", None)])
    assert controller_roll.plan(found, 1) == ["replace one by one: x"]


def test_the_oldest_goes_first():
    young, old = pod("a", "old"), pod("b", "old")
    young["metadata"]["creationTimestamp"] = "2026-01-02T03:04:06Z"
    found = Live(live.controller(3), [], [young, old, *pods("N")])
    assert controller_roll.next_step(found, 2) == Delete(identity("b"))


# What: the size, the pods, how many are wanted, and what would be done.
PLANS = {
    "nothing": (2, "NN", 2, []),
    "outdated": (2, "OO", 2, ["replace one by one: O0, O1"]),
    "another size": (2, "NN", 3, ["scale from 2 to 3"]),
    "to nothing": (2, "OO", 0, ["scale from 2 to 0"]),
    "both": (3, "NNo", 2, ["replace one by one: o2", "scale from 3 to 2"]),
}


@pytest.mark.parametrize(("size", "letters", "replicas", "said"), PLANS.values(), ids=PLANS)
def test_plan(size, letters, replicas, said):
    assert controller_roll.plan(Live(live.controller(size), [], pods(letters)), replicas) == said


def test_nothing_there():
    assert controller_roll.plan(Live(None), 2) == []
    assert controller_roll.ready_pods(Live(None)) == controller_roll.outdated_pods(Live(None)) == []
    assert controller_roll.is_unfinished(Live(None), 2)


# What: the live size, the declared size, whether it is autoscaled, and the final size.
SIZES = {
    "declared": (5, 2, False, 2),
    "autoscaled": (5, 2, True, 5),
    "autoscaled, not yet": (1, 2, True, 2),
}


@pytest.mark.parametrize(("size", "replicas", "autoscaled", "end"), SIZES.values(), ids=SIZES)
def test_wanted_replicas(size, replicas, autoscaled, end):
    found = Live(live.controller(size))
    assert controller_roll.wanted_replicas(found, replicas, autoscaled=autoscaled) == end
    assert controller_roll.wanted_replicas(Live(None), 2, autoscaled=autoscaled) == 2


KEY = Key("default", "web")


class World:
    """A simulated ReplicationController: it advances by one small step with each sleep."""

    def __init__(self, size, letters, *, good=True):
        self.size = self.seen = size
        self.pods = pods(letters)
        self.good = good
        self.made = 0
        self.now = 0.0
        self.least = self.ready()
        self.stop_after = None

    def ready(self):
        return sum(one["status"]["phase"] == "Running" for one in self.pods)

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.go_on()

    def go_on(self):
        if self.seen != self.size:
            self.seen = self.size
        elif len(self.pods) > self.seen:
            self.pods.remove(min(self.pods, key=self.rank))
        elif len(self.pods) < self.seen:
            self.made += 1
            name = f"made{self.made}"
            self.pods.append(pod(name, "new", ready=False))
            if not self.good:
                self.pods[-1]["status"]["containerStatuses"] = [live.waiting("InvalidImageName")]
        elif self.good:
            for one in self.pods:
                if one["metadata"]["name"].startswith("made"):
                    one["status"] |= pod("x", "new")["status"]
        self.least = min(self.least, self.ready())

    @staticmethod
    def rank(one):
        is_new = one["metadata"]["labels"]["docker-ml-api/template"] == "new"
        return (
            one["status"]["phase"] == "Running",
            0 if "annotations" in one["metadata"] else 1,
            -is_new,  # the youngest of the rest
        )

    def read(self, workloads):
        ready = self.ready()
        controller = live.controller(self.size, available=ready, seen=self.seen == self.size)
        return {one.key: Live(controller, [], copy.deepcopy(self.pods)) for one in workloads}

    def act(self, what):
        if self.stop_after is not None:
            if not self.stop_after:
                raise KeyboardInterrupt
            self.stop_after -= 1
        _, step = what
        if isinstance(step, Scale):
            self.size = step.replicas
        elif isinstance(step, Delete):
            gone = {uid for _, uid in step.pods}
            self.pods = [one for one in self.pods if one["metadata"]["uid"] not in gone]
            self.least = min(self.least, self.ready())
        else:
            for one in self.pods:
                if one["metadata"]["name"] in dict(step.pods):
                    one["metadata"]["annotations"] = MARK

    def roll(self, replicas):
        return controller_roll.roll(
            [Workload(KEY, "ReplicationController", replicas)],
            self.read,
            self.act,
            autoscaled=frozenset(),
            patience=Patience(),
            limits=Limits(300, 15, 1),
            clock=self.clock,
            sleep=self.sleep,
        )


# Every mix of up to four pods, with every size.
BEGINNINGS = [
    ("".join(mix), size)
    for count in range(5)
    for mix in itertools.combinations_with_replacement("NOo", count)
    for size in range(5)
]


@pytest.mark.parametrize("replicas", [0, 1, 2, 3])
def test_from_everywhere_to_the_end(replicas):
    for letters, size in BEGINNINGS:
        world = World(size, letters)
        before = min(world.ready(), replicas, size)
        outcome = world.roll(replicas)
        assert KEY in outcome.rolled, (letters, size)
        assert [one["metadata"]["labels"]["docker-ml-api/template"] for one in world.pods] == [
            "new"
        ] * replicas
        assert world.least >= before, (letters, size)
        assert world.roll(replicas).changes == {KEY: []}


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_bad_template_leaves_serving_what_serves(replicas):
    for count in range(1, 5):
        world = World(count, "O" * count, good=False)
        serving = min(count, replicas)
        outcome = world.roll(replicas)
        assert outcome.failed[KEY].cause == "image"
        assert world.least >= serving
        # The next release, or the previous one, rolls successfully.
        world.good = True
        for one in world.pods:
            one["metadata"]["labels"] = {"docker-ml-api/template": "old"}
        assert KEY in world.roll(replicas).rolled
        assert world.least >= serving


@pytest.mark.parametrize("stop", range(8))
def test_stopped_anywhere_and_run_again(stop):
    world = World(3, "OOO")
    world.stop_after = stop
    try:
        world.roll(3)
    except KeyboardInterrupt:
        world.stop_after = None
        assert KEY in world.roll(3).rolled
    else:
        assert stop >= 5
    assert world.least == 3
    assert len(world.pods) == world.size == 3


def test_the_steps_of_a_roll():
    assert World(2, "OO").roll(2).changes == {
        KEY: ["scaled to 3", "deleted: O0", "marked for removal: O1", "scaled to 2"]
    }


def test_time_is_over():
    world = World(2, "OO", good=False)
    for one in world.pods:
        one["status"]["containerStatuses"] = []
    world.go_on = lambda: None
    outcome = world.roll(2)
    assert (outcome.waiting, outcome.timed_out) == (
        {KEY: "the controller has not taken up the change"},
        True,
    )


def test_nothing_to_roll():
    """Nothing is read or changed, and no time passes."""

    def never(what):
        raise AssertionError(what)

    outcome = controller_roll.roll(
        [],
        never,
        never,
        autoscaled=frozenset(),
        patience=Patience(),
        limits=Limits(300, 15, 1),
        clock=lambda: 0.0,
        sleep=never,
    )
    assert outcome == controller_roll.Outcome()


def test_a_failure_lets_the_others_settle():
    good, bad = World(1, "O"), World(1, "O", good=False)
    keys = {Key("default", "good"): good, Key("default", "bad"): bad, Key("default", "none"): None}

    def read(workloads):
        return {
            one.key: keys[one.key].read([one])[one.key] if keys[one.key] else Live(None)
            for one in workloads
        }

    def sleep(seconds):
        good.sleep(seconds)
        bad.sleep(seconds)

    outcome = controller_roll.roll(
        [Workload(key, "ReplicationController", 1) for key in keys],
        read,
        lambda what: keys[what[0]].act(what),
        autoscaled=frozenset(),
        patience=Patience(),
        limits=Limits(300, 15, 1),
        clock=good.clock,
        sleep=sleep,
    )
    assert {key.name for key in outcome.rolled} == {"good"}
    assert {key.name: trouble.cause for key, trouble in outcome.failed.items()} == {
        "bad": "image",
        "none": "missing",
    }
    assert not outcome.timed_out


def test_without_the_label_it_is_refused():
    trouble = controller_roll.trouble_before(Live(live.controller(template=None)))
    assert "its pod template has no label docker-ml-api/template" in trouble.text
    assert rollout.revision_of(Live(live.controller())) == "new"
