"""Building container images from a few files, without a container engine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import platform
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Image:
    """An image with one layer: path → content, and the configuration (Entrypoint, User …)."""

    files: Mapping[str, bytes]
    config: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links: path → target."""

    def layer(self) -> bytes:
        """Return the layer's archive, byte for byte reproducible."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, content in sorted(self.files.items()):
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
            for path, target in sorted(self.links.items()):
                member = tarfile.TarInfo(path)
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
                tar.addfile(member)
        return archive.getvalue()

    def blobs(self) -> tuple[bytes, bytes, bytes]:
        """Return the manifest, the configuration and the layer."""
        layer = self.layer()
        machine = platform.machine()
        config = _json(
            {
                "architecture": _ARCHITECTURES.get(machine, machine),
                "os": "linux",
                "config": dict(self.config),
                "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor(_CONFIG, config),
                "layers": [_descriptor(_LAYER, layer)],
            }
        )
        return manifest, config, layer

    def archive(self, reference: str) -> bytes:
        """Return the image as an archive (OCI layout) that containerd imports under a reference."""
        manifest, config, layer = self.blobs()
        entry = _descriptor(_MANIFEST, manifest)
        entry["annotations"] = {"io.containerd.image.name": reference}
        files = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
        }
        for blob in (manifest, config, layer):
            files["blobs/" + digest(blob).replace(":", "/")] = blob
        return Image(files).layer()

    def push(self, registry: str, repository: str, tag: str, username: str, password: str) -> str:
        """Push the image to a registry over HTTP; return its digest."""
        manifest, config, layer = self.blobs()
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        target = _Repository(f"http://{registry}/v2/{repository}", f"Basic {login}")
        for blob in (config, layer):
            target.push_blob(blob)
        target.request("PUT", f"{target.url}/manifests/{tag}", manifest, _MANIFEST)
        return digest(manifest)


def digest(blob: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


@dataclass(frozen=True)
class _Repository:
    url: str
    login: str = field(repr=False)

    def push_blob(self, blob: bytes) -> None:
        """Push a blob unless it exists."""
        if self.request("HEAD", f"{self.url}/blobs/{digest(blob)}", missing_is_fine=True):
            return
        upload = self.request("POST", f"{self.url}/blobs/uploads/")
        location = urllib.parse.urljoin(self.url, upload["Location"])
        joint = "&" if "?" in location else "?"
        query = urllib.parse.urlencode({"digest": digest(blob)})
        self.request("PUT", f"{location}{joint}{query}", blob, "application/octet-stream")

    def request(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        missing_is_fine: bool = False,
    ) -> Mapping[str, str]:
        """Return the response's headers; none on a 404 if `missing_is_fine`."""
        headers = {"Authorization": self.login}
        if content_type:
            headers["Content-Type"] = content_type
        request = urllib.request.Request(  # noqa: S310 - http by the caller
            url, data=body if method != "HEAD" else None, headers=headers, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT) as answer:
                return dict(answer.headers.items())
        except urllib.error.HTTPError as answer:
            with answer:
                if missing_is_fine and answer.code == 404:  # noqa: PLR2004
                    return {}
                raise RehearsalError(
                    f"The registry answered {answer.code} to {method} {url}: "
                    f"{answer.read(500).decode(errors='replace').strip()}"
                ) from None
        except OSError as error:
            raise RehearsalError(
                f"The registry does not answer at {url}: {error}; see `status`."
            ) from error


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}
