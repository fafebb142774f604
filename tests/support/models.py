"""Trained models of typical kinds, for the tests."""

import functools
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_linnerud, load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model.service.training import HeldOut, Training
from model.train import train

ISLANDS = ("Biscoe", "Dream", "Torgersen")
SPECIES = ("adelie", "chinstrap", "gentoo")
# The number of inputs for the proof of a form, in tests of other aspects.
PROVEN_BY = 2000


@functools.cache
def line() -> Training:
    """One number in, one number out: the default model."""
    return train()


@functools.cache
def many() -> Training:
    """Ten numbers in, one number out: linear."""
    data = load_diabetes(as_frame=True)
    return trained(LinearRegression(), data.data, data.target.to_numpy(), name="many")


@functools.cache
def forest() -> Training:
    """Ten numbers in, one number out: trees."""
    data = load_diabetes(as_frame=True)
    estimator = RandomForestRegressor(n_estimators=50, random_state=0)
    return trained(estimator, data.data, data.target.to_numpy(), name="forest")


@functools.cache
def mixed() -> Training:
    """Numbers, texts, booleans and missing values in, one of three texts out: trees."""
    estimator = make_pipeline(
        prepared_penguins(), GradientBoostingClassifier(n_estimators=20, random_state=0)
    )
    return trained(estimator, *penguins(), name="mixed")


@functools.cache
def mixed_linear() -> Training:
    """As `mixed`, with a linear classifier."""
    estimator = make_pipeline(prepared_penguins(), LogisticRegression(max_iter=1000))
    return trained(estimator, *penguins(), name="mixed_linear")


@functools.cache
def numbered() -> Training:
    """Thirteen numbers in, one of three whole numbers out."""
    data = load_wine(as_frame=True)
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    return trained(estimator, data.data, data.target.to_numpy(), name="numbered")


@functools.cache
def several() -> Training:
    """Three numbers in, three numbers out."""
    data = load_linnerud(as_frame=True)
    target = data.target.to_numpy()
    return trained(LinearRegression(), data.data, target, name="several", floor=-10.0)


MODELS = (line, many, forest, mixed, mixed_linear, numbered, several)


def penguins() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Return synthetic penguin measurements, with missing values, and the species."""
    random = np.random.default_rng(0)
    rows = 300
    species = random.integers(0, 3, rows)
    mass = (3700 + 1300 * (species == 2) + random.normal(0, 350, rows)).round()
    mass[random.random(rows) < 0.05] = np.nan
    sex = np.where(random.random(rows) < 0.5, "female", "male").astype(object)
    sex[random.random(rows) < 0.05] = None
    frame = pd.DataFrame(
        {
            "bill_mm": (39 + 10 * (species > 0) + random.normal(0, 2.5, rows)).round(1),
            "body_g": mass,
            "age": random.integers(1, 15, rows),
            "island": np.array(ISLANDS, object)[(species + random.integers(0, 2, rows)) % 3],
            "sex": sex,
            "tagged": random.random(rows) < 0.3,
        }
    )
    return frame, np.array(SPECIES, object)[species]


def prepared_penguins() -> Any:
    """Return a transformer of the penguin measurements to numbers."""
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["bill_mm", "body_g", "age"]),
        (
            OneHotEncoder(handle_unknown="ignore"),
            ["island", "sex"],
        ),
        remainder="passthrough",
    )


def trained(
    estimator: Any, frame: pd.DataFrame, target: Any, *, name: str, floor: float = 0.3
) -> Training:
    """Return the training of an estimator, with held-out predictions by cross-validation."""
    folds = KFold(n_splits=5, shuffle=True, random_state=0)
    probabilities = None
    if is_classifier(estimator):
        metric, score = "accuracy", accuracy_score
        probabilities = cross_val_predict(
            estimator, frame, target, cv=folds, method="predict_proba"
        )
        held_out = np.unique(target)[probabilities.argmax(axis=1)]
    else:
        metric, score = "r2", r2_score
        held_out = cross_val_predict(estimator, frame, target, cv=folds)
    return Training(
        name=name,
        estimator=estimator.fit(frame, target),
        frame=frame,
        target=target,
        target_name=f"the {name} model's target",
        dataset="made for tests",
        metrics={metric: float(score(target, held_out))},
        evaluation="5-fold cross-validation",
        floors={metric: floor},
        held_out=HeldOut(target=target, prediction=held_out, probabilities=probabilities),
        shown_rows=50,
    )
