"""The host's apt sources, read, chosen and written for an image of the same family.

Both of apt's formats are read: deb822 (``*.sources``) and one-line (``*.list``);
what is written is always deb822. Nothing here touches the network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

# Names that move from release to release: a host may follow one of them.
SYMBOLIC_SUITES = frozenset({"stable", "oldstable", "testing", "unstable", "sid"})
# Updates and security fixes; backports and proposed updates are never wanted in a base.
SUFFIXES = ("-updates", "-security", "/updates")
# What a distribution's own archive, or a mirror of it, calls itself in its Release file.
ORIGINS = frozenset({"Debian", "Ubuntu", "Raspbian"})
ONE_LINE_OPTIONS = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}


@dataclass(frozen=True)
class Source:
    """One archive: one or more URIs, suites and components, and its further fields."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)

    @property
    def signed_by(self) -> str:
        """The path of its key, or an empty string if it has none or carries it."""
        key = self.options.get("Signed-By", "")
        return key if key.startswith("/") and "\n" not in key else ""


def _one_line(line: str) -> Source | None:
    """``deb [arch=amd64 signed-by=/a.gpg] http://mirror/debian bookworm main``, or nothing."""
    match = re.match(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>\S.*)", line)
    if match is None:
        return None
    uri, suite, *components = match["rest"].split()
    options = {}
    for option in (match["options"] or "").split():
        name, _, value = option.partition("=")
        key = ONE_LINE_OPTIONS.get(name.lower(), name.title())
        options[key] = value.replace(",", " ")
    return Source((uri,), (suite,), tuple(components), options)


def parse_one_line(text: str) -> list[Source]:
    """Read a ``*.list`` file; ``deb-src`` lines and comments are passed over."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [source for line in lines if (source := _one_line(line)) is not None]


def _stanza(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            # A key may be carried in the file itself: its line ends matter.
            fields[name] += "\n" + line.rstrip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().title()
            fields[name] = value.strip()
    return fields


def parse_deb822(text: str) -> list[Source]:
    """Read a ``*.sources`` file; disabled stanzas and ``deb-src`` alone are passed over."""
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
    """Read one file's text by its name's ending, as apt does."""
    return parse_deb822(text) if name.endswith(".sources") else parse_one_line(text)


def read_host(etc_apt: Path) -> list[Source]:
    """Read all sources of a host, in apt's order.

    ``etc_apt`` is its ``/etc/apt``. ``mirror+file:`` URIs, which cloud images use, are
    replaced by the first mirror in the file: the image could not read that file.
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
    """Say where apt keeps the signed Release file of an archive (``/var/lib/apt/lists``)."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    name = f"{host}{parts.path.rstrip('/')}/dists/{suite}/InRelease"
    return lists / name.replace("_", "%5f").replace("/", "_")


def origin(lists: Path, uri: str, suite: str) -> str:
    """Return whose archive it is, by its Release file; empty if apt has not fetched one."""
    try:
        text = release_file(lists, uri, suite).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"^Origin:\s*(.*?)\s*$", text, re.MULTILINE)
    return match[1] if match else ""


def _renamed(suite: str, codename: str, wanted: str) -> str:
    """``bookworm-security`` → ``trixie-security``; empty if it is no suite of the family."""
    for name in (codename, *SYMBOLIC_SUITES):
        if suite == name:
            return wanted
        for suffix in SUFFIXES:
            if suite == name + suffix:
                # Debian 10 and older had buster/updates where later ones have -security.
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
    """Choose the distribution's own archives among a host's sources, for suite ``wanted``.

    Other vendors' archives are left out: their Release file names another origin. Where
    the wanted suite is not the host's (``codename``), the names are substituted and
    ``exists(uri, suite)`` decides whether its updates and security archives are there.

    Raises ValueError if none carries the wanted suite itself.
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
    # A re-signed corporate mirror may call itself anything: better that than none.
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
    """Write a ``*.sources`` file; with ``passwords`` false it can be shown to anybody."""
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
        stanzas.append("\n".join(lines).replace(":  \n", ":\n") + "\n")
    return "\n".join(stanzas)
