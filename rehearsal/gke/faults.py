"""Fault injection: the faults and the requests that they affect."""

from __future__ import annotations

import math
import re
import threading
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from rehearsal.gke.call import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rehearsal.gke.call import Clock


@dataclass
class _Waiting:
    fault: Fault
    passed: int = 0
    affected: int = 0
    over: float = math.inf


class Faults:
    """The pending faults, in the order in which they were added."""

    def __init__(self, clock: Clock) -> None:
        """Start without faults."""
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def add(self, fault: Fault) -> None:
        """Add a fault.

        :raises ValueError: unknown kind or invalid regular expression.
        """
        if fault.kind not in Fault.KINDS:
            raise ValueError(f"{fault.kind!r} is no fault: {', '.join(Fault.KINDS)}")
        try:
            re.compile(fault.method)
        except re.error as error:
            raise ValueError(f"{fault.method!r} is no regular expression: {error}") from error
        with self._lock:
            self._waiting.append(_Waiting(fault))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._waiting.clear()

    def take(self, api: str, method_id: str) -> Fault | None:
        """Return the fault that affects this request, if any, and count the request as affected."""
        with self._lock:
            for waiting in self._waiting:
                fault = waiting.fault
                if fault.api not in ("", api) or not re.search(fault.method, method_id):
                    continue
                if waiting.passed < fault.after:
                    waiting.passed += 1
                    continue
                now = self._clock.now()
                if now >= waiting.over or waiting.affected == fault.count:
                    continue
                if fault.lasting is not None and waiting.affected == 0:
                    waiting.over = now + fault.lasting
                waiting.affected += 1
                return fault
        return None

    def dump(self) -> list[dict[str, Any]]:
        """Return the faults, each with its number of affected requests and of passed matches."""
        with self._lock:
            return [
                {**asdict(each.fault), "affected": each.affected, "passed": each.passed}
                for each in self._waiting
            ]


def fault_from(arguments: Mapping[str, Any]) -> Fault:
    """Return the fault that a JSON object describes.

    :raises ValueError: unknown fields, or values of other types.
    """
    known = {each.name: each for each in fields(Fault)}
    unknown = sorted(arguments.keys() - known.keys())
    if unknown or "kind" not in arguments:
        raise ValueError(f"A fault has a kind and of {', '.join(known)}; not {unknown}.")
    types: dict[str, type | tuple[type, ...]] = dict.fromkeys(("kind", "api", "method"), str)
    types |= {"message": str, "seconds": (int, float), "lasting": (int, float)}
    for name, value in arguments.items():
        optional = name in ("count", "retry_after", "lasting") and value is None
        if not optional and not isinstance(value, types.get(name, int)):
            raise ValueError(f"A fault's {name} cannot be {value!r}.")
    return Fault(**arguments)
