"""Determines what a Windows machine needs for a Docker engine that runs Linux containers.

This module has no side effects. `plan` takes the facts of the machine and the desired state, as
dictionaries with the keys in GIVEN and WANTED, and returns the problems or the steps to perform.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Options = dict[str, dict[str, Any]]

# The facts of a machine, in the format of the options of an Ansible module.
GIVEN: Options = {
    "distribution_version": {"type": "str", "required": True},
    "product_type": {"type": "str", "required": True},
    "edition": {"type": "str", "default": ""},
    "architecture": {"type": "str", "required": True},
    "memory_mb": {"type": "int", "required": True},
    "free_mb": {"type": "int"},
    "reboot_pending": {"type": "bool", "default": False},
    "administrator": {"type": "bool", "required": True},
    "hypervisor_present": {"type": "bool", "default": False},
    "virtualization_enabled": {"type": "bool", "default": False},
    "address_translation": {"type": "bool", "default": False},
    "unknown_users": {"type": "list", "elements": "str", "default": []},
    "wsl_version": {"type": "str", "default": ""},
    "desktop_version": {"type": "str", "default": ""},
}
BACKENDS = ("wsl-2", "hyper-v")
WANTED: Options = {
    "backend": {"type": "str", "choices": list(BACKENDS), "default": "wsl-2"},
    "require_pro": {"type": "bool", "default": False},
    "accept_license": {"type": "bool", "required": True},
    "installer": {"type": "str", "default": ""},
    "min_memory_mb": {"type": "int", "default": 0},
    "min_free_mb": {"type": "int", "default": 0},
}

# Build numbers of Windows; these are the oldest that Docker Desktop supports.
WINDOWS_10_22H2 = 19045
WINDOWS_11 = 22000
WINDOWS_11_23H2 = 22631
OLDEST_WSL = "2.1.5"

FEATURES = {
    "wsl-2": ["Microsoft-Windows-Subsystem-Linux", "VirtualMachinePlatform"],
    "hyper-v": ["Microsoft-Hyper-V", "Containers"],
}
# Prefixes of the registry's EditionID; the first match is used. The N, KN and SingleLanguage
# editions have no differences that matter here.
EDITIONS = (
    ("Core", "Home"),
    ("ProfessionalEducation", "Pro Education"),
    ("ProfessionalWorkstation", "Pro for Workstations"),
    ("Professional", "Pro"),
    ("IoTEnterprise", "IoT Enterprise"),
    ("Enterprise", "Enterprise"),
    ("Education", "Education"),
)

# Meaning of the installer's exit codes other than 0 and 3010 (a restart is needed).
INSTALLER_ENDS = {
    -5: "it was not let run with an administrator's rights: connect as an administrator",
    1: "it met an error of its own: its log is %ProgramData%\\DockerDesktop\\install-log-admin.txt",
    3: "this version is installed already: repair or remove it under Settings > Apps",
    5: "access was denied: connect as an administrator",
    740: "it needs an administrator's rights: connect as an administrator",
    1223: "it was cancelled at the machine",
    1602: "it was cancelled at the machine",
    1603: "Windows Installer met a fatal error: its log is in %ProgramData%\\DockerDesktop",
    1618: "another installation is under way: wait until it has ended",
    -2147467260: "it was cancelled at the machine",
}


class Machine(NamedTuple):
    """The properties derived from the facts."""

    build: int
    # Home, Pro …; the registry's value if it is not one of EDITIONS.
    edition: str
    known: bool
    server: bool

    @property
    def windows(self) -> str:
        """The common name of the Windows version."""
        if self.server:
            return f"Windows Server (build {self.build})"
        major = 11 if self.build >= WINDOWS_11 else 10
        return f"Windows {major} {self.edition} (build {self.build})"

    @property
    def home(self) -> bool:
        """Whether this is Windows Home, which does not offer Hyper-V."""
        return self.edition == "Home"


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version for comparisons: (2, 1, 5, 0) for "2.1.5.0"."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def read(facts: Mapping[str, Any]) -> Machine:
    """Return the properties derived from the facts."""
    numbers = version(facts["distribution_version"])
    raw = str(facts["edition"] or "")
    name = next((name for begin, name in EDITIONS if raw.startswith(begin)), "")
    return Machine(
        build=numbers[2] if len(numbers) > 2 else 0,  # noqa: PLR2004  # 10.0.19045.0
        edition=name or raw or "of an unknown edition",
        known=bool(name),
        server=facts["product_type"] != "workstation",
    )


def system_problems(machine: Machine, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons why no engine can run on this system, whatever the settings."""
    if machine.server:
        yield (
            f"This is {machine.windows}, where Docker Desktop is not supported: use the engine of "
            "a Linux machine (docker_engine: ssh://user@host), or take Windows 10 or 11."
        )
        return
    if not machine.known:
        yield (
            f"This is {machine.windows}, where Docker Desktop cannot be installed: it takes Home, "
            "Pro, Enterprise or Education; change the edition under Settings > System > Activation."
        )
    if machine.build < WINDOWS_10_22H2:
        yield (
            f"{machine.windows} is too old for Docker Desktop, which takes Windows 10 22H2 (build "
            f"{WINDOWS_10_22H2}) or later: bring it up to date under Settings > Windows Update."
        )
    if WINDOWS_11 <= machine.build < WINDOWS_11_23H2:
        yield (
            f"{machine.windows} is too old for Docker Desktop, which takes Windows 11 23H2 (build "
            f"{WINDOWS_11_23H2}) or later: bring it up to date under Settings > Windows Update."
        )
    if facts["architecture"] not in {"x86_64", "arm64"}:
        yield (
            f"The system's architecture is {facts['architecture']}, and Docker Desktop takes only "
            "64-bit Windows: install that, or use another machine's engine (docker_engine)."
        )


