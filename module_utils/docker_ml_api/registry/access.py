"""Checks the access to registries, and explains their answers through the engine."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCKER_HUB = "docker.io"
# The host of Docker Hub's API.
DOCKER_HUB_API = "registry-1.docker.io"
_LOGIN = "set image_registry_username and image_registry_password, or run: docker login {host}"
# Google's Artifact Registry, which uses the credentials of Google Cloud.
_GOOGLE = "-docker.pkg.dev"
_GRANT = "let an administrator of its project grant the login {role} there"
_PUSH_ROLE = "roles/artifactregistry.writer"
_PULL_ROLE = "roles/artifactregistry.reader"
_CHALLENGE_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")
_UNREACHABLE = (
    "connection refused",
    "no such host",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "timeout exceeded",
    "deadline exceeded",
    "eof",
)


class RegistryError(Exception):
    """The registry cannot be used; the message is one sentence that includes the fix."""


@dataclass(frozen=True)
class Credentials:
    """A user's name and password at a registry; without a name, a refresh token.

    *stored*: whether they are the docker client's stored login.
    """

    username: str
    password: str
    stored: bool = False


def host_of(registry: str) -> str:
    """Return the host (and port) of a registry with or without a path."""
    return registry.partition("/")[0]


def is_google(host: str) -> bool:
    """Return whether a registry is Google's Artifact Registry."""
    return host.endswith(_GOOGLE)


def grant(role: str = _PULL_ROLE) -> str:
    """Return the fix for a missing permission of a Google Cloud login in a registry."""
    return _GRANT.format(role=role)


def check_access(
    registry: str, credentials: Credentials | None, *, known_elsewhere: bool, timeout: float
) -> str:
    """Check whether the registry's API is reachable and accepts these credentials.

    *known_elsewhere*: whether the docker client has a login of its own for it. Returns the
    result: ``open`` (no login required), ``accepted``, ``stored`` (a login that was not
    tested) or ``unverified`` (reachable, but with a certificate that is not trusted here, which
    the engine may trust). Raises RegistryError.
    """
    host = host_of(registry)
    with anonymous_session() as session:
        answer = _ping(session, host, timeout)
        if answer is None:
            return "unverified"
        if answer.status_code != requests.codes.unauthorized:
            return "open"
        if credentials is None:
            if known_elsewhere:
                return "stored"
            raise RegistryError(f"The registry {host} wants a login: {_LOGIN.format(host=host)}.")
        if answer.url.startswith("http:") and not is_loopback(host):
            # Whoever is on the way could read the password. The engine sends it only if it is
            # configured to (insecure-registries).
            return "unverified"
        if _let_in(session, answer, credentials, timeout):
            return "accepted"
    raise RegistryError(
        f"The registry {host} refuses the password of {credentials.username}: "
        "correct image_registry_username and image_registry_password."
    )


def is_loopback(host: str) -> bool:
    """Return whether a registry is on this machine, where the engine does not require TLS."""
    name = re.sub(r":\d+$", "", host)
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"


