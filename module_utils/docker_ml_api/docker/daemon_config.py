"""Validates and merges the Docker engine's options, as in /etc/docker/daemon.json.

The engine refuses to start with an unknown option or a value of the wrong type,
so both are rejected here first. This module has no side effects.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

_BOOLEANS = """
    allow-direct-routing debug experimental icc init ip-forward ip-forward-no-drop ip-masq
    ip6tables iptables ipv6 live-restore no-new-privileges raw-logs selinux-enabled tls
    tlsverify userland-proxy
"""
_INTEGERS = """
    cpu-rt-period cpu-rt-runtime max-concurrent-downloads max-concurrent-uploads
    max-download-attempts mtu network-control-plane-mtu network-diagnostic-port
    oom-score-adjust shutdown-timeout
"""
_STRINGS = """
    api-cors-header bip bip6 bridge bridge-accept-fwmark cgroup-parent containerd
    containerd-namespace containerd-plugins-namespace data-root default-cgroupns-mode
    default-gateway default-gateway-v6 default-ipc-mode default-runtime default-shm-size
    exec-root firewall-backend fixed-cidr fixed-cidr-v6 group host-gateway-ip http-proxy
    https-proxy init-path ip isolation log-driver log-format log-level metrics-addr
    min-api-version no-proxy pidfile seccomp-profile storage-driver
    swarm-default-advertise-addr tlscacert tlscert tlskey userland-proxy-path userns-remap
"""
_LISTS = """
    allow-nondistributable-artifacts authorization-plugins cdi-spec-dirs
    default-address-pools dns dns-opts dns-search exec-opts host-gateway-ips hosts
    insecure-registries labels node-generic-resources registry-mirrors storage-opts
"""
_DICTIONARIES = """
    builder default-network-opts default-ulimits features log-opts proxies runtimes
"""

KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(_BOOLEANS.split(), (bool, "true or false")),
    **dict.fromkeys(_INTEGERS.split(), (int, "an integer")),
    **dict.fromkeys(_STRINGS.split(), (str, "a string")),
    **dict.fromkeys(_LISTS.split(), (list, "a list")),
    **dict.fromkeys(_DICTIONARIES.split(), (dict, "a dictionary")),
}
# Dictionaries whose values must be strings for the engine, even numbers.
_OF_STRINGS = ("log-opts", "proxies")
_LEVELS = ("debug", "info", "warn", "error", "fatal")


class ConfigError(Exception):
    """The options or the file cannot be used; the message is a sentence."""


def _fits(value: Any, kind: type) -> bool:
    # In Python a boolean is an integer, but not for the engine.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def problem_of(name: str, value: Any) -> str:
    """Return a sentence on the problem of an option, or an empty string."""
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        return f"{name} is no option of the Docker engine{hint}"
    if value is None:
        return ""
    kind, description = KINDS[name]
    if not _fits(value, kind):
        return f"{name} must be {description}, not {json.dumps(value)}."
    if name == "log-level" and value not in _LEVELS:
        return f"log-level must be one of {', '.join(_LEVELS)}, not {value}."
    if name in _OF_STRINGS:
        wrong = [key for key, one in value.items() if not isinstance(one, str | None)]
        if wrong:
            return f"{name}.{wrong[0]} must be a string (in quotation marks)."
    return ""


def problems_of(options: dict[str, Any]) -> list[str]:
    """Return a sentence for each option that the engine would reject."""
    return [found for name in options if (found := problem_of(name, options[name]))]


def merge(current: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Merge `wanted` into `current`: dictionaries merge, None removes, other values replace."""
    merged = dict(current)
    for name, value in wanted.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def parse(text: str, path: str) -> dict[str, Any]:
    """Return the options in a daemon.json; none for an empty file.

    Raises ConfigError if the text is not a JSON object.
    """
    if not text.strip():
        return {}
    fix = "fix or remove that file."
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is no valid JSON ({error}): {fix}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is no JSON object: {fix}")
    return value


def dump(options: dict[str, Any]) -> str:
    """Return the options as the text of a daemon.json."""
    return json.dumps(options, indent=2, sort_keys=True) + "\n"
