"""Determines from live objects whether a workload is rolled out, in progress or failed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.kubernetes import pod_diagnosis
from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import (
    Object,
    Patience,
    Trouble,
    clean,
    condition,
    is_active,
    is_ready,
    owned_by,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# Label of a ReplicationController's pods, with the hash of the template they were created from.
TEMPLATE_LABEL = "docker-ml-api/template"
_REVISION = "deployment.kubernetes.io/revision"

# Quota is released when terminating pods are gone; a webhook may become available again.
_REFUSAL_GRACE = 15.0
# A Deployment that is rolled back keeps its old condition for a moment.
_DEADLINE_GRACE = 5.0
_EVICTIONS = 2
# Seconds that a container without a readiness probe must run to count as started. A container that
# ends immediately is ready for a moment, possibly also when it is first seen.
_SETTLED = 5.0
_REFUSALS = (
    ("exceeded quota", "raise the quota or lower what the app requests"),
    ("failed quota", "let the app say what the quota counts"),
    ("violates PodSecurity", "change what it names, or the namespace's Pod Security level"),
    ("denied the request", "change what the cluster's admission webhook complains about"),
    ("is being terminated", "wait until the namespace is gone, then run again"),
)


@dataclass(frozen=True, order=True)
class Key:
    """Identifies a workload."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Workload:
    """A workload to wait for.

    kind: Deployment or ReplicationController.
    replicas: the minimum number of pods.
    """

    key: Key
    kind: str
    replicas: int


@dataclass(frozen=True)
class Live:
    """The live objects of a workload.

    controller: None if it does not exist.
    replica_sets: those of the Deployment.
    pods: those that the controller or its ReplicaSets own.
    events: those of the namespace.
    """

    controller: Object | None
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    events: Sequence[Object] = ()


@dataclass(frozen=True)
class Ready:
    """The workload is rolled out.

    pods: names of the ready pods.
    revision: that of the template, in the form of its kind.
    probed: whether a readiness probe confirms it; otherwise it is only known that containers run.
    """

    pods: tuple[str, ...]
    revision: str
    probed: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Waiting:
    """The workload is not ready yet; what: its state; troubles: possible causes, worst first."""

    what: str
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The workload will not become ready; trouble: the cause."""

    trouble: Trouble


def revision_of(live: Live) -> str:
    """Return what distinguishes the controller's current template from its earlier ones."""
    assert live.controller is not None  # noqa: S101 - for the type checker
    if live.controller["kind"] == "Deployment":
        return str((live.controller["metadata"].get("annotations") or {}).get(_REVISION, ""))
    template = live.controller["spec"].get("template") or {}
    return str(((template.get("metadata") or {}).get("labels") or {}).get(TEMPLATE_LABEL, ""))


def current_pods(live: Live) -> list[Object]:
    """Return the pods of the controller's current template, including ended ones."""
    controller = live.controller
    if controller is None:
        return []
    revision = revision_of(live)
    if controller["kind"] == "Deployment":
        newest = _newest(live, revision)
        return [pod for pod in live.pods if newest and owned_by(pod, newest["metadata"]["uid"])]
    return [
        pod
        for pod in live.pods
        if owned_by(pod, controller["metadata"]["uid"]) and revision in ("", template_of(pod))
    ]


def template_of(pod: Mapping[str, Any]) -> str | None:
    """Return the hash of the template that a ReplicationController created the pod from."""
    label: str | None = (pod["metadata"].get("labels") or {}).get(TEMPLATE_LABEL)
    return label


def _newest(live: Live, revision: str) -> Object | None:
    for replica_set in live.replica_sets:
        annotations = replica_set["metadata"].get("annotations") or {}
        if revision and annotations.get(_REVISION) == revision:
            return replica_set
    return None


def observed(controller: Mapping[str, Any]) -> bool:
    """Return whether the status refers to the current specification."""
    seen = int(controller.get("status", {}).get("observedGeneration") or 0)
    return seen >= int(controller["metadata"].get("generation") or 0)


