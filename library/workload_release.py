#!/usr/bin/python
"""Ansible module workload_release: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_release
short_description: Record the releases of workloads that were found good
description:
  - Stores a history of each workload in its namespace, one immutable ConfigMap for each release,
    named C(NAME-release-NUMBER), with the workload's objects in it.
  - Call it once a release has been verified; see M(workload_release_info) for rolling back.
  - If the workload is already recorded as the newest release, nothing changes. A configuration that
    an older release had gets a new number, as with C(kubectl rollout undo), and its old record is
    deleted.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: cluster
options:
  workloads:
    description: The running workloads.
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
        description: Hash over its objects, which identifies a release.
        type: str
        required: true
      image:
        description: Its image.
        type: str
        required: true
      objects:
        description: Its manifests.
        type: list
        elements: dict
        required: true
      checks:
        description:
          - Its checks, as options of the module M(prediction_check), so that they can be repeated
            after a rollback. A release that is already recorded keeps its own checks.
        type: list
        elements: dict
        default: []
  labels:
    description: Labels that mark the objects of the project; each record gets them.
    type: dict
    required: true
  limit:
    description: Number of releases to keep for each workload, including the newest.
    type: int
    default: 10
attributes:
  check_mode:
    support: full
    description: Reports which releases would be recorded.
  diff_mode:
    support: full
    description: Shows the newest release of each workload before and after.
seealso:
  - module: workload_release_info
"""

EXAMPLES = r"""
- name: Record the verified releases
  workload_release:
    workloads: "{{ good | community.general.keep_keys(
      target=['name', 'namespace', 'configuration', 'image', 'objects', 'checks']) }}"
    labels:
      app.kubernetes.io/managed-by: docker-ml-api
"""

RETURN = r"""
workloads:
  description: The recorded releases of each workload.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The workload., type: str, sample: hello-web}
    namespace: {description: Its namespace., type: str, sample: default}
    release: {description: Number of the newest release., type: int, sample: 4}
    previous:
      description: Number of the release before it; null if there is none.
      type: int
      sample: 3
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
            "configuration": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "objects": {"type": "list", "elements": "dict", "required": True},
            "checks": {"type": "list", "elements": "dict", "default": []},
        }
    ),
    "labels": {"type": "dict", "required": True},
    "limit": {"type": "int", "default": 10},
}
_CONFLICT = 409
# Each attempt that conflicts with another run identifies one more number that is in use.
_TRIES = 10


class Recorder:
    """Records one workload after the other, and reads each namespace once."""

    def __init__(
        self, connected: Cluster, labels: Mapping[str, str], limit: int, *, dry: bool
    ) -> None:
        """Set the cluster, the project's labels, and whether only to report what would be done."""
        self._cluster = connected
        self._labels = labels
        self._limit = limit
        self._dry = dry
        self._known: dict[str, dict[str, list[releases.Release]]] = {}
        self.changed = False
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}

    def record(self, workload: Mapping[str, Any]) -> dict[str, Any]:
        """Update the workload's records and return their numbers; raise ModuleFailedError."""
        name, namespace = workload["name"], workload["namespace"]
        try:
            plan = self._recorded(workload)
            if not self._dry:
                for one in plan.delete:
                    self._cluster.delete(
                        "ConfigMap", namespace, one.name, {"preconditions": {"uid": one.uid}}
                    )
        except module_common.cluster.ApiError as error:
            raise module_common.ModuleFailedError(
                f"Workload {name} in {namespace}: its release cannot be recorded: "
                f"{module_common.advise(error)}"
            ) from error
        self.changed |= bool(plan.create or plan.delete)
        return {
            "name": name,
            "namespace": namespace,
            "release": plan.release,
            "previous": plan.previous,
        }

    def _recorded(self, workload: Mapping[str, Any]) -> releases.Plan:
        name, namespace = workload["name"], workload["namespace"]
        taken: set[int] = set()
        for left in reversed(range(_TRIES)):
            records = self._records(namespace, again=bool(taken)).get(name, [])
            plan = releases.plan(workload, records, self._labels, self._limit, taken)
            if plan.create is None or self._dry:
                break
            try:
                self._cluster.create("ConfigMap", namespace, plan.create)
                break
            except module_common.cluster.ApiError as error:
                if error.status != _CONFLICT or not left:
                    raise
                taken.add(plan.release)
        if plan.create:
            self._note(workload, records, plan)
        return plan

    def _note(
        self,
        workload: Mapping[str, Any],
        records: list[releases.Release],
        plan: releases.Plan,
    ) -> None:
        where = f"{workload['namespace']}/{workload['name']}"
        if records:
            old = records[0].summary()
            self.before[where] = {key: old[key] for key in ("release", "image", "configuration")}
        self.after[where] = {
            "release": plan.release,
            "image": workload["image"],
            "configuration": workload["configuration"],
        }

    def _records(self, namespace: str, *, again: bool) -> dict[str, list[releases.Release]]:
        if again or namespace not in self._known:
            found = self._cluster.list(
                "ConfigMap", namespace, labels=releases.selector(self._labels)
            )
            self._known[namespace] = releases.of_workloads(found)
        return self._known[namespace]


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Record the workloads and return the module's result; raise ModuleFailedError."""
    params = module.params
    if params["limit"] < 1:
        raise module_common.ModuleFailedError("limit must be 1 or more: the newest release stays.")
    recorder = Recorder(connected, params["labels"], params["limit"], dry=module.check_mode)
    workloads = [recorder.record(workload) for workload in params["workloads"]]
    result: dict[str, Any] = {"changed": recorder.changed, "workloads": workloads}
    if recorder.changed:
        result["diff"] = {"before": recorder.before, "after": recorder.after}
    return result


def main() -> None:
    """Run the module."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
