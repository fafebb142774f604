#!/usr/bin/python
"""Ansible module workload_absent: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: workload_absent
short_description: Delete workloads, their load balancers and their namespaces
description:
  - Removes all objects of each workload that have the project's labels, Services first. Waits
    until the Services, and therefore their load balancers, and the pods are gone.
  - Removes the credentials for the registry with the last workload in a namespace.
  - Then removes the namespaces that have the project's labels, unless they contain other objects
    of any kind that the API server knows.
  - Objects without the project's labels are never removed, but listed in RV(kept).
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: cluster
options:
  workloads:
    description: The workloads to remove.
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
  labels:
    description: Labels that mark the objects of the project.
    type: dict
    required: true
  timeout:
    description: Timeout in seconds for removing the workloads, and again for the namespaces.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
    description: Reports what would be removed, and what would be kept.
  diff_mode:
    support: full
    description: Lists what is removed.
"""

EXAMPLES = r"""
- name: Remove the workload and its load balancer
  workload_absent:
    workloads:
      - name: hello-web
        namespace: default
    labels:
      app.kubernetes.io/managed-by: docker-ml-api
"""

RETURN = r"""
removed:
  description: The removed objects, as C(KIND NAMESPACE/NAME).
  returned: always, but for an unreachable cluster
  type: list
  elements: str
  sample: ["Service default/hello-web", "Deployment default/hello-web", "Namespace test-ml-app"]
kept:
  description: What was not removed, and why, in sentences.
  returned: always, but for an unreachable cluster
  type: list
  elements: str
  sample: ["Namespace test-ml-app is left: it also holds ConfigMap notes."]
problems:
  description: What was not removed before the timeout.
  returned: when a workload or namespace did not go
  type: list
  elements: dict
  contains:
    name: {description: The workload; empty for a namespace., type: str, sample: hello-web}
    namespace: {description: The namespace., type: str, sample: default}
    problem:
      description: The problem as a sentence.
      type: str
      sample: "Workload hello-web in default: its Service hello-web is still there after 300 s:
        Error syncing load balancer: failed to delete load balancer: quota. Fix that, and run
        the same command again."
"""

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.kubernetes import module_common, teardown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster, Object

ARGUMENTS: dict[str, Any] = {
    "workloads": module_common.workloads(),
    "labels": {"type": "dict", "required": True},
    "timeout": {"type": "float", "default": 300},
}
_INTERVAL = 0.5
_FORBIDDEN = 403
_NOT_FOUND = 404
_NOT_ALLOWED = 405
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Metadata is enough, and Secrets are not transferred. An API without support for it sends all.
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_PAGE = 500


