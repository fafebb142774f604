"""Renders apps as Kubernetes objects: plain dicts, identical for identical input.

The input has been validated (workload_input.problems). Quantities are written in the form in which
the API server returns them, so that a later comparison with the live object finds no difference.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from ansible.module_utils.docker_ml_api.kubernetes import quantity, workload_input
from ansible.module_utils.docker_ml_api.kubernetes.workload_input import (
    APP_LABEL,
    DEPLOYMENT,
    INSTANCE_LABEL,
    LOAD_BALANCER,
    NAME_LABEL,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Options = Mapping[str, Any]

Object = dict[str, Any]

CONFIGURATION_ANNOTATION = "docker-ml-api/configuration"
TEMPLATE_LABEL = "docker-ml-api/template"
# Kubernetes's own default namespace, which is never created, labelled or deleted.
DEFAULT_NAMESPACE = "default"

_API_VERSIONS = {
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "ReplicationController": "v1",
    "Service": "v1",
}
_PORT_NAME = "http"
_TMP_SIZE = "64Mi"
_REVISIONS = 3
# Seconds between probes and for one answer, and the number of consecutive failures. A start is
# detected within a second and may take two minutes. A pod that stops answering is removed from its
# Service within seconds, but restarted only after a minute without an answer.
_STARTUP = {"periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 120}
_READINESS = {"periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 3}
_LIVENESS = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6}
# Grace period of a pod that is not graceful. With 0 the API server would remove the pod before the
# node has stopped it.
_NO_GRACE = 1


def render(params: Options) -> tuple[list[dict[str, Any]], list[Object]]:
    """Return the workloads with their objects in apply order, and the Namespaces.

    params: the parameters of the module workload_manifests.
    """
    apps = {app["name"]: app for app in params["apps"]}
    workloads = [
        _workload(workload_input.settled(given, apps, params), params)
        for given in params["workloads"]
    ]
    names = {workload["namespace"] for workload in workloads} - {DEFAULT_NAMESPACE}
    return workloads, [_namespace(name, params["labels"]) for name in sorted(names)]


def configuration(value: Any) -> str:
    """Return a hash of JSON data, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def signed(wanted: Object) -> Object:
    """Return the object with the annotation that contains its hash."""
    annotations = wanted["metadata"].get("annotations", {})
    metadata = {
        **wanted["metadata"],
        "annotations": {**annotations, CONFIGURATION_ANNOTATION: configuration(wanted)},
    }
    return {**wanted, "metadata": metadata}


def _workload(workload: Options, params: Options) -> dict[str, Any]:
    image = _image(workload["app"], params)
    objects = [signed(one) for one in _objects(workload, image, params)]
    return {
        "name": workload["name"],
        "namespace": workload["namespace"],
        "kind": workload["kind"],
        "app": workload["app"]["name"],
        "image": image,
        "replicas": workload_input.least_replicas(workload),
        "autoscaled": bool(workload["autoscale"]),
        "service_name": workload["service_name"],
        "service_port": workload["service_port"],
        "expose": workload["expose"],
        "port": workload["app"]["port"],
        "checks": workload["app"]["checks"] or [],
        "configuration": configuration(objects),
        "objects": objects,
    }


def _image(app: Options, params: Options) -> str:
    name = f"{params['registry']}/{app['image']}" if params["registry"] else str(app["image"])
    digest = (params["digests"] or {}).get(app["name"])
    # Some container runtimes reject a reference with both a tag and a digest.
    return f"{name.rpartition(':')[0]}@{digest}" if digest else name


def _objects(workload: Options, image: str, params: Options) -> list[Object]:
    """Return the objects of a workload, those that protect the pods before the pods."""
    objects = [_service(workload, params)]
    if workload["network_policy"]:
        objects.insert(0, _network_policy(workload, params))
    if workload["disruption_budget"]:
        objects.append(_disruption_budget(workload, params))
    objects.append(_controller(workload, image, params))
    if workload["autoscale"]:
        objects.append(_autoscaler(workload, params))
    return objects


