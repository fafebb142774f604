"""The arguments of Windows modules, from their documentation and the specification in their source.

A module's PowerShell cannot be run here, but its argument specification is a literal that can be
parsed. It contains the relations between arguments (required_if and the like), the secret
arguments, and whether the module supports check mode.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.loader import fragment_loader, module_loader
from ansible.utils.plugin_docs import get_docstring

_KEPT = ("type", "elements", "choices", "required", "aliases", "default")
_RELATIONS = (
    "mutually_exclusive",
    "required_by",
    "required_together",
    "required_one_of",
    "required_if",
)
_LEGACY_NAME = re.compile(r'Get-AnsibleParam\b[^\n]*?-name\s+"([^"]+)"', re.IGNORECASE)
_LEGACY_CHECK = re.compile(r"Parse-Args\b[^\n]*-supports_check_mode\s+\$true", re.IGNORECASE)
_SECRET = re.compile(r"passw|passphrase|secret|token|credential", re.IGNORECASE)
# Undocumented arguments between action plugins and their own modules.
_PRIVATE = {"ansible.windows.win_copy": {"symlinks"}, "ansible.windows.win_shell": {"_raw_params"}}
# Accepts the arguments of other systems' fact modules.
_OPEN = {"ansible.windows.setup"}


class UnknownModuleError(Exception):
    """The module does not exist or is not documented."""


@dataclass(frozen=True)
class Specification:
    """The arguments that a module accepts."""

    options: dict[str, Any]
    private: frozenset[str] = frozenset()
    relations: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    check_mode: bool = False
    accepts_any: bool = False

    @property
    def names(self) -> set[str]:
        """The names of documented arguments, including aliases."""
        return {
            name
            for option, one in self.options.items()
            for name in (option, *one.get("aliases", ()))
        }

    def judge(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the arguments as the module sees them, and the problems found."""
        extra = {
            name: value
            for name, value in arguments.items()
            if name not in self.names and (name in self.private or self.accepts_any)
        }
        given = {name: value for name, value in arguments.items() if name not in extra}
        checked = ArgumentSpecValidator(self.options).validate(given)
        problems = [
            f"Unsupported parameters: {error}"
            if isinstance(error, UnsupportedError)
            else str(error)
            for error in checked.errors
        ]
        seen = {**checked.validated_parameters, **extra}
        if not problems:
            # The relations may also refer to private names, like win_command's _raw_params.
            options = {name: {"type": "raw"} for name in {*self.options, *self.private, *extra}}
            # Missing arguments are None here, and aliases are already resolved.
            values = {k: v for k, v in seen.items() if v is not None and k in options}
            related = ArgumentSpecValidator(options, **self.relations).validate(values)
            problems = list(related.error_messages)
        return seen, problems

    def mask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments without secrets."""
        masked: dict[str, Any] = _masked(arguments, self.secrets)
        return masked


def _masked(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: "********" if one and _is_secret(name, one, secrets) else _masked(one, secrets)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_masked(one, secrets) for one in value]
    return value


def _is_secret(name: str, value: Any, secrets: frozenset[str]) -> bool:
    # Booleans with a secret-like name only control how a secret is used.
    return name in secrets or (bool(_SECRET.search(name)) and isinstance(value, str))


def of(module: str, source: str, cache: Path | None = None) -> Specification:
    """Return the specification of a module.

    source: the module's text. cache: folder in which the result is cached for other processes.
    """
    kept = cache / f"{module}.json" if cache else None
    if kept and kept.exists():
        return _from_json(kept.read_text(encoding="utf-8"))
    made = _read(module, source)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_text(_to_json(made), encoding="utf-8")
        part.replace(kept)
    return made


def _read(module: str, source: str) -> Specification:
    code = code_specification(source)
    coded = code.get("options", {})
    legacy = set(_LEGACY_NAME.findall(source))
    return Specification(
        options=documented(module),
        private=frozenset(
            {name for name in {*coded, *legacy} if not name.startswith("_ansible_")}
            | _PRIVATE.get(module, set())
        ),
        relations={
            name: code[name] for name in _RELATIONS if code.get(name, UNKNOWN) not in ([], UNKNOWN)
        },
        secrets=frozenset(_secrets(coded)),
        check_mode=bool(code.get("supports_check_mode")) or bool(_LEGACY_CHECK.search(source)),
        accepts_any=module in _OPEN,
    )


def _secrets(options: dict[str, Any]) -> set[str]:
    found = set()
    for name, option in options.items():
        if isinstance(option, dict):
            found |= {name} if option.get("no_log") else set()
            found |= _secrets(option.get("options") or {})
    return found


def documented(module: str) -> dict[str, Any]:
    """Return the module's documented options as an argument specification."""
    path = module_loader.find_plugin(module, mod_type=".ps1")
    if not path:
        raise UnknownModuleError(f"{module} is no module for Windows.")
    for suffix in (".py", ".yml", ".yaml"):
        beside = Path(path).with_suffix(suffix)
        if beside.exists():
            return _options(_documentation(beside).get("options") or {})
    raise UnknownModuleError(f"{module} is not documented.")


