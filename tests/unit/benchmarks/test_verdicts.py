"""What the benchmarks for Kubernetes conclude from their figures."""

import http.server
import json

import pytest

from benchmarks import (
    autoscale,
    figures,
    first_prediction,
    many_workloads,
    no_change,
    rehearsed,
    wrk,
    zero_lost_requests,
)
from support import loopback, ports


def lost(variant, number, event="new version", answered=100):
    counts = wrk.Counts(sent=answered + number, answered=answered, read=number)
    return zero_lost_requests.Result(variant, event, "hello", "kept", counts)


SERVED, CONTROL = zero_lost_requests.SERVED, zero_lost_requests.CONTROL
HARD = "process killed"


@pytest.mark.parametrize(
    ("results", "status", "sentence"),
    [
        pytest.param([lost(SERVED, 0), lost(CONTROL, 3)], 0, "0 of 100", id="none lost"),
        pytest.param([lost(SERVED, 1), lost(CONTROL, 3)], 1, "Lost: 1 of 101", id="one lost"),
        pytest.param([lost(SERVED, 1), lost(CONTROL, 0)], 1, "Lost: 1 of 101", id="bad control"),
        pytest.param([lost(SERVED, 0), lost(CONTROL, 0)], 2, "shows nothing", id="cannot fail"),
        pytest.param([lost(SERVED, 0), lost(CONTROL, 3), lost(SERVED, 9, HARD)], 0, "Lost: 0",
                     id="killed does not count"),
        pytest.param([lost(SERVED, 0), lost(CONTROL, 9, HARD)], 2, "shows nothing",
                     id="killed proves nothing"),
        pytest.param([lost(SERVED, 0, answered=0), lost(CONTROL, 3)], 2, "Nothing was answered",
                     id="no answer"),
        pytest.param([], 2, "Nothing was answered", id="nothing"),
    ],
)  # fmt: skip
def test_lost_requests(results, status, sentence):
    found, words = zero_lost_requests.verdict(results)
    assert found == status
    assert sentence in words


def test_lost_requests_are_reported_by_client_and_by_event():
    results = [lost(SERVED, 0), lost(SERVED, 0), lost(CONTROL, 3), lost(SERVED, 2, HARD)]
    details, events = zero_lost_requests.report(results).split("\n\n")
    assert details.splitlines()[1].split()[:6] == [
        *SERVED.split(),
        "new",
        "version",
        "hello",
        "kept",
    ]
    assert details.splitlines()[3].endswith("3 read")
    assert [line.split()[-4:] for line in events.splitlines()[1:]] == [
        ["200", "0", "103", "3"],
        ["102", "2", "-", "-"],
    ]
    assert events.splitlines()[2].startswith("process killed (does not count)")


def test_processes_of_a_pod(tmp_path):
    uid = "0a1b-2c"
    for number, groups, command in (
        ("10", f"4:memory:/kubepods/pod{uid}/abc\n", "/hello-app"),
        ("11", f"4:memory:/kubepods/pod{uid}/def\n", "/pause"),
        ("12", "0::/kubepods.slice/pod0a1b_2c.slice/x\n", "python"),
        ("13", "0::/\n", "sh"),
    ):
        (tmp_path / number).mkdir()
        (tmp_path / number / "cgroup").write_text(groups, encoding="utf-8")
        (tmp_path / number / "cmdline").write_bytes(command.encode() + b"\0-x\0")
    (tmp_path / "14").mkdir()
    assert sorted(zero_lost_requests.processes_of(uid, tmp_path)) == [10, 12]