def _labels(workload: Options, params: Options) -> dict[str, str]:
    return {
        **workload["labels"],
        **params["labels"],
        APP_LABEL: workload["name"],
        NAME_LABEL: workload["app"]["name"],
        INSTANCE_LABEL: workload["name"],
    }


def _selector(workload: Options) -> dict[str, str]:
    """Return the only label that never changes, since selectors are immutable."""
    return {APP_LABEL: workload["name"]}


def _object(kind: str, workload: Options, params: Options, spec: Object, name: str = "") -> Object:
    return {
        "apiVersion": _API_VERSIONS[kind],
        "kind": kind,
        "metadata": {
            "name": name or workload["name"],
            "namespace": workload["namespace"],
            "labels": _labels(workload, params),
        },
        "spec": spec,
    }


def _namespace(name: str, labels: Mapping[str, str]) -> Object:
    security = {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", "latest"))
    }
    return signed(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {**security, **labels}},
        }
    )


def _service(workload: Options, params: Options) -> Object:
    spec: Object = {
        "type": workload["expose"],
        "selector": _selector(workload),
        "sessionAffinity": "None",
        "ports": [
            {
                "name": _PORT_NAME,
                "port": workload["service_port"],
                "protocol": "TCP",
                "targetPort": _PORT_NAME,
            }
        ],
    }
    if workload["expose"] == LOAD_BALANCER and workload["load_balancer_class"]:
        spec["loadBalancerClass"] = workload["load_balancer_class"]
    if workload["expose"] == LOAD_BALANCER and workload["load_balancer_source_ranges"]:
        spec["loadBalancerSourceRanges"] = list(workload["load_balancer_source_ranges"])
    service = _object("Service", workload, params, spec, workload["service_name"])
    if workload["service_annotations"]:
        service["metadata"]["annotations"] = dict(workload["service_annotations"])
    return service


def _controller(workload: Options, image: str, params: Options) -> Object:
    template = _template(workload, image, params)
    spec: Object = {"replicas": workload["replicas"]}
    if params["min_ready"]:
        spec["minReadySeconds"] = params["min_ready"]
    if workload["kind"] != DEPLOYMENT:
        # It starts new pods from its new template, but keeps the existing ones. This label
        # identifies outdated pods.
        short = configuration(template).partition(":")[2][:12]
        template["metadata"]["labels"][TEMPLATE_LABEL] = short
        spec |= {"selector": _selector(workload), "template": template}
        return _object("ReplicationController", workload, params, spec)
    if workload["autoscale"]:
        # Setting the number would conflict with the autoscaler.
        del spec["replicas"]
    spec |= {
        "progressDeadlineSeconds": params["progress_deadline"],
        "revisionHistoryLimit": _REVISIONS,
        "selector": {"matchLabels": _selector(workload)},
        # Never fewer pods than requested.
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
        },
        "template": template,
    }
    return _object("Deployment", workload, params, spec)


def _template(workload: Options, image: str, params: Options) -> Object:
    spread: Object = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(workload)},
    }
    if workload["kind"] == DEPLOYMENT:
        # The new version is spread independently, since the old pods will be deleted.
        spread["matchLabelKeys"] = ["pod-template-hash"]
    spec: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The image's own user is kept; it is numeric, and never root.
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": (
            params["termination_grace"] if workload["graceful"] else _NO_GRACE
        ),
        "topologySpreadConstraints": [spread],
        "containers": [_container(workload, image, params)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": _TMP_SIZE}}],
    }
    if params["pull_secret"]:
        spec["imagePullSecrets"] = [{"name": params["pull_secret"]}]
    if workload["node_selector"]:
        spec["nodeSelector"] = dict(workload["node_selector"])
    if workload["tolerations"]:
        spec["tolerations"] = [
            {key: value for key, value in toleration.items() if value not in (None, "")}
            for toleration in workload["tolerations"]
        ]
    return {"metadata": {"labels": _labels(workload, params)}, "spec": spec}


