import pytest
from ansible.module_utils.docker_ml_api.gke import operations, urls
from ansible.module_utils.docker_ml_api.google import errors
from ansible.module_utils.docker_ml_api.google.errors import GoogleError, LostAnswerError

from support import gke_examples as examples

LINK = "https://container.googleapis.com/v1/projects/7/zones/europe-west1-b/clusters/"


@pytest.mark.parametrize(
    ("link", "name", "about"),
    [
        ("hello", "hello", True),
        ("hello/nodePools/main", "hello", True),
        ("hello-2", "hello", False),
        ("hello", "hello-2", False),
        ("hxllo", "h.llo", False),
    ],
)
def test_of_cluster(link, name, about):
    assert operations.of_cluster({"targetLink": LINK + link}, name) is about
    assert not operations.of_cluster({}, name)


BUSY = {
    "incompatible": (400, "Cluster is running incompatible operation operation-1.", "X", True),
    "by its reason": (400, "No.", "CLUSTER_ALREADY_HAS_OPERATION", True),
    "upgrading": (
        400,
        "Operation op-1 is currently upgrading cluster c. Please try again once it is done.",
        "X",
        True,
    ),
    "conflict": (409, "An operation op-1 is in progress.", "ABORTED", True),
    "bad request": (400, "Bad node count.", "INVALID_ARGUMENT", False),
    "exists": (409, "Already exists.", "ALREADY_EXISTS", False),
    "unwell": (503, "incompatible operation", "X", False),
}


@pytest.mark.parametrize(("status", "message", "reason", "busy"), BUSY.values(), ids=BUSY)
def test_is_busy(status, message, reason, busy):
    assert operations.is_busy(GoogleError(status, reason, message)) is busy


def operation(**values):
    return {
        "name": "operation-1",
        "operationType": "CREATE_NODE_POOL",
        "targetLink": f"{LINK}hello/nodePools/main",
        "status": "DONE",
        **values,
    }


FAILURES = {
    "good": (operation(), None),
    "going on": (operation(status="RUNNING", statusMessage="Not yet."), None),
    "error": (operation(error={"code": 13, "message": "Internal."}), "Google said: Internal."),
    "message": (operation(statusMessage="Old style."), "Google said: Old style."),
    "quota": (
        operation(error={"code": 8, "message": "Quota 'CPUS' exceeded. Limit: 8.0."}),
        "Limit: 8.0. Then: ask for more quota",
    ),
    "no machines": (
        operation(statusMessage="[GCE_STOCKOUT]: none left"),
        "Then: set another location (gcp_location) or machine_type",
    ),
}


@pytest.mark.parametrize(("ended", "part"), FAILURES.values(), ids=FAILURES)
def test_failure(ended, part):
    error = operations.failure(ended, "p")
    if part is None:
        assert error is None
        return
    assert part in str(error)
    assert str(error).startswith(
        "The operation CREATE_NODE_POOL of cluster hello, node pool main (operation-1) ended"
    )


def test_deadline(google, session):
    before = google.clock.now()
    deadline = operations.Deadline(session, 20)
    pauses = []
    while True:
        at = google.clock.now()
        if not deadline.pause():
            break
        pauses.append(round(google.clock.now() - at, 2))
    assert pauses[:3] == [0.5, 0.75, 1.12]
    assert max(pauses) == 5.0
    assert google.clock.now() - before == pytest.approx(20)
    deadline.restart()
    assert not deadline.pause()


def test_operations_of_one_cluster(google, session):
    examples.make(session, examples.wanted())
    examples.make(session, examples.wanted(name="other"))
    place = examples.LOCATION, examples.NAME
    assert [one["operationType"] for one in operations.known(session, *place)] == ["CREATE_CLUSTER"]
    assert operations.running(session, *place) == []
    url = urls.pool(session.project, *place, "main")
    session.request("DELETE", url)
    assert [one["operationType"] for one in operations.running(session, *place)] == [
        "DELETE_NODE_POOL"
    ]
    operations.wait_for_all(session, *place, operations.Deadline(session, 60))
    assert operations.running(session, *place) == []
    assert len(google.mutations()) == 3


def test_waiting_for_all_has_an_end(google, session):
    examples.make(session, examples.wanted())
    google.fault("operation-never-ends", method="delete")
    place = examples.LOCATION, examples.NAME
    session.request("DELETE", urls.pool(session.project, *place, "main"))
    with pytest.raises(GoogleError) as raised:
        operations.wait_for_all(session, *place, operations.Deadline(session, 60))
    assert raised.value.reason == errors.TIMEOUT


def test_a_detail_is_told(session):
    going = operation(status="PENDING", detail="3 of 5 nodes")
    with pytest.raises(GoogleError) as raised:
        operations.wait(session, examples.LOCATION, going, operations.Deadline(session, 0))
    assert "it was last seen PENDING (3 of 5 nodes)" in str(raised.value)


def test_start_gives_up(session):
    """Google reports that the cluster is busy, but lists no operation."""

    def send():
        raise GoogleError(400, "X", "Cluster is running incompatible operation operation-1.")

    deadline = operations.Deadline(session, 30)
    with pytest.raises(GoogleError) as raised:
        operations.start(session, examples.LOCATION, examples.NAME, send, deadline)
    assert "has been busy for 30 seconds; Google said last: Cluster is" in str(raised.value)


@pytest.mark.parametrize("error", [LostAnswerError(0, "X", "Lost."), GoogleError(400, "X", "Bad.")])
def test_start_fails(session, error):
    def send():
        raise error

    deadline = operations.Deadline(session, 30)
    with pytest.raises(GoogleError) as raised:
        operations.start(session, examples.LOCATION, examples.NAME, send, deadline)
    assert raised.value is error
