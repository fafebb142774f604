#!/usr/bin/python
"""Ansible module gke_plan: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_plan
short_description: Describe what changes in a GKE cluster, and what it costs a month
description:
  - Puts what M(gke_cluster_changes) found into rows, one for the cluster and one for each of its
    node pools, with the fields that change, and adds what each costs a month after that.
  - Prices are those of price files. A price that is in none of them is unknown, never guessed; a
    sum with it is known from below only. With autoscaling a sum goes from the fewest to the most
    nodes; a Spot machine without a price of its own costs at most what a regular one does.
  - Counted are GKE's management fee, the machines of node pools, their boot disks and external
    addresses, and, where O(load_balancers) and O(pod_requests) tell, load balancers and what the
    pods of an Autopilot cluster request. Taxes, discounts and what depends on use (traffic, logs,
    volumes) are not.
  - Asks nobody. M(gke_budget) puts the plans of several clusters together.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [gke_owner, gke_cluster]
options:
  state:
    description: Whether the cluster is to be there after the run.
    type: str
    choices: [present, absent]
    default: present
  changes:
    description:
      - What M(gke_cluster_changes) returned for the cluster. Of an absent one C(exists) suffices.
    type: dict
    required: true
  price_file:
    description: The file with list prices; its form is explained in it.
    type: path
    required: true
  own_price_file:
    description: A file of the same form; its prices go before those of O(price_file).
    type: path
  load_balancers:
    description: How many load balancers the cluster's workloads ask for.
    type: int
    default: 0
  pod_requests:
    description: What the pods of an Autopilot cluster request, together.
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
  description: What becomes of the cluster, and what it costs. Amounts are in US dollars a month.
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
      description: C(low) and C(high); null as C(high) where a price is not known.
      type: dict
      sample: {low: 122.65, high: 122.65}
    free_tier:
      description: Whether the credit of GKE's free tier may be used for the cluster's fee.
      type: bool
      sample: true
    credit:
      description: How much of the fee it would pay (C(fee)), and how much there is (C(of)).
      type: dict
      sample: {fee: 73.0, of: 74.4}
    missing:
      description: Whose prices are not known.
      type: list
      elements: str
      sample: []
    sources:
      description: Who says the prices, each with C(about), C(url) and C(seen).
      type: list
      elements: dict
      sample: [{about: our contract, url: "", seen: "2026-11-01"}]
table:
  description: The plan as a table for people.
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
    """Return the prices of a file that an option names."""
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
    """Return what is wrong with the options, a sentence each."""
    # One that is there may be what is possible by hand only.
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
