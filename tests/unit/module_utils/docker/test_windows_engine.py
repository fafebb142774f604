"""Evaluation of the output of Docker clients on a Windows machine."""

import json

import pytest
from ansible.module_utils.docker_ml_api.docker import engine as docker_engine
from ansible.module_utils.docker_ml_api.docker import windows_engine

DESKTOP = r"C:\Program Files\Docker\Docker\resources\bin\docker.exe"
DOWN = (
    "error during connect: open //./pipe/docker_engine: The system cannot find the file specified."
)
INFO = json.dumps(
    {
        "ClientInfo": {"Plugins": [{"Name": "buildx"}]},
        "DockerRootDir": "/var/lib/docker",
    }
)


def missing(*command):
    """Return win_command's result for a program that does not exist."""
    return {"item": list(command), "rc": 2, "msg": "Failed to run: The system cannot find the file"}


def down(*command, error=DOWN):
    said = json.dumps({"Client": {"Version": "28.5.1"}, "Server": None})
    return {"item": list(command), "rc": 1, "stdout": f"{said}\r\n", "stderr": f"{error}\r\n"}


def up(*command, platform="Docker Desktop 4.50.0 (209931)", os="linux"):
    said = {
        "Client": {"Version": "28.5.1"},
        "Server": {"Version": "28.5.2", "Os": os, "Platform": {"Name": platform}},
    }
    return {"item": list(command), "rc": 0, "stdout": json.dumps(said), "stderr": ""}


CASES = {
    "nothing": ([missing("docker"), missing(DESKTOP)], [], False, windows_engine.NO_CLIENT),
    "nobody was asked": ([], [], False, windows_engine.NO_CLIENT),
    "a client alone": ([missing("docker"), down(DESKTOP)], [DESKTOP], False, DOWN),
    "on the path": ([up("docker")], ["docker"], True, ""),
    "not on the path": ([missing("docker"), up(DESKTOP)], [DESKTOP], True, ""),
    "the one that answers": ([down("docker"), up(DESKTOP)], [DESKTOP], True, ""),
    "in a distribution": (
        [down("docker"), up("wsl.exe", "--exec", "docker", platform="Docker Engine")],
        ["wsl.exe", "--exec", "docker"],
        True,
        "",
    ),
}


@pytest.mark.parametrize(("asked", "command", "answers", "error"), CASES.values(), ids=CASES)
def test_which_client_is_taken(asked, command, answers, error):
    engine = windows_engine.judge(asked, INFO if answers else "")

    assert engine["command"] == command
    assert engine["cli"] == (command[0] if command else "")
    assert engine["answers"] is answers
    assert engine["error"] == error
    assert engine["buildkit"] is answers
    assert engine["server_version"] == ("28.5.2" if answers else "")
    assert engine["os"] == ("linux" if answers else "")


@pytest.mark.parametrize(
    ("result", "desktop"),
    [
        (up("docker"), True),
        (up("docker", platform="Rancher Desktop"), False),
        (up("docker", platform="Docker Engine - Community"), False),
        (down("docker"), False),
        (missing("docker"), False),
    ],
)
def test_whose_engine_it_is(result, desktop):
    assert windows_engine.judge([result], "")["desktop"] is desktop


def test_windows_containers_are_seen():
    assert windows_engine.judge([up("docker", os="windows")], INFO)["os"] == "windows"


def test_who_may_not_use_it_is_told_apart():
    error = "error during connect: open //./pipe/docker_engine: Access is denied."

    assert windows_engine.judge([down("docker", error=error)], "")["permission_denied"]
    assert not windows_engine.judge([down("docker")], "")["permission_denied"]


def test_it_is_said_as_of_linux(tmp_path):
    """The fact has all keys that it has on Linux, as the rest of a run needs them."""
    of_linux = docker_engine.inspect([], 1, str(tmp_path), {})

    assert set(of_linux) <= set(windows_engine.judge([], ""))


def test_a_listing_is_in_the_words_of_the_api():
    container = {
        "Id": "c1",
        "Name": "/test-api",
        "Image": "sha256:i1",
        "State": {"Status": "exited"},
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n0"}}},
    }
    inspected = {
        "container": json.dumps([container, container | {"Id": "c2", "NetworkSettings": {}}]),
        "image": json.dumps([{"Id": "sha256:i1", "RepoTags": None, "Parent": "sha256:i0"}]),
        "network": json.dumps([{"Id": "n1", "Name": "net", "Driver": "bridge"}]),
    }
    usage = json.dumps(
        {"BuildCache": [{"ID": "b1", "InUse": "false"}, {"ID": "b2", "InUse": "true"}]}
    )

    listed = windows_engine.listing(inspected, ["c2"], f"{usage}\r\n")

    assert [one["Id"] for one in listed["used"]["containers"]] == ["c1", "c2"]
    assert listed["used"]["containers"][0] == {
        "Id": "c1",
        "Names": ["/test-api"],
        "State": "exited",
        "ImageID": "sha256:i1",
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n0"}}},
    }
    assert listed["found"] == {
        "containers": [listed["used"]["containers"][1]],
        "images": [{"Id": "sha256:i1", "RepoTags": [], "ParentId": "sha256:i0"}],
        "networks": [{"Id": "n1", "Name": "net"}],
        "disk_usage": {"BuildCache": [{"ID": "b1", "InUse": False}, {"ID": "b2", "InUse": True}]},
    }


def test_an_empty_engine_has_nothing():
    listed = windows_engine.listing({}, [], "")

    assert listed["found"]["containers"] == []
    assert listed["found"]["disk_usage"] == {"BuildCache": []}
