#!/usr/bin/python
"""Ansible module gke_leftovers: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_leftovers
short_description: Find what a deleted GKE cluster left in the project, and delete it on request
description:
  - Lists forwarding rules, target pools and proxies, URL maps, backend services, health checks,
    network endpoint groups, instance groups, SSL certificates, addresses, disks and firewall
    rules, over all zones and regions, and determines which of them the cluster left behind. It
    sends one request for each kind.
  - V(certain) are resources with the cluster's id or UIDs, or with labels of its name, its location
    and this project. V(likely) are resources with its name, if no cluster of that name exists.
    V(possible) are resources that may belong to another cluster with a similar name.
  - Resources that belong to an existing cluster, or are older than the cluster, are never listed.
  - While the cluster exists, nothing is left over. The module then returns RV(identity), by
    which its leftovers are certain after its deletion; pass it to the next call.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place, gke_owner]
options:
  identity:
    description:
      - What was known about the cluster while it existed, as this module and the module
        M(kubernetes_cloud_resources) return it. If several entries have a value, the first one is
        used.
    type: list
    elements: dict
    default: []
  sweep:
    description:
      - Whether C(certain) and C(likely) leftovers are deleted. Disks are deleted only if they are
        C(certain) and not in use. Nothing else is deleted.
    type: bool
    default: false
  settle:
    description: Seconds to wait for Google to remove the leftovers by itself.
    type: float
    default: 60
  timeout:
    description: Timeout in seconds for deleting.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
    description: Reports what would be deleted. It does not fail if there are leftovers.
  diff_mode:
    support: full
    description: Lists what is deleted.
"""

EXAMPLES = r"""
- name: Get the identity of the cluster's resources
  gke_leftovers:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
  register: before

- name: Delete what the cluster left
  gke_leftovers:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
    identity: ["{{ before.identity }}"]
    sweep: true
"""

