import pytest
from ansible.module_utils.docker_ml_api.kubernetes import pod_diagnosis
from ansible.module_utils.docker_ml_api.kubernetes.pod_diagnosis import LogSource, Patience

from support import api_objects as live
from support.api_objects import RUNNING, container, ended, event, pod, waiting

PULL = (
    'rpc error: code = NotFound desc = failed to pull and unpack image "registry.test/web:v1": '
    "failed to resolve reference: registry.test/web:v1: {}"
)
PLAIN = PULL.partition("desc = ")[2]


def pulling(cause, *, backing_off=False):
    text = PULL.format(cause)
    if backing_off:
        text = f'Back-off pulling image "registry.test/web:v1": ErrImagePull: {text}'
    return pod("web-1", waiting("ImagePullBackOff" if backing_off else "ErrImagePull", text))


def failed_pulls(count, message='Failed to pull image "registry.test/web:v1": dial tcp: boom'):
    return [event("Failed", message, count=count)]


def crashing(last, restarts=1, **further):
    return pod(
        "web-1",
        waiting("CrashLoopBackOff", "back-off 10s", restarts=restarts, last=last),
        phase="Running",
        **further,
    )


def unschedulable(**further):
    told = (
        "PodScheduled",
        "False",
        "Unschedulable",
        "0/1 nodes are available: 1 Insufficient cpu.",
    )
    return pod("web-1", phase="Pending", conditions=[told], **further)


def started_containers(status="True"):
    return [("PodReadyToStartContainers", status)]


RUNS = container(started=True, **RUNNING)
STARTS = container(started=False, restarts=1, **RUNNING)
LIMITED = {"containers": [{"name": "web", "resources": {"limits": {"memory": "64Mi"}}}]}
PATIENT = Patience()
STRICT = Patience(unschedulable=7, readiness=30)

