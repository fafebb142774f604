"""Role docker_host on distributions that are not available here: call-level.

The real role and Ansible's real action plugins run against hosts that do not exist (see
recorded_host). The tests check which modules are called, with which packages and which
service, and that each argument is documented by its module.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from support.ansible_run import run_playbook

if TYPE_CHECKING:
    from pathlib import Path

REPOSITORY = "https://download.docker.com/linux"
DOCKER_CE = ["docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin"]


class Case(NamedTuple):
    """A host, and the expected calls on it."""

    name: str
    distribution: str
    version: str
    family: str
    manager: str
    service: str
    packages: list[str]
    requests: str
    source: str = "distribution"
    repository: str = ""
    service_manager: str = "systemd"
    # The packages of the engine, and of the client that can build.
    engine: str = "docker"
    client: str = "docker-buildx"
    installed: tuple[str, ...] = ()
    running: bool = False


def ce(name: str, distribution: str, version: str, manager: str, path: str) -> Case:
    """A host of the RedHat family with Docker's own packages."""
    packages = [*DOCKER_CE, "iproute"]
    return Case(
        name,
        distribution,
        version,
        "RedHat",
        manager,
        "systemd",
        packages,
        "python3-requests",
        source="docker",
        repository=f"{REPOSITORY}/{path}/$releasever/$basearch/stable",
        engine="docker-ce",
        client="docker-buildx-plugin",
    )


APT_BASE = ["apparmor", "ca-certificates", "iproute2", "iptables"]
BUILDX = "docker-buildx"
DEBIAN_13 = ("Debian", "13.1", "Debian", "apt")
FEDORA = ("Fedora", "42", "RedHat", "dnf5")
LEAP = ("openSUSE Leap", "15.6", "Suse", "zypper")
ARCH = ("Archlinux", "rolling", "Archlinux", "pacman")
CASES = [
    Case(
        "fedora",
        "Fedora",
        "42",
        "RedHat",
        "dnf5",
        "systemd",
        ["moby-engine", "docker-cli", "docker-buildx", "iproute"],
        "python3-requests",
        engine="moby-engine",
    ),
    ce("fedora-ce", "Fedora", "42", "dnf5", "fedora"),
    ce("rhel", "RedHat", "9.5", "dnf", "rhel"),
    ce("rocky", "Rocky", "9.5", "dnf", "centos"),
    ce("alma", "AlmaLinux", "10.0", "dnf", "centos"),
    ce("centos", "CentOS", "9", "dnf", "centos"),
    *[
        Case(
            name,
            distribution,
            version,
            "Suse",
            "zypper",
            "systemd",
            ["docker", "docker-buildx", "iproute2"],
            "python3-requests",
        )
        for name, distribution, version in (
            ("leap", "openSUSE Leap", "15.6"),
            ("tumbleweed", "openSUSE Tumbleweed", "20260101"),
            ("sles", "SLES", "15.7"),
        )
    ],
    Case(
        "alpine",
        "Alpine",
        "3.22.1",
        "Alpine",
        "apk",
        "service",
        ["docker", "docker-cli", "docker-cli-buildx", "iproute2"],
        "py3-requests",
        service_manager="openrc",
        client="docker-cli-buildx",
    ),
    Case(
        "alpine-no-init",
        "Alpine",
        "3.22.1",
        "Alpine",
        "apk",
        "",
        ["docker", "docker-cli", "docker-cli-buildx", "iproute2"],
        "py3-requests",
        service_manager="none",
        client="docker-cli-buildx",
    ),
    Case(
        "arch",
        "Archlinux",
        "rolling",
        "Archlinux",
        "pacman",
        "systemd",
        ["docker", "docker-buildx", "iproute2"],
        "python-requests",
    ),
    Case(
        "ubuntu",
        "Ubuntu",
        "24.04",
        "Debian",
        "apt",
        "systemd",
        ["docker.io", "docker-buildx", *APT_BASE],
        "python3-requests",
        engine="docker.io",
    ),
    Case(
        "ubuntu-ce",
        "Ubuntu",
        "24.04",
        "Debian",
        "apt",
        "systemd",
        [*DOCKER_CE, *APT_BASE],
        "python3-requests",
        source="docker",
        repository=f"{REPOSITORY}/ubuntu",
        engine="docker-ce",
        client="docker-buildx-plugin",
    ),
    # Docker's own engine is installed but does not run: it is not replaced by another.
    Case(
        "debian-stopped-ce",
        "Debian",
        "13.1",
        "Debian",
        "apt",
        "systemd",
        [*DOCKER_CE, *APT_BASE],
        "python3-requests",
        engine="docker-ce",
        client="docker-buildx-plugin",
        installed=("docker-ce",),
    ),
    # An engine that is not from packages runs; only a client that can build is missing.
    *[
        Case(
            f"{name}-client",
            distribution,
            version,
            family,
            manager,
            "",
            packages,
            "python-requests" if manager == "pacman" else "python3-requests",
            source=source,
            client=client,
            running=True,
        )
        for name, distribution, version, family, manager, source, packages, client in (
            ("debian", *DEBIAN_13, "distribution", ["docker-cli", "docker-buildx"], BUILDX),
            ("fedora", *FEDORA, "distribution", ["docker-cli", "docker-buildx"], BUILDX),
            ("leap", *LEAP, "distribution", ["docker-buildx"], BUILDX),
            ("arch", *ARCH, "distribution", ["docker-buildx"], BUILDX),
        )
    ],
]
# Hosts that the role refuses, with part of the message.
REFUSED = [
    (("rocky-own", "Rocky", "9.5", "RedHat"), "distribution", "set it to docker."),
    (("leap-ce", "openSUSE Leap", "15.6", "Suse"), "docker", "set it to distribution."),
    (("centos-7", "CentOS", "7.9", "RedHat"), "docker", "no Docker engine on CentOS 7.9"),
    (("mint", "Linux Mint", "22", "Debian"), "distribution", "no Docker engine on Linux Mint 22"),
    (("ubuntu-old", "Ubuntu", "20.04", "Debian"), "docker", "no Docker engine on Ubuntu 20.04"),
    (("debian-12", "Debian", "12.9", "Debian"), "distribution", "no package with only that"),
    (("fedora-src", "Fedora", "42", "RedHat"), "snap", "must be one of: distribution, docker"),
]


