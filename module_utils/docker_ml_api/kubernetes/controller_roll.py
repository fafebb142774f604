"""Rolls the pods of a ReplicationController to its current template, which Kubernetes does not do.

There are never fewer ready pods than before, or than wanted. One additional pod is started first,
and an outdated pod is deleted only if enough others are ready. Each step is derived from the live
state, so an interrupted roll can continue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.kubernetes import rollout
from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import (
    Object,
    Patience,
    Trouble,
    is_active,
    is_ready,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key, Limits, Live, Workload

# The controller deletes the ready pod with the lowest cost first.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
LOWEST_COST = "-2147483648"


@dataclass(frozen=True)
class Scale:
    """Set the number of pods of the controller."""

    replicas: int

    def __str__(self) -> str:
        """Return the step as text."""
        return f"scaled to {self.replicas}"


@dataclass(frozen=True)
class Mark:
    """Mark pods, by name and uid, to be deleted first by the controller."""

    pods: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Return the step as text."""
        return f"marked for removal: {', '.join(name for name, _ in self.pods)}"


@dataclass(frozen=True)
class Delete:
    """Delete the pods, given by name, if their uid is unchanged."""

    pods: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Return the step as text."""
        return f"deleted: {', '.join(name for name, _ in self.pods)}"


@dataclass(frozen=True)
class Wait:
    """Do nothing until the cluster has made progress."""

    what: str


@dataclass(frozen=True)
class Done:
    """The wanted number of pods of the current template are ready, and there are no others."""


Action = Scale | Mark | Delete | Wait | Done
Change = Scale | Mark | Delete


def outdated_pods(live: Live) -> list[Object]:
    """Return the controller's active pods of an earlier template, the oldest first."""
    if live.controller is None:
        return []
    wanted = rollout.revision_of(live)
    found = [pod for pod in _active(live) if rollout.template_of(pod) != wanted]
    return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], _name(pod)))


def _active(live: Live) -> list[Object]:
    if live.controller is None:
        return []
    uid = live.controller["metadata"]["uid"]
    return [pod for pod in live.pods if is_active(pod) and rollout.owned_by(pod, uid)]


