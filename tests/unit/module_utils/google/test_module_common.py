import pytest
from ansible.module_utils.docker_ml_api.google import module_common
from ansible.module_utils.docker_ml_api.google.errors import GoogleError

from support.fresh_module import fresh_module
from support.run_module import run_module

ACCESS = {"project": "p", "auth_kind": "accesstoken", "access_token": "T"}


class Module:
    def __init__(self, run):
        self.run = run

    def main(self):
        module_common.run_module({"size": {"type": "int"}}, self.run)


def answer(capsys, run, **options):
    return run_module(Module(run), capsys, **{**ACCESS, **options})


def test_result(capsys):
    def run(module, session):
        assert session.project == "p"
        return {"size": module.params["size"], "patience": module.params["retry_seconds"]}

    found = answer(capsys, run, size=3)
    assert (found["changed"], found["size"], found["patience"]) == (False, 3, 60.0)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (GoogleError(403, "X", "No.", "A sentence."), {"status": 403, "reason": "X"}),
        (module_common.ModuleFailedError("A sentence.", found=[1]), {"found": [1]}),
    ],
)
def test_failures(capsys, error, result):
    def run(_module, _session):
        raise error

    found = answer(capsys, run)
    assert found["failed"]
    assert found["msg"] == "A sentence."
    assert result.items() <= found.items()


def test_the_environment_of_google_cloud(capsys, monkeypatch):
    for key, value in (("PROJECT", "q"), ("AUTH_KIND", "accesstoken"), ("ACCESS_TOKEN", "T")):
        monkeypatch.setenv(f"GCP_{key}", value)
    found = run_module(Module(lambda _module, session: {"name": session.project}), capsys)
    assert found["name"] == "q"


def test_no_login(capsys):
    found = answer(capsys, None, auth_kind="serviceaccount", access_token=None)
    assert found["failed"]
    assert "requires setting either service_account_file" in found["msg"]


@pytest.mark.parametrize("name", ["changes", "update", "create", "ready"])
def test_missing_package(capsys, name):
    needed = {
        "changes": {"cluster": {"name": "c", "location": "l"}},
        "update": {"name": "c", "location": "l", "updates": []},
        "create": {"name": "c", "location": "l", "body": {}},
        "ready": {"cluster": {"name": "c", "location": "l"}},
    }
    with fresh_module(f"gke_cluster_{name}", "google.auth") as module:
        found = run_module(module, capsys, **ACCESS, **needed[name])
    assert found["failed"]
    assert "Failed to import the required Python library (google-auth, requests and" in found["msg"]
