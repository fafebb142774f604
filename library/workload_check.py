#!/usr/bin/python
"""Ansible module workload_check: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_check
short_description: Query every replica of workloads and verify the answers
description:
  - Sends requests to the address of each workload, each on a new connection, until each of its
    ready pods has answered each check. The header O(instance_header) of an answer names its pod.
  - Every answer must be correct, as verified by the module M(prediction_check), and all pods must
    predict the same. Values are compared with the check's tolerances. A check with an
    C(expected_text) is verified by that text alone, so that a pod may state its own name.
  - If there is no address, or the answers of an app name no pod, each pod is queried individually
    by port-forward through the API server; if there is an address, it is then also queried once
    for each check. Latency limits apply only to answers through the address.
  - Pods that terminate or disappear during the check, such as those of a rollout, need not answer;
    pods that are added and ready must. While a pod terminates, a wrong answer through the address
    that names no pod may come from it, so the address is queried again.
  - An answer from a pod of another workload is a problem. If a ready pod never answers through
    the address, the cause is searched in the Service's session affinity and EndpointSlices, the
    NetworkPolicies, and by a port-forward to the pod itself.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment:
  - cluster
  - prediction_check
options:
  workloads:
    description: The workloads to check.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the workload; its pods have this value in the label C(app).
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      service_name:
        description: Name of its Service.
        type: str
        required: true
      service_port:
        description: Port of the Service.
        type: int
        required: true
      port:
        description: Port that the app listens on in its pods.
        type: int
        required: true
      url:
        description: URL of its load balancer; empty if there is none.
        type: str
        default: ""
      checks:
        description:
          - The requests and the expected answers, in this order. The elements are those of the
            option O(prediction_check#module:checks) of the module M(prediction_check).
          - C(samples) is the minimum number of requests to the address; pods that are queried
            individually share this number.
        type: list
        elements: dict
        required: true
  instance_header:
    description: Header of the answers with the host name of the pod.
    type: str
    default: X-Served-By
  labels:
    description:
      - Labels of the project's pods. They do not select pods, since the Service does not use them.
        If the Service selects a pod without them, it is queried too, and reported as foreign if
        its answer is wrong.
    type: dict
    default: {}
  samples:
    description: Number of requests for each check that does not set its own.
    type: int
    default: 1
  deadline:
    description:
      - Timeout in seconds of each workload, including all pods, checks and retries. Eight
        workloads are checked at a time.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Predictions change nothing, so requests are sent in check mode too.
  diff_mode:
    support: none
    description: Changes nothing.
notes:
  - Port-forward requires the permissions get and create for C(pods/portforward).
requirements: [kubernetes, websocket-client]
seealso:
  - module: prediction_check
  - module: workload_address
"""

EXAMPLES = r"""
- name: Check that both replicas of the model predict the same
  workload_check:
    context: kind-kind
    workloads:
      - name: test-ml-score
        namespace: test-ml-app
        service_name: test-ml-score-lb
        service_port: 8080
        port: 8080
        url: http://127.0.10.1:8080
        checks:
          - path: /isAlive
            expected: true
          - path: /prediction/?f=0.05
            expected: [199.6]
            tolerance: 0.1

- name: Check the greeting where there is no load balancer
  workload_check:
    workloads:
      - name: hello-web
        namespace: default
        service_name: hello-web
        service_port: 80
        port: 8080
        checks:
          - expected_text: Hello, world!
            text_match: prefix
"""

RETURN = r"""
workloads:
  description: The results of the workloads without problems.
  returned: always, but for an unreachable cluster and wrong options
  type: list
  elements: dict
  contains:
    name: {description: Name of the workload., type: str, sample: test-ml-score}
    namespace: {description: Its namespace., type: str, sample: test-ml-app}
    url:
      description: The address that was queried; empty for a port-forward.
      type: str
      sample: http://127.0.10.1:8080
    via:
      description: How the workload was queried, V(address) or V(port-forward).
      type: str
      sample: address
    by:
      description:
        - How its pods were distinguished, V(header) or V(port-forward), even if only for one check.
      type: str
      sample: header
    answered:
      description: The pods that answered, with the number of answers and, by URL, their last one.
      type: dict
      sample: {"test-ml-score-5d9c-x7k2p": {"count": 3, "answers":
               {"http://127.0.10.1:8080/prediction/?f=0.05": [199.60306236]}}}
    checks:
      description: The result of each check, in the order of the option.
      type: list
      elements: dict
      contains:
        url:
          description: The URL of the request; for a port-forward, the URL for a manual request.
          type: str
          sample: http://127.0.10.1:8080/prediction/?f=0.05
        method: {description: The HTTP method., type: str, sample: GET}
        by:
          description: How its answers were obtained, V(address) or V(port-forward).
          type: str
          sample: address
        value: {description: The answer as a value; null if it is none., type: raw,
                sample: [199.60306236]}
        body: {description: The first 500 characters of an answer., type: str,
               sample: "[199.60306236]"}
        pods: {description: The pods that answered., type: list, elements: str,
               sample: [test-ml-score-5d9c-x7k2p]}
        requests: {description: Number of requests., type: int, sample: 5}
        latencies:
          description: Milliseconds until the correct answers were complete; null without any.
          type: dict
          contains:
            min: {description: The fastest., type: float, sample: 1.9}
            p50: {description: The median., type: float, sample: 2.1}
            p99: {description: The 99th percentile., type: float, sample: 3.4}
            max: {description: The slowest., type: float, sample: 3.4}
        healed:
          description: Failures that were retried, as text, with their number.
          type: list
          elements: str
          sample: []
    summary:
      description: One line on each check.
      type: list
      elements: str
      sample: ["http://127.0.10.1:8080/prediction/?f=0.05 answered [199.60306236] \
               by pods test-ml-score-5d9c-x7k2p, test-ml-score-5d9c-zzq4m in 2.1 ms"]
    try:
      description: Commands that query the workload by hand.
      type: list
      elements: str
      sample: ["curl 'http://127.0.10.1:8080/prediction/?f=0.05'"]
problems:
  description: The problems.
  returned: when there is a problem with a workload
  type: list
  elements: dict
  contains:
    name: {description: Name of the workload., type: str, sample: test-ml-score}
    namespace: {description: Its namespace., type: str, sample: test-ml-app}
    problem:
      description: The problem as text.
      type: str
      sample: "Workload test-ml-score in test-ml-app: http://127.0.10.1:8080/prediction/?f=0.05: \
               pod test-ml-score-5d9c-zzq4m answered [150.0], expected [199.6] ± 0.1"
"""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.checks.options import (
    CHECKS,
    REQUEST_OPTIONS,
    make_client,
)
from ansible.module_utils.docker_ml_api.checks.replicas import Interview, Roster, Target
from ansible.module_utils.docker_ml_api.checks.runner import (
    SystemClock,
    read_check,
    read_policy,
)
from ansible.module_utils.docker_ml_api.kubernetes.module_common import (
    ModuleFailedError,
    checked,
    run_module,
    workloads,
)
from ansible.module_utils.docker_ml_api.kubernetes.service_address import (
    forward_commands,
    kubectl_access,
)

