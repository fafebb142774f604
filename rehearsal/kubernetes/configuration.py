"""The components' configuration, as pure functions: file name → content, and arguments."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from rehearsal.kubernetes import layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rehearsal.kubernetes.layout import Layout

API_URL = f"https://{layout.API_ADDRESS}"
_REGISTRY_CONFIGURATION = "registry.json"
_HTPASSWD = "htpasswd"
_TOKEN_WEBHOOK = "token-webhook.json"  # noqa: S105 - a file's name


def files(
    paths: Layout, *, plugins: Path, snapshotter: str, htpasswd: str, token_webhook: str = ""
) -> Mapping[Path, str]:
    """Return all configuration files with their contents.

    `plugins` is the folder of the CNI plugins, `snapshotter` containerd's driver, `htpasswd` the
    registry's line with the user and the hash of the password, and `token_webhook` the URL to which
    the API server sends unknown tokens, if any.
    """
    folder = paths.configuration
    webhook = {folder / _TOKEN_WEBHOOK: json.dumps(token_review(token_webhook))}
    return {
        **(webhook if token_webhook else {}),
        folder / "containerd.toml": containerd(paths, plugins=plugins, snapshotter=snapshotter),
        folder / "registries" / layout.REGISTRY / "hosts.toml": (
            f'server = "http://{layout.REGISTRY}"\n[host."http://{layout.REGISTRY}"]\n'
            '  capabilities = ["pull", "resolve"]\n'
        ),
        paths.cni / "conf" / "10-rehearsal.conflist": json.dumps(cni(paths)),
        folder / _REGISTRY_CONFIGURATION: json.dumps(
            registry(layout.REGISTRY, paths.registry, folder / _HTPASSWD)
        ),
        folder / _HTPASSWD: htpasswd,
        folder / "audit-policy.json": json.dumps(audit_policy()),
        folder / "kubelet.json": json.dumps(kubelet(paths)),
        folder / "kube-proxy.json": json.dumps(kube_proxy(paths)),
        folder / "scheduler.json": json.dumps(scheduler(paths)),
        folder / "Corefile": corefile(paths),
        # Pods only use the cluster's DNS server, which has no upstream server.
        folder / "resolv.conf": "",
    }


def containerd(paths: Layout, *, plugins: Path, snapshotter: str) -> str:
    """Return containerd's configuration in TOML, whose strings JSON's encoding is valid for."""
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    quoted = json.dumps
    return f"""\
version = 2
root = {quoted(str(paths.containerd / "root"))}
state = {quoted(str(paths.containerd / "state"))}
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[grpc]
  address = {quoted(str(paths.containerd_socket))}

{cri}]
  sandbox_image = {quoted(layout.PAUSE_IMAGE)}
  # Without CAP_SYS_RESOURCE no process may lower its score: every pod would fail.
  restrict_oom_score_adj = true
  # A profile that is loaded into the kernel would outlive the cluster.
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  stream_server_address = "{layout.API_ADDRESS}"
  stream_server_port = "0"
{cri}.containerd]
  snapshotter = {quoted(snapshotter)}
  default_runtime_name = "runc"
{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
  Root = {quoted(str(paths.containerd / "runc"))}
  SystemdCgroup = false
{cri}.cni]
  bin_dir = {quoted(str(plugins))}
  conf_dir = {quoted(str(paths.cni / "conf"))}
  max_conf_num = 1
{cri}.registry]
  config_path = {quoted(str(paths.configuration / "registries"))}
"""


def cni(paths: Layout) -> dict[str, Any]:
    """Return the configuration of the pods' network: each pod has its own routed link.

    With a bridge, responses within the network would bypass the address translation of Services,
    unless the host filters bridged packets, a setting that this cluster should not change.
    """
    return {
        "cniVersion": "1.0.0",
        "name": paths.cgroup,
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(paths.cni / "leases"),
                    "ranges": [[{"subnet": str(layout.POD_NETWORK)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def registry(address: str, storage: Path, htpasswd: Path | None) -> dict[str, Any]:
    """Return the configuration of docker-registry; without htpasswd it requires no login."""
    login = {"realm": "registry", "path": str(htpasswd)}
    return {
        "version": 0.1,
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": True},
        },
        "http": {"addr": address},
        **({"auth": {"htpasswd": login}} if htpasswd else {}),
    }


def audit_policy() -> dict[str, Any]:
    """Return the audit policy: each request is logged once, when it is answered, without bodies."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }


