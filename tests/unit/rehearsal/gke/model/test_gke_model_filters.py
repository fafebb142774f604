"""Filters and pages of compute lists."""

import pytest

from rehearsal.gke.model import filters
from rehearsal.gke.model.refusals import Refused

DISK = {
    "name": "pvc-1",
    "sizeGb": "10",
    "labels": {"team": "ml"},
    "users": ["https://example/instances/gke-web-1"],
    "network": {"mtu": 1460, "auto": True},
}


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("name = pvc-1", True),
        ("name=pvc-2", False),
        ('name = "pvc-1"', True),
        ("name = pvc-*", True),
        ("name = *-2", False),
        ("name != pvc-2", True),
        ("name != pvc-*", False),
        ("name eq pvc-.*", True),
        ("name eq pvc", False),
        ("name ne 'pvc-.*'", False),
        ("(name = pvc-1) (sizeGb > 5)", True),
        ("(name = pvc-1) (sizeGb > 10)", False),
        ("name = pvc-1 AND sizeGb >= 10", True),
        ("name = pvc-2 OR name = pvc-1", True),
        ("sizeGb < 11", True),
        ("sizeGb <= 9", False),
        ("name > 1", False),
        ("labels.team = ml", True),
        ("labels.team:*", True),
        ("labels.other:*", False),
        ("labels:team", True),
        ("labels:stage", False),
        ("users:gke-web", True),
        ("users:gke-api", False),
        ("name:PVC*", True),
        ("name:disk", False),
        ("network.mtu = 1460", True),
        ("network.auto = true", True),
        ("network.mtu.deeper = 1", False),
        ("absent = x", False),
        ("absent != x", True),
    ],
)
def test_filter(text, passes):
    assert filters.test_of(text)(DISK) is passes


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name ~ x",
        "= x",
        "name eq [",
        "sizeGb > many",
        "a = b AND c = d OR e = f",
        "a = b ,",
    ],
)
def test_filter_that_is_none(text):
    with pytest.raises(Refused, match="Invalid list filter expression"):
        filters.test_of(text)


def test_pages():
    items = list(range(5))
    seen, token = [], ""
    while True:
        some, token = filters.page(items, 2, {"pageToken": token} if token else {})
        seen += some
        assert len(some) <= 2
        if not token:
            break
    assert seen == items
    assert filters.page(items, 500, {"maxResults": 5}) == (items, "")
    assert filters.page(items, 500, {"maxResults": 4}) == (items[:4], "4")


@pytest.mark.parametrize("token", ["x", "6"])
def test_page_that_is_none(token):
    with pytest.raises(Refused, match="page token is invalid"):
        filters.page([1, 2], 1, {"pageToken": token})
