"""Registries: may we in, and what their answers through the engine mean."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCKER_HUB = "docker.io"
# What Docker Hub's API answers on.
_DOCKER_HUB_API = "registry-1.docker.io"
_LOGIN = "set image_registry_username and image_registry_password, or run: docker login {host}"
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
    """The registry cannot be used; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Credentials:
    """A user's name and password at a registry."""

    username: str
    password: str


def host_of(registry: str) -> str:
    """Return the host (and port) of a registry with or without a path."""
    return registry.partition("/")[0]


def check_access(
    registry: str, credentials: Credentials | None, *, known_elsewhere: bool, timeout: float
) -> str:
    """Ask the registry's API whether it is there and lets these credentials in.

    *known_elsewhere*: the engine's client has a login of its own for it. Returns what is
    known: ``open`` (no login wanted), ``accepted``, ``stored`` (a login that was not
    tried) or ``unverified`` (it answers, but by TLS that is not trusted here, which the
    engine may judge otherwise). Raises RegistryError.
    """
    host = host_of(registry)
    with requests.Session() as session:
        # Neither ~/.netrc nor a redirect decides who we are.
        session.auth = _anonymous
        answer = _ping(session, host, timeout)
        if answer is None:
            return "unverified"
        if answer.status_code != requests.codes.unauthorized:
            return "open"
        if credentials is None:
            if known_elsewhere:
                return "stored"
            raise RegistryError(f"The registry {host} wants a login: {_LOGIN.format(host=host)}.")
        if _let_in(session, answer, credentials, timeout):
            return "accepted"
    raise RegistryError(
        f"The registry {host} refuses the password of {credentials.username}: "
        "mend image_registry_username and image_registry_password."
    )


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _ping(session: requests.Session, host: str, timeout: float) -> requests.Response | None:
    """Return the answer to an anonymous request, None if its TLS is not trusted here."""
    path = f"{_DOCKER_HUB_API if host == DOCKER_HUB else host}/v2/"
    try:
        return session.get(f"https://{path}", timeout=timeout)
    except requests.exceptions.InvalidURL as error:
        raise RegistryError(f"image_registry: {host} is no host name.") from error
    except requests.exceptions.SSLError:
        # A registry without TLS, or one with a certificate of its own.
        with contextlib.suppress(requests.exceptions.RequestException):
            return session.get(f"http://{path}", timeout=timeout)
    except requests.exceptions.RequestException as error:
        raise RegistryError(
            f"The registry {host} cannot be reached ({_root_cause(error)}): "
            "start it, or mend image_registry."
        ) from error
    return None


def _let_in(
    session: requests.Session,
    challenge: requests.Response,
    credentials: Credentials,
    timeout: float,
) -> bool:
    header = challenge.headers.get("WWW-Authenticate", "")
    kind = header.partition(" ")[0].lower()
    parameters = dict(_CHALLENGE_PARAMETER.findall(header))
    address, query = challenge.url, {}
    if kind == "bearer":
        address = parameters.get("realm", "")
        query = {"service": parameters.get("service", ""), "account": credentials.username}
    try:
        answer = session.get(
            address,
            params=query,
            auth=(credentials.username, credentials.password),
            timeout=timeout,
        )
    except requests.exceptions.RequestException as error:
        raise RegistryError(
            f"The registry's login at {address or header} cannot be reached ({_root_cause(error)})."
        ) from error
    return answer.status_code not in (requests.codes.unauthorized, requests.codes.forbidden)


def _root_cause(error: BaseException) -> str:
    """Return the innermost reason, without the layers of the libraries."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return _ERROR_NUMBER.sub("", str(reason or error).rpartition(": ")[2])


def explain(reference: str, status: int, explanation: str) -> str | None:
    """Return what an engine's failure to inspect *reference* means, as one sentence.

    *status* is the HTTP status of the engine's answer. None: the registry was asked and
    has no such image.
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
        return f"The registry {host} refuses access to {reference}: {_LOGIN.format(host=host)}."
    cause = explanation.rpartition(": ")[2].strip('"\n ')
    if any(sign in text for sign in _UNREACHABLE):
        return f"The registry {host} cannot be reached ({cause}): start it, or mend image_registry."
    return f"The registry {host} cannot be asked for {reference}: {explanation.strip()}"


def repository_digests(repo_digests: Iterable[str], reference: str) -> list[str]:
    """Return the digests that *reference*'s repository is known to have an image by.

    *repo_digests* is the engine's list: ``registry/name@sha256:…``. The engine leaves
    Docker Hub's name and ``library/`` out.
    """
    wanted = _repository(reference)
    pairs = (entry.partition("@") for entry in repo_digests)
    return sorted(digest for name, _, digest in pairs if _repository(name) == wanted)


def _repository(reference: str) -> str:
    path, _, last = reference.rpartition("/")
    name = f"{path}/{last.partition(':')[0]}" if path else last.partition(":")[0]
    return name.removeprefix("index.").removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")
