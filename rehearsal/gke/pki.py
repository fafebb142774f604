"""The throw-away authority that makes clients believe the double is googleapis.com."""

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
    """Make authority and certificates, unless they are there as a whole."""
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
    # The authority's key is nowhere: nothing else can ever be signed. Its certificate goes last,
    # since it says that all of this is done.
    new = paths.authority.with_suffix(".new")
    new.write_bytes(authority.certificate)
    new.replace(paths.authority)


def server_context(paths: Layout) -> ssl.SSLContext:
    """Return what the server ends TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = paths.certificates
    context.load_cert_chain(folder / "googleapis.crt", folder / "googleapis.key")
    return context


def clusters_authority(paths: Layout) -> bytes:
    """Return the PEM of an authority for clusters behind which there is nothing."""
    return (paths.certificates / _CLUSTERS).read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
