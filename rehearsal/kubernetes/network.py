"""The network on the host: one interface, a few rules, some kernel settings."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.kubernetes import commands, layout
from rehearsal.kubernetes.errors import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROC_SYS = Path("/proc/sys")
_LINKS_GONE_WITHIN = 10.0

_KUBERNETES_CHAIN = re.compile(r"KUBE-")
_OWN_CHAIN = re.compile(r"KUBE-|REHEARSAL-")
_FORWARD, _INPUT = "REHEARSAL-FORWARD", "REHEARSAL-INPUT"

# Kernel settings changed by kubelet, kube-proxy and the CNI plugins; `down` restores them.
SETTINGS = (
    "net/ipv4/conf/all/accept_redirects",  # changed by the kernel together with ip_forward
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)

# Pods reach each other and the node, nothing else. The ACCEPT rule is necessary because a Docker
# engine drops packets that it does not forward itself. The node's address is reachable from pods
# and this machine, not from its neighbours.
RULES = (
    f"-A {_FORWARD} -s {layout.POD_NETWORK} -d {layout.POD_NETWORK} -j ACCEPT",
    f"-A {_FORWARD} -s {layout.POD_NETWORK} -j REJECT --reject-with icmp-admin-prohibited",
    f"-A {_INPUT} -s {layout.POD_NETWORK} -d {layout.NODE_ADDRESS}/32 -j ACCEPT",
    f"-A {_INPUT} -d {layout.NODE_ADDRESS}/32 ! -i lo -j DROP",
)
"""The rules in the format of iptables-save."""


def refuse_foreign() -> None:
    """Raise RehearsalError if something else uses what the cluster needs."""
    for family in _families():
        if chains(_iptables_save(family), _KUBERNETES_CHAIN):
            raise RehearsalError(
                "Another Kubernetes has its rules on this machine (iptables chains KUBE-*): "
                "run the rehearsal where there is none, or stop that one."
            )
    for route in _routes():
        if "/" in route["dst"] and IPv4Network(route["dst"]).overlaps(layout.NETWORKS):
            raise RehearsalError(
                f"The network {route['dst']} of {route.get('dev', 'another interface')} overlaps "
                f"with the cluster's {layout.NETWORKS}: remove that route, or run elsewhere."
            )
    if _bridge_is_there():
        raise RehearsalError(
            f"An interface {layout.BRIDGE} is there that is not the cluster's: remove it."
        )
    for address, port in layout.LISTENERS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(address), port))
            except OSError as error:
                raise RehearsalError(
                    f"{address}:{port} is taken ({error.strerror}): stop what listens there."
                ) from error


def read_settings() -> dict[str, str]:
    """Return the current values of the kernel settings."""
    found = {}
    for name in SETTINGS:
        with suppress(FileNotFoundError):
            found[name] = (_PROC_SYS / name).read_text(encoding="ascii").strip()
    return found


def restore_settings(settings: Mapping[str, str]) -> None:
    """Restore the kernel settings; a Docker engine started meanwhile keeps its forwarding."""
    docker = "DOCKER" in chains(_iptables_save("iptables"), re.compile("DOCKER$"))
    for name in sorted(settings, key=lambda name: name != "net/ipv4/ip_forward"):
        path = _PROC_SYS / name
        if docker and name == "net/ipv4/ip_forward":
            continue
        if path.read_text(encoding="ascii").strip() != settings[name]:
            path.write_text(settings[name], encoding="ascii")


def ensure() -> None:
    """Create the interface and the rules if they are missing or differ."""
    (_PROC_SYS / "net/ipv4/ip_forward").write_text("1", encoding="ascii")
    if not _bridge_is_there():
        commands.run(["ip", "link", "add", layout.BRIDGE, "type", "bridge"])
    commands.run(["ip", "link", "set", layout.BRIDGE, "addrgenmode", "none"])
    commands.run(["ip", "address", "replace", f"{layout.NODE_ADDRESS}/32", "dev", layout.BRIDGE])
    commands.run(["ip", "link", "set", layout.BRIDGE, "up"])
    if not set(RULES) <= set(_iptables_save("iptables").splitlines()):
        heads = [f":{chain} - [0:0]" for chain in (_FORWARD, _INPUT)]
        _restore("iptables", "\n".join(["*filter", *heads, *RULES, "COMMIT", ""]))
    for chain, target in (("FORWARD", _FORWARD), ("INPUT", _INPUT)):
        rule = (chain, "--jump", target)
        if not commands.succeeds(["iptables", "--wait", "--check", *rule]):
            commands.run(["iptables", "--wait", "--insert", *rule])


def remove() -> None:
    """Remove the cluster's interface, links to pods and rules."""
    _remove_links()
    for family in _families():
        if removal := removal_of_own(_iptables_save(family)):
            _restore(family, removal)