def _container(workload: Options, image: str, params: Options) -> Object:
    app = workload["app"]
    container: Object = {
        "name": workload["name"],
        "image": image,
        "imagePullPolicy": _pull_policy(image, params),
        "env": [
            {"name": "PORT", "value": str(app["port"])},
            {
                "name": "INSTANCE_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            },
            *(
                # $(NAME) would be replaced by the value of NAME.
                # The API server does not store an empty value.
                {"name": name, **({"value": value.replace("$", "$$")} if value else {})}
                for name, value in sorted((workload["environment"] or {}).items())
            ),
        ],
        "ports": [{"name": _PORT_NAME, "containerPort": app["port"], "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of its own
    }
    resources = {
        part: {name: quantity.canonical(value) for name, value in sorted(values.items())}
        for part, values in workload["resources"].items()
        if values
    }
    if resources:
        container["resources"] = resources
    if workload["probes"]:
        alive = app["alive_path"] or "/"
        container["startupProbe"] = _probe(alive, _STARTUP)
        container["readinessProbe"] = _probe(app["ready_path"] or alive, _READINESS)
        container["livenessProbe"] = _probe(alive, _LIVENESS)
    if workload["graceful"] and params["pre_stop"]:
        # While it sleeps, it still answers, and every node learns that it is terminating.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": params["pre_stop"]}}}
    return container


def _pull_policy(image: str, params: Options) -> str:
    """Return when to contact the registry: a tag may have moved, a digest cannot.

    Without a registry, the nodes already have the image.
    """
    return "Always" if params["registry"] and "@" not in image else "IfNotPresent"


def _probe(path: str, times: Mapping[str, int]) -> Object:
    return {"httpGet": {"path": path, "port": _PORT_NAME, "scheme": "HTTP"}, **times}


def _autoscaler(workload: Options, params: Options) -> Object:
    scale = workload["autoscale"]
    spec = {
        "scaleTargetRef": {
            "apiVersion": _API_VERSIONS[workload["kind"]],
            "kind": workload["kind"],
            "name": workload["name"],
        },
        "minReplicas": scale["min_replicas"],
        "maxReplicas": scale["max_replicas"],
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": scale["cpu_percent"]},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": scale["scale_down_delay"]}},
    }
    return _object("HorizontalPodAutoscaler", workload, params, spec)


def _disruption_budget(workload: Options, params: Options) -> Object:
    budget = workload["disruption_budget"]
    spec: Object = {
        "selector": {"matchLabels": _selector(workload)},
        # A pod that does not work should not prevent a node from being drained.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    for key, field in (("min_available", "minAvailable"), ("max_unavailable", "maxUnavailable")):
        if budget[key] is not None:
            text = str(budget[key])
            spec[field] = int(text) if text.isdecimal() else text
    return _object("PodDisruptionBudget", workload, params, spec)


def _network_policy(workload: Options, params: Options) -> Object:
    spec = {
        "podSelector": {"matchLabels": _selector(workload)},
        # Egress is listed but has no rule: the apps open no connections, not even for DNS.
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": workload["app"]["port"], "protocol": "TCP"}]}],
    }
    return _object("NetworkPolicy", workload, params, spec)


# Keys that come first in each mapping; the others follow in alphabetical order.
_FIRST = ("apiVersion", "kind", "metadata", "name", "namespace", "image")
# Text that kubectl's parser reads as a number or a boolean, but Python's does not.
_AMBIGUOUS = re.compile(r"[-+]?\.?[0-9][0-9_.]*(?:[eE][-+]?[0-9]+)?|0o?[0-7]+|[yYnN]|[0-9:.]+")


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(objects: Iterable[Object]) -> str:
    """Return the objects as YAML documents, as written by hand for `kubectl apply`.

    Each begins with `---`, in block style with indented lists. In each mapping apiVersion, kind,
    metadata, name, namespace and image come first, the other keys in alphabetical order.
    """
    return yaml.dump_all(
        [_ordered(one) for one in objects],
        Dumper=_Dumper,
        explicit_start=True,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=False,
        width=2**31 - 1,
    )


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        rank = {key: place for place, key in enumerate(_FIRST)}
        keys = sorted(value, key=lambda key: (rank.get(key, len(rank)), key))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value
