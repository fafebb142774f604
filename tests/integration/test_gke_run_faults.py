"""Faults during a run on GKE: the messages that the user reads, and what the next run does.

Google is the double, and the clusters' API server answers like that of an empty cluster;
everything else is what users run. Messages are compared in full.
"""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING

import pytest

from support import gke_play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.gke_play import Play

READY = {"europe-west1-b/one": "RUNNING", "one/main": "RUNNING"}
CREATION = [
    "create one",
    "nodePools.delete one/default-pool",
    "update one",
    "nodePools.create one/main",
]
PROJECT = "docker-ml-api-rehearsal"


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """One cluster, not created yet."""
    with gke_play.playing(tmp_path, "one") as made:
        yield made


@pytest.fixture
def plays(tmp_path: Path) -> Iterator[Play]:
    """Two clusters, not created yet."""
    with gke_play.playing(tmp_path, "one", "two") as made:
        yield made


def read(play: Play, *arguments: str, **environment: str) -> str:
    """Expect a run to fail; return what the user reads, with operation names replaced."""
    said = play.fail(*arguments, **environment)
    # A problem of all clusters is reported for each.
    said = "\n".join(dict.fromkeys(said.splitlines()))
    return re.sub(r"operation-\d[\w-]+", "operation-N", said)


def answered(play: Play) -> list[tuple[str, int]]:
    """Return the mutating requests to Google, with the responses' status (0: no response)."""
    found = play.google.mutations()
    return [(one["method_id"].rpartition("clusters.")[2], one["status"]) for one in found]


def test_what_passes_is_waited_for(play: Play) -> None:
    """Responses 429 and 503, an expired token, a default pool that cannot be deleted yet."""
    fault = play.google.fault
    fault("unavailable", method="clusters.create$", count=None, lasting=3)
    fault("rate-limit", method="nodePools.create$", count=2, retry_after=1)
    fault("unavailable", method="clusters.update$", count=2)
    fault("unavailable", method="clusters.get$", after=3)
    fault("token-expired", method="operations.get$")
    fault("token-expired", method="operations.get$", after=3)
    play.direct("intervene", method="nodePools.delete$", pool="default-pool")

    run = play.succeed()

    assert len(run.changed) == 4
    log = answered(play)
    assert [call for call in log if call[1] == 200] == [
        ("create", 200),
        ("nodePools.delete", 200),
        ("update", 200),
        ("nodePools.create", 200),
    ]
    refused = {call for call in log if call[1] != 200}
    assert refused == {
        ("create", 503),
        ("nodePools.delete", 400),
        ("update", 503),
        ("nodePools.create", 429),
    }
    assert sum(one["fault"] == "token-expired" for one in play.google.requests()) == 2
    assert play.state() == READY
    play.google.clear_faults()
    play.settled()


def test_a_lost_answer_makes_no_second_cluster(play: Play) -> None:
    fault = play.google.fault
    for method in ("create", "nodePools.delete", "update", "nodePools.create"):
        fault("drop-after", method=f"clusters.{method}$")
    for method in ("clusters.get", "operations.get", "operations.list"):
        fault("drop-before", method=f"{method}$", after=1)

    run = play.succeed()

    # The requests took effect, and are reported as changes of this run.
    assert len(run.changed) == 4
    calls = play.calls()
    assert calls.count("create one") == calls.count("nodePools.create one/main") == 1
    assert list(dict.fromkeys(calls)) == CREATION
    assert play.state() == READY
    play.google.clear_faults()
    play.settled()


