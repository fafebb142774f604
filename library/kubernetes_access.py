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
kubeconfig:
  description:
    - A kubeconfig of this access alone, in a private file that goes with the run of Ansible; empty
      where none is kept, since the callback plugin C(forget_run) is not there to remove it.
    - For the modules of kubernetes.core, whose client reads kubeconfigs by rules of its own. Of
      several files in E(KUBECONFIG) it takes the last one's current context, where kubectl takes
      the first one's; a token in a file it takes with the line's end.
  returned: success
  type: str
  sample: /run/user/1000/docker-ml-api-1000/run-4711/kubeconfig-0b5b1c3f5e7a9d2c
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
impersonate_user:
  description:
    - The user that requests are made as (C(as) of the kubeconfig); empty for the login's own.
    - The modules of kubernetes.core 6.2 with the client 35 overlook C(as) and C(as-groups), and ask
      as the login's own user, unless they are given this and RV(impersonate_groups).
  returned: success
  type: str
  sample: deployer
impersonate_groups:
  description: The groups of RV(impersonate_user).
  returned: success
  type: list
  elements: str
  sample: [deployers]
"""

import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.docker_ml_api import private_files
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


def keep(connected: Cluster) -> str:
    """Keep a kubeconfig of this access for the run; return its path, empty if there is no run."""
    if not os.environ.get(private_files.RUN):
        return ""
    text = json.dumps(connected.kubeconfig())
    try:
        return str(private_files.keep(text, os.environ, prefix="kubeconfig-"))
    except private_files.PrivateFilesError as error:
        raise module_common.ModuleFailedError(f"{error}.") from error


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
        "kubeconfig": keep(connected),
        "proxy": connected.access.shown_proxy,
        "no_proxy": "" if connected.access.proxy else urlsplit(connected.server).hostname or "",
        "impersonate_user": connected.access.impersonated_user,
        "impersonate_groups": list(connected.access.impersonated_groups),
    }


def main() -> None:
    """Wire the options to the question."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
