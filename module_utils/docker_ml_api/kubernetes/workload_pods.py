"""The pods of workloads, and the cluster information for the check of their answers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.docker_ml_api.checks.replicas import (
    Replica,
    ask_directly,
    explain_silence,
    selects,
)
from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster, ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible.module_utils.docker_ml_api.checks.http import Client
    from ansible.module_utils.docker_ml_api.checks.runner import Check

Object = dict[str, Any]

# The label by which a workload's Service selects its pods.
APP = "app"
# Names in one selector: a URL may have 8 kB, and a name has up to 63 characters.
NAMES = 50
SERVICE_NAME = "kubernetes.io/service-name"


def pods_by_workload(
    cluster: Cluster, names: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[Object]]:
    """Return the pods of workloads, by namespace and name, with few requests per namespace."""
    by_namespace: dict[str, list[str]] = defaultdict(list)
    for namespace, name in names:
        by_namespace[namespace].append(name)
    found: dict[tuple[str, str], list[Object]] = {}
    for namespace, here in by_namespace.items():
        found |= {(namespace, name): [] for name in here}
        for start in range(0, len(here), NAMES):
            some = here[start : start + NAMES]
            for pod in cluster.list("Pod", namespace, labels=f"{APP} in ({','.join(some)})"):
                found[namespace, pod["metadata"]["labels"][APP]].append(pod)
    return found


class ClusterSurroundings:
    """Provides what the check of one workload needs to know about the cluster."""

    def __init__(
        self,
        cluster: Cluster,
        workload: Mapping[str, Any],
        *,
        client: Client,
        owners: Mapping[str, str],
        check: Check | None,
        timeout: float,
    ) -> None:
        """Set the workload's options, and what is already known.

        client: sends HTTP requests.
        owners: the workload of each pod of its namespace.
        check: the check to send to a pod for a hint.
        timeout: that of the check, in seconds.
        """
        self._cluster = cluster
        self._workload = workload
        self._client = client
        self._owners = owners
        self._check = check
        self._timeout = timeout

    def read(self) -> list[Object]:
        """Return the current pods of the workload."""
        namespace, name = self._workload["namespace"], self._workload["name"]
        pods: list[Object] = self._cluster.list("Pod", namespace, labels=f"{APP}={name}")
        return pods

    def forward(self, pod: str) -> Client:
        """Return a client that sends requests to this pod; raise ClusterError."""
        # The import takes a while, and most runs do not need it.
        try:
            from ansible.module_utils.docker_ml_api.kubernetes.port_forward import PodClient  # noqa: PLC0415
        except ImportError as error:
            raise ClusterError(missing_required_lib("websocket-client")) from error
        workload = self._workload
        client: Client = PodClient(
            self._cluster, workload["namespace"], pod, workload["port"], self._client
        )
        return client

    def elsewhere(self, instance: str) -> str:
        """Return the other workload that a pod of that name belongs to; empty if there is none."""
        owner = self._owners.get(instance, "")
        return "" if owner == self._workload["name"] else owner

    def hint(self, replica: Replica) -> str:
        """Return why a ready pod may not be reachable through the address, as text."""
        namespace, service = self._workload["namespace"], self._workload["service_name"]
        try:
            labels = (self._cluster.get("Pod", namespace, replica.name) or {}).get("metadata", {})
            policies = [
                policy
                for policy in self._cluster.list("NetworkPolicy", namespace)
                if selects(policy["spec"].get("podSelector"), labels.get("labels") or {})
            ]
            found = self._cluster.get("Service", namespace, service)
            slices = self._cluster.list(
                "EndpointSlice", namespace, labels=f"{SERVICE_NAME}={service}"
            )
            direct = ""
            if self._check is not None:
                direct = ask_directly(self.forward(replica.name), self._check, self._timeout)
        except ClusterError as error:
            return f"why, could not be asked: {error}"
        words: str = explain_silence(replica, found, slices, policies, direct)
        return words