class Teardown:
    """Removes workloads from a cluster; the outcome is in `removed`, `kept` and `problems`."""

    def __init__(
        self,
        connected: Cluster,
        labels: Mapping[str, str],
        timeout: float,
        *,
        dry: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set the cluster, the project's labels, and whether only to report what would be done."""
        self._cluster = connected
        self._labels = labels
        self._selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        self._timeout = timeout
        self._dry = dry
        self._clock = clock
        self._sleep = sleep
        self._contents: tuple[list[teardown.Resource], list[str]] | None = None
        self.changed = False
        self.removed: list[str] = []
        self.kept: list[str] = []
        self.problems: list[dict[str, str]] = []

    def run(self, workloads: list[dict[str, str]]) -> None:
        """Remove the workloads, then the namespaces that are empty without them."""
        names: dict[str, set[str]] = {}
        for workload in workloads:
            names.setdefault(workload["namespace"], set()).add(workload["name"])
        namespaces: dict[str, Object] = {}
        for name in sorted(names):
            found = self._cluster.get("Namespace", "", name)
            if found:
                namespaces[name] = found
        for namespace in namespaces:
            self._remove_workloads(namespace, names[namespace])
        if not self._dry:
            self._wait_for_workloads({name: names[name] for name in namespaces})
        stuck = {problem["namespace"] for problem in self.problems}
        for name, found in namespaces.items():
            if name not in stuck:
                self._remove_namespace(found, names[name])
        if not self._dry:
            self._wait_for_namespaces([name for name in namespaces if name not in stuck])

    def _remove_workloads(self, namespace: str, names: set[str]) -> None:
        found = {
            kind: self._cluster.list(
                kind, namespace, labels=self._selector if kind in teardown.OURS_ONLY else ""
            )
            for kind in teardown.KINDS
        }
        secrets = self._cluster.list("Secret", namespace, labels=self._selector)
        plan = teardown.plan(found, secrets, names, self._labels)
        for item in plan.foreign:
            self.kept.append(
                f"{item['kind']} {item['metadata']['name']} in {namespace} is left: it does not "
                "carry this project's labels."
            )
        for item in plan.remove:
            self._remove(item)
        for item in self._cluster.list("Pod", namespace, labels=self._selector):
            if teardown.instance(item) in names and teardown.is_orphan(item):
                self._remove(item)
        self.changed |= bool(plan.going)

    def _remove(self, item: Object) -> None:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        if not self._dry:
            self._cluster.delete(
                item["kind"],
                namespace,
                metadata["name"],
                {
                    "preconditions": {"uid": metadata["uid"]},
                    "propagationPolicy": "Background",
                },
            )
        self.changed = True
        where = f"{namespace}/" if namespace else ""
        self.removed.append(f"{item['kind']} {where}{metadata['name']}")

    def _wait_for_workloads(self, names: Mapping[str, set[str]]) -> None:
        left = self._wait(
            names, lambda namespace: self._left_of_workloads(namespace, names[namespace])
        )
        for namespace, items in left.items():
            for item in items:
                workload = teardown.instance(item)
                problem = (
                    f"Workload {workload} in {namespace}: its {item['kind']} "
                    f"{item['metadata']['name']} is still there after {self._timeout:g} s: "
                    f"{self._why(item)}, and run the same command again."
                )
                self.problems.append({"name": workload, "namespace": namespace, "problem": problem})

    def _left_of_workloads(self, namespace: str, names: set[str]) -> list[Object]:
        return [
            item
            for kind in ("Service", "Pod")
            for item in self._cluster.list(kind, namespace, labels=self._selector)
            if teardown.instance(item) in names
        ]

    def _why(self, item: Object) -> str:
        metadata = item["metadata"]
        events = self._cluster.list(
            "Event", metadata["namespace"], fields=f"involvedObject.uid={metadata['uid']}"
        )
        said = teardown.last_warning(events)
        if said:
            return f"{said.rstrip('.')}. Fix that"
        finalizers = ", ".join(metadata.get("finalizers") or [])
        if finalizers:
            return f"it waits for {finalizers}. See to that"
        describe = f"kubectl describe {item['kind'].lower()} --namespace {metadata['namespace']}"
        return f"nothing says why. Look with '{describe} {metadata['name']}'"

    def _remove_namespace(self, namespace: Object, names: set[str]) -> None:
        name = namespace["metadata"]["name"]
        if teardown.is_going(namespace):
            self.changed = True
            return
        if not teardown.is_ours(namespace, self._labels):
            return
        why = self._why_kept(name, names)
        if why:
            self.kept.append(f"Namespace {name} is left: {why}.")
            return
        self._remove(namespace)

    def _why_kept(self, namespace: str, names: set[str]) -> str:
        if self._contents is None:
            self._contents = teardown.resources(
                self._cluster.json("GET", path, accept=_DISCOVERY) for path in ("/api", "/apis")
            )
        kinds, silent = self._contents
        if silent:
            return f"whether it is empty cannot be known, since {', '.join(silent)} does not answer"
        items: list[tuple[str, Object]] = []
        for resource in kinds:
            try:
                items += [(resource.kind, item) for item in self._items(resource, namespace)]
            except module_common.cluster.ApiError as error:
                if error.status == _FORBIDDEN:
                    return f"whether it is empty cannot be known, since {error}"
                # Some resources are advertised as listable, but cannot be listed.
                if error.status not in {_NOT_FOUND, _NOT_ALLOWED}:
                    raise
        left = [
            (kind, item)
            for kind, item in teardown.without_owned(items)
            if teardown.is_left(kind, item, names, self._labels)
        ]
        left.sort(key=lambda one: (one[0], one[1]["metadata"]["name"]))
        return f"it also holds {teardown.naming(left)}" if left else ""

    def _items(self, resource: teardown.Resource, namespace: str) -> list[Object]:
        found: list[Object] = []
        query: dict[str, Any] = {"limit": _PAGE}
        while True:
            answer = self._cluster.json("GET", resource.path(namespace), query, accept=_METADATA)
            found += answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    def _wait_for_namespaces(self, names: list[str]) -> None:
        going: dict[str, None] = {}
        for name in names:
            found = self._cluster.get("Namespace", "", name)
            if found and teardown.is_going(found):
                going[name] = None
        left = self._wait(going, self._left_of_namespace)
        for name, items in left.items():
            said = teardown.obstacle(items[0]).rstrip(".") or "nothing says why"
            problem = (
                f"Namespace {name} is still there after {self._timeout:g} s: {said}. Look with "
                f"'kubectl describe namespace {name}', and run the same command again."
            )
            self.problems.append({"name": "", "namespace": name, "problem": problem})

    def _left_of_namespace(self, name: str) -> list[Object]:
        found = self._cluster.get("Namespace", "", name)
        return [found] if found else []

    def _wait(
        self, names: Mapping[str, Any], look: Callable[[str], list[Object]]
    ) -> dict[str, list[Object]]:
        """Wait until nothing is left or the timeout expires; return what is left, by name."""
        end = self._clock() + self._timeout
        left = {name: items for name in names if (items := look(name))}
        while left and self._clock() < end:
            progress.say(f"still there: {', '.join(left)}")
            self._sleep(_INTERVAL)
            left = {name: items for name in left if (items := look(name))}
        return left


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Remove the workloads and return the module's result; raise ModuleFailedError."""
    params = module.params
    going = Teardown(connected, params["labels"], params["timeout"], dry=module.check_mode)
    going.run(params["workloads"])
    result: dict[str, Any] = {
        "changed": going.changed,
        "removed": going.removed,
        "kept": going.kept,
    }
    if going.removed:
        result["diff"] = {"before": "\n".join(going.removed) + "\n", "after": ""}
    module_common.checked(going.problems, **result)
    return result


def main() -> None:
    """Run the module."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
