#!/usr/bin/python
"""Ansible module kubernetes_cloud_resources: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_cloud_resources
short_description: Delete a cluster's load balancers and disks before the cluster itself
description:
  - Load balancers and disks are created and removed by controllers inside the cluster. If the
    cluster is deleted first, they remain and incur costs.
  - Deletes the Ingresses, Gateways, the Services of type LoadBalancer or with
    network endpoint groups, and the PersistentVolumeClaims. Waits until these, with their
    finalizers, are gone, and the volumes of the claims as well.
  - A claim is not removed while pods use it, so the workloads of those pods are deleted as well.
  - B(All) of these objects are deleted, whoever created them, and the data on the disks is lost.
    Use it only for a cluster that will be deleted next. Volumes with the reclaim policy Retain keep
    their disks, which are listed in RV(retained).
  - Objects that are created again while the module waits are deleted again.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: cluster
options:
  namespaces:
    description: Limits the deletion to these namespaces. By default it covers all namespaces.
    type: list
    elements: str
    default: []
  timeout:
    description: Timeout in seconds for the whole deletion.
    type: float
    default: 600
attributes:
  check_mode:
    support: full
    description: Reports what would be removed, and all other return values.
  diff_mode:
    support: full
    description: Lists what is removed.
"""

EXAMPLES = r"""
- name: Remove the cluster's load balancers and disks
  kubernetes_cloud_resources:
    kubeconfig: "{{ access.kubeconfig }}"
  register: cloud
"""

RETURN = r"""
removed:
  description: The deleted objects, as C(KIND NAMESPACE/NAME), including workloads that used claims.
  returned: always, but for an unreachable cluster
  type: list
  elements: str
  sample: ["Service default/hello-web", "PersistentVolumeClaim default/data"]
retained:
  description: The volumes whose disks intentionally remain in the cloud.
  returned: always, but for an unreachable cluster
  type: list
  elements: dict
  contains:
    volume: {description: The PersistentVolume., type: str, sample: pvc-1}
    claim:
      description: The claim of the volume, as C(NAMESPACE/NAME); empty if it has none.
      type: str
      sample: default/data
    disk: {description: The disk's name., type: str, sample: pvc-1}
identity:
  description:
    - Identifiers of the cluster's resources in the cloud, for the option
      O(gke_leftovers#module:identity) of the module M(gke_leftovers).
  returned: always, but for an unreachable cluster
  type: dict
  contains:
    uids:
      description: The UIDs in the ConfigMap C(kube-system/ingress-uid).
      type: list
      elements: str
      sample: [e1b4a9c2d3f40516]
    system_uids:
      description: UID of the namespace kube-system.
      type: list
      elements: str
      sample: [8f3a8b0e-0f5b-4f0e-9c5e-3d3c1c5b7f11]
    load_balancers:
      description: The names of the load balancers of the Services.
      type: list
      elements: str
      sample: [a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1]
    disks:
      description: Disks of volumes that are deleted with their claims.
      type: list
      elements: str
      sample: []
    keep:
      description: Disks of RV(retained).
      type: list
      elements: str
      sample: []
problems:
  description: What was not removed before the timeout, in sentences.
  returned: when something did not go
  type: list
  elements: str
  sample:
    - "Service default/hello-web is still there after 600 s: Error syncing load balancer: quota.
      Fix that, and run the same command again."
"""

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.gke import naming
from ansible.module_utils.docker_ml_api.kubernetes import cloud_resources, module_common, teardown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster, Object

ARGUMENTS: dict[str, Any] = {
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 600},
}
_FIRST = 0.5
_LONGEST = 5.0
_NOT_FOUND = 404
_CONFLICT = 409
_SYSTEM = "kube-system"
_CLAIM = cloud_resources.CLAIM


