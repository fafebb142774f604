"""Shows the differences of a GKE cluster by field, in the format of Ansible's diffs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGUMENTS: dict[str, Any] = {"default_flow_style": False, "sort_keys": True, "allow_unicode": True}


def shown(wanted: Mapping[str, Any], plan: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the diffs of a plan of comparison.plan."""
    name = f"cluster {wanted['name']}"
    found = []
    replaced = plan["replace"]["cluster"]
    if replaced:
        found.append(_fields(f"{name} (deleted and made anew)", replaced["fields"]))
    if plan["create"]["cluster"]:
        rest = {key: value for key, value in wanted.items() if key != "node_pools"}
        found.append(_texts(name, "", _text(_given(rest))))
    found += [of_call(one) for one in _deletions(plan)]
    pools = {one["name"]: one for one in wanted["node_pools"]}
    for one in plan["create"]["pools"]:
        title = f"node pool {one['name']} of {name}"
        found.append(_texts(title, "", _text(_given(pools[one["name"]]))))
    if not plan["create"]["cluster"]:
        # Updates that follow a creation are included in the created cluster.
        found += [of_call(one) for one in plan["updates"]]
    return found


def of_call(call: Mapping[str, Any]) -> dict[str, str]:
    """Return the diff of one call of comparison."""
    deleted = " (deleted)" if call["method"] == "DELETE" else ""
    return _fields(f"{call['target']}{deleted}", call["fields"])


def _deletions(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*plan["replace"]["pools"], *plan["delete"]]


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value not in (None, [], {})}


def _fields(title: str, fields: list[dict[str, Any]]) -> dict[str, str]:
    before = {one["path"]: one["before"] for one in fields if one["before"] is not None}
    after = {one["path"]: one["after"] for one in fields if one["after"] is not None}
    return _texts(title, _text(before), _text(after))


def _text(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), **_ARGUMENTS) if values else ""


def _texts(title: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": title, "before": before, "after_header": title, "after": after}
