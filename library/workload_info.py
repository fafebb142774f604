#!/usr/bin/python
"""Ansible module workload_info: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_info
short_description: List the workloads of this project on a cluster
description:
  - Lists the Deployments and ReplicationControllers with the project's labels, in all namespaces
    that the user may read.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, read_only]
options:
  labels:
    description: Labels that mark the objects of the project.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: List the workloads
  workload_info:
    labels:
      app.kubernetes.io/managed-by: docker-ml-api
  register: there
"""

RETURN = r"""
workloads:
  description: The workloads, by namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    kind: {description: Deployment or ReplicationController., type: str, sample: Deployment}
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import module_common, releases

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster

ARGUMENTS: dict[str, Any] = {"labels": {"type": "dict", "required": True}}


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Return the workloads."""
    selector = releases.selector(module.params["labels"], records=False)
    found = [
        {"name": name, "namespace": one["metadata"]["namespace"], "kind": one["kind"]}
        for kind in releases.CONTROLLERS
        for one in connected.list(kind, labels=selector)
        if (name := (one["metadata"].get("labels") or {}).get(releases.INSTANCE))
    ]
    return {"workloads": sorted(found, key=lambda one: (one["namespace"], one["name"]))}


def main() -> None:
    """Run the module."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
