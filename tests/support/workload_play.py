"""Running site.yml with a test's own small apps on the real cluster."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from support import ROOT
from support.ansible_run import Run, run_playbook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.real_cluster import Cluster

OURS = "app.kubernetes.io/managed-by=docker-ml-api"
USER = "rehearsal-admin"
SECRET = "docker-ml-api-registry"  # noqa: S105 - a name
KINDS = (
    "deployment,replicationcontroller,service,horizontalpodautoscaler,"
    "poddisruptionbudget,networkpolicy,configmap,secret"
)
_READING = {"get", "list", "watch"}
_RESOURCES = {
    "requests": {"cpu": "5m", "memory": "8Mi"},
    "limits": {"cpu": "200m", "memory": "32Mi"},
}
# Direct requests, regardless of a proxy in the environment.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _url(balancer: dict[str, str], port: int) -> str:
    return f"http://{balancer['ip']}{'' if port == 80 else f':{port}'}/"


@dataclass
class Play:
    """Workloads in this test's own namespaces, deployed by the real site.yml."""

    folder: Path
    cluster: Cluster
    namespace: str
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    workloads: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    more_hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _since: str = ""

    def image(self, text: str = "ok", kind: str = "") -> str:
        """Push an image that answers with this text, or one of a failing kind; return NAME:TAG."""
        name = kind or f"{self.namespace}/{text}"
        reference = self.cluster.image(name, *([] if kind else [text]))
        return reference.removeprefix(f"{self.cluster.registry}/").partition("@")[0] + ":test"

    def app(self, name: str, text: str, **options: Any) -> None:
        """Define an app whose image answers with this text."""
        self.apps[name] = {
            "name": name,
            "image": options.get("image") or self.image(text),
            "port": 8080,
            "resources": _RESOURCES,
            "checks": [{"path": "/", "expected_text": text}],
            **options,
        }

    def workload(self, name: str, app: str = "app", **options: Any) -> None:
        """Define a workload."""
        self.workloads[name] = {
            "name": name,
            "app": app,
            "replicas": 1,
            "expose": "ClusterIP",
            **options,
        }

    def host(self) -> dict[str, Any]:
        """Return the current variables of the inventory's cluster."""
        return {
            "kubernetes_kubeconfig": str(self.cluster.kubeconfig),
            "kubernetes_context": self.cluster.context,
            "kubernetes_namespace": self.namespace,
            "image_registry": self.cluster.registry,
            "image_registry_username": self.cluster.username,
            "image_registry_password": self.cluster.password,
            "apps": list(self.apps.values()),
            "workloads": list(self.workloads.values()),
            **self.variables,
        }

    def arguments(self, *arguments: str) -> list[str]:
        """Write the inventory and return the arguments of ansible-playbook."""
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        more = {name: {**local, **self.host(), **own} for name, own in self.more_hosts.items()}
        inventory = self.folder / "inventory.json"
        inventory.write_text(
            json.dumps({"clusters": {"hosts": {"kubernetes": self.host(), **more}}}),
            encoding="utf-8",
        )
        inventory.chmod(0o600)
        if not any(argument.startswith("--tags") for argument in arguments):
            arguments = ("--tags=workloads", *arguments)
        if not any(argument.startswith("--limit") for argument in arguments):
            arguments = ("--limit=clusters", *arguments)
        return [
            f"--inventory={ROOT}/inventory/kubernetes.yml",
            f"--inventory={inventory}",
            *arguments,
            str(ROOT / "site.yml"),
        ]

    def run(self, *arguments: str, **environment: str) -> Run:
        """Run a stage of site.yml, by default --tags=workloads."""
        return run_playbook(*self.arguments(*arguments), **environment)

    def succeed(self, *arguments: str, **environment: str) -> Run:
        """Run site.yml, which must succeed."""
        return self.run(*arguments, **environment).ok()

    def fail(self, *arguments: str, **environment: str) -> str:
        """Run site.yml, which must fail; return its message."""
        run = self.run(*arguments, **environment)
        assert run.status != 0, run.text
        return run.failure

    def refuse(self, *arguments: str, **environment: str) -> str:
        """Run site.yml, which must fail before it changes anything; return its message."""
        self.mark()
        run = self.run(*arguments, **environment)
        assert run.status != 0, run.text
        assert (run.changed, self.mutations()) == ([], [])
        return run.failure

    def settled(self) -> None:
        """Run site.yml, which must change nothing and send no mutating requests."""
        self.mark()
        run = self.succeed()
        assert (run.changed, self.mutations()) == ([], [])

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return the result of `kubectl get` in the namespace."""
        found: dict[str, Any] = self.cluster.get(*arguments, f"--namespace={self.namespace}")
        return found

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def objects(self, namespace: str = "", selector: str = OURS) -> set[str]:
        """Return the project's objects in a namespace as KIND/NAME."""
        found = self.cluster.get(
            KINDS, f"--namespace={namespace or self.namespace}", f"--selector={selector}"
        )
        return {f"{one['kind']}/{one['metadata']['name']}" for one in found["items"]}

    def pods(self, workload: str, namespace: str = "") -> list[dict[str, Any]]:
        """Return the workload's pods that are not being deleted."""
        found = self.cluster.get(
            "pods", f"--namespace={namespace or self.namespace}", f"--selector=app={workload}"
        )
        return [one for one in found["items"] if "deletionTimestamp" not in one["metadata"]]

    def pod_names(self) -> set[str]:
        """Return the names of the namespace's pods that are not being deleted."""
        found = self.get("pods")["items"]
        return {
            one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"]
        }

    def releases(self, workload: str) -> list[str]:
        """Return the texts of the images of the recorded releases, oldest first."""
        label = "docker-ml-api/release"
        selector = f"{OURS},app.kubernetes.io/instance={workload},{label}"
        found = self.get("configmaps", f"--selector={selector}")["items"]
        found.sort(key=lambda one: int(one["metadata"]["labels"][label]))
        return [
            one["data"]["image"].rpartition("/")[2].partition("@")[0].removesuffix(":test")
            for one in found
        ]

    def answer(self, workload: str, namespace: str = "") -> str:
        """Return the response of the workload's Service, through the API server's proxy."""
        namespace = namespace or self.namespace
        service = self.cluster.get("service", workload, f"--namespace={namespace}")
        port = service["spec"]["ports"][0]["port"]
        path = f"/api/v1/namespaces/{namespace}/services/{workload}:{port}/proxy/"
        return self.cluster.client.text(path)

    def address(self, service: str) -> str:
        """Return the URL of a Service's load balancer."""
        found = self.get("service", service)
        [balancer] = found["status"]["loadBalancer"]["ingress"]
        return _url(balancer, found["spec"]["ports"][0]["port"])

    def addresses(self) -> list[str]:
        """Return the URLs of the load balancers of all the cluster's Services."""
        found = self.cluster.get("service", "--all-namespaces")
        return [
            _url(balancer, port["port"])
            for one in found["items"]
            for balancer in one["status"]["loadBalancer"].get("ingress", [])
            for port in one["spec"]["ports"]
        ]

    def mark(self) -> None:
        """Set the start time of mutations()."""
        self._since = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def mutations(self, *namespaces: str) -> list[str]:
        """Return the changes that site.yml requested since mark(), as VERB RESOURCE/NAME.

        namespaces: further namespaces, whose names begin with that of the play.
        """
        mine = {self.namespace, *namespaces}
        found = []
        for event in self.cluster.audit(self.namespace):
            reference = event.get("objectRef", {})
            if (
                event["stage"] == "ResponseComplete"
                and event["user"].get("username") == USER
                # The tests' own requests are made by kubectl.
                and not event.get("userAgent", "").startswith("kubectl")
                and event["verb"] not in _READING
                # A request to a replica changes nothing.
                and reference.get("subresource") != "portforward"
                and reference.get("namespace") in mine
                and event["requestReceivedTimestamp"] >= self._since
            ):
                found.append(f"{event['verb']} {reference['resource']}/{reference.get('name')}")
        return found


@contextlib.contextmanager
def playing(cluster: Cluster, folder: Path) -> Iterator[Play]:
    """Yield a play in its own namespace, which already exists."""
    with cluster.namespace() as namespace:
        yield Play(folder, cluster, namespace)


def ask(address: str) -> str:
    """Return the response of a URL."""
    with _OPENER.open(address, timeout=10) as response:
        answer: str = response.read().decode()
        return answer


@contextlib.contextmanager
def asking(address: str) -> Iterator[set[str]]:
    """Send requests to a URL until the end of the block; yield the set of different responses.

    Errors are recorded with their time, for comparison with the cluster's logs.
    """
    answers: set[str] = set()
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            try:
                answers.add(ask(address))
            except OSError as error:
                answers.add(f"{datetime.now(UTC):%H:%M:%S.%f} {type(error).__name__}: {error}")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()
