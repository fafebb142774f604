"""Documentation that the modules for clusters share."""


class ModuleDocFragment:
    """The options by which a cluster is reached."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, or its content as a mapping. Without it the file that
        E(KUBECONFIG) names, or C(~/.kube/config).
      - A mapping shows in the output, so it must hold no secret; let an C(exec) plugin fetch it.
    type: raw
  context:
    description: The kubeconfig's context; without it the current one.
    type: str
requirements: [kubernetes]
"""
