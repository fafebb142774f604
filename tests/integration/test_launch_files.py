"""The plain launch files are what the role renders, and kubectl apply accepts them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from support import ROOT
from support.ansible_run import run_playbook

if TYPE_CHECKING:
    from pathlib import Path

# File: (the stem of the role's file, the objects in it with the seed's names)
FILES = {
    "model/model_launch.yaml": (
        "test-ml-app-test-ml-score",
        {"Namespace test-ml-app", "Service test-ml-score-lb", "Deployment test-ml-score"},
    ),
    "hello-world/hello_launch.yaml": (
        "default-hello-web",
        {"Service hello-web", "Deployment hello-web"},
    ),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render as described in the head comments, with the inventory's variables."""
    folder: Path = tmp_path_factory.mktemp("rendered")
    variables = {
        "image_registry": "docker.io/ACCOUNT",
        "workload_pin_digests": False,
        "workload_render_folder": str(folder),
    }
    run_playbook(
        "--inventory=inventory/kubernetes.yml",
        "--tags=render",
        f"--extra-vars={json.dumps(variables)}",
        "site.yml",
        IMAGE_REGISTRY_USERNAME="",
        IMAGE_REGISTRY_PASSWORD="",
    ).ok()
    return folder


def parts(path: str) -> tuple[str, str]:
    """Return the head comment and the documents."""
    text = (ROOT / path).read_text(encoding="utf-8")
    head, mark, documents = text.partition("---\n")
    return head, mark + documents


@pytest.mark.parametrize(("path", "workload"), [(path, name) for path, (name, _) in FILES.items()])
def test_equal_to_what_the_role_renders(path: str, workload: str, rendered: Path) -> None:
    head, documents = parts(path)
    assert all(line.startswith("#") for line in head.splitlines())
    assert documents == (rendered / f"{workload}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "names"), [(path, names) for path, (_, names) in FILES.items()])
def test_names(path: str, names: set[str]) -> None:
    documents = [*yaml.safe_load_all(parts(path)[1])]
    assert {f"{one['kind']} {one['metadata']['name']}" for one in documents} == names


def test_the_seeds_facts() -> None:
    _, service, deployment = yaml.safe_load_all(parts("model/model_launch.yaml")[1])
    assert service["spec"]["type"] == "LoadBalancer"
    assert [port["port"] for port in service["spec"]["ports"]] == [8080]
    assert deployment["spec"]["replicas"] == 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert (labels["app"], labels["env"]) == ("test-ml-score", "prod")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "docker.io/ACCOUNT/diabetes:v1"

    service, deployment = yaml.safe_load_all(parts("hello-world/hello_launch.yaml")[1])
    [port] = service["spec"]["ports"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert port["port"] == 80
    assert container["ports"][0]["containerPort"] == 8080
    assert container["image"] == "docker.io/ACCOUNT/hello-app:v1"


@pytest.mark.parametrize("path", FILES)
def test_kubectl_apply_and_delete(path: str, cluster, tmp_path: Path) -> None:
    """Use a separate namespace, since other tests use the same cluster."""
    with cluster.namespace() as namespace:
        image = cluster.image("web")
        secret = cluster.pull_secret(namespace)
        documents = []
        for document in yaml.safe_load_all(parts(path)[1]):
            if document["kind"] == "Namespace":
                continue
            document["metadata"]["namespace"] = namespace
            if document["kind"] == "Deployment":
                spec = document["spec"]["template"]["spec"]
                spec["imagePullSecrets"] = [{"name": secret}]
                # As the files instruct users.
                spec["containers"][0]["image"] = image
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    spec["containers"][0][probe]["httpGet"]["path"] = "/"
            documents.append(document)
        launch = tmp_path / "launch.yaml"
        launch.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        name = next(one["metadata"]["name"] for one in documents if one["kind"] == "Deployment")
        service = next(one["metadata"]["name"] for one in documents if one["kind"] == "Service")

        cluster.kubectl("apply", f"--filename={launch}")
        cluster.kubectl(
            "rollout", "status", f"deployment/{name}", f"--namespace={namespace}", "--timeout=120s"
        )
        cluster.kubectl(
            "wait", f"service/{service}", f"--namespace={namespace}", "--timeout=60s",
            "--for=jsonpath={.status.loadBalancer.ingress}",
        )  # fmt: skip
        found = cluster.get("service", service, f"--namespace={namespace}")
        [port] = found["spec"]["ports"]
        [balancer] = found["status"]["loadBalancer"]["ingress"]
        address = f"http://{balancer.get('ip') or balancer['hostname']}:{port['port']}/"
        answer = subprocess.run(
            ["curl", "--silent", "--fail", "--noproxy", "*", "--retry", "10", "--retry-all-errors",
             "--max-time", "10", address],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert answer.stdout == "ok\n"

        cluster.kubectl("delete", f"--filename={launch}")
        left = cluster.get("deployment,service", f"--namespace={namespace}")
        assert left["items"] == []
