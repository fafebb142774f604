"""The imports between the project's parts: only downwards, and never in a circle."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from typing import TYPE_CHECKING

import pytest

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "ansible.module_utils.docker_ml_api"
FOLDERS = {
    "benchmarks": "benchmarks",
    "model": "model",
    "module_utils/docker_ml_api": PACKAGE,
    "rehearsal": "rehearsal",
    "tests/support": "support",
}
ROW = re.compile(r"^\| `(?P<package>\w+)` \|.*\| (?P<allowed>[^|]+) \|$", re.MULTILINE)
# The parts of the model's folder: what each imports from the others.
ROOMS = {
    "model.main": {"contract", "serving"},
    "model.train": {"training"},
    "model.image": set(),
    "model.service.contract": set(),
    "model.service.serving": {"contract"},
    "model.service.training": {"contract"},
}


def named(path: Path, folder: str) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(ROOT / folder).with_suffix("").parts
    return ".".join([FOLDERS[folder], *(part for part in parts if part != "__init__")])


@functools.cache
def modules() -> dict[str, Path]:
    """Return the project's modules, except those of tests and of Ansible's flat folders."""
    return {
        named(path, folder): path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    }


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the dotted names that a module imports, and whether for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, node in for_types) for name in names)


@functools.cache
def graph() -> dict[str, set[str]]:
    """Return for each module the project's modules that it imports."""
    found: dict[str, set[str]] = {}
    for module, path in modules().items():
        # The name is a module, or imported from a module.
        names = {one for name, _ in imports(path) for one in (name, name.rpartition(".")[0])}
        whole = {name for name in names if name in modules() and name != module}
        found[module] = {one for one in whole if not any(of.startswith(f"{one}.") for of in whole)}
    return found


def test_there_is_no_circle():
    assert len(graph()) > 200
    try:
        graphlib.TopologicalSorter(graph()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def layers() -> dict[str, set[str]]:
    """Return the table of module_utils/README.md."""
    text = (ROOT / "module_utils" / "README.md").read_text(encoding="utf-8")
    return {row["package"]: {*re.findall(r"`(\w+)`", row["allowed"])} for row in ROW.finditer(text)}


def test_the_table_names_all_packages():
    packages = {path.parent.name for path in (ROOT / "module_utils").glob("*/*/__init__.py")}
    assert {*layers()} == packages


@pytest.mark.parametrize("package", layers())
def test_a_package_imports_those_that_the_table_names(package):
    own = f"{PACKAGE}.{package}"
    found = {
        name.removeprefix(f"{PACKAGE}.").partition(".")[0]
        for module, names in graph().items()
        if module.startswith(own)
        for name in names
    }
    assert found - {package, "private_files", "progress"} == layers()[package]


def test_only_what_says_so_by_its_name_is_more_than_logic():
    found = {
        path.relative_to(ROOT / "module_utils" / "docker_ml_api").as_posix()
        for name, path in modules().items()
        if name.startswith(PACKAGE)
        and ("ansible.module_utils.basic.AnsibleModule", False) in {*imports(path)}
    }
    assert found == {"google/module_common.py", "kubernetes/module_common.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_the_model(room):
    found = {
        name.removeprefix("model.service.").partition(".")[0]
        for module, names in graph().items()
        if f"{module}.".startswith(f"{room}.")
        for name in names
        if name.startswith("model.")
    }
    assert found - {room.rpartition(".")[2]} == ROOMS[room]
