"""Determines for a Windows machine what `docker.engine` determines for a Linux host.

This module runs no commands. Ansible's modules for Windows ran them, and their results are
evaluated by the same functions as those of a Linux host.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.docker import engine as docker_engine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_CLIENT = "There is no docker command on this host."


def answer(result: Mapping[str, Any]) -> docker_engine.Answer:
    """Return the answer of a command from the result of the module that ran it."""
    status = result.get("rc")
    return docker_engine.Answer(
        status=None if status is None else int(status),
        out=str(result.get("stdout") or ""),
        err=str(result.get("stderr") or ""),
    )


def ran(result: Mapping[str, Any]) -> bool:
    """Return whether the command exists; only a command that ran has an output."""
    return "stdout" in result


def is_desktop(version: str) -> bool:
    """Return whether the output of `docker version` is that of Docker Desktop's engine."""
    server = docker_engine.parse_json(version).get("Server") or {}
    return str((server.get("Platform") or {}).get("Name", "")).startswith("Docker Desktop")


def judge(asked: Sequence[Mapping[str, Any]], info: str) -> dict[str, Any]:
    """Return the engine from the output of `docker version` and `docker info`.

    asked: one result for each client, with its command as `item`. The first client that
        reaches an engine is used; otherwise the first one that exists.
    info: the output of `docker info` of that client.
    """
    there = [result for result in asked if ran(result)]
    reached = [result for result in there if result.get("rc") == 0]
    chosen = next(iter(reached or there), None)
    if chosen is None:
        return {**_complete(docker_engine.no_engine(NO_CLIENT), []), "desktop": False}
    command = [str(word) for word in chosen["item"]]

    def recorded(argv: list[str]) -> docker_engine.Answer:
        return answer(chosen) if argv[1] == "version" else docker_engine.Answer(0, info, "")

    engine = docker_engine.ask_client(command[0], recorded)
    return {**_complete(engine, command), "desktop": is_desktop(answer(chosen).out)}


def _complete(engine: dict[str, Any], command: list[str]) -> dict[str, Any]:
    """Add the fields that the rest of a run expects of any engine."""
    return {
        **engine,
        "cli": command[0] if command else "",
        "command": command,
        "local": True,
        "become": False,
        "permission_denied": engine["permission_denied"]
        or "access is denied" in engine["error"].lower(),
        # The folder of Docker Desktop is in a virtual machine.
        "data_root_free_mb": None,
        "dockerd": "",
        "service_manager": "none",
        # Commands run on the machine itself, so no variables for another engine are needed.
        "environment": {},
        "uid": None,
        "python": "",
        "requests": True,
    }


def listing(
    inspected: Mapping[str, str], removable: Sequence[str], disk_usage: str
) -> dict[str, dict[str, Any]]:
    """Return the objects on the engine, in the format of its API's lists.

    inspected: the output of `docker container inspect`, `image inspect` and `network inspect`.
    removable: the containers that may be removed, by their full IDs.
    disk_usage: the output of `docker system df --verbose` as JSON.
    """
    containers = [_container(one) for one in _objects(inspected.get("container", ""))]
    images = _objects(inspected.get("image", ""))
    networks = _objects(inspected.get("network", ""))
    cache = docker_engine.parse_json(disk_usage).get("BuildCache") or []
    return {
        "found": {
            "containers": [one for one in containers if one["Id"] in removable],
            "images": [_image(one) for one in images],
            "networks": [{"Id": one["Id"], "Name": one["Name"]} for one in networks],
            "disk_usage": {"BuildCache": [_cache(one) for one in cache]},
        },
        "used": {"containers": containers},
    }


def _objects(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text) if text.strip() else []
    return found


def _container(told: Mapping[str, Any]) -> dict[str, Any]:
    networks = (told.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "Id": told["Id"],
        "Names": [told["Name"]],
        "State": told["State"]["Status"],
        "ImageID": told["Image"],
        "NetworkSettings": {"Networks": networks},
    }


def _image(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Id": told["Id"],
        "RepoTags": told.get("RepoTags") or [],
        "ParentId": told.get("Parent") or "",
    }


def _cache(told: Mapping[str, Any]) -> dict[str, Any]:
    # The command prints booleans as text.
    return {"ID": told["ID"], "InUse": str(told.get("InUse", "")).lower() == "true"}
