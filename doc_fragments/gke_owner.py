"""Documentation that the modules share which tell clusters of ours from those of others."""


class ModuleDocFragment:
    """By which ours are recognized."""

    DOCUMENTATION = r"""
options:
  managed_by:
    description:
      - Value of the label C(managed-by), by which the clusters of this project are
        distinguished from those of others.
    type: str
    default: docker-ml-api
"""