def _documentation(path: Path) -> dict[str, Any]:
    if path.suffix == ".py":
        documentation: dict[str, Any] = get_docstring(str(path), fragment_loader)[0]
        return documentation
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["DOCUMENTATION"]
    return read


def _options(options: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, option in options.items():
        made[name] = {key: option[key] for key in _KEPT if key in option}
        if "suboptions" in option:
            made[name]["options"] = _options(option["suboptions"])
        if "choices" in made[name]:
            made[name]["choices"] = list(made[name]["choices"])
    return made


def _to_json(made: Specification) -> str:
    return json.dumps(
        {
            "options": made.options,
            "private": sorted(made.private),
            "relations": made.relations,
            "secrets": sorted(made.secrets),
            "check_mode": made.check_mode,
            "accepts_any": made.accepts_any,
        }
    )


def _from_json(text: str) -> Specification:
    read = json.loads(text)
    return Specification(
        **{**read, "private": frozenset(read["private"]), "secrets": frozenset(read["secrets"])}
    )


# PowerShell literals, as far as they occur in argument specifications.

_TOKEN = re.compile(
    r"""
    (?P<skip>[ \t]+|\#[^\n]*|<\#.*?\#>|`\r?\n)
    |(?P<end>[\r\n;]+)
    |(?P<text>'(?:[^']|'')*'|"(?:[^"`]|`.)*")
    |(?P<open>@\{|@\()
    |(?P<mark>[})=,])
    |(?P<variable>\$[A-Za-z_:][\w:.]*)
    |(?P<bracket>\[)
    |(?P<number>-?\d+(?![\w.]))
    |(?P<word>[A-Za-z_][\w\-]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_START = re.compile(r"(?:\$spec\s*=\s*|function\s+Get-ModuleSpec\s*\{\s*)(?=@\{)", re.IGNORECASE)
_CONSTANTS = {"$true": True, "$false": False, "$null": None}
# A value that is only known at run time.
UNKNOWN = "?"


class NotLiteralError(Exception):
    """The specification does not consist of literals only."""


def code_specification(source: str) -> dict[str, Any]:
    """Return the argument specification in a module's source; empty if there is none."""
    start = _START.search(source)
    if not start:
        return {}
    value = _Literals(source, start.end()).value()
    if not isinstance(value, dict):
        raise NotLiteralError("The specification is no hash table.")
    return value


class _Literals:
    """Parses PowerShell literals from a position on."""

    def __init__(self, source: str, position: int) -> None:
        self._source = source
        self._position = position

    def _token(self) -> tuple[str, str]:
        while self._position < len(self._source):
            match = _TOKEN.match(self._source, self._position)
            if not match:
                raise NotLiteralError(self._source[self._position : self._position + 40])
            self._position = match.end()
            if match.lastgroup != "skip":
                return str(match.lastgroup), match.group()
        return "none", ""

    def _peek(self) -> tuple[str, str]:
        position = self._position
        found = self._token()
        self._position = position
        return found

    def _skip_ends(self) -> None:
        while self._peek()[0] == "end":
            self._token()

    def value(self) -> Any:
        """Parse a value; several values separated by commas are a list."""
        values = []
        wrapped = False
        if self._peek() == ("mark", ","):
            self._token()
            wrapped = True
        values.append(self._single())
        while self._peek() == ("mark", ","):
            self._token()
            self._skip_ends()
            values.append(self._single())
        return values if wrapped or len(values) > 1 else values[0]

    def _single(self) -> Any:
        kind, text = self._token()
        if kind == "text":
            quote = text[0]
            return text[1:-1].replace(quote * 2, quote)
        if kind == "number":
            return int(text)
        if kind == "variable" and text.lower() in _CONSTANTS:
            return _CONSTANTS[text.lower()]
        if kind in ("variable", "bracket"):
            self._position -= len(text)
            self._skip_expression()
            return UNKNOWN
        if text == "@{":
            return self._table()
        if text == "@(":
            return self._list()
        raise NotLiteralError(text)

    def _skip_expression(self) -> None:
        depth = 0
        while self._source[self._position] not in "\n;,}" or depth:
            character = self._source[self._position]
            depth += (character in "([{") - (character in ")]}")
            if depth < 0:
                return
            self._position += 1

    def _table(self) -> dict[str, Any]:
        table = {}
        while True:
            kind, text = self._token()
            if kind == "end":
                continue
            if text == "}":
                return table
            if kind not in ("text", "word"):
                raise NotLiteralError(text)
            name = text[1:-1] if kind == "text" else text
            if self._token() != ("mark", "="):
                raise NotLiteralError(name)
            self._skip_ends()
            table[name] = self.value()

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while True:
            self._skip_ends()
            if self._peek() == ("mark", ")"):
                self._token()
                return found
            value = self.value()
            # As in PowerShell, nested lists are unrolled.
            found += value if isinstance(value, list) else [value]