try:
    from ansible.module_utils.docker_ml_api.kubernetes.workload_pods import (
        ClusterSurroundings,
        pods_by_workload,
    )
except ImportError:  # run_module reports the missing package
    ClusterSurroundings = pods_by_workload = None

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster

ARGUMENTS = {
    "workloads": workloads(
        {
            "service_name": {"type": "str", "required": True},
            "service_port": {"type": "int", "required": True},
            "port": {"type": "int", "required": True},
            "url": {"type": "str", "default": ""},
            "checks": CHECKS,
        }
    ),
    "instance_header": {"type": "str", "default": "X-Served-By"},
    "labels": {"type": "dict", "default": {}},
    "samples": {"type": "int", "default": 1},
    "deadline": {"type": "float", "default": 60},
    **REQUEST_OPTIONS,
}
# Workloads that are checked at the same time.
CONCURRENCY = 8


def sentence(workload: Mapping[str, Any], problem: str) -> str:
    """Return a problem, prefixed with the workload's name."""
    return f"Workload {workload['name']} in {workload['namespace']}: {problem}"


def read_target(workload: Mapping[str, Any], params: Mapping[str, Any]) -> Target:
    """Return the target that a workload's options describe; raise ValueError with a sentence."""
    command, local = forward_commands(
        workload["namespace"],
        workload["service_name"],
        workload["service_port"],
        kubectl_access(params),
    )
    checks = [
        read_check(workload["url"] or local, check, params["headers"], params["samples"])
        for check in workload["checks"]
    ]
    return Target(
        name=workload["name"],
        namespace=workload["namespace"],
        url=workload["url"],
        checks=tuple(checks),
        forward_command=command,
    )


def ask(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    """Check the workloads and return the module's result; raise ModuleFailedError."""
    params = module.params
    workloads = params["workloads"]
    try:
        policy = read_policy(params)
    except ValueError as error:
        raise ModuleFailedError(str(error)) from error
    targets = []
    for workload in workloads:
        try:
            targets.append(read_target(workload, params))
        except ValueError as error:
            raise ModuleFailedError(sentence(workload, str(error))) from error
    pods = pods_by_workload(cluster, [(target.namespace, target.name) for target in targets])
    client = make_client(params)

    def interview(workload: Mapping[str, Any], target: Target) -> dict[str, Any]:
        owners = {
            pod["metadata"]["name"]: name
            for (namespace, name), here in pods.items()
            for pod in here
            if namespace == target.namespace
        }
        check = target.checks[0] if target.checks else None
        surroundings = ClusterSurroundings(
            cluster, workload, client=client, owners=owners, check=check, timeout=policy.timeout
        )
        found = pods[target.namespace, target.name]
        result: dict[str, Any] = Interview(
            target,
            Roster(found, surroundings.read, params["labels"]),
            surroundings,
            client=client,
            policy=policy,
            clock=SystemClock(),
            jitter=random.random,
            header=params["instance_header"],
        ).run()
        return result

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        results = list(pool.map(interview, workloads, targets))
    return judgement(results)


def judgement(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the module's result from those of the workloads; fail if one has a problem."""
    problems = [
        {
            "name": result["name"],
            "namespace": result["namespace"],
            "problem": sentence(result, "; ".join(result["problems"])),
        }
        for result in results
        if result["problems"]
    ]
    well = [
        {name: value for name, value in result.items() if name != "problems"}
        for result in results
        if not result["problems"]
    ]
    result: dict[str, Any] = checked(problems, workloads=well)
    return result


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, ask)


if __name__ == "__main__":
    main()
