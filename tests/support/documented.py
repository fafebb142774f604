"""Comparing the documentation of modules with their options and return values."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import yaml
from ansible.module_utils.basic import AnsibleModule

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType


# Return values common to all modules, which Ansible documents.
COMMON = {
    *("changed", "failed", "msg", "diff", "invocation", "exception", "warnings", "deprecations"),
}
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
# A description may refer to another module: O(prediction_check#module:checks).
REFERENCE = re.compile(r"\bO\((\w+)#module:([\w.]+)\)")


class _SeenError(Exception):
    """Ends a module as soon as its options are known."""


def specification(module: ModuleType) -> dict[str, Any]:
    """Return the arguments that a module passes to AnsibleModule."""
    seen: dict[str, Any] = {}

    def init(_module: AnsibleModule, argument_spec: Any, **others: Any) -> None:
        seen.update(argument_spec=argument_spec, **others)
        raise _SeenError

    with patch.object(AnsibleModule, "__init__", init):
        try:
            module.main()
        except _SeenError:
            return seen
    raise AssertionError("the module ended without its options")


def documentation(module: ModuleType) -> dict[str, Any]:
    """Return a module's documentation, including the fragments that it extends."""
    found: dict[str, Any] = yaml.safe_load(module.DOCUMENTATION)
    fragments = found.get("extends_documentation_fragment") or []
    whole: dict[str, dict[str, Any]] = {"options": {}, "attributes": {}}
    for name in [fragments] if isinstance(fragments, str) else fragments:
        path = ROOT / "doc_fragments" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"doc_fragment_{name}", path)
        assert spec
        assert spec.loader
        fragment = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(fragment)
        shared = yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)
        for part, entries in whole.items():
            entries.update(shared.get(part) or {})
    return {**found, **{part: entries | (found.get(part) or {}) for part, entries in whole.items()}}


def _text(description: Any) -> str:
    return " ".join(description) if isinstance(description, list) else str(description or "")


def option_differences(module: ModuleType) -> list[str]:
    """Return differences between a module's options, their documentation and the examples."""
    taken = specification(module)
    told = documentation(module)
    supports = (told.get("attributes") or {}).get("check_mode", {}).get("support")
    found = list(_options(taken["argument_spec"], told["options"], ""))
    if (supports == "full") is not bool(taken.get("supports_check_mode")):
        found.append(f"check mode is documented as {supports}")
    for task in yaml.safe_load(module.EXAMPLES) or []:
        given = task.get(told["module"])
        if given is not None:
            found += _given(given, taken["argument_spec"], f"example {task['name']}: ")
    return found


def _options(taken: Mapping[str, Any], told: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in sorted({*taken, *told}):
        path = where + name
        if name not in told:
            yield f"{path} is not documented"
        elif name not in taken:
            yield f"{path} is no option"
        else:
            yield from _option(taken[name], told[name], path)


def _option(taken: Mapping[str, Any], told: Mapping[str, Any], path: str) -> Iterator[str]:
    if not _text(told.get("description")).strip():
        yield f"{path} has no description"
    usual = {"type": "str", "required": False, "aliases": []}
    for key in ("type", "elements", "required", "default", "choices", "aliases"):
        one, other = taken.get(key, usual.get(key)), told.get(key, usual.get(key))
        if one != other or isinstance(one, bool) is not isinstance(other, bool):
            yield f"{path}: {key} is {one!r}, documented as {other!r}"
    below = told.get("suboptions")
    reference = REFERENCE.search(_text(told.get("description")))
    if below is None and reference:
        below = _referred(*reference.groups())
    yield from _options(taken.get("options") or {}, below or {}, f"{path}.")


def _referred(module: str, path: str) -> Mapping[str, Any]:
    """Return the documented suboptions of another module's option."""
    options: Mapping[str, Any] = documentation(importlib.import_module(module))["options"]
    for name in path.split("."):
        options = options[name]["suboptions"]
    return options


def _given(given: Any, taken: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield options of an example that are unknown, and required options that it lacks."""
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, dict):
            continue  # a template
        for name, value in one.items():
            if name not in taken:
                yield f"{where}{name} is no option"
            elif taken[name].get("options"):
                yield from _given(value, taken[name]["options"], f"{where}{name}.")
        for name, option in taken.items():
            if option.get("required") and name not in one:
                yield f"{where}{name} is missing"


def sample_differences(module: ModuleType) -> list[str]:
    """Return samples of a module's documentation that contradict their description."""
    return list(_samples(yaml.safe_load(module.RETURN) or {}, ""))


def _samples(told: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, value in told.items():
        path = where + name
        if not _text(value.get("description")).strip():
            yield f"{path} has no description"
        if "sample" in value:
            yield from _value(value["sample"], {**value, "contains": None}, path)
        yield from _samples(value.get("contains") or {}, f"{path}.")


def result_differences(module: ModuleType, result: Mapping[str, Any]) -> list[str]:
    """Return differences between a result and the documented return values of a module.

    A failed result must contain the values that are always returned only if it contains `problems`.
    Before that, the options may have been invalid, or the cluster unreachable.
    """
    told = yaml.safe_load(module.RETURN) or {}
    failed = bool(result.get("failed"))
    found = [f"{name} is not documented" for name in result if name not in {*told, *COMMON}]
    for name, value in told.items():
        when = str(value.get("returned", ""))
        if name in result:
            found += _value(result[name], value, name)
        elif not failed and when.startswith(("success", "always")):
            found.append(f"{name} is missing, which is returned: {when}")
        elif failed and "problems" in result and when.startswith("always"):
            found.append(f"{name} is missing beside problems, though returned: {when}")
    return found


def _value(value: Any, told: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = told["type"]
    if value is None and kind != "raw":
        if "null" not in _text(told.get("description")):
            yield f"{path} is null, which is not documented"
        return
    if kind != "raw" and not _is(value, kind):
        yield f"{path} is {value!r}, documented as {kind}"
        return
    if kind == "list":
        element = {**told, "type": told.get("elements", "raw"), "sample": None}
        sample = told.get("sample")
        for number, one in enumerate(value):
            yield from _value(one, element, f"{path}[{number}]")
            yield from _as_sample(one, sample, told.get("contains"), f"{path}[{number}]")
    elif kind == "dict" and told.get("contains"):
        yield from _members(value, told["contains"], path)


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))


def _as_sample(value: Any, sample: Any, contains: Any, path: str) -> Iterator[str]:
    """Compare the keys of an element with those of the sample, if nothing else is documented."""
    if contains or not sample or not isinstance(value, dict) or not isinstance(sample[0], dict):
        return
    for name in sorted(set(value) ^ set(sample[0])):
        yield f"{path}.{name} is {'not in the sample' if name in value else 'missing'}"


def _members(value: Mapping[str, Any], contains: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in value:
        if name not in contains:
            yield f"{path}.{name} is not documented"
    for name, told in contains.items():
        if name in value:
            yield from _value(value[name], told, f"{path}.{name}")
        elif "returned" not in told:
            yield f"{path}.{name} is missing"
