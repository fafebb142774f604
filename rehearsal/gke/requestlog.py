"""The log of every request: a JSON object a line."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Entry:
    """One request, as it was answered. No token and no assertion is ever in it."""

    time: float
    """Seconds since 1970, of the rehearsal's clock."""
    http_method: str
    host: str
    path: str
    """With the query."""
    api: str = ""
    method_id: str = ""
    caller: str = ""
    status: int = 0
    """0: the connection was dropped instead of an answer."""
    mutating: bool = False
    """Whether the method may change something of Google's, whatever came of it."""
    fault: str = ""
    message: str = ""
    """The error's, when the answer is one."""
    problem: str = ""
    """What is wrong with the double: a method that is not modelled, an invalid answer."""
    body: Any = None
    """What a mutating request sent."""


class RequestLog:
    """The log's file and its entries."""

    def __init__(self, path: Path) -> None:
        """Go on with the file."""
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)

    def add(self, entry: Entry) -> None:
        """Write an entry."""
        line = json.dumps(asdict(entry), ensure_ascii=False)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._path.write_text("", encoding="utf-8")

    def entries(self, *, mutating: bool | None = None) -> list[dict[str, Any]]:
        """Return the entries, the oldest first; only those that may change something, or not."""
        with self._lock:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [entry for entry in found if mutating in (None, entry["mutating"])]
