"""The module against a real cluster: each way to fail, all in one wait."""

import json

import workload_rollout

from support.api_server import Answer, refusal, serving
from support.run_module import run_module

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "none"},
    "spec": {"hard": {"pods": "0"}},
}
# A busy machine takes longer to answer than a probe's default timeout of one second.
PROBE = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 10}
READY = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}


def workload(name, image, kind="Deployment", *, spec=None, deadline=600, **container):
    """Return a workload; container, spec: more fields of its pod; deadline: for progress."""
    selector = {"app": name}
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [{"name": name, "image": image, **container}],
        **(spec or {}),
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    document = {
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": selector, "template": template},
    }
    if kind == "ReplicationController":
        template["metadata"]["labels"]["docker-ml-api/template"] = "0123456789ab"
        return {"apiVersion": "v1", **document}
    document["spec"] |= {"selector": {"matchLabels": selector}, "progressDeadlineSeconds": deadline}
    return {"apiVersion": "apps/v1", **document}


def create(cluster, namespace, *documents):
    listed = {"apiVersion": "v1", "kind": "List", "items": documents}
    cluster.kubectl(f"--namespace={namespace}", "apply", "--filename=-", stdin=json.dumps(listed))


def ask(cluster, capsys, *wanted, **options):
    return run_module(
        workload_rollout,
        capsys,
        kubeconfig=str(cluster.kubeconfig),
        context=cluster.context,
        workloads=list(wanted),
        **options,
    )


