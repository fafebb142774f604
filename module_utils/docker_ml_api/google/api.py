"""Sends requests to Google's APIs, with JSON bodies and the credentials of google.cloud's modules.

Requests are retried for a while when Google limits the rate of requests, reports a temporary error
or the connection is lost. The exception is a POST whose answer was lost: it may have been
processed, so by default it is not sent again and raises LostAnswerError.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import requests
from ansible.module_utils.docker_ml_api.google import errors as google_errors
from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (  # type: ignore[import-untyped]
    GcpSession,
)
from google.auth import exceptions as auth_errors
from urllib3.exceptions import NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTAINER = "https://container.googleapis.com/v1"
COMPUTE = "https://compute.googleapis.com/compute/v1"
ARTIFACT_REGISTRY = "https://artifactregistry.googleapis.com/v1"

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
# A cluster identifies its users by their e-mail address.
SCOPES = (CLOUD_PLATFORM, "https://www.googleapis.com/auth/userinfo.email")
RETRY_SECONDS = 60.0

# Timeouts in seconds for the connection and for the answer.
_TIMEOUTS = (10, 60)
_LONGEST_PAUSE = 16.0


@dataclass(frozen=True)
class _Options:
    """Stands in for a module in google.cloud's session: its parameters and its fail_json."""

    params: Mapping[str, Any]

    def fail_json(self, msg: str, **_: Any) -> NoReturn:
        raise GoogleError(0, google_errors.NO_CREDENTIALS, msg, f"{msg.rstrip('.')}.")


