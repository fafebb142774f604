"""Sends HTTP requests to a pod through the API server, like `kubectl port-forward`.

Each request opens a separate WebSocket to the API server, which connects to the pod's port, and a
port on 127.0.0.1 that the HTTP client connects to. After the answer, no thread or socket is left.

The official client's port-forward is not used, because it modifies the client while connecting, so
that threads interfere with each other, connects without a timeout, and ends its thread with an
exception on unexpected messages from the cluster.
"""

from __future__ import annotations

import base64
import http.client
import json
import selectors
import socket
import threading
import time
import urllib.parse
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import websocket
from ansible.module_utils.docker_ml_api.checks.http import (
    Answer,
    Client,
    Question,
    RequestFailedError,
)
from ansible.module_utils.docker_ml_api.checks.values import one_line
from ansible.module_utils.docker_ml_api.kubernetes.cluster import (
    UNAUTHORIZED,
    Cluster,
    ClusterError,
    path_of,
    root_cause,
)

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

# Each port has two channels: the even one carries data, the odd one errors. The first frame of each
# contains the port number.
PROTOCOL = "v4.channel.k8s.io"
DATA = 0
ERROR = 1

_CHUNK = 65536
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
# Seconds that a client may take to connect to the waiting port.
_GRACE = 1.0


class PodClient:
    """A Client that sends requests to one pod, regardless of the host in the question's URL."""

    def __init__(
        self, cluster: Cluster, namespace: str, pod: str, port: int, client: Client
    ) -> None:
        """Set the pod's port, and the client that sends the requests."""
        self._cluster = cluster
        self._namespace = namespace
        self._pod = pod
        self._port = port
        self._client = client

    def __call__(self, question: Question, timeout: float) -> Answer:
        """Send one request; raise RequestFailedError."""
        start = time.monotonic()
        stream = open_stream(self._cluster, self._namespace, self._pod, self._port, timeout)
        with Forwarder(stream, timeout) as forwarder:
            parts = urllib.parse.urlsplit(question.url)
            place = f"127.0.0.1:{forwarder.port}"
            there = replace(question, url=parts._replace(netloc=place).geturl())
            left = max(timeout - (time.monotonic() - start), 0.001)
            try:
                answer: Answer = self._client(there, left)
            except RequestFailedError as error:
                # The forwarder has ended, or is about to end.
                forwarder.close()
                if forwarder.error:
                    raise explain_error(forwarder.error, self._port) from error
                words = str(error).replace(place, f"its port {self._port}")
                raise RequestFailedError(error.kind, words, heals=error.heals) from error
            return replace(answer, seconds=time.monotonic() - start)