# What: the image ("web", "crash", "never-ready", or a reference; {} is the registry), more fields
# of the container, more fields of the pod's spec; the cause and parts of the sentence.
SHELL = {"command": ["/bin/sh", "-c"]}
FAILURES = {
    "no-image": (
        "{}/nothing:v1", {}, {"imagePullSecrets": [{"name": "registry"}]},
        "image", ["cannot pull the image {}/nothing:v1", "the registry does not have it"],
    ),
    "no-reference": (
        "NOT/an:image:", {}, {}, "image", ["InvalidImageName", "correct the image's name"]
    ),
    "no-login": (
        "web", {"imagePullPolicy": "Always"}, {},
        "image", ["refuses the login: check IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD"],
    ),
    "bad-login": (
        "web", {"imagePullPolicy": "Always"}, {"imagePullSecrets": [{"name": "wrong"}]},
        "image", ["refuses the login: check IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD"],
    ),
    "crash": (
        "crash", {}, {},
        "crash", ["crashes again and again (Error, exit code 1",
                  "Its last log lines:\n", "\ncannot load the model: no such file"],
    ),
    "ends": (
        "web", {"command": ["/bin/busybox", "true"]}, {},
        "crash", ["(Completed, exit code 0", "must stay in the foreground", "It logged nothing."],
    ),
    "no-program": (
        "web", {"command": ["/bin/nothing"]}, {},
        "start", ["cannot start its container no-program", "no such file"],
    ),
    "memory": (
        "web",
        {**SHELL, "args": ["echo filling; exec /bin/busybox tail /dev/zero"],
         "resources": {"limits": {"memory": "16Mi"}}}, {},
        # OOMKilled, if the runtime has noticed it.
        "memory", ["needs more memory than the limit of 16Mi", "exit code 137", "\nfilling"],
    ),
    "room": (
        "web", {"resources": {"requests": {"cpu": "1000"}}}, {},
        "room", ["finds no room on the cluster (0/1 nodes are available", "Insufficient cpu"],
    ),
    "no-secret": (
        "web", {"envFrom": [{"secretRef": {"name": "nothing"}}]}, {},
        "configuration", ['CreateContainerConfigError: secret "nothing" not found'],
    ),
    "no-volume": (
        "web", {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        {"volumes": [{"name": "v", "secret": {"secretName": "nothing"}}]},
        "volume", ["cannot mount a volume (FailedMount", 'secret "nothing" not found'],
    ),
    "not-ready": (
        "never-ready", {"readinessProbe": PROBE}, {},
        "deadline", ["no progress for 5 s", "HTTP probe failed with statuscode: 503"],
    ),
    "not-started": (
        # The first attempts may find that nothing listens yet.
        "never-ready", {"startupProbe": {**PROBE, "failureThreshold": 5}}, {},
        "probe", ["does not pass the startup probe", "HTTP probe failed with statuscode: 503"],
    ),
}  # fmt: skip


def test_failures(cluster, capsys):
    images = {name: cluster.image(name) for name in ("web", "crash", "never-ready")}
    with (
        cluster.namespace() as namespace,
        cluster.namespace(RESTRICTED) as restricted,
        cluster.namespace() as full,
    ):
        # The quota applies to what is created after its usage has been calculated.
        create(cluster, full, QUOTA)
        cluster.kubectl(
            *("wait", "resourcequota/none", f"--namespace={full}", "--timeout=60s"),
            "--for=jsonpath={.status.used.pods}=0",
        )
        cluster.pull_secret(namespace)
        cluster.kubectl(
            *("create", "secret", "docker-registry", "wrong", f"--namespace={namespace}"),
            *(f"--docker-server={cluster.registry}", "--docker-username=somebody"),
            "--docker-password=else",
        )
        pulls = {"imagePullSecrets": [{"name": "registry"}]}
        documents = [
            workload(
                name,
                images.get(image, image.format(cluster.registry)),
                spec=spec if name.endswith("login") else {**pulls, **spec},
                deadline=5 if name == "not-ready" else 600,
                **container,
            )
            for name, (image, container, spec, _, _) in FAILURES.items()
        ]
        slow = workload(
            "slow",
            images["never-ready"],
            "ReplicationController",
            spec=pulls,
            readinessProbe=PROBE,
        )
        good = workload("good", images["web"], spec=pulls, readinessProbe=READY)
        create(cluster, namespace, *documents, slow, good)
        create(cluster, restricted, workload("refused", images["web"]))
        create(cluster, full, workload("quota", images["web"]))
        answer = ask(
            cluster,
            capsys,
            *({"name": name, "namespace": namespace} for name in (*FAILURES, "good")),
            {"name": "slow", "namespace": namespace, "kind": "ReplicationController"},
            {"name": "refused", "namespace": restricted},
            {"name": "quota", "namespace": full},
            {"name": "nothing", "namespace": full},
            # Long enough for the last one to fail on a busy machine; the wait ends then.
            settle=300,
            unschedulable_grace=5,
            progress_deadline=5,
        )
    expected = {name: (cause, parts) for name, (*_, cause, parts) in FAILURES.items()} | {
        "slow": ("probe", ["does not pass the readiness probe of its container slow", "503"]),
        "refused": ("refused", ['violates PodSecurity "restricted', "Pod Security level"]),
        "quota": ("refused", ["exceeded quota: none", "raise the quota"]),
        "nothing": ("missing", ["there is no such Deployment"]),
    }
    assert answer["failed"]
    found = {one["name"]: one for one in answer["problems"]}
    assert {name: one["cause"] for name, one in found.items()} == {
        name: cause for name, (cause, _) in expected.items()
    }
    for name, (_, parts) in expected.items():
        problem = found[name]["problem"]
        assert problem.startswith(f"Workload {name} in {found[name]['namespace']}: ")
        for part in parts:
            assert part.format(cluster.registry) in problem
    assert answer["msg"] == "\n".join(one["problem"] for one in answer["problems"])
    assert [one["name"] for one in answer["workloads"]] == ["good"]


def agent_requests(cluster, namespace):
    """The requests for the namespace that the module made, as verb and resource."""
    return [
        (event["verb"], event["objectRef"]["resource"])
        for event in cluster.audit(namespace)
        if (event.get("objectRef") or {}).get("namespace") == namespace
        and event["userAgent"] == "docker-ml-api"
        and event["stage"] == "ResponseComplete"
    ]


def test_rolled_out(cluster, capsys):
    image = cluster.image("web")
    with cluster.namespace() as namespace:
        pulls = {"imagePullSecrets": [{"name": cluster.pull_secret(namespace)}]}
        kinds = {"one": "Deployment", "two": "ReplicationController"}
        documents = [
            workload(name, image, kind, spec=pulls, readinessProbe=READY)
            for name, kind in kinds.items()
        ]
        create(cluster, namespace, *documents)
        wanted = [{"name": n, "namespace": namespace, "kind": k} for n, k in kinds.items()]
        first = ask(cluster, capsys, *wanted, timeout=120)
        assert not first.get("failed"), first["msg"]
        pods = cluster.get("pods", f"--namespace={namespace}")["items"]
        assert not first["changed"]
        assert first["workloads"] == [
            {
                "name": name,
                "namespace": namespace,
                "pods": [
                    pod["metadata"]["name"]
                    for pod in pods
                    if pod["metadata"]["labels"]["app"] == name
                ],
                "revision": revision,
            }
            for name, revision in (("one", "1"), ("two", "0123456789ab"))
        ]

        before = len(agent_requests(cluster, namespace))
        again = ask(cluster, capsys, *wanted, _ansible_check_mode=True)
        assert again["workloads"] == first["workloads"]
        # One look: a list of each kind, and no events.
        assert sorted(agent_requests(cluster, namespace)[before:]) == [
            ("list", "deployments"),
            ("list", "pods"),
            ("list", "replicasets"),
            ("list", "replicationcontrollers"),
        ]
        assert {verb for verb, _ in agent_requests(cluster, namespace)} == {"list"}

        # A new version without room fails, even though the current one serves.
        create(
            cluster,
            namespace,
            workload("one", image, spec=pulls, resources={"requests": {"cpu": "1000"}}),
        )
        # Long enough for a busy cluster to take up the change.
        late = ask(cluster, capsys, *wanted, timeout=5)
        assert [one["cause"] for one in late["problems"]] == ["timeout"]
        assert late["msg"].startswith(
            f"Workload one in {namespace}: not ready within 5 s (workload_timeout): 0 of 1 pods"
        )
        assert [one["name"] for one in late["workloads"]] == ["two"]
        unfinished = ask(
            cluster, capsys, *wanted, {"name": "three", "namespace": namespace}, settle=0
        )
        assert {one["name"]: one["cause"] for one in unfinished["problems"]} == {
            "one": "unfinished",
            "three": "missing",
        }
        assert "not ready yet when the run ended because others had failed" in unfinished["msg"]


WANTED = [{"name": "web", "namespace": "default"}]
OWNED = {"uid": "new", "ownerReferences": [{"controller": True, "uid": "web"}]}
REVISION = {"annotations": {"deployment.kubernetes.io/revision": "7"}}
COUNTS = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
LISTS = {
    "deployments": {
        "metadata": {"name": "web", "uid": "web", **REVISION},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": COUNTS,
    },
    "replicasets": {"metadata": {"name": "web-1", **OWNED, **REVISION}},
    "pods": {
        "metadata": {
            "name": "web-1-1", "uid": "p", "ownerReferences": [{"controller": True, "uid": "new"}]
        },
        "spec": {"containers": [{"name": "web"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    },
}  # fmt: skip


def lists(request, **changed):
    kind = request.path.rpartition("/")[2]
    found = {**LISTS, **changed}.get(kind)
    return Answer({"items": [found] if found else []})


def test_an_api_server_that_is_away_for_a_moment(capsys, monkeypatch):
    monkeypatch.setattr(workload_rollout.time, "sleep", lambda _: None)
    not_yet = {**LISTS["deployments"], "status": {}}

    def respond(request):
        if len(server.requests) < 10:
            return lists(request, deployments=not_yet)
        return None if len(server.requests) < 20 else lists(request)

    with serving(respond) as server:
        access = server.kubeconfig()
        answer = run_module(workload_rollout, capsys, kubeconfig=access, workloads=WANTED)
    assert answer["workloads"] == [{**WANTED[0], "pods": ["web-1-1"], "revision": "7"}]


def test_an_api_server_that_refuses(capsys):
    with serving(lambda _: refusal(403, "Forbidden", 'User "x" cannot list pods')) as server:
        access = server.kubeconfig()
        answer = run_module(workload_rollout, capsys, kubeconfig=access, workloads=WANTED)
    assert answer["failed"]
    assert "problems" not in answer
    assert 'User "x" cannot list pods' in answer["msg"]


def test_without_log_lines(capsys):
    crashing = {
        "name": "web",
        "image": "x",
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 3}},
    }
    pod = {**LISTS["pods"], "status": {"phase": "Running", "containerStatuses": [crashing]}}
    with serving(lambda request: lists(request, pods=pod)) as server:
        answer = run_module(
            workload_rollout,
            capsys,
            kubeconfig=server.kubeconfig(),
            workloads=WANTED,
            log_lines=0,
        )
    assert answer["msg"].endswith("crashes again and again (Error, exit code 3, 2 restarts).")
    assert not [request for request in server.requests if request.path.endswith("/log")]
