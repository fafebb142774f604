"""The real Docker engine, with images and containers that are removed afterwards."""

from __future__ import annotations

import io
import os
import tarfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bootstrapped once per machine, as for a user; see base_images_cache of the role base_images.
BASE_IMAGES_CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "docker-ml-api/tests"
)
_LABEL = "docker-ml-api.test"


@dataclass
class Engine:
    """Creates small images with unique names."""

    client: docker.DockerClient = field(default_factory=docker.from_env)
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")

    def name(self, name: str) -> str:
        """Return a name that only this test uses."""
        return f"{self.prefix}-{name}"

    def make_image(
        self,
        reference: str,
        labels: Mapping[str, str] | None = None,
        content: str = "",
        files: Mapping[str, bytes] | None = None,
    ) -> str:
        """Import an image with one or more files; return its ID."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, data in {"content": content.encode(), **(files or {})}.items():
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(data), 0o755
                tar.addfile(member, io.BytesIO(data))
        repository, _, tag = reference.rpartition(":")
        self.client.api.import_image_from_data(
            archive.getvalue(),
            repository=repository,
            tag=tag,
            changes=[
                f'LABEL "{name}"="{value}"'
                for name, value in {_LABEL: self.prefix, **(labels or {})}.items()
            ],
        )
        image_id = self.client.images.get(reference).id
        assert image_id
        return image_id

    def listed_images(self, **filters: str) -> list[dict[str, Any]]:
        """Return the engine's list of images, without inspecting them, as others' may disappear."""
        images: list[dict[str, Any]] = self.client.api.images(filters=filters)
        return images

    def remove(self) -> None:
        """Remove all containers and images of this test, including replaced ones."""
        for container in self.client.api.containers(all=True, filters={"name": self.prefix}):
            self.client.api.remove_container(container["Id"], force=True, v=True)
        ours = self.listed_images(label=f"{_LABEL}={self.prefix}")
        ours += [
            image
            for image in self.listed_images()
            if any(self.prefix in tag for tag in image["RepoTags"] or [])
        ]
        for image_id in {image["Id"] for image in ours}:
            self.client.images.remove(image_id, force=True)
        self.client.close()
