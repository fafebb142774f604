"""Google's catalog: regions and zones, machine types, GKE versions."""

from __future__ import annotations

from dataclasses import dataclass

REGIONS: dict[str, str] = {
    "asia-east1": "abc",
    "asia-northeast1": "abc",
    "asia-south1": "abc",
    "asia-southeast1": "abc",
    "australia-southeast1": "abc",
    "europe-central2": "abc",
    "europe-north1": "abc",
    "europe-southwest1": "abc",
    "europe-west1": "bcd",
    "europe-west2": "abc",
    "europe-west3": "abc",
    "europe-west4": "abc",
    "europe-west6": "abc",
    "europe-west8": "abc",
    "europe-west9": "abc",
    "northamerica-northeast1": "abc",
    "southamerica-east1": "abc",
    "us-central1": "abcf",
    "us-east1": "bcd",
    "us-east4": "abc",
    "us-west1": "abc",
    "us-west2": "abc",
    "us-west4": "abc",
}
"""The zone letters of each region."""

ZONES_OF_A_REGIONAL_CLUSTER = 3


def zones_of(region: str) -> list[str]:
    """Return the region's zones; none for an unknown region."""
    return [f"{region}-{letter}" for letter in REGIONS.get(region, "")]


def region_of(location: str) -> str:
    """Return the region of a zone, or the region itself."""
    return location if location in REGIONS else location.rpartition("-")[0]


def is_zone(location: str) -> bool:
    """Return whether the location is a known zone."""
    return location in zones_of(region_of(location))


def exists(location: str) -> bool:
    """Return whether the location is a known zone or region."""
    return location in REGIONS or is_zone(location)


@dataclass(frozen=True)
class MachineType:
    """The properties of a machine type that quotas and GKE use."""

    name: str
    cpus: int
    memory_mb: int
    shared: bool = False


def _family(name: str, sizes: tuple[int, ...], gib_a_cpu: float) -> list[MachineType]:
    return [MachineType(f"{name}-{size}", size, int(size * gib_a_cpu * 1024)) for size in sizes]


MACHINE_TYPES: dict[str, MachineType] = {
    machine.name: machine
    for machine in (
        MachineType("f1-micro", 1, 614, shared=True),
        MachineType("g1-small", 1, 1740, shared=True),
        MachineType("e2-micro", 2, 1024, shared=True),
        MachineType("e2-small", 2, 2048, shared=True),
        MachineType("e2-medium", 2, 4096, shared=True),
        *_family("e2-standard", (2, 4, 8, 16, 32), 4),
        *_family("e2-highmem", (2, 4, 8, 16), 8),
        *_family("e2-highcpu", (2, 4, 8, 16, 32), 1),
        *_family("n1-standard", (1, 2, 4, 8, 16, 32, 64, 96), 3.75),
        *_family("n1-highmem", (2, 4, 8, 16, 32, 64, 96), 6.5),
        *_family("n1-highcpu", (2, 4, 8, 16, 32, 64, 96), 0.9),
        *_family("n2-standard", (2, 4, 8, 16, 32, 48, 64, 80), 4),
        *_family("n2d-standard", (2, 4, 8, 16, 32, 48, 64, 80), 4),
        *_family("n4-standard", (2, 4, 8, 16, 32, 48, 64, 80), 4),
        *_family("c3-standard", (4, 8, 22, 44, 88), 4),
        *_family("c4-standard", (2, 4, 8, 16, 24, 32, 48), 3.75),
        *_family("t2d-standard", (1, 2, 4, 8, 16, 32, 48, 60), 4),
    )
}

CHANNELS: dict[str, list[str]] = {
    "RAPID": ["1.35.1-gke.1396000", "1.35.0-gke.3047001", "1.34.4-gke.1130000"],
    "REGULAR": ["1.34.4-gke.1047000", "1.34.3-gke.1318000", "1.33.8-gke.1112000"],
    "STABLE": ["1.33.8-gke.1026000", "1.33.7-gke.1163000", "1.32.11-gke.1174000"],
    "EXTENDED": ["1.34.4-gke.1047000", "1.33.8-gke.1112000", "1.30.14-gke.1850000"],
}
"""The valid versions of each channel, newest first; the first is the default."""
MATURITY = ("STABLE", "REGULAR", "RAPID")
"""A cluster with a version but no channel joins the first of these that offers the version."""
DEFAULT_CHANNEL = "REGULAR"


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as a comparable tuple, e.g. (1, 34, 4, 1047000)."""
    return tuple(int(part) for part in version.replace("-gke.", ".").split(".") if part.isdigit())


def all_versions() -> list[str]:
    """Return every valid version, newest first."""
    return sorted({v for each in CHANNELS.values() for v in each}, key=numbers, reverse=True)


def resolve(asked: str, channel: str) -> str | None:
    """Return the version for an alias ("latest", "1.34", "1.34.4", "-", "").

    The result is None if no such version is offered.
    """
    offered = CHANNELS.get(channel) or all_versions()
    if asked in ("", "-"):
        return CHANNELS.get(channel, CHANNELS[DEFAULT_CHANNEL])[0]
    if asked == "latest":
        return offered[0]
    if asked in offered:
        return asked
    if "-gke" in asked:
        return None
    return next((each for each in offered if each.startswith((f"{asked}.", f"{asked}-"))), None)


IMAGE_TYPES = ["COS_CONTAINERD", "UBUNTU_CONTAINERD", "WINDOWS_LTSC_CONTAINERD"]


def server_config() -> dict[str, object]:
    """Return a ServerConfig."""
    versions = all_versions()
    return {
        "channels": [
            {
                "channel": channel,
                "defaultVersion": valid[0],
                "upgradeTargetVersion": valid[0],
                "validVersions": valid,
            }
            for channel, valid in CHANNELS.items()
        ],
        "defaultClusterVersion": CHANNELS[DEFAULT_CHANNEL][0],
        "defaultImageType": IMAGE_TYPES[0],
        "validImageTypes": IMAGE_TYPES,
        "validMasterVersions": versions,
        "validNodeVersions": versions,
    }
