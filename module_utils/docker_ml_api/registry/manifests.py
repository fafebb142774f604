"""Looks up the digests of images in registries over HTTP, without an engine.

According to https://github.com/opencontainers/distribution-spec/blob/main/spec.md and, for logins,
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import hashlib
import http
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
import urllib3
from ansible.module_utils.docker_ml_api.registry.access import (
    DOCKER_HUB,
    Challenge,
    Credentials,
    RegistryError,
    anonymous_session,
    ask_api,
    ask_token,
    grant,
    is_google,
    is_loopback,
    root_cause,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = {"Accept": ", ".join(INDEX_TYPES + MANIFEST_TYPES)}
_DIGEST = re.compile("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_COMPONENT = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(f"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# Number of images that are looked up at a time.
_CONCURRENCY = 8
_VARIABLES = "IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD"


@dataclass(frozen=True)
class Reference:
    """The location of an image: ``registry.example.com:5000``, ``team/diabetes``, ``v1``.

    *version*: a tag or a digest.
    """

    host: str
    repository: str
    version: str

    @property
    def name(self) -> str:
        """The image's name in its registry."""
        return f"{self.repository}{'@' if ':' in self.version else ':'}{self.version}"

    @property
    def path(self) -> str:
        """The repository in URLs of the registry's API."""
        if self.host == DOCKER_HUB and "/" not in self.repository:
            return f"library/{self.repository}"
        return self.repository


@dataclass(frozen=True)
class Manifest:
    """The manifest of a reference.

    *platforms*: those of an index, as ``linux/amd64`` or ``linux/arm64/v8``; empty for an image.
    """

    digest: str
    media_type: str
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trust:
    """Which certificates are accepted.

    *validate_certs*: if false, a registry may have any certificate, or no TLS; for registries on
    this machine this is always allowed. *ca_path*: path of a bundle; if empty, the default of
    requests, which honours REQUESTS_CA_BUNDLE.
    """

    validate_certs: bool = True
    ca_path: str = ""


def parse(reference: str) -> Reference:
    """Split a reference as the engine does; the tag defaults to ``latest``.

    Raises RegistryError.
    """
    host, slash, path = reference.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = DOCKER_HUB, reference
    if host == f"index.{DOCKER_HUB}":
        host = DOCKER_HUB
    tagged, at, digest = path.partition("@")
    repository, colon, tag = tagged.partition(":")
    if (
        not _REPOSITORY.fullmatch(repository)
        or (colon and not _TAG.fullmatch(tag))
        or (at and not _DIGEST.fullmatch(digest))
    ):
        raise RegistryError(
            f"{reference!r} is no image's reference, as registry.example.com/team/diabetes:v1 is."
        )
    return Reference(host, repository, digest or tag or "latest")


