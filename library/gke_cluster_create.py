#!/usr/bin/python
"""Ansible module gke_cluster_create: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_cluster_create
short_description: Create a GKE cluster or node pool, by google.cloud or through the API
description:
  - With O(parameters), M(google.cloud.gcp_container_cluster) or
    M(google.cloud.gcp_container_node_pool) creates it. These modules do not retry, fail on a lost
    connection and wait without a limit, so they are limited to O(timeout), and if they did not even
    start the creation, the request is sent to the API.
  - What these modules have no parameters for (Autopilot, Spot, zones and upgrade settings of a
    pool) is sent to the API directly. M(gke_cluster_changes) decides this, and returns both forms.
  - Waits until the operation has ended, and fails with its error as Google words it.
  - If the cluster or pool already exists, the module waits for it and does not change it, so that
    a run that was interrupted or lost its connection can continue.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place, gke_owner]
options:
  pool:
    description: Name of the node pool to create; if unset, the cluster is created.
    type: str
    default: ''
  body:
    description: The Cluster or NodePool of the API.
    type: dict
    required: true
  parameters:
    description:
      - The parameters of M(google.cloud.gcp_container_cluster), or with O(pool) of
        M(google.cloud.gcp_container_node_pool), that are equivalent to O(body), without the
        credentials.
    type: dict
  timeout:
    description: Timeout in seconds.
    type: float
    default: 1800
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    description: M(gke_cluster_changes) shows what will be created.
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
  description: The status of the new cluster or pool; empty in check mode.
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
    # run_module reports the missing package.
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
    """Create the cluster or pool, and return the module's result; raise ModuleFailedError."""
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
    """Return whether it would be created; in check mode the cluster of a pool may not exist."""
    cluster = gke_creation.Creation(
        creation.session, creation.location, creation.name, params["managed_by"]
    )
    return cluster.find() is None or creation.find() is None


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
