from datetime import UTC, datetime, timedelta

import pytest
from ansible.module_utils.docker_ml_api.gke import lifetime as cluster_lifetime

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("30m", timedelta(minutes=30)),
        ("8h", timedelta(hours=8)),
        ("2d", timedelta(days=2)),
        ("none", None),
    ],
)
def test_read_ttl(text, lasts):
    assert cluster_lifetime.read_ttl(text) == lasts


@pytest.mark.parametrize("text", ["", "0h", "8", "h", "8s", "-1h", "8h ", "1.5h", "8H", "123456d"])
def test_no_ttl(text):
    with pytest.raises(ValueError, match="is no ttl: write 30m, 8h, 2d or none"):
        cluster_lifetime.read_ttl(text)


@pytest.mark.parametrize(
    "text",
    [
        "20261122t120000z",
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00+00:00",
        "2026-11-22T13:00:00+01:00",
        "2026-11-22T12:00:00",
    ],
)
def test_moments(text):
    assert cluster_lifetime.read_moment(text) == NOON


def test_label_of_a_moment():
    label = cluster_lifetime.moment_label(NOON)
    assert label == "20261122t120000z"
    assert cluster_lifetime.read_moment(label) == NOON


def cluster(ttl="8h", made="20261122t120000z", created=None):
    labels = {"ttl": ttl, "created-at": made}
    found = {"resourceLabels": {key: value for key, value in labels.items() if value}}
    return {**found, **({"createTime": created} if created else {})}


# What: the cluster, the hours after noon when it expires, why it does not expire.
LIFETIMES = {
    "label": (cluster(), 8, ""),
    "created later than labelled": (cluster(created="2026-11-22T13:00:00+00:00"), 9, ""),
    "created before it was labelled": (cluster(created="2026-11-22T11:00:00+00:00"), 8, ""),
    "label garbled": (cluster(made="yesterday", created="2026-11-22T12:00:00+00:00"), 8, ""),
    "created alone": (cluster(made="", created="2026-11-22T12:00:00+00:00"), 8, ""),
    "neither": (cluster(made="yesterday"), None, "its label created-at is no moment"),
    "forever": (cluster("none"), None, "its label ttl is none"),
    "no ttl": (cluster(""), None, "it has no label ttl"),
    "ttl garbled": (cluster("soon"), None, "its label ttl is 'soon', which is no duration"),
    "no labels": ({}, None, "it has no label ttl"),
}


@pytest.mark.parametrize(("found", "hours", "reason"), LIFETIMES.values(), ids=LIFETIMES)
def test_lifetime(found, hours, reason):
    lifetime = cluster_lifetime.lifetime_of(found)
    assert lifetime.reason == reason
    if hours is None:
        assert lifetime.ends is None
        assert not lifetime.over(NOON + timedelta(days=10000))
        return
    end = NOON + timedelta(hours=hours)
    assert lifetime.ends == end
    assert [lifetime.over(end + timedelta(seconds=late)) for late in (-1, 0, 1)] == [
        False,
        True,
        True,
    ]
