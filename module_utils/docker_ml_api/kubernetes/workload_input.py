"""Validates apps and workloads; each problem is one sentence.

The mappings are the parameters of the module workload_manifests: every option is present, and
is None if it was not given.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.kubernetes import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Options = Mapping[str, Any]

DEPLOYMENT = "Deployment"
LOAD_BALANCER = "LoadBalancer"
APP_LABEL = "app"
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
OUR_DOMAIN = "docker-ml-api"
# Environment variables that the pods get from us.
OWN_ENVIRONMENT = ("PORT", "INSTANCE_NAME")

# Options of a workload that default to those of the module.
_SHARED = ("namespace", "kind", "expose", "replicas", "probes", "graceful")
_BALANCER_OPTIONS = ("load_balancer_class", "load_balancer_source_ranges")

_LONGEST_NAME = 63
_LONGEST_SUBDOMAIN = 253
_LAST_PORT = 65535
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_1035_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_ENVIRONMENT_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")
_HOST = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_REGISTRY = re.compile(rf"{_HOST}(?:/[A-Za-z0-9._-]+)*")
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PATH = re.compile(r"/[\x21-\x7e]*")
_SHARE = re.compile(r"(?P<percent>[1-9][0-9]?|100)%|0%")

_NAME_RULE = (
    "lower-case letters, digits and '-', at most 63 characters, a letter or digit first and last"
)
_SERVICE_RULE = (
    "lower-case letters, digits and '-', at most 63 characters, "
    "a letter first and a letter or digit last"
)
_VALUE_RULE = (
    "text of at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last; "
    "quote it in YAML if it looks like a number or true/false"
)
# The smallest useful amounts for a node and a container. Docker's 64m would be 0.064 bytes here.
_LEAST = {"cpu": Decimal("0.001"), "memory": Decimal(1024**2)}
_TOLERATION_KEYS = ("key", "operator", "value", "effect", "tolerationSeconds")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def settled(workload: Options, apps: Mapping[str, Options], params: Options) -> dict[str, Any]:
    """Return the workload with the defaults of its app and of the module's options.

    The app's mapping is under `app`. Raises KeyError for an unknown app.
    """
    app = apps[workload["app"]]
    given = {key: value for key, value in workload.items() if value is not None}
    return {
        **workload,
        **{key: params[key] for key in _SHARED},
        "service_name": workload["name"],
        "service_port": app["port"],
        **given,
        "app": app,
        "labels": workload["labels"] or {},
        "resources": merged_resources(app["resources"], workload["resources"]),
    }


def merged_resources(*several: Options | None) -> dict[str, dict[str, Any]]:
    """Return the merged requests and limits; a later mapping overrides single resources."""
    merged: dict[str, dict[str, Any]] = {"requests": {}, "limits": {}}
    for resources in several:
        for part, values in merged.items():
            values.update((resources or {}).get(part) or {})
    return merged


def problems(params: Options) -> list[str]:
    """Return all problems of the module's parameters."""
    found = [*_general(params)]
    apps = {app["name"]: app for app in params["apps"]}
    for name, count in Counter(app["name"] for app in params["apps"]).items():
        if count > 1:
            found.append(f"App {name} stands {count} times in apps: name each app once.")
    for app in params["apps"]:
        found += [f"App {app['name']}: {problem}" for problem in _app(app)]
    workloads = []
    for given in params["workloads"]:
        place = f"Workload {given['name']} in {given['namespace'] or params['namespace']}: "
        if given["app"] not in apps:
            known = ", ".join(apps) or "none"
            found.append(
                f"{place}app must be the name of one of apps ({known}), not {given['app']}."
            )
            continue
        workload = settled(given, apps, params)
        workloads.append(workload)
        found += [place + problem for problem in _workload(workload, given, params)]
    return [*found, *_twins(workloads)]


def _twins(workloads: list[dict[str, Any]]) -> Iterator[str]:
    for key in ("name", "service_name"):
        counts = Counter((one["namespace"], one[key]) for one in workloads)
        for (namespace, name), count in counts.items():
            if count > 1:
                yield (
                    f"{count} workloads in {namespace} have the {key} {name}: "
                    f"give each a {key} of its own."
                )


