"""Decisions about Windows machines, from plain dicts: no Windows is needed."""

import pytest
from ansible.module_utils.docker_ml_api.docker import windows_machine

WSL = ["Microsoft-Windows-Subsystem-Linux", "VirtualMachinePlatform"]
HYPER_V = ["Microsoft-Hyper-V", "Containers"]


def facts(**others):
    return {
        "distribution_version": "10.0.22631.0",
        "product_type": "workstation",
        "edition": "Professional",
        "architecture": "x86_64",
        "memory_mb": 16384,
        "free_mb": 100000,
        "reboot_pending": False,
        "administrator": True,
        "hypervisor_present": False,
        "virtualization_enabled": True,
        "address_translation": True,
        "unknown_users": [],
        "wsl_version": "",
        "desktop_version": "",
        **others,
    }


def wanted(**others):
    return {
        "backend": "wsl-2",
        "require_pro": False,
        "accept_license": True,
        "installer": "",
        "min_memory_mb": 3500,
        "min_free_mb": 10000,
        **others,
    }


WINDOWS_10 = {"distribution_version": "10.0.19045.0"}

# Each edition and build that Docker Desktop runs on: the facts, the backend, the name.
RUNS = {
    "10 Home": ({**WINDOWS_10, "edition": "Core"}, "wsl-2", "Windows 10 Home (build 19045)"),
    "10 Home N": ({**WINDOWS_10, "edition": "CoreN"}, "wsl-2", "Windows 10 Home (build 19045)"),
    "11 Home, one language": (
        {"edition": "CoreSingleLanguage"},
        "wsl-2",
        "Windows 11 Home (build 22631)",
    ),
    "10 Pro": (WINDOWS_10, "wsl-2", "Windows 10 Pro (build 19045)"),
    "11 Pro by Hyper-V": ({}, "hyper-v", "Windows 11 Pro (build 22631)"),
    "11 Pro for Workstations": (
        {"edition": "ProfessionalWorkstation"},
        "hyper-v",
        "Windows 11 Pro for Workstations (build 22631)",
    ),
    "11 Pro Education": (
        {"edition": "ProfessionalEducation"},
        "wsl-2",
        "Windows 11 Pro Education (build 22631)",
    ),
    "11 Enterprise": (
        {"edition": "Enterprise", "distribution_version": "10.0.26100.0"},
        "hyper-v",
        "Windows 11 Enterprise (build 26100)",
    ),
    "11 IoT Enterprise": (
        {"edition": "IoTEnterpriseS", "distribution_version": "10.0.26100.0"},
        "wsl-2",
        "Windows 11 IoT Enterprise (build 26100)",
    ),
    "10 Education N": (
        {**WINDOWS_10, "edition": "EducationN"},
        "hyper-v",
        "Windows 10 Education (build 19045)",
    ),
    "where a hypervisor runs, the processor tells nothing": (
        {
            "hypervisor_present": True,
            "virtualization_enabled": False,
            "address_translation": False,
        },
        "wsl-2",
        "Windows 11 Pro (build 22631)",
    ),
    "free space that is not known": ({"free_mb": None}, "wsl-2", "Windows 11 Pro (build 22631)"),
}


@pytest.mark.parametrize(("read", "backend", "name"), RUNS.values(), ids=RUNS)
def test_where_it_runs(read, backend, name):
    plan = windows_machine.plan(facts(**read), wanted(backend=backend))

    assert plan["problems"] == []
    assert plan["windows"] == name
    assert plan["features"] == (WSL if backend == "wsl-2" else HYPER_V)
    assert plan["install"]
    assert plan["update_wsl"] is (backend == "wsl-2")


