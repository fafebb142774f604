#!/usr/bin/python
"""Ansible module kubernetes_changes: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_changes
short_description: Compare the objects of workloads with what was rendered
description:
  - Compares the objects that the module C(workload_manifests) rendered with those on a cluster,
    and returns the objects to apply (server-side, as O(field_manager)) and those to delete. It
    changes nothing itself.
  - An object has to be applied if it does not exist, if its annotation
    C(docker-ml-api/configuration) differs from the rendered one, or if a rendered field has another
    value on the cluster. Fields that the API server, admission controllers or other field managers
    added are not differences.
  - Objects of the same name without O(labels) belong to somebody else. The module fails and names
    them, unless O(adopt) is set. A namespace of somebody else is used, but never changed.
  - The objects of this project are read with one list request for each kind and namespace, so many
    workloads take few requests; only objects that the lists do not contain are requested by name.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: cluster
options:
  workloads:
    description: Rendered workloads.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The workload's name.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      objects:
        description: Its objects, in the order to apply.
        type: list
        elements: dict
        required: true
  namespaces:
    description: Rendered Namespaces.
    type: list
    elements: dict
    default: []
  labels:
    description: The labels that mark the objects of this project.
    type: dict
    required: true
  adopt:
    description: Whether to take over objects of the same name that lack O(labels).
    type: bool
    default: false
  field_manager:
    description: The field manager that applies the objects.
    type: str
    default: docker-ml-api
  pull_secret:
    description: The registry credentials that the namespaces need as a Secret.
    type: dict
    suboptions:
      name:
        description: The Secret's name.
        type: str
        required: true
      registry:
        description: The registry, with or without a path.
        type: str
        required: true
      username:
        description: The user's name.
        type: str
        required: true
      password:
        description: The user's password or access token.
        type: str
        required: true
      namespaces:
        description: The namespaces that need it.
        type: list
        elements: str
        required: true
attributes:
  check_mode:
    support: full
    description: Reads only. In check mode it reports a change if there is something to do.
  diff_mode:
    support: full
    description: Shows the fields that differ, but never the content of a Secret.
"""

EXAMPLES = r"""
- name: Compare with what the cluster has
  kubernetes_changes:
    context: kind-kind
    workloads: >-
      {{ rendered.workloads
         | community.general.keep_keys(target=['name', 'namespace', 'objects']) }}
    namespaces: "{{ rendered.namespaces }}"
    labels: {app.kubernetes.io/managed-by: docker-ml-api}
  register: changes

- name: Apply what differs
  kubernetes.core.k8s:
    context: kind-kind
    resource_definition: "{{ changes.apply }}"
    apply: true
    server_side_apply: {field_manager: docker-ml-api, force_conflicts: true}
  when: changes.apply | length > 0
"""

