"""Google's discovery schemas as JSON Schema, and Google's messages for bodies that violate them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.exceptions import ValidationError

_INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_PATTERNS = {
    "int64": r"^-?[0-9]{1,19}$",
    "uint64": r"^[0-9]{1,20}$",
    "byte": r"^[A-Za-z0-9+/_-]*={0,2}$",
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$",
    "google-duration": r"^-?\d+(\.\d{1,9})?s$",
}
_NUMBER = r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$"
_TYPE_OF = "typeOf"  # an annotation of this module: the type's name in Google's messages


class Schemas:
    """The schemas of one API, either for requests or for responses."""

    def __init__(self, document: Mapping[str, Any], *, requests: bool) -> None:
        """Convert the document's schemas; as at Google, requests may contain numbers as strings."""
        self._package = f"google.{document['name']}.{document['version']}"
        self._requests = requests
        self._definitions = {
            name: self._convert(schema, name) for name, schema in document["schemas"].items()
        }
        self._validators: dict[str, Draft202012Validator] = {}

    def problems(self, name: str, instance: Any) -> list[str]:
        """Return the violations of the schema by an instance, in Google's wording."""
        found: list[str] = []
        for error in self._validator(name).iter_errors(instance):
            found += _said(error)
        return sorted(set(found))

    def _validator(self, name: str) -> Draft202012Validator:
        if name not in self._validators:
            schema = {"$ref": f"#/$defs/{name}", "$defs": self._definitions}
            self._validators[name] = Draft202012Validator(schema)
        return self._validators[name]

    def _convert(self, schema: Mapping[str, Any], owner: str) -> dict[str, Any]:
        if "$ref" in schema:
            return {"$ref": f"#/$defs/{schema['$ref']}"}
        kind = schema.get("type", "any")
        if kind == "object":
            return self._object(schema, owner)
        if kind == "array":
            return {
                "type": "array",
                "items": self._convert(schema["items"], owner),
                _TYPE_OF: "repeated field",
            }
        if kind == "any":
            return {}
        return self._scalar(schema, kind, owner)

    def _object(self, schema: Mapping[str, Any], owner: str) -> dict[str, Any]:
        properties = {
            name: self._convert(each, f"{owner}.{name[:1].upper()}{name[1:]}")
            for name, each in schema.get("properties", {}).items()
        }
        more = schema.get("additionalProperties")
        packed = schema.get("format") == "google.protobuf.Any"
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": packed or (self._convert(more, owner) if more else False),
            _TYPE_OF: f"type.googleapis.com/{self._package}.{owner}",
        }

    def _scalar(self, schema: Mapping[str, Any], kind: str, owner: str) -> dict[str, Any]:
        form = schema.get("format", "")
        converted: dict[str, Any] = {"type": kind}
        if "enum" in schema:
            converted["enum"] = schema["enum"]
            converted[_TYPE_OF] = f"type.googleapis.com/{self._package}.{owner}"
            return converted
        if kind == "string" and form in _PATTERNS:
            converted["pattern"] = _PATTERNS[form]
        if self._requests and (kind in ("integer", "number") or form in _INTEGERS):
            converted["type"] = ["string", "number" if kind == "number" else "integer"]
            converted["pattern"] = _NUMBER if kind == "number" else _PATTERNS["int64"]
        if form in _INTEGERS:
            converted["minimum"], converted["maximum"] = _INTEGERS[form]
        if self._requests and "pattern" in schema:
            converted["pattern"] = f"^(?:{schema['pattern']})$"
        converted[_TYPE_OF] = f"TYPE_{form or kind}".upper().replace("BOOLEAN", "BOOL")
        return converted


def without_nulls(value: Any) -> Any:
    """Return the JSON without null fields, which Google treats as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value


def _said(error: ValidationError) -> Iterator[str]:
    where = _path(error.absolute_path)
    if error.validator == "additionalProperties":
        at = f" at '{where}'" if where else ""
        for name in error.instance:
            if name not in error.schema["properties"]:
                yield (
                    f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
                )
        return
    value = json.dumps(error.instance)
    yield f"Invalid value at '{where}' ({error.schema.get(_TYPE_OF, 'value')}), {value}"


def _path(parts: Any) -> str:
    """Return the path in Google's notation: cluster.node_pools[0].initial_node_count."""
    written = ""
    for part in parts:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            written += ("." if written else "") + re.sub(r"(?<=[a-z0-9])[A-Z]", _lowered, part)
    return written


def _lowered(match: re.Match[str]) -> str:
    return f"_{match.group().lower()}"
