"""Names of repositories in Google's Artifact Registry, and what the API says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

USERNAME = "oauth2accesstoken"
FORMAT = "DOCKER"
_REFERENCE = re.compile(
    r"(?P<host>(?P<location>[a-z]+(?:-[a-z]+[0-9]+)?)-docker\.pkg\.dev)"
    r"/(?P<project>(?:[a-z0-9.-]+:)?[a-z0-9-]+)/(?P<name>[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)"
    r"(?:/.*)?"
)


@dataclass(frozen=True)
class Repository:
    """A repository: where images are pushed to (`host`), and by what the API knows it."""

    host: str
    location: str
    project: str
    name: str

    @property
    def parent(self) -> str:
        """The API's name of its location."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def path(self) -> str:
        """The API's name of it."""
        return f"{self.parent}/repositories/{self.name}"

    @property
    def reference(self) -> str:
        """What image references begin with."""
        return f"{self.host}/{self.project}/{self.name}"


def parse(text: str) -> Repository:
    """Return the repository of `europe-west1-docker.pkg.dev/PROJECT/REPO`; a path may follow.

    Raises ValueError.
    """
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise ValueError(
            f"'{text}' is no repository of Artifact Registry: write "
            "LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, such as "
            "europe-west1-docker.pkg.dev/my-project/models"
        )
    return Repository(match["host"], match["location"], match["project"], match["name"])


def unfit(found: Mapping[str, Any]) -> str:
    """Return why images cannot be pushed to a repository (the API's JSON); empty if they can."""
    if found.get("format") != FORMAT:
        return f"it is for {found.get('format')}, not for {FORMAT} images"
    mode = found.get("mode") or "STANDARD_REPOSITORY"
    if mode not in {"STANDARD_REPOSITORY", "MODE_UNSPECIFIED"}:
        return f"it is a {mode.lower().replace('_', ' ')}, to which nothing can be pushed"
    return ""
