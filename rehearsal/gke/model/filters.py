"""The `filter` of the compute API's lists, and their pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rehearsal.gke.model import refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[dict[str, Any]], bool]

TERM = re.compile(
    r"""\(?\s*(?P<field>[\w.-]+)\s*
    (?P<operator>!=|>=|<=|=|>|<|:|\beq\b|\bne\b)\s*
    (?P<value>"[^"]*"|'[^']*'|[^\s()]+)\s*\)?""",
    re.VERBOSE,
)
JOINT = re.compile(r"\s*(?P<joint>AND|OR)?\s*")


def test_of(text: str) -> Test:
    """Return a function that tells whether a resource matches the filter.

    Terms are joined by AND (which may be omitted), or all by OR; there is no deeper nesting.

    :raises Refused: Google would reject the filter.
    """
    terms: list[Test] = []
    joints: set[str] = set()
    place = 0
    text = text.strip()
    while place < len(text):
        match = TERM.match(text, place)
        if match is None:
            raise _invalid(text)
        terms.append(_term(match["field"], match["operator"], match["value"].strip("\"'"), text))
        joint = JOINT.match(text, match.end())
        place = match.end() if joint is None else joint.end()
        if place < len(text):
            joints.add((joint["joint"] if joint else None) or "AND")
    if len(joints) > 1:
        raise _invalid(text)
    every = any if joints == {"OR"} else all
    return lambda resource: every(term(resource) for term in terms)


def _invalid(text: str) -> refusals.Refused:
    return refusals.invalid(
        f"Invalid value for field 'filter': '{text}'. Invalid list filter expression."
    )


def _term(field: str, operator: str, value: str, text: str) -> Test:
    if operator in ("eq", "ne"):
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise _invalid(text) from error
        wanted = operator == "eq"
        return lambda resource: bool(pattern.fullmatch(_text(resource, field))) is wanted
    if operator == ":":
        return lambda resource: _has(resource, field, value)
    if operator in ("=", "!="):
        pattern = re.compile(".*".join(re.escape(part) for part in value.split("*")))
        wanted = operator == "="
        return lambda resource: bool(pattern.fullmatch(_text(resource, field))) is wanted
    try:
        bound = float(value)
    except ValueError as error:
        raise _invalid(text) from error
    return lambda resource: _compares(_text(resource, field), operator, bound)


def _compares(text: str, operator: str, bound: float) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return {
        ">": number > bound,
        "<": number < bound,
        ">=": number >= bound,
        "<=": number <= bound,
    }[operator]


def _value(resource: dict[str, Any], field: str) -> Any:
    value: Any = resource
    for part in field.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _text(resource: dict[str, Any], field: str) -> str:
    value = _value(resource, field)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _has(resource: dict[str, Any], field: str, value: str) -> bool:
    """Return whether `field:value` matches: `*` any value, else a part of the text or list."""
    found = _value(resource, field)
    if value == "*":
        return found is not None
    if isinstance(found, dict):
        return value in found
    if isinstance(found, list):
        return any(value in str(each) for each in found)
    return found is not None and value.strip("*").lower() in str(found).lower()


def page(items: list[Any], size: int, params: Any) -> tuple[list[Any], str]:
    """Return the requested page and the token of the next one, empty if it is the last."""
    size = min(int(params.get("maxResults", size)), size)
    token = str(params.get("pageToken", "0"))
    if not token.isdigit() or int(token) > len(items):
        raise refusals.invalid(
            f"Invalid value for field 'pageToken': '{token}'. The page token is invalid."
        )
    start = int(token)
    end = start + size
    return items[start:end], str(end) if end < len(items) else ""
