"""Determines why a pod is not ready, from the API's description of it, on plain dicts.

pod: the API's JSON of a Pod. events: the JSON of Events (v1); those of other objects are ignored,
so an earlier pod of the same name or owner never counts.

A trouble is final when it has been seen without interruption for its grace period, in seconds of
the observer's clock (the cluster's own clock may be wrong). The grace periods are:
- image: none if the registry or the runtime gave a final answer (no such image, rejected
  credentials, no such host, certificate, platform, invalid name). An unknown answer, or one to a
  kubelet that could not read the pull secret, is final at the second attempt, and a network error
  at the third attempt; all of them are final after 45 s.
- configuration, start: none if the message is final (secret not found, no such program),
  otherwise 20 s, since the kubelet retries.
- crash: at CrashLoopBackOff (the second end) or at the second restart.
- room: `Patience.unschedulable`; none if the cluster's autoscaler cannot help. It is no trouble
  while the autoscaler adds a node or the scheduler makes room.
- volume: 20 s if an object is missing, otherwise 60 s. network of the pod: 60 s.
- probe: none if the kubelet ended the container because of the startup probe; liveness probe
  20 s; readiness probe `Patience.readiness`, if it is set.
- node: 20 s after its state became unknown. eviction: at the second pod, or 20 s after the first.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Object = dict[str, Any]

_SECOND_ATTEMPT, _THIRD_ATTEMPT = 2, 3
# Attempts are counted by events, which a cluster may drop.
_IMAGE_GRACE = 45.0
_GRACE = 20.0
_SLOW_GRACE = 60.0
# The kubelet resets its back-off after a container has run for this long.
_LONG_RUN = 600.0
_RESTARTS = 2
_KILLED = 137

# Checked first: rejected credentials over a broken network are a network problem.
_NETWORK = re.compile(
    r"i/o timeout|connection refused|connection reset|handshake timeout|deadline exceeded"
    r"|\bEOF\b|temporary failure|server misbehaving|too ?many ?requests|: 429 |: 50[0-4] "
    r"|network is unreachable|no route to host|context canceled|no space left on device",
    re.IGNORECASE,
)
_IMAGE_ANSWERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-docker\.pkg\.dev/.*(?:unauthorized|\bdenied\b|forbidden|: 40[13] )", re.IGNORECASE
        ),
        (
            "Artifact Registry does not let the nodes in: grant their service account "
            "roles/artifactregistry.reader there, or set IMAGE_PULL_USERNAME and "
            "IMAGE_PULL_PASSWORD"
        ),
    ),
    (
        re.compile(
            r"unauthorized|\bdenied\b|forbidden|: 40[13] |insufficient_scope|authorization failed"
            r"|no basic auth credentials|authentication required|may require authorization",
            re.IGNORECASE,
        ),
        (
            "the registry refuses the login: check IMAGE_REGISTRY_USERNAME and "
            "IMAGE_REGISTRY_PASSWORD, and that this account may read the image"
        ),
    ),
    (
        re.compile(r"no such host", re.IGNORECASE),
        "the nodes do not know the registry's host name: correct the image's registry",
    ),
    (
        re.compile(r"no match for platform|exec format", re.IGNORECASE),
        "the image is not built for the nodes' architecture: build it for that platform",
    ),
    (
        re.compile(r"x509|HTTP response to HTTPS client|tls: ", re.IGNORECASE),
        "the nodes do not trust the registry: give it a certificate that they accept",
    ),
    (
        re.compile(r"not found|manifest unknown|name unknown|does not exist", re.IGNORECASE),
        "the registry does not have it: push it (--tags images), or correct the image's name",
    ),
)
_FINAL_CONFIGURATION = re.compile(
    r"not found|couldn't find|runAsNonRoot|will run as root|non-numeric user|invalid", re.IGNORECASE
)
_FINAL_START = re.compile(
    r"executable file not found|no such file|permission denied|exec format error|not a directory",
    re.IGNORECASE,
)
_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_START_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "PreCreateHookError",
        "CreateContainerError",
        "PreStartHookError",
        "PostStartHookError",
        "RunContainerError",
    }
)
_MOUNT_REASONS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
_SCALE_UP_REASONS = frozenset({"TriggeredScaleUp", "Nominated"})


@dataclass(frozen=True)
class Patience:
    """For how many seconds a state that may resolve itself is tolerated.

    unschedulable: the pod has no node.
    readiness: the pod runs without being ready; None for no limit.
    """

    unschedulable: float = 20.0
    readiness: float | None = None


@dataclass(frozen=True)
class LogSource:
    """The container whose log has more information; previous: of its previous run."""

    pod: str
    container: str
    previous: bool


@dataclass(frozen=True)
class Trouble:
    """The reason why a workload does not become ready.

    cause: a keyword.
    subject: the uid of the affected object.
    text: a description to follow "Workload NAME in NAMESPACE: ", without a full stop.
    grace: for how long it must be seen.
    """

    cause: str
    subject: str
    text: str
    grace: float = 0.0
    log: LogSource | None = None


def condition(thing: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the object's condition of the given type; empty if it has none."""
    for found in thing.get("status", {}).get("conditions") or []:
        if found.get("type") == kind:
            return dict(found)
    return {}


