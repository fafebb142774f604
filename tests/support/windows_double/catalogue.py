"""The machines that tests use by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.windows_double import machine as windows
from support.windows_double.machine import Desktop, Engine, Machine

if TYPE_CHECKING:
    from collections.abc import Callable

_10 = {"release": "22H2", "build": 19045}
_HOME = {"edition": "Core"}
_ENTERPRISE = {"edition": "Enterprise", "product": "Windows 11 Enterprise"}
_10_PRO = {"product": "Windows 10 Pro", **_10}


def _with_desktop(name: str, *, running: bool) -> Machine:
    """Docker Desktop is installed and has been used."""
    made = Machine(name, wsl_version=windows.WSL_VERSION, hypervisor_present=True)
    made.features |= {windows.WSL: windows.ENABLED, windows.VM_PLATFORM: windows.ENABLED}
    made.install_desktop(backend="wsl-2", accept=True, always_run_service=False)
    made.desktop = Desktop("4.39.0", "wsl-2", license_accepted=True)
    made.path = made.path_later
    if running:
        made.start_engine()
        made.engine.waits = 0
    return made


def _with_rancher(name: str) -> Machine:
    """Rancher Desktop is installed instead, with its own docker command."""
    made = Machine(name, hypervisor_present=True, wsl_version=windows.WSL_VERSION)
    made.features |= {windows.WSL: windows.ENABLED, windows.VM_PLATFORM: windows.ENABLED}
    folder = windows.RANCHER_CLI.rpartition("\\")[0]
    made.make_folder(folder)
    made.put_file(windows.RANCHER_CLI, b"program")
    made.path = [folder]
    made.distributions = ["rancher-desktop", "rancher-desktop-data"]
    made.engine = Engine("rancher", running=True, version="26.1.5")
    return made


def _with_wsl_engine(name: str) -> Machine:
    """Docker's engine runs in a Linux distribution; Windows itself has no docker command."""
    made = Machine(name, **_10_PRO, hypervisor_present=True, wsl_version=windows.WSL_VERSION)
    made.features |= {windows.WSL: windows.ENABLED, windows.VM_PLATFORM: windows.ENABLED}
    made.distributions = ["Ubuntu"]
    made.engine = Engine("wsl", running=True, version="27.5.1")
    return made


def _pending_reboot(name: str) -> Machine:
    """An update of Windows waits for a restart."""
    return Machine(name, pending_reboot=["component"])


def _with_windows_containers(name: str) -> Machine:
    """Docker Desktop is switched to Windows containers."""
    made = _with_desktop(name, running=True)
    made.engine.os = "windows"
    return made


def _with(**values: Any) -> Callable[[str], Machine]:
    return lambda name: Machine(name, **values)


_MACHINES: dict[str, Callable[[str], Machine]] = {
    "win10-home": _with(product="Windows 10 Home", **_HOME, **_10),
    "win10-pro": _with(**_10_PRO),
    "win11-pro": _with(),
    "win11-home": _with(product="Windows 11 Home", **_HOME),
    "win11-enterprise": _with(**_ENTERPRISE),
    "win11-education": _with(edition="Education", product="Windows 11 Education"),
    "pending-reboot": _pending_reboot,
    "no-registry": lambda name: Machine(name, engine=Engine(no_registry=True)),
    "has-desktop": lambda name: _with_desktop(name, running=True),
    "has-stopped-desktop": lambda name: _with_desktop(name, running=False),
    "has-rancher": _with_rancher,
    "has-wsl-engine": _with_wsl_engine,
    "has-windows-containers": _with_windows_containers,
    "server-2022": _with(
        product="Windows Server 2022 Standard",
        edition="ServerStandard",
        release="21H2",
        build=20348,
        server=True,
    ),
    "virtualization-off": _with(virtualization=False),
    "old-processor": _with(**_10_PRO, cpu_supports_virtualization=False),
    "too-old": _with(product="Windows 10 Pro", release="1809", build=17763),
    "too-old-11": _with(release="21H2", build=22000),
    "32-bit": _with(**_10_PRO, architecture="32-bit"),
    "low-memory": _with(memory_mb=2048),
    "low-disk": _with(disk_free_mb=900),
    "no-administrator": _with(user="bob"),
}
NAMES = tuple(_MACHINES)


def make(name: str, kind: str = "") -> Machine:
    """Return a new machine of a kind; by default, the kind is the name."""
    return _MACHINES[kind or name](name)
