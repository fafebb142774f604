"""The throw-away CA through which clients trust the double as googleapis.com."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from rehearsal.gke.discovery import HOSTS
from rehearsal.kubernetes import certificates

if TYPE_CHECKING:
    from pathlib import Path

    from rehearsal.gke.layout import Layout

_SERVER = certificates.Subject("googleapis.com", hosts=(*HOSTS, "*.pkg.dev"), client=False)
_CLUSTERS = "gke-clusters.pem"


def ensure(paths: Layout) -> None:
    """Create the CA and the certificates, unless all of them exist."""
    folder = paths.certificates
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if paths.authority.exists():
        return
    authority = certificates.make_authority("docker-ml-api rehearsal of googleapis.com")
    server = certificates.sign(authority, _SERVER)
    _write(folder / "googleapis.key", server.key)
    _write(folder / "googleapis.crt", server.certificate)
    clusters = certificates.make_authority("docker-ml-api rehearsal of GKE clusters")
    _write(folder / _CLUSTERS, clusters.certificate)
    # The CA's key is not stored, so nothing else can ever be signed. Its certificate is written
    # last: it marks the folder as complete.
    new = paths.authority.with_suffix(".new")
    new.write_bytes(authority.certificate)
    new.replace(paths.authority)


def server_context(paths: Layout) -> ssl.SSLContext:
    """Return the TLS context of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = paths.certificates
    context.load_cert_chain(folder / "googleapis.crt", folder / "googleapis.key")
    return context


def clusters_authority(paths: Layout) -> bytes:
    """Return the PEM of a CA for clusters without a Kubernetes behind them."""
    return (paths.certificates / _CLUSTERS).read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
