#!/usr/bin/python
"""Ansible module gke_cluster_create: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_cluster_create
short_description: Create a GKE cluster or node pool, by google.cloud or through the API
description:
  - With O(parameters) it lets M(google.cloud.gcp_container_cluster) or
    M(google.cloud.gcp_container_node_pool) create it. These try nothing twice, stumble over a lost
    connection and wait without an end, so they have O(timeout) for it, and what they have not even
    begun is then sent to the API.
  - What they have no parameter for (Autopilot, Spot, zones and upgrade settings of a pool) goes
    to the API at once. M(gke_cluster_changes) tells which it is, and returns both.
  - Waits until the operation has ended, and fails with its error in Google's words.
  - What is there already is waited for and left as it is, so that a run that was interrupted, or
    whose connection was lost, goes on where it was.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place, gke_owner]
options:
  pool:
    description: Name of the node pool to create; without it the cluster is created.
    type: str
    default: ''
  body:
    description: The API's Cluster or NodePool.
    type: dict
    required: true
  parameters:
    description:
      - Parameters of M(google.cloud.gcp_container_cluster), with O(pool) of
        M(google.cloud.gcp_container_node_pool), that say the same as O(body), without the login.
    type: dict
  timeout:
    description: Seconds to wait in all.
    type: float
    default: 1800
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    description: M(gke_cluster_changes) shows what is created.
seealso:
  - module: gke_cluster_changes
  - module: gke_cluster_ready
"""

EXAMPLES = r"""
- name: Create the pools
  gke_cluster_create:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
    pool: "{{ item.name }}"
    body: "{{ item.body }}"
    parameters: "{{ item.parameters | default(omit, true) }}"
  loop: "{{ changes.create.pools }}"
"""

RETURN = r"""
status:
  description: The status of what was created; empty in check mode.
  returned: success
  type: str
  sample: RUNNING
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import by_google_cloud, cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import creation as gke_creation
except ImportError:
    # run_module says which package is missing.
    gke_creation = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.PLACE,
    **cluster_options.OWNED,
    "pool": {"type": "str", "default": ""},
    "body": {"type": "dict", "required": True},
    "parameters": {"type": "dict"},
    "timeout": {"type": "float", "default": 1800},
}


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Create it, and return what the module exits with."""
    params = module.params
    body, pool = params["body"], params["pool"]
    named = body.get("name")
    if named != (pool or params["name"]):
        raise ModuleFailedError(
            f"body.name is '{named}', but {pool or params['name']} is to be created: take body "
            "from what gke_cluster_changes returns for it."
        )
    if not pool and not cluster_options.is_ours(body, params["managed_by"]):
        raise ModuleFailedError(
            f"body.resourceLabels must hold {cluster_options.OWNER_LABEL}: {params['managed_by']}, "
            "by which the cluster is recognized as ours."
        )
    place = params["location"], params["name"], params["managed_by"], pool
    creation = gke_creation.Creation(session, *place)
    if module.check_mode:
        return {"changed": _missing(creation, params), "status": ""}
    name = by_google_cloud.POOL if pool else by_google_cloud.CLUSTER
    parameters = params["parameters"]
    first = by_google_cloud.trial(module, name, parameters) if parameters else None
    made = creation.create(body, params["timeout"], first)
    return {"changed": made["created"], "status": made["status"]}


def _missing(creation: Any, params: dict[str, Any]) -> bool:
    """Return whether it would be created; in check mode the cluster of a pool may be missing."""
    cluster = gke_creation.Creation(
        creation.session, creation.location, creation.name, params["managed_by"]
    )
    return cluster.find() is None or creation.find() is None


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