RETURN = r"""
exists:
  description: Whether the cluster exists.
  returned: always, but for a refused request
  type: bool
  sample: false
identity:
  description: What is known about the cluster, for a later call; see O(identity).
  returned: always, but for a refused request
  type: dict
  sample: {}
leftovers:
  description: The remaining leftovers, in the order in which to delete them.
  returned: always, but for a refused request
  type: list
  elements: dict
  contains: &resource
    kind: {description: Kind of the resource., type: str, sample: forwarding rule}
    name: {description: Its name., type: str, sample: a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1}
    scope:
      description: C(global), C(regions/REGION) or C(zones/ZONE).
      type: str
      sample: regions/europe-west1
    path:
      description: Its path in the project.
      type: str
      sample: regions/europe-west1/forwardingRules/a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1
    made_for:
      description: The Kubernetes object that it was created for; empty if unknown.
      type: str
      sample: Service default/hello-web
    attribution:
      description: C(certain), C(likely) or C(possible); empty if nothing is known.
      type: str
      sample: certain
    why:
      description: Why it is attributed to the cluster.
      type: str
      sample: it has the node tag gke-hello-cluster-0a1b2c3d-node
    sweep: {description: Whether O(sweep) deletes it., type: bool, sample: true}
    kept: {description: Why O(sweep) does not delete it; empty if it does., type: str, sample: ""}
    command:
      description: The command that deletes it by hand.
      type: str
      sample: gcloud compute forwarding-rules delete a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1
        --region europe-west1 --project my-project
retained:
  description: Disks that remain because their volumes have the reclaim policy Retain.
  returned: always, but for a refused request
  type: list
  elements: dict
  contains: *resource
unattributed:
  description: Resources that Kubernetes created in this project for an unknown cluster.
  returned: always, but for a refused request
  type: list
  elements: dict
  contains: *resource
swept:
  description: The paths of the deleted resources; in check mode of those to delete.
  returned: always, but for a refused request
  type: list
  elements: str
  sample: []
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api import progress
from ansible.module_utils.docker_ml_api.gke import cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import attribution, compute, urls
except ImportError:
    # run_module reports the missing package.
    attribution = compute = urls = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.gke.attribution import Attribution, Leftover
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.PLACE,
    **cluster_options.OWNED,
    "identity": {"type": "list", "elements": "dict", "default": []},
    "sweep": {"type": "bool", "default": False},
    "settle": {"type": "float", "default": 60},
    "timeout": {"type": "float", "default": 300},
}
_INTERVAL = 5.0
_NAMED = 20


class Search:
    """Looks for one cluster's leftovers."""

    def __init__(self, params: dict[str, Any], session: GoogleSession) -> None:
        """Take the module's parameters."""
        self._params = params
        self._session = session
        self._labels = {cluster_options.OWNER_LABEL: params["managed_by"]}
        self.known = list(params["identity"])
        self.exists = False

    def clusters(self) -> list[dict[str, Any]]:
        """Return the clusters of all locations; raise ModuleFailedError if any are missing."""
        answer = self._session.get(urls.clusters(self._session.project, "-"))
        missing = answer.get("missingZones") or []
        if missing:
            raise ModuleFailedError(
                f"What cluster {self._params['name']} left cannot be told, since Google does not "
                f"list the clusters of {', '.join(missing)} just now: run the same command again."
            )
        return list(answer.get("clusters") or [])

    def look(self) -> Attribution:
        """Return what the cluster left behind; nothing while the cluster exists."""
        living = self.clusters()
        place = self._params["name"], self._params["location"]
        mine = [one for one in living if (one.get("name"), one.get("location")) == place]
        self.exists = bool(mine)
        if mine:
            self.known = [attribution.identity_of(mine[0], self._labels), *self.known]
            return attribution.Attribution()
        try:
            identity = attribution.read_identity(*place, *self.known)
            resources = compute.list_resources(self._session)
        except ValueError as error:
            raise ModuleFailedError(
                f"identity is not what this module returned ({error}): leave it out."
            ) from error
        except compute.IncompleteError as error:
            raise ModuleFailedError(str(error)) from error
        return attribution.attribute(identity, resources, living, self._labels)

    def settled(self, seconds: float) -> Attribution:
        """Repeat `look` until nothing is left, for at most `seconds`; return its last result."""
        end = self._session.clock() + seconds
        found = self.look()
        while found.leftovers and self._session.clock() < end:
            progress.say(f"still there: {', '.join(one.found.path for one in found.leftovers)}")
            self._session.sleep(_INTERVAL)
            found = self.look()
        return found

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that is known about the cluster."""
        merged: dict[str, Any] = {}
        for part in reversed(self.known):
            for key, value in part.items():
                if isinstance(value, list):
                    merged[key] = sorted({*merged.get(key, []), *value})
                elif value not in (None, ""):
                    merged[key] = value
        return merged


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Find the leftovers, delete them on request, and return the module's result."""
    params = module.params
    search = Search(params, session)
    wait = not module.check_mode and not params["sweep"]
    found = search.settled(params["settle"] if wait else 0)
    if search.exists and params["sweep"] and not module.check_mode:
        raise ModuleFailedError(
            f"Cluster {params['name']} in {params['location']} is alive, so that nothing of it is "
            "left over: delete it first (--tags teardown)."
        )
    going = [one for one in found.leftovers if one.sweep] if params["sweep"] else []
    swept = [one.found.path for one in going]
    problems: dict[str, str] = {}
    left = found.leftovers
    if going and not module.check_mode:
        sweep = compute.Sweep(session, params["timeout"])
        sweep.run(going)
        swept, problems = sweep.deleted, sweep.problems
        # Not searched again: the deleted resources may have been what attributed the others.
        left = [one for one in found.leftovers if one.found.path not in swept]
    result: dict[str, Any] = {
        "changed": bool(swept),
        "exists": search.exists,
        "identity": search.identity,
        "leftovers": _public(left, session),
        "retained": _public(found.retained, session),
        "unattributed": _public(found.unattributed, session),
        "swept": swept,
    }
    if swept:
        result["diff"] = {"before": "\n".join(swept) + "\n", "after": ""}
    if left and not module.check_mode:
        raise ModuleFailedError(_sentence(params, left, problems, session.project), **result)
    return result


def _public(items: list[Leftover], session: GoogleSession) -> list[dict[str, Any]]:
    return [one.public(session.project) for one in items]


def _sentence(
    params: dict[str, Any], left: list[Leftover], problems: dict[str, str], project: str
) -> str:
    lines = []
    for one in left[:_NAMED]:
        public = one.public(project)
        made_for = f", made for {public['made_for']}" if public["made_for"] else ""
        why = problems.get(one.found.path) or (one.kept if params["sweep"] else "")
        stays = f"; it was not deleted: {why}" if why else ""
        lines.append(
            f"- {public['kind']} {public['name']} ({public['scope']}{made_for}): "
            f"{one.attribution}, since {one.why}{stays}. {public['command']}"
        )
    if len(left) > _NAMED:
        lines.append(f"- and {len(left) - _NAMED} more (see leftovers)")
    advice = "delete it with the commands named"
    if not params["sweep"] and any(one.sweep for one in left):
        advice = "let it be deleted with gke_cluster_sweep: true, or with the commands named"
    return (
        f"Cluster {params['name']} in {params['location']} left {len(left)} of its resources, "
        f"which may cost: {advice}.\n" + "\n".join(lines)
    )


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
