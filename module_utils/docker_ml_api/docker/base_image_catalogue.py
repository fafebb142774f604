"""Decides how each base image is provided: already present, pulled, or bootstrapped.

A catalogue defines for each name how the image is pulled (image, tag, digest) and how it is built
from packages (a recipe). This module sends no requests; see the module base_images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible.module_utils.docker_ml_api.docker import debian_bootstrap, local_images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCES = ("auto", "pull", "bootstrap")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Messages of the engine if the registry answered that it does not have the image.
UNKNOWN = ("manifest unknown", "name unknown", "no such manifest", "not found: manifest")
# Messages if the registry has, or may have, the image, but refuses access.
REFUSED = (
    "access denied",
    "access to the resource is denied",
    "authentication required",
    "no basic auth credentials",
    "toomanyrequests",
    "too many requests",
    "unauthorized",
)


# The path of a repository, and a registry: a host, optionally with a port and such a path.
PATH = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
REGISTRY = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]+)?(?:/(?P<path>.+))?")


@dataclass(frozen=True)
class Pull:
    """An official image: ``image`` without its registry, pinned by ``digest``, or by ``tag``."""

    image: str
    tag: str = ""
    digest: str = ""

    def reference(self, registry: str) -> str:
        """Return the reference for a pull, by digest if there is one."""
        name = f"{registry.rstrip('/')}/{self.image}"
        return f"{name}@{self.digest}" if self.digest else f"{name}:{self.tag}"

    def tagged(self, registry: str) -> str:
        """Return the reference by tag."""
        return f"{registry.rstrip('/')}/{self.image}:{self.tag}"


@dataclass(frozen=True)
class Entry:
    """One base image of the catalogue."""

    name: str
    pull: Pull
    recipe: debian_bootstrap.Recipe


def check_names(repository: str, registry: str) -> None:
    """Raise ValueError for an invalid repository or registry."""
    if not PATH.fullmatch(repository):
        raise ValueError(
            f"base_images_repository is {repository!r}: it must be a path in small letters, "
            "such as docker-ml-api."
        )
    match = REGISTRY.fullmatch(registry)
    if match is None or (match["path"] and not PATH.fullmatch(match["path"])):
        raise ValueError(
            f"base_images_registry is {registry!r}: it must be a host without a scheme, with a "
            "port and a path if need be, such as docker.io or mirror.example.com:5000/dockerhub."
        )


def merged(
    catalogue: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the shipped catalogue with a user's entries and fields merged into it.

    A digest belongs to its image and tag; if these change without a new digest, it is removed.
    """
    result = {
        name: {key: dict(part) for key, part in catalogue[name].items()} for name in catalogue
    }
    for name, entry in changes.items():
        target = result.setdefault(name, {})
        for key, part in _mapping(f"base_images_catalogue.{name}", entry).items():
            _mapping(f"base_images_catalogue.{name}.{key}", part)
            fields = target.setdefault(key, {})
            if key == "pull" and {"image", "tag"} & set(part) and "digest" not in part:
                fields.pop("digest", None)
            fields.update(part)
    return result


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{where} must be a mapping, not {value!r}.")


def read_entry(
    name: str, entry: Mapping[str, Any], *, suite: str, common: Mapping[str, Any]
) -> Entry:
    """Parse one entry of the catalogue; ``common`` are fields of each recipe (labels …).

    Raises ValueError with a sentence that names the variable.
    """
    where = f"base_images_catalogue.{name}"
    unknown = sorted(set(entry) - {"pull", "bootstrap"})
    if unknown:
        raise ValueError(f"{where} has the unknown field {unknown[0]!r}: pull and bootstrap are.")
    fields = {key: str(value) for key, value in (entry.get("pull") or {}).items()}
    if set(fields) - {"image", "tag", "digest"} or not fields.get("image"):
        raise ValueError(f"{where}.pull must have an image, and can have a tag and a digest.")
    pull = Pull(**fields)
    if pull.digest and not DIGEST.fullmatch(pull.digest):
        raise ValueError(
            f"{where}.pull.digest is {pull.digest!r}, not sha256: and 64 hexadecimal digits."
        )
    if not (pull.digest or pull.tag):
        raise ValueError(f"{where}.pull must have a digest or a tag.")
    try:
        options = {**(entry.get("bootstrap") or {}), **common}
        recipe = debian_bootstrap.Recipe.from_options(suite, options)
    except ValueError as error:
        raise ValueError(f"{where}.bootstrap is wrong: {error}.") from error
    return Entry(name, pull, recipe)


