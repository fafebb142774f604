"""Documentation shared by the modules that query registries."""


class ModuleDocFragment:
    """The credentials for a registry."""

    DOCUMENTATION = r"""
options:
  username:
    description:
      - The user's name at the registry. If it is empty, the login that the docker client stores is
        used, if there is one.
    type: str
    default: ""
  password:
    description: The user's password or access token.
    type: str
    default: ""
"""