class GoogleSession:
    """Sends requests with one set of credentials to the APIs of one project.

    params: a module's parameters (`project`, `auth_kind`, `service_account_file`, …, as in
        module_common.ACCESS).
    clock: returns seconds.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the credentials; the token is fetched with the first request."""
        self.project: str = params["project"]
        self.clock = clock
        self.sleep = sleep
        given = params.get("retry_seconds")
        self._retry_seconds = RETRY_SECONDS if given is None else float(given)
        self._session = _authorized(params)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def credentials(self) -> Any:
        """google-auth's credentials, for uses other than API requests."""
        return self._session.credentials

    def get(self, url: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a GET request and return the answer; see `request`."""
        return self.request("GET", url, query=query)

    def find(self, url: str, query: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the answer of a GET request, or None if the resource does not exist.

        If the project does not exist, this raises GoogleError.
        """
        try:
            return self.request("GET", url, query=query)
        except GoogleError as error:
            if error.status == HTTPStatus.NOT_FOUND and (
                error.reason != google_errors.PROJECT_NOT_FOUND
            ):
                return None
            raise

    def pages(
        self, url: str, key: str, query: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return the items under `key` of all pages of a list."""
        asked = dict(query or {})
        found: list[dict[str, Any]] = []
        while True:
            answer = self.request("GET", url, query=asked)
            found += answer.get(key) or []
            token = answer.get("nextPageToken")
            if not token:
                return found
            asked["pageToken"] = token

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        *,
        resend: bool | None = None,
    ) -> dict[str, Any]:
        """Send a request and return the JSON of its answer.

        resend: whether to send it again if its answer is lost; by default true except for POST.

        Raises LostAnswerError if the answer is lost and it may not be sent again, GoogleError for
        every other failure.
        """
        resend = method != "POST" if resend is None else resend
        deadline = self.clock() + self._retry_seconds
        pause = 1.0
        while True:
            try:
                return self._attempt(method, url, body, query)
            except _TroubleError as trouble:
                failure = trouble.failure
                if trouble.handled_perhaps and not resend:
                    raise LostAnswerError(
                        failure.status, failure.reason, failure.message, str(failure)
                    ) from trouble
                wait = max(pause, trouble.wait)
                if self.clock() + wait > deadline:
                    raise failure from trouble
            self.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(
        self, method: str, url: str, body: Any, query: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        response = self._send(method, url, body, query)
        if response.status_code < HTTPStatus.BAD_REQUEST:
            # Redirects are not followed, since their host would receive the token.
            return _content(response, url)
        failure = google_errors.refusal(response.status_code, response.text, url, self.project)
        if not google_errors.is_transient(failure):
            raise failure
        # A gateway may time out on a request that the server is still processing.
        handled_perhaps = response.status_code in {500, 502, 504}
        raise _TroubleError(failure, _retry_after(response), handled_perhaps=handled_perhaps)

    def _send(
        self, method: str, url: str, body: Any, query: Mapping[str, Any] | None
    ) -> requests.Response:
        try:
            response: requests.Response = self._session.request(
                method,
                url,
                json=body,
                params=query,
                headers={"User-Agent": "docker-ml-api"},
                timeout=_TIMEOUTS,
                allow_redirects=False,
            )
        except auth_errors.GoogleAuthError as error:
            raise _login_failure(error) from error
        except requests.exceptions.SSLError as error:
            raise _untrusted(_host(url), error) from error
        except requests.exceptions.ProxyError as error:
            raise _proxy(url, error) from error
        except requests.exceptions.InvalidSchema as error:
            raise _unusable_proxy(error) from error
        except requests.exceptions.RequestException as error:
            unsent = isinstance(error, requests.exceptions.ConnectTimeout) or _unconnected(error)
            raise _TroubleError(
                _no_connection(_host(url), error), handled_perhaps=not unsent
            ) from error
        return response


class _TroubleError(Exception):
    """A failure that may be temporary.

    handled_perhaps: whether the request may have been processed.
    wait: the seconds to wait that Google requests.
    """

    def __init__(self, failure: GoogleError, wait: float = 0.0, *, handled_perhaps: bool) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.wait = wait
        self.handled_perhaps = handled_perhaps


def _login_failure(error: auth_errors.GoogleAuthError) -> Exception:
    said = _said(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        untrusted: Exception = _untrusted("Google's token endpoint", error)
        return untrusted
    if isinstance(error.__cause__, requests.exceptions.InvalidSchema):
        return _unusable_proxy(error)
    if error.retryable or isinstance(error, auth_errors.TransportError):
        failure = _no_connection("Google's token endpoint", error)
        return _TroubleError(failure, handled_perhaps=False)
    if "do not contain the necessary fields need to refresh" in said:
        said = "the access token is wrong or over"
    refused: Exception = GoogleError(
        HTTPStatus.UNAUTHORIZED,
        google_errors.NO_CREDENTIALS,
        said,
        f"Google does not accept the login ({said}): with auth_kind accesstoken give a new "
        "one (GCP_ACCESS_TOKEN, from gcloud auth print-access-token), with application log "
        "in anew (gcloud auth application-default login), with serviceaccount make a new "
        "key and name it with service_account_file.",
    )
    return refused


def _content(response: requests.Response, url: str) -> dict[str, Any]:
    redirected = response.status_code >= HTTPStatus.MULTIPLE_CHOICES
    if not response.content and not redirected:
        return {}
    try:
        content = response.json()
    except ValueError:
        content = None
    if redirected or not isinstance(content, dict):
        raise GoogleError(
            response.status_code,
            google_errors.NO_ANSWER,
            response.text[:200],
            f"{_host(url)} answered with status {response.status_code} and no JSON: check "
            "HTTPS_PROXY, since something in between answers in Google's place.",
        )
    return content


def _authorized(params: Mapping[str, Any]) -> Any:
    options = {
        "access_token": None,
        **params,
        "scopes": list(params.get("scopes") or SCOPES),
    }
    kind = options["auth_kind"]
    if kind == "serviceaccount" and options.get("service_account_file"):
        _check_readable(str(options["service_account_file"]))
    try:
        return GcpSession(_Options(options), "container").session()
    except auth_errors.DefaultCredentialsError as error:
        # An invalid key raises an error of this class, too.
        if kind != "application":
            raise _bad_key(options, error) from error
        raise GoogleError(
            0,
            google_errors.NO_CREDENTIALS,
            _said(error),
            "There are no application default credentials: log in with gcloud auth "
            "application-default login, or set auth_kind (GCP_AUTH_KIND) to serviceaccount with "
            "service_account_file (GCP_SERVICE_ACCOUNT_FILE). google-auth said: "
            f"{_said(error).rstrip('.')}.",
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise _bad_key(options, error) from error


def _check_readable(path: str) -> None:
    try:
        with Path(path).expanduser().open("rb"):
            pass
    except OSError as error:
        said = str(error.strerror)
        raise GoogleError(
            0,
            google_errors.NO_CREDENTIALS,
            said,
            f"The key's file {path} cannot be read ({said}): name that of your service account "
            "with service_account_file (GCP_SERVICE_ACCOUNT_FILE).",
        ) from error


def _bad_key(options: Mapping[str, Any], error: Exception) -> GoogleError:
    given = options.get("service_account_file")
    named = f"The file {given}" if given else "What service_account_contents holds"
    # The error may contain a part of the key.
    said = type(error).__name__ if not given else _said(error).rstrip(".")
    return GoogleError(
        0,
        google_errors.NO_CREDENTIALS,
        said,
        f"{named} is no key of a service account ({said}): make one with gcloud iam "
        "service-accounts keys create FILE --iam-account ACCOUNT, and name it with "
        "service_account_file (GCP_SERVICE_ACCOUNT_FILE).",
    )


def _no_connection(what: str, error: Exception) -> GoogleError:
    said = _said(error)
    return GoogleError(
        0,
        google_errors.NO_ANSWER,
        said,
        f"No answer came from {what} ({said.rstrip('.')}): check this machine's connection and "
        "HTTPS_PROXY, then run the same command again.",
    )


def _untrusted(what: str, error: Exception) -> GoogleError:
    said = _said(error)
    return GoogleError(
        0,
        google_errors.NO_ANSWER,
        said,
        f"The certificate that answers for {what} is not trusted ({said.rstrip('.')}): "
        "behind a proxy that opens TLS set REQUESTS_CA_BUNDLE to its certificate.",
    )


def _unusable_proxy(error: Exception) -> Exception:
    """Return the failure of a proxy that requests cannot use, as the URLs of the API are right."""
    said = _said(error)
    failure: Exception = GoogleError(
        0,
        google_errors.NO_ANSWER,
        said,
        f"HTTPS_PROXY does not name an HTTP proxy ({said.rstrip('.')}): set it to "
        "http://HOST:PORT.",
    )
    return failure


def _proxy(url: str, error: Exception) -> Exception:
    said = _said(error)
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    cause = getattr(reason, "original_error", None)
    if not isinstance(cause, NewConnectionError) and "Tunnel connection failed" not in said:
        # urllib3 also raises this if the connection was lost after the request.
        return _TroubleError(_no_connection(_host(url), error), handled_perhaps=True)
    failure: Exception = GoogleError(
        0,
        google_errors.NO_ANSWER,
        said,
        f"The proxy does not lead to {_host(url)} ({said.rstrip('.')}): check HTTPS_PROXY and "
        "NO_PROXY.",
    )
    # A rejection by the proxy is permanent, a restart of the proxy temporary.
    if "Tunnel connection failed: 4" in said:
        return failure
    return _TroubleError(failure, handled_perhaps=False)


def _unconnected(error: requests.exceptions.RequestException) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _retry_after(response: requests.Response) -> float:
    """Return the seconds to wait in an answer; a date in place of seconds is ignored."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0


def _host(url: str) -> str:
    return url.split("/")[2]


def _said(error: Exception) -> str:
    """Return the message of the innermost error, which is the most informative."""
    inner: Any = error
    while True:
        following = (getattr(inner, "reason", None), *inner.args)
        errors = [one for one in following if isinstance(one, Exception)]
        if not errors:
            break
        inner = errors[0]
    parts = [str(one) for one in getattr(inner, "args", ()) if isinstance(one, str)]
    words = " ".join((parts[0] if parts else str(inner) or type(inner).__name__).split())
    return words.rpartition(">: ")[2]
