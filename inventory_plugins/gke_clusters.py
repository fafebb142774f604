"""Inventory plugin gke_clusters: see DOCUMENTATION."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible.module_utils
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

# Ansible provides the project's module_utils to modules, but not to plugins.
_MODULE_UTILS = str(Path(__file__).resolve().parent.parent / "module_utils")
if _MODULE_UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.insert(0, _MODULE_UTILS)

try:
    from ansible.module_utils.docker_ml_api.gke import cluster_options, lifetime, urls
    from ansible.module_utils.docker_ml_api.google import api
    from ansible.module_utils.docker_ml_api.google.errors import GoogleError

    IMPORT_ERROR = ""
except ImportError as error:
    IMPORT_ERROR = str(error)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCUMENTATION = r"""
---
name: gke_clusters
short_description: The GKE clusters of a project
description:
  - Creates a host for every GKE cluster in a project that has this project's label, whichever
    inventory or command created it, so that the clusters can be checked, accessed and deleted.
  - A host has the cluster's name. If clusters in several locations have the same name, the location
    is appended to each, as in C(hello-cluster.europe-west1-b).
  - The hosts are in the group C(gke_clusters), which is a child of the groups in O(parent_groups).
    They have the connection C(local) and the Python that runs Ansible.
  - Their variables are C(gcp_project), C(gcp_location), C(gcp_auth_kind) and
    C(gcp_service_account_file), as in any inventory; C(gke_cluster_name),
    C(gke_cluster_location), C(gke_cluster_options) and C(gke_cluster_found), the inputs of the
    role C(gke_cluster); and the live state, C(gke_live_status) (C(RUNNING), C(PROVISIONING),
    C(ERROR), …), C(gke_live_labels), C(gke_live_mode) (C(standard) or C(autopilot)),
    C(gke_live_version), C(gke_live_nodes), C(gke_live_ours).
  - The plugin knows the live state, not the desired state. With C(gke_cluster_found) the role
    refuses to create or change these clusters.
  - Sends one request.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment:
  - constructed
  - inventory_cache
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [gke_clusters]
  project:
    description: The project's ID.
    type: str
    env:
      - name: GCP_PROJECT
  auth_kind:
    description:
      - V(serviceaccount) authenticates with a service account's key, V(application) with the
        application default credentials (C(gcloud auth application-default login), or the service
        account of a workload or machine), V(accesstoken) with a token.
    type: str
    choices: [serviceaccount, application, accesstoken]
    env:
      - name: GCP_AUTH_KIND
  service_account_file:
    description: File of the key.
    type: path
    env:
      - name: GCP_SERVICE_ACCOUNT_FILE
  service_account_contents:
    description:
      - The key itself, as JSON text or a mapping. Use the environment variable; a value in a file
        of this plugin is not passed to the roles.
    type: raw
    env:
      - name: GCP_SERVICE_ACCOUNT_CONTENTS
  access_token:
    description:
      - The token, which Google accepts for an hour. Use the environment variable; a value in a file
        of this plugin is not passed to the roles.
    type: str
    env:
      - name: GCP_ACCESS_TOKEN
  scopes:
    description: OAuth scopes. Defaults to those of the cloud platform and of the e-mail address.
    type: list
    elements: str
    env:
      - name: GCP_SCOPES
  retry_seconds:
    description:
      - Seconds for which the request is retried when Google limits the rate of requests, reports a
        temporary error, or the connection is lost.
    type: float
    default: 60
  locations:
    description: Limits the clusters to these zones and regions; a region includes its zones.
    type: list
    elements: str
    default: []
  managed_by:
    description: Value of the label C(managed-by) that marks clusters of this project.
    type: str
    default: docker-ml-api
  only_ours:
    description: Whether clusters without that label are left out.
    type: bool
    default: true
  parent_groups:
    description: The parent groups of the group C(gke_clusters).
    type: list
    elements: str
    default: [clusters, gke]
requirements: [google-auth, requests]
"""

EXAMPLES = r"""
# inventory/gke_clusters.yml, with GCP_PROJECT, GCP_AUTH_KIND, … in the environment:
plugin: gke_clusters

