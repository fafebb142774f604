"""The processes of the cluster: their commands and health checks."""

from __future__ import annotations

import os
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rehearsal.kubernetes import configuration, layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rehearsal.kubernetes.layout import Layout

_ANSWERS_WITHIN = 5.0
_UNAUTHORIZED = 401
_GARBAGE_COLLECTION = "400"
"""GOGC: with Go's default of 100, the API server needs a fifth more CPU time to start."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Component:
    """A process; `problem` returns why it is unhealthy, or None if it is healthy."""

    name: str
    program: Path
    arguments: list[str]
    problem: Callable[[], str | None]
    stage: int
    """The components of a stage start together, once those of the previous stage are healthy."""
    address: str = ""


PROGRAMS_OF_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "load-balancer-controller",
    "tcp-forwarder",
    "htpasswd",
)
"""The names under which the single Kubernetes program is called."""


def all_components(
    paths: Layout, installed: Mapping[str, Path], *, token_webhook: bool = False
) -> list[Component]:
    """Return the components in the order in which they start.

    `installed` contains the paths of the machine's containerd and docker-registry. With
    `token_webhook`, the API server sends unknown tokens to a webhook.
    """
    folder, kubeconfigs = paths.configuration, paths.kubeconfigs
    api, node = layout.API_ADDRESS, layout.NODE_ADDRESS
    first, last = layout.LOAD_BALANCERS
    https = _Https(paths.certificates)

    def own(
        name: str,
        arguments: list[str],
        problem: Callable[[], str | None],
        stage: int = 2,
        address: str = "",
    ) -> Component:
        return Component(name, paths.programs / name, arguments, problem, stage, address)

    return [
        Component(
            "containerd",
            installed["containerd"],
            [f"--config={folder}/containerd.toml"],
            lambda: _connects(paths.containerd_socket),
            0,
            str(paths.containerd_socket),
        ),
        Component(
            "registry",
            installed["docker-registry"],
            ["serve", f"{folder}/registry.json"],
            lambda: _answers(f"http://{layout.REGISTRY}/v2/", status=_UNAUTHORIZED),
            0,
            layout.REGISTRY,
        ),
        own(
            "etcd",
            configuration.etcd_arguments(paths),
            https.check(f"{api}:{layout.ETCD_PORT}/health"),
            stage=0,
            address=f"{api}:{layout.ETCD_PORT}",
        ),
        own(
            "kube-apiserver",
            configuration.api_server_arguments(paths, token_webhook=token_webhook),
            https.check(f"{api}:{layout.API_PORT}/readyz"),
            stage=1,
            address=f"{api}:{layout.API_PORT}",
        ),
        own(
            "tcp-forwarder",
            [f"--listen={node}:{layout.API_PORT}", f"--target={api}:{layout.API_PORT}"],
            https.check(f"{node}:{layout.API_PORT}/livez"),
            address=f"{node}:{layout.API_PORT}",
        ),
        own(
            "kube-controller-manager",
            configuration.controller_manager_arguments(paths),
            https.check(f"{api}:{layout.CONTROLLER_MANAGER_PORT}/healthz"),
            address=f"{api}:{layout.CONTROLLER_MANAGER_PORT}",
        ),
        own(
            "kube-scheduler",
            configuration.scheduler_arguments(paths),
            https.check(f"{api}:{layout.SCHEDULER_PORT}/readyz"),
            address=f"{api}:{layout.SCHEDULER_PORT}",
        ),
        own(
            "kubelet",
            [
                f"--config={folder}/kubelet.json",
                f"--kubeconfig={kubeconfigs}/kubelet",
                f"--root-dir={paths.kubelet}",
                f"--node-ip={node}",
                f"--hostname-override={layout.CLUSTER}",
            ],
            lambda: _answers(f"http://{api}:{layout.KUBELET_HEALTH_PORT}/healthz"),
            address=f"{node}:{layout.KUBELET_PORT}",
        ),
        own(
            "kube-proxy",
            [f"--config={folder}/kube-proxy.json"],
            lambda: _answers(f"http://{api}:{layout.PROXY_HEALTH_PORT}/healthz"),
            address=f"{api}:{layout.PROXY_HEALTH_PORT}",
        ),
        own(
            "load-balancer-controller",
            [
                f"--kubeconfig={kubeconfigs}/load-balancer-controller",
                f"--first-address={first}",
                f"--last-address={last}",
            ],
            lambda: None,
            address=f"{first}-{last}",
        ),
        own(
            "coredns",
            ["-conf", f"{folder}/Corefile"],
            lambda: _answers(f"http://{api}:{layout.DNS_HEALTH_PORT}/ready"),
            address=f"{node}:{layout.DNS_PORT}",
        ),
        own(
            "metrics-server",
            configuration.metrics_server_arguments(paths),
            https.check(f"{node}:{layout.METRICS_SERVER_PORT}/livez"),
            address=f"{node}:{layout.METRICS_SERVER_PORT}",
        ),
    ]


def environment(component: str, own_programs: Path, of_runner: Mapping[str, str]) -> dict[str, str]:
    """Return a component's environment; of the runner's, it has only the variables for pulling."""
    settings = {"PATH": f"{own_programs}:{_SYSTEM_PATH}", "GOGC": _GARBAGE_COLLECTION}
    if component == "containerd":
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE")
        settings |= {name: of_runner[name] for name in names if name in of_runner}
        never = ",".join(("127.0.0.0/8", "localhost", str(layout.NETWORKS)))
        others = of_runner.get("NO_PROXY") or of_runner.get("no_proxy")
        settings["NO_PROXY"] = f"{never},{others}" if others else never
    return settings


class _Https:
    """HTTPS checks with the runner's client certificate that trust only the cluster's CA."""

    def __init__(self, certificates: Path) -> None:
        self._certificates = certificates
        self._context: ssl.SSLContext | None = None

    def check(self, address_and_path: str) -> Callable[[], str | None]:
        return lambda: _answers(f"https://{address_and_path}", context=self._trusting())

    def _trusting(self) -> ssl.SSLContext:
        if self._context is None:  # the certificates may be created after the components
            folder = self._certificates
            self._context = ssl.create_default_context(cafile=folder / "ca.crt")
            self._context.load_cert_chain(folder / "runner.crt", folder / "runner.key")
        return self._context


def _answers(url: str, *, context: ssl.SSLContext | None = None, status: int = 200) -> str | None:
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context is not None:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=_ANSWERS_WITHIN) as answer:
            got = answer.status
    except urllib.error.HTTPError as error:
        got = error.code
        error.close()
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return f"{url} does not answer: {reason}"
    return None if got == status else f"{url} answers {got}"


def _connects(path: Path) -> str | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWERS_WITHIN)
        try:
            client.connect(os.fspath(path))
        except OSError as error:
            return f"{path} does not answer: {error.strerror or error}"
    return None