# What: a pod, its events, the patience; cause, grace and parts of the text.
TROUBLES = {
    "image: no valid name": (
        pod("web-1", waiting("InvalidImageName", "couldn't parse image name")),
        [], PATIENT, "image", 0, ["web:v1 (InvalidImageName: couldn't parse image name): correct"],
    ),
    "image: never pulled": (
        pod("web-1", waiting("ErrImageNeverPull", "is not present with pull policy of Never")),
        [], PATIENT, "image", 0, ["cannot use the image registry.test/web:v1 (ErrImageNeverPull"],
    ),
    "image: not found": (
        pulling("not found"), [], PATIENT, "image", 0,
        ["pod web-1 cannot pull the image registry.test/web:v1 (ErrImagePull: failed to pull",
         "the registry does not have it: push it"],
    ),
    "image: not found, backing off": (
        pulling("manifest unknown", backing_off=True), [], PATIENT, "image", 0,
        ["does not have it"],
    ),
    "image: the message is in an event": (
        pod("web-1", waiting("ImagePullBackOff", 'Back-off pulling image "registry.test/web:v1"')),
        failed_pulls(1, 'Failed to pull image "registry.test/web:v1": not found'),
        PATIENT, "image", 0, ["does not have it"],
    ),
    "image: login refused": (
        pulling("failed to fetch anonymous token: unexpected status from GET request to "
                "https://registry.test/token: 401 Unauthorized"),
        [], PATIENT, "image", 0, ["refuses the login: check IMAGE_REGISTRY_USERNAME and"],
    ),
    "image: the nodes of GKE are refused": (
        pulling("failed to authorize: failed to fetch oauth token: unexpected status from GET "
                "request to https://europe-docker.pkg.dev/v2/token?scope=x: 403 Forbidden"),
        [], PATIENT, "image", 0, ["grant their service account roles/artifactregistry.reader"],
    ),
    "image: denied, or not there": (
        pulling("pull access denied, repository does not exist or may require authorization: "
                "server message: insufficient_scope: authorization failed"),
        [], PATIENT, "image", 0, ["IMAGE_REGISTRY_PASSWORD"],
    ),
    "image: the pull secret cannot be read yet": (
        pulling("no basic auth credentials"),
        [event("FailedToRetrieveImagePullSecret", "Unable to retrieve some pull secrets (x)"),
         *failed_pulls(1)],
        PATIENT, "image", 45, ["; Unable to retrieve some pull secrets (x)): the registry"],
    ),
    "image: the pull secret is missing": (
        pulling("no basic auth credentials"),
        [event("FailedToRetrieveImagePullSecret", "Unable to retrieve some pull secrets (x)"),
         *failed_pulls(2, 'Failed to pull image "x": no basic auth credentials')],
        PATIENT, "image", 0, ["; Unable to retrieve some pull secrets (x)): the registry"],
    ),
    # The second attempt had the secret; the container's message is still that of the first.
    "image: the pull secret was read at last": (
        pulling("401 Unauthorized"),
        [event("FailedToRetrieveImagePullSecret", "Unable to retrieve some pull secrets (x)"),
         *failed_pulls(1, 'Failed to pull image "x": 401 Unauthorized'),
         *failed_pulls(1, 'Failed to pull image "x": not found')],
        PATIENT, "image", 45, ["; Unable to retrieve some pull secrets (x)): the registry"],
    ),
    "image: no such host": (
        pulling("dial tcp: lookup registry.test on 10.0.0.1:53: no such host"),
        [], PATIENT, "image", 0, ["do not know the registry's host name"],
    ),
    "image: platform": (
        pulling("no match for platform in manifest: not found"),
        [], PATIENT, "image", 0, ["is not built for the nodes' architecture"],
    ),
    "image: certificate": (
        pulling("tls: failed to verify certificate: x509: unknown authority"),
        [], PATIENT, "image", 0, ["do not trust the registry"],
    ),
    "image: network, first attempt": (
        pulling("dial tcp 10.0.0.9:443: i/o timeout"), failed_pulls(1),
        PATIENT, "image", 45, ["do not reach the registry, after 1 attempts"],
    ),
    "image: network, no events": (
        pulling("dial tcp 10.0.0.9:443: connect: connection refused"), [],
        PATIENT, "image", 45, ["do not reach the registry"],
    ),
    "image: network, third attempt": (
        pulling("dial tcp 10.0.0.9:443: i/o timeout"),
        [*failed_pulls(2), *failed_pulls(1, "(combined) Failed to pull image: other")],
        PATIENT, "image", 0, ["after 3 attempts"],
    ),
    "image: a login over a broken network": (
        pulling("failed to authorize: failed to fetch oauth token: 503 Service Unavailable"),
        [], PATIENT, "image", 45, ["do not reach"],
    ),
    "image: another pod's or container's attempts": (
        pulling("dial tcp 10.0.0.9:443: i/o timeout"),
        [event("Failed", "Failed to pull image", uid="web-0", count=9),
         event("Failed", "Failed to pull image", container="other", count=9)],
        PATIENT, "image", 45, ["after 1 attempts"],
    ),
    "image: unknown, first attempt": (
        pulling("boom"), failed_pulls(1), PATIENT, "image", 45, ["or the way to it fails"],
    ),
    "image: unknown, second attempt": (
        pulling("boom"), failed_pulls(2), PATIENT, "image", 0, ["or the way to it fails"],
    ),
    "configuration: missing secret": (
        pod("web-1", waiting("CreateContainerConfigError", 'secret "login" not found')),
        [], PATIENT, "configuration", 0,
        ['cannot start its container web (CreateContainerConfigError: secret "login" not found)',
         "create or correct what it names"],
    ),
    "configuration: may heal": (
        pod("web-1", waiting("CreateContainerConfigError", "failed to sync secret cache")),
        [], PATIENT, "configuration", 20, ["sync secret cache"],
    ),
    "start: no such program": (
        pod("web-1", waiting("RunContainerError", 'exec: "x": executable file not found in $PATH')),
        [], PATIENT, "start", 0, ["executable file not found", "correct the image or the app"],
    ),
    "start: may heal": (
        pod("web-1", waiting("CreateContainerError", "context deadline exceeded")),
        [], PATIENT, "start", 20, ["CreateContainerError"],
    ),
    "start: no such program, backing off": (
        crashing(ended("StartError", 128, message="executable file not found")),
        [], PATIENT, "start", 0,
        ["pod web-1 cannot start its container web (StartError, exit code 128, 1 restarts: exec"],
    ),
    "crash": (
        crashing(ended(code=3), restarts=2), [], PATIENT, "crash", 0,
        ["has a container web that crashes again and again (Error, exit code 3, 2 restarts)"],
    ),
    "crash: killed": (
        crashing(ended(code=137)), [], PATIENT, "crash", 0, ["exit code 137, 1 restarts, killed)"],
    ),
    "crash: ends well": (
        crashing(ended("Completed", 0)), [], PATIENT, "crash", 0, ["must stay in the foreground"],
    ),
    "crash: runs for the third time": (
        pod("web-1", container(restarts=2, last=ended(), **RUNNING), phase="Running"),
        [], PATIENT, "crash", 0, ["crashes again and again"],
    ),
    "crash: an init container": (
        pod("web-1", status={"initContainerStatuses": [
            container("init", restarts=2, terminated=ended())]}),
        [], PATIENT, "crash", 0, ["container init that crashes"],
    ),
    "memory": (
        crashing(ended("OOMKilled", 137), spec=LIMITED), [], PATIENT, "memory", 0,
        ["needs more memory than the limit of 64Mi of its container web (OOMKilled, exit code 137",
         "raise the limit"],
    ),
    "memory: no limit of its own": (
        crashing(ended("OOMKilled", 137)), [], PATIENT, "memory", 0, ["than the limit of its"],
    ),
    "memory: killed within a limit": (
        crashing(ended(code=137), spec=LIMITED), [], PATIENT, "memory", 0,
        ["probably needs more memory than the limit of 64Mi of its container web (Error",
         "exit code 137, 1 restarts, killed): raise the limit"],
    ),
    "room": (
        unschedulable(), [], STRICT, "room", 7,
        ["finds no room on the cluster (0/1 nodes are available: 1 Insufficient cpu): add nodes"],
    ),
    "room: the autoscaler cannot help": (
        unschedulable(),
        [event("TriggeredScaleUp", at="2026-01-02T03:00:00Z"),
         event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")],
        PATIENT, "room", 0, ["Insufficient cpu; pod didn't trigger scale-up: 1 max node"],
    ),
    "volume: missing": (
        pod("web-1"),
        [event("FailedMount", 'MountVolume.SetUp failed for volume "x" : secret "x" not found'),
         event("Scheduled")],
        PATIENT, "volume", 20, ["cannot mount a volume (FailedMount: MountVolume", '"x" not found'],
    ),
    "volume: may heal": (
        pod("web-1", conditions=started_containers("False")),
        [event("FailedAttachVolume", "Multi-Attach error")],
        PATIENT, "volume", 60, ["Multi-Attach error"],
    ),
    "sandbox": (
        pod("web-1"), [event("FailedCreatePodSandBox", "no IP addresses")],
        PATIENT, "sandbox", 60, ["cannot be set up by its node node-1", "no IP addresses"],
    ),
    "probe: startup": (
        pod("web-1", STARTS, phase="Running"),
        [event("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503"),
         event("Killing", "Container web failed startup probe, will be restarted")],
        PATIENT, "probe", 0,
        ["does not pass the startup probe of its container web (Startup probe failed: HTTP probe",
         "failed with statuscode: 503): correct the app"],
    ),
    "probe: startup, backing off": (
        crashing(ended(code=137)),
        [event("Killing", "Container web failed startup probe, will be restarted")],
        PATIENT, "probe", 0, ["startup probe of its container", "(the startup probe has not"],
    ),
    "probe: liveness": (
        pod("web-1", RUNS, phase="Running"),
        [event("Killing", "Container web failed liveness probe, will be restarted")],
        PATIENT, "probe", 20, ["liveness probe"],
    ),
    "probe: readiness": (
        pod("web-1", RUNS, phase="Running"),
        [event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
         event("Unhealthy", "Liveness probe failed: other")],
        STRICT, "probe", 30, ["readiness probe of its container web (Readiness probe failed: HTTP"],
    ),
    "probe: not started": (
        pod("web-1", container(started=False, **RUNNING), phase="Running"),
        [], STRICT, "probe", 30, ["does not pass the startup probe"],
    ),
    "node": (
        pod("web-1", container(ready=True, **RUNNING), phase="Running"),
        [], PATIENT, "node", 20, ["is on the node node-1, which does not report any more"],
    ),
    "eviction": (
        pod("web-1", phase="Failed", status={"reason": "Evicted", "message": "low on memory. "}),
        [], PATIENT, "eviction", 20,
        ["was ended by the cluster (Evicted: low on memory): 'kubectl describe node node-1'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TROUBLES.values(), ids=TROUBLES)
def test_trouble(case):
    sick, events, patience, cause, grace, parts = case
    (found,) = pod_diagnosis.diagnose(sick, events, patience)
    assert (found.cause, found.subject, found.grace) == (cause, "web-1", grace)
    assert found.text.startswith("pod web-1 ")
    assert not found.text.endswith(".")
    for part in parts:
        assert part in found.text


# What: a pod, its events and the patience.
NO_TROUBLES = {
    "ready": (pod("web-1", ready=True), [], STRICT),
    "ready, after a bad start": (
        pod("web-1", container(ready=True, restarts=5, last=ended(), **RUNNING), ready=True),
        [event("Killing", "Container web failed startup probe, will be restarted")],
        STRICT,
    ),
    "on its way out": (
        pod("web-1", waiting("CrashLoopBackOff", last=ended()), deletionTimestamp=live.NOW),
        [],
        PATIENT,
    ),
    "being created": (pod("web-1"), [event("Pulling")], PATIENT),
    "not looked at yet": (pod("web-1", conditions=[("PodScheduled", "False")]), [], PATIENT),
    "held back on purpose": (
        pod("web-1", conditions=[("PodScheduled", "False", "SchedulingGated")]), [], PATIENT
    ),
    "a node is being added": (
        unschedulable(),
        [
            event("NotTriggerScaleUp", at="2026-01-02T03:00:00Z"),
            event("TriggeredScaleUp", "pod triggered scale-up: pool 1->2"),
        ],
        PATIENT,
    ),
    "room is being made": (unschedulable(status={"nominatedNodeName": "node-1"}), [], PATIENT),
    "mounted at last, pulling": (
        pod("web-1"),
        [
            event("FailedMount", "timed out", at="2026-01-02T03:00:00Z"),
            event("Pulling", 'Pulling image "registry.test/web:v1"'),
        ],
        PATIENT,
    ),
    "mounted at last": (
        pod("web-1", conditions=started_containers()),
        [event("FailedMount", 'secret "x" not found')],
        PATIENT,
    ),
    "crashed once": (
        pod("web-1", container(restarts=1, last=ended(), **RUNNING), phase="Running"), [], PATIENT
    ),
    "crashed after long runs": (
        pod("web-1", container(restarts=9, last=ended(seconds=900), **RUNNING), phase="Running"),
        [],
        PATIENT,
    ),
    "its startup failed once, now it has started": (
        pod("web-1", RUNS, phase="Running"),
        [event("Killing", "Container web failed startup probe, will be restarted")],
        PATIENT,
    ),
    "the kubelet ends it for another reason": (
        pod("web-1", STARTS, phase="Running"), [event("Killing", "Stopping container web")], PATIENT
    ),
    "waits for a readiness gate": (
        pod(
            "web-1",
            container(ready=True, **RUNNING),
            phase="Running",
            spec={"readinessGates": [{"conditionType": "load-balancer"}]},
        ),
        [],
        PATIENT,
    ),
    "only just created": (pod("web-1", status={"containerStatuses": None}), [], STRICT),
}  # fmt: skip


@pytest.mark.parametrize(("well", "events", "patience"), NO_TROUBLES.values(), ids=NO_TROUBLES)
def test_no_trouble(well, events, patience):
    assert pod_diagnosis.diagnose(well, events, patience) == []


# What: a pod, its events and whose log tells more.
LOGS = {
    "crash": (crashing(ended()), [], LogSource("web-1", "web", previous=True)),
    "startup probe": (
        pod("web-1", STARTS, phase="Running"),
        [event("Killing", "Container web failed startup probe, will be restarted")],
        LogSource("web-1", "web", previous=True),
    ),
    "readiness probe": (
        pod("web-1", RUNS, phase="Running"), [], LogSource("web-1", "web", previous=False)
    ),
    "image": (pulling("not found"), [], None),
}  # fmt: skip


@pytest.mark.parametrize(("sick", "events", "log"), LOGS.values(), ids=LOGS)
def test_log(sick, events, log):
    assert pod_diagnosis.diagnose(sick, events, STRICT)[0].log == log


def test_the_worst_first():
    sick = pod(
        "web-1",
        waiting("ImagePullBackOff", "boom"),
        conditions=[("PodScheduled", "False", "Unschedulable", "full")],
    )
    found = pod_diagnosis.diagnose(sick, [], PATIENT)
    assert [trouble.cause for trouble in found] == ["room", "image"]


# What: a pod, its events and its description.
DESCRIPTIONS = {
    "being created": (pod("web-1"), [], "ContainerCreating"),
    "pulling": (pulling("boom"), [], f"ErrImagePull: {PLAIN.format('boom')}"),
    "unschedulable": (
        unschedulable(), [], "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"
    ),
    "not ready": (
        pod("web-1", RUNS, phase="Running"),
        [event("Unhealthy", "Readiness probe failed: 503")],
        "running, not ready: Readiness probe failed: 503",
    ),
    "not ready, no event": (pod("web-1", RUNS, phase="Running"), [], "running, not ready yet"),
    "ended": (
        pod("web-1", container(terminated=ended(code=3)), phase="Running"),
        [],
        "Error, exit code 3",
    ),
    "initializing": (
        pod(
            "web-1",
            waiting("PodInitializing"),
            status={"initContainerStatuses": [container("init", ready=True, terminated=ended())]},
        ),
        [],
        "Pending",
    ),
    "unknown": (pod("web-1", status={"containerStatuses": None, "phase": None}), [], "Pending"),
}  # fmt: skip


@pytest.mark.parametrize(("waits", "events", "words"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_describe(waits, events, words):
    assert pod_diagnosis.describe(waits, events) == words


SERIES = {"count": 4, "lastObservedTime": "2026-01-02T03:04:06.000000Z"}
# What: an event, when and how often it was seen.
EVENTS = {
    "of the kubelet": (event("x", count=3), live.NOW, 3),
    "of the scheduler": (
        event("x", count=None, at=None, eventTime="2026-01-02T03:04:05.500000Z"),
        "2026-01-02T03:04:05.500000Z",
        1,
    ),
    "of the scheduler, again": (
        event("x", count=None, at=None, series=SERIES), SERIES["lastObservedTime"], 4
    ),
    "bare": (event("x", count=None, at=None), live.NOW, 1),
}  # fmt: skip


@pytest.mark.parametrize(("told", "seen", "often"), EVENTS.values(), ids=EVENTS)
def test_event(told, seen, often):
    assert pod_diagnosis.moment(told) == pod_diagnosis.moment(event("y", at=seen))
    assert pod_diagnosis.count(told) == often
