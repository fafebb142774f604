"""Explains Google's error answers, each as one sentence that includes the fix.

Google's JSON of an error: `{"error": {"code": 403, "message": …, "status": "PERMISSION_DENIED",
"details": [{"@type": …ErrorInfo, "reason": "SERVICE_DISABLED", "metadata": {…}}],
"errors": [{"reason": "rateLimitExceeded"}]}}`; the last two may be missing.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Reasons of this module, in addition to Google's.
NO_ANSWER = "NO_ANSWER"
NO_CREDENTIALS = "NO_CREDENTIALS"
PROJECT_NOT_FOUND = "PROJECT_NOT_FOUND"
TIMEOUT = "TIMEOUT"

_RATE_LIMITS = {"RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded"}
_NO_PROJECT = re.compile(
    r"[Nn]ot found: projects/[^/\s]+?\.?$"
    r"|resource 'projects/[^/']+' was not found"
    r"|[Pp]roject '?[^\s']+'? (?:was )?(?:not found|does not exist)"
    r"|[Pp]ermission denied on resource project "
)
_PERMISSION = re.compile(
    r"[Rr]equired [\"']([a-z]\w*(?:\.\w+)+)[\"'] permission"
    r"|[Pp]ermission [\"']?([a-z]\w*(?:\.\w+)+)[\"']? denied"
)
# A service that is not enabled, as reported by older APIs.
_DISABLED = re.compile(r"API has not been used in project|it is disabled")
_SERVICE = re.compile(r"([a-z]+\.googleapis\.com)")
_QUOTA = re.compile(r"quota|RESOURCE_EXHAUSTED", re.IGNORECASE)
_STOCKOUT = re.compile(r"STOCKOUT|ZONE_RESOURCE_POOL_EXHAUSTED|does not have enough resources")


class GoogleError(Exception):
    """Google rejected a request, or could not be reached.

    status: the HTTP status, 0 without an answer.
    reason: Google's reason (`SERVICE_DISABLED`, `PERMISSION_DENIED`, `notFound`, …) or one of this
        module's.
    message: Google's own text.

    As text, the error is one sentence that includes the fix.
    """

    def __init__(self, status: int, reason: str, message: str, sentence: str = "") -> None:
        """Set Google's answer, and the sentence that explains it."""
        super().__init__(sentence or message)
        self.status = status
        self.reason = reason
        self.message = message


class LostAnswerError(GoogleError):
    """There was no answer, so it is unknown whether the request was processed."""


def refusal(status: int, content: str, url: str, project: str) -> GoogleError:
    """Return the error for an answer with a status of 400 or more."""
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if not isinstance(error, dict):
        # Some proxies answer with a page, the token endpoint with {"error": "invalid_grant"}.
        said = _one_line(content)[:200] or HTTPStatus(status).phrase
        error = {"message": said}
    message = _one_line(error.get("message") or HTTPStatus(status).phrase)
    information = next(
        (
            one
            for one in error.get("details") or []
            if isinstance(one, dict) and str(one.get("@type", "")).endswith("ErrorInfo")
        ),
        {},
    )
    errors = error.get("errors") or [{}]
    reason = str(
        information.get("reason") or error.get("status") or errors[0].get("reason") or status
    )
    if errors[0].get("reason") in _RATE_LIMITS:
        reason = str(errors[0]["reason"])
    if status in {403, 404} and (_NO_PROJECT.search(message) or reason == "CONSUMER_INVALID"):
        reason = PROJECT_NOT_FOUND
    elif status == HTTPStatus.FORBIDDEN and _DISABLED.search(message):
        reason = "SERVICE_DISABLED"
    metadata = information.get("metadata") or {}
    host = re.sub(r"^https?://([^/]+).*", r"\1", url)
    plain = GoogleError(status, reason, message)
    return GoogleError(status, reason, message, _sentence(plain, host, project, metadata))


def is_transient(error: GoogleError) -> bool:
    """Return whether the same request may succeed shortly afterwards."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS or error.reason in _RATE_LIMITS:
        return not error.message.startswith("Insufficient")
    return error.status in {500, 502, 503, 504}


def quota_advice(message: str, project: str) -> str:
    """Return the fix for an exceeded quota or a zone out of resources; empty for other messages."""
    if _STOCKOUT.search(message):
        return (
            "set another location (gcp_location) or machine_type (gke_machine_type), since Google "
            "has none left there just now"
        )
    if _QUOTA.search(message):
        return (
            "ask for more quota (https://console.cloud.google.com/iam-admin/quotas?project="
            f"{project}), or set fewer nodes (gke_nodes), a smaller machine_type "
            "(gke_machine_type) or another location (gcp_location)"
        )
    return ""


def _sentence(error: GoogleError, host: str, project: str, metadata: Mapping[str, Any]) -> str:
    said = f"Google said: {error.message.rstrip('.')}."
    advice = _advice(error, host, project, metadata)
    if advice:
        return f"{advice} {said}"
    return f"Google refused the request ({error.status} {error.reason}): {said[13:]}"


def _advice(error: GoogleError, host: str, project: str, metadata: Mapping[str, Any]) -> str:
    status, message = error.status, error.message
    quota = quota_advice(f"{message} {error.reason}", project)
    if status == HTTPStatus.UNAUTHORIZED:
        advice = (
            "Google does not accept the login, because its token is wrong or over: with "
            "auth_kind accesstoken give a new one (GCP_ACCESS_TOKEN, from gcloud auth "
            "print-access-token), otherwise check the key (service_account_file)."
        )
    elif error.reason == "SERVICE_DISABLED":
        found = _SERVICE.search(message)
        service = metadata.get("service") or (found.group(1) if found else host)
        advice = (
            f"The API {service} is not enabled in project {project}: enable it with gcloud "
            f"services enable {service} --project {project}."
        )
    elif error.reason == PROJECT_NOT_FOUND:
        advice = (
            f"There is no project {project} that this login can see: set gcp_project (GCP_PROJECT) "
            "to the ID of yours, not its name (gcloud projects list shows it)."
        )
    elif is_transient(error) and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        advice = (
            f"Google limits the requests of project {project} ({host}): run the same command "
            "again in a minute."
        )
    elif quota:
        advice = f"Project {project} has not enough of what is asked for: {quota}."
    elif status == HTTPStatus.FORBIDDEN:
        advice = _forbidden(message, project, metadata)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        advice = f"{host} is not well (status {status}): run the same command again later."
    else:
        advice = ""
    return advice


def _forbidden(message: str, project: str, metadata: Mapping[str, Any]) -> str:
    found = _PERMISSION.search(message)
    permission = str(metadata.get("permission") or "")
    if found and not permission:
        permission = found.group(1) or found.group(2)
    if permission:
        what = f"the permission {permission}"
        role = {
            "container": "roles/container.admin",
            "compute": "roles/compute.viewer, to delete roles/compute.admin",
            "artifactregistry": "roles/artifactregistry.admin",
            "iam": "roles/iam.serviceAccountUser",
        }.get(permission.partition(".")[0])
        hint = f" (it is in {role})" if role else ""
    else:
        what, hint = "a permission", ""
    return (
        f"The login lacks {what} in project {project}: let an administrator of the project grant "
        f"it{hint}, or use another login."
    )


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
