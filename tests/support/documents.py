"""Commands, settings and links in the project's documents."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob("rehearsal/*/README.md"),
        *ROOT.glob("roles/*/README.md"),
    )
    if not path.relative_to(ROOT).parts[0].startswith(".")
)
_FENCE = "```"
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]+`")
_WORD = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Document:
    """A parsed Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        """The whole text."""
        return self.path.read_text(encoding="utf-8")

    @property
    def fenced(self) -> list[tuple[str, str]]:
        """The language and the text of each fenced block."""
        parts = re.split(rf"^{_FENCE}(.*)$", self.text, flags=re.MULTILINE)
        return list(zip(parts[1::4], parts[2::4], strict=False))

    @property
    def prose(self) -> str:
        """The text outside of fenced and indented blocks."""
        parts = re.split(rf"^{_FENCE}.*$", self.text, flags=re.MULTILINE)
        lines = "".join(parts[::2]).splitlines()
        return "\n".join(line for line in lines if not line.startswith("    "))

    @property
    def links(self) -> list[str]:
        """The targets of its links."""
        return _LINK.findall(_CODE.sub("", self.prose))

    @property
    def anchors(self) -> set[str]:
        """The anchors that GitHub generates from the headings."""
        headings = re.findall(r"^#+ (.+)$", self.prose, flags=re.MULTILINE)
        plain = (re.sub(r"[^\w\- ]", "", one).strip().lower() for one in headings)
        return {one.replace(" ", "-") for one in plain}

    @property
    def commands(self) -> list[list[str]]:
        """The commands in its blocks, each as a list of words; backslashes continue lines."""
        shells = [text for language, text in self.fenced if language in {"", "sh"}]
        indented = re.findall(r"^(?: {4}.*\n?)+", self.text, flags=re.MULTILINE)
        lines = "\n".join([*shells, *indented]).replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := _words(line.strip()))]

    @property
    def examples(self) -> list[dict[str, Any]]:
        """The parsed YAML blocks."""
        return [yaml.safe_load(text) for language, text in self.fenced if language == "yaml"]

    def rows(self, heading: str) -> Iterator[list[str]]:
        """Yield the rows of the tables below a heading, each as a list of cells."""
        section = re.split(r"^#+ (.+)$", self.text, flags=re.MULTILINE)
        bodies = dict(zip(section[1::2], section[2::2], strict=True))
        for line in bodies[heading].splitlines():
            if line.startswith("|") and not line.startswith("|--"):
                yield [cell.strip() for cell in line.strip("|").split("|")]


def words_of(cell: str) -> list[str]:
    """Return the texts in backquotes."""
    return _WORD.findall(cell)


def _words(line: str) -> list[str]:
    """Return a command's words without variable assignments and sudo; empty if unparsable."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words[1:] if words[:1] == ["sudo"] else words
