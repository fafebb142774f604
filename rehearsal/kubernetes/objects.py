"""The cluster's initial objects: access for its components, DNS and metrics."""

from __future__ import annotations

from typing import Any

from rehearsal.kubernetes import layout

_RBAC = "rbac.authorization.k8s.io"
_SYSTEM = "kube-system"


def cluster_objects(authority: str, administrator: str = "") -> list[dict[str, Any]]:
    """Return the objects in the order in which they are created.

    `authority` is the CA's PEM in base64, `administrator` a further user with all permissions.
    """
    return [
        *(
            [_cluster_binding("rehearsal:administrator", "cluster-admin", administrator)]
            if administrator
            else []
        ),
        _cluster_binding(
            "rehearsal:kubelet-api", "system:kubelet-api-admin", "kube-apiserver-kubelet-client"
        ),
        *_load_balancer_controller(),
        *_dns(),
        *_metrics_server(authority),
    ]


def _load_balancer_controller() -> list[dict[str, Any]]:
    user = "system:load-balancer-controller"
    rules = [
        _rule("", ["services"], ["get", "list", "watch", "patch", "update"]),
        _rule("", ["services/status"], ["patch", "update"]),
        _rule("", ["nodes"], ["list", "watch"]),
        _rule("", ["events"], ["create", "patch", "update"]),
    ]
    return [_cluster_role(user, rules), _cluster_binding(user, user, user)]


def _dns() -> list[dict[str, Any]]:
    user = "system:coredns"
    rules = [
        _rule("", ["services", "pods", "namespaces"], ["list", "watch"]),
        _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    ]
    ports = [
        {"name": name, "protocol": protocol, "port": 53, "targetPort": layout.DNS_PORT}
        for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    return [
        _cluster_role(user, rules),
        _cluster_binding(user, user, user),
        *_service_of_the_node("kube-dns", ports, clusterIP=str(layout.DNS_ADDRESS)),
    ]


def _metrics_server(authority: str) -> list[dict[str, Any]]:
    user, name = "system:metrics-server", "metrics-server"
    group, version = "metrics.k8s.io", "v1beta1"
    rules = [
        _rule("", ["nodes/metrics"], ["get"]),
        _rule("", ["pods", "nodes"], ["get", "list", "watch"]),
    ]
    reader = _cluster_role(
        "system:aggregated-metrics-reader",
        [_rule(group, ["pods", "nodes"], ["get", "list", "watch"])],
    )
    reader["metadata"]["labels"] = {
        f"rbac.authorization.k8s.io/aggregate-to-{role}": "true"
        for role in ("view", "edit", "admin")
    }
    port = {
        "name": "https",
        "protocol": "TCP",
        "port": 443,
        "targetPort": layout.METRICS_SERVER_PORT,
    }
    authentication = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "metrics-server-auth-reader", "namespace": _SYSTEM},
        "roleRef": {
            "apiGroup": _RBAC,
            "kind": "Role",
            "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [_user(user)],
    }
    return [
        reader,
        _cluster_role(user, rules),
        _cluster_binding(user, user, user),
        _cluster_binding(f"{user}:auth-delegator", "system:auth-delegator", user),
        authentication,
        *_service_of_the_node(name, [port]),
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": authority,
                "service": {"name": name, "namespace": _SYSTEM, "port": 443},
            },
        },
    ]


def _service_of_the_node(
    name: str, ports: list[dict[str, Any]], **spec: Any
) -> list[dict[str, Any]]:
    """Return a Service without a selector, whose endpoint is a process of the node, not a pod."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": _SYSTEM},
            "spec": {"ports": ports, **spec},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": _SYSTEM,
                "labels": {
                    "kubernetes.io/service-name": name,
                    "endpointslice.kubernetes.io/managed-by": "rehearsal",
                },
            },
            "addressType": "IPv4",
            "ports": [
                {"name": port["name"], "protocol": port["protocol"], "port": port["targetPort"]}
                for port in ports
            ],
            "endpoints": [{"addresses": [str(layout.NODE_ADDRESS)], "conditions": {"ready": True}}],
        },
    ]


def _cluster_role(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def _cluster_binding(name: str, role: str, user: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [_user(user)],
    }


def _user(name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": "User", "name": name}


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}
