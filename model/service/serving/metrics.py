"""Counters for Prometheus, shared by the workers of one server.

The counters are in shared memory that is created before the workers are forked. Each process writes
to its own slot; whichever worker serves `/metrics` adds up all slots. A slot belongs to the process
that holds the kernel's lock on it. The lock is released when the process ends: the counts of a
dead worker remain, and its successor continues them.

Requires Linux.
"""

import contextlib
import fcntl
import itertools
import math
import mmap
import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from model.service.contract.features import Feature, Value

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

METHODS = ("GET", "HEAD", "POST", "other")
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
# The upper bounds of the latency histogram's buckets, in seconds.
BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
# Endpoints beyond this number are counted as the last one.
MOST_ENDPOINTS = 64
OTHER = "other"
# With fewer rows, the population stability index would be noise.
DRIFT_ROWS = 100
# The least share used in the index, which cannot divide by zero.
LEAST_SHARE = 1e-4
# The approximate maximum number of rows of a batch from which drift is estimated.
SAMPLE = 256

# Two for each of the maximum number of workers, since an old worker may still run beside its
# successor, and one for the process that creates the metrics. Unused slots take no memory.
SLOTS = 129

WORD = 8
# The first words of a slot. USED, only in the first slot, is the number of slots ever used.
PREDICTIONS, REJECTED, DROPPED, USED, HEAD = range(5)
BOUNDS = tuple(round(bucket * 1e9) for bucket in BUCKETS)
# A series consists of a count for each bucket, one for values beyond, and the sum in nanoseconds.
SERIES = len(BUCKETS) + 2
ENDPOINT = SERIES * len(METHODS) * len(STATUSES)


class _Spec(NamedTuple):
    """The words that count one feature: inputs out of range, each bin, values in no bin."""

    start: int
    least: float
    most: float
    edges: tuple[float, ...]
    # The bin of each known value, if the feature is not numeric.
    bins: Mapping[Value, int] | None


