"""API objects, reduced to the fields that the code evaluates."""

NOW = "2026-01-02T03:04:05Z"


def metadata(name, uid=None, owner=None, **further):
    owners = [{"controller": True, "uid": owner}] if owner else []
    return {"name": name, "uid": uid or name, "ownerReferences": owners, **further}


def container(name="web", *, ready=False, restarts=0, started=None, last=None, **state):
    return {
        "name": name,
        "image": "registry.test/web:v1",
        "ready": ready,
        "started": ready if started is None else started,
        "restartCount": restarts,
        "state": state or {"waiting": {"reason": "ContainerCreating"}},
        "lastState": {"terminated": last} if last else {},
    }


def waiting(reason, message=None, **further):
    state = {"reason": reason, **({"message": message} if message else {})}
    return container(waiting=state, **further)


def ended(reason="Error", code=1, seconds=1, message=None):
    return {
        "reason": reason,
        "exitCode": code,
        "startedAt": "2026-01-02T03:00:00Z",
        "finishedAt": f"2026-01-02T03:{seconds // 60:02}:{seconds % 60:02}Z",
        **({"message": message} if message else {}),
    }


RUNNING = {"running": {"startedAt": NOW}}


def pod(name="web-1", *containers, ready=False, phase=None, conditions=(), **further):
    """Return a pod; further: uid, owner, further metadata, and the pod's spec and status."""
    spec, status = further.pop("spec", {}), further.pop("status", {})
    containers = containers or (container(ready=ready, **(RUNNING if ready else {})),)
    states = [
        {"type": "Ready", "status": "True" if ready else "False"},
        {"type": "PodScheduled", "status": "True"},
    ]
    given = [
        dict(zip(("type", "status", "reason", "message"), one, strict=False)) for one in conditions
    ]
    told = {one["type"] for one in given}
    return {
        "kind": "Pod",
        "metadata": metadata(name, creationTimestamp=NOW, **further),
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "web", "readinessProbe": {"httpGet": {}}}],
            **spec,
        },
        "status": {
            "phase": phase or ("Running" if ready else "Pending"),
            "conditions": given + [one for one in states if one["type"] not in told],
            "containerStatuses": list(containers),
            **status,
        },
    }


def event(reason, message="", *, uid="web-1", count=1, at=NOW, container="web", **further):
    return {
        "metadata": {"name": f"{uid}.1", "creationTimestamp": NOW},
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": at,
        "involvedObject": {"uid": uid, "fieldPath": f"spec.containers{{{container}}}"},
        **further,
    }


def condition(kind, status, reason, message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def deployment(replicas=2, *, conditions=(), seen=True, spec=None, **counts):
    status = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)
    return {
        "kind": "Deployment",
        "metadata": metadata(
            "web",
            "deployment",
            generation=3,
            annotations={"deployment.kubernetes.io/revision": "2"},
        ),
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, **(spec or {})},
        "status": {
            "observedGeneration": 3 if seen else 2,
            "conditions": list(conditions),
            **status,
            **counts,
        },
    }


def replica_set(revision="2", uid="new", conditions=()):
    return {
        "kind": "ReplicaSet",
        "metadata": metadata(
            f"web-{uid}",
            uid,
            "deployment",
            annotations={"deployment.kubernetes.io/revision": revision},
        ),
        "status": {"conditions": list(conditions)},
    }


def controller(replicas=2, *, template="new", seen=True, available=None, conditions=(), **counts):
    labels = {"docker-ml-api/template": template} if template else {}
    return {
        "kind": "ReplicationController",
        "metadata": metadata("web", "controller", generation=3),
        "spec": {
            "replicas": replicas,
            "selector": {"app": "web"},
            "template": {"metadata": {"labels": {"app": "web", **labels}}},
        },
        "status": {
            "observedGeneration": 3 if seen else 2,
            "replicas": replicas,
            "availableReplicas": replicas if available is None else available,
            "conditions": list(conditions),
            **counts,
        },
    }