def _general(params: Options) -> Iterator[str]:
    yield from _namespace(params["namespace"])
    yield from _replicas(params["replicas"])
    if not params["labels"]:
        yield (
            "labels must hold at least one label, by which our objects are recognized, as in "
            "app.kubernetes.io/managed-by: docker-ml-api."
        )
    yield from _labels("labels", params["labels"] or {}, reserved=_reserved({}))
    if params["registry"] and not _REGISTRY.fullmatch(params["registry"]):
        yield (
            "registry must be HOST or HOST/PATH without https:// and without a last /, as in "
            f"docker.io/ACCOUNT or registry.example.com:5000/team, not {params['registry']!r}."
        )
    if params["pull_secret"] and not _subdomain(params["pull_secret"]):
        yield (
            "pull_secret must be made of lower-case letters, digits, '-' and '.', at most 253 "
            f"characters, a letter or digit first and last, not {params['pull_secret']!r}."
        )
    for app, digest in (params["digests"] or {}).items():
        if not _DIGEST.fullmatch(str(digest)):
            yield f"digests must give app {app} a digest sha256:… of 64 hex digits, not {digest!r}."
    if params["min_ready"] < 0:
        yield f"min_ready must be 0 or more seconds, not {params['min_ready']}."
    if params["progress_deadline"] <= params["min_ready"]:
        yield (
            f"progress_deadline must be more seconds than min_ready ({params['min_ready']}), "
            f"not {params['progress_deadline']}."
        )
    if params["termination_grace"] < 1:
        yield f"termination_grace must be 1 or more seconds, not {params['termination_grace']}."
    elif not 0 <= params["pre_stop"] < params["termination_grace"]:
        yield (
            "pre_stop must be 0 or more seconds and less than termination_grace "
            f"({params['termination_grace']}), not {params['pre_stop']}."
        )


def _app(app: Options) -> Iterator[str]:
    if not _label_value(app["name"]):
        yield f"name must be {_VALUE_RULE}, not {app['name']!r}."
    if not _IMAGE.fullmatch(app["image"]):
        yield f"image must be NAME:TAG, as in diabetes:v1, in lower case, not {app['image']!r}."
    yield from _port("port", app["port"])
    for key in ("alive_path", "ready_path"):
        if app[key] is not None and not _PATH.fullmatch(app[key]):
            yield f"{key} must begin with / and hold no blanks, as in /isAlive, not {app[key]!r}."
    yield from _resources(merged_resources(app["resources"]))


def _workload(workload: Options, given: Options, params: Options) -> Iterator[str]:
    yield from _names(workload)
    # Defaults from the module's options or the app are validated there, once.
    if given["namespace"] is not None:
        yield from _namespace(given["namespace"])
    if given["service_port"] is not None:
        yield from _port("service_port", given["service_port"])
    if given["replicas"] is not None:
        yield from _replicas(given["replicas"])
    yield from _labels("labels", workload["labels"], reserved=_reserved(params["labels"]))
    yield from _labels("node_selector", workload["node_selector"] or {})
    yield from _annotations(workload["service_annotations"] or {})
    yield from _environment(workload["environment"] or {})
    if given["resources"]:
        yield from _resources(workload["resources"])
    yield from _balancer(workload)
    for toleration in workload["tolerations"] or []:
        yield from _toleration(toleration)
    yield from _autoscale(workload)
    yield from _budget(workload)


def _names(workload: Options) -> Iterator[str]:
    if not _dns_label(workload["name"]):
        yield f"name must be made of {_NAME_RULE}, not {workload['name']!r}."
    service = workload["service_name"]
    if len(service) > _LONGEST_NAME or not _DNS_1035_LABEL.fullmatch(service):
        yield f"service_name must be made of {_SERVICE_RULE}, not {service!r}."


def _namespace(namespace: str) -> Iterator[str]:
    if not _dns_label(namespace):
        yield f"namespace must be made of {_NAME_RULE}, not {namespace!r}."
    elif namespace.startswith("kube-"):
        yield (
            "namespace must not begin with kube-, such namespaces are Kubernetes's own; "
            f"{namespace} does."
        )


def _replicas(replicas: int) -> Iterator[str]:
    if replicas < 1:
        yield f"replicas must be 1 or more, not {replicas}."


def _port(key: str, port: int) -> Iterator[str]:
    if not 1 <= port <= _LAST_PORT:
        yield f"{key} must be a number from 1 to {_LAST_PORT}, not {port}."


