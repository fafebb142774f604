"""What the modules that wait for workloads have in common: options, problems, the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import Patience
from ansible.module_utils.docker_ml_api.kubernetes.rollout import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster
    from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import Trouble
    from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key

OPTIONS: dict[str, Any] = {
    "timeout": {"type": "float", "default": 300},
    "settle": {"type": "float", "default": 15},
    "unschedulable_grace": {"type": "float", "default": 20},
    "progress_deadline": {"type": "float", "default": 120},
    "log_lines": {"type": "int", "default": 15},
}


def patience(params: Mapping[str, Any]) -> Patience:
    """Return how long states that may heal may last."""
    return Patience(params["unschedulable_grace"], params["progress_deadline"])


def limits(params: Mapping[str, Any]) -> Limits:
    """Return how long is waited in all."""
    return Limits(params["timeout"], params["settle"])


def problems(
    cluster: Cluster,
    failed: Mapping[Key, Trouble],
    waiting: Mapping[Key, str],
    *,
    timed_out: bool,
    params: Mapping[str, Any],
) -> list[dict[str, str]]:
    """Return what is wrong with each workload that failed or was still awaited at the end.

    Each has name, namespace, cause (of a Trouble, or `timeout`, or `unfinished` when others had
    failed) and problem, a sentence with the container's last log lines where they tell more.
    """
    found = {
        key: (trouble.cause, f"{trouble.text}.{_log(cluster, key, trouble, params['log_lines'])}")
        for key, trouble in failed.items()
    }
    for key, what in waiting.items():
        if timed_out:
            text = f"not ready within {params['timeout']:g} s (workload_timeout): {what}."
            found[key] = "timeout", text
        else:
            text = f"not ready yet when the run ended because others had failed: {what}."
            found[key] = "unfinished", text
    return [
        {
            "name": key.name,
            "namespace": key.namespace,
            "cause": cause,
            "problem": f"Workload {key.name} in {key.namespace}: {text}",
        }
        for key, (cause, text) in sorted(found.items())
    ]


def _log(cluster: Cluster, key: Key, trouble: Trouble, lines: int) -> str:
    source = trouble.log
    if source is None or lines < 1:
        return ""
    text = ""
    # A container that is being started again keeps the log of the run before.
    for previous in dict.fromkeys((source.previous, False)):
        text = text or cluster.pod_log(
            key.namespace, source.pod, source.container, lines, previous=previous
        )
    return f" Its last log lines:\n{text}" if text else " It logged nothing."
