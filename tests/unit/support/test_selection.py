"""What `make check WHAT=…` chooses for a path."""

import pytest

from support import ROOT, selection

LINKS = "tests/unit/docs/test_documents.py::test_links_lead_somewhere"
SCENARIO = "tests/molecule/test_scenarios.py::test_scenario[{}]"


@pytest.mark.parametrize(
    ("what", "tests"),
    [
        ("library/port_owner.py", {"tests/unit/library/test_port_owner.py"}),
        ("roles/container", {"tests/integration/test_container_role.py"}),
        ("roles/container/tasks/preflight.yml", {"tests/integration/test_container_role.py"}),
        ("scripts/apt-install", {"tests/unit/scripts/test_apt_install.py"}),
        ("molecule/gke", {SCENARIO.format("gke")}),
        ("tests/unit/docs/test_documents.py", {"tests/unit/docs/test_documents.py"}),
        (LINKS, {LINKS}),
    ],
)
def test_tests(what, tests):
    assert tests <= {*selection.choose(ROOT, [what]).tests}


UNIT = "tests/unit/module_utils"


@pytest.mark.parametrize(
    ("what", "chosen", "others"),
    [
        ("docker/tcp_ports.py", ["docker/test_tcp_ports.py"], ["docker/test_engine.py"]),
        # No test is named after urls.py, and not every module named http is checks/http.py.
        ("gke/urls.py", ["gke/test_creation.py"], ["gke/test_cost.py", "checks/test_http.py"]),
        ("checks/http.py", ["checks/test_http.py"], ["registry/test_access.py"]),
        ("registry", ["registry/test_access.py"], ["gke/test_cost.py"]),
        ("", ["registry/test_access.py", "gke/test_cost.py"], []),
    ],
)
def test_of_the_package(what, chosen, others):
    found = selection.choose(ROOT, [f"module_utils/docker_ml_api/{what}"]).tests
    assert {f"{UNIT}/{one}" for one in chosen} <= {*found}
    assert not {f"{UNIT}/{one}" for one in others} & {*found}


@pytest.mark.parametrize(
    ("what", "linters"),
    [
        ("library/port_owner.py", {"ruff", "mypy"}),
        ("tests/support/ports.py", {"ruff"}),
        ("roles/container", {"yamllint", "ansible-lint"}),
        ("scripts/apt-install", set()),
    ],
)
def test_linters(what, linters):
    assert {command[0] for command in selection.choose(ROOT, [what]).linters} == linters


def test_what_is_not_there():
    with pytest.raises(SystemExit, match=r"WHAT: there is no roles/nothing in .*: name a path"):
        selection.choose(ROOT, ["roles/nothing"])
