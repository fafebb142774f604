"""The state of the world, which is plain JSON except for the time and the settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rehearsal.gke.model.settings import Settings

SAVED = (
    "number",
    "clusters",
    "operations",
    "compute",
    "compute_operations",
    "other_operations",
    "repositories",
    "images",
    "enabled_services",
    "interventions",
    "chosen",
)


@dataclass
class State:
    """The state that persists between requests."""

    settings: Settings
    now: float = 0.0
    """The time of the current request; not saved."""
    unread: str = ""
    """Why the last attempt to read the Kubernetes behind the clusters failed; not saved."""
    number: int = 0
    """The last number returned by `next_number`."""
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By "location/name": see `clusters`."""
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: see `operations`."""
    compute: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By "collection/scope/name": see `compute`."""
    compute_operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    other_operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Operations of Artifact Registry and Service Usage, by name."""
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Repositories of Artifact Registry, by name."""
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The content of each repository by its name: "packages" by image name, and the "store", where
    the images are stored."""
    enabled_services: list[str] = field(default_factory=list)
    """Services that were enabled although the settings disable them."""
    interventions: list[dict[str, Any]] = field(default_factory=list)
    """Pending operations of Google's own on clusters: see `director.intervene`."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """Settings that the director changed."""

    def choose(self, changes: dict[str, Any]) -> None:
        """Change settings persistently, so that they survive a restart of the rehearsal.

        :raises ValueError: unknown setting.
        """
        self.chosen |= changes
        self.settings = Settings.of({**asdict(self.settings), **changes})

    def next_number(self) -> int:
        """Return a unique number."""
        self.number += 1
        return self.number

    def dump(self) -> dict[str, Any]:
        """Return the part of the state that is saved."""
        return {name: getattr(self, name) for name in SAVED}

    def load(self, saved: dict[str, Any]) -> None:
        """Restore a saved state; fields that it lacks become empty."""
        empty = State(self.settings)
        for name in SAVED:
            setattr(self, name, saved.get(name, getattr(empty, name)))
        self.choose(self.chosen)
