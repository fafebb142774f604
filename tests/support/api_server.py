"""A server for API server responses that a real cluster does not produce on demand."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from support import loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Request:
    """A request; the values of a repeated header are joined by newlines."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """A response: JSON, unless the body is bytes; without a status, the connection is closed."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, reason: str, message: str, **headers: str) -> Answer:
    """Return an error response of an API server."""
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message}
    return Answer(body, status, headers)


@dataclass
class ApiServer:
    """The server's URL and the received requests."""

    url: str
    requests: list[Request]

    def kubeconfig(self, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
        """Return a kubeconfig whose context `here` refers to this server."""
        return kubeconfig(self.url, user, **cluster)


def kubeconfig(
    server: str, user: dict[str, Any] | None = None, context: str = "here", **cluster: Any
) -> dict[str, Any]:
    """Return a kubeconfig with one context; keys in `cluster` have underscores for hyphens."""
    values = {key.replace("_", "-"): value for key, value in cluster.items()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": f"{context}-c", "cluster": {"server": server, **values}}],
        "users": [{"name": f"{context}-u", "user": user or {}}],
        "contexts": [
            {"name": context, "context": {"cluster": f"{context}-c", "user": f"{context}-u"}}
        ],
        "current-context": context,
    }


def plugin_giving(folder: Path, *tokens: str) -> dict[str, Any]:
    """A user whose `exec` plugin gives one token after the other; `folder` keeps the rest."""
    (folder / "tokens").write_text("\n".join(tokens))
    code = (
        "import json, pathlib\n"
        f"path = pathlib.Path({str(folder / 'tokens')!r})\n"
        "first, _, rest = path.read_text().partition('\\n')\n"
        "path.write_text(rest)\n"
        "print(json.dumps({'apiVersion': 'v1', 'status': {'token': first}}))"
    )
    return {"exec": {"apiVersion": "v1", "command": sys.executable, "args": ["-c", code]}}


@contextlib.contextmanager
def serving(
    respond: Callable[[Request], Answer | None], tls: ssl.SSLContext | None = None
) -> Iterator[ApiServer]:
    """Answer with `respond` during the context; on None, the connection is closed."""
    requests: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # With Nagle's algorithm, a body waits 40 ms for the acknowledgement of its headers.
        disable_nagle_algorithm = True
        # An idle connection must not keep the server running.
        timeout = 5

        def log_message(self, *_: object) -> None:
            pass

        def respond(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query)),
                {key.lower(): "\n".join(self.headers.get_all(key, [])) for key in self.headers},
                json.loads(content) if content else None,
            )
            requests.append(request)
            answer = respond(request)
            if answer is None:
                self.close_connection = True
                return
            raw = isinstance(answer.body, bytes)
            body = answer.body if raw else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", **answer.headers}
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        # The names that http.server requires.
        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore errors: in some tests, clients disconnect on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    with loopback.answering(server):
        yield ApiServer(f"{scheme}://127.0.0.1:{server.server_port}", requests)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 with its key, as PEM files."""

    certificate: Path
    key: Path

    def server(self, *, clients: Path | None = None) -> ssl.SSLContext:
        """Return a server's TLS context; `clients`: the accepted client certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_certificate(folder: Path, name: str, address: str = "127.0.0.1") -> Certificate:
    """Create a certificate."""
    openssl = shutil.which("openssl")
    assert openssl, "These tests need certificates: apt-get install openssl"
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"),
            *("-out", str(made.certificate), "-keyout", str(made.key)),
        ],
        check=True,
        capture_output=True,
    )
    return made
