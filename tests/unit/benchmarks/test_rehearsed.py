import json

import pytest

from benchmarks import rehearsed


def pod(app, *, ready=True, going=False):
    metadata = {"labels": {"app": app}} | ({"deletionTimestamp": "now"} if going else {})
    conditions = [
        {"type": "Ready", "status": str(ready)},
        {"type": "Initialized", "status": "True"},
    ]
    return {"metadata": metadata, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("pods", "settled"),
    [
        pytest.param([pod("a"), pod("a"), pod("b")], True, id="all ready"),
        pytest.param([pod("a"), pod("b")], False, id="one too few"),
        pytest.param([pod("a"), pod("a"), pod("a"), pod("b")], False, id="one too many"),
        pytest.param([pod("a"), pod("a", ready=False), pod("b")], False, id="not ready"),
        pytest.param([pod("a"), pod("a"), pod("a", going=True), pod("b")], False, id="going"),
        pytest.param([pod("a"), pod("a"), pod("b"), pod("c", going=True)], True, id="another's"),
        pytest.param([pod("a"), pod("a"), pod("b"), {"metadata": {}}], True, id="without labels"),
        pytest.param([{"metadata": {"labels": {"app": "a"}}}], False, id="without status"),
        pytest.param([], False, id="none"),
    ],
)
def test_settled(pods, settled):
    assert rehearsed.is_settled(pods, {"a": 2, "b": 1}) is settled


SINCE = "2024-01-01T00:00:02.500000Z"


def event(verb, user="admin", time="2024-01-01T00:00:03.000000Z", **what):
    reference = {"resource": "services", "namespace": "mine", "name": "web"} | what
    return json.dumps(
        {
            "verb": verb,
            "user": {"username": user},
            "objectRef": reference,
            "requestReceivedTimestamp": time,
        }
    )


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (event("patch"), ["patch services mine/web"]),
        (event("delete"), ["delete services mine/web"]),
        (event("create", resource="selfsubjectaccessreviews", namespace="", name=""),
         ["create selfsubjectaccessreviews /"]),
        (event("create", resource="namespaces", namespace="", name="mine"),
         ["create namespaces /mine"]),
        (event("create", resource="namespaces", namespace="", name="another"), []),
        (event("patch", namespace="another"), []),
        (event("get"), []),
        (event("list"), []),
        (event("watch"), []),
        (event("update", user="system:kube-controller-manager"), []),
        (event("patch", time="2024-01-01T00:00:02.000000Z"), []),
        (event("patch")[:40], []),
        ('{"verb": "create"}', ["create ? /"]),
    ],
)  # fmt: skip
def test_users_changes(line, changes):
    assert rehearsed.users_changes([line], "mine", SINCE) == changes


def test_the_audit_log_is_read_with_its_older_parts(tmp_path):
    for name, verb in (("audit-2024-01-01.log", "delete"), ("audit.log", "patch")):
        (tmp_path / name).write_text(event(verb) + "\n", encoding="utf-8")
    (tmp_path / "other.log").write_text(event("create") + "\n", encoding="utf-8")
    cluster = rehearsed.Cluster(tmp_path, "kubectl", "r", "u", "p", tmp_path / "audit.log")
    assert cluster.mutating_requests("mine", SINCE) == [
        "delete services mine/web",
        "patch services mine/web",
    ]
    assert cluster.mutating_requests("mine", rehearsed.now()) == []


def test_a_command_that_fails_says_what_it_said():
    with pytest.raises(rehearsed.Failure, match=r"(?s)failed:\nto out\nto err"):
        rehearsed.run(["sh", "-c", "echo to out; echo to err >&2; exit 3"])


def test_a_command_that_may_fail():
    assert rehearsed.attempt(["sh", "-c", "cat; exit 3"], stdin="word") == rehearsed.Done(
        3, "word", ""
    )
    assert rehearsed.run(["cat"], stdin="word") == "word"


def test_a_command_that_takes_too_long_ends_with_all_that_it_started(tmp_path):
    late = tmp_path / "late"
    with pytest.raises(rehearsed.Failure, match="took more than 0 s"):
        rehearsed.run(["sh", "-c", f"(sleep 2; touch {late}) & wait"], timeout=0.1)
    # A surviving child would have kept the output open until it created the file.
    assert not late.exists()


