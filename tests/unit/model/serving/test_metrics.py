"""Counts, over processes and threads, as Prometheus reads them."""

import array
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from model.service.contract.features import Feature
from model.service.serving import metrics as module
from model.service.serving.metrics import DRIFT_ROWS, SAMPLE, Metrics, stability_index
from support import ROOT

AGE = Feature(
    name="age", column="age", kind="number", nullable=True, least=0.0, most=10.0, median=5.0,
    edges=(2.5, 5.0, 7.5), shares=(0.25, 0.25, 0.25, 0.25),
)  # fmt: skip
COLOUR = Feature(
    name="colour", column="colour", kind="category", categories=("blue", "red"), shares=(0.5, 0.4)
)
MEMBER = Feature(
    name="member", column="member", kind="boolean", categories=("false", "true"), shares=(0.5, 0.5)
)
NOTE = Feature(name="note", column="note", kind="text")
FEATURES = (AGE, COLOUR, MEMBER, NOTE)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(FEATURES, 3)


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return each sample under its name and the values of its labels."""
    text, content_type = metrics.exposition("")
    assert content_type.startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_durations(metrics: Metrics) -> None:
    series = metrics.series("/a", "GET", 200)
    for nanoseconds in (1, 100_000, 100_001, 2_500_000_000, 60_000_000_000):
        metrics.observe(series, nanoseconds)
    metrics.observe(metrics.series("/a", "PATCH", 503), 1_000_000)
    found = samples(metrics)
    name = "http_request_duration_seconds"
    labels = ("/a", "GET", "2xx")
    assert {
        bound: found[f"{name}_bucket", "/a", bound, "GET", "2xx"]
        for bound in ("0.0001", "0.00025", "1.0", "2.5", "10.0", "+Inf")
    } == {"0.0001": 2, "0.00025": 3, "1.0": 3, "2.5": 4, "10.0": 4, "+Inf": 5}
    assert found[f"{name}_count", *labels] == 5
    assert found[f"{name}_sum", *labels] == pytest.approx(62.500200002)
    assert found[f"{name}_count", "/a", "other", "5xx"] == 1
    assert (f"{name}_count", "/a", "HEAD", "2xx") not in found


def test_there_is_room_for_so_many_endpoints(metrics: Metrics) -> None:
    series = {metrics.series(f"/{number}", "GET", 200) for number in range(100)}
    assert len(series) == module.MOST_ENDPOINTS
    assert metrics.series(module.OTHER, "GET", 200) == metrics.series("/99", "GET", 200)
    last = max(metrics.series(f"/{number}", "other", 599) for number in range(100))
    assert last + module.SERIES == metrics._words


# Case: (a row, the features whose value is out of range)
ROWS = {
    "inside": ([0.0, "red", True, "x"], ()),
    "at the other end": ([10.0, "blue", False, ""], ()),
    "below": ([-0.1, "red", True, "x"], ("age",)),
    "above": ([10.1, "red", True, "x"], ("age",)),
    "unknown": ([1, "green", True, "x"], ("colour",)),
    "missing": ([None, "red", True, "x"], ()),
    "both": ([99, "", True, "x"], ("age", "colour")),
}


@pytest.mark.parametrize(("row", "outside"), ROWS.values(), ids=ROWS)
def test_out_of_range(metrics: Metrics, row: list[Any], outside: tuple[str, ...]) -> None:
    metrics.observe(metrics.series("/a", "GET", 200), 1, row)
    metrics.predicted_rows([[value] for value in row], 1)
    found = samples(metrics)
    assert found["predictions_total",] == 2
    for name in ("age", "colour", "member"):
        assert found["prediction_input_out_of_range_total", name] == 2 * (name in outside)
    assert ("prediction_input_out_of_range_total", "note") not in found


def test_a_batch_is_as_many_single_predictions(metrics: Metrics) -> None:
    single = Metrics(FEATURES)
    columns: list[list[Any]] = [
        [-1.0, None, 2.5, 9.0, 11.0] * 50,
        ["red", "blue", "green", "blue", "red"] * 50,
        [True, False, True, True, None] * 50,
        ["", "x", "y", "z", "x"] * 50,
    ]
    assert len(columns[0]) <= SAMPLE
    metrics.predicted_rows(columns, 250)
    series = single.series("/a", "GET", 200)
    for row in zip(*columns, strict=True):
        single.observe(series, 1, row)
    assert predictions(metrics) == predictions(single)


def predictions(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {name: value for name, value in samples(metrics).items() if "prediction" in name[0]}


@pytest.mark.parametrize(
    "column",
    [
        [1.0, 2.0, math.nan, 12.0],
        [math.nan, 1.0, 2.0, 12.0],
        array.array("d", [1.0, math.nan, 2.0, 12.0]),
        memoryview(array.array("d", [12.0, math.nan, 2.0, 1.0])),
        (1.0, None, 12.0, 5),
    ],
    ids=lambda column: type(column).__name__,
)
def test_columns_of_any_kind(column: Any) -> None:
    metrics = Metrics((AGE,))
    metrics.predicted_rows([column], 4)
    assert samples(metrics)["prediction_input_out_of_range_total", "age"] == 1
    assert sum(metrics._slot[metrics._specs[0].start + 1 :][: len(AGE.shares) + 1]) == 3


def test_a_great_batch_is_counted_exactly_and_its_drift_estimated() -> None:
    metrics = Metrics((AGE,))
    column = [number % 10 + 0.5 for number in range(10_000)]
    column[4321] = 11.0
    metrics.predicted_rows([column], len(column))
    found = samples(metrics)
    assert found["predictions_total",] == 10_000
    assert found["prediction_input_out_of_range_total", "age"] == 1
    assert found["prediction_input_drift", "age"] < 0.1
    metrics.predicted_rows([], 0)
    assert samples(metrics)["predictions_total",] == 10_000


# Case: (values, whether they count as drift)
DRIFTS = {
    "like the training data": ([1.0, 3.0, 6.0, 9.0], False),
    "all in one bin": ([1.0], True),
    "beyond": ([11.0], True),
}


@pytest.mark.parametrize(("values", "drifted"), DRIFTS.values(), ids=DRIFTS)
def test_drift(values: list[float], drifted: bool) -> None:
    metrics = Metrics((AGE,))
    metrics.predicted_rows([(values * DRIFT_ROWS)[: DRIFT_ROWS - 1]], DRIFT_ROWS - 1)
    assert ("prediction_input_drift", "age") not in samples(metrics)
    metrics.predicted_rows([values[:1]], 1)
    assert (samples(metrics)["prediction_input_drift", "age"] > 0.25) is drifted


def test_stability_index() -> None:
    assert stability_index((0.5, 0.5), [50, 50, 0]) == pytest.approx(0)
    # The textbook formula: the sum of (now - was) * ln(now / was).
    expected = (0.6 - 0.5) * math.log(0.6 / 0.5) + (0.4 - 0.5) * math.log(0.4 / 0.5)
    assert stability_index((0.5, 0.5), [60, 40, 0]) == pytest.approx(expected)
    # Values that were missing in training are in no bin.
    assert stability_index((0.25, 0.25), [60, 40, 0]) == pytest.approx(expected)
    assert stability_index((1.0,), [0, 10]) > 1


def test_a_feature_without_range(metrics: Metrics) -> None:
    empty = Feature(name="empty", column="empty", kind="number", nullable=True, shares=(0.0,))
    metrics = Metrics((empty, Feature(name="n", column="n", kind="number", shares=(1.0,))))
    metrics.observe(metrics.series("/a", "GET", 200), 1, [1.0, None])
    metrics.predicted_rows([[1.0], [2.0]], 1)
    assert samples(metrics)["predictions_total",] == 2


def test_the_rest(metrics: Metrics) -> None:
    metrics.rejected_rows(3)
    metrics.dropped_lines(4)
    metrics.describe_model({"name": "diabetes", "form": "coefficients"})
    found = samples(metrics)
    assert found["prediction_rejected_rows_total",] == 3
    assert found["prediction_log_lines_dropped_total",] == 4
    assert found["prediction_model_info", "coefficients", "diabetes"] == 1
    assert found["process_start_time_seconds",] > 1.7e9


def test_the_client_chooses_the_format(metrics: Metrics) -> None:
    metrics.observe(metrics.series("/a", "GET", 200), 1)
    text, content_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    families = list(openmetrics.text_string_to_metric_families(text.decode()))
    assert {"http_request_duration_seconds", "predictions"} <= {family.name for family in families}


def test_threads_lose_nothing(metrics: Metrics) -> None:
    series = metrics.series("/a", "GET", 200)

    def work() -> None:
        for _ in range(1000):
            metrics.observe(series, 1, [1.0, "red", True, ""])
            metrics.predicted_rows([[1.0], ["red"], [True], [""]], 1)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert samples(metrics)["predictions_total",] == 8000


# Workers of one server: three at a time, one of which is killed and replaced.
WORKERS = """
import os, signal, sys
from model.service.serving.metrics import Metrics

