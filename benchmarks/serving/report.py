"""Evaluation of the figures: medians, targets, tables. Pure functions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import figures
from benchmarks.serving.measure import BATCHES, FAST, STEADY, STREAMED
from benchmarks.serving.servers import (
    BATCHED,
    BENTOML,
    FASTAPI,
    FOREST,
    GO,
    LINEAR,
    LITSERVE,
    MIXED,
    MLFLOW,
    MLSERVER,
    OURS,
    SEED,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Rounds = dict[str, dict[str, dict[str, list[float]]]]
"""The values of all rounds by model, server, and name of the figure."""

FEW, MANY = BATCHES
SOME_STREAM, SHORT_STREAM, LONG_STREAM = STREAMED
# A longer stream takes no more memory than a shorter one, except for noise.
STREAM_ALLOWANCE = 1.2


@dataclass(frozen=True)
class Verdict:
    """A target, the measured value (None: not measured), and whether the target is met."""

    sentence: str
    found: float | None
    limit: float
    at_most: bool

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if it was not measured."""
        if self.found is None:
            return None
        return self.found <= self.limit if self.at_most else self.found >= self.limit

    @property
    def words(self) -> str:
        """Whether the target is met, in words."""
        return {True: "met", False: "NOT MET", None: "not measured"}[self.met]


class Medians:
    """The medians over all rounds."""

    def __init__(self, rounds: Rounds) -> None:
        """Initialize with the values of all rounds."""
        self._rounds = rounds

    def of(self, server: str, name: str, model: str = LINEAR) -> float | None:
        """Return a median, or None if there is none."""
        values = self._rounds.get(model, {}).get(server, {}).get(name)
        return statistics.median(values) if values else None

    def least(self, servers: Iterable[str], name: str, model: str = LINEAR) -> float | None:
        """Return the least median of some servers; None if none was measured."""
        found = [value for server in servers if (value := self.of(server, name, model)) is not None]
        return min(found, default=None)

    def servers(self, model: str = LINEAR) -> list[str]:
        """Return the measured servers."""
        return list(self._rounds.get(model, {}))

    def peers(self, model: str = LINEAR) -> list[str]:
        """Return the measured servers other than ours."""
        return [server for server in self.servers(model) if server != OURS]


def times(more: float | None, less: float | None) -> float | None:
    """Return the ratio of two values; None if either was not measured."""
    return None if more is None or not less else more / less


def verdicts(rounds: Rounds) -> list[Verdict]:
    """Return all targets with their measured values."""
    medians = Medians(rounds)
    cpu = medians.of(OURS, "cpu_us")
    found = [
        Verdict(
            "a prediction's CPU, times Go net/http's", times(cpu, medians.of(GO, "cpu_us")), 2, True
        )
    ]
    for peers, limit in (
        ((SEED,), 10),
        ((FASTAPI,), 8),
        ((MLFLOW,), 25),
        ((BENTOML, BATCHED), 25),
        ((LITSERVE,), 25),
        ((MLSERVER,), 15),
    ):
        least = medians.least(peers, "cpu_us")
        found.append(
            Verdict(
                f"a prediction's CPU, times less than {peers[0]}", times(least, cpu), limit, False
            )
        )
    found.append(
        Verdict(
            f"p99 at {FAST:,} requests a second, ms", medians.of(OURS, f"p99_ms_at_{FAST}"), 5, True
        )
    )
    for model, words in ((FOREST, "RandomForest"), (MIXED, "mixed Pipeline")):
        best = medians.least(medians.peers(model), "cpu_us", model)
        found.append(
            Verdict(
                f"{words}: CPU, times less than the best peer",
                times(best, medians.of(OURS, "cpu_us", model)),
                3,
                False,
            )
        )
    return found + _batch_verdicts(medians) + _size_verdicts(medians)


def _batch_verdicts(medians: Medians) -> list[Verdict]:
    found = []
    for number, limit in ((FEW, 500), (MANY, 250)):
        name = f"batch_{number}_ns"
        ours = medians.of(OURS, name)
        best = medians.least(medians.peers(), name)
        found += [
            Verdict(f"{number:,} rows: CPU ns a row", ours, limit, True),
            Verdict(
                f"{number:,} rows: CPU, times less than the best peer", times(best, ours), 2, False
            ),
        ]
        for peers in ((MLFLOW,), (BENTOML, BATCHED)):
            least = medians.least(peers, name)
            sentence = f"{number:,} rows: CPU, times less than {peers[0]}"
            found.append(Verdict(sentence, times(least, ours), 20, False))
    few, many = (medians.of(OURS, f"batch_{number}_ns") for number in BATCHES)
    short, long = (
        medians.of(OURS, f"stream_{number}_mb") for number in (SHORT_STREAM, LONG_STREAM)
    )
    return [
        *found,
        Verdict(f"CPU a row at {MANY:,} rows, times that at {FEW:,}", times(many, few), 1, True),
        Verdict(
            f"CSV of {LONG_STREAM:,} rows: memory, times that of {SHORT_STREAM:,}",
            times(long, short),
            STREAM_ALLOWANCE,
            True,
        ),
    ]


