#!/usr/bin/python
"""Ansible module gke_cluster_absent: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_cluster_absent
short_description: Delete a GKE cluster of this project and wait until it is gone
description:
  - Waits for running operations on the cluster, deletes it with all its node pools, and waits
    until Google no longer lists it. The error of a failed operation is reported as Google words it.
  - If the cluster is already being deleted by another module, a person or an interrupted run, the
    module only waits.
  - A cluster without the label C(managed-by) of this project is never deleted, nor is one with
    the label C(deletion-protection=true); the module fails.
  - Load balancers and disks of the cluster remain and incur costs, unless
    M(kubernetes_cloud_resources) deleted them before.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place, gke_owner]
options:
  google_cloud:
    description:
      - Whether google.cloud.gcp_container_cluster starts the deletion. That module does not retry,
        and treats a failed operation as completed, so the resulting state is checked in any case.
    type: bool
    default: true
  timeout:
    description: Timeout in seconds for running operations and the deletion together.
    type: float
    default: 1800
attributes:
  check_mode:
    support: full
    description: Reports whether the cluster would be deleted.
  diff_mode:
    support: full
    description: Shows the cluster and its node pools.
"""

EXAMPLES = r"""
- name: Delete the cluster
  gke_cluster_absent:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
"""

RETURN = r"""
existed:
  description: Whether the cluster existed.
  returned: success
  type: bool
  sample: true
operations:
  description: The operations that were waited for.
  returned: success
  type: list
  elements: str
  sample: [operation-1764700000000-5f1e]
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import by_google_cloud, cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import deletion as gke_deletion
    from ansible.module_utils.docker_ml_api.gke import urls
except ImportError:
    # run_module reports the missing package.
    gke_deletion = urls = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.PLACE,
    **cluster_options.OWNED,
    "google_cloud": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 1800},
}


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Delete the cluster and return the module's result; raise ModuleFailedError."""
    params = module.params
    deletion = gke_deletion.Deletion(session, params["location"], params["name"], params["timeout"])
    cluster = deletion.find()
    if cluster is None:
        _warn_of_others(module, session)
        return {"existed": False, "operations": []}
    refusal = gke_deletion.why_not(cluster, params["managed_by"])
    if refusal:
        raise ModuleFailedError(refusal)
    if not module.check_mode:
        wanted = {**{key: params[key] for key in cluster_options.PLACE}, "state": "absent"}
        first = by_google_cloud.trial(module, by_google_cloud.CLUSTER, wanted)
        deletion.run(first if params["google_cloud"] else None)
    pools = [f"  node pool {one['name']}" for one in cluster.get("nodePools") or []]
    gone = [f"cluster {params['name']} in {params['location']}", *pools]
    return {
        "changed": True,
        "existed": True,
        "operations": deletion.operations,
        "diff": {"before": "\n".join(gone) + "\n", "after": ""},
    }


def _warn_of_others(module: AnsibleModule, session: GoogleSession) -> None:
    """Warn of this project's clusters of this name in other locations; this one may be wrong."""
    params = module.params
    answer = session.get(urls.clusters(session.project, "-"))
    for one in answer.get("clusters") or []:
        if one["name"] == params["name"] and cluster_options.is_ours(one, params["managed_by"]):
            module.warn(
                f"There is no cluster {params['name']} in {params['location']}, but one of ours in "
                f"{one['location']}: if that one is meant, set the location to it, since it goes "
                "on costing."
            )


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
