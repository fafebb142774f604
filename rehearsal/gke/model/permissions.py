"""Access checks: projects, enabled APIs, IAM permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rehearsal.gke.model import refusals

if TYPE_CHECKING:
    from rehearsal.gke.call import Call
    from rehearsal.gke.model.state import State
    from rehearsal.gke.model.target import Target

READING = {"get", "list", "aggregatedList"}
CLUSTER = {"get", "list", "create", "delete"}
# Verbs whose permission has a different name.
VERBS = {
    "aggregatedList": "list",
    "batchEnable": "enable",
    "cancel": "get",
    "checkAutopilotCompatibility": "get",
    "wait": "get",
}
# APIs whose permissions have a different prefix.
WORDS = {"cloudresourcemanager": "resourcemanager"}
FREE = ("testIamPermissions",)
"""Methods that need no permission."""


def check(state: State, call: Call, at: Target) -> None:
    """Raise Refused if the project or the caller may not make the call."""
    settings = state.settings
    service = f"{call.api}.googleapis.com"
    project = at.project
    if project and project not in (*settings.project_names, "-"):
        raise refusals.wrong_project(project, service)
    if service in settings.disabled_services and service not in state.enabled_services:
        raise refusals.disabled(service, settings.project, settings.project_number)
    permission = needed(call)
    if permission in denied(state, call):
        raise refusals.no_permission(call.api, permission, resource(call, at))


def denied(state: State, call: Call) -> list[str]:
    """Return the permissions that the caller lacks."""
    settings = state.settings
    return [*settings.denied.get(call.caller, ()), *settings.denied.get("*", ())]


def needed(call: Call) -> str:
    """Return the IAM permission that a method needs, e.g. container.clusters.get."""
    words = call.method_id.split(".")
    verb = VERBS.get(words[-1], words[-1])
    if words[-1] in FREE:
        return ""
    if call.api != "container":
        return ".".join((WORDS.get(call.api, call.api), words[-2], verb))
    if "operations" in words:
        return f"container.operations.{verb}"
    if "clusters" not in words:
        return "container.clusters.list"
    if "nodePools" in words:
        return f"container.clusters.{'get' if verb in READING else 'update'}"
    return f"container.clusters.{verb if verb in CLUSTER else 'update'}"


def resource(call: Call, at: Target) -> str:
    """Return the resource for which the permission is required: a cluster or the project."""
    if call.api == "container" and at.cluster:
        return at.relative
    return f"projects/{at.project}"
