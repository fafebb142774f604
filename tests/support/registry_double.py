"""A double of a registry's HTTP API, and pushing images to a real registry without an engine."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from support import loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

# Status, headers, body.
Answer = tuple[int, dict[str, str], bytes]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Request:
    """A request, with the requested host."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    form: dict[str, list[str]]

    @property
    def host(self) -> str:
        return self.headers["Host"]

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


@dataclass
class Double:
    """The double's address and the received requests, in order."""

    host: str
    requests: list[Request] = field(default_factory=list)

    def asked(self) -> list[str]:
        """Return the requests as 'METHOD path'."""
        return [f"{request.method} {request.path}" for request in self.requests]


@contextlib.contextmanager
def serving(
    answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None
) -> Iterator[Double]:
    """Serve HTTP on a loopback port during the context."""
    double = Double("")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # With Nagle's algorithm, a body waits 40 ms for the acknowledgement of its headers.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            request = Request(
                self.command,
                url.path,
                urllib.parse.parse_qs(url.query),
                dict(self.headers),
                urllib.parse.parse_qs(body),
            )
            double.requests.append(request)
            status, headers, content = answer(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_POST = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    double.host = f"127.0.0.1:{server.server_address[1]}"
    with loopback.answering(server):
        yield double


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put_image(base: str, repository: str, tag: str, **options: Any) -> str:
    """Push a tiny image to the registry at *base*, http://HOST, and return its digest."""
    layer = repository.encode()
    config = b"{}"
    for blob in (layer, config):
        upload = requests.post(f"{base}/v2/{repository}/blobs/uploads/", timeout=10, **options)
        upload.raise_for_status()
        requests.put(
            upload.headers["Location"],
            params={"digest": digest_of(blob)},
            data=blob,
            timeout=10,
            **options,
        ).raise_for_status()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest_of(layer),
                "size": len(layer),
            }
        ],
    }
    return put_manifest(base, repository, tag, MANIFEST, document, **options)


def put_manifest(
    base: str, repository: str, tag: str, kind: str, document: dict[str, Any], **options: Any
) -> str:
    """Push a manifest or an index and return its digest."""
    content = json.dumps(document).encode()
    requests.put(
        f"{base}/v2/{repository}/manifests/{tag}",
        data=content,
        headers={"Content-Type": kind},
        timeout=10,
        **options,
    ).raise_for_status()
    return digest_of(content)
