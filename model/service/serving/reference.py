"""The content of the API reference page, derived from the OpenAPI document."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
LINE = 80
CODE = re.compile("`([^`]+)`")
# The constraints of a schema beside its type.
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
    "default": "default {}",
    "format": "{}",
}


def view(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operations by tag, and the schemas, of an OpenAPI document."""
    operations = list(_operations(document))
    described = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    names = list(described) + [operation["tag"] for operation in operations]
    groups = [
        {
            "name": name,
            "id": anchor("group", name),
            "description": described.get(name, ""),
            "operations": [operation for operation in operations if operation["tag"] == name],
        }
        for name in dict.fromkeys(names)
    ]
    return {
        "groups": [group for group in groups if group["operations"]],
        "schemas": [
            {"name": name, "id": anchor("schema", name), **_schema(document, schema)}
            for name, schema in document.get("components", {}).get("schemas", {}).items()
        ],
    }


def prose(text: str) -> Markup:
    """Return text as HTML paragraphs, with text in backticks as code."""
    paragraphs = filter(None, (part.strip() for part in re.split(r"\n\s*\n", text or "")))
    return Markup().join(Markup("<p>{}</p>").format(code(part)) for part in paragraphs)


def code(text: str) -> Markup:
    """Return one line of text as HTML, with text in backticks as code."""
    # Escaped before the tags are inserted.
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text or ""))))  # noqa: S704


def anchor(kind: str, name: str) -> str:
    """Return the identifier of a section."""
    return f"{kind}-{re.sub('[^A-Za-z0-9]+', '-', name).strip('-').lower()}"


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in document.get("paths", {}).items():
        shared = item.get("parameters", [])
        for method in METHODS:
            if method not in item:
                continue
            operation = item[method]
            parameters = [
                _parameter(document, parameter)
                for parameter in [*shared, *operation.get("parameters", [])]
            ]
            body = _resolve(document, operation.get("requestBody", {}))
            contents = _contents(document, body)
            responses = [
                _response(document, status, response)
                for status, response in operation.get("responses", {}).items()
            ]
            name = operation.get("operationId", f"{method} {path}")
            summary = operation.get("summary", name)
            description = operation.get("description", "")
            yield {
                "id": anchor("operation", name),
                "tag": next(iter(operation.get("tags", [])), "Operations"),
                "method": method.upper(),
                "path": path,
                "summary": summary,
                "description": "" if description.rstrip(".") == summary else description,
                "parameters": parameters,
                "body": body and {**body, "contents": contents},
                "responses": responses,
                "accepts": _accepts(responses),
                "curl": _curl(method, path, parameters, contents),
            }


def _parameter(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> dict[str, Any]:
    resolved = _resolve(document, parameter)
    schema = resolved.get("schema", {})
    example = _example(resolved)
    if example is None:
        example = _example(_resolve(document, schema))
    return {
        "name": resolved["name"],
        "in": resolved["in"],
        "required": resolved.get("required", False),
        "description": resolved.get("description", ""),
        "example": example if example is None or isinstance(example, str) else json.dumps(example),
        **_schema(document, schema),
    }


def _response(
    document: Mapping[str, Any], status: str, response: Mapping[str, Any]
) -> dict[str, Any]:
    resolved = _resolve(document, response)
    return {
        "status": status,
        "description": resolved.get("description", ""),
        "contents": _contents(document, resolved),
        "headers": [
            {"name": name, "description": _resolve(document, header).get("description", "")}
            for name, header in resolved.get("headers", {}).items()
        ],
    }


def _contents(document: Mapping[str, Any], owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    contents = []
    for media_type, content in owner.get("content", {}).items():
        schema = content.get("schema", {})
        example = _example(content)
        if example is None:
            example = _example(_resolve(document, schema))
        text = example if example is None or isinstance(example, str) else json_text(example)
        contents.append({"type": media_type, "example": text, **_schema(document, schema)})
    return contents


def _accepts(responses: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the media types of successful responses, or none if there is only one."""
    types = dict.fromkeys(
        content["type"]
        for response in responses
        if response["status"].startswith("2")
        for content in response["contents"]
    )
    return list(types) if len(types) > 1 else []


def _curl(
    method: str,
    path: str,
    parameters: Sequence[Mapping[str, Any]],
    contents: Sequence[Mapping[str, Any]],
) -> str:
    query = []
    for parameter in parameters:
        example = parameter["example"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(example or parameter["name"], ""))
        elif parameter["in"] == "query" and (parameter["required"] or example is not None):
            query.append((parameter["name"], "" if example is None else example))
    url = f'"$URL{path}{"?" + urlencode(query) if query else ""}"'
    words = ["curl", *{"get": [], "head": ["--head"]}.get(method, [])]
    if method not in ("get", "head", "post") or (method == "post" and not contents):
        words += ["--request", method.upper()]
    lines = [" ".join([*words, url])]
    for content in contents[:1]:
        lines.append(f"--header {shlex.quote('Content-Type: ' + content['type'])}")
        example = content["example"]
        data = "@file" if example is None else shlex.quote(example.rstrip("\n"))
        lines.append(f"--data-binary {data}")
    return " \\\n  ".join(lines)


def _schema(document: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema's type in words, its constraints and its members."""
    if "$ref" in schema:
        return {"parts": _parts(schema), "limits": [], "members": []}
    inner = schema.get("items", {}) if schema.get("type") == "array" else schema
    properties = {} if "$ref" in inner else inner.get("properties", {})
    return {
        "parts": _parts(schema),
        "text": schema.get("description", ""),
        "limits": [
            words.format(value if isinstance(value, str) else json.dumps(value))
            for key, words in LIMITS.items()
            if (value := schema.get(key)) is not None
        ],
        "members": [
            {
                "name": name,
                "required": name in inner.get("required", []),
                "description": member.get("description", ""),
                **_schema(document, member),
            }
            for name, member in properties.items()
        ],
    }


def _parts(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a schema's type as pairs of text and the section it links to, empty if none."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return [(name, anchor("schema", name))]
    for key, words in (("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")):
        if alternatives := schema.get(key):
            joined = _parts(alternatives[0])
            for alternative in alternatives[1:]:
                joined += [(words, ""), *_parts(alternative)]
            return joined
    types = schema.get("type", "any")
    words = types if isinstance(types, str) else " or ".join(types)
    inner = schema.get("items", schema.get("additionalProperties"))
    if isinstance(inner, Mapping) and "properties" not in schema:
        return [(f"{words} of ", ""), *_parts(inner)]
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        words = " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return [(words, "")]


def _example(owner: Mapping[str, Any]) -> Any:
    if "example" in owner:
        return owner["example"]
    examples = owner.get("examples")
    if isinstance(examples, Mapping):
        return next((entry["value"] for entry in examples.values() if "value" in entry), None)
    return next(iter(examples or []), None)


def _resolve(document: Mapping[str, Any], owner: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve references inside the document, which has no cycles of references only."""
    while "$ref" in owner:
        place: Any = document
        for key in owner["$ref"].removeprefix("#/").split("/"):
            place = place[key.replace("~1", "/").replace("~0", "~")]
        owner = place
    return owner


def json_text(value: Any, indent: str = "") -> str:
    """Return formatted JSON in which whatever fits on one line is on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent + line) <= LINE or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {json_text(part, inner)}" for key, part in value.items()]
    else:
        parts = [json_text(part, inner) for part in value]
    first, last = line[0], line[-1]
    return f"{first}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{last}"
