"""Files with secrets that only this user can read, and that are deleted with the Ansible run.

They hold secrets that other programs read from a file, such as a key that was given as a variable.
They are in memory if possible, have mode 0600, and are in a folder with mode 0700.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PRIVATE = 0o700
_TRIES = 100

# The variable with the ID of the process of the Ansible run that a module is part of.
RUN = "DOCKER_ML_API_RUN"
_OF_RUN = "run-"


class PrivateFilesError(Exception):
    """A secret cannot be stored; the message has the problem and its fix, without a full stop."""


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read from the beginning."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def folder_for(environ: Mapping[str, str]) -> Path:
    """Return the folder that only this user can read; raise PrivateFilesError if there is none.

    It is in XDG_RUNTIME_DIR, or else in memory (/dev/shm), or else in the temporary folder.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is checked to be the user's alone
    places = [environ.get("XDG_RUNTIME_DIR") or "", str(memory), tempfile.gettempdir()]
    for place in filter(None, places):
        if os.access(place, os.W_OK | os.X_OK):
            return Path(place) / f"docker-ml-api-{os.getuid()}"
    raise PrivateFilesError(
        "There is no folder for files with secrets: set TMPDIR to a folder that you may write to"
    )


def path_of(
    text: str, environ: Mapping[str, str], *, prefix: str = "", lasting: bool = False
) -> Path:
    """Return the path at which `keep` stores the text, or a text with this one as its key."""
    folder, run = folder_for(environ), environ.get(RUN)
    digest = hashlib.sha256(text.encode()).hexdigest()
    place = folder if lasting or not run else folder / f"{_OF_RUN}{run}"
    return place / f"{prefix}{digest[:16]}"


def keep(
    text: str,
    environ: Mapping[str, str],
    *,
    prefix: str = "",
    lasting: bool = False,
    key: str = "",
) -> Path:
    """Store a text in a file with mode 0600 and return its path; raise PrivateFilesError.

    key: identifies the file, by default the text itself.
    lasting: keep the file until `forget` is called; otherwise until `forget_run` is called at the
        end of the Ansible run that RUN identifies.
    """
    folder = folder_for(environ)
    path = path_of(key or text, environ, prefix=prefix, lasting=lasting)
    for _ in range(_TRIES):
        try:
            _make_private(folder)
            if path.parent != folder:
                path.parent.mkdir(mode=_PRIVATE, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        except FileNotFoundError:
            # A run that ended at the same time removed the folder, which was still empty.
            continue
        except OSError as error:
            raise PrivateFilesError(
                f"{path} cannot be written ({error.strerror}): free space there, or set "
                "XDG_RUNTIME_DIR to another folder"
            ) from error
        return path
    raise PrivateFilesError(f"{path.parent} is removed again and again: see what does so")


def read(key: str, environ: Mapping[str, str], *, prefix: str = "") -> str:
    """Return the text that this run stored with this key, or an empty string."""
    folder = _own_folder(environ)
    if folder is None or stat.S_IMODE(folder.stat().st_mode) != _PRIVATE:
        return ""
    try:
        return path_of(key, environ, prefix=prefix).read_text(encoding="utf-8")
    except OSError:
        return ""


def _make_private(folder: Path) -> None:
    """Create the folder; raise PrivateFilesError if it exists and others can access it."""
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    found = folder.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) != _PRIVATE
    ):
        raise PrivateFilesError(
            f"{folder} is not a folder of yours with mode 0700, as one for secrets has to be: "
            "remove it"
        )


def forget(environ: Mapping[str, str], *, prefix: str) -> list[str]:
    """Delete the lasting files, and the folder if it is empty; return the deleted paths."""
    removed = []
    if folder := _own_folder(environ):
        for path in sorted(folder.glob(f"{prefix}*")):
            path.unlink(missing_ok=True)
            removed.append(str(path))
        _remove_if_empty(folder)
    return removed


def forget_run(environ: Mapping[str, str]) -> None:
    """Delete the files of the run that RUN identifies, and those of runs that were killed."""
    if folder := _own_folder(environ):
        for kept in folder.glob(f"{_OF_RUN}*"):
            run = kept.name.removeprefix(_OF_RUN)
            if run == environ.get(RUN) or not _is_alive(run):
                shutil.rmtree(kept, ignore_errors=True)
        _remove_if_empty(folder)


def _own_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder if it exists and belongs to this user, or None."""
    try:
        folder = folder_for(environ)
    except PrivateFilesError:
        return None
    own = folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    return folder if own else None


def _remove_if_empty(folder: Path) -> None:
    # Another run may be storing something there.
    with contextlib.suppress(OSError):
        folder.rmdir()


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
