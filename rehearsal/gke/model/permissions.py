"""Who may do what: projects, enabled APIs, IAM permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rehearsal.gke.model import refusals

if TYPE_CHECKING:
    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State
    from rehearsal.gke.model.target import Target

READING = {"get", "list", "aggregatedList"}
CLUSTER = {"get", "list", "create", "delete"}


def check(state: State, call: Call, at: Target) -> None:
    """Refuse what the project or the caller may not."""
    settings = state.settings
    service = f"{call.api}.googleapis.com"
    project = at.project
    if project and project not in (*settings.project_names, "-"):
        raise refusals.wrong_project(project, service)
    if service in settings.disabled_services and service not in state.enabled_services:
        raise refusals.disabled(service, settings.project, settings.project_number)
    permission = needed(call)
    denied = [*settings.denied.get(call.caller, ()), *settings.denied.get("*", ())]
    if permission in denied:
        raise refusals.no_permission(permission, resource(call, at))


def needed(call: Call) -> str:
    """Return the IAM permission that a method needs: container.clusters.get."""
    words = call.method_id.split(".")
    verb = words[-1]
    if call.api == "container":
        if "operations" in words:
            return f"container.operations.{'get' if verb == 'cancel' else verb}"
        if "clusters" not in words:
            return "container.clusters.list"
        if "nodePools" in words:
            return f"container.clusters.{'get' if verb in READING else 'update'}"
        reading = "get" if verb == "checkAutopilotCompatibility" else "update"
        return f"container.clusters.{verb if verb in CLUSTER else reading}"
    verb = "list" if verb == "aggregatedList" else verb
    return ".".join((call.api, words[-2], verb))


def resource(call: Call, at: Target) -> str:
    """Return what the permission is missing for: the project, or a thing in it."""
    if call.api == "container" and at.cluster:
        return at.relative
    return f"projects/{at.project}"
