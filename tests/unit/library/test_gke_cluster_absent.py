import gc
import warnings

import gke_cluster_absent
import pytest

from rehearsal.gke.call import Answer
from rehearsal.gke.clock import StandingClock
from rehearsal.gke.model.world import World
from support import gke_double, gke_examples
from support.gke_site import LOCATION, NAME, Site

DELETE = "clusters.delete"


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    with gke_double.running(tmp_path, clock=StandingClock()) as google:
        yield Site(google, capsys, monkeypatch)


def absent(site, name=NAME, **options):
    """Run the module; google.cloud's would wait by the machine's clock, not the double's."""
    site.google.forget_requests()
    given = {"name": name, "location": LOCATION, "google_cloud": False, **options}
    return site.run(gke_cluster_absent, **given)


def test_a_cluster_of_ours(site):
    site.create()
    would = absent(site, check=True)
    assert would["changed"]
    assert site.mutations() == []
    answer = absent(site)
    assert answer["changed"]
    assert answer["existed"]
    assert answer["diff"]["before"] == (
        "cluster hello-cluster in europe-west1-b\n  node pool main\n"
    )
    assert site.mutations() == [DELETE]
    assert site.cluster() is None
    again = absent(site)
    assert (again["changed"], again["existed"], again["operations"]) == (False, False, [])
    assert site.mutations() == []


def test_one_of_ours_elsewhere_is_told_of(site):
    """The inventory's location may be wrong: then nothing is deleted, and costs continue."""
    site.create(location="europe-west1-c")
    answer = absent(site)
    assert (answer["changed"], answer["existed"]) == (False, False)
    assert "but one of ours in europe-west1-c" in str(answer["warnings"])
    assert "warnings" not in absent(site, name="another")
    assert site.mutations() == []


# What: its labels, the message.
REFUSALS = {
    "nobody's": ({}, "(its label managed-by is not there, not docker-ml-api)"),
    "somebody's": ({"managed-by": "tom"}, "(its label managed-by is 'tom', not docker-ml-api)"),
    "protected": (
        {"managed-by": "docker-ml-api", "deletion-protection": "true"},
        "is protected against deletion: set deletion_protection: false for it, run --tags clusters",
    ),
}


