import os

import gke_cluster_ready
import pytest

from support import documented
from support import gke_examples as examples

CLUSTER = examples.options()


@pytest.fixture
def gke(tmp_path, capsys, monkeypatch):
    with examples.quick_google(tmp_path, capsys, monkeypatch) as made:
        yield made


@pytest.fixture
def there(gke):
    with examples.on_google(gke.google) as session:
        examples.make(session, examples.wanted())
    gke.google.forget_requests()


@pytest.mark.usefixtures("there")
def test_ready(gke):
    ready = gke.ready(CLUSTER)
    assert documented.result_differences(gke_cluster_ready, ready) == []
    assert ready["ready"]
    assert not ready["changed"]
    assert ready["status"] == "RUNNING"
    assert ready["context"] == f"gke_{gke.google.project}_europe-west1-b_hello-cluster"
    assert [(one["name"], one["status"]) for one in ready["pools"]] == [("main", "RUNNING")]
    assert ready["version"] == ready["pools"][0]["version"]
    [server] = [one["cluster"] for one in ready["kubeconfig"]["clusters"]]
    assert server == {
        "server": f"https://{ready['endpoint']}",
        "certificate-authority-data": ready["ca_certificate"],
    }
    assert "exec" in ready["kubeconfig"]["users"][0]["user"]
    assert gke.google.mutations() == []


@pytest.mark.usefixtures("there")
def test_no_secret_in_the_kubeconfig(gke):
    text = str(gke.ready(CLUSTER)["kubeconfig"])
    assert "PRIVATE KEY" not in text
    assert str(gke.google.key_file) in text


@pytest.mark.usefixtures("there")
def test_a_login_that_cannot_be_kept(gke, tmp_path, monkeypatch):
    place = tmp_path / f"docker-ml-api-{os.getuid()}"
    place.mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("GCP_SERVICE_ACCOUNT_FILE")
    token = gke.google.access_token()
    answer = gke.run(
        "gke_cluster_ready", cluster=CLUSTER, auth_kind="accesstoken", access_token=token
    )
    assert answer["failed"]
    assert "is not a folder of yours with mode 0700" in answer["msg"]


def test_check_mode(gke):
    ready = gke.ready(CLUSTER, _ansible_check_mode=True)
    assert documented.result_differences(gke_cluster_ready, ready) == []
    assert (ready["ready"], ready["missing"]) == (False, ["there is no cluster yet"])
    assert (ready["status"], ready["endpoint"], ready["kubeconfig"]) == ("", "", {})
    with examples.on_google(gke.google) as session:
        examples.make(session, examples.wanted({"name": "other"}))
    ready = gke.ready(CLUSTER, _ansible_check_mode=True)
    assert ready["missing"] == ["node pool main is missing"]
    # Its API server is available nevertheless.
    assert ready["kubeconfig"]["current-context"] == ready["context"]
    assert gke.ready(CLUSTER, pools=[], _ansible_check_mode=True)["ready"]


def test_the_default_pool_is_deleted(gke):
    changes = gke.changes(CLUSTER)
    gke.google.fault("operation-error", method="nodePools.delete", message="Not now.")
    gke.google_cloud("gcp_container_cluster", changes["create"]["cluster"]["parameters"])
    assert gke.changes(CLUSTER)["delete"]
    ready = gke.ready(CLUSTER, pools=[])
    assert ready["changed"]
    assert ready["pools"] == []


def test_not_ready(gke):
    answer = gke.run("gke_cluster_ready", cluster=CLUSTER)
    assert answer["failed"]
    assert "There is no cluster hello-cluster in europe-west1-b." in answer["msg"]
