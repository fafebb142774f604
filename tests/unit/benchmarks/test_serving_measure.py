import contextlib
import http.server
import json
from pathlib import Path

import pytest

from benchmarks import wrk
from benchmarks.serving import load, measure, questions
from benchmarks.serving.errors import MeasurementError
from benchmarks.serving.preparation import Prepared
from support import loopback

MODEL = Prepared(
    Path(), "coefficients", {"f": [0.5, 1.5, 2.5], "s": ["a", "b", "a"]}, [1.0, 2.0, 3.0], ["[1.]"]
)


@contextlib.contextmanager
def answering(body, status=200):
    """Yield the port of a server with this response, and the request bodies that it gets."""
    sent = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            sent.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that the library calls

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    with loopback.answering(server):
        yield server.server_port, sent


@pytest.mark.parametrize(
    ("body", "status", "fault"),
    [
        (b"[2.]", 200, ""),
        (b"[2.1]", 200, "2.1 for row 0, where scikit-learn predicts 2.0"),
        (b"two", 200, "an answer cannot be read: b'two'"),
        (b"[2.]", 503, "was answered with status 503"),
    ],
)
def test_answers_are_compared(body, status, fault):
    with answering(body, status) as (port, _):
        expected = (
            pytest.raises(MeasurementError, match=fault) if fault else contextlib.nullcontext()
        )
        with expected:
            measure.check(port, questions.TEXT, MODEL, 1, 2)


def test_csv_repeats_the_rows():
    blocks = b"".join(measure.csv_blocks(MODEL, 7)).decode().split("\r\n")
    assert blocks[0] == "f,s"
    assert blocks[1:-1] == ["0.5,a", "1.5,b", "2.5,a"] * 2 + ["0.5,a"]


@pytest.mark.parametrize(
    ("answer", "status", "fault"),
    [
        ("prediction\r\n1.0\r\n2.0\r\n3.0\r\n1.0\r\n", 200, ""),
        ("prediction,error\r\n1.0,\r\n2.0,\r\n3.0,\r\n1.0,\r\n", 200, ""),
        ("prediction\r\n1.0\r\n2.0\r\n3.0\r\n", 200, "wrong after 3 rows: the same rows"),
        ("prediction\r\n1.0\r\n2.0\r\n3.0\r\n1.1\r\n", 200, "wrong after 3 rows: the same rows"),
        ("prediction\r\n1.0\r\n2.0\r\n3.0\r\n1.0\r\n2.0\r\n", 200, "more than 4 rows: b'2.0"),
        ("prediction\r\n1.0\r\n", 200, "line 3 of the CSV answer is wrong: nan"),
        ("prediction\r\n1.0\r\n2.0\r\n2.0\r\n1.0\r\n", 200, "line 4 of the CSV answer is wrong"),
        ("prediction,error\r\n1.0,\r\n,what\r\n3.0,\r\n1.0,\r\n", 200, "line 3 .* nan for row 0"),
        ("1.0\r\n", 200, "no column `prediction`"),
        ("", 200, "no column `prediction`"),
        ("no", 415, "status 415: b'no'"),
    ],
)
def test_a_stream_is_compared(answer, status, fault):
    with answering(answer.encode(), status) as (port, sent):
        expected = (
            pytest.raises(MeasurementError, match=fault) if fault else contextlib.nullcontext()
        )
        with expected:
            assert measure.stream_csv(port, MODEL, 4) > 0
    assert sent == [b"f,s\r\n0.5,a\r\n1.5,b\r\n2.5,a\r\n0.5,a\r\n"]


def test_what_vegeta_says():
    report = {
        "latencies": {"50th": 1_500_000, "99th": 20_000_000, "max": 1},
        "throughput": 199.5,
        "success": 0.99,
    }
    assert load.parse_steady(json.dumps(report)) == load.Steady(199.5, 0.99, 1.5, 20.0)


@pytest.fixture
def generator(tmp_path, monkeypatch):
    """Return a function that makes a load generator whose wrk prints the given counts."""
    program = tmp_path / "wrk"
    said = tmp_path / "said"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {said}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(load.shutil, "which", lambda name: str(tmp_path / name))

    def make(counts):
        said.write_text(f"{wrk.MARK}{json.dumps(counts)}\n", encoding="utf-8")
        return load.Generator(tmp_path / "vegeta", tmp_path, [])

    return make


@pytest.mark.parametrize(
    ("rows", "connections"), [(1, 32), (1000, 32), (10_000, 4), (30_000, 1), (100_000, 1)]
)
def test_larger_batches_have_fewer_connections(rows, connections):
    assert load.connections_for(rows) == connections


def test_saturation_is_asked_for_as_lines(generator, tmp_path):
    asked = [questions.Question("/p", '{"a":1}'), questions.Question("/p", '{"a":2}')]
    counts = generator({"sent": 9, "answered": 9, "seconds": 3.0}).saturate(asked, 81, 3, 32)
    assert counts.rate == 3
    assert (tmp_path / "requests").read_text(encoding="utf-8") == '/p\t{"a":1}\n/p\t{"a":2}\n'
    command = (tmp_path / "asked").read_text(encoding="utf-8").split()
    assert "--connections=32" in command
    assert command[-5:-3] == ["http://127.0.0.1:81", "--"]
    assert command[-3:] == ["POST", "application/json", str(tmp_path / "requests")]


@pytest.mark.parametrize(
    "counts",
    [
        {"sent": 9, "answered": 9, "status": 1},
        {"sent": 9, "answered": 8, "read": 1},
        {"sent": 9, "answered": 9, "timeout": 1},
    ],
)
def test_what_is_not_answered_is_no_measurement(generator, counts):
    with pytest.raises(MeasurementError, match="requests were not answered"):
        generator(counts).saturate([questions.Question("/p")], 81, 3, 32)


class Slow:
    """A load generator and its server; each run answers the next number of requests."""

    def __init__(self, *answered):
        self._answered = iter(answered)
        self.seconds = []
        self.cpu = 0.0

    def saturate(self, _asked, _port, seconds, _connections):
        self.seconds.append(seconds)
        self.cpu += seconds
        number = next(self._answered)
        return wrk.Counts(sent=number, answered=number, seconds=seconds)

    def cpu_seconds(self):
        return self.cpu


def a_run(slow):
    contest = measure.Contest({}, {}, slow, [], 3, Path())
    return measure.Run(contest, None, MODEL, "linear", slow, 81)


@pytest.mark.parametrize(
    ("answered", "seconds"),
    [([40], [3]), ([39, 80], [3, 6]), ([0, 0, 90], [3, 6, 12]), ([1, 2, 3], [3, 6, 12])],
)
def test_few_answers_take_longer_and_only_the_last_run_counts(answered, seconds):
    slow = Slow(*answered)
    counts, cpu = a_run(slow)._saturated([], 4)
    assert slow.seconds == seconds
    assert (counts.answered, cpu) == (answered[-1], seconds[-1])


def test_no_answer_at_all_is_no_measurement():
    with pytest.raises(MeasurementError, match="nothing was answered within 12 s"):
        a_run(Slow(0, 0, 0))._saturated([], 4)
