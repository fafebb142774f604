"""Names of repositories in Google's Artifact Registry, and their descriptions by the API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

USERNAME = "oauth2accesstoken"
FORMAT = "DOCKER"
_REFERENCE = re.compile(
    r"(?P<host>(?P<location>[a-z]+(?:-[a-z]+[0-9]+)?)-docker\.pkg\.dev)"
    r"(?:/(?P<domain>[a-z0-9-]+(?:\.[a-z0-9-]+)+))?"
    r"/(?P<project>[a-z0-9-]+)/(?P<name>[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"
    r"(?:/(?P<folder>.+))?"
)
_PARTS_OF_PACKAGE = "/packages/"


@dataclass(frozen=True)
class Repository:
    """A repository: its host for image references, and its parts of names in the API.

    project: as in the API, `example.com:my-project` if it belongs to a domain.
    folder: the part of references between the repository and the image's name; usually empty.
    """

    host: str
    location: str
    project: str
    name: str
    folder: str = ""

    @property
    def parent(self) -> str:
        """The API's name of the repository's location."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def path(self) -> str:
        """The API's name of the repository."""
        return f"{self.parent}/repositories/{self.name}"

    @property
    def reference(self) -> str:
        """The prefix of image references."""
        return f"{self.host}/{self.project.replace(':', '/')}/{self.name}"

    def package(self, image: str) -> str:
        """Return the name of an image, given with or without a tag, among the packages."""
        folder, _, last = image.rpartition("/")
        parts = (self.folder, folder, last.partition(":")[0])
        return "/".join(part for part in parts if part)


def parse(text: str) -> Repository:
    """Return the repository in `europe-west1-docker.pkg.dev/PROJECT/REPO`; a path may follow.

    Raises ValueError.
    """
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise ValueError(
            f"'{text}' is no repository of Artifact Registry: write "
            "LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, such as "
            "europe-west1-docker.pkg.dev/my-project/models"
        )
    domain, project = match["domain"], match["project"]
    return Repository(
        match["host"],
        match["location"],
        f"{domain}:{project}" if domain else project,
        match["name"],
        match["folder"] or "",
    )


def unfit(found: Mapping[str, Any]) -> str:
    """Return why images cannot be pushed to a repository (the API's JSON); empty if they can."""
    if found.get("format") != FORMAT:
        return f"it is for {found.get('format')}, not for {FORMAT} images"
    mode = found.get("mode") or "STANDARD_REPOSITORY"
    if mode not in {"STANDARD_REPOSITORY", "MODE_UNSPECIFIED"}:
        return f"it is a {mode.lower().replace('_', ' ')}, to which nothing can be pushed"
    return ""


def is_ours(found: Mapping[str, Any], label: str, managed_by: str) -> bool:
    """Return whether a repository (the API's JSON) has our label."""
    return bool((found.get("labels") or {}).get(label) == managed_by)


def package_names(packages: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the API's packages as in image references, sorted."""
    return sorted(unquote(one["name"].rpartition(_PARTS_OF_PACKAGE)[2]) for one in packages)


def removal(wanted: Repository) -> str:
    """Return the command that deletes the repository with everything in it."""
    return (
        f"gcloud artifacts repositories delete {wanted.name} --location {wanted.location} "
        f"--project {wanted.project}"
    )
