"""Google's unmodified gcloud works with the double as with Google."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
import yaml

from support import gke_double

# gcloud polls only every few seconds, so only one kind of operation takes time.
QUICK = {"create_cluster_seconds": 0.1} | dict.fromkeys(
    ("create_pool_seconds", "update_seconds", "delete_seconds"), 0.0
)
ZONE = "europe-west4-a"
NAME = "model-test-cluster"
CLUSTERS = "container.projects.locations.clusters"


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} of the Google Cloud SDK is not installed: NOT TESTED with it")


@pytest.fixture
def google(tmp_path):
    need("gcloud")
    with gke_double.running(tmp_path, **QUICK) as running:
        yield running


@pytest.fixture
def gcloud(google):
    def run(*arguments, program="gcloud"):
        answer = subprocess.run(
            [program, *arguments],
            env=os.environ | google.gcloud_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    return run


def containers(gcloud, *arguments, **options):
    return gcloud("container", *arguments, f"--zone={ZONE}", **options)


def described(gcloud):
    return json.loads(containers(gcloud, "clusters", "describe", NAME, "--format=json"))


def test_cluster_from_its_creation_to_its_end(google, gcloud, tmp_path):
    containers(gcloud, "clusters", "create", NAME, "--num-nodes=3", "--machine-type=e2-small")
    cluster = described(gcloud)
    assert (cluster["status"], cluster["currentNodeCount"]) == ("RUNNING", 3)
    assert cluster["nodePools"][0]["config"]["machineType"] == "e2-small"

    containers(gcloud, "clusters", "get-credentials", NAME)
    kubeconfig = yaml.safe_load(google.double.paths.kubeconfig.read_text())
    assert [each["cluster"]["server"] for each in kubeconfig["clusters"]] == ["https://127.0.20.1"]
    if shutil.which("gke-gcloud-auth-plugin"):
        credential = json.loads(gcloud(program="gke-gcloud-auth-plugin"))
        review = google.double.frontend.token_review({"spec": credential["status"]})
        assert review["status"]["user"]["username"] == google.email

    containers(gcloud, "clusters", "resize", NAME, "--num-nodes=2")
    containers(gcloud, "clusters", "update", NAME, "--update-labels=team=science")
    cluster = described(gcloud)
    assert cluster["currentNodeCount"] == 2
    assert cluster["resourceLabels"]["team"] == "science"

    containers(gcloud, "node-pools", "create", "more", f"--cluster={NAME}", "--num-nodes=1")
    listed = containers(gcloud, "node-pools", "list", f"--cluster={NAME}", "--format=value(name)")
    assert listed.split() == ["default-pool", "more"]
    containers(gcloud, "node-pools", "delete", "more", f"--cluster={NAME}")

    operations = json.loads(containers(gcloud, "operations", "list", "--format=json"))
    assert {each["status"] for each in operations} == {"DONE"}
    containers(gcloud, "clusters", "delete", NAME)
    assert gcloud("container", "clusters", "list", "--format=value(name)") == ""

    assert [entry["method_id"].removeprefix(f"{CLUSTERS}.") for entry in google.mutations()] == [
        *("create", "nodePools.setSize", "setResourceLabels"),
        *("nodePools.create", "nodePools.delete", "delete"),
    ]
    assert [entry["problem"] for entry in google.requests() if entry["problem"]] == []
    assert {entry["caller"] for entry in google.mutations()} == {google.email}
    assert list(tmp_path.iterdir()) == [google.double.paths.folder]


def test_autopilot(gcloud):
    gcloud("container", "clusters", "create-auto", NAME, "--region=europe-west4")
    listed = gcloud("container", "clusters", "list", "--format=json")
    (cluster,) = json.loads(listed)
    assert (cluster["autopilot"]["enabled"], cluster["location"]) == (True, "europe-west4")
