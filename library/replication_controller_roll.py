#!/usr/bin/python
"""Ansible module replication_controller_roll: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: replication_controller_roll
short_description: Replace the pods of ReplicationControllers whose template has changed
description:
  - A ReplicationController does not replace its pods when its template changes. This module
    does, pod by pod. Outdated are the pods whose label C(docker-ml-api/template) is not that of
    the controller's template.
  - There are never fewer ready pods than O(workloads[].replicas). One pod more is started
    first; an outdated one is removed only when a new one is ready; the last one is removed by
    the controller itself when it is scaled back. Outdated pods that are not ready go first.
  - All controllers are rolled at the same time.
  - A roll that was stopped anywhere goes on when the module runs again.
  - When a new pod cannot get ready the roll of its controller stops, with the pod's own reason
    and last log lines; the outdated pods that are left go on serving.
  - When nothing is outdated it waits until the pods are ready, and changes nothing.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, rollout_limits]
options:
  workloads:
    description: The ReplicationControllers; their new templates have been applied.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the ReplicationController.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      replicas:
        description: How many pods it shall have in the end.
        type: int
        default: 1
      autoscaled:
        description:
          - Whether an autoscaler decides how many pods there are. O(workloads[].replicas) is
            the least number then, and the number that the roll finds is kept.
        type: bool
        default: false
attributes:
  check_mode:
    support: full
    description: Says what it would do, as the templates are now.
  diff_mode:
    support: none
    description: The steps are returned instead.
"""

EXAMPLES = r"""
- name: Roll the new version out
  replication_controller_roll:
    workloads:
      - name: test-ml-score
        namespace: test-ml-app
        replicas: 2
"""

RETURN = r"""
workloads:
  description:
    - The controllers that are rolled, with the names of their pods and the steps that were
      taken; in check mode those to be taken.
  returned: always, unless the cluster cannot be worked with
  type: list
  elements: dict
  sample:
    - name: test-ml-score
      namespace: test-ml-app
      pods: [test-ml-score-4x2lm, test-ml-score-9qz8t]
      steps: [scaled to 3, "deleted: test-ml-score-b7c2x", scaled to 2]
problems:
  description:
    - The controllers that are not, each with a sentence, the cause in a word (as
      M(workload_rollout) returns them) and the steps taken until then.
  returned: when a controller is not rolled
  type: list
  elements: dict
  sample:
    - name: test-ml-score
      namespace: test-ml-app
      cause: crash
      problem: "Workload test-ml-score in test-ml-app: pod test-ml-score-4x2lm has a container …"
      steps: [scaled to 3]
"""

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import (
    controller_roll,
    rollout_reader,
    rollout_report,
)
from ansible.module_utils.docker_ml_api.kubernetes.module_common import (
    checked,
    run_module,
    workloads,
)
from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key, Live, Workload

try:
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import ApiError
except ImportError:  # run_module says which package is missing
    ApiError = Exception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster
    from ansible.module_utils.docker_ml_api.kubernetes.controller_roll import Change

_KIND = "ReplicationController"
# What the API server says of a pod that is gone, or of another uid: to a deletion, to a patch.
_NOT_MEANT = frozenset({404, 409, 422})

ARGUMENTS: dict[str, Any] = {
    "workloads": workloads(
        {
            "replicas": {"type": "int", "default": 1},
            "autoscaled": {"type": "bool", "default": False},
        }
    ),
    **rollout_report.OPTIONS,
}


def change(cluster: Cluster, key: Key, step: Change) -> None:
    """Make one change; none to a pod that is gone or has left its name to another one."""
    if isinstance(step, controller_roll.Scale):
        cluster.patch(_KIND, key.namespace, key.name, {"spec": {"replicas": step.replicas}})
        return
    marks = {
        "metadata": {"annotations": {controller_roll.DELETION_COST: controller_roll.LOWEST_COST}}
    }
    for name, uid in step.pods:
        try:
            if isinstance(step, controller_roll.Mark):
                marks["metadata"]["uid"] = uid
                cluster.patch("Pod", key.namespace, name, marks)
            else:
                cluster.delete("Pod", key.namespace, name, {"preconditions": {"uid": uid}})
        except ApiError as error:
            if error.status not in _NOT_MEANT:
                raise


def run(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    """Roll, or say what a roll would do."""
    params = module.params
    workloads = [
        Workload(Key(one["namespace"], one["name"]), _KIND, one["replicas"])
        for one in params["workloads"]
    ]
    autoscaled = frozenset(
        Key(one["namespace"], one["name"]) for one in params["workloads"] if one["autoscaled"]
    )

    def undecided(workload: Workload, live: Live) -> bool:
        return bool(controller_roll.is_unfinished(live, workload.replicas))

    def read(pending: Sequence[Workload]) -> dict[Key, Live]:
        found: dict[Key, Live] = rollout_reader.read(cluster, pending, undecided)
        return found

    def act(what: tuple[Key, Change]) -> None:
        change(cluster, *what)

    if module.check_mode:
        return _planned(workloads, rollout_reader.read(cluster, workloads, _never), autoscaled)
    clock, sleep = time.monotonic, time.sleep
    outcome = controller_roll.roll(
        workloads,
        rollout_reader.outlasting(read, clock, sleep),
        rollout_reader.outlasting(act, clock, sleep),
        autoscaled=autoscaled,
        patience=rollout_report.patience(params),
        limits=rollout_report.limits(params),
        clock=clock,
        sleep=sleep,
    )
    steps = {(key.namespace, key.name): made for key, made in outcome.changes.items()}
    changed = any(steps.values())
    rolled = [
        {
            "name": key.name,
            "namespace": key.namespace,
            "pods": list(pods),
            "steps": outcome.changes[key],
        }
        for key, pods in sorted(outcome.rolled.items())
    ]
    problems = [
        {**problem, "steps": steps[problem["namespace"], problem["name"]]}
        for problem in rollout_report.problems(
            cluster, outcome.failed, outcome.waiting, timed_out=outcome.timed_out, params=params
        )
    ]
    result: dict[str, Any] = checked(problems, changed=changed, workloads=rolled)
    return result


def _never(_workload: Workload, _live: Live) -> bool:
    return False


def _planned(
    workloads: Sequence[Workload], found: Mapping[Key, Live], autoscaled: frozenset[Key]
) -> dict[str, Any]:
    planned = []
    for workload in workloads:
        key, live = workload.key, found[workload.key]
        wanted = controller_roll.wanted_replicas(
            live, workload.replicas, autoscaled=key in autoscaled
        )
        planned.append(
            {
                "name": key.name,
                "namespace": key.namespace,
                "pods": controller_roll.ready_pods(live),
                "steps": controller_roll.plan(live, wanted),
            }
        )
    return {"changed": any(one["steps"] for one in planned), "workloads": planned}


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
