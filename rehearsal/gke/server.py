"""The sockets: a proxy that terminates TLS for Google's hosts, and a plain HTTP server."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import traceback
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from rehearsal.gke import discovery, frontend, images, layout
from rehearsal.gke.requestlog import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedIOBase

    from rehearsal.gke.double import Double

_HOST = "rehearsal.host"
"""The key in the WSGI environment of the host that a client requested from the proxy."""
_IDLE_SECONDS = 30


class _Handler(WSGIRequestHandler):
    """Handles plain HTTP with persistent connections, like Google's servers."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    # With Nagle's algorithm, the end of a response would wait for the acknowledgement of its
    # beginning.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Register the connection, which the server closes when it stops."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Unregister the connection."""
        super().finish()
        self.server.connections.discard(self.connection)

    def run_wsgi(self) -> None:
        """Answer one request; werkzeug's method would close the connection afterwards."""
        request = HttpRequest(self.make_environ())
        # Read the whole body, as the next request follows it.
        request.get_data()
        try:
            response = respond(self.server.double, request)
        except ConnectionResetError:
            self.close_connection = True
            return
        except Exception:  # noqa: BLE001 - whatever is wrong with the double, its client is told
            response = Response(f"{traceback.format_exc()}\n", status=500)
        self.send_response(response.status_code)
        for name, value in response.get_wsgi_headers(request.environ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.get_data())
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Do nothing: requests are in the request log."""


class _ProxyHandler(_Handler):
    """Handles CONNECT, then HTTP over TLS."""

    connected = ""

    def do_CONNECT(self) -> None:  # noqa: N802 - the method's name
        """Act as the requested host if it is one of Google's."""
        host, _, port = self.path.rpartition(":")
        if not self._stands_for(host) or port != "443":
            self._refuse(host)
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            encrypted = self.server.tls.wrap_socket(self.connection, server_side=True)
        except OSError as error:
            self._log(host, 0, f"TLS: {error}")
            self.close_connection = True
            return
        self.server.connections.discard(self.connection)
        self.server.connections.add(encrypted)
        self.connection = self.request = encrypted
        self.rfile = encrypted.makefile("rb", -1)
        self.wfile = cast("BufferedIOBase", encrypted.makefile("wb", 0))
        self.connected = host
        self.close_connection = False

    def handle(self) -> None:
        """Handle requests until the connection ends."""
        try:
            super().handle()
        except ssl.SSLError as error:  # for example, a client that does not trust the CA
            self._log(self.connected, 0, f"TLS: {error}")

    def run_wsgi(self) -> None:
        """Answer a request inside a tunnel; reject any other."""
        if self.connected:
            super().run_wsgi()
        else:
            self._refuse(self.path)

    def make_environ(self) -> dict[str, Any]:
        """Return the environment, extended by the host of the tunnel."""
        return {**super().make_environ(), _HOST: self.connected, "wsgi.url_scheme": "https"}

    def finish(self) -> None:
        """Close the TLS connection: the server only knows the underlying one."""
        super().finish()
        if self.connected:
            with suppress(OSError):
                self.connection.close()

    def _stands_for(self, host: str) -> bool:
        return host in discovery.HOSTS or (
            self.server.double.images is not None and host.endswith(images.SUFFIX)
        )

    def _refuse(self, what: str) -> None:
        said = f"The rehearsal has no {what}: only {', '.join(discovery.HOSTS)}.\n".encode()
        self._log(what, 403, "refused: not one of the double's hosts")
        self.send_response(403)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(said)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(said)

    def _log(self, host: str, status: int, message: str) -> None:
        double = self.server.double
        double.log.add(
            Entry(double.clock.now(), self.command, host, self.path, status=status, message=message)
        )


class _Server(ThreadedWSGIServer):
    """A server with the attributes that its handlers need."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, double: Double, host: str, port: int, handler: type[_Handler]) -> None:
        # Without an open socket, werkzeug would exit the process if the address is in use.
        with socket.create_server((host, port), backlog=128) as bound:
            super().__init__(host, port, _unused, handler, fd=bound.fileno())
        self.double = double
        self.connections: set[socket.socket] = set()
        self.tls = double.tls


class Running:
    """Both servers, each running in its own thread."""

    def __init__(
        self,
        double: Double,
        host: str = str(layout.ADDRESS),
        *,
        proxy_port: int = layout.PROXY_PORT,
        plain_port: int = layout.PLAIN_PORT,
    ) -> None:
        """Bind the addresses; port 0 selects a free port.

        :raises OSError: an address is in use.
        """
        self._servers = [_Server(double, host, proxy_port, _ProxyHandler)]
        try:
            self._servers.append(_Server(double, host, plain_port, _Handler))
        except OSError:
            self._servers[0].server_close()
            raise
        self.proxy_url, self.plain_url = (
            f"http://{host}:{server.server_address[1]}" for server in self._servers
        )
        double.plain_url = self.plain_url
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            for server in self._servers
        ]

    def start(self) -> None:
        """Start answering requests."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop answering requests and close all connections."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
            for connection in [*server.connections]:
                with suppress(OSError):
                    # Not SSLSocket.shutdown: TLS connections belong to their own threads.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


def _unused(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Placeholder for the application that werkzeug requires: see _Handler.run_wsgi."""
    raise NotImplementedError


def respond(double: Double, request: HttpRequest) -> Response:
    """Return the response to a request.

    :raises ConnectionResetError: the connection must be closed without a response.
    """
    raw = request.environ["RAW_URI"]
    host = request.environ.get(_HOST, "")
    if not host:
        if request.path == layout.TOKEN_REVIEW_PATH:
            return _json(double.frontend.token_review(request.get_json(silent=True)))
        if request.path.startswith("/control/"):
            return _control(double, request)
        host, raw = discovery.from_prefix(raw)
        if not host:
            return Response("No such path: see rehearsal/gke/README.md.\n", status=404)
    asked = frontend.Request(
        http_method=request.method,
        host=host,
        path=raw,
        headers={name.lower(): value for name, value in request.headers},
        body=request.get_data(),
    )
    if double.images and host.endswith(images.SUFFIX):
        got = double.images.handle(asked)
        return Response(got.body, got.status, dict(got.headers))
    try:
        reply = double.frontend.handle(asked)
    except frontend.Dropped:
        raise ConnectionResetError from None
    if isinstance(reply.body, str):
        return Response(reply.body, reply.status, reply.headers, content_type="text/html")
    return _json(reply.body, reply.status, reply.headers)


def _control(double: Double, request: HttpRequest) -> Response:
    if not ip_address(request.remote_addr or "0.0.0.0").is_loopback:  # noqa: S104 - not bound
        return Response("Only from this machine.\n", status=403)
    arguments = request.get_json(silent=True) or {}
    path = request.path.removeprefix("/control/")
    if request.method == "GET":
        arguments = request.args.to_dict()
    try:
        return _json(double.control(request.method, path, arguments))
    except ValueError as error:
        return Response(f"{error}\n", status=400)


def _json(body: Any, status: int = 200, headers: Any = None) -> Response:
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return Response(f"{text}\n", status, headers, content_type="application/json; charset=UTF-8")
