"""Documentation shared by the modules that wait for workloads."""


class ModuleDocFragment:
    """The time limits: rollout_report.OPTIONS."""

    DOCUMENTATION = r"""
options:
  timeout:
    description: Timeout in seconds for all workloads together.
    type: float
    default: 300
  settle:
    description: Seconds that the other workloads may still take after the first failure.
    type: float
    default: 15
  unschedulable_grace:
    description: Seconds that a pod may be unscheduled when no autoscaler adds a node.
    type: float
    default: 20
  progress_deadline:
    description:
      - Seconds that a container of a ReplicationController may run without being ready. A
        Deployment has its own C(progressDeadlineSeconds).
    type: float
    default: 120
  log_lines:
    description: Number of trailing log lines of a container that a problem shows.
    type: int
    default: 15
"""
