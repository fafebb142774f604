"""Role docker_host, state pruned, restricted to labels: on the real engine.

On Linux directly; on Windows call-level, with a docker command that uses the real engine (see
windows_with_engine). Both must remove the same objects.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.ansible_run import run_playbook
from support.real_engine import Engine
from support.windows_double import catalogue
from support.windows_double.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

LABEL = "docker-ml-api.test-prune"
MADE_FOR_US = "docker-ml-api.test-prune-container"


class Scene:
    """Objects on the engine: unused ones with our labels, and others, which must stay."""

    def __init__(self, folder: Path, platform: str) -> None:
        self.folder = folder
        self.platform = platform
        self.host = {"linux": self.linux, "windows": self.windows}[platform]()
        self.engine = Engine()
        self.labels = {LABEL: self.engine.prefix}
        images = {"unused": self.labels, "stranger": {}, "kept": self.labels}
        self.ids = {
            name: self.engine.make_image(self.engine.name(f"{name}:1"), labels, name)
            for name, labels in images.items()
        }
        for name in ("unused", "kept"):
            self.engine.client.api.tag(self.engine.name(f"{name}:1"), self.engine.name(name), "2")
        create = self.engine.client.api.create_container
        create(
            self.engine.name("unused:1"),
            ["/content"],
            name=self.engine.name("gone"),
            labels={**self.labels, MADE_FOR_US: ""},
        )
        # Created manually from one of our images: it has only the labels of the image.
        create(self.engine.name("kept:1"), ["/content"], name=self.engine.name("by-hand"))
        # A stopped container from one of our images, with somebody else's label.
        create(
            self.engine.name("kept:1"),
            ["/content"],
            name=self.engine.name("stays"),
            labels={LABEL: "another"},
        )
        for name, labels in (("net", self.labels), ("other-net", {})):
            self.engine.client.networks.create(self.engine.name(name), labels=labels)

    def linux(self) -> dict[str, str]:
        """Return the variables of this machine."""
        return {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}

    def windows(self) -> dict[str, str]:
        """Return the variables of a machine with Docker Desktop."""
        World(self.folder / "world").add(catalogue.make("machine", "has-desktop"))
        return {
            "ansible_connection": "windows_with_engine",
            "ansible_user": "ada",
            "windows_double_world": str(self.folder / "world"),
            "docker_host_platform": "windows",
        }

    def run(self, *options: str) -> tuple[list[str], str]:
        """Prune; return the tasks that changed something, and the whole output."""
        inventory = {"all": {"hosts": {"machine": self.host}}}
        role = {
            "role": "docker_host",
            "vars": {
                "docker_host_state": "pruned",
                "docker_host_prune_labels": self.labels,
                "docker_host_prune_container_label": MADE_FOR_US,
            },
        }
        for name, content in (
            ("inventory.yml", inventory),
            ("play.yml", [{"hosts": "machine", "roles": [role]}]),
        ):
            (self.folder / name).write_text(json.dumps(content))
        run = run_playbook(
            f"--inventory={self.folder}/inventory.yml",
            self.folder / "play.yml",
            *options,
        ).ok()
        return run.changed, run.text

    def left(self) -> set[str]:
        """Return the names of the scene's objects that are on the engine."""
        client, prefix = self.engine.client, self.engine.prefix
        tags = [tag for image in self.engine.listed_images() for tag in image["RepoTags"] or []]
        names = [c["Names"][0].removeprefix("/") for c in client.api.containers(all=True)]
        networks = [network.name or "" for network in client.networks.list()]
        return {n.removeprefix(f"{prefix}-") for n in tags + names + networks if prefix in n}

    def remove(self) -> None:
        for network in self.engine.client.networks.list():
            if self.engine.prefix in (network.name or ""):
                network.remove()
        self.engine.remove()


@pytest.fixture(params=["linux", "windows"])
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    made = Scene(tmp_path, request.param)
    try:
        yield made
    finally:
        made.remove()


OTHERS = {"stranger:1", "kept:1", "kept:2", "stays", "by-hand", "other-net"}
OURS = {"unused:1", "unused:2", "gone", "net"}
REMOVED = {
    "linux": [
        "docker_host : Remove stopped containers and unused networks",
        # One image, by its two names.
        *["docker_host : Remove unused images"] * 2,
    ],
    # One command for each of OURS.
    "windows": ["docker_host : Remove stopped containers, unused networks and unused images"] * 4,
}


def test_prune(scene: Scene) -> None:
    assert scene.left() == OTHERS | OURS

    changed, said = scene.run("--check")
    assert changed == ["docker_host : Say what is unused"]
    assert all(f"{scene.engine.prefix}-{name}" in said for name in OURS)
    assert scene.left() == OTHERS | OURS

    changed, said = scene.run()
    assert changed == REMOVED[scene.platform]
    assert "CONTAINER ID" in said
    assert "REPOSITORY" in said
    # The image of a remaining container keeps both names, including the container's own.
    assert scene.left() == OTHERS

    assert scene.run()[0] == []
    assert scene.run("--check")[0] == []


@pytest.mark.parametrize("scene", ["windows"], indirect=True)
def test_windows_others_remove_at_the_same_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = {
        "inspect": ["container", "rm", scene.engine.name("stays")],
        "rm": ["network", "rm", scene.engine.name("net")],
    }
    monkeypatch.setenv("MEANWHILE", json.dumps(meanwhile))
    changed, _ = scene.run()
    assert changed == REMOVED["windows"][1:]
    assert scene.left() == OTHERS - {"stays"}


def test_a_running_container_keeps_its_network(scene: Scene) -> None:
    engine = scene.engine
    network = engine.client.networks.get(engine.name("net"))
    busybox = Path("/bin/busybox").read_bytes()
    engine.make_image(engine.name("sleeper:1"), scene.labels, files={"busybox": busybox})
    engine.client.containers.run(
        engine.name("sleeper:1"),
        ["/busybox", "sleep", "300"],
        name=engine.name("sleeper"),
        network=network.name,
        detach=True,
        labels=scene.labels,
    )
    scene.run()
    assert {"sleeper", "sleeper:1", "net"} <= scene.left()
    assert scene.run("--check")[0] == []
    engine.client.containers.get(engine.name("sleeper")).remove(force=True)