def test_no_figure_is_no_success(capsys):
    with pytest.raises(SystemExit) as ended:
        rehearsed.cannot_measure("there is no cluster.")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Cannot measure: there is no cluster.\n"


def test_what_a_run_reports():
    duration = {"start": "2024-01-01T00:00:00.250000Z", "end": "2024-01-01T00:00:02.000000Z"}
    tasks = [
        {"task": {"name": "Ask", "duration": duration}},
        {"task": {"name": "Skipped", "duration": {"start": duration["start"]}}},
    ]
    stats = {"kubernetes": {"changed": 2}, "localhost": {"changed": 1}}
    run = rehearsed.PlaybookRun(3.0, {"plays": [{"tasks": tasks}], "stats": stats})
    assert run.changed == 3
    assert run.tasks == [("Ask", 1.75), ("Skipped", 0.0)]


REPORT = {
    "plays": [
        {
            "tasks": [
                {"task": {"name": "Ask"}, "hosts": {"one": {"failed": True, "msg": "No answer."}}},
                {"task": {"name": "Say"}, "hosts": {"one": {"failed": False, "msg": "Hello."}}},
            ]
        }
    ],
    "stats": {},
}


def test_a_report_may_stand_behind_warnings():
    done = rehearsed.Done(0, "[WARNING]: old\n" + json.dumps(REPORT, indent=1), "")
    assert rehearsed.report_of(done) == REPORT


@pytest.mark.parametrize(
    ("done", "sentence"),
    [
        (rehearsed.Done(2, json.dumps(REPORT, indent=1), "more"), "Ask: No answer.\nmore"),
        (rehearsed.Done(4, "", "couldn't resolve module"), "couldn't resolve module"),
        (rehearsed.Done(1, '{\n"plays": []}', "no such inventory"), "\nno such inventory"),
    ],
)
def test_a_run_that_failed_says_why(done, sentence):
    with pytest.raises(rehearsed.Failure) as failure:
        rehearsed.report_of(done)
    assert str(failure.value) == f"ansible-playbook failed:\n{sentence.lstrip()}"


def test_waiting_has_an_end():
    answers = iter([False, True])
    rehearsed.wait_for(lambda: next(answers), 10, "never")
    with pytest.raises(rehearsed.Failure, match="the pods stay within 0 s"):
        rehearsed.wait_for(lambda: False, 0, "the pods stay")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [("IMAGE_REGISTRY", "IMAGE_REGISTRY must name"), ("PATH", "kubectl is not on the PATH")],
)
def test_another_cluster_needs_a_registry_and_kubectl(monkeypatch, capsys, missing, sentence):
    monkeypatch.setenv("KUBECONFIG_REHEARSAL", "/nonexistent")
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.com/team")
    monkeypatch.setenv(missing, "")
    with pytest.raises(SystemExit) as ended, rehearsed.cluster():
        pass
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_without_an_audit_log_nothing_is_known(tmp_path):
    cluster = rehearsed.Cluster(tmp_path, "kubectl", "r", "u", "p", None)
    assert cluster.mutating_requests("mine", SINCE) == []


def test_references_to_an_image_are_all_of_its_names():
    listing = """REF TYPE DIGEST SIZE PLATFORMS LABELS
r:5000/x/diabetes:v1 application/manifest sha256:d1 126.0 MiB linux/amd64 -
r:5000/x/diabetes@sha256:d1 application/manifest sha256:d1 126.0 MiB linux/amd64 -
r:5000/y/diabetes@sha256:d2 application/manifest sha256:d2 126.0 MiB linux/amd64 -
r:5000/x/next-diabetes:v1 application/manifest sha256:d4 126.0 MiB linux/amd64 -
r:5000/diabetes/web:v1 application/manifest sha256:d3 1.9 MiB linux/amd64 -
sha256:c1 application/manifest sha256:d1 126.0 MiB linux/amd64 -
sha256:c3 application/manifest sha256:d3 1.9 MiB linux/amd64 -
"""
    assert rehearsed.references_to("diabetes", listing) == [
        "r:5000/x/diabetes:v1",
        "r:5000/x/diabetes@sha256:d1",
        "r:5000/y/diabetes@sha256:d2",
        "sha256:c1",
    ]
