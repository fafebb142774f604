#!/usr/bin/python
"""Ansible module kubernetes_access: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_access
short_description: Check that a cluster can be reached and is recent enough
description:
  - Requests the version of the API server of a kubeconfig's context, with its credentials.
  - If the kubeconfig, context, server, certificate or credentials do not work, the task fails
    with a sentence that explains how to fix it.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [cluster, read_only]
options:
  minimum_version:
    description:
      - The minimum version of Kubernetes, as C(MAJOR.MINOR).
      - Since version 1.30 a container's C(preStop) hook can sleep without a shell. With such a hook
        a terminating pod still answers the requests that are on their way to it.
    type: str
    default: "1.30"
  timeout:
    description: Seconds to wait for a cluster that is starting. 0 makes one attempt.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Check the access to the cluster
  kubernetes_access:
    context: kind-kind

- name: Wait for a cluster that was just created
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
  description: The name of the context that was used.
  returned: success
  type: str
  sample: kind-kind
kubeconfig:
  description:
    - Path of a kubeconfig with this access only, in a private file that is deleted at the end of
      the Ansible run; empty if no file is kept, because the callback plugin C(forget_run), which
      deletes it, is not active.
    - For the modules of kubernetes.core, whose client reads kubeconfigs in its own way. If
      E(KUBECONFIG) has several files, it uses the current context of the last file, whereas kubectl
      uses that of the first; and it does not strip the line break from a token in a file.
  returned: success
  type: str
  sample: /run/user/1000/docker-ml-api-1000/run-4711/kubeconfig-0b5b1c3f5e7a9d2c
proxy:
  description:
    - URL of the proxy for the API server, without its credentials; empty if there is none.
    - The modules of kubernetes.core 6.2 with the client 35 ignore C(proxy-url) of a kubeconfig,
      and connect to the server directly, unless this value is passed to them as C(proxy).
  returned: success
  type: str
  sample: http://proxy.example.com:3128
no_proxy:
  description:
    - The server's host if it is accessed without a proxy, otherwise empty.
    - The modules of kubernetes.core 6.2 with the client 35 ignore E(NO_PROXY), and send even
      requests to a loopback address to the proxy, unless this value is passed to them as
      C(no_proxy).
  returned: success
  type: str
  sample: 127.0.0.1
impersonate_user:
  description:
    - The user to impersonate (C(as) of the kubeconfig); empty for none.
    - The modules of kubernetes.core 6.2 with the client 35 ignore C(as) and C(as-groups), and send
      requests as the authenticated user, unless this value and RV(impersonate_groups) are passed
      to them.
  returned: success
  type: str
  sample: deployer
impersonate_groups:
  description: The groups to impersonate with RV(impersonate_user).
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
    """Return the answer of /version; raise if there is none within `timeout` seconds."""
    end = clock() + timeout
    while True:
        try:
            # Anybody may read the version; the list of APIs requires valid credentials.
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
    """Write a kubeconfig of this access for the run; return its path, or "" without a run."""
    if not os.environ.get(private_files.RUN):
        return ""
    text = json.dumps(connected.kubeconfig())
    try:
        return str(private_files.keep(text, os.environ, prefix="kubeconfig-"))
    except private_files.PrivateFilesError as error:
        raise module_common.ModuleFailedError(f"{error}.") from error


def run(module: AnsibleModule, connected: Cluster) -> dict[str, Any]:
    """Check the version and return the module's result; raise ModuleFailedError."""
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
    """Run the module."""
    module_common.run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