def test_refused_before_there_is_anything(plays: Play) -> None:
    play = plays
    play.variables["gcp_project"] = "my-project"
    assert read(play) == (
        "There is no project my-project that this login can see: set gcp_project (GCP_PROJECT) to "
        "the ID of yours, not its name (gcloud projects list shows it). Google said: Permission "
        "denied on resource project my-project."
    )
    assert play.calls() == []
    del play.variables["gcp_project"]

    play.direct("deny", permissions=["container.clusters.create"])
    assert read(play) == (
        f"The login lacks the permission container.clusters.create in project {PROJECT}: let an "
        "administrator of the project grant it (it is in roles/container.admin), or use another "
        'login. Google said: Required "container.clusters.create" permission(s) for '
        f'"projects/{PROJECT}".'
    )
    play.direct("allow")
    assert play.state() == {}

    # Enough for clusters without their node pools.
    play.direct("set", quotas={"CPUS": 5})
    play.variables["gke_nodes"] = 4
    assert read(play) == (
        f"Project {PROJECT} has not enough of what is asked for: ask for more quota (https://"
        f"console.cloud.google.com/iam-admin/quotas?project={PROJECT}), or set fewer nodes "
        "(gke_nodes), a smaller machine_type (gke_machine_type) or another location "
        "(gcp_location). Google said: Insufficient regional quota to satisfy request: resource "
        "\"CPUS\": request requires '8.0' and is short '3.0'. project has a quota of '5.0' with "
        "'5.0' available. View and manage quotas at "
        f"https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={PROJECT}."
    )
    assert play.state() == {"europe-west1-b/one": "RUNNING", "europe-west1-b/two": "RUNNING"}

    play.variables["gke_nodes"] = 1
    run = play.succeed()
    # The clusters are not created again.
    assert sorted(play.calls()) == ["nodePools.create one/main", "nodePools.create two/main"]
    assert len(run.changed) == 2
    play.settled()


def test_a_token_that_cannot_be_renewed(play: Play) -> None:
    play.variables |= {"gcp_auth_kind": "accesstoken", "gcp_service_account_file": ""}
    play.google.fault("token-expired", method="nodePools.create$")

    assert read(play, GCP_ACCESS_TOKEN=play.google.access_token()) == (
        "Google does not accept the login (the access token is wrong or over): with auth_kind "
        "accesstoken give a new one (GCP_ACCESS_TOKEN, from gcloud auth print-access-token), with "
        "application log in anew (gcloud auth application-default login), with serviceaccount "
        "make a new key and name it with service_account_file."
    )

    play.succeed(GCP_ACCESS_TOKEN=play.google.access_token())
    assert play.calls() == ["nodePools.create one/main"]
    assert play.state() == READY


def test_a_name_that_is_taken(plays: Play) -> None:
    """The other cluster is not created either, and a teardown keeps the foreign cluster."""
    play = plays
    by_others(play, "two")

    assert read(play) == (
        "There already is a cluster two in europe-west1-b that is not ours (it lacks the label "
        "managed-by: docker-ml-api): choose another name or location. If it is yours after all, "
        "give it the label (gcloud container clusters update two --location europe-west1-b "
        f"--project {PROJECT} --update-labels managed-by=docker-ml-api)."
    )
    assert play.calls() == []

    assert "Cluster two in europe-west1-b is not deleted" in read(play, "--tags=teardown")
    assert play.calls() == []
    assert "europe-west1-b/two" in play.state()


def by_others(play: Play, name: str) -> None:
    """Create a cluster of this name that is not the project's."""
    google = play.google
    body = f'{{"cluster": {{"name": "{name}", "initialNodeCount": 1}}}}'
    request = urllib.request.Request(  # noqa: S310 - http, to this machine
        f"{google.plain}/container/v1/projects/{google.project}/locations/{gke_play.LOCATION}"
        "/clusters",
        body.encode(),
        {"Authorization": f"Bearer {google.access_token()}", "Content-Type": "application/json"},
    )
    # Without a proxy, even if the environment sets one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=10).close()


def test_creations_that_fail_or_never_end(plays: Play) -> None:
    play = plays
    fault = play.google.fault
    fault("operation-error", method="clusters.create$", message="CPUS quota exceeded.", code=8)
    said = read(play)
    state = play.state()
    [broken] = [name for name in play.names if state[f"europe-west1-b/{name}"] == "ERROR"]
    [other] = set(play.names) - {broken}
    assert said == (
        f"Cluster {broken} could not be created, it is ERROR; Google said: CPUS quota exceeded. "
        "Ask for more quota (https://console.cloud.google.com/iam-admin/quotas?"
        f"project={PROJECT}), or set fewer nodes (gke_nodes), a smaller machine_type "
        "(gke_machine_type) or another location (gcp_location), and run the same command again; "
        "what is broken is made anew."
    )
    # The failure of one does not prevent the creation of the other.
    assert state[f"{other}/main"] == "RUNNING"

    fault("operation-error", method="nodePools.create$", message="No disk could be attached.")
    assert read(play) == (
        f"Node pool main of cluster {broken} could not be created, it is ERROR; Google said: No "
        "disk could be attached. Fix that, and run the same command again; what is broken is "
        "made anew."
    )
    assert play.calls()[:2] == [f"delete {broken}", f"create {broken}"]
    assert play.calls(other) == []

    fault("operation-never-ends", method="nodePools.create$")
    play.variables["gke_cluster_timeout"] = 4
    waited = (
        f"The operation CREATE_NODE_POOL of cluster {broken}, node pool main (operation-N) has not "
        "ended within 4 seconds: it was last seen RUNNING. See gcloud container operations "
        f"describe operation-N --location europe-west1-b --project {PROJECT}; run the same "
        "command again to go on waiting, if need be with more time (gke_cluster_timeout)."
    )
    assert read(play) == f"Node pool main of cluster {broken}: {waited}"
    assert play.calls() == [f"nodePools.delete {broken}/main", f"nodePools.create {broken}/main"]
    assert read(play) == waited
    assert play.calls() == []

    play.end_operation()
    play.settled()
    assert set(play.state().values()) == {"RUNNING"}


