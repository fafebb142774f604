"""The model card's plots of held-out predictions, as reproducible SVG."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.service.training.dependence import evenly
from model.service.training.result import HeldOut

# Inches; 640 x 480 in points, the units of the SVG.
SIZE = (640 / 72, 480 / 72)
MOST_POINTS = 1000
MOST_OUTPUTS = 4
MOST_CLASSES = 30
# With more classes than this, the cells have no numbers.
LEGIBLE_CLASSES = 12
RELIABILITY_BINS = 10
BLUE, GREY, RED = "#0b5cad", "#595959", "#a61e1e"
STYLE: Any = {
    "svg.fonttype": "none",  # keep text as text
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "text.parse_math": False,  # no math between dollar signs
}
DOCTYPE = re.compile("<!DOCTYPE[^>]*>\\s*")
# The points of a plot, which all repeat the same style.
POINTS = re.compile(
    r'(<g clip-path="[^"]*")>'
    r'((?:\s*<use xlink:href="[^"]*" x="[^"]*" y="[^"]*" style="([^"]*)"/>)+)'
)
METADATA = re.compile("\\s*<metadata>.*?</metadata>", re.DOTALL)


@dataclass(frozen=True)
class Plot:
    """A plot of the card: an SVG image and one sentence that describes it."""

    svg: bytes
    text: str


def plots_of(
    held_out: HeldOut | None, target_name: str, classes: Sequence[Any] | None
) -> dict[str, Plot]:
    """Return the plots by file name; none without held-out predictions.

    classes: those of a classifier; None for a regressor.
    """
    if held_out is None:
        return {}
    if classes is None:
        return _regression(held_out, target_name)
    if held_out.target.ndim > 1 or not classes:
        return {}
    plots = {}
    if held_out.probabilities is not None and held_out.probabilities.shape[1] == len(classes):
        plots["calibration.svg"] = _calibration(held_out, classes)
    if len(classes) <= MOST_CLASSES:
        plots["confusion.svg"] = _confusion(held_out, classes)
    return plots


def _regression(held_out: HeldOut, target_name: str) -> dict[str, Plot]:
    target, prediction = (
        np.asarray(values, float).reshape(len(held_out.target), -1)
        for values in (held_out.target, held_out.prediction)
    )
    plots = {}
    for output in range(min(target.shape[1], MOST_OUTPUTS)):
        suffix, of = ("", "") if target.shape[1] == 1 else (f"_{output + 1}", f" {output + 1}")
        arguments = target[:, output], prediction[:, output], f"{shorten(target_name, 50)}{of}"
        plots[f"residuals{suffix}.svg"] = _residuals(*arguments)
        plots[f"residual_distribution{suffix}.svg"] = _distribution(*arguments)
    return plots


def _residuals(target: NDArray[Any], prediction: NDArray[Any], name: str) -> Plot:
    residuals = target - prediction
    shown = evenly(len(target), MOST_POINTS)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(0, color=GREY, linewidth=1.5)
        axes.plot(prediction[shown], residuals[shown], "o", color=BLUE, alpha=0.5, markersize=4)
        axes.set(xlabel=f"predicted: {name}", ylabel="residual: true less predicted")

    sample = "" if len(shown) == len(target) else f", {len(shown)} of them drawn"
    return _plot(
        "Residuals",
        f"Residuals of {len(target)} held-out rows against their predictions{sample}: mean "
        f"{_figure(residuals.mean())}, standard deviation {_figure(residuals.std())}, "
        f"from {_figure(residuals.min())} to {_figure(residuals.max())}.",
        draw,
    )


def _distribution(target: NDArray[Any], prediction: NDArray[Any], name: str) -> Plot:
    residuals = target - prediction
    quartiles = np.quantile(residuals, [0.25, 0.5, 0.75])

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.hist(residuals, bins=30, color=BLUE, edgecolor="white", linewidth=0.5)
        axes.axvline(quartiles[1], color=RED, linewidth=2, label="median")
        axes.legend(frameon=False)
        axes.set(xlabel=f"residual, true less predicted: {name}", ylabel="held-out rows")

    return _plot(
        "Distribution of the residuals",
        f"Distribution of the residuals of {len(target)} held-out rows: median "
        f"{_figure(quartiles[1])}, half of them between {_figure(quartiles[0])} and "
        f"{_figure(quartiles[2])}.",
        draw,
    )


def _calibration(held_out: HeldOut, classes: Sequence[Any]) -> Plot:
    """Plot observed frequencies against predicted probabilities.

    With two classes, these are the probabilities of the second class; with more classes, those of
    the predicted class.
    """
    probabilities = held_out.probabilities
    labels = np.array(list(classes), dtype=object)
    target = held_out.target.astype(object)
    if len(classes) == 2:  # noqa: PLR2004 - yes or no
        said, what = probabilities[:, 1], f"of {classes[1]}"
        true = target == labels[1]
    else:
        said, what = probabilities.max(axis=1), "of the predicted class"
        true = target == labels[probabilities.argmax(axis=1)]
    bins = np.minimum((said * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    filled = np.unique(bins)
    counts = np.array([(bins == number).sum() for number in filled])
    mean = np.array([said[bins == number].mean() for number in filled])
    share = np.array([true[bins == number].mean() for number in filled])
    error = float((counts * np.abs(mean - share)).sum() / len(target))

    def draw(figure: Figure) -> None:
        curve, rows = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        curve.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
        curve.plot(mean, share, "o-", color=BLUE, label="this model")
        curve.legend(frameon=False)
        curve.set(ylabel="share that was true", xlim=(0, 1), ylim=(-0.02, 1.02))
        edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
        rows.hist(said, bins=list(edges), color=BLUE, edgecolor="white", linewidth=0.5)
        rows.set(xlabel=f"predicted probability {what}", ylabel="rows")

    return _plot(
        "Reliability curve",
        f"Of {len(target)} held-out rows, the predicted probability {what} against the share "
        f"for which it was true: on average {_figure(error)} apart.",
        draw,
    )


def _confusion(held_out: HeldOut, classes: Sequence[Any]) -> Plot:
    place = {label: number for number, label in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), int)
    for true, predicted in zip(held_out.target.tolist(), held_out.prediction.tolist(), strict=True):
        if true in place and predicted in place:
            counts[place[true], place[predicted]] += 1
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [shorten(str(label), 20) for label in classes]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white")
        middles = np.arange(len(classes)) + 0.5
        turned = 90 if sum(map(len, names)) > 60 else 0  # noqa: PLR2004 - characters in a line
        axes.set_xticks(middles, names, rotation=turned)
        axes.set_yticks(middles, names)
        axes.invert_yaxis()
        axes.set(xlabel="predicted", ylabel="true")
        if len(classes) <= LEGIBLE_CLASSES:
            for (row, column), count in np.ndenumerate(counts):
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    str(count),
                    horizontalalignment="center",
                    verticalalignment="center",
                    color="white" if shares[row, column] > 0.5 else "black",  # noqa: PLR2004
                )

    right = int(np.trace(counts))
    return _plot(
        "Confusion matrix",
        f"How often each class was predicted for each true one: {right} of {int(counts.sum())} "
        "held-out rows were right.",
        draw,
    )


def shorten(text: str, most: int) -> str:
    """Return the text, truncated to `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _plot(title: str, text: str, draw: Callable[[Figure], None]) -> Plot:
    with mpl.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = METADATA.sub("", DOCTYPE.sub("", buffer.getvalue().decode()), count=1)
    svg = POINTS.sub(
        lambda found: (
            f'{found[1]} style="{found[3]}">' + found[2].replace(f' style="{found[3]}"', "")
        ),
        svg,
    )
    # Pixels, the unit of web pages.
    svg = svg.replace('width="640pt" height="480pt"', 'width="640" height="480"', 1)
    opening = svg.index(">", svg.index("<svg ")) + 1
    named = (
        svg[: opening - 1]
        + ' role="img" aria-labelledby="title desc">'
        + f'\n <title id="title">{escape(title)}</title>\n <desc id="desc">{escape(text)}</desc>'
    )
    return Plot((named + svg[opening:]).encode(), text)


def _figure(value: float) -> str:
    return f"{float(value):.3g}"