def is_active(pod: Mapping[str, Any]) -> bool:
    """Return whether the controller counts the pod: it has not ended and is not being deleted."""
    return (
        not pod["metadata"].get("deletionTimestamp")
        and pod.get("status", {}).get("phase") not in _ENDED
    )


_ENDED = ("Failed", "Succeeded")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether Services send requests to the pod."""
    return is_active(pod) and condition(pod, "Ready").get("status") == "True"


def owned_by(thing: Mapping[str, Any], uid: str) -> bool:
    """Return whether the object with this uid is the controller of the thing."""
    return any(
        owner.get("controller") and owner.get("uid") == uid
        for owner in thing["metadata"].get("ownerReferences") or []
    )


def moment(event: Mapping[str, Any]) -> dt.datetime:
    """Return when the event last occurred."""
    written = (
        event.get("lastTimestamp")
        or (event.get("series") or {}).get("lastObservedTime")
        or event.get("eventTime")
        or event.get("firstTimestamp")
        or event["metadata"]["creationTimestamp"]
    )
    return dt.datetime.fromisoformat(str(written))


def count(event: Mapping[str, Any]) -> int:
    """Return how often the event occurred."""
    return int(event.get("count") or (event.get("series") or {}).get("count") or 1)


def events_of(thing: Mapping[str, Any], events: Sequence[Object]) -> list[Object]:
    """Return the events of this object only, the oldest first."""
    uid = thing["metadata"]["uid"]
    found = [event for event in events if event.get("involvedObject", {}).get("uid") == uid]
    return sorted(found, key=moment)


def _last(events: Sequence[Object], fits: Callable[[Object], bool]) -> Object | None:
    return next((event for event in reversed(events) if fits(event)), None)


def _is_of(event: Mapping[str, Any], container: str) -> bool:
    return f"{{{container}}}" in str(event.get("involvedObject", {}).get("fieldPath"))


def clean(message: Any) -> str:
    """Return a message as one line, without the kubelet's prefixes and without a full stop."""
    text = re.sub(r"rpc error: code = \w+ desc = ", "", str(message or ""))
    return " ".join(text.split()).rstrip(".")


def diagnose(pod: Object, events: Sequence[Object], patience: Patience) -> list[Trouble]:
    """Return the reasons why the pod is not ready, the most informative first."""
    if pod.get("status", {}).get("phase") == "Failed":
        return [_ended(pod)]
    if is_ready(pod) or not is_active(pod):
        return []
    own = events_of(pod, events)
    return [
        *_scheduling(pod, own, patience),
        *_preparation(pod, own),
        *_containers(pod, own),
        *_probes(pod, own, patience),
        *_node(pod),
    ]


def describe(pod: Object, events: Sequence[Object]) -> str:
    """Return a short description of the state of a pod that is not ready."""
    unscheduled = condition(pod, "PodScheduled")
    if unscheduled.get("status") == "False":
        return f"{unscheduled.get('reason')}: {clean(unscheduled.get('message'))}"
    for status in _statuses(pod):
        waiting = status.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") != "PodInitializing":
            return ": ".join(filter(None, (waiting.get("reason"), clean(waiting.get("message")))))
    own = events_of(pod, events)
    probe = _last(own, lambda event: event.get("reason") == "Unhealthy")
    if probe and pod["status"].get("phase") == "Running":
        return f"running, not ready: {clean(probe.get('message'))}"
    for status in _statuses(pod):
        ended = status.get("state", {}).get("terminated")
        if ended and not status.get("ready"):
            return f"{ended.get('reason')}, exit code {ended.get('exitCode')}"
    phase = pod.get("status", {}).get("phase")
    return "running, not ready yet" if phase == "Running" else str(phase or "Pending")


def _statuses(pod: Mapping[str, Any]) -> Iterator[Object]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _trouble(pod: Object, cause: str, text: str, **further: Any) -> Trouble:
    metadata = pod["metadata"]
    return Trouble(cause, metadata["uid"], f"pod {metadata['name']} {text}", **further)


def _ended(pod: Object) -> Trouble:
    status = pod["status"]
    told = ": ".join(filter(None, (status.get("reason"), clean(status.get("message")))))
    return _trouble(
        pod,
        "eviction",
        f"was ended by the cluster ({told or 'Failed'}): 'kubectl describe node "
        f"{pod['spec'].get('nodeName', '')}' shows what its node lacks",
        grace=_GRACE,
    )


