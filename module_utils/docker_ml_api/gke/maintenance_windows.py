"""Maintenance windows: the format of the option, that of the API, and their comparison."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.docker_ml_api.gke import cluster_options

if TYPE_CHECKING:
    from collections.abc import Mapping

DAILY = "FREQ=DAILY"
# A recurring window requires the day of its first occurrence, which may be in the past: a Monday.
_FIRST_DAY = "2024-01-01"
# Google's fixed length of a daily window.
_DAILY_MINUTES = 240


class Window(NamedTuple):
    """When maintenance may happen: start as in `03:00` (UTC), minutes, rule of RFC 5545."""

    start: str
    minutes: int
    recurrence: str

    def __str__(self) -> str:
        """Return the window for messages."""
        hours, minutes = divmod(self.minutes, 60)
        length = f"{hours}h{minutes}m" if minutes else f"{hours}h"
        return f"{self.start} UTC for {length}, {self.recurrence}"


def wanted(option: Mapping[str, Any] | None) -> Window | None:
    """Return the window of the option; None without one."""
    if not option:
        return None
    recurrence = option["recurrence"] or DAILY
    return Window(option["start"], cluster_options.minutes(option["duration"]), recurrence)


def live(policy: Mapping[str, Any] | None) -> Window | str | None:
    """Return the window of a live cluster's MaintenancePolicy; as text for an unknown format."""
    window = (policy or {}).get("window") or {}
    daily, recurring = window.get("dailyMaintenanceWindow"), window.get("recurringWindow")
    if daily:
        return Window(daily["startTime"], _DAILY_MINUTES, DAILY)
    if recurring:
        times = recurring["window"]
        start, end = _time(times["startTime"]), _time(times["endTime"])
        length = int((end - start).total_seconds()) // 60
        return Window(start.strftime("%H:%M"), length, recurring["recurrence"])
    other = window.get("recurringMaintenanceWindow")
    return f"another one ({other})" if other else None


def body(option: Mapping[str, Any]) -> dict[str, Any]:
    """Return the API's MaintenanceWindow for the option."""
    window = Window(*(wanted(option) or ()))
    if window.recurrence == DAILY and window.minutes == _DAILY_MINUTES:
        return {"dailyMaintenanceWindow": {"startTime": window.start}}
    start = _time(f"{_FIRST_DAY}T{window.start}:00Z")
    end = start + timedelta(minutes=window.minutes)
    return {
        "recurringWindow": {
            "window": {"startTime": _text(start), "endTime": _text(end)},
            "recurrence": window.recurrence,
        }
    }


def changed_policy(
    policy: Mapping[str, Any] | None, option: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the live policy with the wanted window; exclusions and all other settings are kept."""
    policy = policy or {}
    forms = ("dailyMaintenanceWindow", "recurringWindow", "recurringMaintenanceWindow")
    kept = {key: value for key, value in (policy.get("window") or {}).items() if key not in forms}
    return {**policy, "window": {**kept, **(body(option) if option else {})}}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
