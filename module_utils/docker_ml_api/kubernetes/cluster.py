"""Sends requests to one Kubernetes cluster; objects are plain dicts, as in the API's JSON.

The access is that of the user's kubeconfig. Every error of the access is a ClusterError, with one
sentence that names the context and how to fix it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import ssl
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import urllib3
from ansible.module_utils.docker_ml_api.kubernetes import kubeconfig
from ansible.module_utils.docker_ml_api.kubernetes.kubeconfig import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.client import Configuration

Object = dict[str, Any]

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0

UNAUTHORIZED = 401
_REDIRECTION = 300
_CLIENT_ERROR = 400
_NOT_FOUND = 404
_GONE = 410

# Reads can be repeated safely, if the API server sheds load (it states how long to wait) or closed
# a kept connection. A failure to connect is reported immediately.
_RETRIES = urllib3.Retry(
    total=3,
    connect=0,
    read=1,
    redirect=0,
    status=3,
    other=0,
    allowed_methods={"GET"},
    status_forcelist=(),
    raise_on_status=False,
    raise_on_redirect=False,
)


@dataclass(frozen=True)
class Kind:
    """The API path of the objects of one kind."""

    api_version: str
    plural: str
    namespaced: bool = True


KINDS: dict[str, Kind] = {
    "ConfigMap": Kind("v1", "configmaps"),
    "CronJob": Kind("batch/v1", "cronjobs"),
    "DaemonSet": Kind("apps/v1", "daemonsets"),
    "Deployment": Kind("apps/v1", "deployments"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Event": Kind("v1", "events"),
    "Gateway": Kind("gateway.networking.k8s.io/v1", "gateways"),
    "HorizontalPodAutoscaler": Kind("autoscaling/v2", "horizontalpodautoscalers"),
    "Ingress": Kind("networking.k8s.io/v1", "ingresses"),
    "Job": Kind("batch/v1", "jobs"),
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "Node": Kind("v1", "nodes", namespaced=False),
    "PersistentVolume": Kind("v1", "persistentvolumes", namespaced=False),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "Pod": Kind("v1", "pods"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "ReplicaSet": Kind("apps/v1", "replicasets"),
    "ReplicationController": Kind("v1", "replicationcontrollers"),
    "ResourceQuota": Kind("v1", "resourcequotas"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "StatefulSet": Kind("apps/v1", "statefulsets"),
}


class UnreachableError(ClusterError):  # type: ignore[misc]  # Ansible's name hides its type
    """There was no answer; the cluster may be down, or starting."""


class ApiError(ClusterError):  # type: ignore[misc]  # Ansible's name hides its type
    """The API server rejected a request.

    status: the HTTP status.
    reason: Kubernetes's own reason (`NotFound`, `Forbidden`, `Conflict`, …).

    The message is the API server's own.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Set the status, the reason and the message of the API server."""
        super().__init__(message)
        self.status = status
        self.reason = reason