def _name(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def next_step(live: Live, replicas: int) -> Action:  # noqa: PLR0911 - the first that holds
    """Return the next step towards `replicas` ready pods of the current template.

    live: with a controller whose template has the label rollout.TEMPLATE_LABEL.
    """
    controller = live.controller
    assert controller is not None  # noqa: S101 - for the type checker
    if not rollout.observed(controller):
        return Wait("the controller has not taken up the change")
    size = int(controller["spec"].get("replicas", 1))
    active, outdated = _active(live), outdated_pods(live)
    stale = {pod["metadata"]["uid"] for pod in outdated}
    current = [pod for pod in active if pod["metadata"]["uid"] not in stale]
    if not outdated or not replicas:
        return _resize(active, size, replicas)
    ready = sum(map(is_ready, active))
    # A pod that the controller counts as available has been ready for minReadySeconds.
    available = min(ready, int(controller.get("status", {}).get("availableReplicas") or 0))
    if sum(map(is_ready, current)) >= replicas and size > replicas:
        # There are too many outdated pods. The controller deletes pods that are not ready first,
        # then the marked ones.
        if available < ready:
            return Wait(f"{available} of {ready} ready pods are available")
        unmarked = [pod for pod in outdated if not _is_marked(pod)]
        return Mark(_identities(unmarked)) if unmarked else Scale(replicas)
    if len(active) != size:
        return Wait(f"{len(active)} of {size} pods are there")
    pending = [pod for pod in current if not is_ready(pod)]
    if pending:
        return Wait(f"pod {_name(pending[0])} is not ready")
    broken = [pod for pod in outdated if not is_ready(pod)]
    if broken:
        # They serve no requests. They are deleted one by one, since the problem may be temporary
        # and the new template may be worse; if no pod is ready, all are deleted.
        return Delete(_identities(broken[:1] if ready else broken))
    if size <= replicas:
        return Scale(replicas + 1)
    if available <= replicas:
        return Wait(f"{available} of {size} pods are available")
    return Delete(_identities(outdated[:1]))


def _resize(active: Sequence[Object], size: int, replicas: int) -> Action:
    if size != replicas:
        return Scale(replicas)
    ready = sum(map(is_ready, active))
    if len(active) == ready == replicas:
        return Done()
    return Wait(f"{ready} of {replicas} pods are ready, {len(active)} are there")


def _is_marked(pod: Mapping[str, Any]) -> bool:
    return (pod["metadata"].get("annotations") or {}).get(DELETION_COST) == LOWEST_COST


def _identities(pods: Sequence[Object]) -> tuple[tuple[str, str], ...]:
    return tuple((_name(pod), pod["metadata"]["uid"]) for pod in pods)


def ready_pods(live: Live) -> list[str]:
    """Return the names of the controller's ready pods, of any template."""
    return sorted(_name(pod) for pod in _active(live) if is_ready(pod))


def is_unfinished(live: Live, replicas: int) -> bool:
    """Return whether the roll is not done; this includes a failure."""
    return trouble_before(live) is not None or not isinstance(next_step(live, replicas), Done)


def wanted_replicas(live: Live, replicas: int, *, autoscaled: bool) -> int:
    """Return the number of pods that the controller should have after the roll.

    replicas: the declared number; with an autoscaler, this is the minimum.
    """
    if not autoscaled or live.controller is None:
        return replicas
    return max(replicas, int(live.controller["spec"].get("replicas", 1)))


def plan(live: Live, replicas: int) -> list[str]:
    """Return the steps of a roll as text; empty if there is nothing to do."""
    if live.controller is None:
        return []
    said = []
    outdated = [_name(pod) for pod in outdated_pods(live)]
    if outdated and replicas:
        said.append(f"replace one by one: {', '.join(outdated)}")
    size = int(live.controller["spec"].get("replicas", 1))
    if size != replicas:
        said.append(f"scale from {size} to {replicas}")
    return said


@dataclass
class Outcome:
    """The results of the rolls, by workload.

    rolled: the names of the ready pods.
    waiting: the last state of workloads that were neither rolled nor failed.
    timed_out: whether the roll ended because of the timeout.
    changes: the steps that were taken, in order.
    """

    rolled: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[Key, Trouble] = field(default_factory=dict)
    waiting: dict[Key, str] = field(default_factory=dict)
    timed_out: bool = False
    changes: dict[Key, list[str]] = field(default_factory=dict)


def trouble_before(live: Live) -> Trouble | None:
    """Return why the controller cannot be rolled at all; None if it can."""
    if live.controller is None:
        return Trouble("missing", "", "there is no such ReplicationController: apply it first")
    if not rollout.revision_of(live):
        return Trouble(
            "template",
            live.controller["metadata"]["uid"],
            f"its pod template has no label {rollout.TEMPLATE_LABEL}, so that its outdated pods "
            "cannot be told: apply it as this role renders it",
        )
    return None


def roll(
    workloads: Sequence[Workload],
    read: Callable[[Sequence[Workload]], Mapping[Key, Live]],
    act: Callable[[tuple[Key, Change]], object],
    *,
    autoscaled: frozenset[Key],
    patience: Patience,
    limits: Limits,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> Outcome:
    """Roll all controllers at the same time, until each is done or failed, or on timeout.

    read: returns the live objects of the given workloads.
    act: makes one change.
    """
    outcome = Outcome(
        waiting={workload.key: "not looked at" for workload in workloads},
        changes={workload.key: [] for workload in workloads},
    )
    watches = {workload.key: rollout.Watch() for workload in workloads}
    wanted: dict[Key, int] = {}
    latest = end = clock() + limits.timeout
    while outcome.waiting:
        pending = [workload for workload in workloads if workload.key in outcome.waiting]
        all_live, now = read(pending), clock()
        for workload in pending:
            key, live = workload.key, all_live[workload.key]
            trouble = trouble_before(live)
            if trouble is None:
                wanted.setdefault(
                    key, wanted_replicas(live, workload.replicas, autoscaled=key in autoscaled)
                )
                step = next_step(live, wanted[key])
                if isinstance(step, Done):
                    del outcome.waiting[key]
                    outcome.rolled[key] = tuple(ready_pods(live))
                    continue
                if not isinstance(step, Wait):
                    act((key, step))
                    outcome.changes[key].append(str(step))
                outcome.waiting[key] = step.what if isinstance(step, Wait) else str(step)
                found = rollout.troubles(live, patience) if isinstance(step, Wait) else []
                trouble = watches[key].ripe(found, now)
            if trouble is not None:
                del outcome.waiting[key]
                outcome.failed[key] = trouble
                end = min(end, now + limits.settle)
        if not outcome.waiting or now >= end:
            outcome.timed_out = now >= latest
            break
        progress.say(*(f"{key.name}: {what}" for key, what in outcome.waiting.items()))
        sleep(min(limits.interval, end - now))
    return outcome