def _scheduling(pod: Object, events: Sequence[Object], patience: Patience) -> Iterator[Trouble]:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return
    autoscaler = _last(
        events, lambda event: event.get("reason") in {"NotTriggerScaleUp", *_SCALE_UP_REASONS}
    )
    said = autoscaler.get("reason") if autoscaler else None
    if said in _SCALE_UP_REASONS or pod["status"].get("nominatedNodeName"):
        return
    text = f"finds no room on the cluster ({clean(scheduled.get('message'))}"
    if autoscaler:
        text += f"; {clean(autoscaler.get('message'))}"
    yield _trouble(
        pod,
        "room",
        f"{text}): add nodes, or lower what the app requests or its replicas",
        grace=0.0 if autoscaler else patience.unschedulable,
    )


def _preparation(pod: Object, events: Sequence[Object]) -> Iterator[Trouble]:
    # Volumes are mounted first, then the network is set up. This condition follows both.
    if condition(pod, "PodReadyToStartContainers").get("status") == "True":
        return
    # A later event implies that the mounting succeeded.
    event = _last(events, lambda event: event.get("reason") not in {"Scheduled", "SandboxChanged"})
    if event is None:
        return
    message = clean(event.get("message"))
    if event.get("reason") in _MOUNT_REASONS:
        yield _trouble(
            pod,
            "volume",
            f"cannot mount a volume ({event['reason']}: {message}): create what is missing",
            grace=_GRACE if "not found" in message else _SLOW_GRACE,
        )
    elif event.get("reason") in {"FailedCreatePodSandBox", "NetworkNotReady"}:
        yield _trouble(
            pod,
            "sandbox",
            f"cannot be set up by its node {pod['spec'].get('nodeName')} ({event['reason']}: "
            f"{message}): fix the node",
            grace=_SLOW_GRACE,
        )


def _containers(pod: Object, events: Sequence[Object]) -> Iterator[Trouble]:
    for status in _statuses(pod):
        if status.get("ready"):
            continue
        waiting = status.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason in {"InvalidImageName", "ErrImageNeverPull"}:
            yield _trouble(
                pod,
                "image",
                f"cannot use the image {status['image']} ({reason}: "
                f"{clean(waiting.get('message'))}): correct the image's name",
            )
        elif reason in _IMAGE_REASONS:
            yield _image(pod, status, waiting, events)
        elif reason in _START_REASONS:
            yield _start(pod, status, waiting)
        else:
            yield from _crash(pod, status, events)


def _image(
    pod: Object, status: Object, waiting: Mapping[str, Any], events: Sequence[Object]
) -> Trouble:
    failures = [
        event
        for event in events
        if event.get("reason") == "Failed"
        and "Failed to pull image" in str(event.get("message"))
        and _is_of(event, status["name"])
    ]
    message = clean(waiting.get("message"))
    if failures and message.startswith("Back-off") and "Err" not in message:
        # Before 1.32 the container's own message does not contain the reason.
        message = clean(failures[-1].get("message"))
    attempts = sum(count(event) for event in failures)
    told = f"{waiting['reason']}: {message}"
    if missing := _last(
        events, lambda event: event.get("reason") == "FailedToRetrieveImagePullSecret"
    ):
        told += f"; {clean(missing.get('message'))}"
    advice, final = "the registry or the way to it fails: 'kubectl get events' shows more", False
    if _NETWORK.search(message):
        final = attempts >= _THIRD_ATTEMPT
        advice = f"the nodes do not reach the registry, after {max(attempts, 1)} attempts"
    else:
        for pattern, sentence in _IMAGE_ANSWERS:
            if pattern.search(message):
                advice = sentence
                # Without its secret, the kubelet was anonymous to the registry. A secret that was
                # created just before the pod may not be visible yet, but is at the next attempt.
                # The event of that attempt appears before the container's message.
                final = missing is None or (
                    attempts >= _SECOND_ATTEMPT
                    and pattern.search(clean(failures[-1].get("message"))) is not None
                )
                break
        else:
            final = attempts >= _SECOND_ATTEMPT
    return _trouble(
        pod,
        "image",
        f"cannot pull the image {status['image']} ({told}): {advice}",
        grace=0.0 if final else _IMAGE_GRACE,
    )


def _start(pod: Object, status: Object, waiting: Mapping[str, Any]) -> Trouble:
    reason, message = waiting["reason"], clean(waiting.get("message"))
    configuration = reason == "CreateContainerConfigError"
    final = (_FINAL_CONFIGURATION if configuration else _FINAL_START).search(message)
    advice = "create or correct what it names" if configuration else "correct the image or the app"
    return _trouble(
        pod,
        "configuration" if configuration else "start",
        f"cannot start its container {status['name']} ({reason}: {message}): {advice}",
        grace=0.0 if final else _GRACE,
    )


