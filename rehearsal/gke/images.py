"""LOCATION-docker.pkg.dev: Artifact Registry's repositories as docker and the kubelet see them.

The images are stored in a real registry. This proxy in front of it adds what is specific to Google:
the login with an access token or an account's key, the check that the repository exists, and the
permissions to push and pull.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests

from rehearsal.gke import accounts
from rehearsal.gke.call import Call
from rehearsal.gke.requestlog import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rehearsal.gke.accounts import Accounts, Token
    from rehearsal.gke.call import Clock, Fault, World
    from rehearsal.gke.faults import Faults
    from rehearsal.gke.frontend import Frontend, Request
    from rehearsal.gke.requestlog import RequestLog

SUFFIX = "-docker.pkg.dev"
API = "docker.pkg.dev"
"""The API's name in the log and in faults; its methods are `pull`, `push` and `login`."""

_READING = ("GET", "HEAD")
_ASKED = re.compile(
    r"/v2/(?P<project>[^/]+)/(?P<name>[^/]+)/(?P<image>.+)/(?P<kind>manifests|blobs|tags)/(?P<rest>.*)"
)
_STORED = re.compile(r"/v2/[^/]+/(?P<path>.*)")
_PERMISSIONS = {"pull": "downloadArtifacts", "push": "uploadArtifacts"}
_GET = "artifactregistry.projects.locations.repositories.get"
_HEADERS = ("accept", "content-type", "content-range", "range")
_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    """The response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Google(Protocol):
    """The parts of the double that the image hosts use."""

    accounts: Accounts
    faults: Faults
    frontend: Frontend
    log: RequestLog

    @property
    def clock(self) -> Clock:
        """The double's clock."""

    @property
    def world(self) -> World:
        """The model of Google's side: projects and their resources."""

    def save(self) -> None:
        """Persist the accounts' tokens and the world."""

    def control(self, verb: str, path: str, arguments: Mapping[str, Any]) -> Any:
        """Handle a request to the double's control API."""


