"""Partial dependence: what the card's page draws."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.inspection import partial_dependence as reference
from sklearn.svm import LinearSVC

from model.service.training import Training
from model.service.training.dependence import POINTS, evenly, partial_dependence, rounded
from model.service.training.profile import features_of
from model.service.training.saving import classes_of
from support import models


def dependence(training: Training) -> list[dict[str, Any]]:
    return partial_dependence(training, features_of(training), classes_of(training))


def test_of_a_line_it_is_the_line(training: Training) -> None:
    (entry,) = dependence(training)
    assert entry["feature"] == "f"
    assert len(entry["values"]) == POINTS
    assert entry["values"] == sorted(entry["values"])
    assert (entry["values"][0], entry["values"][-1]) == (
        training.frame.min(),
        training.frame.max(),
    )
    expected = training.estimator.predict(np.array([entry["values"]]).T)
    assert entry["predictions"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_it_is_what_scikit_learn_calls_so() -> None:
    training = models.forest()
    entry = dependence(training)[2]
    assert entry["feature"] == "bmi"
    expected = reference(
        training.estimator,
        training.frame,
        ["bmi"],
        custom_values={"bmi": np.array(entry["values"])},
        kind="average",
        method="brute",
    )["average"][0]
    assert entry["predictions"] == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("train", models.MODELS, ids=lambda train: train.__name__)
def test_each_feature_has_values_of_its_own(train: Callable[[], Training]) -> None:
    training = train()
    entries = dependence(training)
    assert [entry["feature"] for entry in entries] == list(training.names)
    for entry, feature in zip(entries, features_of(training), strict=True):
        assert len(entry["values"]) == len(entry["predictions"]) <= POINTS
        if feature.is_numeric:
            assert feature.least <= min(entry["values"])
            assert max(entry["values"]) <= feature.most
        else:
            assert entry["values"] == list(feature.categories)


@pytest.mark.parametrize("train", [models.mixed, models.numbered])
def test_of_a_classifier_it_is_the_probability_of_each_class(
    train: Callable[[], Training],
) -> None:
    for entry in dependence(train()):
        assert np.array(entry["predictions"]).shape[1] == 3
        assert np.allclose(np.sum(entry["predictions"], axis=1), 1, atol=1e-5)


def test_without_probabilities_it_is_how_often_a_class_is_predicted() -> None:
    training = models.numbered()
    fitted = LinearSVC().fit(training.frame, training.target)
    for entry in dependence(dataclasses.replace(training, estimator=fitted)):
        assert np.allclose(np.sum(entry["predictions"], axis=1), 1, atol=1e-5)


def test_of_several_outputs_it_has_each() -> None:
    for entry in dependence(models.several()):
        assert np.array(entry["predictions"]).shape[1] == 3


class Counting(DummyRegressor):  # type: ignore[misc]
    """Counts the rows that it predicts."""

    asked = 0

    def predict(self, X: Any) -> Any:  # noqa: N803
        Counting.asked += len(X)
        return super().predict(X)


def test_it_asks_for_no_more_than_a_million_predictions() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).random((600, 300)))
    frame.columns = [f"c{number}" for number in range(300)]
    fitted = Counting().fit(frame, np.arange(600.0))
    training = dataclasses.replace(
        models.line(), estimator=fitted, frame=frame, target=np.arange(600.0), parameters=None
    )
    features = features_of(training)
    Counting.asked = 0
    assert len(partial_dependence(training, features, [])) == 300
    assert 300 * POINTS < Counting.asked <= 1_000_000


def test_a_free_text_has_none() -> None:
    frame = pd.DataFrame({"x": [f"word {number}" for number in range(150)], "y": range(150)})
    fitted = DummyRegressor().fit(frame, np.arange(150.0))
    training = dataclasses.replace(
        models.line(), estimator=fitted, frame=frame, target=np.arange(150.0), parameters=None
    )
    assert [entry["feature"] for entry in dependence(training)] == ["y"]


@pytest.mark.parametrize(
    ("length", "count", "places"),
    [(5, 0, []), (5, 2, [0, 4]), (5, 3, [0, 2, 4]), (3, 10, [0, 1, 2]), (1, 1, [0])],
)
def test_places_are_evenly_spaced(length: int, count: int, places: list[int]) -> None:
    assert evenly(length, count).tolist() == places


def test_the_last_bits_are_left_out() -> None:
    assert rounded([0.1 + 0.2, [123456789.0], 1e-300]) == [0.3, [123457000.0], 1e-300]
