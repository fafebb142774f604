"""URLs of the GKE API for the resources of a project."""

from __future__ import annotations

from ansible.module_utils.docker_ml_api.google.api import CONTAINER


def location(project: str, place: str) -> str:
    """Return the URL of a zone or region; `-` stands for all of them."""
    return f"{CONTAINER}/projects/{project}/locations/{place}"


def clusters(project: str, place: str) -> str:
    """Return the URL of the clusters of a location."""
    return f"{location(project, place)}/clusters"


def cluster(project: str, place: str, name: str) -> str:
    """Return the URL of a cluster."""
    return f"{clusters(project, place)}/{name}"


def pools(project: str, place: str, name: str) -> str:
    """Return the URL of the node pools of the cluster `name`."""
    return f"{cluster(project, place, name)}/nodePools"


def pool(project: str, place: str, name: str, pool_name: str) -> str:
    """Return the URL of a node pool of the cluster `name`."""
    return f"{pools(project, place, name)}/{pool_name}"


def operations(project: str, place: str) -> str:
    """Return the URL of the operations of a location."""
    return f"{location(project, place)}/operations"
