"""Documentation that the modules share which change nothing."""


class ModuleDocFragment:
    """The attributes of a module that reads."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Changes nothing.
"""
