"""Documentation shared by the modules for one live GKE cluster."""


class ModuleDocFragment:
    """Name and location of the cluster."""

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
