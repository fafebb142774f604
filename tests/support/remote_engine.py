"""A separate Docker engine for a test, reachable by SSH (with its own sshd and keys) and TLS.

The engine is a second dockerd with its own images, containers and bridge, so that requests which
wrongly go to this machine's engine are noticed immediately.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker

from rehearsal.kubernetes import certificates
from support import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Loopback addresses that represent the remote machine of the engine.
SSH_ADDRESS = "127.0.31.1"
TLS_ADDRESS = "127.0.31.2"
_NETWORKS = IPv4Network("172.31.192.0/18")
_BRIDGE_ADDRESS = "02:42:ac:1f:fa:01"
_STARTS_WITHIN = 60.0
_KEPT = Path("/var/cache/docker-ml-api/tests/engine")
_KEPT_BYTES = 4 * 1000**3


def _run(*command: str | Path) -> None:
    subprocess.run([*command], check=True, capture_output=True)


def _wait_for(process: subprocess.Popen[bytes], log: Path, words: str) -> None:
    end = time.monotonic() + _STARTS_WITHIN
    while words not in log.read_text(encoding="utf-8", errors="replace"):
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        assert time.monotonic() < end, log.read_text(encoding="utf-8", errors="replace")
        time.sleep(0.05)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait a limited time until a condition holds."""
    end = time.monotonic() + _STARTS_WITHIN
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextlib.contextmanager
def _process(command: list[str], log: Path, words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the context ends; enter it when the log contains these words."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_for(process, log, words)
        yield process
    finally:
        process.terminate()
        process.wait()


@dataclass
class Sshd:
    """An SSH server, with the files of a client: its key and the known host key."""

    folder: Path
    port: int
    log: Path
    user: str = field(default_factory=getpass.getuser)

    @property
    def url(self) -> str:
        """Return the engine's URL."""
        return f"ssh://{self.user}@{SSH_ADDRESS}:{self.port}"

    def arguments(self, key: str = "client", known: str = "known_hosts") -> str:
        """Return further arguments of ssh, which exclude this user's own settings."""
        return (
            f"-F none -i {self.folder}/{key} -o IdentitiesOnly=yes -o IdentityAgent=none "
            f"-o UserKnownHostsFile={self.folder}/{known} -o GlobalKnownHostsFile=none"
        )

    def logins(self) -> int:
        """Return the number of logins."""
        return self.log.read_text(encoding="utf-8").count("Accepted publickey")


@contextlib.contextmanager
def sshd(folder: Path, **environment: str) -> Iterator[Sshd]:
    """Run OpenSSH's server; sessions have these variables in their environment."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program, "These tests need an SSH server: apt-get install openssh-server"
    # The system service creates this folder before it starts.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder.mkdir()
    for name in ("host", "client", "stranger"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    shutil.copy(folder / "client.pub", folder / "authorized_keys")
    made = Sshd(folder, ports.free(), folder / "log")
    key = (folder / "host.pub").read_text(encoding="utf-8")
    other = (folder / "stranger.pub").read_text(encoding="utf-8")
    place = f"[{SSH_ADDRESS}]:{made.port}"
    (folder / "known_hosts").write_text(f"{place} {key}", encoding="utf-8")
    (folder / "changed_hosts").write_text(f"{place} {other}", encoding="utf-8")
    (folder / "no_hosts").touch()
    settings = {
        "ListenAddress": SSH_ADDRESS,
        "Port": made.port,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "LogLevel": "VERBOSE",
        "SetEnv": " ".join(f"{name}={value}" for name, value in environment.items()) or "A=b",
    }
    lines = "".join(f"{name} {value}\n" for name, value in settings.items())
    (folder / "config").write_text(lines, encoding="utf-8")
    command = [program, "-D", "-e", "-f", str(folder / "config")]
    with _process(command, made.log, "Server listening"):
        yield made


@dataclass
class Engine:
    """An engine that listens on its socket, and with TLS at `url`; `tls` has the certificates."""

    folder: Path
    port: int
    data: Path

    @property
    def socket(self) -> Path:
        """Return the path of its socket on this machine."""
        return self.folder / "engine.sock"

    @property
    def url(self) -> str:
        """Return its URL for TLS."""
        return f"tcp://{TLS_ADDRESS}:{self.port}"

    @property
    def tls(self) -> Path:
        """Return the folder with a client's ca.pem, cert.pem and key.pem."""
        return self.folder / "client"

    @property
    def strangers_tls(self) -> Path:
        """Return such a folder with a certificate signed by another CA."""
        return self.folder / "stranger"

    def cli(self, *arguments: str) -> str:
        """Run the docker command and return its output."""
        return subprocess.run(
            ["docker", f"--host=unix://{self.socket}", *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def containers(self) -> dict[str, str]:
        """Return the running containers: name → ID."""
        lines = self.cli("ps", "--no-trunc", "--format={{.Names}} {{.ID}}").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def images(self) -> dict[str, str]:
        """Return the images: name → ID."""
        form = "--format={{.Repository}}:{{.Tag}} {{.ID}}"
        return dict(line.split(" ", 1) for line in self.cli("images", form).splitlines())


def write_certificates(folder: Path) -> None:
    """Write the certificates of a server, a client, and clients that must fail."""
    authority, strangers = (certificates.make_authority(name) for name in ("engine", "stranger"))
    server = certificates.Subject("engine", hosts=(IPv4Address(TLS_ADDRESS),), client=False)
    for name, signer, ca, subject in (
        ("server", authority, authority, server),
        ("client", authority, authority, certificates.Subject("client")),
        # Trusts the engine, which does not trust it.
        ("stranger", strangers, authority, certificates.Subject("client")),
        # Trusted by the engine, but trusts another CA.
        ("mistrusting", authority, strangers, certificates.Subject("client")),
    ):
        pair = certificates.sign(signer, subject)
        place = folder / name
        place.mkdir(mode=0o700)
        (place / "ca.pem").write_bytes(ca.certificate)
        (place / "cert.pem").write_bytes(pair.certificate)
        (place / "key.pem").touch(mode=0o600)
        (place / "key.pem").write_bytes(pair.key)


def _free_network() -> IPv4Interface:
    """Return the first address of a network that no interface uses, not even a left-over one."""
    said = subprocess.run(["ip", "-json", "address"], check=True, capture_output=True).stdout
    taken = [
        IPv4Interface(f"{one['local']}/{one['prefixlen']}").network
        for link in json.loads(said)
        for one in link["addr_info"]
        if one["family"] == "inet"
    ]
    for network in _NETWORKS.subnets(new_prefix=24):
        if not any(network.overlaps(other) for other in taken):
            return IPv4Interface(f"{network[1]}/{network.prefixlen}")
    raise AssertionError(f"every network of {_NETWORKS} is taken: see ip address")


@contextlib.contextmanager
def _bridge(name: str) -> Iterator[None]:
    """Create a network for containers, with outgoing NAT through this machine's addresses."""
    address = _free_network()
    rules: list[tuple[str, ...]] = [
        ("nat", "POSTROUTING", "-s", str(address.network), "!", "-o", name, "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-i", name, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-o", name, "-j", "ACCEPT"),
    ]
    # Without a MAC address of its own, the bridge takes that of a container, and another when this
    # container ends: the other containers then lose their connection.
    _run("ip", "link", "add", name, "address", _BRIDGE_ADDRESS, "type", "bridge")
    try:
        _run("ip", "address", "add", str(address), "dev", name)
        _run("ip", "link", "set", name, "up")
        for table, chain, *rule in rules:
            _run("iptables", "--wait", "--table", table, "--insert", chain, *rule)
        yield
    finally:
        for table, chain, *rule in rules:
            subprocess.run(
                ["iptables", "--wait", "--table", table, "--delete", chain, *rule],
                check=False,
                capture_output=True,
            )
        _run("ip", "link", "delete", name)


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """Run a second dockerd with tlsverify until the context ends."""
    program = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program, "These tests need an engine's program: apt-get install docker.io"
    folder.mkdir()
    write_certificates(folder)
    made = Engine(folder, ports.free(), _data(program))
    name = f"t{uuid.uuid4().hex[:8]}"
    server = folder / "server"
    command = [
        program,
        f"--host=unix://{made.socket}",
        f"--host={made.url}",
        "--tlsverify",
        f"--tlscacert={server}/ca.pem",
        f"--tlscert={server}/cert.pem",
        f"--tlskey={server}/key.pem",
        f"--data-root={made.data}",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--bridge={name}",
        # The rules of the machine's own engine remain unchanged.
        "--iptables=false",
        "--ip6tables=false",
        "--ip-masq=false",
        f"--containerd-namespace={name}",
        f"--containerd-plugins-namespace={name}-plugins",
    ]
    with _alone(made.data), _bridge(name), _process(command, folder / "log", "API listen on"):
        client = docker.DockerClient(base_url=f"unix://{made.socket}")
        try:
            # A killed run may have left objects.
            _remove_all(client)
            yield made
        finally:
            _remove_all(client)
            client.close()


def _data(program: str) -> Path:
    """Return the data folder for engines of this version, which keeps the build cache."""
    said = subprocess.run([program, "--version"], check=True, capture_output=True).stdout
    return _KEPT / hashlib.sha256(said).hexdigest()[:12]


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Allow only one engine at a time to use the data."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with data.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_all(client: Any) -> None:
    """Remove containers, volumes and images; keep a limited build cache."""
    for container in client.api.containers(all=True):
        client.api.remove_container(container["Id"], force=True, v=True)
    client.api.prune_volumes()
    for image in client.api.images():
        client.api.remove_image(image["Id"], force=True)
    client.api._post(client.api._url("/build/prune"), params={"keep-storage": _KEPT_BYTES})
