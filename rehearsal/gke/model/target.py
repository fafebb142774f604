"""The resource that a request refers to, independent of the form of its path, and links to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rehearsal.gke.model import catalog

if TYPE_CHECKING:
    from rehearsal.gke.call import Call
    from rehearsal.gke.model.settings import Settings

# The segments of a path with all their names in the discovery documents.
PIECES = {
    "project": ("projectsId", "projectId", "project"),
    "location": ("locationsId", "zonesId", "regionsId", "zone", "region"),
    "cluster": ("clustersId", "clusterId"),
    "pool": ("nodePoolsId", "nodePoolId"),
    "operation": ("operationsId", "operationId", "operation"),
}
COLLECTIONS = {
    "projects": "project",
    "locations": "location",
    "zones": "location",
    "regions": "location",
    "clusters": "cluster",
    "nodePools": "pool",
    "operations": "operation",
}
ROOT = "https://container.googleapis.com/v1"


@dataclass(frozen=True)
class Target:
    """The segments of a path; empty if the path does not have them."""

    project: str = ""
    location: str = ""
    cluster: str = ""
    pool: str = ""
    operation: str = ""

    @property
    def key(self) -> str:
        """The cluster's key in the world's state."""
        return f"{self.location}/{self.cluster}"

    @property
    def relative(self) -> str:
        """The resource's name in Google's form: zones/ for zones, locations/ for regions."""
        name = f"projects/{self.project}/{form(self.location)}/{self.location}"
        for collection, piece in (
            ("clusters", self.cluster),
            ("nodePools", self.pool),
            ("operations", self.operation),
        ):
            name += f"/{collection}/{piece}" if piece else ""
        return name


def form(location: str) -> str:
    """Return the path segment before a location: "zones" or "locations"."""
    return "zones" if catalog.is_zone(location) else "locations"


def of(call: Call) -> Target:
    """Return the resource that a call refers to; the project's ID or number is kept as written."""
    given = {**call.params, **call.path}
    pieces = {
        piece: next((str(given[name]) for name in names if given.get(name)), "")
        for piece, names in PIECES.items()
    }
    if not pieces["project"]:
        named = given.get("name") or given.get("parent") or given.get("resource") or ""
        words = str(named).split(":")[0].split("/")
        if len(words) == 1:  # the resource of testIamPermissions is the project's bare name
            words = ["projects", *words]
        for collection, piece in zip(words[::2], words[1::2], strict=False):
            if collection in COLLECTIONS:
                pieces[COLLECTIONS[collection]] = piece
    return Target(**pieces)


def self_link(settings: Settings, location: str, rest: str) -> str:
    """Return the selfLink of a cluster or pool, which contains the project's ID."""
    return f"{ROOT}/projects/{settings.project}/{form(location)}/{location}/{rest}"


def operation_link(settings: Settings, location: str, rest: str) -> str:
    """Return a link as in operations, with the project's number."""
    return f"{ROOT}/projects/{settings.project_number}/{form(location)}/{location}/{rest}"


def instance_group_link(settings: Settings, zone: str, name: str) -> str:
    """Return the link to a managed instance group."""
    return (
        f"https://www.googleapis.com/compute/v1/projects/{settings.project}/zones/{zone}"
        f"/instanceGroupManagers/{name}"
    )
