#!/usr/bin/python
"""Ansible module gke_cluster_ready: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_cluster_ready
short_description: Wait until a GKE cluster is ready, and return its endpoint and credentials
description:
  - Waits until the cluster is RUNNING and has an endpoint and a certificate authority, the pools
    are RUNNING, and no operation is in progress except Google's own upgrades and repairs of nodes.
  - Deletes C(default-pool), which the google.cloud module leaves behind if its only attempt to
    delete it is rejected, and retries the deletion until it succeeds.
  - Fails as soon as waiting cannot help, with Google's message. The google.cloud modules report an
    operation that ended in an error as success; this one does not.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_owner, gke_cluster]
options:
  pools:
    description:
      - Names of the node pools that must exist. Defaults to those of O(cluster). Use an empty list
        if they have not been created yet.
    type: list
    elements: str
  endpoint:
    description:
      - The address through which the kubeconfig connects to the API server. V(internal) is the
        address in the cluster's network, V(dns) the DNS name, if the cluster has one.
    type: str
    choices: [external, internal, dns]
    default: external
  timeout:
    description: Timeout in seconds.
    type: float
    default: 1800
attributes:
  check_mode:
    support: full
    description: Checks once and does not wait.
  diff_mode:
    support: none
    description: Changes nothing except the pool that nobody requested.
seealso:
  - module: gke_cluster_changes
"""

EXAMPLES = r"""
- name: Wait for the cluster and its pool
  gke_cluster_ready:
    project: my-project
    auth_kind: application
    cluster:
      name: hello-cluster
      location: europe-west1-b
      node_pools: [{name: main, nodes: 2}]
  register: ready

- name: List its nodes
  kubernetes.core.k8s_info:
    kubeconfig: "{{ ready.kubeconfig }}"
    kind: Node
"""

RETURN = r"""
ready:
  description: Whether the cluster is ready; can be false in check mode only.
  returned: success
  type: bool
  sample: true
missing:
  description: What is not ready yet, in check mode.
  returned: success
  type: list
  elements: str
  sample: []
status:
  description: The cluster's status; empty if there is none.
  returned: success
  type: str
  sample: RUNNING
endpoint:
  description: Address of the API server; empty if there is none.
  returned: success
  type: str
  sample: 34.77.12.3
ca_certificate:
  description: The certificate authority, as Base64 of its PEM text.
  returned: success
  type: str
  sample: LS0tLS1CRUdJTi0=
version:
  description: The control plane's version.
  returned: success
  type: str
  sample: 1.34.4-gke.1047000
context:
  description: The only context of the kubeconfig, named as gcloud names it.
  returned: success
  type: str
  sample: gke_my-project_europe-west1-b_hello-cluster
kubeconfig:
  description:
    - Kubeconfig as a mapping, for the modules of kubernetes.core and this project. google-auth
      fetches a token for each task; the mapping contains no secret. Empty if no API server can
      answer.
  returned: success
  type: dict
  sample: {}
pools:
  description: The node pools.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str, sample: main}
    status: {description: Its status., type: str, sample: RUNNING}
    version: {description: The version of its nodes., type: str, sample: 1.34.4-gke.1047000}
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import access
    from ansible.module_utils.docker_ml_api.gke import readiness as gke_readiness
except ImportError:
    # run_module reports the missing package.
    access = gke_readiness = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.ARGUMENTS,
    "pools": {"type": "list", "elements": "str"},
    "endpoint": {
        "type": "str",
        "choices": ["external", "internal", "dns"],
        "default": "external",
    },
    "timeout": {"type": "float", "default": 1800},
}


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Wait until the cluster is ready, and return the module's result."""
    params = module.params
    wanted, pools = params["cluster"], params["pools"]
    if pools is None:
        pools = [one["name"] for one in wanted["node_pools"]]
    readiness = gke_readiness.Readiness(session, wanted, params["managed_by"], pools)
    if module.check_mode:
        live = readiness.find() or {}
        missing = readiness.missing(live) if live else ["there is no cluster yet"]
    else:
        live = readiness.wait(params["timeout"])
        missing = []
    return {
        "changed": readiness.deleted,
        "ready": not missing,
        "missing": missing,
        "status": live.get("status", ""),
        "endpoint": live.get("endpoint", ""),
        "ca_certificate": (live.get("masterAuth") or {}).get("clusterCaCertificate", ""),
        "version": live.get("currentMasterVersion", ""),
        "context": access.context_name(session.project, wanted["location"], wanted["name"]),
        "kubeconfig": _kubeconfig(live, params) if gke_readiness.serves(live) else {},
        "pools": [
            {key: one.get(key, "") for key in ("name", "status", "version")}
            for one in live.get("nodePools") or []
        ],
    }


def _kubeconfig(live: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    try:
        config: dict[str, Any] = access.kubeconfig_of(live, params, params["endpoint"])
    except access.AccessError as error:
        raise ModuleFailedError(str(error)) from error
    return config


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
