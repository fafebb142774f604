"""Sends one change of a GKE cluster and waits until it is complete."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import maintenance_windows, operations, urls
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

    Change = Mapping[str, Any]

_LABELS = "clusters.setResourceLabels"
_POLICY = "clusters.setMaintenancePolicy"


def apply(
    session: GoogleSession, location: str, name: str, change: Change, timeout: float
) -> dict[str, Any] | None:
    """Make one change of comparison, and return its completed operation.

    Returns None if the change was already in place, such as a deleted pool, or labels whose answer
    was lost. Raises GoogleError, whose text names the change.
    """
    deadline = operations.Deadline(session, timeout)
    cluster_url = urls.cluster(session.project, location, name)
    url = f"{cluster_url}{change['path']}"
    body = _versioned(session, cluster_url, change)

    def send() -> dict[str, Any]:
        return session.request(change["method"], url, body, resend=True)  # type: ignore[no-any-return]

    try:
        operation = operations.start(session, location, name, send, deadline)
        ended: dict[str, Any] = operations.wait(session, location, operation, deadline)
    except GoogleError as error:
        if error.status and _is_made(session, cluster_url, change, body, error):
            return None
        title = (
            f"{change['target']} ({change['summary']})" if change["summary"] else change["target"]
        )
        raise GoogleError(
            error.status, error.reason, error.message, f"{_capital(title)}: {error}"
        ) from error
    return ended


def _versioned(session: GoogleSession, cluster_url: str, change: Change) -> dict[str, Any] | None:
    """Return the body with the version that Google requires, if the change lacks it.

    The version is unknown for a change of a cluster that had to be created first.
    """
    body: dict[str, Any] | None = change["body"]
    if change["call"] == _LABELS and body and not body.get("labelFingerprint"):
        live = session.get(cluster_url)
        return {**body, "labelFingerprint": live.get("labelFingerprint", "")}
    if change["call"] == _POLICY and body:
        policy = body["maintenancePolicy"]
        if not policy.get("resourceVersion"):
            live = session.get(cluster_url).get("maintenancePolicy") or {}
            version = live.get("resourceVersion")
            policy = {**policy, "resourceVersion": version} if version else policy
            return {**body, "maintenancePolicy": policy}
    return body


def _is_made(
    session: GoogleSession,
    cluster_url: str,
    change: Change,
    body: dict[str, Any] | None,
    error: GoogleError,
) -> bool:
    """Return whether a rejected change is in place, because its first answer was lost."""
    if change["method"] == "DELETE":
        return bool(error.status == HTTPStatus.NOT_FOUND)
    if change["call"] not in (_LABELS, _POLICY) or not body:
        return False
    live = session.get(cluster_url)
    if change["call"] == _LABELS:
        return bool((live.get("resourceLabels") or {}) == body["resourceLabels"])
    there, asked = (maintenance_windows.live(one.get("maintenancePolicy")) for one in (live, body))
    return bool(there == asked)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
