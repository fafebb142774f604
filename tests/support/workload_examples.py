"""Parameters of the module workload_manifests, as Ansible passes them."""

from __future__ import annotations

from typing import Any

LABELS = {"app.kubernetes.io/managed-by": "docker-ml-api"}
DIGEST = "sha256:" + "0123456789abcdef" * 4
RESOURCES = {"requests": {"cpu": "50m", "memory": "160Mi"}, "limits": {"cpu": 1, "memory": "512Mi"}}


def app(**options: Any) -> dict[str, Any]:
    return {
        "name": "diabetes",
        "image": "diabetes:v1",
        "port": 8080,
        "alive_path": "/isAlive",
        "ready_path": "/prediction/?f=0.05",
        "resources": RESOURCES,
        "checks": [{"path": "/isAlive", "expected": True}],
        **options,
    }


def workload(**options: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        [
            "namespace", "kind", "service_name", "service_port", "expose", "load_balancer_class",
            "load_balancer_source_ranges", "service_annotations", "replicas", "labels",
            "environment", "resources", "autoscale", "disruption_budget", "node_selector",
            "tolerations", "probes", "graceful",
        ]
    )  # fmt: skip
    return {**nothing, "name": "web", "app": "diabetes", "network_policy": False, **options}


def autoscale(**options: Any) -> dict[str, Any]:
    return {
        "min_replicas": 2,
        "max_replicas": 6,
        "cpu_percent": 80,
        "scale_down_delay": 300,
        **options,
    }


def budget(**options: Any) -> dict[str, Any]:
    return {"min_available": None, "max_unavailable": None, **options}


# One workload with all options.
EVERYTHING = {
    "namespace": "test-ml-app",
    "service_name": "web-lb",
    "service_port": 80,
    "load_balancer_class": "example.com/lb",
    "load_balancer_source_ranges": ["203.0.113.0/24", "2001:db8::/32"],
    "service_annotations": {"example.com/internal": "true"},
    "replicas": 3,
    "labels": {"env": "prod"},
    "environment": {"PREDICTION_THREADS": "2", "GREETING": "$(PORT) $", "EMPTY": ""},
    "resources": {"requests": {"cpu": 0.1}, "limits": {"memory": "1024Mi"}},
    "autoscale": autoscale(),
    "disruption_budget": budget(max_unavailable=1),
    "network_policy": True,
    "node_selector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [
        {"key": "ml", "operator": "Exists", "value": "", "effect": "NoSchedule"},
        {"key": "ml", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
}


def parameters(*workloads: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {
        "workloads": list(workloads) or [workload()],
        "apps": [app()],
        "registry": "docker.io/ACCOUNT",
        "digests": None,
        "pull_secret": "",
        "labels": LABELS,
        "namespace": "default",
        "kind": "Deployment",
        "expose": "LoadBalancer",
        "replicas": 2,
        "progress_deadline": 300,
        "min_ready": 1,
        "pre_stop": 5,
        "termination_grace": 30,
        "probes": True,
        "graceful": True,
        "yaml": True,
        **options,
    }
