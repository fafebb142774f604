"""Pods of a real cluster that return a test's response and their own names."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.real_cluster import Cluster

PATIENCE = 60

# busybox's httpd executes files in cgi-bin.
_PREDICT = """\
#!/bin/sh
if [ -n "$CRASH" ]; then
  kill 1
  busybox sleep 60
fi
if [ -z "$ANONYMOUS" ]; then
  printf 'X-Served-By: %s\\r\\n' "$POD"
fi
printf 'Content-Type: text/plain\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "${#ANSWER}" "$ANSWER"
"""
PATH = "/cgi-bin/predict"


def service(name: str, kind: str = "LoadBalancer", port: int = 8080, **spec: Any) -> dict[str, Any]:
    """Return a Service for the pods of a workload; `metadata` has further keys of its metadata."""
    metadata = spec.pop("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"made-by": "test"}, **metadata},
        "spec": {
            "type": kind,
            "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "targetPort": "http"}],
            **spec,
        },
    }


def deployment(cluster: Cluster, app: str, replicas: int = 2, **options: Any) -> dict[str, Any]:
    """Return a Deployment whose pods answer at PATH.

    Options: `name` if it differs from the app's, `answer`; the flags `anonymous` and `crash`.
    """
    name = options.get("name", app)
    environment = {
        "ANSWER": options.get("answer", "[199.60306236]"),
        "ANONYMOUS": "yes" if options.get("anonymous") else "",
        "CRASH": "yes" if options.get("crash") else "",
    }
    labels = {"app": app, "set": name, "made-by": "test"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"set": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "imagePullSecrets": [{"name": "registry"}],
                    "containers": [
                        {
                            "name": app,
                            "image": cluster.image("web"),
                            "env": [
                                *({"name": k, "value": v} for k, v in environment.items()),
                                {
                                    "name": "POD",
                                    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                                },
                            ],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "readinessProbe": {
                                "httpGet": {"path": "/", "port": "http"},
                                "periodSeconds": 1,
                            },
                            "volumeMounts": [{"name": "answers", "mountPath": "/www/cgi-bin"}],
                        }
                    ],
                    "volumes": [
                        {"name": "answers", "configMap": {"name": "answers", "defaultMode": 0o755}}
                    ],
                },
            },
        },
    }


def apply(cluster: Cluster, namespace: str, *objects: dict[str, Any]) -> None:
    """Create or change objects."""
    document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "--namespace", namespace, "--filename=-", stdin=json.dumps(document))


def prepare(cluster: Cluster, namespace: str) -> None:
    """Create the objects that the pods need."""
    cluster.pull_secret(namespace)
    answers = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "answers"},
        "data": {"predict": _PREDICT},
    }
    apply(cluster, namespace, answers)


def login(cluster: Cluster, namespace: str, name: str, *role: str) -> dict[str, Any]:
    """Return a kubeconfig with the permissions of a role (arguments of `kubectl create role`)."""
    where = ("--namespace", namespace)
    cluster.kubectl("create", "serviceaccount", name, *where)
    cluster.kubectl("create", "role", name, *where, *role)
    account = f"--serviceaccount={namespace}:{name}"
    cluster.kubectl("create", "rolebinding", name, *where, f"--role={name}", account)
    token = cluster.kubectl("create", "token", name, *where).strip()
    access: dict[str, Any] = json.loads(
        cluster.kubectl("config", "view", "--raw", "--flatten", "--minify", "--output=json")
    )
    access["users"] = [{"name": name, "user": {"token": token}}]
    access["contexts"][0]["context"]["user"] = name
    return access


def await_rollout(cluster: Cluster, namespace: str, *names: str) -> None:
    """Wait until Deployments have all their replicas."""
    for name in names:
        cluster.kubectl(
            "rollout", "status", f"deployment/{name}", "--namespace", namespace,
            f"--timeout={PATIENCE}s",
        )  # fmt: skip


def pod_names(cluster: Cluster, namespace: str, app: str) -> list[str]:
    """Return the names of the pods that are not being deleted."""
    pods = cluster.get("pods", "--namespace", namespace, f"--selector=app={app}")["items"]
    return sorted(
        pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]
    )


def until(condition: Any) -> Any:
    """Wait until the condition returns a true value, and return it; fail after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)
