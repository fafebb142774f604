"""Documentation shared by the modules that change nothing."""


class ModuleDocFragment:
    """The attributes of a module that only reads."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Changes nothing.
"""