class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.send_response(200 if self.server.asked != self.server.bad else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(("bad", "expected"), [(0, True), (20, False), (21, True)])
def test_twenty_answers_are_an_answer(bad, expected):
    server = http.server.HTTPServer(("127.0.0.1", 0), Answering)
    server.asked, server.bad = 0, bad
    with loopback.answering(server):
        found = zero_lost_requests.answers(f"http://127.0.0.1:{server.server_port}/")
    assert found is expected


def test_who_does_not_listen_does_not_answer():
    assert not zero_lost_requests.answers(f"http://127.0.0.1:{ports.closed()}/")


def samples(*replicas):
    return [
        autoscale.Sample(float(second), "load", None, wanted, ready)
        for second, (wanted, ready) in enumerate(replicas)
    ]


@pytest.mark.parametrize(
    ("replicas", "requests_lost", "status", "sentence"),
    [
        ([(1, 1), (4, 1), (6, 6), (1, 1)], 0, 0, "1 → 6 → 1"),
        ([(1, 1), (4, 1), (1, 1)], 0, 1, "did not follow"),
        ([(1, 1), (6, 6), (2, 2)], 0, 1, "did not come back"),
        ([(1, 1), (6, 6), (1, 1)], 2, 1, "not without loss: 1 → 6 → 1 ready replicas, 2 of 90"),
    ],
)
def test_autoscaler(replicas, requests_lost, status, sentence):
    found, words = autoscale.verdict(samples(*replicas), requests_lost, 90)
    assert found == status
    assert sentence in words


def test_changes_of_replicas():
    seen = autoscale.changes(samples((1, 1), (1, 1), (4, 1), (4, 4), (4, 4), (1, 4)))
    assert [one.second for one in seen] == [0, 2, 3, 5]


def test_a_watch_ends_when_the_cluster_does_not_answer():
    def refuse(_second, _phase):
        raise rehearsed.Failure("gone")

    with autoscale.Watch(refuse) as watch, pytest.raises(rehearsed.Failure, match="gone"):
        watch.wait_for(lambda _: True, 30)


@pytest.mark.parametrize(
    ("ratio", "status", "sentence"),
    [
        (1.3, 0, "1.30 times by hand: the goal of 1.3 is reached."),
        (1.31, 1, "1.31 times by hand: the goal of 1.3 is not reached."),
    ],
)
def test_first_prediction(ratio, status, sentence):
    assert first_prediction.verdict(ratio) == (status, sentence)


def test_the_pull_secret_comes_behind_the_namespace(tmp_path):
    cluster = rehearsed.Cluster(tmp_path, "kubectl", "127.0.0.1:5000/x", "user", "word", None)
    manifests = "---\nkind: Namespace\n---\nkind: Deployment\n---\nkind: Service\n"
    documents = first_prediction.with_login(cluster, manifests).split("---\n")[1:]
    assert documents[0] == "kind: Namespace\n"
    assert json.loads(documents[1])["metadata"]["namespace"] == first_prediction.NAMESPACE
    assert documents[2:] == ["kind: Deployment\n", "kind: Service\n"]


def test_without_a_login_there_is_no_pull_secret(tmp_path):
    cluster = rehearsed.Cluster(tmp_path, "kubectl", "r", "", "", None)
    assert first_prediction.with_login(cluster, "---\nkind: Namespace\n") == (
        "---\nkind: Namespace\n"
    )


def test_an_image_in_one_layer_runs_as_the_other_does():
    config = {
        "Env": ["PATH=/opt/bin:/bin", "NAME=a b=c"],
        "User": "65532:65532",
        "WorkingDir": "/app",
        "StopSignal": "SIGTERM",
        "Cmd": ["python", "-m", "model.main"],
    }
    assert first_prediction.import_changes(config) == [
        '--change=ENV PATH="/opt/bin:/bin"',
        '--change=ENV NAME="a b=c"',
        "--change=USER 65532:65532",
        "--change=WORKDIR /app",
        '--change=CMD ["python", "-m", "model.main"]',
    ]


def test_profile_names_what_is_no_task():
    task = {
        "name": "Ask",
        "duration": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T00:00:02Z"},
    }
    run = rehearsed.PlaybookRun(5.0, {"plays": [{"tasks": [{"task": task}]}], "stats": {}})
    assert first_prediction.profile(run).splitlines()[2:] == [
        "(start, end and between tasks)     3.00",
        "Ask                                2.00",
    ]


def test_the_idle_playbook_has_as_many_tasks():
    def task(action, **result):
        return {"hosts": {"h": {"action": action, **result}}}

    report = {"plays": [{"tasks": [
        task("ansible.builtin.assert"),
        task("workload_check"),
        task("debian_image"),
        task("kubernetes.core.k8s", skipped=True),
        task("kubernetes.core.k8s", results=[{}, {}]),
    ]}]}  # fmt: skip
    text, count = no_change.idle_playbook(report, "localhost")
    (play,) = json.loads(text)
    assert play["hosts"] == "localhost"
    assert [next(iter(one)).rsplit(".", 1)[-1] for one in play["tasks"]] == [
        "assert",
        "assert",  # the module runs in the process of its task, so it costs no more
        "ping",
        "ping",
    ]
    assert count == 4


def a_round(count, *, no_change_seconds=5.0, changed=0, requests=0, first=10.0):
    seconds = {
        many_workloads.FIRST: first,
        many_workloads.NO_CHANGE: no_change_seconds,
        many_workloads.TEARDOWN: 5.0,
    }
    return many_workloads.Round(count, seconds, changed, requests)


@pytest.mark.parametrize(
    ("rounds", "faults"),
    [
        pytest.param([a_round(1), a_round(10), a_round(50)], [], id="all holds"),
        pytest.param([a_round(1), a_round(10), a_round(50, requests=None)], [], id="no audit log"),
        pytest.param([a_round(50), a_round(100, no_change_seconds=9.0)], [], id="two"),
        pytest.param([a_round(100, no_change_seconds=61.0)], [], id="no limit beyond 50"),
        pytest.param([a_round(50, no_change_seconds=60.0)],
                     ["A run without change over 50 took 60 s; the limit is 60 s."], id="slow"),
        pytest.param([a_round(1), a_round(10, changed=2)],
                     ["The second run over 10 changed 2 tasks."], id="changed"),
        pytest.param([a_round(1, requests=3)],
                     ["The run without change over 1 asked for 3 changes."], id="requests"),
        pytest.param([a_round(1), a_round(10), a_round(50), a_round(100, first=30.0)],
                     ["The time of 'first deployment' grows faster than linearly."], id="growth"),
    ],
)  # fmt: skip
def test_many_workloads(rounds, faults):
    assert many_workloads.faults(rounds) == faults


def test_many_workloads_are_reported_by_stage():
    rounds = [a_round(1), a_round(1, first=12.0), a_round(10, first=29.0)]
    lines = many_workloads.report(rounds).splitlines()
    assert lines[0].split() == ["1", "10", "each,", "1", "to", "10"]
    assert lines[1].split() == ["first", "deployment", "11.0", "s", "29.0", "s", "2.00", "s"]
    assert lines[-1] == "Changes asked for by runs without change: 0."
    unknown = many_workloads.report([a_round(1, requests=None)])
    assert unknown.endswith("not known: there is no audit log.")


def test_many_workloads_have_as_many_names():
    names = [one["name"] for one in many_workloads.workloads(50)]
    assert len(set(names)) == 50


def test_noise_is_less_than_what_is_measured():
    assert figures.NOISE < many_workloads.NO_CHANGE_AT_MOST / 10
