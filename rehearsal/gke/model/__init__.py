"""The model of Google's side: projects, clusters, node pools, operations and leftover resources."""

from rehearsal.gke.model.settings import Settings
from rehearsal.gke.model.world import World

__all__ = ["Settings", "World"]