class _Session(requests.Session):
    """A session that takes no credentials from ~/.netrc when it follows a redirect."""

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove the credentials if the redirect leads to another host."""
        asked, led_to = response.request.url, prepared_request.url
        if self.should_strip_auth(asked, led_to):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


def anonymous_session() -> requests.Session:
    """Return a session whose credentials come neither from ~/.netrc nor from a redirect."""
    session = _Session()
    session.auth = _anonymous
    return session


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _ping(session: requests.Session, host: str, timeout: float) -> requests.Response | None:
    """Return the answer to an anonymous request, None if its TLS is not trusted here."""
    try:
        return ask_api(session, "https", host, timeout)
    except requests.exceptions.SSLError:
        # A registry without TLS, or with a self-signed certificate.
        with contextlib.suppress(RegistryError, requests.exceptions.SSLError):
            return ask_api(session, "http", host, timeout)
    return None


def ask_api(
    session: requests.Session,
    scheme: str,
    host: str,
    timeout: float,
    *,
    verify: bool | str | None = None,
) -> requests.Response:
    """Return the answer of the registry's API to a request without credentials.

    *verify*: the parameter of requests, for this request. Raises RegistryError, and the SSLError
    of requests if the certificate is not trusted here.
    """
    address = f"{scheme}://{DOCKER_HUB_API if host == DOCKER_HUB else host}/v2/"
    try:
        return session.get(address, timeout=timeout, verify=verify)
    except requests.exceptions.InvalidURL as error:
        raise RegistryError(f"image_registry: {host} is no host name.") from error
    except requests.exceptions.SSLError:
        raise
    except requests.exceptions.RequestException as error:
        raise RegistryError(
            f"The registry {host} cannot be reached ({root_cause(error)}): "
            "start it, or correct image_registry."
        ) from error


@dataclass(frozen=True)
class Challenge:
    """The challenge of a registry, in an answer 401.

    *kind*: ``basic`` or ``bearer``, lower case. *url*: the requested URL. *parameters*: those of
    the header: ``realm``, ``service``, ``scope``.
    """

    kind: str
    url: str
    parameters: dict[str, str]

    @classmethod
    def of(cls, answer: requests.Response) -> Challenge:
        """Parse the header of an answer."""
        header = answer.headers.get("WWW-Authenticate", "")
        kind = header.partition(" ")[0].lower()
        return cls(kind, answer.url, dict(_CHALLENGE_PARAMETER.findall(header)))


def ask_token(
    session: requests.Session,
    challenge: Challenge,
    credentials: Credentials | None,
    timeout: float,
    *,
    scope: str = "",
    verify: bool | str | None = None,
) -> requests.Response:
    """Return the answer of a bearer challenge's token service.

    *scope*: the permission for the token, ``repository:<path>:pull``; if empty, only the login
    is checked. Raises RegistryError.
    """
    address = challenge.parameters.get("realm", "")
    query = {"service": challenge.parameters.get("service", "")}
    if scope:
        query["scope"] = scope
    try:
        if credentials and not credentials.username:
            # A refresh token that a login stored in place of the password.
            query |= {"grant_type": "refresh_token", "refresh_token": credentials.password}
            query["client_id"] = "docker-ml-api"
            return session.post(address, data=query, timeout=timeout, verify=verify)
        if not credentials:
            return session.get(address, params=query, timeout=timeout, verify=verify)
        query["account"] = credentials.username
        login = (credentials.username, credentials.password)
        return session.get(address, params=query, auth=login, timeout=timeout, verify=verify)
    except requests.exceptions.RequestException as error:
        raise RegistryError(
            f"The registry's login at {address} cannot be reached ({root_cause(error)})."
        ) from error


def _let_in(
    session: requests.Session,
    answer: requests.Response,
    credentials: Credentials,
    timeout: float,
) -> bool:
    challenge = Challenge.of(answer)
    if challenge.kind == "bearer":
        answer = ask_token(session, challenge, credentials, timeout)
    else:
        login = (credentials.username, credentials.password)
        try:
            answer = session.get(challenge.url, auth=login, timeout=timeout)
        except requests.exceptions.RequestException as error:
            raise RegistryError(
                f"The registry's login at {challenge.url} cannot be reached ({root_cause(error)})."
            ) from error
    return answer.status_code not in (requests.codes.unauthorized, requests.codes.forbidden)


def root_cause(error: BaseException) -> str:
    """Return the innermost reason, without the wrapping of the libraries."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return _ERROR_NUMBER.sub("", str(reason or error).rpartition(": ")[2])


def explain(reference: str, status: int, explanation: str) -> str | None:
    """Explain an engine's failure to inspect *reference*, as one sentence.

    *status* is the HTTP status of the engine's answer. Returns None if the registry answered that
    it has no such image.
    """
    host = host_of(reference)
    text = explanation.lower()
    if status == requests.codes.not_found:
        return None
    if (
        status in (requests.codes.unauthorized, requests.codes.forbidden)
        or "no basic auth credentials" in text
        or "unauthorized" in text
        or "denied" in text
    ):
        fix = grant(_PUSH_ROLE) if is_google(host) else _LOGIN.format(host=host)
        return f"The registry {host} refuses access to {reference}: {fix}."
    cause = explanation.rpartition(": ")[2].strip('"\n ')
    if any(sign in text for sign in _UNREACHABLE):
        return (
            f"The registry {host} cannot be reached ({cause}): start it, or correct image_registry."
        )
    return f"The registry {host} cannot be asked for {reference}: {explanation.strip()}"


def repository_digests(repo_digests: Iterable[str], reference: str) -> list[str]:
    """Return the known digests of an image in the repository of *reference*.

    *repo_digests* is the engine's list: ``registry/name@sha256:…``. The engine omits
    Docker Hub's name and ``library/``.
    """
    wanted = _repository(reference)
    pairs = (entry.partition("@") for entry in repo_digests)
    return sorted(digest for name, _, digest in pairs if _repository(name) == wanted)


def _repository(reference: str) -> str:
    path, _, last = reference.rpartition("/")
    name = f"{path}/{last.partition(':')[0]}" if path else last.partition(":")[0]
    return name.removeprefix("index.").removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")
