"""Addresses, ports, and the paths below the cluster's folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

DEFAULT_FOLDER = Path("/var/lib/docker-ml-api/rehearsal")

CLUSTER = "rehearsal"
"""The name of the cluster, of its kubeconfig context and of its node."""
DOMAIN = "cluster.local"

# Pods reach the node's address and one another; everything else listens on loopback.
POD_NETWORK = IPv4Network("10.199.0.0/20")
SERVICE_NETWORK = IPv4Network("10.199.16.0/20")
NODE_ADDRESS = IPv4Address("10.199.32.1")
NETWORKS = IPv4Network("10.199.0.0/18")
"""Contains the three above; nothing else may use it."""
BRIDGE = "dma0"
"""The interface that carries the node's address; no pod is attached to it."""

SERVICE_ADDRESS = SERVICE_NETWORK[1]
"""The address of the Service kubernetes.default: the API server uses the network's first one."""
DNS_ADDRESS = SERVICE_NETWORK[10]

API_ADDRESS = IPv4Address("127.0.20.1")
API_PORT = 443
REGISTRY_ADDRESS = IPv4Address("127.0.20.2")
REGISTRY_PORT = 5000
REGISTRY = f"{REGISTRY_ADDRESS}:{REGISTRY_PORT}"
LOAD_BALANCERS = (IPv4Address("127.0.10.1"), IPv4Address("127.0.10.254"))

ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
CONTROLLER_MANAGER_PORT = 10257
SCHEDULER_PORT = 10259
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
DNS_HEALTH_PORT = 8181
KUBELET_PORT = 10250  # from here on, ports on the node's address
METRICS_SERVER_PORT = 4443
DNS_PORT = 1053

LISTENERS = (
    *((API_ADDRESS, port) for port in (API_PORT, ETCD_PORT, ETCD_PEER_PORT)),
    *((API_ADDRESS, port) for port in (CONTROLLER_MANAGER_PORT, SCHEDULER_PORT)),
    *((API_ADDRESS, port) for port in (KUBELET_HEALTH_PORT, DNS_HEALTH_PORT)),
    *((API_ADDRESS, port) for port in (PROXY_HEALTH_PORT, PROXY_METRICS_PORT)),
    (REGISTRY_ADDRESS, REGISTRY_PORT),
)
"""The ports that must be free on loopback; the node's address belongs to the cluster."""

PAUSE_IMAGE = "docker-ml-api.invalid/pause:1"


@dataclass(frozen=True)
class Layout:
    """The paths of one cluster: everything is in its folder and its cgroup."""

    folder: Path = DEFAULT_FOLDER

    @property
    def cgroup(self) -> str:
        """Name of the control group that holds every process of the cluster."""
        name = "docker-ml-api-rehearsal"
        if self.folder == DEFAULT_FOLDER:
            return name
        return f"{name}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    @property
    def state(self) -> Path:
        """The first file that `up` writes: its presence marks the folder as a cluster's."""
        return self.folder / "state.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def login(self) -> Path:
        """The registry's host, user name and password, as JSON."""
        return self.folder / "registry.json"

    @property
    def programs(self) -> Path:
        """Symbolic links to the programs, named after the components."""
        return self.folder / "bin"

    @property
    def kubectl(self) -> Path:
        """The kubectl of the cluster's version."""
        return self.programs / "kubectl"

    @property
    def logs(self) -> Path:
        """The folder with a log for each component."""
        return self.folder / "logs"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object per line; older logs are beside it."""
        return self.logs / "audit.log"

    @property
    def pod_logs(self) -> Path:
        """The replacement of /var/log/pods."""
        return self.logs / "pods"

    @property
    def certificates(self) -> Path:
        """Keys and certificates."""
        return self.folder / "pki"

    @property
    def kubeconfigs(self) -> Path:
        """The kubeconfigs of the components."""
        return self.folder / "kubeconfigs"

    @property
    def configuration(self) -> Path:
        """Configuration files of the components."""
        return self.folder / "configuration"

    @property
    def processes(self) -> Path:
        """The folder with a record for each started component."""
        return self.folder / "processes"

    @property
    def etcd(self) -> Path:
        """The data of etcd."""
        return self.folder / "etcd"

    @property
    def registry(self) -> Path:
        """The images of the registry."""
        return self.folder / "registry"

    @property
    def kubelet(self) -> Path:
        """The replacement of /var/lib/kubelet."""
        return self.folder / "kubelet"

    @property
    def containerd(self) -> Path:
        """Root, state and socket of the private containerd."""
        return self.folder / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """The socket on which the private containerd listens."""
        return self.containerd / "containerd.sock"

    @property
    def cni(self) -> Path:
        """Configuration and address leases of the pods' network."""
        return self.folder / "cni"
