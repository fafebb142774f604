"""Plot the figures: python plot.py RESULTS.json PLOT.svg."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

PANELS = (
    ("cpu_us", "CPU of a prediction, µs"),
    ("p99_ms_at_200", "p99 at 200 requests/s, ms"),
    ("batch_10000_ns", "CPU of a row in a batch of 10,000, ns"),
    ("memory_mb", "memory, MB"),
    ("start_s", "from start to first answer, s"),
    ("installed_mb", "installed, MB"),
)
COLUMNS = 2
SMALL = 10
OURS_COLOUR, PEER_COLOUR = "#0b6e4f", "#9aa5b1"


def label(value: float) -> str:
    """Return a value with at least two significant digits."""
    return f"{value:,.0f}" if value >= SMALL else f"{value:.2g}"


def draw(results: dict[str, Any]) -> Figure:
    """Return a bar chart for each figure, in ascending order."""
    titles, servers = results["titles"], results["rounds"]["linear"]
    panels = {
        head: sorted(
            (
                (statistics.median(found[name]), server)
                for server, found in servers.items()
                if found.get(name)
            ),
            reverse=True,
        )
        for name, head in PANELS
    }
    panels = {head: medians for head, medians in panels.items() if medians}
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(13, 3.4 * rows), layout="constrained")
    for number, (head, medians) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, COLUMNS, number)
        bars = axes.barh(
            [titles[server] for _, server in medians],
            [value for value, _ in medians],
            color=[OURS_COLOUR if server == "ours" else PEER_COLOUR for _, server in medians],
        )
        axes.bar_label(
            bars,
            labels=[label(value) for value, _ in medians],
            padding=3,
        )
        axes.set_xscale("log")
        axes.margins(x=0.15)
        axes.set_title(head)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Read the results and write the plot."""
    source, target = map(Path, sys.argv[1:])
    # A fixed salt makes the SVG reproducible.
    mpl.rcParams["svg.hashsalt"] = "docker-ml-api"
    results = json.loads(source.read_text(encoding="utf-8"))
    draw(results).savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
