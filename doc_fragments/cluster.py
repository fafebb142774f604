"""Documentation shared by the modules for clusters."""


class ModuleDocFragment:
    """The options that select the cluster and its credentials."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, or its content as a mapping. Defaults to the file that
        E(KUBECONFIG) names, or to C(~/.kube/config).
      - A mapping is shown in the output, so it must not contain a secret. Use an C(exec) plugin
        to fetch credentials.
    type: raw
  context:
    description: The context of the kubeconfig. Defaults to the current context.
    type: str
requirements: [kubernetes]
"""