def chains(saved: str, pattern: re.Pattern[str]) -> set[str]:
    """Return the matching chains in the output of iptables-save."""
    names = {line[1:].split()[0] for line in saved.splitlines() if line.startswith(":")}
    return {name for name in names if pattern.match(name)}


def removal_of_own(saved: str) -> str:
    """Return input for iptables-restore --noflush that removes own chains and the jumps to them.

    `saved` is the output of iptables-save. The result is empty if there is nothing to remove.
    """
    parts: list[str] = []
    for table in re.findall(r"^\*.*?^COMMIT$", saved, re.MULTILINE | re.DOTALL):
        own = chains(table, _OWN_CHAIN)
        if not own:
            continue
        lines = table.splitlines()
        rules = [line for line in lines if line.startswith("-A ")]
        parts.append(lines[0])
        parts += [
            f"-D {rule.removeprefix('-A ')}"
            for rule in rules
            if rule.split()[1] not in own and _target(rule) in own
        ]
        parts += [f"-F {name}" for name in sorted(own)]
        parts += [f"-X {name}" for name in sorted(own)]
        parts.append("COMMIT")
    return "".join(f"{part}\n" for part in parts)


def _target(rule: str) -> str | None:
    found = re.search(r" -[jg] (\S+)", rule)
    return found[1] if found else None


def _remove_links() -> None:
    """Remove the host's ends of pod links; the kernel removes the other ends with the pods."""
    end = time.monotonic() + _LINKS_GONE_WITHIN
    while devices := {
        route["dev"]
        for route in _routes()
        if route["dst"] != "default" and IPv4Network(route["dst"]).subnet_of(layout.POD_NETWORK)
    }:
        for device in devices:
            # It may have been removed in the meantime.
            commands.succeeds(["ip", "link", "delete", "dev", device])
        if time.monotonic() > end:
            raise RehearsalError(f"Interfaces remain ({', '.join(devices)}): run `down` again.")
    if _bridge_is_there():
        commands.run(["ip", "link", "delete", "dev", layout.BRIDGE])


def _bridge_is_there() -> bool:
    # Not /sys/class/net, which shows the network namespace in which /sys was mounted.
    return layout.BRIDGE in {name for _, name in socket.if_nameindex()}


def _families() -> tuple[str, ...]:
    """Return the iptables commands for the IP versions that the kernel supports."""
    has_ipv6 = Path("/proc/net/if_inet6").exists()
    return ("iptables", "ip6tables") if has_ipv6 else ("iptables",)


def _routes() -> list[dict[str, Any]]:
    shown = commands.run(["ip", "-4", "-json", "route", "show"])
    routes: list[dict[str, Any]] = json.loads(shown or "[]")
    return [route for route in routes if route["dst"] != "default"]


def _iptables_save(family: str) -> str:
    return commands.run([f"{family}-save"])


def _restore(family: str, rules: str) -> None:
    commands.run([f"{family}-restore", "--noflush", "--wait"], stdin=rules)
