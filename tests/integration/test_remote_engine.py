"""The real site.yml with another machine's engine: by SSH, and by TLS.

The engine is a second dockerd, which this machine's clients do not find by default.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import real_registry, remote_engine
from support.real_engine import BASE_IMAGES_CACHE
from support.site_yml import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.ansible_run import Run

# A client that does not use the inventory's engine finds no engine.
ASTRAY = {"DOCKER_HOST": "unix:///nonexistent.sock"}


@dataclass
class Machine:
    """Another machine with an engine and an sshd, and the apps on this machine."""

    engine: remote_engine.Engine
    sshd: remote_engine.Sshd
    site: Site

    def by_ssh(self, **others: Any) -> dict[str, Any]:
        """Return the inventory's variables for SSH."""
        return {
            "docker_engine": self.sshd.url,
            "docker_engine_ssh_args": self.sshd.arguments(),
            **self._common,
        } | others

    def by_tls(self, **others: Any) -> dict[str, Any]:
        """Return the inventory's variables for TLS."""
        return {
            "docker_engine": self.engine.url,
            "docker_engine_tls": str(self.engine.tls),
            "container_bind_address": remote_engine.TLS_ADDRESS,
            **self._common,
        } | others

    @property
    def _common(self) -> dict[str, Any]:
        return {
            "base_images_repository": f"{self.site.prefix}base",
            "base_images_source": "bootstrap",
            "base_images_cache": str(BASE_IMAGES_CACHE),
        }

    def run(self, *arguments: str, **variables: Any) -> Run:
        """Run site.yml."""
        self.site.set(**variables)
        return self.site.run(*arguments, **ASTRAY)

    def state(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the engine's containers and images."""
        return self.engine.containers(), self.engine.images()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("remote")
    with (
        remote_engine.engine(folder / "engine") as engine,
        remote_engine.sshd(folder / "sshd", DOCKER_HOST=f"unix://{engine.socket}") as sshd,
    ):
        (folder / "site").mkdir()
        site = Site(folder / "site", f"it{uuid.uuid4().hex[:8]}-")
        yield Machine(engine, sshd, site)
        # This machine's own engine was not used.
        assert site.state() == {}


@pytest.fixture(scope="module")
def first(machine: Machine) -> Run:
    """The first run of everything, by SSH."""
    return machine.run(**machine.by_ssh()).ok()


def checked(run: Run) -> list[str]:
    """Return the checks that the last stage reports."""
    (said,) = [item["msg"] for name, item in run.items if name.endswith("Say what was checked")]
    lines: list[str] = said["checked"]
    return lines


def to_try(run: Run) -> list[str]:
    """Return the commands that the last stage suggests."""
    (said,) = [item["msg"] for name, item in run.items if name.endswith("Say what was checked")]
    lines: list[str] = said["try"]
    return lines


def test_all_by_ssh(machine: Machine, first: Run) -> None:
    prefix, (hello, api) = machine.site.prefix, machine.site.ports

    assert {f"{prefix}hello-app", f"{prefix}test-api"} == set(machine.engine.containers())
    assert {
        f"{prefix}hello-app:v1",
        f"{prefix}diabetes:v1",
        *(f"{prefix}base/{name}:base" for name in ("golang", "python", "runtime")),
    } <= set(machine.engine.images())
    # Only the machine itself can access the apps, so the checks ran there.
    assert [line.split(" answered ")[0] for line in checked(first)] == [
        f"http://127.0.0.1:{hello}/",
        f"http://127.0.0.1:{api}/isAlive",
        f"http://127.0.0.1:{api}/prediction/?f=0.05",
    ]
    (leads, *commands) = to_try(first)
    assert leads.startswith("ssh -N ")
    assert f" -L {api}:127.0.0.1:{api} -p {machine.sshd.port} " in leads
    assert leads.endswith(f" {machine.sshd.user}@{remote_engine.SSH_ADDRESS}")
    assert f"curl http://localhost:{api}/isAlive" in commands
    # One login for all clients of the engine, and one for the checks.
    assert machine.sshd.logins() == 2


@pytest.mark.usefixtures("first")
def test_a_second_run_by_ssh_changes_nothing(machine: Machine) -> None:
    before = machine.state()

    assert machine.run(**machine.by_ssh()).ok().changed == []
    assert machine.run("--check", **machine.by_ssh()).ok().changed == []
    assert machine.state() == before


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[real_registry.Registry]:
    """A registry that requires a login, to which the other machine's engine pushes."""
    with real_registry.running(tmp_path / "registry") as running:
        yield running


@pytest.mark.usefixtures("first")
def test_all_by_tls(machine: Machine, registry: real_registry.Registry) -> None:
    prefix = machine.site.prefix
    variables = machine.by_tls(
        image_registry=f"{registry.host}/team",
        image_registry_username=real_registry.USERNAME,
        image_registry_password=real_registry.PASSWORD,
    )
    # One image to import and one to build, by TLS as well.
    machine.engine.cli("rmi", f"{prefix}base/runtime:base")
    main = machine.site.folder / "hello-world/main.go"
    main.write_text(main.read_text(encoding="utf-8") + "// Another.\n", encoding="utf-8")

    run = machine.run(**variables).ok()

    imported = [
        item["item"]["reference"]
        for name, item in run.items
        if name.endswith("Import the images") and item.get("changed")
    ]
    assert imported == [f"{prefix}base/runtime:base"]
    assert f"image : Build {prefix}hello-app:v1" in run.changed
    assert f"image : Build {prefix}diabetes:v1" not in run.changed
    assert {f"{prefix}hello-app", f"{prefix}test-api"} == set(machine.engine.containers())
    asked = f"http://{remote_engine.TLS_ADDRESS}:{machine.site.ports[1]}/isAlive"
    assert [line for line in checked(run) if line.startswith(f"{asked} answered true")]
    assert f"curl {asked}" in to_try(run)
    assert f"PUT /v2/team/{prefix}diabetes/manifests/v1" in registry.writes()

    pushed = registry.writes()
    assert machine.run(**variables).ok().changed == []
    assert registry.writes() == pushed


@pytest.mark.usefixtures("first")
def test_prune_on_that_engine_alone(machine: Machine) -> None:
    machine.engine.cli("tag", f"{machine.site.prefix}base/runtime:base", "keep:1")
    label = "app.kubernetes.io/managed-by=docker-ml-api"
    stale = machine.engine.cli(
        *("create", f"--label={label}", "--label=docker-ml-api.container=old", "--name=stale"),
        f"{machine.site.prefix}hello-app:v1",
    )

    run = machine.run("--tags", "prune", **machine.by_ssh()).ok()

    assert run.changed
    assert stale not in machine.engine.cli("ps", "--all", "--quiet", "--no-trunc").split()
    assert f"{machine.site.prefix}test-api" in machine.engine.containers()


def refusals(machine: Machine) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Return wrong inputs by name: the variables, and words of the message."""
    ssh, tls = machine.by_ssh, machine.by_tls
    arguments, port = machine.sshd.arguments, machine.sshd.port
    closed = f"ssh://{machine.sshd.user}@{remote_engine.SSH_ADDRESS}:1"
    return {
        "no form": (ssh(docker_engine="http://server"), ["http://server", "ssh://USER@HOST"]),
        "a password": (ssh(docker_engine="ssh://ada:s3cret@server"), ["password", "key"]),
        "wrong key": (
            ssh(docker_engine_ssh_args=arguments("stranger")),
            ["Permission denied", "docker_engine_ssh_args='-i FILE'"],
        ),
        "unknown machine": (
            ssh(docker_engine_ssh_args=arguments(known="no_hosts")),
            ["known_hosts", f"ssh -p {port} {machine.sshd.user}@{remote_engine.SSH_ADDRESS}"],
        ),
        "another machine": (
            ssh(docker_engine_ssh_args=arguments(known="changed_hosts")),
            ["not the known one", f"ssh-keygen -R '[{remote_engine.SSH_ADDRESS}]:{port}'"],
        ),
        "closed ssh port": (ssh(docker_engine=closed), ["nothing listens there", "port"]),
        "arguments of ssh": (ssh(docker_engine_ssh_args="-i 'key"), ["docker_engine_ssh_args"]),
        "closed tcp port": (
            tls(docker_engine=f"tcp://{remote_engine.TLS_ADDRESS}:1"),
            ["nothing listens there", "port"],
        ),
        "no TLS there": (
            tls(docker_engine=f"tcp://{remote_engine.SSH_ADDRESS}:{port}"),
            ["does not speak TLS"],
        ),
        "no certificates": (tls(docker_engine_tls=""), ["TLS only", "docker_engine_tls", "ssh://"]),
        "no such folder": (
            tls(docker_engine_tls="/nonexistent"),
            ["/nonexistent/ca.pem", "docker_engine_tls"],
        ),
        "a stranger's certificate": (
            tls(docker_engine_tls=str(machine.engine.folder / "stranger")),
            ["does not accept", "docker_engine_tls_cert"],
        ),
        "a stranger as authority": (
            tls(docker_engine_tls=str(machine.engine.folder / "mistrusting")),
            ["certificate is refused", "docker_engine_tls_ca"],
        ),
        "another's key": (
            tls(docker_engine_tls_key=str(machine.engine.folder / "stranger/key.pem")),
            ["are no pair", "docker_engine_tls_key"],
        ),
        "out of reach": (
            tls(container_bind_address="127.0.0.1"),
            ["container_bind_address is 127.0.0.1", "an address of that machine"],
        ),
        "the engine's options": (
            ssh(docker_host_daemon_options={"debug": True}),
            ["docker_host_daemon_options", "docker_engine"],
        ),
        "the engine's users": (ssh(docker_host_users=["nobody"]), ["docker_host_users"]),
    }


WRONG = [
    *("no form", "a password", "wrong key", "unknown machine", "another machine"),
    *("closed ssh port", "arguments of ssh", "closed tcp port", "no TLS there", "no certificates"),
    *("no such folder", "a stranger's certificate", "a stranger as authority", "another's key"),
    *("out of reach", "the engine's options", "the engine's users"),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_one_sentence_and_nothing_changed(machine: Machine, wrong: str) -> None:
    before = machine.state()
    variables, words = refusals(machine)[wrong]

    run = machine.run(**variables)

    assert run.status != 0
    assert run.changed == []
    assert machine.state() == before
    for word in ["docker_engine", *words]:
        assert word in run.failure, run.failure
    assert "s3cret" not in run.text
    assert len(run.failure) < 600, run.failure


@pytest.mark.usefixtures("first")
def test_teardown_by_ssh_leaves_nothing(machine: Machine) -> None:
    run = machine.run("--tags", "teardown", **machine.by_ssh(teardown_images=True)).ok()

    assert run.changed
    assert machine.engine.containers() == {}
    assert f"{machine.site.prefix}diabetes:v1" not in machine.engine.images()
    again = machine.run("--tags", "teardown", **machine.by_ssh(teardown_images=True))
    assert again.ok().changed == []


def test_an_engine_at_a_socket_of_this_machine(machine: Machine) -> None:
    run = machine.run("--tags", "docker", docker_engine=f"unix://{machine.engine.socket}").ok()

    assert run.changed == []
    assert run.facts["docker_host_engine"]["local"]
    assert run.facts["docker_host_engine"]["data_root"] == str(machine.engine.data)

    run = machine.run("--tags", "docker", docker_engine="unix:///nonexistent.sock")

    assert run.status != 0
    assert "docker_engine names unix:///nonexistent.sock" in run.failure


def test_no_tunnel_outlives_its_run(machine: Machine) -> None:
    run = machine.run("--tags", "docker", **machine.by_ssh()).ok()

    host = run.facts["docker_host_engine"]["environment"]["DOCKER_HOST"]
    folder = Path(host.removeprefix("unix://")).parent
    assert folder.name.startswith("docker-engine-")
    remote_engine.wait_until(lambda: not folder.exists())
