"""Kubeconfigs for GKE clusters, which use google-auth, require no gcloud and contain no secret."""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.docker_ml_api import private_files
from ansible.module_utils.docker_ml_api.google import credential

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTERNAL = "external"
INTERNAL = "internal"
DNS = "dns"
ENDPOINTS = (EXTERNAL, INTERNAL, DNS)

# Variables that the login needs to reach Google like the module. Kubernetes tasks may lack them.
_WAY = (
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
_PREFIX = "google-"


class AccessError(Exception):
    """A kubeconfig cannot be created; the message is one sentence that includes the fix."""


def context_name(project: str, location: str, name: str) -> str:
    """Return the name of a cluster's context, the same as gcloud's."""
    return f"gke_{project}_{location}_{name}"


def kubeconfig_of(
    cluster: Mapping[str, Any],
    params: Mapping[str, Any],
    endpoint: str = EXTERNAL,
    environ: Mapping[str, str] | None = None,
    *,
    keep: bool = True,
    lasting: bool = False,
) -> dict[str, Any]:
    """Return a kubeconfig for a running cluster, to be passed to modules as a mapping.

    cluster: as the GKE API describes it (name, location, endpoint, masterAuth …).
    params: the options project, auth_kind, service_account_file, service_account_contents,
        access_token.
    endpoint: one of ENDPOINTS.
    keep: whether to store a secret that is in no file and no variable (see `private_files`);
        without this the kubeconfig cannot be used.
    lasting: whether to store it beyond the Ansible run.

    Each process that uses the kubeconfig requests a token of its own, and a new one when it
    expires.

    The mapping has no apiVersion and kind (see `file_of`), because kubernetes.core masks each text
    of a kubeconfig in the results of its modules, and `v1` occurs in all of them.

    Raises AccessError.
    """
    environ = os.environ if environ is None else environ
    name = context_name(str(params["project"]), str(cluster["location"]), str(cluster["name"]))
    login = _login(params, environ, keep=keep, lasting=lasting)
    user = {
        "apiVersion": credential.API_VERSION,
        "command": sys.executable,
        # One argument, since a short one such as "-c" would be masked wherever it occurs.
        "args": [f"-Pc{program()}"],
        "env": [{"name": credential.LOGIN, "value": json.dumps(login)}],
        "interactiveMode": "Never",
    }
    return {
        "clusters": [{"name": name, "cluster": _server(cluster, endpoint)}],
        "users": [{"name": name, "user": {"exec": user}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def file_of(kubeconfig: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kubeconfig in the form of a file."""
    return {"apiVersion": "v1", "kind": "Config", **kubeconfig}


def program() -> str:
    """Return the source of google.credential, also from the archive of an Ansible module."""
    loader: Any = credential.__loader__
    return str(loader.get_source(credential.__name__))


def _server(cluster: Mapping[str, Any], endpoint: str) -> dict[str, str]:
    called = f"Cluster {cluster['name']} in {cluster['location']}"
    config = cluster.get("controlPlaneEndpointsConfig") or {}
    if endpoint == DNS:
        host = str((config.get("dnsEndpointConfig") or {}).get("endpoint") or "")
        if not host:
            raise AccessError(
                f"{called} has no DNS endpoint: choose the endpoint {EXTERNAL} or {INTERNAL}."
            )
        # Its certificate is issued by a public CA.
        return {"server": f"https://{host}"}
    host = str(cluster.get("endpoint") or "")
    if endpoint == INTERNAL:
        private = cluster.get("privateClusterConfig") or {}
        addresses = config.get("ipEndpointsConfig") or {}
        host = str(private.get("privateEndpoint") or addresses.get("privateEndpoint") or "")
    authority = str((cluster.get("masterAuth") or {}).get("clusterCaCertificate") or "")
    if not host or not authority:
        what = "endpoint" if authority else "endpoint or certificate authority"
        raise AccessError(
            f"{called} has no {endpoint} {what} (its status is {cluster.get('status')}): wait "
            "until it is RUNNING, or choose another endpoint."
        )
    try:
        base64.b64decode(authority, validate=True)
    except binascii.Error as error:
        raise AccessError(f"{called} has a certificate authority that is no base64.") from error
    host = f"[{host}]" if host.count(":") > 1 else host
    return {"server": f"https://{host}", "certificate-authority-data": authority}


def _login(
    params: Mapping[str, Any], environ: Mapping[str, str], *, keep: bool, lasting: bool
) -> dict[str, Any]:
    def file_of_secret(secret: str) -> str:
        where = private_files.keep if keep else private_files.path_of
        try:
            return str(where(secret, environ, prefix=_PREFIX, lasting=lasting))
        except private_files.PrivateFilesError as error:
            raise AccessError(
                f"{error}, or name the login's key with service_account_file, or export "
                "GCP_ACCESS_TOKEN or GCP_SERVICE_ACCOUNT_CONTENTS."
            ) from error

    kind = params["auth_kind"]
    login: dict[str, Any] = {"auth_kind": kind}
    if kind == "serviceaccount":
        if params.get("service_account_file"):
            path = Path(params["service_account_file"]).expanduser().absolute()
            login["service_account_file"] = str(path)
        elif not _inherited(params, "service_account_contents", environ):
            secret = _text(params["service_account_contents"])
            login["service_account_file"] = file_of_secret(secret)
    elif kind == "accesstoken" and not _inherited(params, "access_token", environ):
        login["access_token_file"] = file_of_secret(str(params["access_token"]))
    way = {key: environ[key] for key in _WAY if key in environ}
    # A proxy's password is a secret; such a proxy must be in the environment of all tasks.
    login["environment"] = {key: value for key, value in way.items() if not _has_login(value)}
    return login


def _has_login(value: str) -> bool:
    return "@" in urlsplit(value if "://" in value else f"//{value}").netloc


def _inherited(params: Mapping[str, Any], option: str, environ: Mapping[str, str]) -> bool:
    """Return whether an option has the value of its environment variable, which the login reads."""
    return _text(params[option]) == _text(environ.get(f"GCP_{option.upper()}"))


def _text(value: Any) -> str:
    """Return a key as text, normalized, since Ansible may have parsed and rewritten its JSON."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def forget_secrets(environ: Mapping[str, str]) -> list[str]:
    """Delete the lasting secrets; return the paths of the deleted files."""
    found: list[str] = private_files.forget(environ, prefix=_PREFIX)
    return found
