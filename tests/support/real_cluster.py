"""A real Kubernetes with a registry: the rehearsal's or another one.

KUBECONFIG_REHEARSAL is the kubeconfig of another cluster (its current context). Tests that need the
rehearsal's registry or audit log are then skipped, with a message.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rehearsal.gke import layout as google
from rehearsal.kubernetes.images import Image
from rehearsal.kubernetes.layout import Layout
from support import ROOT
from support.passing import NotUpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.cluster_client import Client

NAMED = "KUBECONFIG_REHEARSAL"
_STARTED_BY = "DOCKER_ML_API_TEST_CLUSTER"  # the file that marks the cluster as started by tests
_RUNNER = (sys.executable, "-m", "rehearsal.kubernetes")

_SERVE = """\
#!/bin/sh
# The first process of a container has no default handling of signals.
trap 'kill $server; exit 0' TERM INT
httpd -f -p 8080 -h /www &
server=$!
wait $server
"""
_CRASH = """\
#!/bin/sh
echo "loading the model"
echo "cannot load the model: no such file" >&2
exit 1
"""
_NEVER_READY = """\
#!/bin/sh
trap 'kill $server; exit 0' TERM INT
nc -ll -p 8080 -e /bin/unavailable &
server=$!
wait $server
"""
_UNAVAILABLE = """\
#!/bin/sh
# An answer to what was not read yet may come before the question, or be lost in a reset.
while read -r line && [ "${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.1 503 Service Unavailable\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n'
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster that tests share, each of them in its own namespaces."""

    kubeconfig: Path
    context: str
    program: str = "kubectl"
    layout: Layout | None = None
    """The layout of the rehearsal's cluster; None for another cluster."""

    @property
    def client(self) -> Client:
        """A client for frequent requests."""
        from support import cluster_client  # noqa: PLC0415 - with what it imports this takes a second

        return cluster_client.of(self.kubeconfig, self.context, session_folder())

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return its output."""
        named = [f"--kubeconfig={self.kubeconfig}", f"--context={self.context}"]
        answer = subprocess.run(
            [self.program, *named, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, f"kubectl {' '.join(arguments)}: {answer.stderr}"
        return answer.stdout

    def get(self, *arguments: str) -> Any:
        """Return the result of `kubectl get` as the API returns it."""
        found = self.client.get(arguments)
        if found is None:
            found = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    @contextlib.contextmanager
    def namespace(self, labels: Mapping[str, str] | None = None) -> Iterator[str]:
        """Yield a new namespace, which is deleted with its content afterwards."""
        name = f"test-{uuid.uuid4().hex[:10]}"
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        document["metadata"] |= {"labels": dict(labels or {})}
        namespaces = "/api/v1/namespaces"
        self.client.create(namespaces, document)
        try:
            yield name
        finally:
            self.client.delete(f"{namespaces}/{name}")

    @property
    def registry(self) -> str:
        """The registry's HOST:PORT."""
        return self._login()["host"]

    @property
    def username(self) -> str:
        """The name of the registry's only user."""
        return self._login()["username"]

    @property
    def password(self) -> str:
        """The password of the registry's only user."""
        return self._login()["password"]

    def image(self, name: str, content: str = "ok\n") -> str:
        """Push a small image; return its reference with the digest.

        The image "crash" prints two lines and exits with 1, "never-ready" answers 503, and any
        other name answers GET / on port 8080 with the content. It runs as user 65532 and needs no
        writable file.
        """
        scripts = {"crash": _CRASH, "never-ready": _NEVER_READY}
        image = Image(
            {
                "bin/busybox": Path("/usr/bin/busybox").read_bytes(),
                "bin/start": scripts.get(name, _SERVE).encode(),
                "bin/unavailable": _UNAVAILABLE.encode(),
                "www/index.html": content.encode(),
            },
            {
                "Entrypoint": ["/bin/start"],
                "User": "65532:65532",
                "Env": ["PATH=/bin"],
                "ExposedPorts": {"8080/tcp": {}},
            },
            links={f"bin/{applet}": "busybox" for applet in ("sh", "httpd", "nc", "wget", "cat")},
        )
        digest = image.push(self.registry, name, "test", self.username, self.password)
        return f"{self.registry}/{name}@{digest}"

    def pull_secret(self, namespace: str, name: str = "registry") -> str:
        """Create a pull secret for the registry; return its name."""
        login = {"username": self.username, "password": self.password}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps({"auths": {self.registry: login}})},
        }
        self.client.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
        return name

    def audit(self, containing: str = "") -> list[dict[str, Any]]:
        """Return the API server's audit events that contain a text, oldest first.

        The log contains the events of all tests; the name of a test's own namespace is a fast
        filter.
        """
        log = self.rehearsal("audit log").audit_log
        older = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))
        found = []
        for path in (*older, log):
            with path.open(encoding="utf-8") as file:
                for line in file:
                    # The last line may be incomplete; its rest would be read as another line.
                    if line[-1] != "\n":
                        break
                    if containing in line:
                        found.append(json.loads(line))
        return found

    def rehearsal(self, what: str) -> Layout:
        """Return the layout of the rehearsal's cluster; skip the test on another cluster."""
        if self.layout is None:
            pytest.skip(f"The cluster that {NAMED} names has no {what} that the tests know of.")
        return self.layout

    def _login(self) -> dict[str, str]:
        login: dict[str, str] = json.loads(self.rehearsal("registry").login.read_text())
        return login


def connect() -> Cluster:
    """Return the cluster, started if necessary."""
    if named := os.environ.get(NAMED):
        context = subprocess.run(
            ["kubectl", f"--kubeconfig={named}", "config", "current-context"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        return Cluster(Path(named), context)
    paths = Layout()
    if not paths.state.exists():
        Path(os.environ[_STARTED_BY]).touch()
    # With the options of a GKE rehearsal, which uses the cluster in parallel with the tests.
    up = [*_RUNNER, "up", "--token-webhook", google.TOKEN_REVIEW_URL]
    answer = subprocess.run(up, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise NotUpError(answer.stderr)
    return Cluster(paths.kubeconfig, "rehearsal", str(paths.kubectl), paths)


def begin_session(folder: Path) -> None:
    """Set the file with which the session's processes record that they started the cluster."""
    os.environ[_STARTED_BY] = str(folder / "started")


def session_folder() -> Path:
    """Return the folder shared by the session's processes, which is removed at its end."""
    return Path(os.environ[_STARTED_BY]).parent


def close_clients() -> None:
    """Close this process's connections, if it imported what makes them."""
    if client := sys.modules.get("support.cluster_client"):
        client.close()


def end_session() -> None:
    """Stop the cluster if one of the session's processes started it."""
    if Path(os.environ[_STARTED_BY]).exists():
        subprocess.run([*_RUNNER, "down"], cwd=ROOT, capture_output=True, check=True)