class Metrics:
    """The counters of one server."""

    def __init__(self, features: Sequence[Feature], slots: int = SLOTS) -> None:
        """Initialize with the model's features and the number of processes that may write."""
        self.features = tuple(features)
        self._specs: list[_Spec | None] = []
        end = HEAD
        for feature in self.features:
            spec = _spec(feature, end)
            self._specs.append(spec)
            if spec:
                end += len(feature.shares) + 2
        self._endpoints_at = end
        self._endpoints: dict[str, int] = {}
        self._words = end + MOST_ENDPOINTS * ENDPOINT
        self._slots = slots
        size = self._slots * self._words * WORD
        self._file = os.memfd_create("metrics")
        os.ftruncate(self._file, size)
        self._memory = memoryview(mmap.mmap(self._file, size)).cast("Q")
        self._started = time.time()
        self._model: dict[str, str] = {}
        self.claim()

    def __del__(self) -> None:
        """Release the shared memory."""
        if hasattr(self, "_file"):
            os.close(self._file)

    def claim(self) -> None:
        """Claim a slot for this process; call it once in each forked process.

        Raises RuntimeError if no slot is free.
        """
        self._lock = threading.Lock()
        # Only one process at a time claims a slot.
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, self._slots)
        try:
            for slot in range(self._slots):
                with contextlib.suppress(OSError):
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
                    self._slot = self._memory[slot * self._words : (slot + 1) * self._words]
                    self._memory[USED] = max(self._memory[USED], slot + 1)
                    return
            raise RuntimeError(f"all of the {self._slots} slots for metrics are taken")
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._slots)

    def describe_model(self, labels: Mapping[str, str]) -> None:
        """Set the labels of `prediction_model_info`."""
        self._model = dict(labels)

    def series(self, endpoint: str, method: str, status: int) -> int:
        """Return the number of a series, to be passed to `observe`.

        A new endpoint must be registered before the workers are forked.
        """
        index = self._endpoints.get(endpoint)
        if index is None:
            if len(self._endpoints) >= MOST_ENDPOINTS - 1:
                endpoint = OTHER
            index = self._endpoints.setdefault(endpoint, len(self._endpoints))
        methods = METHODS.index(method if method in METHODS else OTHER)
        return (
            self._endpoints_at
            + index * ENDPOINT
            + (methods * len(STATUSES) + min(max(status // 100, 1), len(STATUSES)) - 1) * SERIES
        )

    def observe(self, series: int, nanoseconds: int, row: Sequence[Value] | None = None) -> None:
        """Count one request and, if `row` is given, the single prediction in its response."""
        slot = self._slot
        with self._lock:
            slot[series + bisect_right(BOUNDS, nanoseconds - 1)] += 1
            slot[series + SERIES - 1] += nanoseconds
            if row is None:
                return
            slot[PREDICTIONS] += 1
            for value, spec in zip(row, self._specs, strict=True):
                if spec is None or value is None:
                    continue
                start, least, most, edges, bins = spec
                if bins is None:
                    if not least <= value <= most:  # type: ignore[operator] # a number
                        slot[start] += 1
                    slot[start + 1 + bisect_right(edges, value)] += 1
                else:
                    place = bins.get(value)
                    if place is None:
                        slot[start] += 1
                        place = len(bins)
                    slot[start + 1 + place] += 1

    def predicted_rows(
        self,
        columns: Sequence[Sequence[Value]],
        rows: int,
        bounds: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        """Count the predictions of a batch; the columns are in the order of the features.

        Values out of range are counted exactly; drift is estimated from evenly spaced rows.

        bounds: the minimum and the maximum of each column, if they are already known.
        """
        if not rows:
            return
        step = -(-rows // SAMPLE)
        # Avoid sampling in step with a period in the rows, such as the days of the week.
        while math.gcd(step, 2 * 3 * 5 * 7) > 1:
            step += 1
        counts: list[tuple[int, int]] = []
        for index, (given, spec) in enumerate(zip(columns, self._specs, strict=True)):
            if spec is None:
                continue
            known = bounds and spec.least <= bounds[index][0] and bounds[index][1] <= spec.most
            column = given.tolist() if hasattr(given, "tolist") and not known else given
            if not known and (outside := _outside(column, spec)):
                counts.append((spec.start, outside))
            sample = column[::step]
            if not bounds:
                sample = [value for value in sample if not _is_missing(value)]
            if spec.bins is None:
                places = _bins(sample, spec.edges)
            else:
                places = _text_bins(sample, spec.bins)
            counts += [(spec.start + 1 + place, step * count) for place, count in places]
        slot = self._slot
        with self._lock:
            slot[PREDICTIONS] += rows
            for place, count in counts:
                slot[place] += count

    def rejected_rows(self, rows: int) -> None:
        """Count the rows of a batch for which there was no prediction."""
        with self._lock:
            self._slot[REJECTED] += rows

    def dropped_lines(self, lines: int) -> None:
        """Count lines that the request log dropped."""
        with self._lock:
            self._slot[DROPPED] += lines

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' exposition format, and their content type.

        accept: the request's Accept header, which selects the format.
        """
        # Imported on first use: few processes are asked for metrics.
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - see above
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - see above

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    def collect(self) -> Iterator["Metric"]:
        """Yield the metrics; prometheus_client calls this method of a collector."""
        from prometheus_client import metrics_core  # noqa: PLC0415 - see `exposition`

        yield self._durations()
        for name, text, word in (
            ("predictions", "Rows for which a prediction was made.", PREDICTIONS),
            ("prediction_rejected_rows", "Rows of batches without a prediction.", REJECTED),
            ("prediction_log_lines_dropped", "Lines that the log had no room for.", DROPPED),
        ):
            yield metrics_core.CounterMetricFamily(name, text, value=self._sums(word, 1)[0])
        outside = metrics_core.CounterMetricFamily(
            "prediction_input_out_of_range",
            "Inputs beyond what the training data had.",
            labels=["feature"],
        )
        drift = metrics_core.GaugeMetricFamily(
            "prediction_input_drift",
            "Population stability index of the inputs since the start against the training data; "
            "0.1 is taken for a small change, 0.25 for a great one.",
            labels=["feature"],
        )
        for feature, spec in zip(self.features, self._specs, strict=True):
            if spec:
                count, *bins = self._sums(spec.start, len(feature.shares) + 2)
                outside.add_metric([feature.name], count)
                if sum(bins) >= DRIFT_ROWS:
                    drift.add_metric([feature.name], stability_index(feature.shares, bins))
        yield outside
        yield drift
        info = metrics_core.GaugeMetricFamily(
            "prediction_model_info", "The model that is served.", labels=list(self._model)
        )
        info.add_metric(list(self._model.values()), 1)
        yield info
        yield metrics_core.GaugeMetricFamily(
            "process_start_time_seconds", "When the server started.", value=self._started
        )

    def _durations(self) -> "Metric":
        from prometheus_client import metrics_core  # noqa: PLC0415 - see `exposition`
        from prometheus_client.utils import floatToGoString  # noqa: PLC0415 - see `exposition`

        durations = metrics_core.HistogramMetricFamily(
            "http_request_duration_seconds",
            "Time from the request to the end of its answer.",
            labels=["endpoint", "method", "status"],
        )
        bounds = [
            floatToGoString(bound)  # type: ignore[no-untyped-call]
            for bound in (*BUCKETS, math.inf)
        ]
        for endpoint, index in self._endpoints.items():
            words = self._sums(self._endpoints_at + index * ENDPOINT, ENDPOINT)
            for place, (method, status) in enumerate(itertools.product(METHODS, STATUSES)):
                *counts, total = words[place * SERIES : (place + 1) * SERIES]
                if any(counts):
                    durations.add_metric(
                        [endpoint, method, status],
                        list(zip(bounds, itertools.accumulate(counts), strict=True)),
                        total / 1e9,
                    )
        return durations

    def _sums(self, start: int, words: int) -> list[int]:
        """Return the sum over all slots for each of `words` consecutive words."""
        slots = (
            self._memory[at : at + words].tolist()
            for at in range(start, self._memory[USED] * self._words, self._words)
        )
        return [sum(word) for word in zip(*slots, strict=True)]


def stability_index(shares: Sequence[float], bins: Sequence[int]) -> float:
    """Return the population stability index of counted bins against the expected shares.

    The last bin counts values that do not occur in the training data.
    """
    rows, expected = sum(bins), math.fsum(shares)
    index = 0.0
    for share, count in zip((*shares, 0.0), bins, strict=True):
        was = max(share / expected, LEAST_SHARE)
        now = max(count / rows, LEAST_SHARE)
        index += (now - was) * math.log(now / was)
    return index


def _spec(feature: Feature, start: int) -> _Spec | None:
    """Return where a feature is counted; None if there is no training distribution for it."""
    if not any(feature.shares):
        return None
    if feature.is_numeric:
        if feature.least is None or feature.most is None:
            return None
        return _Spec(start, feature.least, feature.most, feature.edges, None)
    known: list[Value] = list(feature.categories)
    if feature.kind == "boolean":
        known = [category == "true" for category in feature.categories]
    return _Spec(start, 0, 0, (), {value: place for place, value in enumerate(known)})


def _bins(values: Sequence[Any], edges: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield each non-empty bin and the count of numbers in it: see `Feature.edges`."""
    ordered = sorted(values)
    below = 0
    for place, edge in enumerate(edges):
        end = bisect_left(ordered, edge, below)
        if end > below:
            yield place, end - below
            below = end
    if len(ordered) > below:
        yield len(edges), len(ordered) - below


def _text_bins(values: Sequence[Any], bins: Mapping[Value, int]) -> Iterator[tuple[int, int]]:
    """Yield the bin and the count of each distinct value."""
    for value, count in Counter(values).items():
        yield bins.get(value, len(bins)), count


def _outside(column: Sequence[Any], spec: _Spec) -> int:
    """Return the number of a column's values outside the range of the training data."""
    if spec.bins is not None:
        # The set is fast and, nearly always, empty.
        unknown = set(column) - spec.bins.keys() - {None}
        return sum(value in unknown for value in column) if unknown else 0
    least, most = spec.least, spec.most
    try:
        if least <= min(column) and max(column) <= most:
            return 0
    except TypeError:
        # The column has missing values.
        pass
    return sum(not (_is_missing(value) or least <= value <= most) for value in column)


def _is_missing(value: Value) -> bool:
    """Return whether a value is missing: None, or NaN in arrays."""
    return value is None or value != value  # noqa: PLR0124 - as only that is