def _size_verdicts(medians: Medians) -> list[Verdict]:
    return [
        Verdict(
            "linear model: installed above Python, MB", medians.of(OURS, "installed_mb"), 60, True
        ),
        Verdict(
            "linear model: from start to first answer, s", medians.of(OURS, "start_s"), 0.5, True
        ),
        Verdict("linear model: memory of 2 workers, MB", medians.of(OURS, "memory_mb"), 60, True),
    ]


Column = tuple[str, str, str]
"""Heading, name of the figure, format."""
SINGLE: tuple[Column, ...] = (
    ("CPU µs", "cpu_us", ",.0f"),
    ("req/s", "rate", ",.0f"),
    ("p50 ms", "p50_ms", ".1f"),
    ("p99 ms", "p99_ms", ".1f"),
    (f"p50 at {STEADY}/s", f"p50_ms_at_{STEADY}", ".2f"),
    (f"p99 at {STEADY}/s", f"p99_ms_at_{STEADY}", ".2f"),
    (f"p99 at {FAST:,}/s", f"p99_ms_at_{FAST}", ".2f"),
    ("PSS MB", "memory_mb", ",.0f"),
    ("start s", "start_s", ".2f"),
    ("installed MB", "installed_mb", ",.0f"),
)
BATCH: tuple[Column, ...] = tuple(
    column
    for number in BATCHES
    for column in (
        (f"{number:,} rows: CPU ns/row", f"batch_{number}_ns", ",.0f"),
        ("rows/s", f"batch_{number}_rate", ",.0f"),
    )
)
STREAM: tuple[Column, ...] = (
    *((f"peak MB, {number:,} rows", f"stream_{number}_mb", ",.0f") for number in STREAMED),
    ("CPU ns/row", f"stream_{SOME_STREAM}_ns", ",.0f"),
    ("rows/s", f"stream_{SOME_STREAM}_rate", ",.0f"),
)
OTHER: tuple[Column, ...] = (*SINGLE[:4], *SINGLE[7:9])

Table = tuple[str, list[str], list[list[str]]]
"""Title, headings, rows."""


def tables(rounds: Rounds, titles: Mapping[str, str]) -> list[Table]:
    """Return the tables of medians and the table of verdicts."""
    medians = Medians(rounds)
    found = [
        _table("Single predictions of a linear model", SINGLE, medians, titles, LINEAR),
        _table("Batches as JSON", BATCH, medians, titles, LINEAR),
        _table("CSV", STREAM, medians, titles, LINEAR),
        _table("Single predictions of a RandomForest", OTHER, medians, titles, FOREST),
        _table("Single predictions of a mixed-feature Pipeline", OTHER, medians, titles, MIXED),
        (
            "What it must show",
            ["", "found", "target", ""],
            [_verdict_row(one) for one in verdicts(rounds)],
        ),
    ]
    return [table for table in found if table[2]]


def _table(
    title: str,
    columns: Sequence[Column],
    medians: Medians,
    titles: Mapping[str, str],
    model: str,
) -> Table:
    rows = []
    for server in medians.servers(model):
        values = [(medians.of(server, name, model), how) for _, name, how in columns]
        if any(value is not None for value, _ in values):
            cells = ["-" if value is None else format(value, how) for value, how in values]
            rows.append([titles[server], *cells])
    return title, ["", *(head for head, _, _ in columns)], rows


def _verdict_row(verdict: Verdict) -> list[str]:
    sign = "≤" if verdict.at_most else "≥"
    found = "-" if verdict.found is None else f"{verdict.found:.2f}"
    return [verdict.sentence, found, f"{sign} {verdict.limit:g}", verdict.words]


def text(found: Sequence[Table]) -> str:
    """Return the tables as text."""
    return "\n\n".join(f"{title}\n{figures.table(heads, rows)}" for title, heads, rows in found)


def markdown(found: Sequence[Table]) -> str:
    """Return the tables as Markdown."""
    parts = []
    for title, heads, rows in found:
        lines = [heads, ["---"] * len(heads), *rows]
        body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        parts.append(f"## {title}\n\n{body}\n")
    return "\n".join(parts)
