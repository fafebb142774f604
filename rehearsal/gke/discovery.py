"""Google's discovery documents: resolving a request to an API method, and validating it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from rehearsal.gke.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DOCUMENTS = {
    "container.googleapis.com": ("container.v1",),
    "compute.googleapis.com": ("compute.v1",),
    "serviceusage.googleapis.com": ("serviceusage.v1",),
    "iamcredentials.googleapis.com": ("iamcredentials.v1",),
    "oauth2.googleapis.com": ("oauth2.v2",),
    "www.googleapis.com": ("compute.v1", "oauth2.v2"),
    "artifactregistry.googleapis.com": ("artifactregistry.v1",),
    "cloudresourcemanager.googleapis.com": ("cloudresourcemanager.v1", "cloudresourcemanager.v3"),
    "iam.googleapis.com": ("iam.v1",),
}
HOSTS = tuple(_DOCUMENTS)
"""The hosts that the double emulates."""

_READ_BY_POST = re.compile(
    r"^iamcredentials\.|^oauth2\.|testIamPermissions$|getIamPolicy$|Policies:lint|query\w*$"
)
_PLACEHOLDER = re.compile(r"\{(\+?)(\w+)\}")


class InvalidRequest(Exception):  # noqa: N818 - the client's error
    """Google would reject the request with 400; the exception's text is the message."""


@dataclass(frozen=True)
class Meant:
    """The method that a request resolves to, with the values in its path."""

    method: Method
    params: Mapping[str, str]
    """Values by the names of the method's parameters: {"name": "projects/p/locations/l"}."""
    pieces: Mapping[str, str]
    """Values by the names in the flat path: {"projectsId": "p", "locationsId": "l"}."""