RETURN = r"""
apply:
  description: The objects to apply, in this order; Namespaces first.
  returned: success
  type: list
  elements: dict
  sample: []
prune:
  description:
    - Objects of this project that these workloads no longer have, in the order in which to delete
      them, each with C(apiVersion), C(kind) and C(metadata) (C(name), C(namespace), C(labels),
      C(uid)).
  returned: success
  type: list
  elements: dict
  sample: []
secrets:
  description: The namespaces in which the pull secret is missing or has other content.
  returned: success
  type: list
  elements: str
  sample: [test-ml-app]
registry_host:
  description: The registry's key in the C(auths) of the pull secret; empty without
    O(pull_secret).
  returned: success
  type: str
  sample: https://index.docker.io/v1/
missing_namespaces:
  description: The rendered namespaces that do not exist yet.
  returned: success
  type: list
  elements: str
  sample: [test-ml-app]
kept_namespaces:
  description: The rendered namespaces that exist but lack O(labels); they are used unchanged.
  returned: success
  type: list
  elements: str
  sample: []
foreign:
  description: The existing objects that lack O(labels).
  returned: when there is any and O(adopt) is not set
  type: list
  elements: str
  sample: ["Service default/hello-web"]
diff:
  description: For each object the fields that differ, before and after.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import pull_secret
from ansible.module_utils.docker_ml_api.kubernetes.module_common import (
    ModuleFailedError,
    run_module,
    workloads,
)

try:
    from ansible.module_utils.docker_ml_api.kubernetes import live_objects, object_changes
except ImportError:
    # run_module reports the missing package.
    live_objects = object_changes = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster

ARGUMENTS: dict[str, Any] = {
    "workloads": workloads(
        {
            "objects": {"type": "list", "elements": "dict", "required": True},
        }
    ),
    "namespaces": {"type": "list", "elements": "dict", "default": []},
    "labels": {"type": "dict", "required": True},
    "adopt": {"type": "bool", "default": False},
    "field_manager": {"type": "str", "default": "docker-ml-api"},
    # Only the password in this dictionary is a secret.
    "pull_secret": {
        "type": "dict",
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "registry": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "namespaces": {"type": "list", "elements": "str", "required": True},
        },
    },
}


def run(module: AnsibleModule, cluster: Cluster) -> dict[str, Any]:
    """Compare the objects and return the module's result; raise ModuleFailedError."""
    params = module.params
    labels = params["labels"]
    if not labels:
        raise ModuleFailedError(
            "labels must hold at least one label, by which ours are recognized."
        )
    places = live_objects.read_namespaces(cluster, params["namespaces"], labels)
    live = live_objects.read_objects(cluster, params["workloads"], places.missing, labels)
    secrets, other_secrets = _secrets(cluster, params, places.missing)
    plan = object_changes.plan(
        params["workloads"],
        [one for one in params["namespaces"] if one["metadata"]["name"] not in places.kept],
        {**live, **places.ours},
        labels,
        params["field_manager"],
        adopt=params["adopt"],
    )
    blocked = [*map(_ending, places.ending), *plan.blocked]
    foreign = [*plan.foreign, *other_secrets]
    if blocked:
        raise ModuleFailedError("\n".join(blocked))
    if foreign:
        raise ModuleFailedError(_foreign(foreign, labels), foreign=foreign)
    wanted = params["pull_secret"]
    return {
        "changed": module.check_mode and bool(plan.apply or plan.prune or secrets),
        "apply": plan.apply,
        "prune": plan.prune,
        "secrets": secrets,
        "registry_host": pull_secret.registry_key(wanted["registry"]) if wanted else "",
        "missing_namespaces": places.missing,
        "kept_namespaces": places.kept,
        "diff": plan.diff + [_secret_diff(wanted, namespace) for namespace in secrets],
    }


def _secrets(
    cluster: Cluster, params: dict[str, Any], missing: list[str]
) -> tuple[list[str], list[str]]:
    """Return the namespaces that need the pull secret, and titles of foreign Secrets in them."""
    wanted = params["pull_secret"]
    needing, foreign = [], []
    for namespace in dict.fromkeys(wanted["namespaces"] if wanted else ()):
        live = None
        if namespace not in missing:
            live = cluster.get("Secret", namespace, wanted["name"])
        if live is None:
            needing.append(namespace)
            continue
        login = wanted["registry"], wanted["username"], wanted["password"]
        if pull_secret.holds(live, *login):
            continue
        needing.append(namespace)
        if not params["adopt"] and not object_changes.is_ours(live, params["labels"]):
            foreign.append(f"Secret {namespace}/{wanted['name']}")
    return needing, foreign


def _secret_diff(wanted: dict[str, Any], namespace: str) -> dict[str, str]:
    header = f"Secret {namespace}/{wanted['name']}"
    return {
        "before_header": header,
        "before": "",
        "after_header": header,
        "after": f"the login at {wanted['registry']} (not shown)\n",
    }


def _ending(namespace: str) -> str:
    return (
        f"Namespace {namespace} is being deleted: run this again when it is gone "
        f"(kubectl get namespace {namespace}), or use another namespace."
    )


def _foreign(titles: list[str], labels: dict[str, str]) -> str:
    ours = live_objects.selector(labels)
    secrets = [title.startswith("Secret ") for title in titles]
    names = [] if all(secrets) else ["give the workload another name or service_name"]
    if any(secrets):
        names.append("set workload_pull_secret to another name")
    return (
        f"There already is {', '.join(titles)}, not made by us (without the label {ours}): "
        f"{', '.join(names)}, or let it be taken over with workload_adopt: true."
    )


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
