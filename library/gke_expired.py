#!/usr/bin/python
"""Ansible module gke_expired: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_expired
short_description: List the GKE clusters of this project whose ttl has expired
description:
  - Reads the clusters of the project in all zones and regions. A cluster with this project's label
    C(managed-by) expires after the time in its label C(ttl) (C(30m), C(8h), C(2d), C(none)),
    counted from its label C(created-at), or from its creation by Google if that was later.
  - Deletes nothing. Clusters of others are ignored.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_owner, read_only]
options:
  name:
    description: The cluster that RV(over) refers to.
    type: str
  location:
    description: Its zone or region.
    type: str
"""

EXAMPLES = r"""
- name: Find the expired clusters
  gke_expired:
    project: my-project
    auth_kind: application
  register: found
"""

RETURN = r"""
over:
  description: Whether the cluster of O(name) has expired.
  returned: when O(name) was given
  type: bool
  sample: false
title:
  description: The title of that cluster, as in RV(expired).
  returned: when O(name) was given
  type: str
  sample: hello-cluster in europe-west1-b of project my-project
expired:
  description: The expired clusters, sorted by the time at which they expired.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The cluster's name., type: str, sample: hello-cluster}
    location: {description: Its zone or region., type: str, sample: europe-west1-b}
    ttl: {description: Its label C(ttl)., type: str, sample: 8h}
    ends: {description: When it expired (RFC 3339)., type: str, sample: "2026-11-22T22:05:00Z"}
    status: {description: Its status at Google., type: str, sample: RUNNING}
    title:
      description: Its name, location and project, as one text.
      type: str
      sample: hello-cluster in europe-west1-b of project my-project
living:
  description: The other clusters of this project.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The cluster's name., type: str, sample: model-test-cluster}
    location: {description: Its zone or region., type: str, sample: europe-west1-b}
    ends:
      description: When it expires (RFC 3339); empty if it does not.
      type: str
      sample: ""
    reason:
      description: Why it does not expire; empty if it does.
      type: str
      sample: its label ttl is none
missing_zones:
  description: Zones whose clusters Google currently does not list.
  returned: success
  type: list
  elements: str
  sample: []
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.gke import cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import run_module

try:
    from ansible.module_utils.docker_ml_api.gke import lifetime as cluster_lifetime
    from ansible.module_utils.docker_ml_api.gke import urls
except ImportError:
    # run_module reports the missing package.
    cluster_lifetime = urls = None

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.OWNED,
    "name": {"type": "str"},
    "location": {"type": "str"},
}


def sort_out(
    clusters: list[dict[str, Any]], managed_by: str, now: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return this project's expired clusters and its other ones, as documented in RETURN."""
    expired, living = [], []
    for one in clusters:
        if not cluster_options.is_ours(one, managed_by):
            continue
        lifetime = cluster_lifetime.lifetime_of(one)
        ends = lifetime.ends.strftime("%Y-%m-%dT%H:%M:%SZ") if lifetime.ends else ""
        found = {"name": one["name"], "location": one["location"], "ends": ends}
        if lifetime.over(now):
            ttl = one["resourceLabels"][cluster_lifetime.TTL]
            expired.append({**found, "ttl": ttl, "status": str(one.get("status") or "")})
        else:
            living.append({**found, "reason": lifetime.reason})
    expired.sort(key=lambda one: (one["ends"], one["name"]))
    living.sort(key=lambda one: (one["name"], one["location"]))
    return expired, living


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Read the clusters and return the module's result."""
    answer = session.get(urls.clusters(session.project, "-"))
    clusters = list(answer.get("clusters") or [])
    expired, living = sort_out(clusters, module.params["managed_by"], datetime.now(UTC))
    missing = list(answer.get("missingZones") or [])
    if missing:
        module.warn(
            f"Google could not tell the clusters in {', '.join(missing)} just now: run the same "
            "command again."
        )
    for one in expired:
        one["title"] = _title(session, one)
    result: dict[str, Any] = {"expired": expired, "living": living, "missing_zones": missing}
    if module.params["name"]:
        title = _title(session, module.params)
        over = any(one["title"] == title for one in expired)
        result |= {"over": over, "title": title}
    return result


def _title(session: GoogleSession, place: Mapping[str, Any]) -> str:
    return f"{place['name']} in {place['location']} of project {session.project}"


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run, required_together=[["name", "location"]])


if __name__ == "__main__":
    main()
