"""The model card's plots: correct, accessible, self-contained and small."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from model.service.training import HeldOut, Training
from model.service.training.plots import Plot, plots_of
from model.service.training.saving import classes_of
from support import models

SVG = "{http://www.w3.org/2000/svg}"


def plots(training: Training) -> dict[str, Plot]:
    classifies = hasattr(training.estimator, "classes_")
    classes = classes_of(training) if classifies else None
    return plots_of(training.held_out, training.target_name, classes)


def parsed(plot: Plot) -> ET.Element:
    return ET.fromstring(plot.svg)  # noqa: S314 - our own


def texts(plot: Plot) -> list[str]:
    return [element.text or "" for element in parsed(plot).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("train", "names"),
    [
        (models.line, ["residuals.svg", "residual_distribution.svg"]),
        (models.mixed, ["calibration.svg", "confusion.svg"]),
        (models.numbered, ["calibration.svg", "confusion.svg"]),
        (
            models.several,
            [
                f"{kind}_{output}.svg"
                for output in (1, 2, 3)
                for kind in ("residuals", "residual_distribution")
            ],
        ),
    ],
)
def test_each_plot_stands_alone(train: Callable[[], Training], names: list[str]) -> None:
    drawn = plots(train())
    assert list(drawn) == names
    for plot in drawn.values():
        root = parsed(plot)
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == "title desc"
        assert root[0].get("id") == "title"
        assert root[0].text
        assert root[1].get("id") == "desc"
        assert root[1].text == plot.text
        assert (root.get("width"), root.get("height")) == ("640", "480")
        references = re.findall(r'(?:href="|url\()([^")]*)', plot.svg.decode())
        assert all(reference.startswith("#") for reference in references)
        assert b"<!DOCTYPE" not in plot.svg
        assert b"<metadata" not in plot.svg
        assert b"<image" not in plot.svg
        assert len(plot.svg) < 100_000


def test_the_same_predictions_are_drawn_by_the_same_bytes() -> None:
    assert plots(models.line()) == plots(models.line())


def test_residuals_are_those_of_the_held_out_rows(training: Training) -> None:
    drawn = plots(training)["residuals.svg"]
    assert training.held_out
    residuals = training.held_out.target - training.held_out.prediction
    assert f"standard deviation {residuals.std():.3g}" in drawn.text
    assert drawn.svg.count(b"<use ") >= len(residuals)
    assert any("disease progression" in text for text in texts(drawn))


def test_many_rows_are_drawn_by_some() -> None:
    target = np.arange(50_000.0)
    drawn = plots_of(HeldOut(target=target, prediction=target + 1), "y", None)
    assert "Residuals of 50000 held-out rows" in drawn["residuals.svg"].text
    assert "1000 of them drawn" in drawn["residuals.svg"].text
    assert "mean -1, standard deviation 0" in drawn["residuals.svg"].text
    assert all(len(plot.svg) < 200_000 for plot in drawn.values())


def test_calibration_of_two_classes_is_of_the_second() -> None:
    target = np.array(["no", "yes"] * 50)
    said = np.full(100, 0.75)
    held_out = HeldOut(
        target=target, prediction=target, probabilities=np.stack([1 - said, said], axis=1)
    )
    drawn = plots_of(held_out, "y", ["no", "yes"])["calibration.svg"]
    assert "predicted probability of yes" in drawn.text
    assert "on average 0.25 apart" in drawn.text


def test_calibration_of_more_classes_is_of_the_predicted_one() -> None:
    target = np.array([0, 1, 2] * 10)
    probabilities = np.eye(3)[target] * 0.8 + 0.2 / 3
    held_out = HeldOut(target=target, prediction=target, probabilities=probabilities)
    drawn = plots_of(held_out, "y", [0, 1, 2])["calibration.svg"]
    assert "of the predicted class" in drawn.text
    assert f"on average {1 - 0.8 - 0.2 / 3:.3g} apart" in drawn.text


def test_the_confusion_matrix_counts() -> None:
    held_out = HeldOut(
        target=["a", "a", "a", "b", "b"], prediction=["a", "a", "b", "b", "c"], probabilities=None
    )
    drawn = plots_of(held_out, "y", ["a", "b", "c"])
    assert list(drawn) == ["confusion.svg"]
    assert "3 of 5 held-out rows were right" in drawn["confusion.svg"].text
    cells = [text for text in texts(drawn["confusion.svg"]) if text.isdigit()]
    assert cells == ["2", "1", "0", "0", "1", "1", "0", "0", "0"]


@pytest.mark.parametrize(
    ("held_out", "classes"),
    [
        (None, None),
        (None, ["a", "b"]),
        (HeldOut(target=[["a", "b"]], prediction=[["a", "b"]]), []),
        (HeldOut(target=range(40), prediction=range(40)), list(range(40))),
    ],
)
def test_what_cannot_be_drawn_is_left_out(held_out: HeldOut | None, classes: Any) -> None:
    assert plots_of(held_out, "y", classes) == {}


def test_names_are_text_whatever_is_in_them() -> None:
    held_out = HeldOut(target=[1.0, 2.0, 3.0], prediction=[1.0, 2.5, 3.0])
    drawn = plots_of(held_out, "price in $ & <b>, $x^2$", None)["residuals.svg"]
    assert "predicted: price in $ & <b>, $x^2$" in texts(drawn)
