#!/usr/bin/python
"""Ansible module gke_kubeconfig: see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gke_kubeconfig
short_description: Write a kubeconfig for a GKE cluster, for people and their tools
description:
  - Writes a file with mode 0600 and one context, C(gke_PROJECT_LOCATION_NAME), named as gcloud
    names it. It never merges anything into a file and never replaces a file that it did not write;
    list both files in E(KUBECONFIG) to use them together.
  - The context authenticates by google-auth, with the Python that this module runs with. gcloud and
    its plugin are not needed. Each process fetches a new token, so the file contains none.
  - With O(auth_kind=serviceaccount) the file refers to the file of the key, which must therefore
    stay in place. With O(auth_kind=application) the application default credentials of the user
    of the file are used.
  - A token or key that was given by E(GCP_ACCESS_TOKEN) or E(GCP_SERVICE_ACCOUNT_CONTENTS) is
    read from there whenever the file is used. One that was given as an option is stored in a
    file with mode 0600 in a private folder of the user, in E(XDG_RUNTIME_DIR) or else C(/dev/shm),
    which is in memory and lost when the machine restarts. O(state=absent) removes it.
version_added: 0.1.0
author:
  - docker-ml-api
extends_documentation_fragment: [google, gke_place]
options:
  path:
    description: Path of the file.
    type: path
    required: true
  endpoint:
    description:
      - The address through which the cluster is accessed. V(internal) is for machines in its
        network, V(dns) for clusters with a DNS endpoint.
    type: str
    choices: [external, internal, dns]
    default: external
  state:
    description: V(absent) removes the file, if this module wrote it, and the stored credentials.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    support: full
    description: Reports whether the file would be written or removed.
  diff_mode:
    support: full
    description: Shows the settings of the file; only a digest of the program and the certificate.
"""

EXAMPLES = r"""
- name: Write a kubeconfig
  gke_kubeconfig:
    project: my-project
    auth_kind: application
    name: hello-cluster
    location: europe-west1-b
    path: ~/.kube/hello-cluster
"""

RETURN = r"""
path:
  description: Path of the file.
  returned: success
  type: str
  sample: /home/tom/.kube/hello-cluster
context:
  description: The context in the file.
  returned: success
  type: str
  sample: gke_my-project_europe-west1-b_hello-cluster
server:
  description: The API server's address; empty if the file is absent.
  returned: success
  type: str
  sample: https://203.0.113.7
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ansible.module_utils.docker_ml_api.gke import cluster_options
from ansible.module_utils.docker_ml_api.google.module_common import ModuleFailedError, run_module

try:
    from ansible.module_utils.docker_ml_api.gke import access, urls
except ImportError:
    # run_module reports the missing package.
    access = urls = None

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from ansible.module_utils.docker_ml_api.google.api import GoogleSession

ARGUMENTS: dict[str, Any] = {
    **cluster_options.PLACE,
    "path": {"type": "path", "required": True},
    "endpoint": {"type": "str", "choices": ["external", "internal", "dns"], "default": "external"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
HEADER = "# Written by docker-ml-api (gke_kubeconfig); changes are lost.\n"
_MODE = 0o600


def run(module: AnsibleModule, session: GoogleSession) -> dict[str, Any]:
    """Write or remove the file and return the module's result; raise ModuleFailedError."""
    params = module.params
    path = Path(params["path"])
    before = _read(path)
    context = access.context_name(session.project, params["location"], params["name"])
    if params["state"] == "absent":
        return _absent(module, path, before, context)
    url = urls.cluster(session.project, params["location"], params["name"])
    cluster = session.find(url)
    if cluster is None:
        raise ModuleFailedError(
            f"There is no cluster {params['name']} in {params['location']} of project "
            f"{session.project}: create it first (--tags clusters), or correct the name or the "
            "location."
        )
    try:
        # This also stores the secrets that have to be stored, except in check mode.
        keep = not module.check_mode
        wanted = access.kubeconfig_of(cluster, params, params["endpoint"], keep=keep, lasting=True)
    except access.AccessError as error:
        raise ModuleFailedError(str(error)) from error
    text = HEADER + yaml.safe_dump(access.file_of(wanted), sort_keys=False, width=1000)
    changed = before != text or _mode(path) != _MODE
    if changed and not module.check_mode:
        _write(path, text)
    server = wanted["clusters"][0]["cluster"]["server"]
    return {
        "changed": changed,
        "path": str(path),
        "context": context,
        "server": server,
        "diff": {
            "before_header": str(path),
            "after_header": str(path),
            "before": _shown(before),
            "after": _shown(text),
        },
    }


def _absent(module: AnsibleModule, path: Path, before: str | None, context: str) -> dict[str, Any]:
    if not module.check_mode:
        path.unlink(missing_ok=True)
        access.forget_secrets(os.environ)
    return {
        "changed": before is not None,
        "path": str(path),
        "context": context,
        "server": "",
        "diff": {"before": _shown(before), "after": ""},
    }


def _read(path: Path) -> str | None:
    """Return the file's text, or None if it does not exist.

    Raises ModuleFailedError if the file cannot be read or this module did not write it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ModuleFailedError(
            f"{path} cannot be read ({reason}): set gke_cluster_kubeconfig_path to another path."
        ) from error
    if not text.startswith(HEADER):
        raise ModuleFailedError(
            f"{path} is somebody else's kubeconfig, which is left as it is: set "
            "gke_cluster_kubeconfig_path to another path; KUBECONFIG can name both."
        )
    return text


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777 if path.exists() else 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        raise ModuleFailedError(
            f"{path} cannot be written ({error.strerror}): set gke_cluster_kubeconfig_path to "
            "another path."
        ) from error


def _shown(text: str | None) -> str:
    """Return the settings to show in a diff, without the program and the certificate."""
    if not text:
        return ""
    content = yaml.safe_load(text)
    (cluster,), (user,) = content["clusters"], content["users"]
    authority = str(cluster["cluster"].get("certificate-authority-data") or "")
    shown = {
        "context": content["current-context"],
        "server": cluster["cluster"]["server"],
        "certificate_authority": _digest(authority) if authority else "a public one",
        "program": _digest(str(user["user"]["exec"]["args"])),
        "login": json.loads(user["user"]["exec"]["env"][0]["value"]),
    }
    return str(yaml.safe_dump(shown, sort_keys=False))


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def main() -> None:
    """Run the module."""
    run_module(ARGUMENTS, run)


if __name__ == "__main__":
    main()