@dataclass(frozen=True)
class Method:
    """A method of an API, as described by its discovery document."""

    document: Document
    resource: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The method's ID: "container.projects.locations.clusters.get"."""
        return str(self.resource["id"])

    @property
    def scopes(self) -> Sequence[str]:
        """The accepted OAuth scopes; a token needs one of them."""
        return tuple(self.resource.get("scopes", ()))

    @property
    def mutating(self) -> bool:
        """Whether the method may change something."""
        return self.resource["httpMethod"] != "GET" and not _READ_BY_POST.search(self.id)

    @cached_property
    def _flat(self) -> re.Pattern[str]:
        return _pattern(self.document.base, self.resource.get("flatPath", self.resource["path"]))

    @cached_property
    def _formal(self) -> re.Pattern[str]:
        return _pattern(self.document.base, self.resource["path"])

    def match(self, path: str) -> Meant | None:
        """Return the values in the path; None if the path belongs to another method."""
        flat, formal = self._flat.match(path), self._formal.match(path)
        if flat is None or formal is None:
            return None
        params = {name: unquote(value) for name, value in formal.groupdict().items()}
        for name, value in params.items():
            if not re.fullmatch(self._parameter(name).get("pattern", ".*"), value):
                return None
        pieces = {name: unquote(value) for name, value in flat.groupdict().items()}
        return Meant(self, params, pieces)

    def query(self, given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return the query's parameters, converted to their types.

        :raises InvalidRequest: a parameter is unknown, of another type, or missing.
        """
        typed: dict[str, Any] = {}
        for name, values in given.items():
            if name in self.document.common_parameters:
                continue
            known = self._parameter(name)
            if known.get("location") != "query":
                raise InvalidRequest(
                    f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query '
                    f"parameter. Field '{name}' could not be found in request message."
                )
            converted = [_typed(name, value, known) for value in values]
            typed[name] = converted if known.get("repeated") else converted[-1]
        for name, known in self.resource.get("parameters", {}).items():
            required = known.get("required") and known["location"] == "query"
            if required and name not in typed:
                raise InvalidRequest(f"Required parameter: {name}")
        return typed

    def check_body(self, body: Any) -> None:
        """Validate the body that the client sent.

        :raises InvalidRequest: a field is unknown or of another type.
        """
        schema = self.resource.get("request")
        if schema is None:
            if body is not None:
                raise InvalidRequest(
                    "Invalid JSON payload received. The method takes no request body."
                )
            return
        problems = self.document.requests.problems(schema["$ref"], {} if body is None else body)
        if problems:
            raise InvalidRequest("\n".join(problems))

    def answer_problems(self, body: Any) -> list[str]:
        """Return the violations of the response schema in an answer of the double."""
        schema = self.resource.get("response")
        if schema is None:
            return [] if body == {} else [f"{self.id} answers with an empty body"]
        return self.document.answers.problems(schema["$ref"], body)

    def _parameter(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.resource.get("parameters", {}).get(name, {})
        return found


class Document:
    """One version of an API."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Initialize with the JSON of a discovery document."""
        self._content = content
        self.api = str(content["name"])
        self.version = str(content["version"])
        self.base = "/" + str(content.get("servicePath", ""))
        self.common_parameters = frozenset(content.get("parameters", {}))

    @cached_property
    def requests(self) -> Schemas:
        """The schemas of requests."""
        return Schemas(self._content, requests=True)

    @cached_property
    def answers(self) -> Schemas:
        """The schemas of responses."""
        return Schemas(self._content, requests=False)

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """All methods by their IDs."""
        return {
            resource["id"]: Method(self, resource) for resource in _resources_methods(self._content)
        }

    @cached_property
    def _by_shape(self) -> Mapping[tuple[str, int], Sequence[Method]]:
        shapes: dict[tuple[str, int], list[Method]] = {}
        for method in self.methods.values():
            resource = method.resource
            flat = self.base + resource.get("flatPath", resource["path"])
            shapes.setdefault((resource["httpMethod"], flat.count("/")), []).append(method)
        for methods in shapes.values():  # most literal text first: c:setLabels
            methods.sort(key=_literal_length, reverse=True)
        return shapes

    def find(self, http_method: str, path: str) -> Meant | None:
        """Return the method that a request resolves to; None if the API has no such method."""
        for method in self._by_shape.get((http_method, path.count("/")), ()):
            if matched := method.match(path):
                return matched
        return None


@cache
def document(name: str) -> Document:
    """Return a document shipped with google-api-python-client, e.g. "container.v1"."""
    folder = resources.files("googleapiclient.discovery_cache.documents")
    return Document(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def documents(host: str) -> Sequence[Document]:
    """Return the APIs of the host; none for a host that the double does not emulate."""
    return [document(name) for name in _DOCUMENTS.get(host, ())]


def find(host: str, http_method: str, path: str) -> Meant | None:
    """Return the method that a request to the host resolves to; None if there is no such method."""
    for name in _DOCUMENTS.get(host, ()):
        if host == "www.googleapis.com" and name == "compute.v1" and "/compute/" not in path:
            continue  # loading this large document takes time
        if found := document(name).find(http_method, path):
            return found
    return None


def from_prefix(path: str) -> tuple[str, str]:
    """Return host and path of a plain request whose path begins with the API: /container/v1/….

    The paths of compute already begin with its name: clients send /compute/v1/….
    """
    api, _, rest = path.lstrip("/").partition("/")
    host = f"{api}.googleapis.com"
    if host not in _DOCUMENTS:
        return "", path
    return host, path if api == "compute" else f"/{rest}"


def _resources_methods(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from resource.get("methods", {}).values()
    for nested in resource.get("resources", {}).values():
        yield from _resources_methods(nested)


def _literal_length(method: Method) -> int:
    resource = method.resource
    return len(_PLACEHOLDER.sub("", resource.get("flatPath", resource["path"])))


def _pattern(base: str, template: str) -> re.Pattern[str]:
    """Return the regular expression of a path template: {name} is one segment, {+name} several."""
    written, end = re.escape(base), 0
    for found in _PLACEHOLDER.finditer(template):
        several, name = found.groups()
        written += re.escape(template[end : found.start()])
        written += f"(?P<{name}>{'.+' if several else '[^/]+'})"
        end = found.end()
    return re.compile(f"^{written}{re.escape(template[end:])}$")


def _typed(name: str, value: str, known: Mapping[str, Any]) -> Any:
    kind = known.get("type", "string")
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
        if kind == "boolean":
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
    except (ValueError, KeyError):
        form = known.get("format", kind).upper().replace("BOOLEAN", "BOOL")
        raise InvalidRequest(f"Invalid value at '{name}' (TYPE_{form}), \"{value}\"") from None
    if value not in known.get("enum", [value]):
        raise InvalidRequest(f"Invalid value at '{name}', \"{value}\"")
    return value
