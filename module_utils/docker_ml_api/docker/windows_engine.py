"""Says of a Windows machine's Docker engine what `docker_engine` says of a Linux host's.

Pure: the commands were run by Ansible's modules for Windows, and their answers are judged here
by the very functions that judge a Linux host's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.docker import engine as docker_engine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_CLIENT = "There is no docker command on this host."


def answer(result: Mapping[str, Any]) -> docker_engine.Answer:
    """What a command said, by the result of the module that ran it."""
    status = result.get("rc")
    return docker_engine.Answer(
        status=None if status is None else int(status),
        out=str(result.get("stdout") or ""),
        err=str(result.get("stderr") or ""),
    )


def ran(result: Mapping[str, Any]) -> bool:
    """Whether there is such a command: only one that ran has an output."""
    return "stdout" in result


def is_desktop(version: str) -> bool:
    """Whether the engine that answered is Docker Desktop's, by its `docker version`."""
    server = docker_engine.parse_json(version).get("Server") or {}
    return str((server.get("Platform") or {}).get("Name", "")).startswith("Docker Desktop")


def judge(asked: Sequence[Mapping[str, Any]], info: str) -> dict[str, Any]:
    """The engine, by the answers to `docker version` and the chosen client's `docker info`.

    asked: one result for each client, with its command as `item`. The first client that
    reaches an engine is taken; otherwise the first that there is.
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
    """Add what the rest of a run asks of any engine."""
    return {
        **engine,
        "cli": command[0] if command else "",
        "command": command,
        "local": True,
        "become": False,
        "permission_denied": engine["permission_denied"]
        or "access is denied" in engine["error"].lower(),
        # Docker Desktop's own folder is in a virtual machine.
        "data_root_free_mb": None,
        "dockerd": "",
        "service_manager": "none",
        # Commands run on the machine itself, where nothing leads to another one.
        "environment": {},
        "uid": None,
        "python": "",
        "requests": True,
    }


def listing(
    inspected: Mapping[str, str], removable: Sequence[str], disk_usage: str
) -> dict[str, dict[str, Any]]:
    """What is on the engine, in the words of its API's lists.

    inspected: what `docker container inspect`, `image inspect` and `network inspect` printed.
    removable: the containers that may be removed, by their full identity. disk_usage: what
    `docker system df --verbose` printed as JSON.
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
    # The command prints truth as a word.
    return {"ID": told["ID"], "InUse": str(told.get("InUse", "")).lower() == "true"}
