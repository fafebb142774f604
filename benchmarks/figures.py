"""What the benchmarks do with their figures: medians, ratios, growth, tables. Pure."""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A machine that does other things as well makes differences of this much, in seconds.
NOISE = 2.0


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return the rows in columns below their heads: texts to the left, numbers to the right."""
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
    """Return a table of minimum, median and maximum, and each median's ratio to `goal`'s.

    times: seconds of each round, by what was measured.
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
    """Return what each further one costs, in seconds, between one count and the next.

    seconds: by the number of things.
    """
    counts = sorted(seconds)
    return {
        (fewer, more): (seconds[more] - seconds[fewer]) / (more - fewer)
        for fewer, more in itertools.pairwise(counts)
    }


def grows_faster_than_linear(seconds: Mapping[int, float], allowance: float = 1.5) -> bool:
    """Return whether a thing costs more the more of them there are, beyond noise.

    That is so when it costs more on average than at the count before, or when the last step
    costs more a thing than `allowance` times the step before it. The very first step is not
    compared: few things hide in what must be waited for anyway.

    seconds: by the number of things.
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
    """Return the names that took longest, with the seconds of all tasks of a name together."""
    total: dict[str, float] = {}
    for name, seconds in tasks:
        total[name] = total.get(name, 0.0) + seconds
    return sorted(total.items(), key=lambda item: -item[1])[:number]