metrics = Metrics((), 4)
series = metrics.series("/a", "GET", 200)
for name in sys.modules:
    assert name.partition(".")[0] not in ("prometheus_client", "numpy"), name

def worker(requests):
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        metrics.claim()
        for _ in range(requests):
            metrics.observe(series, 1, ())
        os.write(ready[1], b".")
        os.read(done[0], 1)
        os._exit(0)
    assert os.read(ready[0], 1) == b"."
    return pid, done[1]

workers = [worker(100) for _ in range(3)]
pid, _ = workers.pop()
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
workers.append(worker(1000))
failed = os.fork()
if not failed:
    try:
        metrics.claim()
    except RuntimeError as error:
        assert "4 slots" in str(error)
        os._exit(0)
    os._exit(1)
assert os.waitpid(failed, 0)[1] == 0
for pid, done in workers:
    os.write(done, b".")
    assert os.waitpid(pid, 0)[1] == 0
metrics.observe(series, 1, ())
sys.stdout.buffer.write(metrics.exposition("")[0])
"""


def test_counts_of_all_processes_add_up_and_those_of_the_dead_stay() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WORKERS],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.stderr == ""
    assert "\npredictions_total 1301.0\n" in run.stdout
    assert (
        'http_request_duration_seconds_count{endpoint="/a",method="GET",status="2xx"} 1301.0'
        in (run.stdout)
    )


def test_memory_is_given_back() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        Metrics(FEATURES)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
