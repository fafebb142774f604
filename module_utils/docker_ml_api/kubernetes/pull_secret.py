"""The Secret with which a cluster pulls images from a registry that requires a login."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type
_CONTENT = ".dockerconfigjson"
_DOCKER_HUB = "docker.io"
# The key of Docker Hub's credentials for Docker's client and the kubelet.
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"


def registry_key(registry: str) -> str:
    """Return the key of a registry, with or without a path, in the auths of a Docker config."""
    host = registry.partition("/")[0]
    return _DOCKER_HUB_KEY if host == _DOCKER_HUB else host


def holds(secret: Mapping[str, Any], registry: str, username: str, password: str) -> bool:
    """Return whether the live Secret has the right type and contains only this login."""
    return secret.get("type") == SECRET_TYPE and _logins(secret) == {
        registry_key(registry): (username, password)
    }


def _logins(secret: Mapping[str, Any]) -> dict[str, tuple[str, str] | None]:
    """Return user and password for each key of the auths; nothing if they cannot be read."""
    try:
        content = base64.b64decode((secret.get("data") or {})[_CONTENT], validate=True)
        auths = json.loads(content)["auths"]
        return {key: _login(entry) for key, entry in auths.items()}
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        return {}


def _login(entry: Mapping[str, str]) -> tuple[str, str]:
    if "auth" in entry:
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return username, password
    return entry["username"], entry["password"]
