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
    rules, over all zones and regions, and tells which of them the cluster left. It takes one
    request for each kind.
  - V(certain) is what carries the cluster's id or UIDs, or labels with its name, its location and
    this project's label. V(likely) is what carries its name, where no cluster of that name is
    alive. V(possible) is what may be another cluster's of a similar name.
  - What belongs to a cluster that is alive, or is older than the cluster, is never taken.
  - While the cluster is alive nothing is left over. The module then returns RV(identity), by
    which its leftovers are certain after its deletion; give it to the next call.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place, gke_owner]
options:
  identity:
    description:
      - What was told of the cluster while it lived, as this module and the module
        M(kubernetes_cloud_resources) return it. Of several the first one that knows is believed.
    type: list
    elements: dict
    default: []
  sweep:
    description:
      - Whether what is C(certain) or C(likely) is deleted. Disks are deleted only when they are
        C(certain) and nothing uses them. Nothing else is deleted.
    type: bool
    default: false
  settle:
    description: Seconds that Google may take to remove by itself what is left.
    type: float
    default: 60
  timeout:
    description: Seconds that deleting may take.
    type: float
    default: 300
attributes:
  check_mode:
    support: full
    description: Says what would be deleted. It does not fail on what is left.
  diff_mode:
    support: full
    description: Lists what is deleted.
"""

EXAMPLES = r"""
- name: Find out how the cluster's resources are recognized
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
  description: Whether the cluster is alive.
  returned: always, but for a refused request
  type: bool
  sample: false
identity:
  description: What is known of the cluster, for a later call; see O(identity).
  returned: always, but for a refused request
  type: dict
  sample: {}
leftovers:
  description: What is left now, in the order to delete.
  returned: always, but for a refused request
  type: list
  elements: dict
  contains: &resource
    kind: {description: What it is., type: str, sample: forwarding rule}
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
      description: The Kubernetes object that it was made for; empty if that is not said.
      type: str
      sample: Service default/hello-web
    attribution:
      description: C(certain), C(likely) or C(possible); empty if nothing is known.
      type: str
      sample: certain
    why:
      description: Why it is taken for the cluster's.
      type: str
      sample: it has the node tag gke-hello-cluster-0a1b2c3d-node
    sweep: {description: Whether O(sweep) deletes it., type: bool, sample: true}
    kept: {description: Why it does not; empty if it does., type: str, sample: ""}
    command:
      description: The command by which a person deletes it.
      type: str
      sample: gcloud compute forwarding-rules delete a8f3a8b0e0f5b4f0e9c5e3d3c1c5b7f1
        --region europe-west1 --project my-project
retained:
  description: Disks that stay because their volumes have the reclaim policy Retain.
  returned: always, but for a refused request
  type: list
  elements: dict
  contains: *resource
unattributed:
  description: What Kubernetes made in this project, of which nothing tells the cluster.
  returned: always, but for a refused request
  type: list
  elements: dict
  contains: *resource
swept:
  description: The paths of what was deleted; in check mode of what would be.
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
    # run_module says which package is missing.
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
        """Return the project's clusters; those of all locations, or none at all."""
        answer = self._session.get(urls.clusters(self._session.project, "-"))
        missing = answer.get("missingZones") or []
        if missing:
            raise ModuleFailedError(
                f"What cluster {self._params['name']} left cannot be told, since Google does not "
                f"list the clusters of {', '.join(missing)} just now: run the same command again."
            )
        return list(answer.get("clusters") or [])

    def look(self) -> Attribution:
        """Return what the cluster left; nothing while it is alive."""
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
        """Look until nothing is left, or the seconds are over."""
        end = self._session.clock() + seconds
        found = self.look()
        while found.leftovers and self._session.clock() < end:
            progress.say(f"still there: {', '.join(one.found.path for one in found.leftovers)}")
            self._session.sleep(_INTERVAL)
            found = self.look()
        return found

    @property
    def identity(self) -> dict[str, Any]:
        """What is known of the cluster."""
        merged: dict[str, Any] = {}
        for part in reversed(self.known):
            for key, value in part.items():
                if isinstance(value, list):
                    merged[key] = sorted({*merged.get(key, []), *value})
                elif value not in (None, ""):
                    merged[key] = value
        return merged


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Look, and delete if asked."""
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
        # What was swept took with it what told of the rest: that is left all the same.
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