def backend_problems(
    machine: Machine, facts: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the reasons why the engine cannot run with the wanted settings."""
    hyper_v = wanted["backend"] == "hyper-v"
    if machine.home and wanted["require_pro"]:
        yield (
            f"This is {machine.windows}, and docker_host_windows_require_pro is true: upgrade to "
            "Pro under Settings > System > Activation, or set that variable to false, since "
            "Docker Desktop runs on Home by WSL 2."
        )
    # If Docker Desktop is already installed, somebody chose its backend, which is kept.
    elif machine.home and hyper_v and not facts["desktop_version"]:
        yield (
            f"docker_host_windows_backend is hyper-v, which {machine.windows} does not have: set "
            "it to wsl-2."
        )
    if facts["desktop_version"] or facts["architecture"] != "arm64":
        return
    if hyper_v:
        yield (
            "docker_host_windows_backend is hyper-v, by which Docker Desktop does not run on "
            "arm64: set it to wsl-2."
        )
    if not wanted["installer"]:
        yield (
            "Chocolatey's package of Docker Desktop is for x86_64, and this is arm64: name "
            "Docker's installer for Arm in docker_host_windows_installer."
        )


def machine_problems(facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield the requirements that this machine does not meet."""
    # While a hypervisor runs, the processor's capabilities cannot be read.
    if not facts["hypervisor_present"] and not facts["virtualization_enabled"]:
        yield (
            "Virtualization is off: turn it on in the firmware's settings (Intel VT-x or AMD-V; of "
            "a virtual machine: nested virtualization on its host)."
        )
    elif not facts["hypervisor_present"] and not facts["address_translation"]:
        yield (
            "The processor has no second level address translation, without which Docker Desktop "
            "does not run: use another machine's engine (docker_engine)."
        )
    # The sizes matter only for an installation.
    if facts["desktop_version"]:
        return
    if facts["memory_mb"] < wanted["min_memory_mb"]:
        yield (
            f"The machine has {facts['memory_mb']} MiB of memory, and "
            f"docker_host_windows_min_memory_mb asks for {wanted['min_memory_mb']}: give it more, "
            "or lower that variable."
        )
    if facts["free_mb"] is not None and facts["free_mb"] < wanted["min_free_mb"]:
        yield (
            f"The system's disk has {facts['free_mb']} MiB free, and docker_host_min_free_mb asks "
            f"for {wanted['min_free_mb']}: free some, or lower that variable."
        )


def problems(
    machine: Machine, facts: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the problems that prevent the installation, each as a sentence with its fix."""
    hopeless = list(system_problems(machine, facts))
    if hopeless:
        # Further problems of such a system are irrelevant.
        yield from hopeless
        return
    yield from backend_problems(machine, facts, wanted)
    if facts["administrator"]:
        yield from machine_problems(facts, wanted)
    else:
        yield (
            "The connection's user has no administrator's rights, which features and Docker "
            "Desktop are installed with: name an administrator in ansible_user."
        )
    if facts["unknown_users"]:
        yield (
            f"docker_host_users names {', '.join(facts['unknown_users'])}, who is no user of this "
            "machine: name its users as NAME, those of a domain as DOMAIN\\NAME."
        )
    if not facts["desktop_version"] and not wanted["accept_license"]:
        yield (
            "Docker Desktop has to be installed, and its licence is not accepted: read the Docker "
            "Subscription Service Agreement (companies of more than 250 people or 10 million "
            "dollars of revenue pay for it), then set docker_host_windows_accept_license to true."
        )


def is_address(installer: str) -> bool:
    """Return whether the installer has to be downloaded first."""
    return installer.lower().startswith(("http://", "https://"))


def plan(facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problems that prevent the installation, and the steps to perform."""
    machine = read(facts)
    backend, installer = wanted["backend"], wanted["installer"]
    # Docker Desktop is installed last, so if it exists, its prerequisites were met or chosen.
    install = not facts["desktop_version"]
    features = FEATURES[backend] if install else []
    old_wsl = version(facts["wsl_version"]) < version(OLDEST_WSL)
    update_wsl = install and backend == "wsl-2" and old_wsl
    steps = {
        "restart Windows, which has a restart pending": facts["reboot_pending"],
        f"turn on {' and '.join(features)}, and restart Windows if they were off": install,
        f"bring WSL to {OLDEST_WSL} or later": update_wsl,
        f"install Docker Desktop by {installer or 'Chocolatey'}": install,
        "start Docker Desktop": True,
    }
    return {
        "problems": list(problems(machine, facts, wanted)),
        "windows": machine.windows,
        "reboot_pending": facts["reboot_pending"],
        "features": list(features),
        "update_wsl": update_wsl,
        "install": install,
        "source": "installer" if installer else "chocolatey",
        "download": install and is_address(installer),
        "steps": [step for step, needed in steps.items() if needed],
    }


def signed(code: int) -> int:
    """Return an exit code as a signed number, since programs report -5 also as 4294967291."""
    return code - 2**32 if code >= 2**31 else code


def installer_code(result: Mapping[str, Any]) -> int:
    """Return the installer's exit code from a failed module's result; 0 if it did not start."""
    # Chocolatey has an exit code of its own, and prints the installer's.
    told = re.search(r"Exit code was '(-?\d+)'", str(result.get("stdout") or ""))
    return signed(int(told.group(1)) if told else int(result.get("rc") or 0))


def installer_end(result: Mapping[str, Any]) -> str:
    """Return the meaning of a failed installation's result, as a sentence."""
    code = installer_code(result)
    meaning = INSTALLER_ENDS.get(code, "")
    if meaning:
        return f"The installer ended with {code}: {meaning}."
    said = str(result.get("msg") or "").strip().rstrip(".")
    lines = [line.strip() for line in str(result.get("stdout") or "").splitlines()]
    errors = [line for line in lines if line.lower().startswith(("error", "failed"))]
    reason = ": ".join([*([said] if said else []), *errors[:1]]).rstrip(".")
    if result.get("timedout"):
        return f"{reason}: if it needs longer, raise docker_host_windows_install_timeout."
    if not code:
        return (
            f"{reason or 'The installer could not be begun'}: check docker_host_windows_installer "
            "and docker_host_windows_installer_checksum."
        )
    return f"{reason or 'The installer said nothing'} (exit code {code})."
