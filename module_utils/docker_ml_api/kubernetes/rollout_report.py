"""Shared parts of the modules that wait for workloads: options, problems, logs."""

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
    """Return the limits for states that may resolve themselves."""
    return Patience(params["unschedulable_grace"], params["progress_deadline"])


def limits(params: Mapping[str, Any]) -> Limits:
    """Return the limits of the whole wait."""
    return Limits(params["timeout"], params["settle"])


def problems(
    cluster: Cluster,
    failed: Mapping[Key, Trouble],
    waiting: Mapping[Key, str],
    *,
    timed_out: bool,
    params: Mapping[str, Any],
) -> list[dict[str, str]]:
    """Return the problem of each workload that failed or was not ready at the end.

    Each has name, namespace, cause (that of a Trouble, or `timeout`, or `unfinished` if others
    failed) and problem, a sentence with the container's last log lines if they are relevant.
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
    # While a container is being restarted, its current log is still that of the previous run.
    for previous in dict.fromkeys((source.previous, False)):
        text = text or cluster.pod_log(
            key.namespace, source.pod, source.container, lines, previous=previous
        )
    return f" Its last log lines:\n{text}" if text else " It logged nothing."