# Each obstacle: the facts, the wanted settings, words of the one sentence.
STANDS = {
    "server": (
        {"product_type": "server", "edition": "ServerStandard"},
        {},
        ["Windows Server", "not supported", "docker_engine: ssh://user@host"],
    ),
    "domain controller": ({"product_type": "domain_controller"}, {}, ["Windows Server"]),
    "an edition with a store alone": ({"edition": "Cloud"}, {}, ["Cloud", "Pro", "Activation"]),
    "no edition": ({"edition": ""}, {}, ["an unknown edition"]),
    "10 before 22H2": (
        {"distribution_version": "10.0.19044.0"},
        {},
        ["Windows 10 Pro (build 19044)", "too old", "22H2", "Windows Update"],
    ),
    "11 before 23H2": (
        {"distribution_version": "10.0.22621.0"},
        {},
        ["Windows 11 Pro (build 22621)", "too old", "23H2", "Windows Update"],
    ),
    "a version that is none": ({"distribution_version": "10"}, {}, ["too old"]),
    "32-bit": ({"architecture": "i386"}, {}, ["i386", "64-bit"]),
    "Home that must be Pro": (
        {"edition": "Core"},
        {"require_pro": True},
        ["docker_host_windows_require_pro", "upgrade to Pro", "Activation", "false"],
    ),
    "Home that must be Pro, by Hyper-V": (
        {"edition": "Core"},
        {"require_pro": True, "backend": "hyper-v"},
        ["docker_host_windows_require_pro"],
    ),
    "Home by Hyper-V": (
        {"edition": "Core"},
        {"backend": "hyper-v"},
        ["docker_host_windows_backend", "Windows 11 Home", "wsl-2"],
    ),
    "Arm by Hyper-V": (
        {"architecture": "arm64"},
        {"backend": "hyper-v", "installer": "C:\\arm.exe"},
        ["docker_host_windows_backend", "arm64", "wsl-2"],
    ),
    "Arm by Chocolatey": (
        {"architecture": "arm64"},
        {},
        ["arm64", "docker_host_windows_installer"],
    ),
    "virtualization off": (
        {"virtualization_enabled": False, "address_translation": False},
        {},
        ["Virtualization is off", "firmware", "nested"],
    ),
    "no address translation": (
        {"address_translation": False},
        {},
        ["second level address translation", "docker_engine"],
    ),
    "little memory": (
        {"memory_mb": 2048},
        {},
        ["2048", "docker_host_windows_min_memory_mb", "3500"],
    ),
    "little space": ({"free_mb": 900}, {}, ["900", "docker_host_min_free_mb", "10000"]),
    "no administrator": (
        {"administrator": False, "virtualization_enabled": False, "free_mb": None},
        {},
        ["administrator", "ansible_user"],
    ),
    "a licence that is not accepted": (
        {},
        {"accept_license": False},
        ["licence", "docker_host_windows_accept_license"],
    ),
    "a user that is none": (
        {"unknown_users": ["eve", "LAB\\mallory"]},
        {},
        ["docker_host_users", "eve, LAB\\mallory"],
    ),
}


@pytest.mark.parametrize(("read", "asked", "words"), STANDS.values(), ids=STANDS)
def test_what_stands_in_the_way(read, asked, words):
    problems = windows_machine.plan(facts(**read), wanted(**asked))["problems"]

    assert len(problems) == 1
    for word in words:
        assert word in problems[0]
    assert problems[0].endswith(".")


def test_everything_is_told_at_once():
    read = facts(memory_mb=1, free_mb=1, virtualization_enabled=False, edition="Core")

    problems = windows_machine.plan(read, wanted(backend="hyper-v", accept_license=False))

    assert len(problems["problems"]) == 5


def test_a_server_is_told_nothing_else():
    read = facts(product_type="server", architecture="i386", memory_mb=1, administrator=False)

    assert len(windows_machine.plan(read, wanted())["problems"]) == 1


# An existing installation belongs to the user.
@pytest.mark.parametrize("edition", ["Core", "Professional"])
@pytest.mark.parametrize("backend", ["wsl-2", "hyper-v"])
def test_an_installed_desktop_is_only_started(edition, backend):
    read = facts(edition=edition, desktop_version="4.50.0", memory_mb=1, free_mb=1)

    plan = windows_machine.plan(read, wanted(backend=backend, accept_license=False))

    assert plan["problems"] == []
    assert plan["features"] == []
    assert not plan["install"]
    assert not plan["update_wsl"]
    assert not plan["download"]
    assert plan["steps"] == ["start Docker Desktop"]


