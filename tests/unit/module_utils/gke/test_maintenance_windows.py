import pytest
from ansible.module_utils.docker_ml_api.gke import maintenance_windows
from ansible.module_utils.docker_ml_api.gke.maintenance_windows import Window

WEEKEND = "FREQ=WEEKLY;BYDAY=SA,SU"


def option(start="03:00", duration=None, recurrence=None):
    return {"start": start, "duration": duration, "recurrence": recurrence}


def recurring(start, end, recurrence):
    window = {"startTime": start, "endTime": end}
    return {"recurringWindow": {"window": window, "recurrence": recurrence}}


# What: the option, the window it means, the API's form.
WINDOWS = {
    "daily": (
        option(),
        Window("03:00", 240, "FREQ=DAILY"),
        {"dailyMaintenanceWindow": {"startTime": "03:00"}},
    ),
    "daily, longer": (
        option(duration="6h30m"),
        Window("03:00", 390, "FREQ=DAILY"),
        recurring("2024-01-01T03:00:00Z", "2024-01-01T09:30:00Z", "FREQ=DAILY"),
    ),
    "weekly, over midnight": (
        option("22:00", "8h", WEEKEND),
        Window("22:00", 480, WEEKEND),
        recurring("2024-01-01T22:00:00Z", "2024-01-02T06:00:00Z", WEEKEND),
    ),
}


@pytest.mark.parametrize(("given", "window", "body"), WINDOWS.values(), ids=WINDOWS)
def test_wanted_is_what_is_read_again(given, window, body):
    assert maintenance_windows.wanted(given) == window
    assert maintenance_windows.body(given) == body
    assert maintenance_windows.live({"window": body}) == window


@pytest.mark.parametrize(
    ("policy", "window"),
    [
        (None, None),
        ({}, None),
        ({"window": {"maintenanceExclusions": {"x": {}}}}, None),
        (
            {
                "window": recurring(
                    "2025-06-07T00:00:00+02:00", "2025-06-07T06:00:00+02:00", WEEKEND
                )
            },
            Window("22:00", 360, WEEKEND),
        ),
        (
            {"window": {"recurringMaintenanceWindow": {"x": 1}}},
            "another one ({'x': 1})",
        ),
    ],
)
def test_live(policy, window):
    assert maintenance_windows.live(policy) == window


def test_nothing_wanted():
    assert maintenance_windows.wanted(None) is None


def test_changed_policy_keeps_what_is_not_ours():
    policy = {
        "resourceVersion": "1",
        "disruptionBudget": {"x": 1},
        "window": {
            "maintenanceExclusions": {"x": {}},
            "recurringMaintenanceWindow": {},
            **recurring("a", "b", "c"),
        },
    }
    kept = {"maintenanceExclusions": {"x": {}}}
    assert maintenance_windows.changed_policy(policy, None) == {**policy, "window": kept}
    assert maintenance_windows.changed_policy(policy, option()) == {
        **policy,
        "window": {**kept, "dailyMaintenanceWindow": {"startTime": "03:00"}},
    }
    assert maintenance_windows.changed_policy(None, None) == {"window": {}}


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window("03:00", 240, "FREQ=DAILY"), "03:00 UTC for 4h, FREQ=DAILY"),
        (Window("22:00", 390, WEEKEND), "22:00 UTC for 6h30m, FREQ=WEEKLY;BYDAY=SA,SU"),
    ],
)
def test_text(window, text):
    assert str(window) == text
