"""The lifetime of a cluster: its labels `created-at` and `ttl`, and whether it has expired.

Labels can only contain lower-case letters, digits, `-` and `_`. Therefore a moment is written
20261122t220500z, a duration 30m, 8h or 2d, and no expiry `none`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATED_AT = "created-at"
TTL = "ttl"
FOREVER = "none"
_MOMENT = "%Y%m%dt%H%M%Sz"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment_label(moment: datetime) -> str:
    """Return a moment as a label's value."""
    return moment.astimezone(UTC).strftime(_MOMENT)


def read_moment(text: str) -> datetime:
    """Return the moment of a label's value, or of the API's RFC 3339; raise ValueError."""
    try:
        return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_ttl(text: str) -> timedelta | None:
    """Return the duration of 30m, 8h, 2d, or None for `none`; raise ValueError."""
    if text == FOREVER:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    if not match:
        raise ValueError(f"'{text}' is no ttl: write 30m, 8h, 2d or {FOREVER}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@dataclass(frozen=True)
class Lifetime:
    """The expiry of a cluster.

    ends: None if it does not expire.
    reason: why it does not expire, as text; otherwise empty.
    """

    ends: datetime | None
    reason: str = ""

    def over(self, now: datetime) -> bool:
        """Return whether the cluster has expired."""
        return self.ends is not None and self.ends <= now


def lifetime_of(cluster: Mapping[str, Any]) -> Lifetime:
    """Return the lifetime of a cluster as the GKE API describes it (resourceLabels, createTime).

    It starts at the later of its label and Google's own record, so that it never expires early.
    """
    labels = cluster.get("resourceLabels") or {}
    ttl = labels.get(TTL)
    if not ttl:
        return Lifetime(None, f"it has no label {TTL}")
    try:
        lasts = read_ttl(ttl)
    except ValueError:
        return Lifetime(None, f"its label {TTL} is '{ttl}', which is no duration")
    if lasts is None:
        return Lifetime(None, f"its label {TTL} is {FOREVER}")
    begins = []
    for text in (labels.get(CREATED_AT), cluster.get("createTime")):
        try:
            begins.append(read_moment(str(text or "")))
        except ValueError:
            continue
    if not begins:
        return Lifetime(None, f"its label {CREATED_AT} is no moment")
    return Lifetime(max(begins) + lasts)
