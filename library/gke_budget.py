#!/usr/bin/python
"""Ansible module gke_budget: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_budget
short_description: Show the plans of GKE clusters as one table, and enforce a budget
description:
  - Combines the plans of M(gke_plan) into one table and adds up the monthly costs of the clusters.
  - With O(budget_monthly) it fails if the costs may exceed that amount, so that nothing is created.
    For autoscaling, the maximum counts. An unknown price could be any amount, so a cluster with one
    exceeds every budget.
version_added: 0.1.0
author:
  - docker-ml-api
options:
  plans:
    description: The value RV(gke_plan#module:plan) that M(gke_plan) returned, for each cluster.
    type: list
    elements: dict
    required: true
  budget_monthly:
    description: Maximum total cost of the clusters, in US dollars a month.
    type: float
  free_tier:
    description:
      - Whether the credit of GKE's free tier, granted once per billing account and month, is still
        available for these clusters. If so, it is subtracted.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
seealso:
  - module: gke_plan
"""

EXAMPLES = r"""
- name: Stay within the budget
  gke_budget:
    plans: "{{ ansible_play_hosts | map('extract', hostvars, 'planned') | map(attribute='plan') }}"
    budget_monthly: 200
  run_once: true
  register: budget

- name: Show the table
  ansible.builtin.debug:
    msg: "{{ budget.table }}"
  run_once: true
"""

RETURN = r"""
table:
  description: The plans as a human-readable table.
  returned: success, and when the budget is not kept
  type: str
  sample: "CLUSTER        POOL  ACTION  WHAT  USD A MONTH\n…"
rows:
  description: The rows of all plans.
  returned: success
  type: list
  elements: dict
  sample: []
monthly:
  description:
    - Total cost of the clusters in US dollars a month, as C(low) and C(high); C(high) is null if a
      price is not known.
  returned: success, and when the budget is not kept
  type: dict
  sample: {low: 122.65, high: 122.65}
missing:
  description: The items whose prices are not known.
  returned: success, and when the budget is not kept
  type: list
  elements: str
  sample: []
to_do:
  description: The names of the clusters that the run would change.
  returned: success, and when the budget is not kept
  type: list
  elements: str
  sample: [hello-cluster]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_ml_api.gke import budget as gke_budget
from ansible.module_utils.docker_ml_api.gke import planning

ARGUMENTS: dict[str, Any] = {
    "plans": {"type": "list", "elements": "dict", "required": True},
    "budget_monthly": {"type": "float"},
    "free_tier": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    plans, budget = module.params["plans"], module.params["budget_monthly"]
    free_tier = module.params["free_tier"]
    if not all("rows" in one and "monthly" in one for one in plans):
        module.fail_json(msg="plans must be what gke_plan returned as plan, for each cluster.")
    if budget is not None and not 0 <= budget < float("inf"):
        module.fail_json(
            msg=f"gke_budget_monthly must be a number of US dollars, 0 or more, it is {budget:g}."
        )
    result = {
        "table": planning.table(plans, free_tier=free_tier),
        "monthly": planning.total(plans, free_tier=free_tier).data(),
        "missing": planning.missing_prices(plans),
        "to_do": [one["cluster"] for one in plans if planning.is_change(one)],
    }
    if budget is not None:
        problem = gke_budget.problem(plans, budget, free_tier=free_tier)
        if problem:
            module.fail_json(msg=problem, **result)
    rows = [row for one in plans for row in one["rows"]]
    module.exit_json(changed=False, rows=rows, **result)


if __name__ == "__main__":
    main()
