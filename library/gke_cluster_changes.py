#!/usr/bin/python
"""Ansible module gke_cluster_changes: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_cluster_changes
short_description: Determine the calls that bring a live GKE cluster to the wanted state
description:
  - Compares the desired state of a cluster with the live cluster, field by field, and returns what
    to create, update, replace and delete, in this order. It changes nothing itself.
  - Values that were not given and that Google filled in are not differences. Neither are the node
    count of an autoscaled pool, a newer version than requested, or the label C(created-at).
  - A change that is not possible in place is rejected with the name of the field, unless
    O(allow_replace) is set. A cluster or pool whose creation failed is recreated in any case, since
    it never worked.
  - If a cluster of the same name does not have this project's label, the module fails.
  - If there are changes and an operation is running on the cluster, the module first waits for it,
    so that what an interrupted run started is not repeated.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_owner, gke_cluster]
options:
  allow_replace:
    description:
      - Whether a cluster or pool may be deleted and recreated for changes that are not possible in
        place.
    type: bool
    default: false
  timeout:
    description: Timeout in seconds for operations that are running on the cluster.
    type: float
    default: 1800
attributes:
  check_mode:
    support: full
    description:
      - Reads only. In check mode it reports a change if there is something to do, and does not
        wait.
  diff_mode:
    support: full
    description: Shows the fields that differ.
seealso:
  - module: gke_cluster_update
  - module: gke_cluster_create
  - module: gke_cluster_ready
"""

EXAMPLES = r"""
- name: Compare the cluster with its desired state
  gke_cluster_changes:
    project: my-project
    auth_kind: application
    cluster:
      name: hello-cluster
      location: europe-west1-b
      labels: {team: science}
      node_pools:
        - name: main
          nodes: 2
  register: changes

- name: Change what differs
  gke_cluster_update:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
    updates: "{{ changes.updates }}"
  when: changes.updates | length > 0
"""

RETURN = r"""
exists:
  description: Whether this project has a cluster of this name.
  returned: success
  type: bool
  sample: true
ours:
  description: Whether that cluster has this project's label; otherwise the module fails.
  returned: success
  type: bool
  sample: true
status:
  description: The live cluster's status; empty if there is none.
  returned: success
  type: str
  sample: RUNNING
elsewhere:
  description: Other locations with a cluster of this project and name, if it is missing here.
  returned: success
  type: list
  elements: str
  sample: []
create:
  description: What to create.
  returned: success
  type: dict
  contains:
    cluster:
      description:
        - How to create the cluster, or null. C(by) is V(google_cloud) or V(api); C(parameters)
          are those of google.cloud.gcp_container_cluster, null with V(api); C(body) is the
          API's, for M(gke_cluster_create); C(reasons) are the options for which the google.cloud
          module has no parameter.
      type: dict
      sample: null
    pools:
      description: How to create the node pools, each with its C(name); otherwise the same.
      type: list
      elements: dict
      sample: []
updates:
  description:
    - The calls for changes in place, in order, for M(gke_cluster_update). For a cluster that is to
      be created, send them after its creation and before the creation of its pools.
  returned: success
  type: list
  elements: dict
  contains:
    target:
      description: What is changed.
      type: str
      sample: cluster hello-cluster
    pool:
      description: The node pool; empty for the cluster itself.
      type: str
      sample: ""
    call:
      description: The API's method.
      type: str
      sample: clusters.setResourceLabels
    method:
      description: The HTTP method.
      type: str
      sample: POST
    path:
      description: The path below the cluster's URL.
      type: str
      sample: ":setResourceLabels"
    body:
      description: The request; null if there is none.
      type: dict
      sample: {resourceLabels: {team: science}, labelFingerprint: a9dc16a7}
    fields:
      description: The options that differ, each with C(path), C(before) and C(after).
      type: list
      elements: dict
      sample: [{path: labels.team, before: null, after: science}]
    summary:
      description: The fields as text.
      type: str
      sample: "labels.team: none → science"
replace:
  description:
    - What to delete and recreate. C(cluster) is null or has C(name), C(location) and
      C(fields), and is in RV(create) as well; C(pools) are calls as in RV(updates), to be sent
      before the pools of RV(create) are created.
  returned: success
  type: dict
  sample: {cluster: null, pools: []}
delete:
  description:
    - Calls as in RV(updates) that delete pools that are no longer wanted, to be sent after the
      pools of RV(create) exist.
  returned: success
  type: list
  elements: dict
  sample: []
refused:
  description: The fields that cannot change in place, each with C(path), C(before), C(after).
  returned: when there are any and O(allow_replace) is not set
  type: list
  elements: dict
  sample: [{path: node_pools.main.spot, before: false, after: true}]
diff:
  description: For each object the fields that differ, before and after.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import comparison, diff, operations, urls
    from ansible.module_utils.docker_ml_api.gke import live as gke_live
except ImportError:
    # run_module reports the missing package.
    comparison = diff = gke_live = operations = urls = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.ARGUMENTS,
    "allow_replace": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 1800},
}


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Compare the cluster and return the module's result; raise ModuleFailedError."""
    params = module.params
    wanted = params["cluster"]
    problems = cluster_options.problems(wanted)
    if problems:
        raise ModuleFailedError("\n".join(f"cluster: {one}" for one in problems))
    live, plan = _settled(module, session)
    if plan["refused"]:
        raise ModuleFailedError(_refused(plan["refused"], wanted), refused=plan["refused"])
    elsewhere = _elsewhere(session, params) if live is None else []
    for place in elsewhere:
        module.warn(
            f"There also is a cluster {wanted['name']} of ours in {place}: if this one was moved, "
            f"delete that one with its old location ({place}), since it goes on costing."
        )
    return {
        "changed": module.check_mode and _to_do(plan),
        "exists": live is not None,
        "ours": live is not None,
        "status": live["status"] if live else "",
        "elsewhere": elsewhere,
        **{key: plan[key] for key in ("create", "updates", "replace", "delete")},
        "diff": diff.shown(wanted, plan),
    }


