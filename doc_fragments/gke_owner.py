"""Documentation that the modules share which tell clusters of ours from those of others."""


class ModuleDocFragment:
    """By what ours are told."""

    DOCUMENTATION = r"""
options:
  managed_by:
    description:
      - Value of the label C(managed-by), by which the clusters of this project are told from
        those of others.
    type: str
    default: docker-ml-api
"""
