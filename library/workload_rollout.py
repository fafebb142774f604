#!/usr/bin/python
"""Ansible module workload_rollout: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_rollout
short_description: Wait until workloads on a cluster are rolled out
description:
  - Waits for many workloads at the same time, as C(kubectl rollout status) does for one. A
    workload is rolled out when the desired number of pods of its current template are ready, and
    no other pods of it are left.
  - A workload that cannot become ready fails as soon as the cluster reports it, with the reason and
    message of the pod itself and the last lines of the container's log. Examples are an image
    that cannot be pulled, rejected registry credentials, a container that crashes or exceeds its
    memory limit, no capacity on the nodes, an exceeded quota, a rejection by Pod
    Security or an admission webhook, a missing secret or volume, a failing probe.
  - Problems that may resolve themselves get a grace period of 15 to 60 seconds, counted while the
    module watches. The module waits for a node that the cluster's autoscaler is adding.
  - Sends one list request for each kind and namespace. Events are read only while a
    workload is not ready.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, read_only, rollout_limits]
options:
  workloads:
    description: The workloads to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the Deployment or ReplicationController.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      kind:
        description: Its kind.
        type: str
        choices: [Deployment, ReplicationController]
        default: Deployment
      replicas:
        description:
          - Minimum number of pods. Beyond it, the number in the controller itself applies, which
            an autoscaler may have set.
        type: int
        default: 1
"""

EXAMPLES = r"""
- name: Wait until the new version is rolled out
  workload_rollout:
    context: kind-kind
    workloads:
      - name: hello-web
        namespace: default
        replicas: 2
      - name: test-ml-score
        namespace: test-ml-app
        kind: ReplicationController
        replicas: 2
    timeout: 120
"""

RETURN = r"""
workloads:
  description:
    - The workloads that are rolled out, with the names of their pods. The revision is the
      Deployment's, or the hash in the label C(docker-ml-api/template) of the
      ReplicationController's template.
  returned: always, unless the cluster cannot be worked with
  type: list
  elements: dict
  sample:
    - name: hello-web
      namespace: default
      pods: [hello-web-6d4cf56db6-4x2lm, hello-web-6d4cf56db6-9qz8t]
      revision: "2"
problems:
  description:
    - The workloads that are not rolled out, each with a sentence and the cause as a keyword, such
      as C(image), C(crash), C(memory), C(room), C(refused), C(probe), C(deadline),
      C(configuration), C(volume), C(timeout), or C(unfinished) for one that was still in progress
      when O(settle) expired.
  returned: when a workload is not rolled out
  type: list
  elements: dict
  sample:
    - name: hello-web
      namespace: default
      cause: image
      problem: "Workload hello-web in default: pod hello-web-6d4cf56db6-4x2lm cannot pull …"
"""

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import rollout, rollout_reader, rollout_report
from ansible.module_utils.docker_ml_api.kubernetes.module_common import (
    checked,
    run_module,
    workloads,
)
from ansible.module_utils.docker_ml_api.kubernetes.rollout import Key, Live, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster

ARGUMENTS: dict[str, Any] = {
    "workloads": workloads(
        {
            "kind": {
                "type": "str",
                "choices": ["Deployment", "ReplicationController"],
                "default": "Deployment",
            },
            "replicas": {"type": "int", "default": 1},
        }
    ),
    **rollout_report.OPTIONS,
}


def run(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    """Wait until the workloads are rolled out, and return the module's result."""
    params = module.params
    workloads = [
        Workload(Key(one["namespace"], one["name"]), one["kind"], one["replicas"])
        for one in params["workloads"]
    ]
    patience = rollout_report.patience(params)

    def undecided(workload: Workload, live: Live) -> bool:
        return isinstance(rollout.assess(workload, live, patience), rollout.Waiting)

    def read(pending: Sequence[Workload]) -> dict[Key, Live]:
        found: dict[Key, Live] = rollout_reader.read(cluster, pending, undecided)
        return found

    outcome = rollout.wait(
        workloads,
        rollout_reader.outlasting(read, time.monotonic, time.sleep),
        patience=patience,
        limits=rollout_report.limits(params),
        clock=time.monotonic,
        sleep=time.sleep,
    )
    ready = [
        {
            "name": key.name,
            "namespace": key.namespace,
            "pods": list(state.pods),
            "revision": state.revision,
        }
        for key, state in sorted(outcome.ready.items())
    ]
    problems = rollout_report.problems(
        cluster, outcome.failed, outcome.waiting, timed_out=outcome.timed_out, params=params
    )
    result: dict[str, Any] = checked(problems, workloads=ready)
    return result


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
