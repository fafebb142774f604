"""Determines from the engine's description whether a container is healthy, and waits for it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds that a program without a health check must run to count as healthy.
_SETTLED = 2.0
# Under a restart policy a program that cannot start is restarted repeatedly. One restart may be
# an accident, two are a failure.
_RESTARTS_ALLOWED = 1


class Health(enum.Enum):
    """The state of a container."""

    HEALTHY = "healthy"
    RUNNING = "running"  # without a health check, so nothing more is known
    STARTING = "starting"
    FAILED = "failed"


def judge(container: Mapping[str, Any], restarts_before: int = 0) -> Health:
    """Evaluate the engine's description (`docker inspect`) of a container.

    *restarts_before* is the number of restarts before the waiting started.
    """
    state = container["State"]
    if container["RestartCount"] - restarts_before > _RESTARTS_ALLOWED:
        return Health.FAILED
    if state["Status"] in ("created", "restarting"):
        return Health.STARTING
    if state["Status"] != "running":
        return Health.FAILED
    check = (state.get("Health") or {"Status": "none"})["Status"]
    return {
        "none": Health.RUNNING,
        "healthy": Health.HEALTHY,
        "unhealthy": Health.FAILED,
    }.get(check, Health.STARTING)


def wait(
    inspect: Callable[[], Mapping[str, Any]],
    timeout: float,
    interval: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> tuple[Health, Mapping[str, Any]]:
    """Inspect until the container is healthy or failed, for at most *timeout* seconds.

    Returns the last state and description; a state other than HEALTHY or FAILED means a timeout.
    For a container that is restarted repeatedly, the description is one from when it had stopped,
    since the description of a running container does not tell how the last run ended.
    """
    now = clock()
    end = now + timeout
    container = inspect()
    restarts = container["RestartCount"]  # the restarts so far
    start, seen_since = container["State"].get("StartedAt"), now
    stopped = None
    while True:
        health = judge(container, restarts)
        if container["State"]["Status"] in ("restarting", "exited"):
            stopped = container
        now = clock()
        if container["State"].get("StartedAt") != start:
            start, seen_since = container["State"].get("StartedAt"), now
        if health is Health.RUNNING and now - seen_since >= _SETTLED:
            health = Health.HEALTHY
        if health is Health.FAILED and _runs_again(container):
            if stopped is not None or now >= end:
                return health, stopped or container
        elif health in (Health.HEALTHY, Health.FAILED) or now >= end:
            return health, container
        state = container["State"]
        progress.say(
            f"{state['Status']}, {(state.get('Health') or {}).get('Status', 'no health check')}"
        )
        sleep(interval)
        container = inspect()


def _runs_again(container: Mapping[str, Any]) -> bool:
    """Return whether a failed container runs again, so that the failure was in an earlier run."""
    state = container["State"]
    return state["Status"] == "running" and (
        (state.get("Health") or {}).get("Status") != "unhealthy"
    )


def complaint(name: str, container: Mapping[str, Any], timeout: float, log: str) -> str:
    """Return a description of the problem of a container that did not become healthy.

    *log* is the end of its output.
    """
    state = container["State"]
    if state["Status"] == "running":
        check = state.get("Health") or {}
        problem = (
            "is unhealthy"
            if check.get("Status") == "unhealthy"
            else f"did not become healthy within {timeout:g} s (container_healthy_timeout)"
        )
        outputs = [entry["Output"].strip() for entry in check.get("Log") or []]
        detail = f"; its health check last said: {outputs[-1] or 'nothing'}" if outputs else ""
    else:
        killed = ", out of memory" if state.get("OOMKilled") else ""
        problem = f"stopped with exit code {state['ExitCode']}{killed}"
        detail = f"; {state['Error']}" if state.get("Error") else ""
    ending = f" Its last log lines:\n{log.strip()}" if log.strip() else " It logged nothing."
    return f"The container {name} {problem}{detail}.{ending}"
