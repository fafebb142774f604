"""Hashes of the inputs of an image build: sources, base images and arguments.

All hashes are ``sha256:`` and 64 hexadecimal digits. They do not depend on anything that a
fresh checkout changes, such as times, owners or the order of files.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.utils.build import PatternMatcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

DOCKERFILE = "Dockerfile"
# Docker accepts these arguments without an ARG, and keeps them out of image and cache:
# https://docs.docker.com/reference/dockerfile/#predefined-args
_PROXY_ARGS = frozenset(
    {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"},
)
# COPY keeps permissions. In a container it matters whether a file can be executed, and whether
# users other than the owner can read it; the group's bits depend on the umask of the checkout.
_PERMISSIONS = stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH
_CHUNK = 1 << 20


class BuildContextError(Exception):
    """The build context cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Fingerprint:
    """The hashes of one build's inputs."""

    sources: str
    base_images: str
    arguments: str

    @property
    def total(self) -> str:
        """The hash of all inputs."""
        return _digest([self.sources, self.base_images, self.arguments])

    def labels(self, prefix: str) -> dict[str, str]:
        """Return the image labels that store the hashes, under *prefix*."""
        return {
            prefix: self.total,
            f"{prefix}.sources": self.sources,
            f"{prefix}.base-images": self.base_images,
            f"{prefix}.arguments": self.arguments,
        }


def fingerprint(
    folder: Path,
    base_images: Mapping[str, str],
    build_args: Mapping[str, str],
    labels: Mapping[str, str],
) -> Fingerprint:
    """Return the hashes of the inputs of a build of *folder*.

    *base_images* maps each reference to the image's ID on the engine (empty if missing).
    """
    arguments = {k: v for k, v in build_args.items() if k.lower() not in _PROXY_ARGS}
    return Fingerprint(
        sources=_digest(_source_records(folder)),
        base_images=_digest(_pairs(base_images)),
        arguments=_digest(["arguments", *_pairs(arguments), "labels", *_pairs(labels)]),
    )


def reasons(image: Mapping[str, str] | None, wanted: Fingerprint, prefix: str) -> list[str]:
    """Return why an image with the labels *image* has to be built; empty if it is up to date.

    *image* is None if there is no such image.
    """
    if image is None:
        return ["no image yet"]
    if prefix not in image:
        return ["the image of that name was not built from here"]
    texts = {
        f"{prefix}.sources": "sources changed",
        f"{prefix}.base-images": "base image changed",
        f"{prefix}.arguments": "build arguments or labels changed",
        prefix: "build context changed",
    }
    differing = [
        text for label, text in texts.items() if image.get(label) != wanted.labels(prefix)[label]
    ]
    # If a part differs, the total differs as well and is not reported.
    return differing[:-1] or differing


def read_dockerfile(folder: Path) -> str:
    """Return the text of the Dockerfile in *folder*; raise BuildContextError."""
    if not folder.is_dir():
        raise BuildContextError(f"The folder {folder} does not exist.")
    path = folder / DOCKERFILE
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise BuildContextError(f"The folder {folder} has no {DOCKERFILE}.") from None
    except OSError as error:
        raise BuildContextError(f"{path} cannot be read: {error.strerror}.") from error


def context_paths(folder: Path) -> Iterator[str]:
    """Yield the paths below *folder* that `docker build` sends, with `.dockerignore` applied."""
    matcher = PatternMatcher(_ignore_patterns(folder))
    # The library always appends `!.dockerignore`, but docker allows that file to be ignored.
    matcher.patterns.pop()
    # An ignored folder can be skipped only if there is no `!pattern`. The library's own walk()
    # misses files that `!**/*.py` includes again.
    may_return = any(pattern.exclusion for pattern in matcher.patterns)

    def walk(below: str) -> Iterator[str]:
        with os.scandir(folder / below) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{below}/{entry.name}" if below else entry.name
                ignored = matcher.matches(path)  # type: ignore[arg-type]
                if not ignored:
                    yield path
                if entry.is_dir(follow_symlinks=False) and (may_return or not ignored):
                    yield from walk(path)

    try:
        yield from walk("")
    except OSError as error:
        raise BuildContextError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _ignore_patterns(folder: Path) -> list[str]:
    # BuildKit prefers the ignore file of the Dockerfile.
    for name in (f"{DOCKERFILE}.dockerignore", ".dockerignore"):
        try:
            text = (folder / name).read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BuildContextError(f"{folder / name} cannot be read: {error.strerror}.") from error
        lines = (line.strip() for line in text.splitlines() if not line.startswith("#"))
        return [line for line in lines if line and line != "!"]
    return []


def _source_records(folder: Path) -> Iterator[str]:
    """Yield the data that identifies the context: path, type, permissions, content."""
    yield from (DOCKERFILE, read_dockerfile(folder))
    for path in sorted(context_paths(folder)):
        full = folder / path
        try:
            status = full.lstat()
            if stat.S_ISREG(status.st_mode):
                kind, content = "file", _file_digest(full)
            elif stat.S_ISLNK(status.st_mode):
                kind, content = "link", str(full.readlink())
            elif stat.S_ISDIR(status.st_mode):
                kind, content = "folder", ""
            else:  # docker omits sockets and cannot copy the other types
                continue
        except OSError as error:
            raise BuildContextError(f"{full} cannot be read: {error.strerror}.") from error
        permissions = "" if kind == "link" else f"{status.st_mode & _PERMISSIONS:o}"
        yield from (path, kind, permissions, content)


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _pairs(mapping: Mapping[str, str]) -> list[str]:
    return [text for key in sorted(mapping) for text in (key, mapping[key])]


def _digest(texts: Iterable[str]) -> str:
    """Hash texts so that different lists never result in the same input bytes."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", errors="surrogateescape")
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"sha256:{digest.hexdigest()}"
