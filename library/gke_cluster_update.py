#!/usr/bin/python
"""Ansible module gke_cluster_update: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_cluster_update
short_description: Change a GKE cluster in place, one call at a time
description:
  - Sends the calls that M(gke_cluster_changes) determined, in order, and waits for the operation of
    each call before the next one, since GKE runs one operation at a time.
  - If another operation is running on the cluster, the module waits for it first.
  - Every call sets a value or deletes something, so it can be repeated if its answer is lost.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place, gke_owner]
options:
  updates:
    description: The calls, as M(gke_cluster_changes) returned them.
    type: list
    elements: dict
    required: true
    suboptions:
      target:
        description: The object to change, for messages.
        type: str
        required: true
      pool:
        description: The node pool; empty for the cluster itself.
        type: str
        default: ''
      call:
        description: The API's method.
        type: str
        required: true
      method:
        description: The HTTP method.
        type: str
        required: true
        choices: [PUT, POST, DELETE]
      path:
        description: The path below the cluster's URL.
        type: str
        default: ''
      body:
        description: The request body.
        type: dict
      fields:
        description: The options that differ.
        type: list
        elements: dict
        default: []
      summary:
        description: The fields as text.
        type: str
        default: ''
  timeout:
    description: >-
      Timeout in seconds for each call and its operation; replacing nodes takes minutes per node.
    type: float
    default: 3600
attributes:
  check_mode:
    support: full
    description:
      - Sends nothing, and reports a change if there are calls, as M(gke_cluster_changes) does in
        check mode.
  diff_mode:
    support: full
    description: Shows the fields of the calls.
seealso:
  - module: gke_cluster_changes
"""

EXAMPLES = r"""
- name: Change what differs
  gke_cluster_update:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
    updates: "{{ changes.updates }}"
"""

RETURN = r"""
updated:
  description: The calls that were sent.
  returned: success
  type: list
  elements: dict
  contains:
    target:
      description: The object that was changed.
      type: str
      sample: cluster hello-cluster
    call:
      description: The API's method.
      type: str
      sample: clusters.setResourceLabels
    summary:
      description: The fields, before and after.
      type: str
      sample: "labels.team: none → science"
    operation:
      description: Name of the operation; empty if the change was already in place.
      type: str
      sample: operation-1774000000000-5a1b
diff:
  description: For each call the fields, before and after.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import diff as gke_diff
    from ansible.module_utils.docker_ml_api.gke import live
    from ansible.module_utils.docker_ml_api.gke import updates as gke_updates
except ImportError:
    # run_module reports the missing package.
    gke_diff = live = gke_updates = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.PLACE,
    **cluster_options.OWNED,
    "updates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "target": {"type": "str", "required": True},
            "pool": {"type": "str", "default": ""},
            "call": {"type": "str", "required": True},
            "method": {"type": "str", "required": True, "choices": ["PUT", "POST", "DELETE"]},
            "path": {"type": "str", "default": ""},
            "body": {"type": "dict"},
            "fields": {"type": "list", "elements": "dict", "default": []},
            "summary": {"type": "str", "default": ""},
        },
    },
    "timeout": {"type": "float", "default": 3600},
}


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Send the calls, and return the module's result; raise ModuleFailedError."""
    params = module.params
    location, name = params["location"], params["name"]
    updates = params["updates"]
    diff = [gke_diff.of_call(one) for one in updates]
    if not updates or module.check_mode:
        return {"changed": bool(updates), "updated": [], "diff": diff}
    if live.find(session, location, name, params["managed_by"]) is None:
        raise ModuleFailedError(
            f"There is no cluster {name} in {location} of project {session.project}: create it "
            "first."
        )
    updated = []
    for update in updates:
        operation = gke_updates.apply(session, location, name, update, params["timeout"])
        updated.append(
            {
                **{key: update[key] for key in ("target", "call", "summary")},
                "operation": operation["name"] if operation else "",
            }
        )
    return {"changed": True, "updated": updated, "diff": diff}


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
