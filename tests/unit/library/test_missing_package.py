"""The modules for clusters on a host that lacks a Python package say which."""

import importlib
import sys

import pytest
from ansible.module_utils.docker_ml_api.kubernetes import module_common

from support import documented
from support.api_server import kubeconfig
from support.fresh_module import fresh_module
from support.run_module import run_module


def needs_cluster(name):
    extended = documented.documentation(importlib.import_module(name))
    fragments = extended.get("extends_documentation_fragment") or []
    return "cluster" in ([fragments] if isinstance(fragments, str) else fragments)


MODULES = sorted(
    path.stem for path in (documented.ROOT / "library").glob("*.py") if needs_cluster(path.stem)
)
# Options that modules require.
REQUIRED = {"workloads": [], "labels": {"a": "b"}}


@pytest.mark.parametrize("name", MODULES)
def test_no_kubernetes_package(name, capsys):
    taken = documented.specification(importlib.import_module(name))["argument_spec"]
    options = {option: value for option, value in REQUIRED.items() if option in taken}
    with fresh_module(name, "urllib3") as module:
        answer = run_module(module, capsys, kubeconfig=kubeconfig("http://127.0.0.1:1"), **options)
    assert answer["failed"]
    assert "Failed to import the required Python library (kubernetes)" in answer["msg"]


def test_all_is_as_before():
    common = "ansible.module_utils.docker_ml_api.kubernetes.module_common"
    named, before = importlib.import_module("workload_check"), sys.modules[common]
    with fresh_module("workload_check", "urllib3") as module:
        assert sys.modules["urllib3"] is None
        assert module is sys.modules["workload_check"]
        assert sys.modules[common] is not before
    assert before is module_common
    assert sys.modules[common] is before
    assert sys.modules["workload_check"] is named is not module
    assert importlib.import_module("urllib3").__name__ == "urllib3"
