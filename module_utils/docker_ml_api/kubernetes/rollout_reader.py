"""Reads the objects of many workloads with few requests: one for each kind and namespace."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key, Live

try:
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import ApiError, UnreachableError
except ImportError:  # module_common reports the missing package
    ApiError = UnreachableError = Exception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster
    from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import Object
    from ansible.module_utils.docker_ml_api.kubernetes.rollout import Workload

# Excludes frequent events of normal operation, and kinds that own no pods of ours.
_EVENTS = ",".join(
    (
        *(f"reason!={reason}" for reason in ("Pulled", "Created", "Started", "Scheduled")),
        *(f"reason!={reason}" for reason in ("SuccessfulCreate", "SuccessfulDelete")),
        *(f"involvedObject.kind!={kind}" for kind in ("Deployment", "Node", "Service", "Job")),
    )
)
# A longer selector results in a URL that a proxy may reject.
_SELECTOR_LENGTH = 1500
# Seconds for which an API server may be unavailable while the module waits, for example during an
# upgrade of a cluster with one control plane.
_OUTAGE = 20.0
_PAUSE = 1.0
_PASSING = frozenset({429, 500, 502, 503, 504})


def read(
    cluster: Cluster,
    workloads: Sequence[Workload],
    undecided: Callable[[Workload, Live], bool],
) -> dict[Key, Live]:
    """Return the live objects of the workloads.

    undecided: whether a workload's events are needed; they are listed only for namespaces
        with such a workload.
    """
    by_namespace: dict[str, list[Workload]] = defaultdict(list)
    for workload in workloads:
        by_namespace[workload.key.namespace].append(workload)
    found: dict[Key, Live] = {}
    for namespace, its in by_namespace.items():
        live = _read_namespace(cluster, namespace, its)
        if any(undecided(workload, live[workload.key]) for workload in its):
            events = cluster.list("Event", namespace, fields=_EVENTS)
            live = {key: replace(one, events=events) for key, one in live.items()}
        found |= live
    return found


def _read_namespace(
    cluster: Cluster, namespace: str, workloads: Sequence[Workload]
) -> dict[Key, Live]:
    # Controllers are read first, so that the objects they own are at least as recent.
    controllers = {
        (kind, item["metadata"]["name"]): item
        for kind in sorted({workload.kind for workload in workloads})
        for item in cluster.list(kind, namespace)
    }
    chosen = {
        workload.key: controllers.get((workload.kind, workload.key.name)) for workload in workloads
    }
    present = [controller for controller in chosen.values() if controller]
    if not present:
        return {key: Live(None) for key in chosen}
    labels = common_selector(present)
    sets: list[Object] = []
    if any(controller["kind"] == "Deployment" for controller in present):
        sets = cluster.list("ReplicaSet", namespace, labels=labels)
    pods = cluster.list("Pod", namespace, labels=labels)
    sets_of, pods_of = _by_owner(sets), _by_owner(pods)
    found: dict[Key, Live] = {}
    for key, controller in chosen.items():
        if controller is None:
            found[key] = Live(None)
            continue
        uid = controller["metadata"]["uid"]
        owned = sets_of.get(uid, [])
        owners = [uid, *(item["metadata"]["uid"] for item in owned)]
        found[key] = Live(
            controller, owned, [pod for one in owners for pod in pods_of.get(one, [])]
        )
    return found


def _by_owner(things: Iterable[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = defaultdict(list)
    for thing in things:
        for owner in thing["metadata"].get("ownerReferences") or []:
            if owner.get("controller"):
                found[owner["uid"]].append(thing)
    return found


def common_selector(controllers: Sequence[Mapping[str, Object]]) -> str:
    """Return a label selector that covers the pods of all controllers; empty for all pods.

    For example `app in (a,b)`, if each of them selects by a value of the label `app`.
    """
    wanted = [_labels(controller) for controller in controllers]
    for label in sorted(wanted[0]):
        if all(label in labels for labels in wanted):
            values = sorted({labels[label] for labels in wanted})
            selector = f"{label} in ({','.join(values)})"
            if len(selector) <= _SELECTOR_LENGTH:
                return selector
    return ""


def _labels(controller: Mapping[str, Object]) -> dict[str, str]:
    selector = controller["spec"].get("selector") or {}
    if controller.get("kind") == "Deployment":
        selector = selector.get("matchLabels") or {}
    return dict(selector)


def outlasting(
    request: Callable[[Any], Any], clock: Callable[[], float], sleep: Callable[[float], object]
) -> Callable[[Any], Any]:
    """Return the function with retries, so that it tolerates a short outage of the API server.

    request: may be called again with the same argument. Its very first call must succeed.
    """
    answered = False

    def asking(argument: Any) -> Any:
        nonlocal answered
        since: float | None = None
        while True:
            try:
                answer = request(argument)
            except (UnreachableError, ApiError) as error:
                since = clock() if since is None else since
                passing = getattr(error, "status", None) in {None, *_PASSING}
                if not answered or not passing or clock() - since >= _OUTAGE:
                    raise
                sleep(_PAUSE)
            else:
                answered = True
                return answer

    return asking