class Images:
    """Answers requests to the hosts that end with SUFFIX.

    registry: URL of the registry that stores the images.
    """

    def __init__(self, double: Google, registry: str) -> None:
        """Initialize with the double, whose accounts, world and log are used."""
        self._double = double
        self._registry = registry.rstrip("/")

    def handle(self, request: Request) -> Reply:
        """Answer a request and log it."""
        double = self._double
        entry = Entry(double.clock.now(), request.http_method, request.host, request.path, api=API)
        reply = self._answered(request, entry)
        entry.status = reply.status
        double.log.add(entry)
        return reply

    def _answered(self, request: Request, entry: Entry) -> Reply:
        path = urlsplit(request.path).path
        entry.method_id = "login"
        if path == "/v2/token":
            return self._token(request, entry)
        token = self._double.accounts.find(_words(request, "bearer"))
        if token is None:
            return _unauthorized(request.host)
        entry.caller = token.email
        if path == "/v2/":
            return Reply(200, b"{}")
        asked = _ASKED.fullmatch(path)
        if asked is None:
            return _refused(404, "NAME_UNKNOWN", "Invalid image name.")
        entry.method_id = "pull" if request.http_method in _READING else "push"
        entry.mutating = entry.method_id == "push"
        return self._of_repository(request, entry, asked, token)

    def _token(self, request: Request, entry: Entry) -> Reply:
        """Return a token for a login with an access token or the key of an account."""
        account = self._account(*_login(request))
        if account is None:
            return _refused(401, "UNAUTHORIZED", "authentication failed")
        entry.caller = account
        known = self._double.accounts
        given = known.issue(account, (accounts.CLOUD_PLATFORM,))
        self._double.save()
        return _json(200, {"token": given.value, "expires_in": known.seconds_left(given)})

    def _account(self, user: str, password: str) -> str | None:
        if user == "oauth2accesstoken":
            token = self._double.accounts.find(password)
            return token.email if token and accounts.CLOUD_PLATFORM in token.scopes else None
        if user == "_json_key_base64":
            try:
                password = base64.b64decode(password, validate=True).decode()
            except ValueError:
                return None
        if user not in ("_json_key", "_json_key_base64"):
            return None
        try:
            return self._double.accounts.owner(json.loads(password))
        except ValueError:
            return None

    def _of_repository(
        self, request: Request, entry: Entry, asked: re.Match[str], token: Token
    ) -> Reply:
        location = request.host.removesuffix(SUFFIX)
        project, name, image = asked["project"], asked["name"], asked["image"]
        repository = f"projects/{project}/locations/{location}/repositories/{name}"
        permission = f"artifactregistry.repositories.{_PERMISSIONS[entry.method_id]}"
        fault = self._double.faults.take(API, entry.method_id)
        if fault is not None:
            entry.fault = fault.kind
        if permission in self._denied(token) or (fault and fault.kind == "permission-denied"):
            said = (
                f'Permission "{permission}" denied on resource "{repository}" (or it may not exist)'
            )
            return _refused(403, "DENIED", said)
        if fault:
            return _affected(fault)
        store = self._store(repository, token)
        if not store:
            return _refused(404, "NAME_UNKNOWN", f'Repository "{name}" not found')
        stored = f"/v2/{store}/{image}/{asked['kind']}/{asked['rest']}"
        reply = self._forward(request, stored, f"{project}/{name}")
        if asked["kind"] == "manifests" and reply.status == requests.codes.created:
            self._double.control("POST", "world/push", {"repository": repository, "image": image})
        return reply

    def _denied(self, token: Token) -> list[str]:
        denied = self._double.world.dump().get("chosen", {}).get("denied", {})
        return [*denied.get(token.email, ()), *denied.get("*", ())]

    def _store(self, repository: str, token: Token) -> str:
        """Return where a repository's images are stored; empty if the repository does not exist."""
        call = Call("artifactregistry", _GET, {"name": repository}, None, token.email)
        with self._double.frontend.lock:
            if self._double.world.call(call).status != requests.codes.ok:
                return ""
            images: dict[str, dict[str, str]] = self._double.world.dump()["images"]
        return images[repository]["store"]

    def _forward(self, request: Request, path: str, shown: str) -> Reply:
        """Forward the request to the registry; map paths in the response back to Google's."""
        query = urlsplit(request.path).query
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        with requests.Session() as session:
            # Neither proxy settings nor ~/.netrc apply to the local registry.
            session.trust_env = False
            answer = session.request(
                request.http_method,
                f"{self._registry}{path}{'?' if query else ''}{query}",
                data=request.body,
                headers=headers,
                timeout=_SECONDS,
                allow_redirects=False,
            )
        back = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in ("connection", "date", "transfer-encoding", "location")
        }
        if location := answer.headers.get("Location"):
            place = urlsplit(location)
            found = _STORED.fullmatch(place.path)
            rest = found["path"] if found else ""
            back["Location"] = f"https://{request.host}/v2/{shown}/{rest}?{place.query}".rstrip("?")
        return Reply(answer.status_code, answer.content, back)


def _affected(fault: Fault) -> Reply:
    if fault.kind == "rate-limit":
        return _refused(429, "TOOMANYREQUESTS", fault.message or "Quota exceeded.")
    return _refused(503, "UNAVAILABLE", fault.message or "The service is currently unavailable.")


def _words(request: Request, kind: str) -> str:
    first, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if first.lower() == kind else ""


def _login(request: Request) -> tuple[str, str]:
    try:
        text = base64.b64decode(_words(request, "basic"), validate=True).decode()
    except (ValueError, binascii.Error):
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(
        status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


def _refused(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Reply:
    return _json(status, {"errors": [{"code": code, "message": message}]}, headers)


def _unauthorized(host: str) -> Reply:
    challenge = f'Bearer realm="https://{host}/v2/token",service="{host}"'
    return _refused(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
