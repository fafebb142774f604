import json

import pytest
from ansible.module_utils.docker_ml_api.kubernetes import manifests, releases
from ansible.module_utils.docker_ml_api.kubernetes.releases import DamagedRecordError

from support import workload_examples

LABELS = {"app.kubernetes.io/managed-by": "docker-ml-api"}


def workload(configuration, **keys):
    return {
        "name": "web",
        "namespace": "n",
        "configuration": configuration,
        "image": f"image-{configuration}",
        "objects": [{"kind": "Service"}],
        **keys,
    }


def config_map(number, configuration, name="web", **data):
    """A record as the API returns it."""
    made = releases.record(workload(configuration, name=name), number, LABELS)
    made["metadata"] |= {"uid": f"u{number}", "creationTimestamp": "2026-11-22T19:00:00Z"}
    made["data"] |= data
    return made


def records(*configurations):
    """The records of releases 1, 2, …, the newest first."""
    found = [config_map(number, text) for number, text in enumerate(configurations, 1)]
    return releases.of_workloads(found).get("web", [])


def test_a_record():
    assert releases.record(workload("c"), 7, LABELS) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "web-release-7",
            "namespace": "n",
            "labels": {
                "app.kubernetes.io/managed-by": "docker-ml-api",
                "app.kubernetes.io/instance": "web",
                "docker-ml-api/release": "7",
            },
        },
        "immutable": True,
        "data": {"configuration": "c", "image": "image-c", "objects": '[{"kind":"Service"}]'},
    }


def test_the_selectors():
    labels = {"b": "2", "a": "1"}
    assert releases.selector(labels) == "a=1,b=2,docker-ml-api/release"
    assert releases.selector(labels, records=False) == "a=1,b=2"


CHECKS = [{"path": "/", "expected_text": "hello"}]


@pytest.mark.parametrize(("checks", "kept"), [(CHECKS, CHECKS), ([], []), (None, [])])
def test_what_a_release_was_asked(checks, kept):
    made = releases.record(workload("c", checks=checks), 1, LABELS)
    assert ("checks" in made["data"]) == bool(kept)
    (found,) = releases.of_workloads([made])["web"]
    assert found.checks() == kept


def controlled(number, running, kind="Deployment"):
    """A record of a release whose controller has this hash."""
    service = {"kind": "Service", "metadata": {"annotations": {ANNOTATION: "of the service"}}}
    controller = {"kind": kind, "metadata": {"annotations": {ANNOTATION: running}}}
    return config_map(number, f"c{number}", objects=json.dumps([service, controller]))


ANNOTATION = manifests.CONFIGURATION_ANNOTATION
TWO = [controlled(1, "one"), controlled(2, "two", "ReplicationController")]


@pytest.mark.parametrize(
    ("recorded", "running", "target"),
    [
        (TWO, "two", 1),
        # A rollback that was stopped half-way.
        (TWO, "one", 1),
        # Never found good.
        (TWO, "three", 2),
        (TWO[:1], "three", 1),
        (TWO[:1], "one", None),
        ([], "one", None),
        # Nothing runs.
        (TWO, "", 1),
        # The release of a damaged record may be the one that runs.
        ([TWO[0], config_map(2, "b", objects="{")], "three", 1),
        ([TWO[0], config_map(2, "b")], "three", 1),
    ],
)
def test_targets_by_what_runs(recorded, running, target):
    known = releases.of_workloads(recorded).get("web", [])
    found = releases.target(known, running=running)
    assert (found and found.number) == target


def test_the_hash_of_an_object_without_one():
    assert releases.configuration({}) == ""
    assert releases.configuration({"metadata": {"annotations": None}}) == ""


def test_reading_records():
    found = releases.of_workloads(
        [
            config_map(2, "b"),
            config_map(10, "c"),
            config_map(1, "a", name="other"),
            {"metadata": {"name": "x", "labels": {"docker-ml-api/release": "first"}}},
            {"metadata": {"name": "y"}},
        ]
    )
    assert {name: [one.number for one in them] for name, them in found.items()} == {
        "web": [10, 2],
        "other": [1],
    }
    assert found["web"][0].summary() == {
        "release": 10,
        "image": "image-c",
        "configuration": "c",
        "created": "2026-11-22T19:00:00Z",
    }
    assert found["web"][0].objects() == [{"kind": "Service"}]


def test_a_record_without_data():
    found = {"metadata": {"name": "x", "labels": {"docker-ml-api/release": "1"}}}
    (record,) = releases.of_workloads([found])[""]
    with pytest.raises(DamagedRecordError, match="its ConfigMap x holds no list of objects"):
        record.objects()


