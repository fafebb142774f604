"""Documentation that the modules for one live GKE cluster share."""


class ModuleDocFragment:
    """Which cluster it is."""

    DOCUMENTATION = r"""
options:
  name:
    description: The cluster's name.
    type: str
    required: true
  location:
    description: Its zone or region.
    type: str
    required: true
"""