class Cluster:
    """One cluster, accessed as one user."""

    def __init__(self, access: kubeconfig.Access, source: Any = None) -> None:
        """Set the access, and the option that it was read from."""
        self.access = access
        self.name = access.name
        self._source = source
        self._login = kubeconfig.Login(access)
        self._manager: urllib3.PoolManager | None = None
        self._context: ssl.SSLContext | None = None
        # The API server's time at its last answer, from its Date header.
        self.date = ""

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self.access.server)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        *,
        accept: str = "application/json, */*",
    ) -> Any:
        """Send a request and return the answer's JSON, or its text if it is not JSON.

        Raises ApiError if the API server rejects it, ClusterError if there is no answer.
        """
        headers = {"Accept": accept, "User-Agent": "docker-ml-api"}
        if body is not None:
            headers["Content-Type"] = content_type
        response = self._send(method, path, query, body, headers)
        if response.status == UNAUTHORIZED and self.renew():
            response = self._send(method, path, query, body, headers)
        if response.status == UNAUTHORIZED:
            raise ClusterError(
                f"{self.name} does not accept the login of this context: renew it (your cloud's "
                "command that writes the kubeconfig, or a new token), or name another context."
            )
        if response.status >= _CLIENT_ERROR:
            raise _refusal(response)
        if response.status >= _REDIRECTION:
            raise ClusterError(self._no_api())
        if response.headers.get("Content-Type", "").startswith("application/json"):
            try:
                return json.loads(response.data)
            except ValueError as error:
                raise ClusterError(self._no_api()) from error
        return response.data.decode("utf-8", "replace")

    def renew(self) -> bool:
        """Discard the credentials if a command can provide new ones; return whether it can."""
        if not self._login.renewable:
            return False
        self._login.renew()
        # Not closed, as other threads may be about to use its connections.
        self._manager = None
        return True

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._manager is not None:
            # Its own method `clear` leaves this to the garbage collector.
            for key in self._manager.pools.keys():  # noqa: SIM118 - it cannot be iterated
                self._manager.pools[key].close()
            self._manager = None

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str],
    ) -> urllib3.BaseHTTPResponse:
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body)
        sent = urllib3.HTTPHeaderDict(headers)
        sent.extend(self._authorization())
        if self._manager is None:
            self._manager = self._connections()
        try:
            response = self._manager.request(method, url, body=content, headers=sent)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._no_answer(error) from error
        self.date = response.headers.get("Date", "")
        return response

    def credentials(self) -> tuple[list[tuple[str, str]], ssl.SSLContext | None]:
        """Return the headers and the TLS settings for a separate connection (a WebSocket)."""
        if self._manager is None:
            self._manager = self._connections()
        return self._authorization(), self._context

    def kubeconfig(self) -> Object:
        """Return a kubeconfig of this access only; it contains secrets.

        An `exec` plugin is kept, since its credentials may expire before the end of a run.
        """
        user: dict[str, Any] = {}
        if plugin := self._login.plugin():
            user["exec"] = plugin
        else:
            kind, _, proof = self._login_headers().get("Authorization", "").partition(" ")
            if kind == "Basic":
                name, _, password = base64.b64decode(proof).decode().partition(":")
                user |= {"username": name, "password": password}
            elif proof:
                user["token"] = proof
            certificate, key = self._login.certificate()
            if certificate:
                user["client-certificate-data"] = base64.b64encode(certificate.encode()).decode()
                user["client-key-data"] = base64.b64encode(key.encode()).decode()
        alone: Object = kubeconfig.alone(self.access, user)
        return alone

    def _authorization(self) -> list[tuple[str, str]]:
        """Return the headers that authenticate the user; one header for each group."""
        user, groups = self.access.impersonated_user, self.access.impersonated_groups
        impersonation = [("Impersonate-User", user)] if user else []
        impersonation += [("Impersonate-Group", group) for group in groups]
        return [*self._login_headers().items(), *impersonation]

    def _login_headers(self) -> dict[str, str]:
        if not self._login.provider():
            return dict(self._login.headers())
        token = self._provider.get_api_key_with_prefix("authorization")
        return {"Authorization": token} if token else {}

    @cached_property
    def _provider(self) -> Configuration:
        """The official client handles auth-providers; its import takes a second."""
        from kubernetes import client, config  # noqa: PLC0415 - only here, for its time

        configuration = client.Configuration()
        options = {"context": self.access.context, "client_configuration": configuration}
        try:
            if isinstance(self._source, dict):
                config.load_kube_config_from_dict(self._source, **options)
            else:
                config.load_kube_config(self._source or os.environ.get("KUBECONFIG"), **options)
        except Exception as error:  # each provider has its own errors
            raise ClusterError(
                f"{self.name}: the login by the auth-provider {self._login.provider()} fails "
                f"({root_cause(error)}): log in anew, or name another context."
            ) from error
        return configuration

    def _connections(self) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "retries": _RETRIES,
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            "maxsize": 10,
        }
        if self.server.startswith("https:"):
            self._context = options["ssl_context"] = self._tls()
            if self.access.server_name:
                options["server_hostname"] = self.access.server_name
        if not self.access.proxy:
            return urllib3.PoolManager(**options)
        user = urlsplit(self.access.proxy)
        login = (
            urllib3.make_headers(
                proxy_basic_auth=f"{unquote(user.username)}:{unquote(user.password or '')}"
            )
            if user.username
            else None
        )
        return urllib3.ProxyManager(self.access.proxy, proxy_headers=login, **options)

    def _tls(self) -> ssl.SSLContext:
        access = self.access
        certificate, key = self._login.certificate()
        try:
            context = ssl.create_default_context(cadata=access.certificate_authority or None)
            # Clusters' own CAs often violate RFC 5280, and kubectl accepts them, too.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if not access.verify:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if certificate:
                # It can only be loaded from a file, which is private and deleted immediately.
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "login.pem"
                    path.write_text(f"{certificate}\n{key}\n", encoding="ascii")
                    context.load_cert_chain(path, password="")
        except (ssl.SSLError, ValueError) as error:
            raise ClusterError(
                f"{access.place}, context {access.context}: its certificates or key cannot be "
                f"used ({root_cause(error)})."
            ) from error
        return context

    def json(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        *,
        accept: str = "application/json",
    ) -> Object:
        """Send a request whose answer is an object; see `request`."""
        answer = self.request(method, path, query, body, content_type, accept=accept)
        if not isinstance(answer, dict):
            raise ClusterError(self._no_api())
        return answer

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the object, or None if it does not exist."""
        try:
            return self.json("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def list(
        self, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Return the objects of a kind; of all namespaces if none is given.

        labels, fields: selectors, such as `app=hello-web` and `involvedObject.name=hello-web`.
        """
        query: dict[str, Any] = {"limit": 500}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        found: list[Object] = []
        while True:
            try:
                answer = self.json("GET", path_of(kind, namespace), query)
            except ApiError as error:
                if error.status != _GONE or not query.pop("continue", None):
                    raise
                # The snapshot of the pages has expired, so start again.
                found = []
                continue
            found += [
                {"apiVersion": KINDS[kind].api_version, "kind": kind, **item}
                for item in answer.get("items") or []
            ]
            token = answer.get("metadata", {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        """Create the object and return it; raise ApiError with status 409 if it exists."""
        return self.json("POST", path_of(kind, namespace), body=body)

    def patch(
        self, kind: str, namespace: str, name: str, body: Any, *, subresource: str = ""
    ) -> Object:
        """Merge `body` into the object (JSON merge patch) and return the object."""
        path = path_of(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return self.json("PATCH", path, body=body, content_type="application/merge-patch+json")

    def delete(
        self, kind: str, namespace: str, name: str, options: Mapping[str, Any] | None = None
    ) -> bool:
        """Request the deletion of the object; return whether it existed.

        options: those of `DeleteOptions`, such as `preconditions` and `propagationPolicy`.
        """
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **(options or {})}
        try:
            self.request("DELETE", path_of(kind, namespace, name), body=body)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        return True

    def pod_log(
        self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False
    ) -> str:
        """Return the last log lines of a container; empty if the cluster has none."""
        query = {"container": container, "tailLines": lines, "previous": str(previous).lower()}
        try:
            text = str(self.request("GET", f"{path_of('Pod', namespace, pod)}/log", query)).strip()
        except ApiError:
            return ""
        # The kubelet reports this error with status 200.
        return "" if text.startswith("unable to retrieve container logs for ") else text

    def _no_api(self) -> str:
        return (
            f"{self.name}: {self.server} answers, but not as the API of Kubernetes: is it the "
            "server's address, with nothing (a login page, a proxy) before it?"
        )

    def _no_answer(self, error: BaseException) -> ClusterError:
        cause = root_cause(error)
        if isinstance(error, urllib3.exceptions.MaxRetryError):
            error = error.reason or error
        if isinstance(error, urllib3.exceptions.SSLError):
            return ClusterError(
                f"{self.name}: the TLS connection to {self.server} fails ({cause}): write the "
                "context anew with your cluster's tool, so that it has the cluster's certificate "
                "authority."
            )
        by = ""
        if self.access.proxy:
            by = f" by the proxy {self.access.shown_proxy}"
        return UnreachableError(
            f"{self.name} cannot be reached at {self.server}{by} ({cause}): start it, or "
            "name a context that is reachable; 'kubectl config get-contexts' lists them."
        )


def _refusal(response: urllib3.BaseHTTPResponse) -> ApiError:
    status: Any = {}
    with contextlib.suppress(ValueError):
        status = json.loads(response.data)
    if not isinstance(status, dict):
        status = {}
    message = str(status.get("message") or response.reason or f"HTTP status {response.status}")
    return ApiError(response.status, str(status.get("reason") or ""), message)


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """Return the API's path of a kind's collection, or of one object."""
    where = KINDS[kind]
    parts = ["api" if where.api_version == "v1" else "apis", where.api_version]
    if where.namespaced and namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(where.plural)
    if name:
        parts.append(quote(name, safe=":"))
    return "/" + "/".join(parts)


def root_cause(error: BaseException) -> str:
    """Return the root cause of a chain of errors, without the wrapping of the libraries."""
    cause: BaseException = error
    while True:
        reason = getattr(cause, "reason", None)
        below = (
            reason if isinstance(reason, BaseException) else cause.__cause__ or cause.__context__
        )
        if below is None or below is cause:
            break
        cause = below
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__


def connect(params: Mapping[str, Any]) -> Cluster:
    """Return the cluster of the options `kubeconfig` and `context`, without sending a request.

    The kubeconfig defaults to that of E(KUBECONFIG) or ~/.kube/config, the context to the
    kubeconfig's current context. Raises ClusterError.
    """
    source = params.get("kubeconfig") or None
    access = kubeconfig.access(kubeconfig.load(source), params.get("context") or "")
    return Cluster(access, source)