def kubelet(paths: Layout) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    certificates = paths.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(layout.NODE_ADDRESS),
        "port": layout.KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": str(layout.API_ADDRESS),
        "healthzPort": layout.KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet.key"),
        "clusterDNS": [str(layout.DNS_ADDRESS)],
        "clusterDomain": layout.DOMAIN,
        "resolvConf": str(paths.configuration / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{paths.cgroup}",
        "failSwapOn": False,
        "failCgroupV1": False,
        # kube-proxy creates the necessary chains; the kubelet's would remain after its end.
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        # The disk is shared with the rest of the machine: even if it is nearly full, neither pods
        # nor images are removed.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 250,
        "podPidsLimit": 1024,
        "serializeImagePulls": False,
        "maxParallelImagePulls": 4,
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 2,
        "podLogsDir": str(paths.pod_logs),
        "volumePluginDir": str(paths.kubelet / "volume-plugins"),
    }


def kube_proxy(paths: Layout) -> dict[str, Any]:
    """Return kube-proxy's configuration; zero keeps the kernel's value."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": str(layout.NODE_ADDRESS),
        "clusterCIDR": str(layout.POD_NETWORK),
        "clientConnection": {"kubeconfig": str(paths.kubeconfigs / "proxy")},
        "hostnameOverride": layout.CLUSTER,
        "healthzBindAddress": f"{layout.API_ADDRESS}:{layout.PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"{layout.API_ADDRESS}:{layout.PROXY_METRICS_PORT}",
        "oomScoreAdj": 0,
        "iptables": {"localhostNodePorts": True, "minSyncPeriod": "0s"},
        "conntrack": {
            "maxPerCore": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def scheduler(paths: Layout) -> dict[str, Any]:
    """Return the scheduler's configuration."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(paths.kubeconfigs / "scheduler")},
        "leaderElection": {"leaderElect": False},
    }


def corefile(paths: Layout) -> str:
    """Return CoreDNS's configuration: it resolves the cluster's names, and no others (NXDOMAIN).

    It has two blocks, as within one the template would answer before the cluster's names are tried.
    """
    return f"""\
{layout.DOMAIN}:{layout.DNS_PORT} in-addr.arpa:{layout.DNS_PORT} ip6.arpa:{layout.DNS_PORT} {{
    bind {layout.NODE_ADDRESS}
    errors
    ready {layout.API_ADDRESS}:{layout.DNS_HEALTH_PORT}
    kubernetes {layout.DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {paths.kubeconfigs / "dns"} {layout.CLUSTER}
        pods insecure
        ttl 5
    }}
}}
.:{layout.DNS_PORT} {{
    bind {layout.NODE_ADDRESS}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def kubeconfig(certificates: Path, name: str) -> str:
    """Return a self-contained kubeconfig for the certificate with this name."""

    def inline(file: str) -> str:
        return base64.b64encode((certificates / file).read_bytes()).decode()

    cluster = {"server": API_URL, "certificate-authority-data": inline("ca.crt")}
    user = {
        "client-certificate-data": inline(f"{name}.crt"),
        "client-key-data": inline(f"{name}.key"),
    }
    context = {"cluster": layout.CLUSTER, "user": f"{layout.CLUSTER}-{name}"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": layout.CLUSTER,
            "clusters": [{"name": layout.CLUSTER, "cluster": cluster}],
            "users": [{"name": f"{layout.CLUSTER}-{name}", "user": user}],
            "contexts": [{"name": layout.CLUSTER, "context": context}],
        },
        indent=2,
    )


def token_review(url: str) -> dict[str, Any]:
    """Return the kubeconfig with which the API server calls the token webhook."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "webhook",
        "clusters": [{"name": "webhook", "cluster": {"server": url}}],
        "users": [{"name": "api-server", "user": {}}],
        "contexts": [
            {"name": "webhook", "context": {"cluster": "webhook", "user": "api-server"}},
        ],
    }


