"""Leftovers on the double, of clusters that were deleted in the wrong order."""

import gke_leftovers
import pytest

from rehearsal.gke.call import Answer
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.model.world import World
from support import gke_double
from support.gke_site import LOCATION, NAME, OURS, Site

REGION = "regions/europe-west1"


class Sites(Site):
    """A site with the actions of the rehearsal's director."""

    def attach(self, what, cluster=NAME, **given):
        self.direct("attach", cluster=cluster, object=what, **given)

    def there(self):
        """Return the paths of the compute resources."""
        return {one.rpartition("|")[2] for one in self.direct("show")["compute"]}

    def look(self, *identity, **options):
        self.google.forget_requests()
        place = {"name": NAME, "location": LOCATION, "settle": 0, **options}
        return self.run(gke_leftovers, identity=list(identity), **place)

    def remove(self, name=NAME, location=LOCATION):
        self.finish(self.delete(name, location))


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        yield Sites(google, capsys, monkeypatch)


WRONG_ORDER = {
    "target pool": [("Service", {"name": "web", "kind": "target-pool"})],
    "backend service": [("Service", {"name": "web", "kind": "backend-service"})],
    "internal": [("Service", {"name": "web", "kind": "internal"})],
    "ingress": [("Ingress", {"name": "web", "https": True})],
    "disk": [("Volume", {"claim": "data"})],
    "all": [
        ("Service", {"name": "web", "kind": "target-pool"}),
        ("Service", {"name": "api", "namespace": "team", "kind": "backend-service"}),
        ("Ingress", {"name": "front"}),
        ("Volume", {"claim": "data"}),
    ],
}


@pytest.mark.parametrize("attached", WRONG_ORDER.values(), ids=WRONG_ORDER)
def test_every_leftover_is_found_and_swept(site, attached):
    empty = site.there()
    site.create()
    for kind, given in attached:
        site.attach(kind, **given)
    before = site.look()
    assert before["exists"]
    assert (before["leftovers"], before["identity"]["ours"]) == ([], True)
    site.remove()
    left = site.there() - empty
    assert left
    answer = site.look(before["identity"])
    assert answer["failed"]
    assert len(answer["leftovers"]) == len(left)
    assert {one["attribution"] for one in answer["leftovers"]} == {"certain"}
    assert all(one["sweep"] for one in answer["leftovers"])
    assert site.mutations() == []
    assert "gke_cluster_sweep: true" in answer["msg"]
    would = site.look(before["identity"], sweep=True, check=True)
    assert would["changed"]
    assert len(would["swept"]) == len(left)
    assert site.mutations() == []
    swept = site.look(before["identity"], sweep=True)
    assert not swept.get("failed"), swept["msg"]
    assert sorted(swept["swept"]) == sorted(would["swept"])
    assert site.there() == empty
    clean = site.look(before["identity"], sweep=True)
    assert (clean["changed"], clean["leftovers"], clean["unattributed"]) == (False, [], [])
    assert site.mutations() == []


def test_it_takes_few_requests(site):
    site.create()
    site.attach("Service", name="web")
    site.remove()
    answer = site.look()
    assert answer["leftovers"]
    reads = [one for one in site.google.requests() if one["api"] == "compute"]
    assert len(reads) == 14


def test_long_lists_are_read_to_their_end(site):
    site.direct("set", page_size=1)
    site.create()
    site.attach("Service", name="web")
    site.attach("Service", name="api")
    site.remove()
    assert len(site.look()["leftovers"]) == 8


def test_without_what_was_known(site):
    """After a run that was killed: by the name alone, without the recorded identity."""
    empty = site.there()
    site.create(labels={**OURS, "team": "web"})
    site.attach("Service", name="web")
    site.attach("Volume", claim="data")
    site.remove()
    answer = site.look(sweep=True)
    assert not answer.get("failed"), answer["msg"]
    assert site.there() == empty


def test_what_was_of_a_cluster_of_others(site):
    site.create(labels={"managed-by": "tom"})
    site.attach("Service", name="web")
    before = site.look()
    assert before["identity"]["ours"] is False
    site.remove()
    left = site.there()
    answer = site.look(before["identity"], sweep=True)
    assert answer["failed"]
    assert "it was not deleted: the cluster was not made by this project" in answer["msg"]
    assert site.mutations() == []
    assert site.there() == left


def test_data_of_a_cluster_that_may_be_of_others(site):
    site.create(labels={})
    site.attach("Volume", claim="data")
    site.remove()
    answer = site.look(sweep=True)
    assert answer["failed"]
    (disk,) = answer["leftovers"]
    assert (disk["kind"], disk["attribution"], disk["sweep"]) == ("disk", "likely", False)
    assert disk["made_for"] == "PersistentVolumeClaim default/data"
    assert disk["command"].startswith(f"gcloud compute disks delete {disk['name']} --zone europe-")
    assert "it holds data" in answer["msg"]
    assert site.mutations() == []


def test_others_are_left_alone(site):
    site.create()
    site.create("hello-cluster-2")
    site.create(NAME, "us-east1-b")
    site.direct(
        "plant",
        collection="addresses",
        scope=REGION,
        body={"name": "of-a-person", "address": "203.0.113.99", "addressType": "EXTERNAL"},
    )
    site.remove()
    others = site.there()
    site.attach("Service", "hello-cluster-2", name="web")
    site.attach("Ingress", "hello-cluster-2", name="web")
    site.attach("Service", f"us-east1-b/{NAME}", name="web")
    site.attach("Volume", f"us-east1-b/{NAME}", claim="data")
    assert site.there() > others
    others = site.there()
    answer = site.look(sweep=True)
    assert not answer.get("failed"), answer["msg"]
    assert (answer["leftovers"], answer["unattributed"]) == ([], [])
    assert site.there() == others
    assert site.mutations() == []


