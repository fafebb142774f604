"""The cluster for the Kubernetes benchmarks, and runs of site.yml against it.

By default, it is the rehearsal cluster of this machine, which is started if it is not running (and
stopped afterwards). KUBECONFIG_REHEARSAL selects another cluster; then IMAGE_REGISTRY is the
registry from which it pulls, and IMAGE_REGISTRY_USERNAME and IMAGE_REGISTRY_PASSWORD are the login.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from rehearsal.kubernetes.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
OURS = "app.kubernetes.io/managed-by=docker-ml-api"
CANNOT_MEASURE = 2
MUTATING = {"create", "update", "patch", "delete", "deletecollection"}


class Failure(Exception):  # noqa: N818 - a command's, as a user would say it
    """A command failed that the benchmark needs."""


def cannot_measure(reason: str) -> Never:
    """Exit with the status for a failed measurement."""
    sys.stderr.write(f"Cannot measure: {reason}\n")
    sys.exit(CANNOT_MEASURE)


@dataclass(frozen=True)
class Done:
    """The result of a command that has ended."""

    status: int
    output: str
    errors: str

    def end(self) -> str:
        """Return the end of the command's output and errors."""
        return f"{self.output[-3000:]}{self.errors[-3000:]}".strip()


def attempt(
    command: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = 120,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a command in the project's folder and return its result, even if it fails.

    After `timeout` seconds, the command is killed with all its descendants. Raises Failure.
    """
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | (environment or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(command[:6])} … took more than {timeout:.0f} s") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return Done(process.returncode, output, errors)


def run(command: Sequence[str], *, stdin: str = "", timeout: float = 120) -> str:
    """Run a command and return its standard output. Raises Failure if it does not succeed."""
    done = attempt(command, stdin=stdin, timeout=timeout)
    if done.status:
        raise Failure(f"{' '.join(command[:6])} … failed:\n{done.end()}")
    return done.output


@dataclass(frozen=True)
class PlaybookRun:
    """One run of ansible-playbook: the wall time and Ansible's report."""

    seconds: float
    report: dict[str, Any]

    @property
    def changed(self) -> int:
        """The number of tasks that changed something."""
        return sum(stats["changed"] for stats in self.report["stats"].values())

    @property
    def tasks(self) -> list[tuple[str, float]]:
        """The name and the seconds of each task, in the order of the run."""
        return [
            (task["task"]["name"], _duration(task["task"].get("duration", {})))
            for play in self.report["plays"]
            for task in play["tasks"]
        ]


def report_of(done: Done) -> dict[str, Any]:
    """Return Ansible's report of a successful run. Raises Failure with the reasons otherwise."""
    # Warnings may precede the report.
    start = done.output.find("{\n")
    if start < 0:
        raise Failure(f"ansible-playbook failed:\n{done.end()}")
    report: dict[str, Any] = json.loads(done.output[start:])
    if done.status:
        reasons = [
            f"{task['task']['name']}: {result.get('msg', 'failed')}"
            for play in report["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
            if result.get("failed") or result.get("unreachable")
        ]
        raise Failure("\n".join(["ansible-playbook failed:", *reasons, done.errors.strip()]))
    return report


def _duration(times: Mapping[str, str]) -> float:
    if not times.get("end"):
        return 0.0
    start, end = (datetime.fromisoformat(times[key]) for key in ("start", "end"))
    return (end - start).total_seconds()


@dataclass(frozen=True)
class Cluster:
    """The cluster, its registry, and the API server's audit log.

    registry: host and path to which images are pushed; audit_log and containerd (the node's
    socket): None if they are not available.
    """

    kubeconfig: Path
    kubectl_program: str
    registry: str
    username: str
    password: str
    audit_log: Path | None
    containerd: Path | None = None

    def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 60) -> str:
        """Run kubectl and return its output. Raises Failure."""
        command = [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments]
        return run(command, stdin=stdin, timeout=timeout)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return the JSON output of `kubectl get`."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def play(
        self,
        tags: str,
        variables: Mapping[str, Any],
        *,
        limit: str = "kubernetes",
        timeout: float = 600,
    ) -> PlaybookRun:
        """Run stages of site.yml with variables that override the inventory's. Raises Failure."""
        settings = {
            "kubernetes_kubeconfig": str(self.kubeconfig),
            "kubernetes_context": "",
            "image_registry": self.registry,
            **variables,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(settings, file)
            file.flush()
            start = time.perf_counter()
            done = attempt(
                [
                    PLAYBOOK,
                    "--inventory=inventory/kubernetes.yml",
                    "site.yml",
                    f"--tags={tags}",
                    f"--limit={limit}",
                    f"--extra-vars=@{file.name}",
                ],
                timeout=timeout,
                environment={
                    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                    "ANSIBLE_NOCOLOR": "1",
                    "IMAGE_REGISTRY_USERNAME": self.username,
                    "IMAGE_REGISTRY_PASSWORD": self.password,
                },
            )
            seconds = time.perf_counter() - start
        return PlaybookRun(seconds, report_of(done))

    def push_images(self) -> None:
        """Build the project's images and push those that the registry lacks."""
        self.play("images", {}, limit="docker_hosts", timeout=1800)

    def forget_image(self, name: str) -> None:
        """Remove the node's image with a name, and all other references to it.

        Its layers are removed, too, unless another image shares them. Raises Failure.
        """
        if self.containerd is None:
            raise Failure("the images of this cluster's nodes cannot be removed from here")
        node = ["ctr", f"--address={self.containerd}", "--namespace=k8s.io", "images"]
        references = references_to(name, run([*node, "list"]))
        if references:
            run([*node, "remove", "--sync", *references])

    @contextlib.contextmanager
    def pushing(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that pushes a local tag to the registry; the login is not stored."""
        with tempfile.TemporaryDirectory() as folder:
            docker = ["docker", f"--config={folder}"]
            if self.username:
                host = self.registry.split("/", 1)[0]
                run(
                    [*docker, "login", f"--username={self.username}", "--password-stdin", host],
                    stdin=self.password,
                )

            def push(tag: str) -> None:
                run([*docker, "push", tag], timeout=600)

            yield push

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """Yield the name of a namespace that is deleted before and afterwards."""
        self.delete_namespace(name)
        try:
            yield name
        finally:
            self.delete_namespace(name)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace with its content, and wait until the deletion is complete."""
        self.kubectl(
            "delete", "namespace", name, "--ignore-not-found", "--timeout=170s", timeout=180
        )

    def address(self, namespace: str, service: str) -> str:
        """Return the URL at which a Service's load balancer answers. Raises Failure."""
        found = self.get("service", service, f"--namespace={namespace}")
        ingress = found["status"].get("loadBalancer", {}).get("ingress")
        if not ingress:
            raise Failure(f"Service {service} in {namespace} has no load balancer's address")
        return f"http://{ingress[0]['ip']}:{found['spec']['ports'][0]['port']}"

    def pods(self, namespace: str, workload: str) -> list[dict[str, Any]]:
        """Return a workload's pods that are not being deleted."""
        found = self.get("pods", f"--namespace={namespace}", f"--selector=app={workload}")
        return [pod for pod in found["items"] if not pod["metadata"].get("deletionTimestamp")]

    def settle(self, namespace: str, replicas: Mapping[str, int], timeout: float = 150) -> None:
        """Wait until each workload has exactly this many pods, all ready, none being deleted."""

        def settled() -> bool:
            pods = self.get("pods", f"--namespace={namespace}")["items"]
            return is_settled(pods, replicas)

        wait_for(settled, timeout, f"the pods in {namespace} do not settle")

    def mutating_requests(self, namespace: str, since: str) -> list[str]:
        """Return the changes in and of a namespace that users have requested since a time.

        since: RFC 3339, in UTC. On a shared cluster, changes of unnamed objects outside of
        namespaces (access reviews) may be by other users.
        """
        if self.audit_log is None:
            return []
        # Rotated logs are beside the current one.
        pattern = f"{self.audit_log.stem}*{self.audit_log.suffix}"
        changes = []
        for log in sorted(self.audit_log.parent.glob(pattern)):
            with log.open(encoding="utf-8") as lines:
                changes += users_changes(lines, namespace, since)
        return changes


def now() -> str:
    """Return the current time in the format of the audit log."""
    return datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_settled(pods: Sequence[Mapping[str, Any]], replicas: Mapping[str, int]) -> bool:
    """Return whether each workload has exactly this many pods, all ready, none being deleted.

    pods: as in the API; replicas: by the value of the label `app`.
    """
    ready = dict.fromkeys(replicas, 0)
    for pod in pods:
        app = pod["metadata"].get("labels", {}).get("app")
        if app not in ready:
            continue
        if pod["metadata"].get("deletionTimestamp"):
            return False
        conditions = pod.get("status", {}).get("conditions", [])
        if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            return False
        ready[app] += 1
    return ready == dict(replicas)


def references_to(name: str, listing: str) -> list[str]:
    """Return all references to the images whose repository has this name.

    listing: the output of `ctr images list`: a header, then reference, type and digest per line.
    """
    digests = {}
    for line in listing.splitlines()[1:]:
        reference, _, digest = line.split()[:3]
        digests[reference] = digest
    named = {
        digest
        for reference, digest in digests.items()
        if reference.partition("@")[0].rpartition("/")[2].partition(":")[0] == name
    }
    return [reference for reference, digest in digests.items() if digest in named]


def users_changes(lines: Iterable[str], namespace: str, since: str) -> list[str]:
    """Return 'VERB RESOURCE NAMESPACE/NAME' of each change not made by a component.

    lines: events of the audit log as JSON; incomplete lines are ignored.
    """
    changes = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        user = event.get("user", {}).get("username", "")
        if event.get("verb") not in MUTATING or user.startswith("system:"):
            continue
        if event.get("requestReceivedTimestamp", since) < since:
            continue
        what = event.get("objectRef", {})
        where = what.get("namespace", ""), what.get("name", "")
        if where[0] == namespace or (not where[0] and where[1] in ("", namespace)):
            changes.append(f"{event['verb']} {what.get('resource', '?')} {'/'.join(where)}")
    return changes


def wait_for(condition: Callable[[], bool], timeout: float, otherwise: str) -> None:
    """Check twice a second until the condition holds. Raises Failure after the timeout."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{otherwise} within {timeout:.0f} s")
        time.sleep(0.5)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Yield the cluster, started if necessary, with the project's images in its registry."""
    # Convert SIGTERM to an exit, so that everything started is stopped.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(signal.signal, signal.SIGTERM, before)
            other = os.environ.get("KUBECONFIG_REHEARSAL")
            lent = _other(Path(other)) if other else _rehearsal(stack)
            print("Making sure that the registry has the images …", flush=True)
            lent.push_images()
            yield lent
    except Failure as failure:
        cannot_measure(str(failure))


def _other(kubeconfig: Path) -> Cluster:
    registry, kubectl = os.environ.get("IMAGE_REGISTRY"), shutil.which("kubectl")
    if not registry:
        cannot_measure("IMAGE_REGISTRY must name the registry that the cluster pulls from.")
    if not kubectl:
        cannot_measure("kubectl is not on the PATH.")
    return Cluster(
        kubeconfig,
        kubectl,
        registry,
        os.environ.get("IMAGE_REGISTRY_USERNAME", ""),
        os.environ.get("IMAGE_REGISTRY_PASSWORD", ""),
        None,
    )


def _rehearsal(stack: contextlib.ExitStack) -> Cluster:
    runner = [sys.executable, "-m", "rehearsal.kubernetes"]
    layout = Layout()
    try:
        run([*runner, "status"])
    except Failure:
        print("Starting the rehearsal cluster …", flush=True)
        stack.callback(run, [*runner, "down"], timeout=300)
        run([*runner, "up"], timeout=3600)
    login = json.loads(layout.login.read_text(encoding="utf-8"))
    return Cluster(
        layout.kubeconfig,
        str(layout.kubectl),
        f"{login['host']}/benchmarks",
        login["username"],
        login["password"],
        layout.audit_log,
        layout.containerd_socket,
    )