def _dns_label(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and _DNS_LABEL.fullmatch(text) is not None


def _subdomain(text: str) -> bool:
    return len(text) <= _LONGEST_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(text) is not None


def _qualified(text: Any) -> bool:
    """Return whether this is a valid name of a label or an annotation: NAME or DOMAIN/NAME."""
    if not isinstance(text, str):
        return False
    domain, slash, name = text.rpartition("/")
    if slash and not _subdomain(domain):
        return False
    return len(name) <= _LONGEST_NAME and _QUALIFIED.fullmatch(name) is not None


def _label_value(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    return len(text) <= _LONGEST_NAME and (not text or _QUALIFIED.fullmatch(text) is not None)


def _reserved(ours: Options) -> set[str]:
    """Return the labels that this project sets itself."""
    return {APP_LABEL, NAME_LABEL, INSTANCE_LABEL, *(ours or {})}


def _ours(key: str) -> bool:
    return key.startswith(f"{OUR_DOMAIN}/")


def _labels(
    option: str, labels: Options, reserved: set[str] | frozenset[str] = frozenset()
) -> Iterator[str]:
    for key, value in labels.items():
        if not _qualified(key):
            yield (
                f"{option} must have keys NAME or DOMAIN/NAME of letters, digits, '-', '_' and "
                f"'.', at most 63 characters in NAME, not {key!r}."
            )
        elif key in reserved or (reserved and _ours(key)):
            yield f"{option} must not hold {key}, which is set for you: choose another key."
        if not _label_value(value):
            yield f"{option} must give {key} {_VALUE_RULE}; it is {value!r}."


def _annotations(annotations: Options) -> Iterator[str]:
    for key, value in annotations.items():
        if not _qualified(key) or _ours(key):
            yield (
                "service_annotations must have keys NAME or DOMAIN/NAME of letters, digits, '-', "
                f"'_' and '.', the domain not {OUR_DOMAIN}, not {key!r}."
            )
        if not isinstance(value, str):
            yield f"service_annotations must give {key} text: quote {value!r}."


def _environment(environment: Options) -> Iterator[str]:
    for key, value in environment.items():
        if not isinstance(key, str) or not _ENVIRONMENT_NAME.fullmatch(key):
            yield (
                "environment must have names of letters, digits, '_', '-' and '.', "
                f"no digit first, not {key!r}."
            )
        elif key in OWN_ENVIRONMENT:
            yield f"environment must not hold {key}, which is set for you."
        if not isinstance(value, str):
            yield f"environment must give {key} text: quote {value!r}."


def _resources(resources: Options) -> Iterator[str]:
    """Yield the problems of merged requests and limits."""
    values: dict[tuple[str, str], Decimal] = {}
    for part in ("requests", "limits"):
        for name, text in resources[part].items():
            place = f"resources.{part}.{name}"
            if name not in ("cpu", "memory", "ephemeral-storage") and "/" not in str(name):
                yield (
                    f"resources.{part} must name cpu, memory, ephemeral-storage or a device as in "
                    f"nvidia.com/gpu, not {name!r}."
                )
                continue
            try:
                value = quantity.parse(text)
            except ValueError as error:
                yield f"{place} must be a quantity as in 500m (CPU) or 64Mi (memory): {error}."
                continue
            values[part, name] = value
            yield from _amount(place, name, text, value)
    for (part, name), limit in values.items():
        request = values.get(("requests", name))
        if part != "limits" or request is None:
            continue
        if limit < request:
            yield (
                f"resources.limits.{name} ({resources['limits'][name]}) must not be less than "
                f"resources.requests.{name} ({resources['requests'][name]})."
            )
        elif "/" in name and limit != request:
            yield f"resources.requests.{name} and resources.limits.{name} must be equal."


def _amount(place: str, name: str, text: Any, value: Decimal) -> Iterator[str]:
    least = _LEAST.get(name, Decimal(0))
    if value < least or (value == 0 and name in _LEAST):
        enough = {"cpu": "1m", "memory": "1Mi"}.get(name, "0")
        hint = " (m is a thousandth here, Mi is a mebibyte)" if name == "memory" else ""
        yield f"{place} must be {enough} or more, not {text}{hint}."
    elif "/" in name and value != value.to_integral_value():
        yield f"{place} must be a whole number of devices, not {text}."


def _balancer(workload: Options) -> Iterator[str]:
    if workload["expose"] != LOAD_BALANCER:
        for key in _BALANCER_OPTIONS:
            if workload[key]:
                yield f"{key} needs expose: {LOAD_BALANCER}, but expose is {workload['expose']}."
    name = workload["load_balancer_class"]
    if name and not _qualified(name):
        yield f"load_balancer_class must be NAME or DOMAIN/NAME, not {name!r}."
    for cidr in workload["load_balancer_source_ranges"] or []:
        try:
            right = "/" in cidr and ipaddress.ip_network(cidr)
        except ValueError:
            right = False
        if not right:
            yield (
                "load_balancer_source_ranges must hold networks as in 203.0.113.0/24 or "
                f"2001:db8::/32, not {cidr!r}."
            )


def _toleration(toleration: Options) -> Iterator[str]:
    for key in toleration:
        if key not in _TOLERATION_KEYS:
            yield f"tolerations must have the keys {', '.join(_TOLERATION_KEYS)}, not {key!r}."
    operator, value = toleration.get("operator"), toleration.get("value")
    operator = "Equal" if operator is None else operator
    if operator not in ("Equal", "Exists"):
        yield f"tolerations must have the operator Equal or Exists, not {operator!r}."
    if operator == "Exists" and value:
        yield "tolerations must have no value with the operator Exists."
    if operator == "Equal" and not toleration.get("key"):
        yield "tolerations must have a key with the operator Equal."
    if toleration.get("key") and not _qualified(toleration["key"]):
        yield f"tolerations must have a key NAME or DOMAIN/NAME, not {toleration['key']!r}."
    if value is not None and not _label_value(value):
        yield f"tolerations must have as value {_VALUE_RULE}; it is {value!r}."
    effect = toleration.get("effect")
    if effect and effect not in _EFFECTS:
        yield f"tolerations must have one of the effects {', '.join(_EFFECTS)}, not {effect!r}."
    seconds = toleration.get("tolerationSeconds")
    if seconds is not None and (not isinstance(seconds, int) or effect != "NoExecute"):
        yield (
            "tolerations may have tolerationSeconds, a whole number, with the effect NoExecute "
            "only."
        )


def _autoscale(workload: Options) -> Iterator[str]:
    scale = workload["autoscale"]
    if not scale:
        return
    if workload["kind"] != DEPLOYMENT:
        yield (
            f"autoscale needs kind: {DEPLOYMENT}; a {workload['kind']} is rolled pod by pod, "
            "which an autoscaler would fight."
        )
    resources = workload["resources"]
    if not resources["requests"].get("cpu") and not resources["limits"].get("cpu"):
        yield "autoscale needs resources.requests.cpu: its percentage is of that."
    if scale["min_replicas"] < 1:
        yield f"autoscale.min_replicas must be 1 or more, not {scale['min_replicas']}."
    if scale["max_replicas"] < scale["min_replicas"]:
        yield (
            "autoscale.max_replicas must not be less than autoscale.min_replicas "
            f"({scale['min_replicas']}), not {scale['max_replicas']}."
        )
    if scale["cpu_percent"] < 1:
        yield f"autoscale.cpu_percent must be 1 or more, not {scale['cpu_percent']}."
    if not 0 <= scale["scale_down_delay"] <= 3600:  # noqa: PLR2004 - the API's bound
        yield (
            "autoscale.scale_down_delay must be from 0 to 3600 seconds, "
            f"not {scale['scale_down_delay']}."
        )


def least_replicas(workload: Options) -> int:
    """Return the minimum number of pods of the settled workload."""
    scale = workload["autoscale"]
    return int(scale["min_replicas"] if scale else workload["replicas"])


def _budget(workload: Options) -> Iterator[str]:
    budget = workload["disruption_budget"]
    if not budget:
        return
    replicas = least_replicas(workload)
    key = "min_available" if budget["min_available"] is not None else "max_unavailable"
    value = budget[key]
    count = _count(value, replicas)
    if count is None:
        yield (
            f"disruption_budget.{key} must be a number of pods or a share as in 50%, not {value!r}."
        )
        return
    evictions = replicas - count if key == "min_available" else count
    if evictions < 1:
        pods = "1 replica" if replicas == 1 else f"{replicas} replicas"
        yield (
            f"disruption_budget.{key} ({value}) lets no pod of {pods} be evicted, so no node could "
            "ever be drained: have more replicas, or a budget that lets at least one go."
        )


def _count(value: Any, replicas: int) -> int | None:
    """Return the number of pods of a number or a percentage, rounded up as in Kubernetes."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int):
        return value if value >= 0 else None
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    return math.ceil(int(match["percent"] or 0) * replicas / 100) if match else None
