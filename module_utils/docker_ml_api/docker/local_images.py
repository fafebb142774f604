"""The local images of a Docker engine: inspects, imports and removes them with its client."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.docker.engine import Answer, run_command, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Label of each image that was built here, with the digest of its recipe.
RECIPE_LABEL = "docker-ml-api.recipe"
# Inspecting takes milliseconds, unless the engine hangs.
LOOK_TIMEOUT = 60.0


class EngineError(Exception):
    """The engine refuses or does not answer; the message is one sentence."""


@dataclass(frozen=True)
class Image:
    """One image of the engine: ``digests`` and ``tags`` as repository@digest and name:tag."""

    id: str
    digests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    size: int = 0

    def label(self, name: str) -> str:
        """Return a label's value, or an empty string."""
        return dict(self.labels).get(name, "")


def tagged(reference: str) -> str:
    """Add the default tag: ``name`` → ``name:latest``."""
    return reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"


def familiar(reference: str) -> str:
    """Shorten a name to the engine's form: ``docker.io/library/python:3`` → ``python:3``."""
    return re.sub(r"^(?:(?:index\.)?docker\.io/)(?:library/)?", "", reference)


def _image(data: dict[str, Any]) -> Image:
    config = data.get("Config") or {}
    return Image(
        id=data["Id"],
        digests=tuple(data.get("RepoDigests") or ()),
        tags=tuple(data.get("RepoTags") or ()),
        labels=tuple(sorted((config.get("Labels") or {}).items())),
        size=int(data.get("Size") or 0),
    )


def _told(answer: Answer) -> str:
    told: str = sentence(answer.err)
    return told.removeprefix("Error response from daemon: ")


def inspect(cli: str, references: Sequence[str]) -> dict[str, Image]:
    """Inspect images by name, with one command; missing images are left out.

    Raises EngineError if the engine does not answer.
    """
    if not references:
        return {}
    answer = run_command([cli, "image", "inspect", *references], LOOK_TIMEOUT)
    others = [
        line
        for line in answer.err.splitlines()
        if line.strip() and "no such image" not in line.lower()
    ]
    if answer.status != 0 and (others or not answer.err.strip()):
        raise EngineError(_told(answer) or "The Docker client said nothing.")
    images = [_image(data) for data in json.loads(answer.out or "[]")]
    wanted = {familiar(tagged(reference)): reference for reference in references}
    return {wanted[tag]: image for image in images for tag in image.tags if tag in wanted}


def run(cli: str, arguments: Sequence[str], timeout: float) -> Answer:
    """Run a command of the client; raise EngineError with its message if it fails."""
    answer = run_command([cli, *arguments], timeout)
    if answer.status != 0:
        raise EngineError(_told(answer) or f"docker {arguments[0]} failed.")
    return answer


def import_tar(
    cli: str, tar: Path, reference: str, changes: Sequence[str], *, timeout: float
) -> str:
    """Import a root file system as an image and return its id; raise EngineError."""
    options = [item for change in changes for item in ("--change", change)]
    answer = run(cli, ["import", *options, str(tar), reference], timeout)
    image_id: str = answer.out.strip()
    return image_id


def remove_replaced(cli: str, image: Image) -> None:
    """Remove an image that was built here and has no name left, unless it is in use."""
    if not image.label(RECIPE_LABEL):
        return
    now = run_command([cli, "image", "inspect", image.id], LOOK_TIMEOUT)
    if now.status == 0 and not _image(json.loads(now.out)[0]).tags:
        # Without force, since the engine then refuses if a container or an image needs it.
        run_command([cli, "image", "rm", image.id], LOOK_TIMEOUT)