@pytest.mark.parametrize(
    ("recorded", "configuration", "limit", "created", "deleted", "release", "previous"),
    [
        ("", "a", 10, 1, [], 1, None),
        ("a", "a", 10, None, [], 1, None),
        ("a", "b", 10, 2, [], 2, 1),
        ("ab", "b", 10, None, [], 2, 1),
        # An older configuration again: a new number, and the old record is deleted.
        ("ab", "a", 10, 3, [1], 3, 2),
        ("abc", "b", 10, 4, [2], 4, 3),
        # The limit includes the newest.
        ("abc", "d", 3, 4, [1], 4, 3),
        ("abc", "d", 1, 4, [3, 2, 1], 4, None),
        ("abc", "c", 2, None, [1], 3, 2),
        # Stopped between the creation and the deletion.
        ("aba", "a", 10, None, [1], 3, 2),
        ("abab", "b", 10, None, [2, 1], 4, 3),
    ],
)
def test_plans(*, recorded, configuration, limit, created, deleted, release, previous):
    plan = releases.plan(workload(configuration), records(*recorded), LABELS, limit)
    number = plan.create and int(plan.create["metadata"]["labels"]["docker-ml-api/release"])
    assert number == created
    assert [one.number for one in plan.delete] == deleted
    assert (plan.release, plan.previous) == (release, previous)


@pytest.mark.parametrize(("taken", "number"), [([2], 3), ([1], 2), ([7, 5], 8)])
def test_numbers_that_something_else_has(taken, number):
    plan = releases.plan(workload("b"), records("a"), LABELS, 10, taken)
    assert plan.create["metadata"]["name"] == f"web-release-{number}"


@pytest.mark.parametrize(
    ("recorded", "failed", "target"),
    [
        # Manual rollback.
        ("", "", None),
        ("a", "", None),
        ("ab", "", 1),
        ("abc", "", 2),
        # Automatic rollback.
        ("", "x", None),
        ("ab", "x", 2),
        ("ab", "b", None),
        ("ab", "a", 2),
    ],
)
def test_targets(recorded, failed, target):
    found = releases.target(records(*recorded), failed)
    assert (found and found.number) == target


@pytest.mark.parametrize(
    ("recorded", "failed", "words"),
    [
        ("", "", "no release of it was good so far, so there is none to go back to"),
        ("", "x", "no release of it was good so far"),
        ("a", "", "it has no earlier release to go back to"),
        ("ab", "b", "what fails is release 2, which was good when it was recorded"),
    ],
)
def test_why_there_is_no_target(recorded, failed, words):
    assert releases.why_no_target(records(*recorded), failed).startswith(words)


EXAMPLES = [
    {},
    {"kind": "ReplicationController", "expose": "NodePort"},
    {"service_name": "web-http", "service_port": 80, "expose": "ClusterIP", "replicas": 5},
    workload_examples.EVERYTHING,
]


@pytest.mark.parametrize("options", EXAMPLES)
def test_a_release_is_the_workload_that_it_was(options):
    """All of its keys are restored."""
    parameters = workload_examples.parameters(workload_examples.workload(**options))
    (rendered,), _ = manifests.render(parameters)
    made = releases.record(rendered, 3, LABELS)
    (release,) = releases.of_workloads([made])[rendered["name"]]
    shape = releases.shape(rendered["name"], rendered["namespace"], release)
    assert shape.pop("release") == 3
    assert shape == {key: rendered[key] for key in shape}
    assert set(rendered) - set(shape) <= {"yaml"}


SERVICE = {"kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "holds no list of objects"),
        ('{"a": 1}', "holds no list of objects"),
        ("[1]", "holds no list of objects"),
        ("[]", "holds no Deployment or ReplicationController"),
        (json.dumps([SERVICE]), "holds no Deployment or ReplicationController"),
        ('[{"kind": "Deployment"}]', "holds no Service"),
        (json.dumps([SERVICE, {"kind": "Deployment"}]), "lacks a field of its Deployment"),
    ],
)
def test_damaged_records(content, words):
    (release,) = releases.of_workloads([config_map(1, "a", objects=content)])["web"]
    with pytest.raises(DamagedRecordError, match=f"its ConfigMap web-release-1 {words}"):
        releases.shape("web", "n", release)


def test_damaged_checks():
    (rendered,), _ = manifests.render(workload_examples.parameters())
    made = releases.record(rendered, 1, LABELS)
    made["data"]["checks"] = "{"
    (release,) = releases.of_workloads([made])["web"]
    with pytest.raises(DamagedRecordError, match="its ConfigMap web-release-1 holds no list of ch"):
        releases.shape("web", "n", release)
