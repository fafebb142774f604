"""Kubeconfigs for GKE clusters: google-auth logs in, gcloud is not needed, no secret is in them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.docker_ml_api.google import credential

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTERNAL = "external"
INTERNAL = "internal"
DNS = "dns"
ENDPOINTS = (EXTERNAL, INTERNAL, DNS)

# How the module reached Google, the login has to. Kubernetes tasks may run without them.
_WAY = (
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
_PRIVATE = 0o700

# The variable that names the process of the run of Ansible that a module is part of.
RUN = "DOCKER_ML_API_RUN"
_OF_RUN = "run-"


class AccessError(Exception):
    """There can be no kubeconfig: one sentence, with what fixes it."""


def context_name(project: str, location: str, name: str) -> str:
    """Return what gcloud calls a cluster's context, too."""
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
    """Return a kubeconfig for a running cluster, to be given to modules as a mapping.

    cluster: as the GKE API describes it (name, location, endpoint, masterAuth …); params: the
    options project, auth_kind, service_account_file, service_account_contents, access_token;
    endpoint: one of ENDPOINTS; keep: whether a secret that is in no file and no variable is kept
    (see `keep_secret`), without which it cannot be used; lasting: whether it is kept beyond the
    run of Ansible. Each process that uses the kubeconfig asks for a token of its own, and again
    when that one ends.

    It has no apiVersion and kind (see `file_of`): kubernetes.core masks each text of a kubeconfig
    in all that its modules return, and `v1` is in all of them.

    Raises AccessError.
    """
    environ = os.environ if environ is None else environ
    name = context_name(str(params["project"]), str(cluster["location"]), str(cluster["name"]))
    login = _login(params, environ, keep=keep, lasting=lasting)
    user = {
        "apiVersion": credential.API_VERSION,
        "command": sys.executable,
        # One word, since a short one such as "-c" would be masked wherever it occurs.
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
    """Return the kubeconfig as a file has it."""
    return {"apiVersion": "v1", "kind": "Config", **kubeconfig}


def program() -> str:
    """Return the text of google.credential, which Python finds in an Ansible module's archive."""
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
        # Its certificate is of a public authority.
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
        if keep:
            return str(keep_secret(secret, environ, lasting=lasting))
        return str(_path_of(secret, environ, lasting=lasting))

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
    # A proxy's password is a secret; such a proxy has to be in the environment of all tasks.
    login["environment"] = {key: value for key, value in way.items() if not _has_login(value)}
    return login


def _has_login(value: str) -> bool:
    return "://" in value and "@" in urlsplit(value).netloc


def _inherited(params: Mapping[str, Any], option: str, environ: Mapping[str, str]) -> bool:
    """Return whether an option's value is that of its variable, which the login sees as well."""
    return _text(params[option]) == _text(environ.get(f"GCP_{option.upper()}"))


def _text(value: Any) -> str:
    """Return a key as text: Ansible may have read its JSON and written it anew."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def private_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder that only this user can read, for secrets given as variables.

    It is in XDG_RUNTIME_DIR, else in memory (/dev/shm), else among the temporary files.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is checked to be the user's alone
    places = [environ.get("XDG_RUNTIME_DIR") or "", str(memory), tempfile.gettempdir()]
    for place in filter(None, places):
        if os.access(place, os.W_OK | os.X_OK):
            return Path(place) / f"docker-ml-api-{os.getuid()}"
    raise AccessError(
        "There is no folder for the login's secret: name the key's file with "
        "service_account_file, or export GCP_ACCESS_TOKEN or GCP_SERVICE_ACCOUNT_CONTENTS."
    )


def _path_of(secret: str, environ: Mapping[str, str], *, lasting: bool) -> Path:
    folder, run = private_folder(environ), environ.get(RUN)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return (folder if lasting or not run else folder / f"{_OF_RUN}{run}") / f"google-{digest[:16]}"


def keep_secret(secret: str, environ: Mapping[str, str], *, lasting: bool = False) -> Path:
    """Keep a secret in a file of mode 0600 and return its path.

    lasting: until `forget_secrets`; else until the run of Ansible that RUN names ends, which
    calls `forget_run`.
    """
    folder = private_folder(environ)
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    found = folder.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) != _PRIVATE
    ):
        raise AccessError(
            f"{folder} is not a folder of yours with mode 0700: remove it, since the login's "
            "secret is kept there."
        )
    path = _path_of(secret, environ, lasting=lasting)
    path.parent.mkdir(mode=_PRIVATE, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secret)
    Path(temporary).replace(path)
    return path


def forget_secrets(environ: Mapping[str, str]) -> list[str]:
    """Remove the lasting secrets, and their folder; return the paths of what was removed."""
    removed = []
    folder = _own_folder(environ)
    if folder:
        for path in sorted(folder.glob("google-*")):
            path.unlink(missing_ok=True)
            removed.append(str(path))
        _remove_if_empty(folder)
    return removed


def forget_run(environ: Mapping[str, str]) -> None:
    """Remove the secrets of the run that RUN names, and of runs that were killed."""
    folder = _own_folder(environ)
    if folder:
        for kept in folder.glob(f"{_OF_RUN}*"):
            run = kept.name.removeprefix(_OF_RUN)
            if run == environ.get(RUN) or not _is_alive(run):
                shutil.rmtree(kept, ignore_errors=True)
        _remove_if_empty(folder)


def _own_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder of secrets if it is there, and this user's."""
    folder = private_folder(environ)
    own = folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    return folder if own else None


def _remove_if_empty(folder: Path) -> None:
    # Another run may keep something there just now.
    with contextlib.suppress(OSError):
        folder.rmdir()


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