class Removal:
    """Removes a cluster's cloud resources; the outcome is in `removed` and `problems`."""

    def __init__(
        self,
        connected: Cluster,
        timeout: float,
        namespaces: Iterable[str] = (),
        *,
        dry: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set the cluster, the namespaces, and whether only to report what would be done."""
        self._cluster = connected
        self._timeout = timeout
        self._namespaces = set(namespaces)
        self._dry = dry
        self._clock = clock
        self._sleep = sleep
        self._claims: set[tuple[str, str]] = set()
        self.changed = False
        self.removed: list[str] = []
        self.retained: list[dict[str, str]] = []
        self.identity: dict[str, list[str]] = {}
        self.problems: list[str] = []

    def run(self) -> None:
        """Delete the resources until none is left or the timeout expires."""
        left = self._look()
        self._identify(left)
        self.changed = bool(left)
        self._delete(left)
        if self._dry:
            return
        end = self._clock() + self._timeout
        pause = _FIRST
        while left and self._clock() < end:
            progress.say(f"still there: {', '.join(map(cloud_resources.title, left))}")
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST)
            left = self._look()
            self._delete(left)
        for item in left:
            self.problems.append(
                f"{cloud_resources.title(item)} is still there after {self._timeout:g} s: "
                f"{self._why(item)}, and run the same command again."
            )

    def _look(self) -> list[Object]:
        """Return the objects that still have to be removed, including the volumes."""
        found = [
            item
            for kind in cloud_resources.KINDS
            for item in self._list(kind)
            if cloud_resources.in_cloud(item) and self._is_here(cloud_resources.key(item))
        ]
        self._claims |= {cloud_resources.key(one) for one in found if one["kind"] == _CLAIM}
        volumes = [
            one
            for one in self._list(cloud_resources.VOLUME)
            if self._is_here(cloud_resources.claim_of(one) or ("", ""))
        ]
        self._retain(volumes)
        return [*found, *cloud_resources.going_volumes(volumes, self._claims)]

    def _is_here(self, place: tuple[str, str]) -> bool:
        return not self._namespaces or place[0] in self._namespaces

    def _list(self, kind: str) -> list[Object]:
        try:
            return list(self._cluster.list(kind))
        except module_common.cluster.ApiError as error:
            if error.status == _NOT_FOUND and kind in cloud_resources.OPTIONAL:
                return []
            raise

    def _retain(self, volumes: Iterable[Object]) -> None:
        known = {one["volume"] for one in self.retained}
        for volume in cloud_resources.retained(volumes):
            name = volume["metadata"]["name"]
            if name not in known:
                claim = "/".join(cloud_resources.claim_of(volume) or ())
                disk = cloud_resources.disk_of(volume)
                self.retained.append({"volume": name, "claim": claim, "disk": disk})

    def _identify(self, found: Iterable[Object]) -> None:
        system = self._cluster.get("Namespace", "", _SYSTEM) or {"metadata": {}}
        ingress = self._cluster.get("ConfigMap", _SYSTEM, "ingress-uid") or {}
        data = ingress.get("data") or {}
        uids = {str(data[key]) for key in ("uid", "provider-uid") if data.get(key)}
        of_volumes = [one for one in found if one["kind"] == cloud_resources.VOLUME]
        self.identity = {
            "uids": sorted(uids),
            "system_uids": [str(uid)] if (uid := system["metadata"].get("uid")) else [],
            "load_balancers": sorted(
                naming.balancer_name(one["metadata"]["uid"])
                for one in found
                if one["kind"] == "Service"
            ),
            "disks": sorted(filter(None, map(cloud_resources.disk_of, of_volumes))),
            "keep": sorted(one["disk"] for one in self.retained),
        }

    def _delete(self, items: Iterable[Object]) -> None:
        fresh = [one for one in items if not teardown.is_going(one)]
        for item in fresh:
            # The volumes are deleted with their claims.
            if item["kind"] != cloud_resources.VOLUME:
                self._remove(item)
        if self._claims:
            self._free_claims()

    def _free_claims(self) -> None:
        """Delete the controllers of pods that use the claims, or pods without a controller."""
        holders: dict[str, Object] = {}
        for pod in self._cluster.list("Pod"):
            if cloud_resources.claims_of(pod) & self._claims:
                holder = self._holder(pod)
                holders.setdefault(cloud_resources.title(holder), holder)
        for holder in holders.values():
            if not teardown.is_going(holder):
                self._remove(holder)

    def _holder(self, item: Object) -> Object:
        """Return the outermost controller of an object, or the object itself."""
        while True:
            above = cloud_resources.owner(item)
            found = above and self._cluster.get(above[0], item["metadata"]["namespace"], above[1])
            if not above or not found:
                return item
            item = {**found, "kind": above[0]}

    def _remove(self, item: Object) -> None:
        metadata = item["metadata"]
        title = cloud_resources.title(item)
        options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
        place = item["kind"], metadata.get("namespace", ""), metadata["name"]
        if not self._dry:
            try:
                self._cluster.delete(*place, options)
            except module_common.cluster.ApiError as error:
                # The object was recreated in the meantime; the next listing finds the new one.
                if error.status != _CONFLICT:
                    raise
                return
        self.changed = True
        if title not in self.removed:
            self.removed.append(title)

    def _why(self, item: Object) -> str:
        metadata = item["metadata"]
        said = (item.get("status") or {}).get("message")
        if not said:
            events = self._cluster.list(
                "Event",
                metadata.get("namespace", ""),
                fields=f"involvedObject.uid={metadata['uid']}",
            )
            said = teardown.last_warning(events)
        if said:
            return f"{str(said).rstrip('.')}. Fix that"
        finalizers = ", ".join(metadata.get("finalizers") or [])
        if finalizers:
            return f"it waits for {finalizers}. See to that"
        space = f" --namespace {metadata['namespace']}" if metadata.get("namespace") else ""
        describe = f"kubectl describe {item['kind'].lower()}{space} {metadata['name']}"
        return f"nothing says why. Look with '{describe}'"


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Remove the resources and return the module's result; raise ModuleFailedError."""
    params = module.params
    removal = Removal(connected, params["timeout"], params["namespaces"], dry=module.check_mode)
    removal.run()
    result: dict[str, Any] = {
        "changed": removal.changed,
        "removed": removal.removed,
        "retained": removal.retained,
        "identity": removal.identity,
    }
    if removal.removed:
        result["diff"] = {"before": "\n".join(removal.removed) + "\n", "after": ""}
    if removal.problems:
        message = "\n".join(removal.problems)
        raise module_common.ModuleFailedError(message, problems=removal.problems, **result)
    return result


def main() -> None:
    """Run the module."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
