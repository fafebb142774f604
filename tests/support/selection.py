"""Selecting the tests and linters for a path of the project."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_YAML = {".yml", ".yaml"}


@dataclass
class Chosen:
    """The arguments of pytest and the commands of linters."""

    tests: list[str] = field(default_factory=list)
    linters: list[tuple[str, ...]] = field(default_factory=list)


def choose(root: Path, paths: Sequence[str]) -> Chosen:
    """Return the tests and linters for these paths: files, folders, or tests (`file::name`).

    The tests of a file are those named after it or that import it; those of a role are named after
    it; those of a package are in the corresponding folder.
    """
    chosen = Chosen()
    for given in paths:
        path = (root / given.partition("::")[0]).resolve()
        if not path.exists():
            raise SystemExit(f"WHAT: there is no {given} in {root}: name a path of the project.")
        place = path.relative_to(root)
        if place.parts[0] == "tests":
            chosen.tests.append(given)
        else:
            chosen.tests += _tests(root, path)
        chosen.linters += _linters(path, str(place))
    chosen.tests = list(dict.fromkeys(chosen.tests))
    return chosen


def _tests(root: Path, path: Path) -> list[str]:
    place = path.relative_to(root)
    of_role = place.parts[0] == "roles"
    if of_role and len(place.parts) > len(("roles", "name")):
        return _tests(root, root.joinpath(*place.parts[:2]))
    if place.parts[0] == "module_utils":
        return _tests_of_package(root, *place.with_suffix("").parts[2:])
    names = [path.stem.replace("-", "_")]
    if path.is_dir() and not of_role:
        names = sorted({one.stem for one in path.rglob("*.py")} - {"__init__", "__main__"})
    called = "|".join(map(re.escape, names))
    by_name = re.compile(rf"test_(\w+_)?({called})(_\w+)?$")
    imports = re.compile(rf"^\s*(from|import) .*\b({called})\b", re.MULTILINE)
    found = [
        str(one.relative_to(root))
        for one in sorted((root / "tests").rglob("test_*.py"))
        if by_name.match(one.stem)
        or (not of_role and imports.search(one.read_text(encoding="utf-8")))
    ]
    scenario = {"roles": path.stem, "molecule": place.parts[-1]}.get(place.parts[0])
    if scenario and (root / "molecule" / scenario).is_dir():
        found.append(f"tests/molecule/test_scenarios.py::test_scenario[{scenario}]")
    return found


def _tests_of_package(root: Path, *parts: str) -> list[str]:
    """Return the tests of docker_ml_api, or of a package or module in it."""
    dotted = ".".join(["docker_ml_api", *parts])
    package, _, name = dotted.rpartition(".")
    imports = re.compile(
        rf"{re.escape(dotted)}\b|{re.escape(package)} import (\([^)]*|.*)\b{name}\b"
    )
    mirrored = root.joinpath("tests", "unit", "module_utils", *parts)
    return [
        str(one.relative_to(root))
        for one in sorted((root / "tests").rglob("test_*.py"))
        if mirrored in one.parents
        or (one.parent == mirrored.parent and one.stem == f"test_{name}")
        or imports.search(one.read_text(encoding="utf-8"))
    ]


def _linters(path: Path, given: str) -> list[tuple[str, ...]]:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    found: list[tuple[str, ...]] = []
    if any(file.suffix == ".py" for file in files):
        found += [("ruff", "check", given), ("ruff", "format", "--check", given)]
        if not given.startswith("tests"):
            found.append(("mypy", given))
    if any(file.suffix in _YAML for file in files):
        found += [("yamllint", "--strict", given), ("ansible-lint", "--strict", "--offline", given)]
    return found