def assess(workload: Workload, live: Live, patience: Patience) -> Ready | Waiting:
    """Evaluate the live objects of a workload once; Watch measures how long a trouble lasts.

    A Deployment has its own progress deadline, so `patience.readiness` does not apply to it.
    """
    controller = live.controller
    if workload.kind == "Deployment":
        patience = replace(patience, readiness=None)
    if controller is None:
        missing = Trouble("missing", "", f"there is no such {workload.kind}: apply it first")
        return Waiting("it does not exist", (missing,))
    if not observed(controller):
        return Waiting(f"the {workload.kind}'s controller has not taken up the change")
    status = controller.get("status", {})
    wanted = int(controller["spec"].get("replicas", 1))
    pods = current_pods(live)
    ready = [pod for pod in pods if is_ready(pod)]
    have = int(status.get("replicas") or 0)
    available = int(status.get("availableReplicas") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    if workload.kind != "Deployment":
        updated = sum(map(is_active, pods))
    if wanted >= workload.replicas and wanted == have == updated == available == len(ready):
        names = tuple(sorted(pod["metadata"]["name"] for pod in ready))
        return Ready(names, revision_of(live), probed=all(map(_is_probed, ready)))
    what = _progress(workload, live, wanted, len(ready), max(have - updated, 0))
    return Waiting(what, tuple(troubles(live, patience)))


def _is_probed(pod: Mapping[str, Any]) -> bool:
    return all(container.get("readinessProbe") for container in pod["spec"]["containers"])


def _progress(workload: Workload, live: Live, wanted: int, ready: int, old: int) -> str:
    parts = [f"{ready} of {wanted} pods ready"]
    if wanted < workload.replicas:
        parts.append(f"{workload.replicas} are wanted")
    parts += [
        f"pod {pod['metadata']['name']}: {pod_diagnosis.describe(pod, live.events)}"
        for pod in current_pods(live)
        if is_active(pod) and not is_ready(pod)
    ]
    if old:
        parts.append(f"{old} of an earlier version still there")
    return "; ".join(parts)


def troubles(live: Live, patience: Patience) -> list[Trouble]:
    """Return the troubles of the controller and of the pods of its current template."""
    if live.controller is None:
        return []
    pods = current_pods(live)
    found = list(_controller_troubles(live))
    diagnosed = [
        trouble for pod in pods for trouble in pod_diagnosis.diagnose(pod, live.events, patience)
    ]
    evictions = [trouble for trouble in diagnosed if trouble.cause == "eviction"]
    found += [trouble for trouble in diagnosed if trouble.cause != "eviction"]
    found += evictions
    if deadline := _deadline(live, pods):
        found.append(deadline)
    return found


def _controller_troubles(live: Live) -> Iterable[Trouble]:
    controller = live.controller or {}
    kind, uid = controller["kind"], controller["metadata"]["uid"]
    if kind == "Deployment" and controller["spec"].get("paused"):
        name = controller["metadata"]["name"]
        yield Trouble(
            "paused", uid, f"its rollout is paused: 'kubectl rollout resume deployment {name}'"
        )
    newest = _newest(live, revision_of(live)) if kind == "Deployment" else None
    # The failure of an earlier ReplicaSet is reported on the Deployment, too.
    refused = condition(newest or controller, "ReplicaFailure")
    if refused.get("status") == "True" and refused.get("reason") == "FailedCreate":
        yield _refused(uid, clean(refused.get("message")))
    progressing = condition(controller, "Progressing")
    if progressing.get("reason") == "ReplicaSetCreateError":
        yield _refused(uid, clean(progressing.get("message")))


def _refused(uid: str, message: str) -> Trouble:
    advice = next(
        (advice for sign, advice in _REFUSALS if sign in message), "correct what it names"
    )
    final = any(sign in message for sign in ("violates PodSecurity", "denied the request"))
    return Trouble(
        "refused",
        uid,
        f"the cluster refuses its pods ({message}): {advice}",
        grace=0.0 if final else _REFUSAL_GRACE,
    )


def _deadline(live: Live, pods: Sequence[Object]) -> Trouble | None:
    controller = live.controller or {}
    if condition(controller, "Progressing").get("reason") != "ProgressDeadlineExceeded":
        return None
    seconds = controller["spec"].get("progressDeadlineSeconds", 600)
    said, log = "", None
    for pod in pods:
        if is_active(pod) and not is_ready(pod):
            name = pod["metadata"]["name"]
            said = f"; pod {name}: {pod_diagnosis.describe(pod, live.events)}"
            for status in pod["status"].get("containerStatuses") or []:
                if not status.get("ready"):
                    log = pod_diagnosis.LogSource(name, status["name"], previous=False)
            break
    return Trouble(
        "deadline",
        controller["metadata"]["uid"],
        f"no progress for {seconds} s, its progressDeadlineSeconds{said}: correct the app, or "
        "its probes",
        grace=_DEADLINE_GRACE,
        log=log,
    )


@dataclass
class Watch:
    """Observes one workload repeatedly, for a trouble that outlasts its grace period."""

    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    _ended: frozenset[str] | None = None
    _ready_since: float | None = None

    def ripe(self, found: Iterable[Trouble], now: float) -> Trouble | None:
        """Add the troubles seen at the time `now`; return the first one that is final, or None.

        Pods that had ended before the first observation are ignored.
        """
        found = list(found)
        if self._ended is None:
            self._ended = frozenset(
                trouble.subject for trouble in found if trouble.cause == "eviction"
            )
        found = [
            trouble
            for trouble in found
            if trouble.cause != "eviction" or trouble.subject not in self._ended
        ]
        self._since = {
            (trouble.cause, trouble.subject): self._since.get((trouble.cause, trouble.subject), now)
            for trouble in found
        }
        evictions = sum(trouble.cause == "eviction" for trouble in found)
        for trouble in found:
            again = trouble.cause == "eviction" and evictions >= _EVICTIONS
            lasted = now - self._since[trouble.cause, trouble.subject]
            if again or lasted >= trouble.grace:
                # The cluster's own deadline ends every grace period; the first trouble is the
                # most informative.
                return found[0] if trouble.cause == "deadline" else trouble
        return None

    def look(self, verdict: Ready | Waiting, now: float) -> Ready | Waiting | Failed:
        """Return the verdict, or Failed, or Waiting if the verdict still has to be confirmed."""
        if isinstance(verdict, Waiting):
            self._ready_since = None
            trouble = self.ripe(verdict.troubles, now)
            return Failed(trouble) if trouble else verdict
        if self._ready_since is None:
            self._ready_since = now
        if verdict.probed or now - self._ready_since >= _SETTLED:
            return verdict
        return Waiting("its pods run, and have no readiness probe to tell more")


@dataclass
class Outcome:
    """The results of the wait, by workload.

    waiting: the last state of workloads that were neither ready nor failed.
    timed_out: whether the wait ended because of the timeout, not of the limit after a failure.
    """

    ready: dict[Key, Ready] = field(default_factory=dict)
    failed: dict[Key, Trouble] = field(default_factory=dict)
    waiting: dict[Key, str] = field(default_factory=dict)
    timed_out: bool = False


@dataclass(frozen=True)
class Limits:
    """Limits in seconds; settle: how long to wait for the others after the first failure."""

    timeout: float
    settle: float
    interval: float = 0.5


def wait(
    workloads: Sequence[Workload],
    read: Callable[[Sequence[Workload]], Mapping[Key, Live]],
    *,
    patience: Patience,
    limits: Limits,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> Outcome:
    """Observe the workloads until each is ready or failed, or until the timeout.

    read: returns the live objects of the given workloads.
    """
    outcome = Outcome(waiting={workload.key: "not looked at" for workload in workloads})
    watches = {workload.key: Watch() for workload in workloads}
    latest = end = clock() + limits.timeout
    while outcome.waiting:
        pending = [workload for workload in workloads if workload.key in outcome.waiting]
        live, now = read(pending), clock()
        for workload in pending:
            key = workload.key
            verdict = watches[key].look(assess(workload, live[key], patience), now)
            if isinstance(verdict, Waiting):
                outcome.waiting[key] = verdict.what
                continue
            del outcome.waiting[key]
            if isinstance(verdict, Ready):
                outcome.ready[key] = verdict
            else:
                outcome.failed[key] = verdict.trouble
                end = min(end, now + limits.settle)
        if not outcome.waiting or now >= end:
            outcome.timed_out = now >= latest
            break
        progress.say(*(f"{key.name}: {what}" for key, what in outcome.waiting.items()))
        sleep(min(limits.interval, end - now))
    return outcome
