"""The modules for Google on a host that lacks Python packages say which."""

import importlib

import pytest

from support import documented
from support.fresh_module import fresh_module
from support.run_module import run_module


def needs_google(name):
    module = importlib.import_module(name)
    fragments = documented.documentation(module).get("extends_documentation_fragment") or []
    return "google" in ([fragments] if isinstance(fragments, str) else fragments)


MODULES = sorted(
    path.stem for path in (documented.ROOT / "library").glob("*.py") if needs_google(path.stem)
)
# Options that modules require; other required options are any text.
REQUIRED = {
    "project": "p",
    "auth_kind": "application",
    "cluster": {"name": "c", "location": "europe-west1-b"},
    "updates": [],
    "body": {},
}


@pytest.mark.parametrize("package", ["requests", "google.auth"])
@pytest.mark.parametrize("name", MODULES)
def test_no_package(name, package, capsys):
    taken = documented.specification(importlib.import_module(name))["argument_spec"]
    given = {
        option: REQUIRED.get(option, "x") for option, one in taken.items() if one.get("required")
    }
    with fresh_module(name, package) as module:
        answer = run_module(module, capsys, **given)
    assert answer["failed"]
    assert "Failed to import the required Python library (google-auth, requests" in answer["msg"]
