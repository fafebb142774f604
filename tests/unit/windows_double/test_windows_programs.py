"""What programs print and do on a machine."""

from __future__ import annotations

import json

import pytest

from support.windows_double import catalogue, programs
from support.windows_double import machine as windows
from support.windows_double.programs import NoProgramError, UnmodelledError

JSON = ["--format", "{{json .}}"]


def run(kind, *argv, environment=None):
    return programs.run(catalogue.make(kind), argv, environment or {})


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("docker version", ["docker", "version"]),
        (r'"C:\Program Files\a.exe" install "b c"', [r"C:\Program Files\a.exe", "install", "b c"]),
        ("", []),
    ],
)
def test_split(command, argv):
    assert programs.split(command) == argv


@pytest.mark.parametrize(
    ("kind", "argv", "rc", "server"),
    [
        ("has-desktop", ["docker"], 0, "28.5.1"),
        ("has-desktop", [windows.DOCKER_CLI], 0, "28.5.1"),
        ("has-stopped-desktop", ["docker.exe"], 1, None),
        ("has-rancher", ["docker"], 0, "26.1.5"),
        ("has-wsl-engine", ["wsl.exe", "--exec", "docker"], 0, "27.5.1"),
        ("has-wsl-engine", ["wsl", "-d", "Ubuntu", "--", "docker"], 0, "27.5.1"),
    ],
)
def test_docker_version(kind, argv, rc, server):
    ran = run(kind, *argv, "version", *JSON)
    assert ran.rc == rc
    assert (json.loads(ran.stdout)["Server"] or {}).get("Version") == server
    assert bool(ran.stderr) == (rc != 0)


@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        ("win11-pro", ["docker", "version"]),
        ("win11-pro", [windows.DOCKER_CLI, "version"]),
        ("has-wsl-engine", ["docker", "version"]),
        ("win11-pro", ["choco", "list"]),
    ],
)
def test_what_is_not_there(kind, argv):
    with pytest.raises(NoProgramError):
        run(kind, *argv)


@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        ("has-desktop", ["docker", "swarm", "init"]),
        ("has-desktop", ["docker", "version", "--format", "{{.Nothing}}"]),
        ("win11-pro", ["wsl.exe", "--export"]),
        ("win11-pro", ["shutdown", "/s"]),
    ],
)
def test_what_is_not_known_is_not_guessed(kind, argv):
    with pytest.raises(UnmodelledError):
        run(kind, *argv)


def test_docker_run():
    made = catalogue.make("has-desktop")
    options = ["--rm", "--network", "none"]
    assert "Hello from Docker" in programs.run(made, ["docker", "run", "hello-world"], {}).stdout
    made.engine.no_registry = True
    assert programs.run(made, ["docker", "run", *options, "hello-world"], {}).rc == 0
    assert programs.run(made, ["docker", "run", *options, "other"], {}).rc == 125
    file = r"C:\ProgramData\image.tar"
    assert programs.run(made, ["docker", "import", "--change", "CMD a", file, "other"], {}).rc == 1
    made.put_file(file, b"tar")
    assert programs.run(made, ["docker", "import", "--change", "CMD a", file, "other"], {}).rc == 0
    assert programs.run(made, ["docker", "run", *options, "other"], {}).rc == 0
    programs.run(made, ["docker", "image", "rm", "--force", "other"], {})
    assert made.engine.images == ["hello-world"]


def test_wsl_writes_utf_16():
    ran = run("win11-pro", "wsl.exe", "--status")
    assert ran.rc == 50
    assert ran.read("utf-8").stdout.startswith("T\0h\0e\0")
    assert ran.read("utf-16-le").stdout.startswith("The Windows Subsystem")
    told = run("win11-pro", "wsl.exe", "--status", environment={"WSL_UTF8": "1"})
    assert told.read("utf-8").stdout.startswith("The Windows Subsystem")
    # The output of a program in a distribution is not converted.
    inside = run("has-wsl-engine", "wsl.exe", "--exec", "docker", "version", *JSON)
    assert json.loads(inside.read("utf-8").stdout)["Server"]


def test_wsl_update():
    made = catalogue.make("win11-pro")
    assert programs.run(made, ["wsl.exe", "--update"], {}).rc == 50
    made.enable([windows.WSL], parents=False)
    made.restart()
    made.faults.wsl_update_error = "no"
    assert programs.run(made, ["wsl.exe", "--update"], {}).rc == 1
    made.faults.wsl_update_error = ""
    assert programs.run(made, ["wsl.exe", "--update"], {}).rc == 0
    assert made.wsl_version == windows.WSL_VERSION
    assert "already installed" in programs.run(made, ["wsl.exe", "--update"], {}).stdout


QUIET = ["install", "--quiet", "--accept-license", "--backend=wsl-2"]


@pytest.mark.parametrize(
    ("arguments", "faults", "rc", "there"),
    [
        (QUIET, {}, 0, True),
        ([*QUIET, "--always-run-service"], {}, 0, True),
        (QUIET, {"installer_exit": 3010}, 3010, True),
        (QUIET, {"installer_exit": 1603, "installer_exits": 1}, 1603, False),
        ([*QUIET, "--licence"], {}, 1, False),
        (["install", "--quiet", "--backend=lxc"], {}, 1, False),
    ],
)
def test_installer(arguments, faults, rc, there):
    made = catalogue.make("win11-pro")
    for name, value in faults.items():
        setattr(made.faults, name, value)
    assert programs.install(made, windows.INSTALLER.encode(), arguments).rc == rc
    assert (made.desktop is not None) == there
    assert ("files" in made.pending_reboot) == (rc == 3010)


def test_an_installer_that_waits_for_a_person():
    made = catalogue.make("win11-pro")
    with pytest.raises(UnmodelledError):
        programs.install(made, windows.INSTALLER.encode(), ["install"])


@pytest.mark.parametrize("content", [b"", windows.INSTALLER[:-1].encode(), b"tampered"])
def test_an_installer_that_is_none(content):
    with pytest.raises(NoProgramError):
        programs.install(catalogue.make("win11-pro"), content, QUIET)


def test_desktop_start():
    made = catalogue.make("has-stopped-desktop")
    start = ["docker", "desktop", "start", "--detach"]
    made.virtualization = False
    ran = programs.run(made, start, {})
    assert (ran.rc, made.engine.running) == (1, False)
    assert "virtualization is off" in ran.stderr
    made.virtualization = True
    assert programs.run(made, start, {}).rc == 0
    assert made.engine.running
