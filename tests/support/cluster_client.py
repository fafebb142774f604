"""A client for frequent requests to a cluster, cheaper than starting kubectl."""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from kubernetes import client, config, dynamic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Distinguishes the tests' requests from those of the product, like kubectl's user agent.
USER_AGENT = "kubectl (tests)"


class _UnknownError(Exception):
    """The client does not support the request; kubectl may."""


class _Arguments(argparse.ArgumentParser):
    """The supported arguments of `kubectl get`; others raise _UnknownError."""

    def error(self, message: str) -> NoReturn:
        raise _UnknownError(message)


def _arguments() -> _Arguments:
    parser = _Arguments(add_help=False, allow_abbrev=False)
    parser.add_argument("kinds")
    parser.add_argument("name", nargs="?")
    parser.add_argument("-n", "--namespace")
    parser.add_argument("-l", "--selector", dest="label_selector")
    parser.add_argument("--field-selector")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("--show-managed-fields", action="store_true")
    return parser


_ARGUMENTS = _arguments()


class Client:
    """The API of a cluster; discovered resources are cached in a folder."""

    def __init__(self, kubeconfig: Path, context: str, folder: Path) -> None:
        api = config.new_client_from_config(str(kubeconfig), context)
        api.user_agent = USER_AGENT
        self._pools = api.rest_client.pool_manager.pools
        discovered = tempfile.mkdtemp(dir=folder)
        self._dynamic = dynamic.DynamicClient(api, cache_file=f"{discovered}/resources.json")

    def close(self) -> None:
        """Close the connections.

        An unclosed one is a warning, and so an error, in whichever test runs when it is collected.
        """
        for key in self._pools.keys():  # noqa: SIM118 - it cannot be iterated
            self._pools[key].close()

    def get(self, arguments: Sequence[str]) -> dict[str, Any] | None:
        """Return the objects that `kubectl get` with these arguments finds, as in the API.

        The result is None if kubectl must be used. Raises AssertionError if the API refuses.
        """
        try:
            asked = _ARGUMENTS.parse_args(arguments)
            resources = [self._resource(kind) for kind in asked.kinds.split(",")]
        except _UnknownError:
            return None
        named = asked.namespace or asked.all_namespaces
        if not named and any(one.namespaced for one in resources):
            return None  # only kubectl applies the context's namespace
        found = [self._ask(resource, asked) for resource in resources]
        if asked.name:
            return found[0]
        items = [item for answer in found for item in answer["items"]]
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def create(self, path: str, document: dict[str, Any]) -> None:
        """Create an object in a collection."""
        self._request("post", path, document)

    def delete(self, path: str) -> None:
        """Delete an object if it exists, without waiting."""
        with contextlib.suppress(FileNotFoundError):
            self._request("delete", path)

    def text(self, path: str) -> str:
        """Return the API's raw response."""
        return self._request("get", path).decode()

    def _request(self, method: str, path: str, body: Any = None) -> bytes:
        try:
            answer = self._dynamic.request(method, path, body, serialize=False)
            # Only once it is read, its connection is used again, and closed by `close`: until then
            # it belongs to the answer, which the client keeps as last_response.
            content: bytes = answer.data
        except client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise FileNotFoundError(path) from error
            raise AssertionError(f"{method} {path}: {error.body}") from error
        return content

    def _resource(self, called: str) -> dynamic.Resource:
        found = [
            one
            for one in self._dynamic.resources.search()
            if type(one) is dynamic.Resource
            and called.lower() in (one.name, one.singular_name, one.kind.lower())
            and "/" not in one.name
        ]
        # A resource may also exist in an old API group.
        found.sort(key=lambda one: (one.group not in ("", "apps"), not one.preferred))
        if not found:
            raise _UnknownError(called)
        return found[0]

    def _ask(self, resource: dynamic.Resource, asked: argparse.Namespace) -> dict[str, Any]:
        namespace = asked.namespace if resource.namespaced and not asked.all_namespaces else None
        selectors = ("label_selector", "field_selector")
        options = {name: getattr(asked, name) for name in selectors if getattr(asked, name)}
        try:
            answer = resource.get(asked.name, namespace, serialize=False, **options)
        except client.ApiException as error:
            raise AssertionError(f"{resource.kind} {asked.name or ''}: {error.body}") from error
        found: dict[str, Any] = json.loads(answer.data)
        for item in found.get("items", [found]):
            item.setdefault("apiVersion", resource.group_version)
            item.setdefault("kind", resource.kind)
            if not asked.show_managed_fields:
                item["metadata"].pop("managedFields", None)
        return found


_MOST = 2
_clients: dict[tuple[Any, ...], Client] = {}


def of(kubeconfig: Path, context: str, folder: Path) -> Client:
    """Return the client of a context, kept as long as the kubeconfig is unchanged."""
    status = kubeconfig.stat()
    key = (kubeconfig, context, folder, status.st_ino, status.st_mtime_ns)
    if key not in _clients:
        if len(_clients) == _MOST:
            _clients.pop(next(iter(_clients))).close()
        _clients[key] = Client(kubeconfig, context, folder)
    return _clients[key]


def close() -> None:
    """Close the clients of this process."""
    while _clients:
        _clients.popitem()[1].close()