def _crash(pod: Object, status: Object, events: Sequence[Object]) -> Iterator[Trouble]:
    state = status.get("state", {})
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    backing_off = (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    restarts = int(status.get("restartCount") or 0)
    if ended is None or not (
        backing_off or (restarts >= _RESTARTS and _seconds(ended) < _LONG_RUN)
    ):
        return
    if _killed_by_probe(status, events, "startup", "liveness"):
        return  # the probe has more information
    name, code = status["name"], ended.get("exitCode")
    end = f"{ended.get('reason')}, exit code {code}, {restarts} restarts"
    if message := clean(ended.get("message")):
        end += f": {message}"
    limit = _memory_limit(pod, name)
    if ended.get("reason") == "OOMKilled":
        cause = "memory"
        text = f"needs more memory than the limit{limit} of its container {name} ({end})"
        text += ": raise the limit"
    elif code == _KILLED and limit:
        # A busy runtime can miss the kernel's notification, and other causes are rare.
        cause = "memory"
        text = f"probably needs more memory than the limit{limit} of its container {name} ({end}, "
        text += "killed): raise the limit"
    elif ended.get("reason") in {"StartError", "ContainerCannotRun"}:
        cause, text = "start", f"cannot start its container {name} ({end})"
        text += ": correct the image or the app"
    elif code == 0:
        cause, text = "crash", f"has a container {name} that ends again and again ({end})"
        text += ": its program must stay in the foreground"
    else:
        hint = ", killed" if code == _KILLED else ""
        cause, text = "crash", f"has a container {name} that crashes again and again ({end}{hint})"
    yield _trouble(pod, cause, text, log=LogSource(pod["metadata"]["name"], name, previous=True))


def _seconds(ended: Mapping[str, Any]) -> float:
    """Return the duration of a container's run in seconds; 0 if it did not start."""
    if not ended.get("startedAt") or not ended.get("finishedAt"):
        return 0.0
    start, finish = (dt.datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
    return (finish - start).total_seconds()


def _memory_limit(pod: Object, name: str) -> str:
    for container in pod["spec"].get("containers") or []:
        limit = (container.get("resources") or {}).get("limits", {}).get("memory")
        if container["name"] == name and limit:
            return f" of {limit}"
    return ""


def _killed_by_probe(status: Object, events: Sequence[Object], *probes: str) -> Object | None:
    texts = [f"Container {status['name']} failed {probe} probe" for probe in probes]
    return _last(
        events,
        lambda event: (
            event.get("reason") == "Killing"
            and any(text in str(event.get("message")) for text in texts)
        ),
    )


def _probes(pod: Object, events: Sequence[Object], patience: Patience) -> Iterator[Trouble]:
    for status in pod["status"].get("containerStatuses") or []:
        name = status["name"]
        if status.get("ready"):
            continue
        for probe, grace in (("startup", 0.0), ("liveness", _GRACE)):
            if probe == "startup" and status.get("started"):
                continue
            if _killed_by_probe(status, events, probe):
                yield _probe_trouble(pod, name, probe, events, grace, previous=True)
        if patience.readiness is not None and status.get("state", {}).get("running"):
            probe = "readiness" if status.get("started") else "startup"
            yield _probe_trouble(pod, name, probe, events, patience.readiness, previous=False)


def _probe_trouble(
    pod: Object,
    container: str,
    probe: str,
    events: Sequence[Object],
    grace: float,
    *,
    previous: bool,
) -> Trouble:
    said = _last(
        events,
        lambda event: (
            event.get("reason") == "Unhealthy"
            and f"{probe} probe" in str(event.get("message")).lower()
            and _is_of(event, container)
        ),
    )
    message = clean(said.get("message")) if said else f"the {probe} probe has not passed"
    return _trouble(
        pod,
        "probe",
        f"does not pass the {probe} probe of its container {container} ({message}): correct the "
        "app, or the probe's path, port or time",
        grace=grace,
        log=LogSource(pod["metadata"]["name"], container, previous=previous),
    )


def _node(pod: Object) -> Iterator[Trouble]:
    # The containers were ready at the kubelet's last report, so only the node controller can have
    # set Ready to false.
    statuses = pod["status"].get("containerStatuses") or []
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    if not statuses or not all(status.get("ready") for status in statuses):
        return
    if any(condition(pod, gate).get("status") != "True" for gate in gates):
        return
    node = pod["spec"].get("nodeName")
    yield _trouble(
        pod,
        "node",
        f"is on the node {node}, which does not report any more: 'kubectl describe node {node}' "
        "shows its state",
        grace=_GRACE,
    )
