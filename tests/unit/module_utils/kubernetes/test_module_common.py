import importlib.util
import sys
from types import SimpleNamespace

import pytest
from ansible.module_utils.docker_ml_api.kubernetes import module_common
from ansible.module_utils.docker_ml_api.kubernetes.cluster import ApiError

from support.api_server import Answer, kubeconfig, refusal, serving
from support.run_module import run_module

NO_SERVER = kubeconfig("http://127.0.0.1:1")


def module(run, **arguments):
    """A module whose work is `run`."""
    return SimpleNamespace(main=lambda: module_common.run_module(arguments, run))


def test_success(capsys):
    def run(module, connected):
        return {"changed": module.params["size"] == 3, "name": connected.name}

    answer = run_module(module(run, size={"type": "int"}), capsys, kubeconfig=NO_SERVER, size="3")
    assert (answer["changed"], answer["name"]) == (True, "The cluster of context here")


def test_nothing_changes_unless_said(capsys):
    answer = run_module(module(lambda *_: {}), capsys, kubeconfig=NO_SERVER)
    assert answer["changed"] is False


def test_check_mode(capsys):
    answer = run_module(
        module(lambda module, _: {"dry": module.check_mode}),
        capsys,
        kubeconfig=NO_SERVER,
        _ansible_check_mode=True,
    )
    assert answer["dry"] is True


def test_its_own_failure(capsys):
    def run(*_):
        raise module_common.ModuleFailedError("The pods are not well.", changed=True, problems=[1])

    answer = run_module(module(run), capsys, kubeconfig=NO_SERVER)
    assert answer["failed"]
    assert answer["msg"] == "The pods are not well."
    assert (answer["changed"], answer["problems"]) == (True, [1])


def test_no_such_context(capsys):
    answer = run_module(module(lambda *_: {}), capsys, kubeconfig=NO_SERVER, context="there")
    assert answer["failed"]
    assert answer["msg"].startswith("The kubeconfig given as a mapping has no context there: ")


def test_a_context_of_nothing_is_the_current_one(capsys):
    answer = run_module(module(lambda *_: {}), capsys, kubeconfig=NO_SERVER, context="")
    assert not answer.get("failed")


def test_unreachable(capsys):
    answer = run_module(module(lambda _, one: one.list("Pod")), capsys, kubeconfig=NO_SERVER)
    assert answer["failed"]
    assert "cannot be reached at http://127.0.0.1:1 (Connection refused)" in answer["msg"]


def test_a_kubeconfig_is_not_masked(capsys):
    """All texts of a mapping, even the short ones, would be masked in all output."""
    answer = run_module(
        module(lambda _, one: {"text": one.server}), capsys, kubeconfig=kubeconfig("http://h:1")
    )
    assert answer["text"] == "http://h:1"


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [
        (
            403,
            'pods is forbidden: User "tom" cannot list resource "pods"',
            (
                " Ask its administrator for that permission, or name a context that has it with "
                "kubernetes_context."
            ),
        ),
        (
            403,
            'pods is forbidden: User "system:anonymous" cannot list resource "pods"',
            " The context has no login: write it anew with your cluster's tool.",
        ),
        (403, "exceeded quota: pods.", ""),
        (
            409,
            "the UID is another",
            " Run the same command again: somebody else changed it at the same time.",
        ),
        (429, "too many requests", " Run the same command again when it is well."),
        (503, "etcd has no leader", " Run the same command again when it is well."),
        (422, "spec.replicas: Invalid value", ""),
    ],
)
def test_what_the_api_server_refuses(capsys, status, said, advice):
    assert module_common.advise(ApiError(status, "", said)) == f"{said.rstrip('.')}.{advice}"
    with serving(lambda _: refusal(status, "Reason", said)) as server:
        answer = run_module(
            module(lambda _, one: one.create("Pod", "n", {})),
            capsys,
            kubeconfig=server.kubeconfig(),
        )
    assert answer["failed"]
    assert answer["msg"] == (
        f"The cluster of context here refused a request: {said.rstrip('.')}.{advice}"
    )


@pytest.mark.parametrize("fails", [False, True])
def test_connections_are_closed(capsys, fails):
    """Even while something refers to the client, such as the traceback of a failure."""
    used = []

    def run(_, connected):
        connected.list("Pod")
        used.extend(connected._manager.pools._container.values())
        if fails:
            raise module_common.ModuleFailedError("The pods are not well.")
        return {}

    with serving(lambda _: Answer({"items": []})) as server:
        run_module(module(run), capsys, kubeconfig=server.kubeconfig())
    [pool] = used
    assert pool.pool is None


def test_a_kubeconfig_by_path(capsys, tmp_path):
    with serving(lambda _: Answer({"items": []})) as server:
        path = tmp_path / "config"
        path.write_text(str(server.kubeconfig()))
        answer = run_module(
            module(lambda _, one: {"pods": one.list("Pod")}), capsys, kubeconfig=str(path)
        )
    assert answer["pods"] == []


def test_a_package_is_missing(capsys, monkeypatch):
    name = "ansible.module_utils.docker_ml_api.kubernetes.cluster"
    monkeypatch.setitem(sys.modules, "urllib3", None)
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules[name.rpartition(".")[0]], "cluster")
    # A copy, since other tests use the classes of the module itself.
    spec = importlib.util.spec_from_file_location("a_copy", module_common.__file__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    without = SimpleNamespace(main=lambda: copy.run_module({}, lambda *_: {}))
    answer = run_module(without, capsys, kubeconfig=NO_SERVER)
    assert answer["failed"]
    assert "(kubernetes)" in answer["msg"]
