"""Evaluation of the benchmarks' figures: medians, ratios, growth, tables. Pure functions."""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Differences up to this many seconds are noise, caused by other activity on the machine.
NOISE = 2.0


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with column headings; texts are left-aligned, numbers right-aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    right = [
        bool(rows) and all(_is_figure(row[index]) for row in cells) for index in range(len(heads))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(heads), *cells]
    ]
    return "\n".join(lines)


def _is_figure(text: str) -> bool:
    return text == "-" or text.rstrip("x%s m").replace(",", "").replace(".", "", 1).isdigit()


def summary(times: Mapping[str, Sequence[float]], goal: str) -> str:
    """Return a table of minimum, median, maximum, and the ratio of each median to `goal`'s.

    times: seconds of each round, by the name of the measurement.
    """
    base = statistics.median(times[goal])
    rows = [
        (
            name,
            f"{min(values):.2f} s",
            f"{statistics.median(values):.2f} s",
            f"{max(values):.2f} s",
            f"{statistics.median(values) / base:.2f}x",
        )
        for name, values in times.items()
    ]
    return table(("", "min", "median", "max", "ratio"), rows)


def ratio(times: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """Return the median of one measurement divided by that of another."""
    return statistics.median(times[name]) / statistics.median(times[base])


def marginal_costs(seconds: Mapping[int, float]) -> dict[tuple[int, int], float]:
    """Return the marginal cost per item, in seconds, between each count and the next.

    seconds: by the number of items.
    """
    counts = sorted(seconds)
    return {
        (fewer, more): (seconds[more] - seconds[fewer]) / (more - fewer)
        for fewer, more in itertools.pairwise(counts)
    }


def grows_faster_than_linear(seconds: Mapping[int, float], allowance: float = 1.5) -> bool:
    """Return whether the cost per item grows with the number of items, beyond noise.

    This is the case if the average cost is higher than at the previous count, or if the last step
    costs more per item than `allowance` times the step before it. The very first step is not
    compared: the cost of few items is hidden by waiting times that occur anyway.

    seconds: by the number of items.
    """
    counts = sorted(seconds)
    on_average = any(
        seconds[more] > seconds[fewer] / fewer * more + NOISE
        for fewer, more in itertools.pairwise(counts)
    )
    costs = list(marginal_costs(seconds).values())[1:]
    if len(costs) < 2:  # noqa: PLR2004 - a step and the one before it
        return on_average
    before, last = costs[-2:]
    number = counts[-1] - counts[-2]
    return on_average or last * number > max(before, 0.0) * allowance * number + NOISE


def slowest(tasks: Sequence[tuple[str, float]], number: int = 10) -> list[tuple[str, float]]:
    """Return the slowest task names, each with the total seconds of all tasks with that name."""
    total: dict[str, float] = {}
    for name, seconds in tasks:
        total[name] = total.get(name, 0.0) + seconds
    return sorted(total.items(), key=lambda item: -item[1])[:number]
