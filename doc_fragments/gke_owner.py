"""Documentation shared by the modules that distinguish the clusters of this project from others."""


class ModuleDocFragment:
    """The option that identifies the clusters of this project."""

    DOCUMENTATION = r"""
options:
  managed_by:
    description:
      - Value of the label C(managed-by), which distinguishes the clusters of this project from
        other clusters.
    type: str
    default: docker-ml-api
"""
