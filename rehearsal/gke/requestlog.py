"""The log of all requests: one JSON object per line."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Entry:
    """One answered request. It never contains a token or an assertion."""

    time: float
    """Seconds since the epoch, by the rehearsal's clock."""
    http_method: str
    host: str
    path: str
    """The path with the query."""
    api: str = ""
    method_id: str = ""
    caller: str = ""
    status: int = 0
    """0: the connection was dropped without a response."""
    mutating: bool = False
    """Whether the method may change Google's state, regardless of the outcome."""
    fault: str = ""
    message: str = ""
    """The error's message, if the response is an error."""
    problem: str = ""
    """A defect of the double: a method that is not modelled, or an invalid answer."""
    body: Any = None
    """The body of a mutating request."""


class RequestLog:
    """The log's file and its entries."""

    def __init__(self, path: Path) -> None:
        """Continue the file if it exists."""
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        line = json.dumps(asdict(entry), ensure_ascii=False)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._path.write_text("", encoding="utf-8")

    def entries(self, *, mutating: bool | None = None) -> list[dict[str, Any]]:
        """Return the entries, oldest first; `mutating` selects those that may change something."""
        with self._lock:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [entry for entry in found if mutating in (None, entry["mutating"])]
