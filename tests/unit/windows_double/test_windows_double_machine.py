"""The model of a machine: features and restarts, files, the registry, the engine."""

from __future__ import annotations

import json

import pytest

from support.windows_double import catalogue
from support.windows_double import machine as windows
from support.windows_double.machine import Machine

WSL_FEATURES = [windows.WSL, windows.VM_PLATFORM]


def installed(**values):
    """Return a machine with everything installed, and the engine not started."""
    made = Machine("a", **values)
    made.enable(WSL_FEATURES, parents=True)
    made.restart()
    made.down_for = None
    made.wsl_version = windows.WSL_VERSION
    made.install_desktop(backend="wsl-2", accept=True, always_run_service=False)
    return made


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_machines_are_kept_as_json(name):
    made = catalogue.make(name)
    kept = json.loads(json.dumps(made.write()))
    assert Machine.read(kept) == made


def test_features_wait_for_a_restart():
    made = Machine("a")
    boot = made.boot_time
    assert made.enable([windows.WSL], parents=False)
    assert made.features[windows.WSL] == windows.PENDING
    assert made.pending_reboot == ["component"]
    assert windows.COMPONENT_REBOOT in made.registry_view
    made.restart()
    assert made.features[windows.WSL] == windows.ENABLED
    assert made.pending_reboot == []
    assert made.boot_time > boot
    assert not made.enable([windows.WSL], parents=False)


def test_hyper_v_brings_all_of_it():
    made = Machine("a")
    made.enable([windows.HYPER_V], parents=True)
    assert made.features[windows.HYPER_V_ALL] == windows.PENDING
    assert windows.HYPER_V not in Machine("b", edition="Core").features


@pytest.mark.parametrize(("connections", "answers"), [(0, [True]), (2, [False, False, True])])
def test_a_restart_takes_connections(connections, answers):
    made = Machine("a", reboot_connections=connections)
    made.restart()
    assert [made.answers() for _ in answers] == answers
    assert made.answers()


def test_a_restart_from_which_it_does_not_come_back():
    made = Machine("a")
    made.faults.reboot_never_returns = True
    made.restart()
    assert not any(made.answers() for _ in range(20))


def test_a_hypervisor_hides_the_processor():
    made = Machine("a")
    assert made.cim["Win32_Processor"]["VirtualizationFirmwareEnabled"]
    made.enable(WSL_FEATURES, parents=True)
    made.restart()
    assert made.cim["Win32_ComputerSystem"]["HypervisorPresent"]
    assert not made.cim["Win32_Processor"]["VirtualizationFirmwareEnabled"]


def test_the_engine_takes_a_while():
    made = installed()
    made.start_engine()
    assert [made.engine_answers(), made.engine_answers()] == [False, True]
    made.restart()
    assert not made.engine_answers()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"desktop": None}, "not installed"),
        ({"virtualization": False}, "virtualization is off"),
        ({"wsl_version": "2.0.9.0"}, "WSL is too old"),
        ({"wsl_version": None}, "WSL is too old"),
        ({"features": {windows.WSL: windows.PENDING}}, f"{windows.WSL} is not enabled"),
        ({}, ""),
    ],
)
def test_why_no_engine(change, why):
    made = installed()
    for name, value in change.items():
        setattr(made, name, value)
    assert why in made.why_no_engine()
    assert bool(why) == bool(made.why_no_engine())
    made.start_engine()
    assert made.engine.running != bool(why)


def test_a_licence_that_was_not_accepted():
    made = installed()
    made.desktop.license_accepted = False
    assert "was not accepted" in made.why_no_engine()


def test_what_an_installer_adds_to_the_path_is_seen_after_a_restart():
    made = installed()
    folder = windows.DOCKER_CLI.rpartition("\\")[0]
    assert folder not in made.path
    made.restart()
    assert folder in made.path


def test_files():
    made = Machine("a")
    with pytest.raises(FileNotFoundError):
        made.put_file(r"C:\some\a.txt", b"a")
    made.make_folder(r"C:\Some")
    made.put_file("C:/some/A.txt", b"abc")
    assert made.content(r"c:\SOME\a.TXT") == b"abc"
    assert made.checksum(r"C:\some\a.txt", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert made.expand(r"%TEMP%\a") == r"C:\Users\ada\AppData\Local\Temp\a"
    assert made.expand("%Temp% %none%") == r"C:\Users\ada\AppData\Local\Temp %none%"
    made.remove(r"C:\SOME")
    assert not made.exists(r"C:\some\a.txt")
    assert not made.is_folder(r"C:\some")


@pytest.mark.parametrize(
    ("kind", "key", "name", "value"),
    [
        ("win10-home", windows.CURRENT_VERSION, "EditionID", "Core"),
        ("win11-pro", windows.CURRENT_VERSION, "ProductName", "Windows 10 Pro"),  # the real one
        ("server-2022", windows.CURRENT_VERSION, "InstallationType", "Server"),
        ("has-desktop", windows.UNINSTALL + r"\Docker Desktop", "DisplayVersion", "4.39.0"),
        ("has-desktop", windows.LXSS_MSI, "Version", windows.WSL_VERSION),
    ],
)
def test_registry(kind, key, name, value):
    assert catalogue.make(kind).registry_view[key][name] == value


def test_state_is_what_a_person_would_call_it():
    made = installed()
    before = made.state()
    made.start_engine()
    started = made.state()
    assert started != before
    made.engine_answers()
    made.faults.unreachable = True
    assert made.state() == started