@pytest.mark.parametrize(
    ("there", "backend", "updates"),
    [
        ("", "wsl-2", True),
        ("0.67.6.0", "wsl-2", True),
        ("2.1.4.0", "wsl-2", True),
        ("2.1.5.0", "wsl-2", False),
        ("2.10.0.0", "wsl-2", False),
        ("", "hyper-v", False),
    ],
)
def test_wsl_is_updated_where_it_is_too_old(there, backend, updates):
    plan = windows_machine.plan(facts(wsl_version=there), wanted(backend=backend))

    assert plan["update_wsl"] is updates


@pytest.mark.parametrize(
    ("installer", "source", "downloads"),
    [
        ("", "chocolatey", False),
        ("https://desktop.docker.com/win/Installer.exe", "installer", True),
        ("HTTP://mirror/Installer.exe", "installer", True),
        ("D:\\Docker Desktop Installer.exe", "installer", False),
        ("\\\\share\\Installer.exe", "installer", False),
    ],
)
def test_where_the_installer_comes_from(installer, source, downloads):
    plan = windows_machine.plan(facts(), wanted(installer=installer))

    assert (plan["source"], plan["download"]) == (source, downloads)
    assert any((installer or "Chocolatey") in step for step in plan["steps"])


def test_the_steps_are_told_in_order():
    plan = windows_machine.plan(facts(reboot_pending=True), wanted())

    assert [step.split()[0] for step in plan["steps"]] == [
        "restart",
        "turn",
        "bring",
        "install",
        "start",
    ]


# A failed module's result, and words of the sentence.
ENDS = {
    "by name": ({"rc": 1618, "msg": "unexpected rc"}, ["1618", "another installation"]),
    "unsigned": ({"rc": 4294967291}, ["-5", "administrator"]),
    "signed": ({"rc": -5}, ["-5", "administrator"]),
    "Chocolatey tells the installer's": (
        {
            "rc": -1,
            "msg": "Error installing docker-desktop",
            "stdout": "ERROR: Running [x] was not successful. Exit code was '1602'.",
        },
        ["1602", "cancelled"],
    ),
    "Chocolatey's own": (
        {
            "rc": -1,
            "msg": "Error installing docker-desktop",
            "stdout": "a\n  ERROR: Checksum for 'x' did not meet '1' for type 'sha256'.\nb",
        },
        ["Error installing docker-desktop: ERROR: Checksum", "(exit code -1)"],
    ),
    "no name": ({"rc": 77, "msg": "unexpected rc from 'x'."}, ["unexpected rc", "77"]),
    "not begun": (
        {"rc": 0, "msg": "The checksum for C:\\x did not match 'a', it was 'b'"},
        [
            "The checksum for C:\\x did not match 'a', it was 'b'",
            "docker_host_windows_installer_checksum",
        ],
    ),
    "cut short": (
        {"msg": "Timed out after 2700 second(s).", "timedout": {"period": 2700}},
        ["Timed out after 2700", "docker_host_windows_install_timeout"],
    ),
    "silent": ({"rc": 77}, ["said nothing", "77"]),
    "silent and not begun": ({}, ["could not be begun", "docker_host_windows_installer"]),
}


@pytest.mark.parametrize(("result", "words"), ENDS.values(), ids=ENDS)
def test_what_an_end_means(result, words):
    sentence = windows_machine.installer_end(result)

    for word in words:
        assert word in sentence
    assert sentence.endswith(".")
    assert "exit code 0" not in sentence


@pytest.mark.parametrize("code", windows_machine.INSTALLER_ENDS)
def test_each_known_end_has_its_sentence(code):
    unsigned = code % 2**32

    assert windows_machine.installer_end({"rc": unsigned}) == windows_machine.installer_end(
        {"rc": code}
    )