class Registry:
    """One registry, accessed with one login."""

    def __init__(
        self, host: str, credentials: Credentials | None, trust: Trust, timeout: float
    ) -> None:
        """Set the host with its port, the credentials, and the timeout of each request."""
        self.host = host
        self.credentials = credentials
        self.timeout = timeout
        self._insecure = not trust.validate_certs or is_loopback(host)
        self._verify: bool | str | None = trust.ca_path or None
        if self._insecure and not trust.ca_path:
            self._verify = False
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._address = ""
        self._challenge: Challenge | None = None

    def enter(self) -> None:
        """Determine how the registry is accessed and which login it requires.

        Raises RegistryError.
        """
        with anonymous_session() as session:
            answer = self._ask_api(session)
        self._address = answer.url.rstrip("/")
        if answer.status_code == requests.codes.unauthorized:
            self._challenge = Challenge.of(answer)

    def _ask_api(self, session: requests.Session) -> requests.Response:
        answer: requests.Response
        try:
            answer = ask_api(session, "https", self.host, self.timeout, verify=self._verify)
        except requests.exceptions.SSLError as error:
            if not self._insecure:
                raise RegistryError(
                    f"The registry {self.host} has no certificate that is trusted here "
                    f"({root_cause(error)}): name the file of its CA in REQUESTS_CA_BUNDLE."
                ) from error
            answer = ask_api(session, "http", self.host, self.timeout)
        return answer

    def manifest(self, reference: Reference) -> Manifest:
        """Return the manifest of a reference; call `enter` before.

        Raises RegistryError.
        """
        with anonymous_session() as session:
            if self._challenge:
                self._log_in(session, self._challenge, reference)
            answer = self._ask(session, "HEAD", reference)
            media_type = _media_type(answer)
            digest = answer.headers.get("Docker-Content-Digest", "")
            complete = media_type and _DIGEST.fullmatch(digest)
            if complete and media_type not in INDEX_TYPES:
                return Manifest(digest, media_type)
            answer = self._ask(session, "GET", reference)
            if not complete:
                media_type = _media_type(answer)
                digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
            platforms = self._platforms(answer, reference) if media_type in INDEX_TYPES else ()
            return Manifest(digest, media_type, platforms)

    def _ask(
        self, session: requests.Session, method: str, reference: Reference
    ) -> requests.Response:
        """Return the answer for a manifest: 200, or 405 if HEAD is not supported."""
        answer = self._send(session, method, reference)
        if answer.status_code == requests.codes.unauthorized and not _logged_in(session):
            # Anonymous access is allowed, but not to all repositories.
            self._log_in(session, Challenge.of(answer), reference)
            answer = self._send(session, method, reference)
        status = answer.status_code
        if status == requests.codes.ok or (
            method == "HEAD" and status == requests.codes.method_not_allowed
        ):
            return answer
        if status == requests.codes.not_found:
            raise RegistryError(
                f"{self.host} has no {reference.name}: push it first, "
                "ansible-playbook site.yml --tags images (image_registry names the registry)."
            )
        if status == requests.codes.unauthorized and Challenge.of(answer).kind == "basic":
            raise self._refusal()
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            fix = grant() if is_google(self.host) and self.credentials else self._remedy
            raise RegistryError(
                f"The registry {self.host} has no {reference.name} that {self._reader} may see: "
                f"correct image_registry, push the image, or {fix}."
            )
        raise RegistryError(
            f"The registry {self.host} answers {_status_line(answer)} about {reference.name}."
        )

    def _send(
        self, session: requests.Session, method: str, reference: Reference
    ) -> requests.Response:
        address = f"{self._address}/{reference.path}/manifests/{reference.version}"
        try:
            return session.request(
                method, address, headers=_ACCEPT, timeout=self.timeout, verify=self._verify
            )
        except requests.exceptions.RequestException as error:
            raise RegistryError(
                f"The registry {self.host} does not answer about {reference.name} "
                f"({root_cause(error)})."
            ) from error

    def _log_in(
        self, session: requests.Session, challenge: Challenge, reference: Reference
    ) -> None:
        """Set the session's credentials as required by the challenge; raise RegistryError."""
        if challenge.kind == "bearer":
            token = self._token(session, challenge, reference)
            session.headers["Authorization"] = f"Bearer {token}"
        elif self.credentials:
            login = f"{self.credentials.username}:{self.credentials.password}".encode()
            session.headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        else:
            raise self._refusal()

    def _token(self, session: requests.Session, challenge: Challenge, reference: Reference) -> str:
        """Return a token to read the repository, anonymous without credentials."""
        scope = f"repository:{reference.path}:pull"
        answer = ask_token(
            session, challenge, self.credentials, self.timeout, scope=scope, verify=self._verify
        )
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise self._refusal()
        try:
            document = answer.json() if answer.ok else {}
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise RegistryError(
                f"The registry {self.host} gives no token: its login answers "
                f"{_status_line(answer)}."
            ) from error

    @property
    def _reader(self) -> str:
        if not self.credentials:
            return "everybody"
        return self.credentials.username or "the stored login"

    @property
    def _remedy(self) -> str:
        login = f"docker login {self.host}"
        if not self.credentials:
            return f"set {_VARIABLES}, or run: {login}"
        if self.credentials.stored:
            return f"run: {login}, or set {_VARIABLES}"
        return f"correct {_VARIABLES}"

    def _refusal(self) -> RegistryError:
        if not self.credentials:
            return RegistryError(f"The registry {self.host} wants a login: {self._remedy}.")
        return RegistryError(
            f"The registry {self.host} refuses the login of {self._reader}: {self._remedy}."
        )

    def _platforms(self, answer: requests.Response, reference: Reference) -> tuple[str, ...]:
        """Return the platforms of an index, in its order."""
        try:
            entries = [entry.get("platform") or {} for entry in answer.json()["manifests"]]
            parts = [
                [entry.get(part) for part in ("os", "architecture", "variant")] for entry in entries
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(
                f"The registry {self.host} answers with no index of images about {reference.name}."
            ) from error
        names = ["/".join(str(part) for part in given if part) for given in parts]
        # Entries that are not images, such as provenance, have an unknown platform.
        return tuple(dict.fromkeys(name for name in names if name not in ("", "unknown/unknown")))


def _logged_in(session: requests.Session) -> bool:
    return "Authorization" in session.headers


def _media_type(answer: requests.Response) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _status_line(answer: requests.Response) -> str:
    try:
        return f"{answer.status_code} {http.HTTPStatus(answer.status_code).phrase}"
    except ValueError:
        return str(answer.status_code)


def look_up(
    references: Iterable[str],
    credentials: Callable[[str], Credentials | None],
    trust: Trust,
    timeout: float,
) -> tuple[dict[str, Manifest], list[str]]:
    """Look up each reference in its registry.

    *credentials*: returns those of a host. Returns the manifests that were found, and a sentence
    for each problem. A registry that cannot be reached at all is reported once.
    """
    found: dict[str, Manifest] = {}
    problems: list[str] = []
    wanted: dict[str, Reference] = {}
    for reference in references:
        try:
            wanted[reference] = parse(reference)
        except RegistryError as error:
            problems.append(str(error))
    registries: dict[str, Registry] = {}
    for host in dict.fromkeys(entry.host for entry in wanted.values()):
        registry = Registry(host, credentials(host), trust, timeout)
        try:
            registry.enter()
            registries[host] = registry
        except RegistryError as error:
            problems.append(str(error))
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        answers = {
            reference: pool.submit(registries[entry.host].manifest, entry)
            for reference, entry in wanted.items()
            if entry.host in registries
        }
    for reference, answer in answers.items():
        try:
            found[reference] = answer.result()
        except RegistryError as error:
            problems.append(str(error))
    return found, list(dict.fromkeys(problems))
