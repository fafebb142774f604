#!/usr/bin/python
"""Ansible module workload_address: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_address
short_description: Find the addresses at which the Services of workloads are reached
description:
  - Waits until all Services of type C(LoadBalancer) have an address, in parallel, and until the
    host name of a load balancer can be resolved.
  - Fails early if a load balancer cannot be created, with the message of the Service's events, as
    soon as the same failure occurred twice and was last seen within a minute. An older failure may
    have been fixed since, so the module waits for the next attempt.
  - A cluster without a load balancer implementation (kind, a plain kubeadm) is detected if the
    Service has no finalizer, no status and no event O(no_load_balancer_after) seconds after its
    creation. This is not a failure; such a workload is accessed by port-forward, like one whose
    Service is of another type.
  - If the API server becomes unavailable while the module waits, the module waits for it as well.
  - Each poll sends one list request for the Services of each namespace. Events are listed only
    if a load balancer has no address, nodes only for a Service of type C(NodePort). If the user
    lacks the permission to list events or nodes, the module works without them.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: cluster
options:
  workloads:
    description: The workloads whose Services to look up.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the workload.
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
        description: Port of the Service. If the live Service lacks it, the live port is returned.
        type: int
        required: true
      expose:
        description: Type that the Service must have.
        type: str
        choices: [LoadBalancer, NodePort, ClusterIP]
        default: LoadBalancer
  labels:
    description: Labels that Services must have; a Service without them counts as missing.
    type: dict
    default: {}
  timeout:
    description: Timeout in seconds for all load balancers together.
    type: float
    default: 300
  no_load_balancer_after:
    description:
      - Seconds after a Service's creation within which a cluster with a load balancer
        implementation shows that it handles the Service.
    type: float
    default: 20
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Changes nothing.
seealso:
  - module: workload_check
"""

EXAMPLES = r"""
- name: Find the address of the greeting
  workload_address:
    context: kind-kind
    workloads:
      - name: hello-web
        namespace: default
        service_name: hello-web
        service_port: 80
        expose: LoadBalancer
  register: addresses
"""

RETURN = r"""
workloads:
  description: The addresses of the workloads that have no problem.
  returned: always, but for an unreachable cluster and wrong options
  type: list
  elements: dict
  contains:
    name: {description: Name of the workload., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    via:
      description: V(load-balancer) or V(port-forward).
      type: str
      sample: load-balancer
    address:
      description:
        - IP address or host name of the load balancer, or of a node for a Service of type
          C(NodePort); otherwise empty.
      type: str
      sample: 35.241.237.159
    port:
      description: Port at that address; without an address, the port of the Service.
      type: int
      sample: 80
    service_port:
      description: Port of the Service on the cluster.
      type: int
      sample: 80
    url:
      description: URL of the load balancer; empty for V(port-forward).
      type: str
      sample: http://35.241.237.159
    reason:
      description: Why there is no load balancer; empty if there is one.
      type: str
      sample: ""
    nodes:
      description:
        - The nodes through which a Service of type C(NodePort) is accessible. Empty if the user may
          not list them.
      type: list
      elements: dict
      contains:
        name: {description: Name of the node., type: str, sample: node-1}
        address: {description: Its external address or else its internal one., type: str,
                  sample: 10.0.0.7}
    try:
      description: Commands that query the workload by hand.
      type: list
      elements: str
      sample: ["curl http://35.241.237.159"]
problems:
  description: The problems.
  returned: when there is a problem with a workload
  type: list
  elements: dict
  contains:
    name: {description: Name of the workload., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    problem:
      description: The problem as text.
      type: str
      sample: "Workload hello-web in default: Service hello-web is being deleted: \
        deploy again once it is gone."
"""

import socket
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.checks.http import bounded, proxied
from ansible.module_utils.docker_ml_api.checks.runner import SystemClock
from ansible.module_utils.docker_ml_api.kubernetes.module_common import (
    ModuleFailedError,
    checked,
    run_module,
    workloads,
)
from ansible.module_utils.docker_ml_api.kubernetes.service_address import (
    EXPOSE,
    Search,
    Target,
    ask_resolver,
    kubectl_access,
    read_moment,
    result_of,
)

try:
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import ApiError, UnreachableError
except ImportError:  # run_module reports the missing package
    ApiError = UnreachableError = Exception

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster, Object

ARGUMENTS = {
    "workloads": workloads(
        {
            "service_name": {"type": "str", "required": True},
            "service_port": {"type": "int", "required": True},
            "expose": {"type": "str", "choices": list(EXPOSE), "default": EXPOSE[0]},
        }
    ),
    "labels": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 300},
    "no_load_balancer_after": {"type": "float", "default": 20},
}
# Timeout in seconds of a name lookup.
LOOK_UP = 5.0


class ClusterSource:
    """Reads from the cluster, and from this machine's resolver."""

    def __init__(self, cluster: Cluster, labels: Mapping[str, str]) -> None:
        """Set the cluster and the labels of the Services that count."""
        self._cluster = cluster
        self._labels = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))

    def services(self, namespace: str) -> list[Object]:
        """Return this project's Services in the namespace."""
        found: list[Object] = self._cluster.list("Service", namespace, labels=self._labels)
        return found

    def events(self, namespace: str) -> list[Object]:
        """Return the events of the namespace's Services; none if the user may not list them."""
        return self._allowed("Event", namespace, "involvedObject.kind=Service")

    def nodes(self) -> list[Object]:
        """Return the cluster's nodes; none if the user may not list them."""
        return self._allowed("Node", "", "")

    def now(self) -> float | None:
        """Return the time of the API server at its last answer; None if unknown."""
        moment: float | None = read_moment(self._cluster.date)
        return moment

    def unresolved(self, hostname: str) -> str:
        """Return why a host name cannot be resolved; empty if it can, or a proxy resolves it."""
        if proxied(f"http://{hostname}"):
            return ""
        why: str = ask_resolver(
            lambda name: bounded(lambda: socket.getaddrinfo(name, None), LOOK_UP), hostname
        )
        return why

    def _allowed(self, kind: str, namespace: str, fields: str) -> list[Object]:
        try:
            found: list[Object] = self._cluster.list(kind, namespace, fields=fields)
        except ApiError as error:
            if error.reason != "Forbidden":
                raise
            return []
        return found


def find(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    """Find the addresses and return the module's result; raise ModuleFailedError."""
    params = module.params
    for name in ("timeout", "no_load_balancer_after"):
        if params[name] < 0:
            raise ModuleFailedError(f"{name} must be 0 s or more, it is {params[name]:g}")
    targets = [Target(**workload) for workload in params["workloads"]]
    search = Search(
        source=ClusterSource(cluster, params["labels"]),
        clock=SystemClock(),
        timeout=params["timeout"],
        grace=params["no_load_balancer_after"],
        outlast=(UnreachableError,),
    )
    search.run(targets)
    access = kubectl_access(params)
    found = [
        result_of(target, search.found[target], access)
        for target in targets
        if target in search.found
    ]
    problems = [
        {
            "name": target.name,
            "namespace": target.namespace,
            "problem": f"Workload {target.name} in {target.namespace}: {search.failed[target]}",
        }
        for target in targets
        if target in search.failed
    ]
    result: dict[str, Any] = checked(problems, workloads=found)
    return result


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, find)


if __name__ == "__main__":
    main()
