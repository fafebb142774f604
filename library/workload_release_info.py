#!/usr/bin/python
"""Ansible module workload_release_info: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_release_info
short_description: Return which releases of workloads were good, and which to roll back to
description:
  - Reads the releases that M(workload_release) recorded.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, read_only]
options:
  workloads:
    description: The workloads.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The workload's name.
        type: str
        required: true
      namespace:
        description: The namespace of the workload.
        type: str
        required: true
      configuration:
        description:
          - Hash over the objects of the failed release. The target is then the newest recorded
            release; if that is the failed release itself, there is no target.
          - If unset, the target is the release before the running one. If the running configuration
            is not recorded, since it was never verified, that is the newest release; otherwise it
            is the release before the newest.
        type: str
        default: ""
  labels:
    description: Labels that mark the objects of the project.
    type: dict
    required: true
seealso:
  - module: workload_release
"""

EXAMPLES = r"""
- name: Find the release to roll back to
  workload_release_info:
    workloads:
      - name: hello-web
        namespace: default
        configuration: sha256:4c1f...
    labels:
      app.kubernetes.io/managed-by: docker-ml-api
  register: history

- name: Show the releases
  ansible.builtin.debug:
    var: history.workloads
"""

RETURN = r"""
workloads:
  description: The history of each workload.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The workload., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    releases:
      description: Its releases, the newest first.
      type: list
      elements: dict
      contains:
        release: {description: The number., type: int, sample: 4}
        image: {description: The image., type: str, sample: "docker.io/tom/hello-app@sha256:..."}
        configuration: {description: Hash over the objects., type: str, sample: "sha256:4c1f..."}
        created: {description: When it was recorded., type: str, sample: "2026-11-22T19:00:00Z"}
    newest: {description: Number of the newest; null if there is none., type: int, sample: 4}
    previous: {description: Number of the one before it; null if none., type: int, sample: 3}
    target: {description: Release to roll back to; null if there is none., type: int, sample: 3}
targets:
  description:
    - The releases to roll back to, each as a workload with its objects; see M(workload_manifests).
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The workload., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    release: {description: The release's number., type: int, sample: 3}
    kind: {description: Deployment or ReplicationController., type: str, sample: Deployment}
    app: {description: The app that it runs., type: str, sample: hello-app}
    image: {description: Its image., type: str, sample: "docker.io/tom/hello-app@sha256:..."}
    replicas: {description: Number of pods; the minimum if autoscaled., type: int, sample: 2}
    autoscaled: {description: Whether it has an autoscaler., type: bool, sample: false}
    service_name: {description: Its Service., type: str, sample: hello-web}
    service_port: {description: The Service's port., type: int, sample: 80}
    expose: {description: The Service's type., type: str, sample: LoadBalancer}
    port: {description: The container's port., type: int, sample: 8080}
    configuration: {description: Hash over the objects., type: str, sample: "sha256:91ab..."}
    objects: {description: Its manifests in apply order., type: list, elements: dict}
    checks:
      description: Its checks; empty if they were not recorded.
      type: list
      elements: dict
missing:
  description: The workloads without a target, and why.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The workload., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    problem:
      description: The reason as a sentence.
      type: str
      sample: "Workload hello-web in default: it has no earlier release to go back to."
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import module_common, releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster

ARGUMENTS: dict[str, Any] = {
    "workloads": module_common.workloads(
        {
            "configuration": {"type": "str", "default": ""},
        }
    ),
    "labels": {"type": "dict", "required": True},
}


def read(
    connected: Cluster, namespaces: set[str], labels: Mapping[str, str]
) -> dict[str, dict[str, list[releases.Release]]]:
    """Return the records of all workloads, by namespace and name."""
    selector = releases.selector(labels)
    return {
        namespace: releases.of_workloads(connected.list("ConfigMap", namespace, labels=selector))
        for namespace in sorted(namespaces)
    }


def running(
    connected: Cluster, namespaces: set[str], labels: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Return the hash of the running configuration of each workload, by namespace and name."""
    selector = releases.selector(labels, records=False)
    return {
        (namespace, found["metadata"]["labels"].get(releases.INSTANCE, "")): (
            releases.configuration(found)
        )
        for namespace in sorted(namespaces)
        for kind in releases.CONTROLLERS
        for found in connected.list(kind, namespace, labels=selector)
    }


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Return the histories and the releases to roll back to."""
    params = module.params
    names = {workload["namespace"] for workload in params["workloads"]}
    known = read(connected, names, params["labels"])
    by_hand = {one["namespace"] for one in params["workloads"] if not one["configuration"]}
    runs = running(connected, by_hand, params["labels"])
    workloads, targets, missing = [], [], []
    for workload in params["workloads"]:
        where = {"name": workload["name"], "namespace": workload["namespace"]}
        records = known[workload["namespace"]].get(workload["name"], [])
        target = releases.target(
            records,
            workload["configuration"],
            runs.get((workload["namespace"], workload["name"]), ""),
        )
        workloads.append(
            {
                **where,
                "releases": [one.summary() for one in records],
                "newest": records[0].number if records else None,
                "previous": records[1].number if len(records) > 1 else None,
                "target": target.number if target else None,
            }
        )
        problem = releases.why_no_target(records, workload["configuration"])
        if target:
            try:
                targets.append(releases.shape(workload["name"], workload["namespace"], target))
                continue
            except releases.DamagedRecordError as error:
                problem = f"its release {target.number} cannot be used: {error}; delete that"
        problem = f"Workload {where['name']} in {where['namespace']}: {problem}."
        missing.append({**where, "problem": problem})
    return {"workloads": workloads, "targets": targets, "missing": missing}


def main() -> None:
    """Run the module."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
