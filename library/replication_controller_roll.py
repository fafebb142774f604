#!/usr/bin/python
"""Ansible module replication_controller_roll: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: replication_controller_roll
short_description: Replace the pods of ReplicationControllers whose template has changed
description:
  - A ReplicationController does not replace its pods when its template changes. This module
    replaces them, pod by pod. A pod is outdated if its label C(docker-ml-api/template) differs
    from that of the controller's template.
  - There are never fewer ready pods than O(workloads[].replicas). One additional pod is started
    first; an outdated pod is deleted only when a new one is ready; the controller itself deletes
    the last one when it is scaled back. Outdated pods that are not ready are deleted first.
  - All controllers are rolled at the same time.
  - An interrupted roll continues when the module runs again.
  - If a new pod does not become ready, the roll of its controller stops, and the reason and
    the last log lines of the pod are reported; the remaining outdated pods continue to serve.
  - If nothing is outdated, the module waits until the pods are ready, and changes nothing.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, rollout_limits]
options:
  workloads:
    description: The ReplicationControllers; their new templates must already be applied.
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
        description: Number of pods after the roll.
        type: int
        default: 1
      autoscaled:
        description:
          - Whether an autoscaler determines the number of pods. O(workloads[].replicas) is then
            the minimum, and the current number of pods is kept.
        type: bool
        default: false
attributes:
  check_mode:
    support: full
    description: Reports the steps of a roll with the current templates.
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
    - The controllers that were rolled, with the names of their pods and the steps that were
      taken; in check mode the steps to take.
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
    - The controllers that were not rolled, each with a sentence, the cause as a keyword (see
      M(workload_rollout)) and the steps taken before the failure.
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
except ImportError:  # run_module reports the missing package
    ApiError = Exception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster
    from ansible.module_utils.docker_ml_api.kubernetes.controller_roll import Change

_KIND = "ReplicationController"
# Statuses of the API server if a pod is gone or has another uid, on deletion and on patch.
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
    """Make one change; ignore pods that are gone or whose name belongs to another pod now."""
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
    """Roll the controllers, or plan the roll in check mode; return the module's result."""
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