def test_disks_that_stay_on_purpose(site):
    site.create()
    site.attach("Volume", claim="data", uid="11111111-2222-3333-4444-555555555555")
    before = site.look()
    site.remove()
    kept = {"keep": ["pvc-11111111-2222-3333-4444-555555555555"]}
    answer = site.look(before["identity"], kept, sweep=True)
    assert not answer.get("failed")
    assert [one["name"] for one in answer["retained"]] == kept["keep"]
    assert answer["leftovers"] == []
    assert site.mutations() == []


def test_alive(site):
    site.create()
    site.attach("Service", name="web")
    answer = site.look(sweep=True)
    assert answer["failed"]
    assert "is alive, so that nothing of it is left over: delete it first" in answer["msg"]
    assert not site.look(sweep=True, check=True).get("failed")
    assert site.mutations() == []


def test_an_identity_of_somebody_else_s_making(site):
    answer = site.look({"created": "yesterday"})
    assert answer["failed"]
    assert answer["msg"].startswith("identity is not what this module returned (")


# Faults


def test_google_takes_its_time(site):
    site.create()
    site.attach("Service", name="web")
    site.remove()
    site.google.clock.advance(0)
    slept = site.slept
    answer = site.look(settle=60)
    assert answer["failed"]
    assert 60 <= site.slept - slept < 70


def test_nothing_is_waited_for_where_nothing_is_left(site):
    slept = site.slept
    answer = site.look(settle=60)
    assert (answer["changed"], answer["exists"], answer["leftovers"]) == (False, False, [])
    assert site.slept == slept


def test_a_deletion_that_fails(site):
    site.create()
    site.attach("Service", name="web")
    site.remove()
    site.google.fault("operation-error", method="targetPools.delete", message="It is held.")
    answer = site.look(sweep=True)
    assert answer["failed"]
    (pool,) = [one for one in answer["leftovers"] if one["kind"] == "target pool"]
    assert "it was not deleted: It is held. gcloud compute target-pools delete" in answer["msg"]
    # Its firewall rules, which identified its cluster, are deleted: it is still named.
    assert pool["name"] in answer["msg"]


def test_a_deletion_that_never_ends(site):
    site.create()
    site.attach("Volume", claim="data")
    before = site.look()
    site.remove()
    site.google.fault("operation-never-ends", method="disks.delete")
    slept = site.slept
    answer = site.look(before["identity"], sweep=True, timeout=30)
    assert answer["failed"]
    assert "its deletion is RUNNING after 30" in answer["msg"]
    assert site.slept - slept < 40


def test_what_is_still_in_use(site):
    """A resource that a person's resource uses is kept, and the rest is deleted."""
    site.create()
    site.attach("Ingress", name="web")
    before = site.look()
    site.remove()
    (backend,) = [one for one in site.there() if "backendServices" in one]
    site.direct(
        "plant",
        collection="urlMaps",
        scope="global",
        body={"name": "of-a-person", "defaultService": link(site, backend)},
    )
    answer = site.look(before["identity"], sweep=True, timeout=20)
    assert answer["failed"]
    kinds = [one["kind"] for one in answer["leftovers"]]
    assert "backend service" in kinds
    assert "firewall rule" not in kinds
    assert "is already being used by" in answer["msg"]


def link(site, key):
    collection, scope, name = key.split("|") if "|" in key else key.rsplit("/", 2)
    return (
        f"https://www.googleapis.com/compute/v1/projects/{site.google.project}/"
        f"{scope}/{collection}/{name}"
    )


def test_gone_meanwhile(site):
    site.create()
    site.attach("Volume", claim="data")
    before = site.look()
    site.remove()
    site.google.fault("drop-after", method="disks.delete")
    answer = site.look(before["identity"], sweep=True)
    assert not answer.get("failed"), answer["msg"]


def test_no_permission_to_delete(site):
    site.create()
    site.attach("Volume", claim="data")
    before = site.look()
    site.remove()
    site.direct("deny", permissions=["compute.disks.delete"])
    answer = site.look(before["identity"], sweep=True)
    assert answer["failed"]
    assert "compute.disks.delete" in answer["msg"]


def test_the_compute_api_is_not_enabled(site):
    site.direct("set", disabled_services=["compute.googleapis.com"])
    answer = site.look()
    assert answer["failed"]
    assert "gcloud services enable compute.googleapis.com" in answer["msg"]


class Partial(World):
    """A double of Google that does not reach all of its zones."""

    silent = ""

    def call(self, call):
        answer = super().call(call)
        if self.silent == "compute" and call.method_id == "compute.disks.aggregatedList":
            warning = {"code": "UNREACHABLE", "message": "The zone is not reachable."}
            items = {"zones/europe-west1-b": {"warning": warning}}
            return Answer(200, {**answer.body, "items": items})
        if self.silent == "container" and call.method_id.endswith(".clusters.list"):
            return Answer(200, {**answer.body, "missingZones": ["us-east1-b"]})
        return answer


@pytest.mark.parametrize(
    ("silent", "words"),
    [
        (
            "compute",
            "Google does not list each disk in zones/europe-west1-b just now (The zone is not",
        ),
        ("container", "Google does not list the clusters of us-east1-b just now"),
    ],
)
def test_what_cannot_be_known(tmp_path, capsys, monkeypatch, silent, words):
    with gke_double.running(tmp_path, clock=StandingClock(), make_world=Partial) as google:
        google.world.silent = silent
        answer = Sites(google, capsys, monkeypatch).look(sweep=True)
    assert answer["failed"]
    assert words in answer["msg"]
    assert answer["msg"].endswith("run the same command again.")
