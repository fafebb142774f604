"""Reads, selects and writes the host's apt sources for an image of the same family.

Both of apt's formats are read: deb822 (``*.sources``) and one-line (``*.list``);
the output is always deb822. This module does not access the network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

# Suite names that move from release to release; a host may use one of them.
SYMBOLIC_SUITES = frozenset({"stable", "oldstable", "testing", "unstable", "sid"})
# Updates and security fixes. Backports and proposed updates do not belong in a base image.
SUFFIXES = ("-updates", "-security", "/updates")
# The origins that a distribution's own archive, or a mirror of it, states in its Release file.
ORIGINS = frozenset({"Debian", "Ubuntu", "Raspbian"})
ONE_LINE_OPTIONS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}


@dataclass(frozen=True)
class Source:
    """One archive: one or more URIs, suites and components, and its other fields."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)

    @property
    def signed_by(self) -> str:
        """The path of its key; empty if it has none or contains the key itself."""
        key = self.options.get("Signed-By", "")
        return key if key.startswith("/") and "\n" not in key else ""


def _one_line(line: str) -> Source | None:
    """Parse ``deb [arch=amd64 signed-by=/a.gpg] http://mirror/debian bookworm main``, or None."""
    match = re.match(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>\S.*)", line)
    if match is None:
        return None
    try:
        uri, suite, *components = match["rest"].split()
    except ValueError:
        raise ValueError(
            f"{line!r} is not a line of apt's sources: it must be deb URI SUITE COMPONENT…"
        ) from None
    options = {}
    for option in (match["options"] or "").split():
        name, _, value = option.partition("=")
        key = ONE_LINE_OPTIONS.get(name.lower(), name.title())
        options[key] = value.replace(",", " ")
    return Source((uri,), (suite,), tuple(components), options)


def parse_one_line(text: str) -> list[Source]:
    """Parse a ``*.list`` file; ``deb-src`` lines and comments are ignored."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [source for line in lines if (source := _one_line(line)) is not None]


def _stanza(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            # The field may contain a key, whose line breaks matter.
            fields[name] += "\n" + line.rstrip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().title()
            fields[name] = value.strip()
    return fields


def parse_deb822(text: str) -> list[Source]:
    """Parse a ``*.sources`` file; disabled stanzas and those of only ``deb-src`` are ignored."""
    sources = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _stanza(stanza)
        enabled = fields.pop("Enabled", "yes").lower() not in {"no", "false", "off", "0"}
        types = fields.pop("Types", "").split()
        uris = tuple(fields.pop("Uris", "").split())
        suites = tuple(fields.pop("Suites", "").split())
        components = tuple(fields.pop("Components", "").split())
        if enabled and "deb" in types and uris and suites:
            sources.append(Source(uris, suites, components, fields))
    return sources


def parse(text: str, name: str) -> list[Source]:
    """Parse the text of a file in the format that its extension determines, as apt does."""
    return parse_deb822(text) if name.endswith(".sources") else parse_one_line(text)


def read_host(etc_apt: Path) -> list[Source]:
    """Read all sources of a host, in apt's order.

    ``etc_apt`` is its ``/etc/apt``. ``mirror+file:`` URIs, which cloud images use, are
    replaced by the first mirror in the file, since the image could not read that file.
    """
    folder = etc_apt / "sources.list.d"
    files = [etc_apt / "sources.list", *sorted(folder.glob("*"))]
    sources: list[Source] = []
    for path in files:
        if path.suffix in {".list", ".sources"} and path.is_file():
            sources += parse(path.read_text(encoding="utf-8", errors="replace"), path.name)
    return [replace(source, uris=tuple(map(_resolved, source.uris))) for source in sources]


def _resolved(uri: str) -> str:
    prefix = "mirror+file:"
    path = Path(re.sub("^/+", "/", uri.removeprefix(prefix)))
    if not uri.startswith(prefix) or not path.is_file():
        return uri
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            return line.split()[0]
    return uri


def release_file(lists: Path, uri: str, suite: str) -> Path:
    """Return the path of an archive's signed Release file in ``lists`` (``/var/lib/apt/lists``)."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    name = f"{host}{parts.path.rstrip('/')}/dists/{suite}/InRelease"
    return lists / name.replace("_", "%5f").replace("/", "_")


def origin(lists: Path, uri: str, suite: str) -> str:
    """Return the origin in an archive's Release file; empty if apt has not fetched the file."""
    try:
        text = release_file(lists, uri, suite).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"^Origin:\s*(.*?)\s*$", text, re.MULTILINE)
    return match[1] if match else ""


def _renamed(suite: str, codename: str, wanted: str) -> str:
    """``bookworm-security`` → ``trixie-security``; empty if it is not a suite of the family."""
    for name in (codename, *SYMBOLIC_SUITES):
        if suite == name:
            return wanted
        for suffix in SUFFIXES:
            if suite == name + suffix:
                # Up to Debian 10, the suite was named buster/updates; later releases use -security.
                return wanted + ("-security" if suffix == "/updates" else suffix)
    return ""


def choose(
    sources: list[Source],
    *,
    codename: str,
    wanted: str,
    lists: Path,
    exists: Callable[[str, str], bool],
) -> list[Source]:
    """Select the distribution's own archives from a host's sources, for the suite ``wanted``.

    Archives of other vendors are omitted, as identified by the origin in their Release file. If
    the wanted suite differs from the host's (``codename``), its name is substituted, and
    ``exists(uri, suite)`` determines whether it has updates and security archives.

    Raises ValueError if none contains the wanted suite itself.
    """
    ours: list[Source] = []
    others: list[Source] = []
    for source in sources:
        if "main" not in source.components:
            continue
        uris = tuple(uri for uri in source.uris if not uri.startswith("cdrom:"))
        for suite in source.suites:
            renamed = _renamed(suite, codename, wanted)
            if not renamed or not uris:
                continue
            if renamed not in {suite, wanted} and not exists(uris[0], renamed):
                continue
            known = origin(lists, uris[0], suite)
            chosen = replace(source, uris=uris, suites=(renamed,))
            (ours if not known or known in ORIGINS else others).append(chosen)
    # A re-signed corporate mirror may state any origin, so others are used if there is no match.
    for candidates in (ours, ours + others):
        if any(wanted in source.suites for source in candidates):
            return candidates
    raise ValueError(
        f"This host's apt sources hold no archive of {codename} with the component main, "
        f"from which {wanted} could be made"
    )


def without_password(uri: str) -> str:
    """``https://user:secret@mirror/debian`` → ``https://mirror/debian``."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def render(sources: list[Source], *, passwords: bool) -> str:
    """Return the text of a ``*.sources`` file; without ``passwords`` it contains no secrets."""
    stanzas = []
    for source in sources:
        uris = source.uris if passwords else tuple(map(without_password, source.uris))
        fields = {
            "Types": "deb",
            "URIs": " ".join(uris),
            "Suites": " ".join(source.suites),
            "Components": " ".join(source.components),
            **source.options,
        }
        lines = (f"{name}: {value}" if value else f"{name}:" for name, value in fields.items())
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)