def _settled(
    module: AnsibleModule, session: GoogleSession
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the live cluster and its plan, after waiting for operations that affect the plan."""
    params = module.params
    wanted = params["cluster"]
    location, name = wanted["location"], wanted["name"]
    deadline = operations.Deadline(session, params["timeout"])
    while True:
        live = gke_live.find(session, location, name, params["managed_by"])
        going = live is not None and live.get("status") == comparison.STOPPING
        there = None if live is None or going else live
        plan = comparison.plan(
            wanted,
            there,
            session.project,
            params["managed_by"],
            datetime.now(UTC),
            sizes=gke_live.sizes(session, there) if there else {},
            allow_replace=params["allow_replace"],
        )
        passing = live is not None and gke_live.is_passing(live)
        if module.check_mode or not passing or not (_to_do(plan) or plan["refused"]):
            return there, plan
        operations.wait_for_all(session, location, name, deadline)
        if not deadline.pause():
            raise operations.timeout(
                f"Cluster {name} in {location} has not settled within {deadline.seconds:g} "
                f"seconds: it was last seen {_states(live)}. Run the same command again later "
                "(gcloud container operations list shows what goes on)."
            )


def _states(live: dict[str, Any]) -> str:
    pools = [f"its pool {one['name']} {one.get('status')}" for one in live.get("nodePools") or []]
    return ", ".join([str(live.get("status")), *pools])


def _to_do(plan: dict[str, Any]) -> bool:
    create, replace = plan["create"], plan["replace"]
    return bool(
        create["cluster"]
        or create["pools"]
        or replace["pools"]
        or plan["updates"]
        or plan["delete"]
    )


def _elsewhere(session: GoogleSession, params: dict[str, Any]) -> list[str]:
    wanted = params["cluster"]
    answer = session.get(urls.clusters(session.project, "-"))
    return sorted(
        one["location"]
        for one in answer.get("clusters") or []
        if one["name"] == wanted["name"]
        and one["location"] != wanted["location"]
        and cluster_options.is_ours(one, params["managed_by"])
    )


def _refused(fields: list[dict[str, Any]], wanted: dict[str, Any]) -> str:
    named = "; ".join(
        str(comparison.Field(one["path"], one["before"], one["after"])) for one in fields
    )
    cluster = f"Cluster {wanted['name']}"
    anew = "deleted with all that runs on it and made anew with gke_cluster_allow_replace: true"
    if any(one["path"] == "status" for one in fields):
        return (
            f"{cluster} is broken ({named}): see what is left (gcloud container clusters describe "
            f"{wanted['name']} --location {wanted['location']}), or let it be {anew}."
        )
    pools = all(one["path"].startswith("node_pools.") for one in fields)
    what = "node pool" if pools else "cluster"
    return (
        f"{cluster} cannot be changed in place ({named}): set it back, or let the {what} be {anew}."
    )


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