def test_changes_and_deletions_that_fail_or_never_end(play: Play) -> None:
    fault = play.google.fault
    play.succeed()
    play.variables |= {"gke_labels": {"team": "a"}, "gke_nodes": 2}
    fault("operation-error", method="setResourceLabels$", message="Labels are not well.")
    assert read(play) == (
        "Cluster one (labels.team: none → a): The operation SET_LABELS of cluster one "
        "(operation-N) ended in an error; Google said: Labels are not well. Fix that and run the "
        "same command again."
    )
    fault("operation-error", method="nodePools.setSize$", message="No IP space is left.")
    assert read(play) == (
        "Node pool main of cluster one (node_pools.main.nodes: 1 → 2): The operation "
        "SET_NODE_POOL_SIZE of cluster one, node pool main (operation-N) ended in an error; "
        "Google said: No IP space is left. Fix that and run the same command again."
    )
    play.succeed()
    assert play.calls() == ["nodePools.setSize one/main"]
    assert play.state() == READY

    fault("operation-never-ends", method="clusters.delete$")
    play.variables["gke_cluster_timeout"] = 4
    assert read(play, "--tags=teardown") == (
        "The operation DELETE_CLUSTER of cluster one (operation-N) has not ended within 4 "
        "seconds: it was last seen RUNNING. See gcloud container operations describe operation-N "
        f"--location europe-west1-b --project {PROJECT}; run the same command again to go on "
        "waiting, if need be with more time (gke_cluster_timeout)."
    )
    play.end_operation(error="The network is in use.")
    fault("operation-error", method="clusters.delete$", message="It is in use.", count=None)
    assert read(play, "--tags=teardown") == (
        "The operation DELETE_CLUSTER of cluster one (operation-N) ended in an error; Google "
        "said: It is in use. Fix that and run the same command again."
    )
    play.google.clear_faults()
    fault("rate-limit", method="clusters.delete$", count=2, retry_after=1)
    fault("drop-after", method="clusters.delete$")
    play.succeed("--tags=teardown")
    assert play.state() == {}
    play.settled("--tags=teardown")


def test_killed(play: Play) -> None:
    """Kill runs while the cluster or the pool is created, and while the cluster is deleted.

    Google's operation continues, and is still running when the next run starts.
    """
    fault = play.google.fault
    for method in ("clusters.create", "nodePools.create", "clusters.delete"):
        fault("operation-never-ends", method=f"{method}$")
    play.kill_when(lambda: play.under_way("CREATE_CLUSTER"))
    assert play.calls() == ["create one"]

    with play.ending_what_is_waited_for():
        play.kill_when(lambda: play.under_way("CREATE_NODE_POOL"))
    assert play.calls() == ["update one", "nodePools.create one/main"]

    with play.ending_what_is_waited_for():
        play.succeed()
    # The only remaining change.
    assert play.calls() == ["nodePools.delete one/default-pool"]
    assert play.state() == READY
    play.settled()

    play.kill_when(lambda: play.under_way("DELETE_CLUSTER"), "--tags=teardown")
    assert play.state()["europe-west1-b/one"] == "STOPPING"
    with play.ending_what_is_waited_for():
        play.succeed()
    # The cluster that was being deleted was not regarded as existing.
    assert play.calls() == CREATION
    assert play.state() == READY
