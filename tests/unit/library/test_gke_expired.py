import gke_expired
import pytest

from rehearsal.gke.call import Answer
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.model.world import World
from support import gke_double
from support.gke_site import LOCATION, OURS, Site


class Partial(World):
    """A double of Google that does not reach a zone."""

    def call(self, call):
        answer = super().call(call)
        if call.method_id.endswith(".clusters.list"):
            return Answer(200, {**answer.body, "missingZones": ["us-east1-b"]})
        return answer


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        yield Site(google, capsys, monkeypatch)


LONG_AGO = "20200101t000000z"


def age(site, name, location=LOCATION, hours=9):
    """Make a cluster older by this many hours."""
    site.google.world.state.clusters[f"{location}/{name}"]["created"] -= hours * 3600


def test_who_is_expired(site):
    for name, location, labels in (
        ("over", LOCATION, {"ttl": "8h", "created-at": LONG_AGO}),
        ("over-first", "us-east1-b", {"ttl": "30m"}),
        ("not-yet", LOCATION, {"ttl": "2d", "created-at": LONG_AGO}),
        ("forever", LOCATION, {"ttl": "none"}),
        ("unclear", LOCATION, {"ttl": "soon"}),
        ("others", LOCATION, {"managed-by": "tom", "ttl": "30m"}),
    ):
        site.create(name, location, labels={**OURS, **labels})
        age(site, name, location)
    site.google.forget_requests()
    answer = site.run(gke_expired)
    assert not answer["changed"]
    assert [(one["name"], one["location"], one["ttl"]) for one in answer["expired"]] == [
        ("over-first", "us-east1-b", "30m"),
        ("over", LOCATION, "8h"),
    ]
    assert {one["status"] for one in answer["expired"]} == {"RUNNING"}
    assert [(one["name"], one["reason"]) for one in answer["living"]] == [
        ("forever", "its label ttl is none"),
        ("not-yet", ""),
        ("unclear", "its label ttl is 'soon', which is no duration"),
    ]
    assert [bool(one["ends"]) for one in answer["living"]] == [False, True, False]
    assert answer["missing_zones"] == []
    assert site.mutations() == []


def test_of_others(site):
    site.create("theirs", labels={"managed-by": "tom", "ttl": "30m"})
    age(site, "theirs")
    assert [one["name"] for one in site.run(gke_expired, managed_by="tom")["expired"]] == ["theirs"]
    assert site.run(gke_expired)["expired"] == []


def test_zones_that_are_missing(tmp_path, capsys, monkeypatch):
    with gke_double.running(tmp_path, make_world=Partial) as google:
        answer = Site(google, capsys, monkeypatch).run(gke_expired)
    assert answer["missing_zones"] == ["us-east1-b"]
    assert "could not tell the clusters in us-east1-b" in str(answer["warnings"])


@pytest.mark.parametrize(
    ("name", "location", "over"),
    [
        ("over", LOCATION, True),
        ("young", LOCATION, False),
        ("over", "us-east1-b", False),
        ("none", LOCATION, False),
    ],
)
def test_one_cluster(site, name, location, over):
    site.create("over", labels={**OURS, "ttl": "8h"})
    site.create("young", labels={**OURS, "ttl": "2d"})
    age(site, "over")
    answer = site.run(gke_expired, name=name, location=location)
    assert answer["over"] is over
    assert (answer["title"] in [one["title"] for one in answer["expired"]]) is over
    assert "location" in site.run(gke_expired, name=name)["msg"]