@pytest.mark.parametrize(("labels", "words"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("check", [False, True])
def test_what_is_never_deleted(site, labels, words, check):
    site.create(labels=labels)
    answer = absent(site, check=check)
    assert answer["failed"]
    assert words in answer["msg"]
    assert answer["msg"].startswith("Cluster hello-cluster in europe-west1-b is ")
    assert site.mutations() == []


def test_the_label_of_others(site):
    site.create(labels={"managed-by": "tom"})
    assert absent(site, managed_by="tom")["changed"]


def test_while_it_is_being_made(site):
    operation = site.begin()
    answer = absent(site)
    assert answer["operations"][0] == operation["name"]
    assert len(answer["operations"]) == 2
    assert site.cluster() is None


def test_while_it_is_being_deleted(site):
    """Another run deletes it, or an earlier one that was killed."""
    site.create()
    operation = site.delete()
    answer = absent(site)
    assert answer["operations"] == [operation["name"]]
    assert site.mutations() == []
    assert site.cluster() is None


def test_only_its_own_operations_are_waited_for(site):
    site.create()
    site.create("hello-cluster-2")
    site.google.fault("operation-never-ends", method="clusters.delete")
    site.delete("hello-cluster-2")
    assert absent(site)["changed"]
    assert site.cluster() is None


# Faults of the double


def test_an_operation_that_ends_in_error(site):
    site.create()
    site.google.fault("operation-error", method=DELETE, message="Firewall x is in use by y.")
    answer = absent(site)
    assert answer["failed"]
    assert "Google said: Firewall x is in use by y." in answer["msg"]
    assert "DELETE_CLUSTER of cluster hello-cluster" in answer["msg"]
    assert site.cluster()["status"] == "ERROR"
    assert absent(site)["changed"]
    assert site.cluster() is None


def test_an_operation_that_never_ends(site):
    site.create()
    site.google.fault("operation-never-ends", method=DELETE)
    answer = absent(site, timeout=90)
    assert answer["failed"]
    assert "has not ended within 90 seconds: it was last seen RUNNING" in answer["msg"]
    assert site.slept < 100


def test_a_lost_answer(site):
    site.create()
    site.google.fault("drop-after", method=DELETE)
    assert absent(site)["changed"]
    assert site.cluster() is None


def test_google_is_not_well(site):
    site.create()
    site.google.fault("unavailable", method=DELETE, count=3)
    site.google.fault("rate-limit", method="clusters.get", retry_after=5)
    assert absent(site)["changed"]
    assert site.cluster() is None


def test_a_token_that_is_over(site):
    site.create()
    site.google.fault("token-expired", method="operations.get")
    assert absent(site)["changed"]


class Late(World):
    """Shows changes only after a while: no operations at first, and the earlier cluster."""

    hidden = 0
    stale = 0
    ghost = 0
    was = None

    def call(self, call):
        answer = super().call(call)
        if call.method_id.endswith(".operations.list") and self.hidden:
            self.hidden -= 1
            return Answer(200, {"operations": []})
        if call.method_id.endswith(".clusters.get"):
            if answer.status == 200 and not self.was:
                self.was = answer
            elif answer.status == 404 and self.ghost:
                self.ghost -= 1
                return self.was
            elif self.stale:
                self.stale -= 1
                return self.was
        return answer


@pytest.fixture
def late(tmp_path, capsys, monkeypatch):
    clock = StandingClock()
    with gke_double.running(tmp_path, clock=clock, make_world=Late) as google:
        yield Site(google, capsys, monkeypatch)


def test_another_operation_came_first(late):
    """It began after the module had listed the operations."""
    late.create()
    operation = late.delete()
    late.google.world.hidden = 1
    late.google.world.stale = 2
    answer = absent(late)
    assert answer["changed"]
    assert operation["name"] not in answer["operations"]
    assert [one["status"] for one in late.google.mutations()] == [400, 404]
    assert late.cluster() is None


def test_gone_between_the_look_and_the_request(late):
    late.create()
    late.finish(late.delete())
    late.google.world.ghost = 2
    assert absent(late)["changed"]
    assert [one["status"] for one in late.google.mutations()] == [404]


def test_shown_a_while_longer(late):
    late.create()
    late.google.world.ghost = 3
    assert absent(late)["changed"]
    assert late.google.world.ghost == 0
    assert late.mutations() == [DELETE]


def test_an_end_that_nobody_sees(late):
    late.create()
    late.google.fault("operation-never-ends", method=DELETE)
    late.delete()
    late.google.world.hidden = 1000
    answer = absent(late, timeout=60)
    assert answer["failed"]
    assert answer["msg"] == (
        "Cluster hello-cluster in europe-west1-b is still there after 60 s, though STOPPING: run "
        "the same command again, which goes on waiting."
    )
    assert late.mutations() == []


def test_no_permission(site):
    site.create()
    site.google.fault("permission-denied", method=DELETE)
    answer = absent(site)
    assert answer["failed"]
    assert "container.clusters.delete" in answer["msg"]
    assert site.cluster()


@pytest.fixture
def quick(tmp_path, capsys, monkeypatch):
    seconds = {"create_cluster_seconds": 0.05, "create_pool_seconds": 0.05, "delete_seconds": 0.05}
    with gke_double.running(tmp_path, **seconds) as google, gke_examples.left_connections():
        yield Site(google, capsys, monkeypatch)


def test_google_clouds_module_deletes_it(quick):
    quick.create()
    answer = absent(quick, google_cloud=True)
    assert answer["changed"]
    assert quick.cluster() is None
    # If the module itself sent the request, its operation would be listed here.
    assert answer["operations"] == []
    assert quick.mutations() == [DELETE]
    assert not absent(quick, google_cloud=True)["changed"]
    assert quick.mutations() == []


# What: the fault of the first deletion, and how many deletions are sent.
STUMBLES = {
    "not well": ("unavailable", 2),
    "no answer": ("drop-after", 1),
    "failed": ("operation-error", 2),
}


@pytest.mark.parametrize(("fault", "sent"), STUMBLES.values(), ids=STUMBLES)
def test_what_google_clouds_module_stumbles_over_is_gone_on_with(quick, fault, sent):
    quick.create()
    quick.google.fault(fault, method=DELETE)
    assert absent(quick, google_cloud=True)["changed"]
    assert quick.cluster() is None
    assert quick.mutations() == [DELETE] * sent


def test_google_clouds_module_has_an_end(quick):
    quick.create()
    quick.google.fault("operation-never-ends", method=DELETE)
    with warnings.catch_warnings():
        # Ending google.cloud's module during a request leaves its connection open.
        warnings.simplefilter("ignore", ResourceWarning)
        answer = absent(quick, google_cloud=True, timeout=6)
        gc.collect()
    assert answer["failed"]
    assert "has not ended within 6 seconds: it was last seen RUNNING" in answer["msg"]
    assert quick.mutations() == [DELETE]