# Clusters in Europe, by location and status, with their creation time:
plugin: gke_clusters
project: my-project
auth_kind: application
locations: [europe-west1, europe-west4]
strict: true
keyed_groups:
  - {prefix: location, key: gke_cluster_location}
  - {prefix: status, key: gke_live_status | lower}
compose:
  created_at: gke_live_labels['created-at'] | default('')
"""

GROUP = "gke_clusters"
_LOGIN = (
    *("project", "auth_kind", "service_account_file", "service_account_contents"),
    *("access_token", "scopes", "retry_seconds"),
)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    """Creates a host for each cluster of a project."""

    NAME = GROUP

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory; raise AnsibleParserError."""
        super().parse(inventory, loader, path, cache)
        if IMPORT_ERROR:
            raise AnsibleParserError(
                f"{path}: google-auth, requests and the collection google.cloud are needed "
                f"({IMPORT_ERROR}): run make setup."
            )
        self._read_config_data(path)
        for name in ("project", "auth_kind"):
            if not self.get_option(name):
                raise AnsibleParserError(
                    f"{path}: {name} is not set: write it there, or set GCP_{name.upper()}."
                )
        try:
            found = self._found(path, cache)
        except GoogleError as error:
            raise AnsibleParserError(f"{path}: {error}") from error
        self._complete(found["missing"], path)
        hosts = list(self._hosts(found["clusters"]))
        if not hosts:
            self._tell_of_none(found["clusters"], path)
        self._add(hosts)

    def _found(self, path: str, cache: bool) -> dict[str, Any]:
        """Return the clusters of the project, from the cache if it is enabled and valid."""
        project = self.get_option("project")
        caching = self.get_option("cache")
        key = self.get_cache_key(path)
        if caching and cache:
            kept = self._cache.get(key) or {}
            # The cache entry of this file may be of another project.
            if kept.get("project") == project:
                return dict(kept)
        found = {"project": project, **self._ask()}
        if caching:
            self._cache[key] = found
        return found

    def _ask(self) -> dict[str, Any]:
        params = {name: self.get_option(name) for name in _LOGIN}
        if isinstance(params["service_account_contents"], dict):
            params["service_account_contents"] = json.dumps(params["service_account_contents"])
        with contextlib.closing(api.GoogleSession(params)) as session:
            answer = session.get(urls.clusters(session.project, "-"))
        return {
            "clusters": [_described(one) for one in answer.get("clusters") or []],
            "missing": answer.get("missingZones") or [],
        }

    def _complete(self, missing: list[str], path: str) -> None:
        """Raise AnsibleParserError if the answer lacks zones that may contain clusters."""
        unseen = sorted(zone for zone in missing if self._is_wanted_place(zone))
        if unseen:
            raise AnsibleParserError(
                f"{path}: Google could not tell the clusters in {', '.join(unseen)} just now: run "
                "the same command again, or name the other places with locations."
            )

    def _is_wanted_place(self, location: str) -> bool:
        wanted = self.get_option("locations")
        return not wanted or location in wanted or cluster_options.region_of(location) in wanted

    def _tell_of_none(self, clusters: list[dict[str, Any]], path: str) -> None:
        """Warn that there are no clusters, and why; Ansible itself only skips its plays."""
        project, managed_by = self.get_option("project"), self.get_option("managed_by")
        wanted = self.get_option("locations")
        where = f" in {', '.join(wanted)}" if wanted else ""
        ours = f" with the label {cluster_options.OWNER_LABEL}={managed_by}"
        what = f"GKE clusters{ours if self.get_option('only_ours') else ''}"
        others = f" ({len(clusters)} others are left alone)" if clusters else ""
        self.display.warning(f"{path}: project {project} has no {what}{where}{others}.")

    def _add(self, hosts: list[tuple[str, dict[str, Any]]]) -> None:
        self.inventory.add_group(GROUP)
        for parent in self.get_option("parent_groups"):
            self.inventory.add_group(parent)
            self.inventory.add_child(parent, GROUP)
        for host, variables in hosts:
            self.inventory.add_host(host, group=GROUP)
            for name, value in variables.items():
                self.inventory.set_variable(host, name, value)
            strict = self.get_option("strict")
            self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
            known = self.inventory.get_host(host).get_vars()
            self._add_host_to_composed_groups(self.get_option("groups"), known, host, strict=strict)
            self._add_host_to_keyed_groups(
                self.get_option("keyed_groups"), known, host, strict=strict
            )

    def _hosts(self, clusters: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the host names of the selected clusters, with their variables."""
        managed_by = self.get_option("managed_by")
        chosen = []
        for one in clusters:
            ours = one["labels"].get(cluster_options.OWNER_LABEL) == managed_by
            if self._is_wanted_place(one["location"]) and (
                ours or not self.get_option("only_ours")
            ):
                chosen.append({**one, "ours": ours})
        names = Counter(one["name"] for one in chosen)
        for one in sorted(chosen, key=lambda one: (one["name"], one["location"])):
            name, location = one["name"], one["location"]
            yield (
                name if names[name] == 1 else f"{name}.{location}",
                {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "gcp_project": self.get_option("project"),
                    "gcp_location": location,
                    "gcp_auth_kind": self.get_option("auth_kind"),
                    "gcp_service_account_file": self.get_option("service_account_file") or "",
                    "gke_cluster_name": name,
                    "gke_cluster_location": location,
                    "gke_cluster_options": _options(one),
                    "gke_cluster_found": True,
                    **{
                        f"gke_live_{key}": one[key]
                        for key in ("status", "labels", "mode", "version", "nodes", "ours")
                    },
                },
            )


def _described(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that the plugin uses of a live cluster (the API's JSON)."""
    autopilot = (cluster.get("autopilot") or {}).get("enabled")
    return {
        "name": cluster["name"],
        "location": cluster["location"],
        "status": cluster.get("status") or "STATUS_UNSPECIFIED",
        "labels": dict(cluster.get("resourceLabels") or {}),
        "mode": cluster_options.AUTOPILOT if autopilot else "standard",
        "release_channel": (cluster.get("releaseChannel") or {}).get("channel") or "NONE",
        "version": cluster.get("currentMasterVersion") or "",
        "nodes": cluster.get("currentNodeCount") or 0,
        "private_nodes": bool(
            (cluster.get("networkConfig") or {}).get("defaultEnablePrivateNodes")
        ),
        "pools": [] if autopilot else [_pool(one) for one in cluster.get("nodePools") or []],
    }


def _pool(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a live pool in the form of the role's options, as far as it affects the cost."""
    config, scaling = pool.get("config") or {}, pool.get("autoscaling") or {}
    limits = {"min": scaling.get("minNodeCount") or 0, "max": scaling.get("maxNodeCount") or 0}
    return {
        "name": pool["name"],
        "machine_type": config.get("machineType") or "e2-medium",
        "nodes": pool.get("initialNodeCount") or 0,
        "locations": list(pool.get("locations") or []),
        "spot": bool(config.get("spot")),
        "disk_type": config.get("diskType") or "pd-balanced",
        "disk_size_gb": config.get("diskSizeGb") or 100,
        # A limit for all zones together does not determine one for each zone.
        **({"autoscaling": limits} if scaling.get("enabled") and limits["max"] else {}),
    }


def _options(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the role that describe the live cluster, as far as known."""
    labels = described["labels"]
    channel = described["release_channel"]
    return {
        "mode": described["mode"],
        "release_channel": "NONE" if channel == "UNSPECIFIED" else channel,
        "ttl": labels.get(lifetime.TTL, lifetime.FOREVER),
        "deletion_protection": labels.get(cluster_options.PROTECTION_LABEL) == "true",
        "labels": {
            key: value
            for key, value in labels.items()
            if key not in cluster_options.OUR_LABELS
            and not key.startswith(cluster_options.GOOGLE_PREFIX)
        },
        "private_nodes": described["private_nodes"],
        "node_pools": described["pools"],
    }