def read_catalogue(
    names: Sequence[str],
    catalogue: Mapping[str, Mapping[str, Any]],
    *,
    suite: str,
    common: Mapping[str, Any],
) -> list[Entry]:
    """Parse the entries of the given names; raise ValueError for an unknown name."""
    for name in names:
        if name not in catalogue:
            raise ValueError(
                f"base_images_names has {name!r}, which base_images_catalogue does not know: "
                f"it knows {', '.join(sorted(catalogue))}."
            )
    return [read_entry(name, catalogue[name], suite=suite, common=common) for name in names]


def ways(entry: Entry, image: local_images.Image | None, registry: str) -> list[str]:
    """Return in which ways an image matches its entry, of ``pull`` and ``bootstrap``.

    Both are possible for an image that was bootstrapped here, pushed, and pulled again.
    """
    if image is None:
        return []
    if entry.pull.digest:
        # The same digest identifies the same image, whichever mirror it was pulled from.
        pulled = any(digest.endswith("@" + entry.pull.digest) for digest in image.digests)
    else:
        pulled = local_images.familiar(entry.pull.tagged(registry)) in image.tags
    made = image.label(local_images.RECIPE_LABEL) == entry.recipe.digest
    return ["pull"] * pulled + ["bootstrap"] * made


def action(source: str, present: Sequence[str]) -> str:
    """Return what to do: ``pull``, ``bootstrap``, ``try`` (pull, or else bootstrap).

    Empty if there is nothing to do; ``present`` are the ways in which the image already matches.
    """
    if source in present or (source == "auto" and present):
        return ""
    return "try" if source == "auto" else source


def failure(error: str) -> str:
    """Classify the engine's message on a pull: ``unknown``, ``refused`` or ``unreachable``."""
    text = error.lower()
    if any(words in text for words in UNKNOWN):
        return "unknown"
    return "refused" if any(words in text for words in REFUSED) else "unreachable"


def pull_error(kind: str, name: str, reference: str, error: str) -> str:
    """Return a sentence that explains a failed pull, and how to fix it."""
    error = error.strip().rstrip(".")
    if kind == "unknown":
        return (
            f"The registry does not know {reference}: correct the tag or digest in "
            f"base_images_catalogue.{name}.pull or the mirror in base_images_registry, or set "
            "base_images_source=bootstrap."
        )
    what, fix = (
        (
            "The registry refuses",
            "log in to it (docker login) or set base_images_registry to a mirror",
        )
        if kind == "refused"
        else (
            "The registry does not answer for",
            "set base_images_registry to a mirror that answers",
        )
    )
    return f"{what} {reference} ({error}): {fix}, or set base_images_source=bootstrap."


def sentence(
    done: Mapping[str, str], *, registry: str, suite: str, reason: str, fallback: bool
) -> str:
    """Return a sentence on how the images were provided.

    ``done``: name to ``pull``, ``bootstrap`` or empty; ``reason``: why images were not pulled;
    ``fallback``: the pull has not been attempted yet, so bootstrapping may be needed instead.
    """
    parts = []
    pulled = [name for name, how in done.items() if how == "pull"]
    bootstrapped = [name for name, how in done.items() if how == "bootstrap"]
    if pulled:
        either = f", or bootstrapped from {suite} if it does not answer" if fallback else ""
        parts.append(f"{_list(pulled)} pulled from {registry}{either}")
    if bootstrapped:
        because = f", because {reason}" if reason else ""
        parts.append(f"{_list(bootstrapped)} bootstrapped from {suite}'s packages{because}")
    return f"Base images: {'; '.join(parts) or 'all there already'}."


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


# The kernel's names of architectures that Docker names differently.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}


def foreign(engine: str, machine: str) -> str:
    """Return a part of a sentence if an engine cannot run images of this machine, or nothing.

    engine: its architecture, as Docker names it; empty if unknown.
    machine: the architecture of this machine, as the kernel names it.
    """
    here = _ARCHITECTURES.get(machine, machine)
    if engine in ("", here) or (engine == "arm" and here.startswith("armv")):
        return ""
    return f"the engine's machine is {engine} and this one {here}"