class Forwarder:
    """Accepts one connection to a port on 127.0.0.1 and forwards it over a stream to a pod.

    error: the error reported by the cluster; empty if there is none.
    """

    def __init__(self, stream: websocket.WebSocket, timeout: float) -> None:
        """Take over the stream, which is closed at the end in any case."""
        self.error = ""
        self._stream = stream
        self._timeout = timeout
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and close everything."""
        self.close()
        self._ended.close()

    def close(self) -> None:
        """End the connection if it is open; return when all received data has been read."""
        self._end.close()
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                with self._listener:
                    connection = self._accept(selector)
                if connection is None:
                    return
                with connection:
                    connection.settimeout(self._timeout)
                    self._carry(selector, connection)
            except (OSError, websocket.WebSocketException):
                # One end closed the connection, so the other one is closed as well.
                return
            finally:
                self._stream.shutdown()  # type: ignore[no-untyped-call]

    def _accept(self, selector: selectors.DefaultSelector) -> socket.socket | None:
        """Return the client's connection; None if it does not connect."""
        selector.register(self._ended, selectors.EVENT_READ)
        selector.register(self._listener, selectors.EVENT_READ)
        ready = selector.select(self._timeout + _GRACE)
        selector.unregister(self._listener)
        if any(key.fileobj is self._listener for key, _ in ready):
            return self._listener.accept()[0]
        return None

    def _carry(self, selector: selectors.DefaultSelector, connection: socket.socket) -> None:
        upstream: socket.socket = self._stream.sock  # type: ignore[assignment]
        selector.register(connection, selectors.EVENT_READ)
        selector.register(upstream, selectors.EVENT_READ)
        greeted: set[int] = set()
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if upstream in ready and not self._receive(connection, greeted):
                return
            if self._ended in ready:
                return
            if connection in ready:
                content = connection.recv(_CHUNK)
                if not content:
                    return
                self._stream.send_binary(bytes([DATA]) + content)

    def _receive(self, connection: socket.socket, greeted: set[int]) -> bool:
        """Forward what the pod sent; return whether more may follow."""
        while True:
            opcode, frame = self._stream.recv_data_frame(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return False
            if opcode == websocket.ABNF.OPCODE_BINARY and frame.data:
                channel, content = frame.data[0], frame.data[1:]
                if channel not in greeted:
                    greeted.add(channel)
                elif channel == ERROR:
                    self.error += content.decode(errors="replace")
                    return False
                elif channel == DATA:
                    connection.sendall(content)
            # TLS may have read more than this frame, which the socket does not signal.
            pending = getattr(self._stream.sock, "pending", None)
            if pending is None or not pending():
                return True


def open_stream(
    cluster: Cluster, namespace: str, pod: str, port: int, timeout: float
) -> websocket.WebSocket:
    """Return a WebSocket connected to a port of a pod; raise RequestFailedError.

    timeout: seconds for each step of the connection.
    """
    path = path_of("Pod", namespace, pod) + "/portforward"
    url = f"{cluster.server}{path}?ports={port}".replace("http", "ws", 1)
    try:
        try:
            return _open(cluster, url, timeout)
        except websocket.WebSocketBadStatusException as error:
            if error.status_code != UNAUTHORIZED or not cluster.renew():
                raise
        return _open(cluster, url, timeout)
    except ClusterError as error:
        raise RequestFailedError("forbidden", str(error).rstrip("."), heals=False) from error
    except websocket.WebSocketBadStatusException as error:
        raise explain_refusal(error.status_code, error.resp_body, namespace) from error
    except (TimeoutError, websocket.WebSocketTimeoutException) as error:
        raise RequestFailedError(
            "timed_out", f"the cluster forwarded no port within {timeout:.3g} s", heals=True
        ) from error
    except (OSError, http.client.HTTPException, websocket.WebSocketException) as error:
        raise RequestFailedError(
            "unreachable",
            f"the cluster cannot be reached to forward a port ({root_cause(error)})",
            heals=True,
        ) from error


def _open(cluster: Cluster, url: str, timeout: float) -> websocket.WebSocket:
    stream = websocket.WebSocket()
    headers, context = cluster.credentials()
    stream.connect(  # type: ignore[no-untyped-call]
        url,
        socket=_connect(cluster, context, timeout),
        header=[f"{name}: {value}" for name, value in headers],
        subprotocols=[PROTOCOL],
        suppress_origin=True,
        redirect_limit=0,
    )
    return stream


def _connect(cluster: Cluster, context: ssl.SSLContext | None, timeout: float) -> socket.socket:
    """Return a connection to the API server, through its proxy if it has one.

    websocket-client would use a proxy of the environment even if the kubeconfig's server is
    exempt from it.
    """
    server = urllib.parse.urlsplit(cluster.server)
    host = server.hostname or ""
    port = server.port or (443 if server.scheme == "https" else 80)
    if cluster.access.proxy:
        connection = _through(urllib.parse.urlsplit(cluster.access.proxy), host, port, timeout)
    else:
        connection = socket.create_connection((host, port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return connection
    try:
        return context.wrap_socket(connection, server_hostname=cluster.access.server_name or host)
    except BaseException:
        connection.close()
        raise


def _through(
    proxy: urllib.parse.SplitResult, host: str, port: int, timeout: float
) -> socket.socket:
    """Return a connection through an HTTP proxy; raise OSError."""
    if proxy.scheme != "http":
        raise OSError(f"ports are forwarded by http proxies only, not by {proxy.scheme}")
    login = {}
    if proxy.username:
        words = (
            f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
        )
        login["Proxy-Authorization"] = f"Basic {base64.b64encode(words.encode()).decode()}"
    tunnel = http.client.HTTPConnection(proxy.hostname or "", proxy.port or 80, timeout=timeout)
    try:
        tunnel.set_tunnel(host, port, login)
        tunnel.connect()
    except BaseException:
        tunnel.close()
        raise
    connection: socket.socket = tunnel.sock
    return connection


def explain_refusal(status: int, body: bytes | str | None, namespace: str) -> RequestFailedError:
    """Return the error for a request to forward a port that the API server rejected."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        said = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        said = text
    said = one_line(said, 300) or f"HTTP status {status}"
    if status == _FORBIDDEN:
        return RequestFailedError(
            "forbidden",
            f"this login may not forward ports ({said}): ask the cluster's administrator for get "
            f"and create of pods/portforward in namespace {namespace}",
            heals=False,
        )
    if status == _UNAUTHORIZED:
        return RequestFailedError(
            "forbidden", f"the cluster does not accept this login ({said}): renew it", heals=False
        )
    if status == _NOT_FOUND:
        return RequestFailedError("gone", f"it is gone ({said})", heals=False)
    return RequestFailedError(
        "unreachable", f"the cluster cannot forward to it: {said}", heals=True
    )


def explain_error(text: str, port: int) -> RequestFailedError:
    """Return the error for a message of the cluster on a forwarded port."""
    if "connection refused" in text:
        return RequestFailedError(
            "nothing_listens", f"nothing listens on its port {port}", heals=True
        )
    return RequestFailedError(
        "dropped",
        f"the cluster cannot forward to its port {port}: {one_line(text, 300)}",
        heals=True,
    )
