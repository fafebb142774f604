"""Google's errors, in Google's wording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rehearsal.gke.call import refusal

if TYPE_CHECKING:
    from rehearsal.gke.call import Answer


class Refused(Exception):  # noqa: N818 - Google refuses; the double does what it should
    """Ends a handler with an error as the answer."""

    def __init__(self, answer: Answer) -> None:
        """Initialize with the answer."""
        super().__init__(answer.body["error"]["message"])
        self.answer = answer


def error_info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    """Return a google.rpc.ErrorInfo."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def invalid(message: str) -> Refused:
    """Return a 400: the request is invalid."""
    return Refused(refusal(400, message, reason="badRequest"))


def not_now(message: str, *, reason: str = "") -> Refused:
    """Return a 400 FAILED_PRECONDITION: the request is invalid in the current state."""
    details = [error_info(reason, "container.googleapis.com")] if reason else None
    return Refused(
        refusal(
            400, message, reason="failedPrecondition", name="FAILED_PRECONDITION", details=details
        )
    )


def busy(operation: str) -> Refused:
    """Return a 400: another operation is running on the cluster."""
    return not_now(
        f"Cluster is running incompatible operation {operation}.",
        reason="CLUSTER_ALREADY_HAS_OPERATION",
    )


def not_found(what: str) -> Refused:
    """Return a 404 of the container API; `what` is the resource's relative name."""
    return Refused(refusal(404, f"Not found: {what}.", reason="notFound"))


def exists(what: str) -> Refused:
    """Return a 409 of the container API."""
    return Refused(refusal(409, f"Already exists: {what}.", reason="alreadyExists"))


def stale(what: str) -> Refused:
    """Return a 409 ABORTED: the etag is outdated."""
    return Refused(refusal(409, what, reason="aborted", name="ABORTED"))


def no_permission(api: str, permission: str, resource: str) -> Refused:
    """Return a 403: the caller lacks a permission; each API has its own wording."""
    if api == "container":
        message = f'Required "{permission}" permission(s) for "{resource}".'
    elif api == "compute":
        message = f"Required '{permission}' permission for '{resource}'"
    else:
        where = f"//{api}.googleapis.com/{resource}"
        message = f"Permission '{permission}' denied on resource '{where}' (or it may not exist)."
    return Refused(refusal(403, message, reason="forbidden"))


def wrong_project(project: str, service: str) -> Refused:
    """Return a 403: the project does not exist or is inaccessible; Google does not say which."""
    return Refused(
        refusal(
            403,
            f"Permission denied on resource project {project}.",
            reason="forbidden",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.Help",
                    "links": [
                        {
                            "description": "Google developers console",
                            "url": "https://console.developers.google.com",
                        }
                    ],
                },
                error_info(
                    "CONSUMER_INVALID",
                    "googleapis.com",
                    consumer=f"projects/{project}",
                    service=service,
                ),
            ],
        )
    )


TITLES = {
    "container.googleapis.com": "Kubernetes Engine API",
    "compute.googleapis.com": "Compute Engine API",
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "serviceusage.googleapis.com": "Service Usage API",
}


def disabled(service: str, project: str, number: str) -> Refused:
    """Return a 403: the API is not enabled."""
    where = f"https://console.developers.google.com/apis/api/{service}/overview?project={project}"
    title = TITLES.get(service, service)
    return Refused(
        refusal(
            403,
            f"{title} has not been used in project {project} before or it is disabled. Enable it "
            f"by visiting {where} then retry. If you enabled this API recently, wait a few minutes "
            "for the action to propagate to our systems and retry.",
            reason="accessNotConfigured",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.Help",
                    "links": [
                        {"description": "Google developers console API activation", "url": where}
                    ],
                },
                error_info(
                    "SERVICE_DISABLED",
                    "googleapis.com",
                    service=service,
                    serviceTitle=title,
                    consumer=f"projects/{number}",
                    activationUrl=where,
                    containerInfo=number,
                ),
            ],
        )
    )


def quota(metric: str, asked: float, limit: float, free: float, project: str) -> Refused:
    """Return a 403: the region's quota is insufficient."""
    return Refused(
        refusal(
            403,
            f'Insufficient regional quota to satisfy request: resource "{metric}": request '
            f"requires '{float(asked)}' and is short '{float(asked - free)}'. project has a quota "
            f"of '{float(limit)}' with '{float(free)}' available. View and manage quotas at "
            f"https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={project}.",
            reason="forbidden",
        )
    )
