#!/usr/bin/python
"""Ansible module gke_plan: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_plan
short_description: Describe what changes in a GKE cluster, and what it costs a month
description:
  - Converts the result of M(gke_cluster_changes) into rows, one for the cluster and one for each of
    its node pools, with the fields that change, and adds the monthly cost of each after the change.
  - Prices come from price files. A price that is in none of them is unknown, never estimated; a
    sum with an unknown price has a lower bound only. With autoscaling, a sum is a range from the
    minimum to the maximum number of nodes. A Spot machine without a price of its own costs at most
    as much as a regular one.
  - The costs include GKE's management fee, the machines of node pools, their boot disks and
    external addresses, and, if O(load_balancers) and O(pod_requests) are given, load balancers and
    the requests of the pods of an Autopilot cluster. Taxes, discounts and usage-dependent costs
    (traffic, logs, volumes) are not included.
  - Sends no requests. M(gke_budget) combines the plans of several clusters.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [gke_owner, gke_cluster]
options:
  state:
    description: Whether the cluster is to exist after the run.
    type: str
    choices: [present, absent]
    default: present
  changes:
    description:
      - The result of M(gke_cluster_changes) for the cluster. With O(state=absent), C(exists) is
        sufficient.
    type: dict
    required: true
  price_file:
    description: The file with list prices; its format is explained in it.
    type: path
    required: true
  own_price_file:
    description: A file of the same format; its prices override those of O(price_file).
    type: path
  load_balancers:
    description: Number of load balancers that the cluster's workloads request.
    type: int
    default: 0
  pod_requests:
    description: Total requests of the pods of an Autopilot cluster.
    type: dict
    suboptions:
      vcpu:
        description: Processors.
        type: float
        default: 0
      memory_gib:
        description: GiB of memory.
        type: float
        default: 0
      ephemeral_storage_gib:
        description: GiB of ephemeral storage.
        type: float
        default: 0
requirements: [PyYAML]
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
seealso:
  - module: gke_cluster_changes
  - module: gke_budget
"""

EXAMPLES = r"""
- name: Compare with the live cluster
  gke_cluster_changes:
    project: my-project
    auth_kind: application
    cluster: "{{ my_cluster }}"
  check_mode: true
  register: changes

- name: Plan
  gke_plan:
    cluster: "{{ my_cluster }}"
    changes: "{{ changes }}"
    price_file: roles/gke_cluster/files/prices.yml
  register: planned

- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ planned.table }}"
"""

RETURN = r"""
plan:
  description: The changes of the cluster and its cost. Amounts are in US dollars a month.
  returned: success
  type: dict
  contains:
    cluster:
      description: The cluster's name.
      type: str
      sample: hello-cluster
    location:
      description: Its location.
      type: str
      sample: europe-west1-b
    rows:
      description:
        - The cluster and its pools, each with C(cluster), C(pool) (empty for the cluster itself),
          C(action) (V(keep), V(create), V(change), V(replace) or V(delete)), C(what), C(fields)
          (each with C(path), C(before), C(after)), C(monthly), and C(costs) (each with C(what),
          C(quantity), C(unit_price), C(monthly), C(source), C(missing) and C(note)).
      type: list
      elements: dict
      sample: []
    monthly:
      description: C(low) and C(high); C(high) is null if a price is not known.
      type: dict
      sample: {low: 122.65, high: 122.65}
    free_tier:
      description: Whether the credit of GKE's free tier may be used for the cluster's fee.
      type: bool
      sample: true
    credit:
      description: The part of the fee that the credit pays (C(fee)), and the whole credit (C(of)).
      type: dict
      sample: {fee: 73.0, of: 74.4}
    missing:
      description: The items whose prices are not known.
      type: list
      elements: str
      sample: []
    sources:
      description: The sources of the prices, each with C(about), C(url) and C(seen).
      type: list
      elements: dict
      sample: [{about: our contract, url: "", seen: "2026-11-01"}]
table:
  description: The plan as a human-readable table.
  returned: success
  type: str
  sample: "CLUSTER        POOL  ACTION  WHAT  USD A MONTH\n…"
"""

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.docker_ml_api.gke import cluster_options, planning, prices

try:
    import yaml

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS: dict[str, Any] = {
    **cluster_options.ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "changes": {"type": "dict", "required": True},
    "price_file": {"type": "path", "required": True},
    "own_price_file": {"type": "path"},
    "load_balancers": {"type": "int", "default": 0},
    "pod_requests": {
        "type": "dict",
        "options": {
            "vcpu": {"type": "float", "default": 0},
            "memory_gib": {"type": "float", "default": 0},
            "ephemeral_storage_gib": {"type": "float", "default": 0},
        },
    },
}


def read(option: str, path: str) -> list[prices.PriceList]:
    """Return the prices of a file that an option names; raise PriceFileError."""
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise prices.PriceFileError(
            f"The price file {path} cannot be read ({error}): give {option} one that can."
        ) from error
    except yaml.YAMLError as error:
        raise prices.PriceFileError(
            f"The price file {path} is no YAML: {' '.join(str(error).split())}."
        ) from error
    found: list[prices.PriceList] = prices.parse(document, path)
    return found


def problems(params: dict[str, Any]) -> Iterator[str]:
    """Yield the problems of the options, each as a sentence."""
    # An existing cluster may have options that can only be set by hand.
    if not params["changes"].get("exists"):
        for one in cluster_options.problems(params["cluster"]):
            yield f"cluster: {one}"
    if params["load_balancers"] < 0:
        yield f"load_balancers must be 0 or more, it is {params['load_balancers']}."
    for name, amount in (params["pod_requests"] or {}).items():
        if amount < 0:
            yield f"pod_requests.{name} must be 0 or more, it is {amount:g}."
    wanted = {"create", "updates", "replace", "delete"}
    if params["state"] == "present" and not wanted <= set(params["changes"]):
        yield "changes must be what gke_cluster_changes returned for the cluster."


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=IMPORT_ERROR)
    params = module.params
    wrong = list(problems(params))
    if wrong:
        module.fail_json(msg="\n".join(wrong))
    try:
        lists = read("price_file", params["price_file"])
        if params["own_price_file"]:
            lists += read("own_price_file", params["own_price_file"])
    except prices.PriceFileError as error:
        module.fail_json(msg=str(error))
    plan = planning.plan(
        params["cluster"],
        params["changes"],
        prices.Prices(lists),
        present=params["state"] == "present",
        load_balancers=params["load_balancers"],
        pod_requests=params["pod_requests"],
    )
    module.exit_json(changed=False, plan=plan, table=planning.table([plan]))


if __name__ == "__main__":
    main()