class World:
    """The hosts of all cases, and the runs of the role on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, dict[str, Any]] = {}
        for case in CASES:
            self._add(case, case.source)
        for (name, distribution, version, family), source, _ in REFUSED:
            # On Debian 12 an engine runs, but no client can build.
            running = name == "debian-12"
            case = Case(name, distribution, version, family, "", "", [], "", running=running)
            self._add(case, source)

    def _add(self, case: Case, source: str) -> None:
        state = {
            "facts": {
                "distribution": case.distribution,
                "distribution_version": case.version,
                "distribution_major_version": case.version.split(".")[0],
                "distribution_release": "noble",
                "os_family": case.family,
                "pkg_mgr": case.manager,
            },
            "packages": list(case.installed),
            "installed_by": case.engine,
            "built_by": case.client,
            "requests_by": case.requests,
            "service_manager": case.service_manager,
            "running": case.running,
            "made": [],
            "calls": [],
        }
        (self.folder / f"{case.name}.json").write_text(json.dumps(state))
        self.hosts[case.name] = {"docker_host_package_source": source}

    def run(self, *options: str) -> dict[str, Any]:
        """Run the role on all hosts; return the report of the run."""
        inventory = {
            "all": {
                "hosts": self.hosts,
                "vars": {
                    "ansible_connection": "recorded_host",
                    "ansible_python_interpreter": sys.executable,
                    "ansible_remote_tmp": str(self.folder / "tmp"),
                    "recorded_host_world": str(self.folder),
                },
            }
        }
        (self.folder / "inventory.yml").write_text(json.dumps(inventory))
        play = [{"hosts": "all", "gather_facts": False, "roles": ["docker_host"]}]
        (self.folder / "play.yml").write_text(json.dumps(play))
        return run_playbook(
            f"--inventory={self.folder}/inventory.yml",
            self.folder / "play.yml",
            *options,
            "--forks=8",
        ).report

    def calls(self, name: str) -> list[dict[str, Any]]:
        """Return the calls on a host since the last call of this method."""
        path = self.folder / f"{name}.json"
        state = json.loads(path.read_text())
        calls: list[dict[str, Any]] = state["calls"]
        state["calls"] = []
        path.write_text(json.dumps(state))
        return calls


class Runs(NamedTuple):
    """A run in check mode on fresh hosts, the first run, and the second."""

    results: list[dict[str, Any]]
    calls: list[dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    world = World(tmp_path_factory.mktemp("world"))
    results, calls = [], []
    for options in (["--check"], [], []):
        results.append(world.run(*options))
        calls.append({name: world.calls(name) for name in world.hosts})
    return Runs(results, calls)


def messages(result: dict[str, Any], host: str) -> str:
    """Return all messages of a run about a host."""
    tasks = [task for play in result["plays"] for task in play["tasks"]]
    return json.dumps([task["hosts"].get(host, {}).get("msg", "") for task in tasks])


names = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@names
def test_check_mode_says_it_and_does_nothing(runs, case):
    assert runs.results[0]["stats"][case.name]["failures"] == 0
    assert runs.results[0]["stats"][case.name]["changed"] == 1
    assert [call for call in runs.calls[0][case.name] if call["changes"]] == []
    said = messages(runs.results[0], case.name)
    assert all(package in said for package in case.packages)


@names
def test_packages(runs, case):
    assert runs.results[1]["stats"][case.name]["failures"] == 0, messages(
        runs.results[1], case.name
    )
    installs = [c for c in runs.calls[1][case.name] if c["module"] == case.manager]
    assert installs[-1]["arguments"]["name"] == [*case.packages, case.requests]
    assert installs[-1]["arguments"]["state"] == "present"
    assert installs[-1]["arguments"]["update_cache"] is True


@names
def test_service(runs, case):
    called = runs.calls[1][case.name]
    services = [c for c in called if c["module"] in ("systemd", "service", "sysvinit")]
    if case.running:
        assert services == []
        return
    if not case.service:
        assert services == []
        assert ["/usr/local/sbin/docker-engine", "start"] in [
            c["arguments"].get("argv") for c in called
        ]
        return
    [service] = services
    assert service["module"] == case.service
    given = {name: service["arguments"][name] for name in ("name", "state", "enabled")}
    assert given == {"name": "docker", "state": "started", "enabled": True}
    assert called.index(service) > called.index(
        [c for c in called if c["module"] == case.manager][-1]
    )


@names
def test_repository(runs, case):
    called = runs.calls[1][case.name]
    found = [c["arguments"].get("baseurl") for c in called if c["module"] == "yum_repository"]
    keys = [c["arguments"].get("gpgkey") for c in called if c["module"] == "yum_repository"]
    fetched = [c["arguments"]["url"] for c in called if c["module"] == "get_url"]
    if not case.repository:
        assert found == fetched == []
    elif case.manager == "apt":
        assert fetched == [f"{case.repository}/gpg"]
    else:
        assert found == [case.repository]
        assert keys == [case.repository.split("/$")[0] + "/gpg"]


@names
def test_second_run_changes_nothing(runs, case):
    assert runs.results[2]["stats"][case.name]["changed"] == 0
    assert [call for call in runs.calls[2][case.name] if call["changes"]] == []


@pytest.mark.parametrize(("host", "expected"), [(one[0][0], one[2]) for one in REFUSED])
def test_refused_before_anything_is_changed(runs, host, expected):
    for result, calls in zip(runs.results, runs.calls, strict=True):
        assert result["stats"][host]["failures"] == 1
        assert expected in messages(result, host)
        assert [call for call in calls[host] if call["changes"]] == []
