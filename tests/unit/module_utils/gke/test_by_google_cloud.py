"""google.cloud's own modules on a double of Google's API, with and without faults."""

import signal

import pytest
from ansible.module_utils import basic
from ansible.module_utils.docker_ml_api.gke import by_google_cloud

from support import gke_double
from support import gke_examples as examples

PARAMETERS = {
    "name": examples.NAME,
    "location": examples.LOCATION,
    "initial_node_count": 1,
    "resource_labels": {"team": "models"},
}


@pytest.fixture
def google(tmp_path, monkeypatch):
    """A double in real time, since google.cloud's modules sleep in real time."""
    quick = {"create_cluster_seconds": 0.0, "delete_seconds": 0.0}
    with gke_double.running(tmp_path, **quick) as made, examples.left_connections():
        for key, value in made.environment.items():
            if not key.startswith("GCP_"):
                monkeypatch.setenv(key, value)
        yield made


def create(google, seconds=30.0):
    access = {
        "project": google.project,
        "auth_kind": "serviceaccount",
        "service_account_file": str(google.key_file),
        "service_account_contents": None,
        "timeout": 1,
    }
    by_google_cloud.run(by_google_cloud.CLUSTER, PARAMETERS, access, seconds)


def there(google):
    return google.world.dump()["clusters"].get(f"{examples.LOCATION}/{examples.NAME}")


def test_it_creates(google, capsys, monkeypatch):
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", b"those of the module around")
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "its own")
    create(google)
    assert there(google)["live"]["resourceLabels"] == {"team": "models"}
    assert there(google)["pools"] == {}
    assert capsys.readouterr().out == ""
    assert basic._ANSIBLE_ARGS == b"those of the module around"
    assert basic._ANSIBLE_PROFILE == "its own"


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("unavailable", False),
        ("permission-denied", False),
        ("drop-before", False),
        ("drop-after", True),
        ("operation-error", True),
    ],
)
def test_what_it_stumbles_over_is_not_told(google, capsys, kind, made):
    google.fault(kind, method="clusters.create$")
    create(google)
    assert (there(google) is not None) is made
    assert capsys.readouterr().out == ""


def test_it_ends_in_time(google):
    google.fault("operation-never-ends", method="clusters.create$")
    handler = signal.getsignal(signal.SIGALRM)
    create(google, seconds=0.5)
    assert there(google)["status"] == "PROVISIONING"
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_without_any_time_it_is_ended_at_once(google):
    create(google, seconds=0)
    assert there(google) is None


def test_a_python_without_the_collection():
    with pytest.raises(by_google_cloud.UnavailableError) as raised:
        by_google_cloud.run("gcp_container_nothing", {}, {}, 1)
    assert "google.cloud.gcp_container_nothing is not used" in str(raised.value)
    assert 'set ansible_python_interpreter to "{{ ansible_playbook_python }}"' in str(raised.value)