def api_server_arguments(paths: Layout, *, token_webhook: bool = False) -> list[str]:
    """Return the API server's command line; `files` contains the kubeconfig of the webhook."""
    pki = paths.certificates
    webhook = [
        f"--authentication-token-webhook-config-file={paths.configuration}/{_TOKEN_WEBHOOK}",
        "--authentication-token-webhook-version=v1",
        # A revoked token must be rejected soon.
        "--authentication-token-webhook-cache-ttl=2s",
    ]
    return [
        *(webhook if token_webhook else []),
        f"--bind-address={layout.API_ADDRESS}",
        f"--secure-port={layout.API_PORT}",
        f"--advertise-address={layout.NODE_ADDRESS}",
        f"--etcd-servers=https://{layout.API_ADDRESS}:{layout.ETCD_PORT}",
        f"--etcd-cafile={pki}/ca.crt",
        f"--etcd-certfile={pki}/etcd.crt",
        f"--etcd-keyfile={pki}/etcd.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/api-server.crt",
        f"--tls-private-key-file={pki}/api-server.key",
        f"--service-account-issuer=https://kubernetes.default.svc.{layout.DOMAIN}",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--service-cluster-ip-range={layout.SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/api-server-kubelet-client.crt",
        f"--kubelet-client-key={pki}/api-server-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/aggregation-ca.crt",
        "--requestheader-allowed-names=aggregation-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/aggregation-client.crt",
        f"--proxy-client-key-file={pki}/aggregation-client.key",
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={paths.configuration}/audit-policy.json",
        f"--audit-log-path={paths.audit_log}",
        "--audit-log-maxsize=200",
        "--audit-log-maxbackup=2",
        "--audit-log-mode=blocking",
        "--profiling=false",
    ]


def etcd_arguments(paths: Layout) -> list[str]:
    """Return etcd's command line: a single member, whose data need not survive a crash."""
    pki = paths.certificates
    clients = f"https://{layout.API_ADDRESS}:{layout.ETCD_PORT}"
    peers = f"https://{layout.API_ADDRESS}:{layout.ETCD_PEER_PORT}"
    return [
        f"--name={layout.CLUSTER}",
        f"--data-dir={paths.etcd}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster={layout.CLUSTER}={peers}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki}/ca.crt",
        f"--cert-file={pki}/etcd.crt",
        f"--key-file={pki}/etcd.key",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={pki}/ca.crt",
        f"--peer-cert-file={pki}/etcd.crt",
        f"--peer-key-file={pki}/etcd.key",
        "--unsafe-no-fsync",
        "--auto-compaction-retention=10m",
        "--log-level=warn",
    ]


def controller_manager_arguments(paths: Layout) -> list[str]:
    """Return the controller manager's command line."""
    pki, own = paths.certificates, paths.kubeconfigs / "controller-manager"
    return [
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={layout.API_ADDRESS}",
        f"--secure-port={layout.CONTROLLER_MANAGER_PORT}",
        f"--tls-cert-file={pki}/controller-manager.crt",
        f"--tls-private-key-file={pki}/controller-manager.key",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--cluster-cidr={layout.POD_NETWORK}",
        f"--service-cluster-ip-range={layout.SERVICE_NETWORK}",
        f"--flex-volume-plugin-dir={paths.kubelet}/volume-plugins",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
        "--profiling=false",
    ]


def scheduler_arguments(paths: Layout) -> list[str]:
    """Return the scheduler's command line."""
    own = paths.kubeconfigs / "scheduler"
    return [
        f"--config={paths.configuration}/scheduler.json",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={layout.API_ADDRESS}",
        f"--secure-port={layout.SCHEDULER_PORT}",
        f"--tls-cert-file={paths.certificates}/scheduler.crt",
        f"--tls-private-key-file={paths.certificates}/scheduler.key",
    ]


def metrics_server_arguments(paths: Layout) -> list[str]:
    """Return metrics-server's command line; 15 s is the shortest resolution that it accepts."""
    pki, own = paths.certificates, paths.kubeconfigs / "metrics-server"
    return [
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={layout.NODE_ADDRESS}",
        f"--secure-port={layout.METRICS_SERVER_PORT}",
        f"--tls-cert-file={pki}/metrics-server.crt",
        f"--tls-private-key-file={pki}/metrics-server.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=15s",
    ]
