"""What the world knows: plain JSON, with the clock and the settings beside it."""

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
    """Everything that outlives a request."""

    settings: Settings
    now: float = 0.0
    """The time of the request that is being answered; not saved."""
    unread: str = ""
    """Why the Kubernetes behind the clusters could not be read the last time; not saved."""
    number: int = 0
    """How many things were numbered."""
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By "location/name": see `clusters`."""
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: see `operations`."""
    compute: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By "collection/scope/name": see `compute`."""
    compute_operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    other_operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of Artifact Registry and Service Usage, by name."""
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of Artifact Registry, by name."""
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What they hold, by the repository's name: "packages" by the image's, and the "store" that
    the images themselves lie in."""
    enabled_services: list[str] = field(default_factory=list)
    """Those that were enabled although the settings say disabled."""
    interventions: list[dict[str, Any]] = field(default_factory=list)
    """When Google itself is to be at work on a cluster: see `director.intervene`."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """Settings that the director changed."""

    def choose(self, changes: dict[str, Any]) -> None:
        """Change settings; a rehearsal that was stopped and started keeps them.

        :raises ValueError: a name that is no setting.
        """
        self.chosen |= changes
        self.settings = Settings.of({**asdict(self.settings), **changes})

    def next_number(self) -> int:
        """Return a number that nothing else has."""
        self.number += 1
        return self.number

    def dump(self) -> dict[str, Any]:
        """Return what is saved."""
        return {name: getattr(self, name) for name in SAVED}

    def load(self, saved: dict[str, Any]) -> None:
        """Take back what was saved; what it does not hold becomes empty."""
        empty = State(self.settings)
        for name in SAVED:
            setattr(self, name, saved.get(name, getattr(empty, name)))
        self.choose(self.chosen)
