"""Documentation that the modules share which wait for workloads."""


class ModuleDocFragment:
    """How long they wait: rollout_report.OPTIONS."""

    DOCUMENTATION = r"""
options:
  timeout:
    description: Seconds that all may take.
    type: float
    default: 300
  settle:
    description: Seconds that the other workloads may still take after the first has failed.
    type: float
    default: 15
  unschedulable_grace:
    description: Seconds that a pod may be without a node when no autoscaler helps.
    type: float
    default: 20
  progress_deadline:
    description:
      - Seconds that a container of a ReplicationController may run without being ready. A
        Deployment has its own C(progressDeadlineSeconds).
    type: float
    default: 120
  log_lines:
    description: How many of the last lines of a container's log a problem shows.
    type: int
    default: 15
"""
