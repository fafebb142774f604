"""A model of one Windows machine: what is installed, and what happens when it restarts.

The behavior of editions is an assumption of this model, not a proof of what Windows does.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import asdict, dataclass, field
from typing import Any

# The boot time in units of 100 ns since 1601; the start of each machine's clock.
_FIRST_BOOT = 134_000_000_000_000_000
_A_MINUTE = 600_000_000

WSL = "Microsoft-Windows-Subsystem-Linux"
VM_PLATFORM = "VirtualMachinePlatform"
HYPER_V = "Microsoft-Hyper-V"
HYPER_V_ALL = "Microsoft-Hyper-V-All"
CONTAINERS = "Containers"
ENABLED, DISABLED, PENDING = "Enabled", "Disabled", "EnablePending"

DESKTOP_FOLDER = r"C:\Program Files\Docker\Docker"
DESKTOP_PROGRAM = DESKTOP_FOLDER + r"\Docker Desktop.exe"
DOCKER_CLI = DESKTOP_FOLDER + r"\resources\bin\docker.exe"
RANCHER_CLI = r"C:\Program Files\Rancher Desktop\resources\resources\win32\bin\docker.exe"
UNINSTALL = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
CURRENT_VERSION = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
COMPONENT_REBOOT = (
    r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending"
)
UPDATE_REBOOT = (
    r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"
)
LXSS = r"HKCU:\Software\Microsoft\Windows\CurrentVersion\Lxss"
LXSS_MSI = r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Lxss\MSI"
SESSION_MANAGER = r"HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager"
# Required by Docker Desktop's WSL 2 back end.
MIN_WSL = (2, 1, 5)

INSTALLER_URL = "https://desktop.docker.com/win/main/amd64/Docker%20Desktop%20Installer.exe"
DESKTOP_VERSION = "4.50.0"
INSTALLER = f"Docker Desktop Installer {DESKTOP_VERSION}"
WSL_URL = "https://github.com/microsoft/WSL/releases/download/2.6.1/wsl.2.6.1.0.x64.msi"
WSL_VERSION = "2.6.1.0"
WSL_INSTALLER = f"WSL {WSL_VERSION}"
CHOCOLATEY_URL = "https://community.chocolatey.org/install.ps1"


@dataclass
class Page:
    """The response of a URL on the Internet."""

    content: str = ""
    status: int = 200
    # The number of transfers that break off.
    breaks: int = 0


@dataclass
class Engine:
    """The Docker engine, independent of its provider."""

    # desktop, rancher or wsl; empty for none.
    provider: str = ""
    running: bool = False
    # The number of unanswered requests after a start.
    asked_in_vain: int = 1
    waits: int = 0
    os: str = "linux"
    version: str = "28.5.1"
    images: list[str] = field(default_factory=list)
    # Whether the engine cannot reach Docker Hub.
    no_registry: bool = False


@dataclass
class Desktop:
    """Docker Desktop, once it is installed."""

    version: str
    backend: str
    license_accepted: bool
    always_run_service: bool = False


@dataclass
class Faults:
    """Faults of this machine. Numbers are counted down, one per occurrence."""

    unreachable: bool = False
    installer_exit: int = 0
    installer_exits: int = 0
    feature_error: str = ""
    wsl_update_error: str = ""
    reboot_never_returns: bool = False
    engine_never_ready: bool = False
    # The connection is lost once, directly before or after a call whose record contains this text.
    lost_before: str = ""
    lost_after: str = ""
    # After such a call, nothing is answered any more, so that a test can kill the run; once.
    held_after: str = ""


@dataclass
class Machine:
    """The state of one machine, serializable as JSON."""

    name: str
    product: str = "Windows 11 Pro"
    edition: str = "Professional"
    release: str = "24H2"
    build: int = 26100
    architecture: str = "64-bit"
    server: bool = False
    memory_mb: int = 16384
    disk_free_mb: int = 100_000
    virtualization: bool = True
    cpu_supports_virtualization: bool = True
    hypervisor_present: bool = False
    user: str = "ada"
    password: str = "correct horse"  # noqa: S105 - nobody's
    boot_time: int = _FIRST_BOOT
    # The number of connections that fail during a restart; down_for is None while it is up.
    reboot_connections: int = 1
    down_for: int | None = None
    pending_reboot: list[str] = field(default_factory=list)
    features: dict[str, str] = field(default_factory=dict)
    registry: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: dict[str, dict[str, str]] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    users: list[str] = field(default_factory=lambda: ["Administrator", "ada", "bob"])
    groups: dict[str, list[str]] = field(
        default_factory=lambda: {"Administrators": ["Administrator", "ada"], "Users": ["bob"]}
    )
    processes: list[str] = field(default_factory=list)
    # The search path of programs. Additions by an installer take effect after the next restart, as
    # the service for connections keeps the environment with which it was started.
    path: list[str] = field(default_factory=list)
    path_later: list[str] = field(default_factory=list)
    # None: the version included in Windows, which does not support --version.
    wsl_version: str | None = None
    distributions: list[str] = field(default_factory=list)
    desktop: Desktop | None = None
    engine: Engine = field(default_factory=Engine)
    web: dict[str, Page] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        if not self.features:
            names = [WSL, VM_PLATFORM, CONTAINERS, "NetFx3"]
            # Home editions have no Hyper-V.
            if self.edition != "Core":
                names += [HYPER_V, HYPER_V_ALL]
            self.features = dict.fromkeys(names, DISABLED)
        if not self.web:
            self.web = {
                INSTALLER_URL: Page(INSTALLER),
                WSL_URL: Page(WSL_INSTALLER),
                CHOCOLATEY_URL: Page("chocolatey"),
            }
        for folder in (r"C:\Windows\Temp", r"C:\ProgramData", r"C:\Program Files"):
            self.make_folder(folder)
        for user in self.users:
            self.make_folder(rf"C:\Users\{user}\AppData\Local\Temp")

    @classmethod
    def read(cls, data: dict[str, Any]) -> Machine:
        """Return the machine from the JSON of `write`."""
        parts = {
            "desktop": Desktop(**data["desktop"]) if data["desktop"] else None,
            "engine": Engine(**data["engine"]),
            "faults": Faults(**data["faults"]),
            "web": {url: Page(**page) for url, page in data["web"].items()},
        }
        return cls(**{**data, **parts})

    def write(self) -> dict[str, Any]:
        """Return the machine as JSON."""
        return asdict(self)

    def state(self) -> dict[str, Any]:
        """Return the visible state of the machine, without counters and settings of the double."""
        state = self.write()
        for name in ("faults", "down_for", "web"):
            del state[name]
        del state["engine"]["waits"]
        return state

    # Files

    @staticmethod
    def _key(path: str) -> str:
        return path.replace("/", "\\").rstrip("\\").lower()

    def expand(self, path: str) -> str:
        """Return the path with environment variables expanded."""
        home = rf"C:\Users\{self.user}"
        variables = {
            "TEMP": home + r"\AppData\Local\Temp",
            "TMP": home + r"\AppData\Local\Temp",
            "USERPROFILE": home,
            "LOCALAPPDATA": home + r"\AppData\Local",
            "APPDATA": home + r"\AppData\Roaming",
            "PROGRAMDATA": r"C:\ProgramData",
            "PROGRAMFILES": r"C:\Program Files",
            "SYSTEMROOT": r"C:\Windows",
            "WINDIR": r"C:\Windows",
            "SYSTEMDRIVE": "C:",
            **{name.upper(): value for name, value in self.environment.items()},
        }
        return re.sub(r"%(\w+)%", lambda one: variables.get(one[1].upper(), one[0]), path)

    def entry(self, path: str) -> dict[str, Any] | None:
        """Return the entry at the path, or None."""
        return self.files.get(self._key(self.expand(path)))

    def exists(self, path: str) -> bool:
        """Return whether something is at the path."""
        return self.entry(path) is not None

    def is_folder(self, path: str) -> bool:
        """Return whether a folder is at the path."""
        entry = self.entry(path)
        return entry is not None and entry["folder"]

    def content(self, path: str) -> bytes:
        """Return the content of the file at the path."""
        entry = self.entry(path)
        if entry is None or entry["folder"]:
            raise FileNotFoundError(path)
        return base64.b64decode(entry["content"])

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents."""
        parts = self.expand(path).replace("/", "\\").rstrip("\\").split("\\")
        for count in range(1, len(parts) + 1):
            one = "\\".join(parts[:count])
            self.files.setdefault(self._key(one), {"path": one, "folder": True})

    def put_file(self, path: str, content: bytes) -> None:
        """Write a file; its folder must exist."""
        path = self.expand(path).replace("/", "\\")
        if not self.is_folder(path.rpartition("\\")[0]):
            raise FileNotFoundError(path.rpartition("\\")[0])
        self.files[self._key(path)] = {
            "path": path,
            "folder": False,
            "content": base64.b64encode(content).decode(),
        }

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with its content."""
        key = self._key(self.expand(path))
        for name in [n for n in self.files if n == key or n.startswith(key + "\\")]:
            del self.files[name]

    def checksum(self, path: str, algorithm: str) -> str:
        """Return a file's checksum."""
        return hashlib.new(algorithm, self.content(path)).hexdigest()

    # Derived state

    @property
    def administrator(self) -> bool:
        """Whether the connection's user has administrator rights."""
        return self.user in self.groups["Administrators"]

    @property
    def cim(self) -> dict[str, dict[str, Any]]:
        """The properties of the machine in CIM classes."""
        # With a running hypervisor, Windows is a guest and does not see the processor's features.
        sees = not self.hypervisor_present
        return {
            "Win32_ComputerSystem": {
                "HypervisorPresent": self.hypervisor_present,
                "TotalPhysicalMemory": self.memory_mb * 1024 * 1024,
            },
            "Win32_Processor": {
                "SecondLevelAddressTranslationExtensions": sees
                and self.cpu_supports_virtualization,
                "VirtualizationFirmwareEnabled": sees and self.virtualization,
                "VMMonitorModeExtensions": sees and self.cpu_supports_virtualization,
            },
            "Win32_OperatingSystem": {
                "Caption": f"Microsoft {self.product}",
                "BuildNumber": str(self.build),
                "OSArchitecture": self.architecture,
                "ProductType": 3 if self.server else 1,
            },
        }

    @property
    def home(self) -> bool:
        """Whether this is a Home edition."""
        return self.edition == "Core"

    @property
    def registry_view(self) -> dict[str, dict[str, Any]]:
        """The registry, including the keys of Windows itself."""
        view: dict[str, dict[str, Any]] = {
            CURRENT_VERSION: {
                "ProductName": self.product.replace("11", "10"),
                "EditionID": self.edition,
                "DisplayVersion": self.release,
                "CurrentBuild": str(self.build),
                "CurrentBuildNumber": str(self.build),
                "InstallationType": "Server" if self.server else "Client",
            },
            SESSION_MANAGER: {},
            **{key: dict(values) for key, values in self.registry.items()},
        }
        if "component" in self.pending_reboot:
            view[COMPONENT_REBOOT] = {}
        if "update" in self.pending_reboot:
            view[UPDATE_REBOOT] = {}
        if "files" in self.pending_reboot:
            view[SESSION_MANAGER]["PendingFileRenameOperations"] = [r"\??\C:\old.dll", ""]
        if self.wsl_version:
            view[LXSS_MSI] = {"Version": self.wsl_version}
        if self.distributions:
            view[LXSS] = {"DefaultDistribution": "{0d2c1d4e-5f5a-4f7b-9c52-6a7b5e1f0001}"}
        if self.desktop:
            view[UNINSTALL + r"\Docker Desktop"] = {
                "DisplayName": "Docker Desktop",
                "DisplayVersion": self.desktop.version,
                "InstallLocation": DESKTOP_FOLDER,
            }
        return view

    # Actions

    def needs_reboot(self, reason: str) -> None:
        """Record a reason for a pending restart."""
        if reason not in self.pending_reboot:
            self.pending_reboot.append(reason)

    def enable(self, names: list[str], *, parents: bool) -> bool:
        """Enable features; return whether a restart is pending for them."""
        wanted = set(names)
        if HYPER_V in wanted and parents:
            wanted.add(HYPER_V_ALL)
        if HYPER_V_ALL in wanted:
            wanted.add(HYPER_V)
        for name in wanted:
            if self.features[name] == DISABLED:
                self.features[name] = PENDING
                self.needs_reboot("component")
        return any(self.features[name] == PENDING for name in names)

    def disable(self, names: list[str]) -> bool:
        """Disable features; return whether a restart is needed."""
        for name in names:
            self.features[name] = DISABLED
        self.needs_reboot("component")
        return True

    def restart(self) -> None:
        """Shut down and start again."""
        self.boot_time += 10 * _A_MINUTE
        self.down_for = -1 if self.faults.reboot_never_returns else self.reboot_connections
        self.pending_reboot = []
        for name, state in self.features.items():
            if state == PENDING:
                self.features[name] = ENABLED
        on = self.features.get(VM_PLATFORM) == ENABLED or self.features.get(HYPER_V) == ENABLED
        self.hypervisor_present = on and self.virtualization
        self.processes = []
        self.path = sorted({*self.path, *self.path_later})
        self.engine.running = False
        for service in self.services.values():
            service["state"] = "running" if service["start_mode"] == "auto" else "stopped"
        if self.engine.provider == "wsl":
            self.start_engine()

    def answers(self) -> bool:
        """Return whether a connection succeeds; counts the failing ones during a restart."""
        if self.faults.unreachable:
            return False
        if self.down_for is None:
            return True
        if self.down_for == 0:
            self.down_for = None
            return True
        self.down_for -= 1
        return False

    def install_desktop(self, *, backend: str, accept: bool, always_run_service: bool) -> None:
        """Install Docker Desktop: its programs, its service and its group."""
        self.desktop = Desktop(DESKTOP_VERSION, backend, accept, always_run_service)
        self.engine.provider = "desktop"
        for path in (DESKTOP_PROGRAM, DOCKER_CLI):
            self.make_folder(path.rpartition("\\")[0])
            self.put_file(path, b"program")
        self.put_file(DESKTOP_FOLDER + r"\DockerCli.exe", b"program")
        self.path_later = [DOCKER_CLI.rpartition("\\")[0]]
        self.services["com.docker.service"] = {
            "start_mode": "auto" if always_run_service else "manual",
            "state": "running" if always_run_service else "stopped",
        }
        self.groups.setdefault("docker-users", [])

    def why_no_engine(self) -> str:
        """Return why Docker Desktop's engine cannot start; empty if it can."""
        if self.desktop is None:
            return "Docker Desktop is not installed"
        if not self.desktop.license_accepted:
            return "the Docker Subscription Service Agreement was not accepted"
        needed = [WSL, VM_PLATFORM] if self.desktop.backend == "wsl-2" else [HYPER_V, CONTAINERS]
        for name in needed:
            if self.features.get(name) != ENABLED:
                return f"the feature {name} is not enabled"
        if not self.virtualization:
            return "virtualization is off"
        if self.desktop.backend == "wsl-2":
            version = tuple(int(part) for part in (self.wsl_version or "0").split("."))
            if version < MIN_WSL:
                return "WSL is too old"
        return ""

    def start_engine(self) -> None:
        """Start the engine, which does not answer at first."""
        if self.engine.running:
            return
        if self.engine.provider == "desktop":
            self.processes = sorted({*self.processes, "Docker Desktop.exe"})
            if self.why_no_engine() or self.faults.engine_never_ready:
                return
            self.distributions = sorted({*self.distributions, "docker-desktop"})
        self.engine.running = True
        self.engine.waits = self.engine.asked_in_vain

    def engine_answers(self) -> bool:
        """Return whether the engine answers; it may still be starting."""
        if not self.engine.running:
            return False
        if self.engine.waits > 0:
            self.engine.waits -= 1
            return False
        return True
