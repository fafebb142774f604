"""Rolls a ReplicationController's pods to its present template: Kubernetes itself does not.

Never are there fewer ready pods than before, or than wanted: one pod more is started first, an
outdated one goes only when the others are enough. Each step is decided from what is there, so
that a roll that was stopped anywhere goes on.
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

# Of the ready pods the controller removes the one with the lowest cost first.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
LOWEST_COST = "-2147483648"


@dataclass(frozen=True)
class Scale:
    """Set the controller's number of pods."""

    replicas: int

    def __str__(self) -> str:
        """Say it."""
        return f"scaled to {self.replicas}"


@dataclass(frozen=True)
class Mark:
    """Make the pods, by name and uid, the first that the controller removes."""

    pods: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Say it."""
        return f"marked for removal: {', '.join(name for name, _ in self.pods)}"


@dataclass(frozen=True)
class Delete:
    """Delete the pods, if they are still these; by name and uid."""

    pods: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Say it."""
        return f"deleted: {', '.join(name for name, _ in self.pods)}"


@dataclass(frozen=True)
class Wait:
    """Do nothing until the cluster has come further."""

    what: str


@dataclass(frozen=True)
class Done:
    """All pods are of the present template, as many as wanted, and ready."""


Action = Scale | Mark | Delete | Wait | Done
Change = Scale | Mark | Delete


def outdated_pods(live: Live) -> list[Object]:
    """Return the controller's active pods that were made from an earlier template, oldest first."""
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
    """Return what to do now, so that `replicas` ready pods of the present template come to be.

    live: with a controller, whose template has the label rollout.TEMPLATE_LABEL.
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
    # What the controller calls available has been ready for minReadySeconds.
    available = min(ready, int(controller.get("status", {}).get("availableReplicas") or 0))
    if sum(map(is_ready, current)) >= replicas and size > replicas:
        # The outdated ones are too many. The controller removes what is not ready first, and of
        # the ready ones those that are marked.
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
        # They serve nothing. One after the other, since they may be ill only for a moment and
        # the new template may be worse; when nothing serves there is nothing to lose.
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
    """Return the names of the controller's ready pods, of whichever template."""
    return sorted(_name(pod) for pod in _active(live) if is_ready(pod))


def is_unfinished(live: Live, replicas: int) -> bool:
    """Tell whether a roll would not be done; it may be in trouble then."""
    return trouble_before(live) is not None or not isinstance(next_step(live, replicas), Done)


def wanted_replicas(live: Live, replicas: int, *, autoscaled: bool) -> int:
    """Return how many pods the controller shall have in the end.

    replicas: as declared; when an autoscaler decides it is the least number.
    """
    if not autoscaled or live.controller is None:
        return replicas
    return max(replicas, int(live.controller["spec"].get("replicas", 1)))


def plan(live: Live, replicas: int) -> list[str]:
    """Say what a roll would do; empty for nothing."""
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
    """How the rolls ended, by workload.

    rolled: with the names of the ready pods; waiting: what those were at that came to no end,
    timed_out: because time was over; changes: what was done, in order.
    """

    rolled: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[Key, Trouble] = field(default_factory=dict)
    waiting: dict[Key, str] = field(default_factory=dict)
    timed_out: bool = False
    changes: dict[Key, list[str]] = field(default_factory=dict)


def trouble_before(live: Live) -> Trouble | None:
    """Return why the controller cannot be rolled at all."""
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
    """Roll all controllers at the same time, until each is done or failed, or time is over.

    read: returns the live objects of the workloads that it is given; act: makes one change.
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
