"""The model of Google's side: projects, clusters, node pools, operations, what they leave."""

from rehearsal.gke.model.settings import Settings
from rehearsal.gke.model.world import World

__all__ = ["Settings", "World"]
