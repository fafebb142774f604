"""Documentation that the modules share which ask registries."""


class ModuleDocFragment:
    """The login at a registry."""

    DOCUMENTATION = r"""
options:
  username:
    description:
      - The user's name at the registry; empty, the login is meant that the docker client stores, if
        there is one.
    type: str
    default: ""
  password:
    description: The user's password or access token.
    type: str
    default: ""
"""
