#!/usr/bin/python
"""Ansible module kubernetes_access: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_access
short_description: Check that a cluster can be reached and is recent enough
description:
  - Asks the API server of a kubeconfig's context for its version, with the context's login.
  - A kubeconfig, a context, a server, a certificate or a login that does not work ends the task
    with a sentence that says what fixes it.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, read_only]
options:
  minimum_version:
    description:
      - The oldest Kubernetes that will do, as C(MAJOR.MINOR).
      - A container's C(preStop) hook can sleep without a shell from 1.30 on; by it a pod that
        ends still answers the requests that are on their way to it.
    type: str
    default: "1.30"
  timeout:
    description: Seconds to wait for a cluster that is starting. 0 asks once.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Make sure of the cluster
  kubernetes_access:
    context: kind-kind

- name: Wait for a cluster that was just made
  kubernetes_access:
    kubeconfig: ~/clusters/new.yml
    timeout: 120
"""

RETURN = r"""
version:
  description: The API server's version.
  returned: success
  type: str
  sample: v1.34.4
server:
  description: The API server's address.
  returned: success
  type: str
  sample: https://127.0.0.1:6443
context:
  description: The context that was used, by its name.
  returned: success
  type: str
  sample: kind-kind
proxy:
  description:
    - The proxy by which the server is reached, without its login; empty for none.
    - The modules of kubernetes.core 6.2 with the client 35 overlook C(proxy-url) of a kubeconfig,
      and ask the server directly, unless they are given this as C(proxy).
  returned: success
  type: str
  sample: http://proxy.example.com:3128
no_proxy:
  description:
    - The server's host if it is reached without a proxy, else empty.
    - The modules of kubernetes.core 6.2 with the client 35 overlook E(NO_PROXY), and send what is
      for a loopback address to the proxy as well, unless they are given this as C(no_proxy).
  returned: success
  type: str
  sample: 127.0.0.1
"""

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.docker_ml_api.kubernetes import module_common
from ansible.module_utils.docker_ml_api.kubernetes import version as kubernetes_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.kubernetes.cluster import Cluster

ARGUMENTS: dict[str, Any] = {
    "minimum_version": {"type": "str", "default": "1.30"},
    "timeout": {"type": "float", "default": 0},
}
_INTERVAL = 1.0
_STARTING = {429, 500, 502, 503, 504}


def ask(
    connected: Cluster,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return what /version answers, as soon as the API server answers within `timeout` seconds."""
    end = clock() + timeout
    while True:
        try:
            # The version is for anybody; which APIs there are is for those who are logged in.
            connected.json("GET", "/api")
            return dict(connected.json("GET", "/version"))
        except module_common.cluster.UnreachableError:
            if clock() >= end:
                raise
        except module_common.cluster.ApiError as error:
            if error.status not in _STARTING or clock() >= end:
                raise
        sleep(_INTERVAL)


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Return what is known of the cluster."""
    try:
        minimum = kubernetes_version.parse(module.params["minimum_version"])
    except ValueError as error:
        raise module_common.ModuleFailedError(f"minimum_version: {error}.") from error
    answer = ask(connected, module.params["timeout"])
    try:
        version = kubernetes_version.of_server(answer)
    except ValueError as error:
        raise module_common.ModuleFailedError(
            f"{connected.name}: {connected.server} does not answer as the API of Kubernetes: "
            f"{error}."
        ) from error
    if version < minimum:
        raise module_common.ModuleFailedError(
            f"{connected.name} runs Kubernetes {version}, but {minimum} or later is needed: "
            "upgrade it, or name another context with kubernetes_context."
        )
    return {
        "version": str(answer.get("gitVersion") or version),
        "server": connected.server,
        "context": connected.access.context,
        "proxy": connected.access.shown_proxy,
        "no_proxy": "" if connected.access.proxy else urlsplit(connected.server).hostname or "",
    }


def main() -> None:
    """Wire the options to the question."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
