"""The images that a Dockerfile starts from."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"<<(-?)([\"']?)([a-zA-Z_][a-zA-Z0-9_]*)\2")
_VARIABLE = re.compile(
    r"\\(?P<escaped>\$)"
    r"|\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:?[-+])(?P<word>[^}]*))?\}"
)
_MOUNT_FROM = re.compile(r"(?:^|,)from=([^,]+)")
# Instructions that may be followed by here-documents.
_HEREDOC_INSTRUCTIONS = ("RUN", "COPY", "ADD")


def base_images(text: str, build_args: Mapping[str, str]) -> list[str]:
    """Return the references of the images that the Dockerfile *text* builds on.

    They come from ``FROM``, ``COPY --from`` and ``RUN --mount=from=``, in the order of
    their first use, with the global ``ARG`` values and *build_args* substituted; stages of
    the same file and ``scratch`` are omitted.
    """
    arguments: dict[str, str] = {}
    stages: list[str] = []
    found: dict[str, None] = {}
    in_stage = False
    for keyword, rest in _instructions(text):
        if keyword == "ARG" and not in_stage:
            for name, default in _arguments(rest):
                value = default if default is None else expand(default, arguments)
                chosen = build_args.get(name, value)
                if chosen is not None:
                    arguments[name] = chosen
        elif keyword == "FROM":
            in_stage = True
            parent, *alias = [word for word in rest.split() if not word.startswith("--")] or [""]
            # Before its own name is added to the stages, for `FROM python AS python`.
            found.update(_external(expand(parent.strip("\"'"), arguments), stages))
            stages.extend(name.lower() for name in alias[1:])
        else:
            for source in _sources(keyword, rest):
                found.update(_external(source, stages))
    return list(found)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Substitute *values* in ``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME:+word}``.

    Without the colon an empty value counts as set, as in a shell.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        value = values.get(match["bare"] or match["name"])
        operator, word = match["operator"] or "", match["word"] or ""
        is_set = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return expand(word, values) if is_set else ""
        if operator.endswith("-") and not is_set:
            return expand(word, values)
        return value or ""

    return _VARIABLE.sub(replacement, text)


def _external(reference: str, stages: list[str]) -> dict[str, None]:
    own = reference.lower() in stages or reference.isdigit()
    return {} if own or reference in ("", "scratch") else {reference: None}


def _sources(keyword: str, rest: str) -> Iterator[str]:
    """Yield the source images or stages in the flags of one instruction."""
    for word in rest.split():
        if not word.startswith("--"):
            return
        flag, _, value = word.partition("=")
        value = value.strip("\"'")
        if keyword == "COPY" and flag == "--from":
            yield value
        elif keyword == "RUN" and flag == "--mount" and (match := _MOUNT_FROM.search(value)):
            yield match[1]


def _arguments(rest: str) -> Iterator[tuple[str, str | None]]:
    try:
        words = shlex.split(rest)
    except ValueError:  # unbalanced quotes, which the build itself reports
        return
    for word in words:
        name, equals, value = word.partition("=")
        yield name, value if equals else None


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield (keyword, rest), with comments, continuations and here-documents removed."""
    escape = "\\"
    lines = iter(text.removeprefix("\ufeff").splitlines())
    in_directives = True
    joined = ""
    for line in lines:
        directive = _DIRECTIVE.match(line.strip()) if in_directives else None
        in_directives = directive is not None
        if directive and directive[1].lower() == "escape":
            escape = directive[2]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        content = line.rstrip()
        joined += content.removesuffix(escape)
        if content.endswith(escape):
            continue
        keyword, rest = _split(joined)
        joined = ""
        yield keyword, rest
        if keyword in _HEREDOC_INSTRUCTIONS:
            for dash, _, delimiter in _HEREDOC.findall(rest):
                ends = (
                    body for body in lines if (body.lstrip("\t") if dash else body) == delimiter
                )
                next(ends, None)
    if joined.strip():
        yield _split(joined)


def _split(instruction: str) -> tuple[str, str]:
    keyword, *rest = instruction.split(None, 1)
    return keyword.upper(), rest[0] if rest else ""
