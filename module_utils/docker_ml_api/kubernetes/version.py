"""The version of a Kubernetes cluster, from the API server's answer to /version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Version(NamedTuple):
    """Major and minor version, which determine the capabilities of the API."""

    major: int
    minor: int

    def __str__(self) -> str:
        """Return the version as text."""
        return f"{self.major}.{self.minor}"


def parse(text: str) -> Version:
    """Return the version of texts such as 1.30, v1.34.4, v1.31.7-gke.1000, 1.30+.

    Raises ValueError.
    """
    match = re.match(r"v?(\d+)\.(\d+)(?:[.+\-]|$)", text.strip())
    if not match:
        raise ValueError(f"'{text}' is no version of Kubernetes, such as 1.30")
    return Version(int(match[1]), int(match[2]))


def of_server(answer: Mapping[str, Any]) -> Version:
    """Return the version in an answer of /version; raise ValueError.

    answer: {gitVersion: v1.34.4, major: "1", minor: "34", …}. Some vendors write "34+", and some
        have a gitVersion without a version.
    """
    try:
        return parse(str(answer.get("gitVersion", "")))
    except ValueError:
        return parse(f"{answer.get('major', '')}.{answer.get('minor', '')}")
