"""scikit-learn itself behind the predictor's methods."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer

from model.service.contract.features import Feature, to_card
from model.service.contract.forms import estimator as estimator_form
from model.service.contract.forms.estimator import EstimatorPredictor, dtype_of, parts_of, series
from model.service.contract.predictor import OverflowedError, RefusedError
from model.service.training import Training
from model.service.training.profile import features_of
from support import models

NUMBER = Feature(name="n", column="n", kind="number", nullable=True)
WHOLE = Feature(name="w", column="w", kind="integer")
TEXT = Feature(name="t", column="t", kind="text", nullable=True)
CATEGORY = Feature(name="c", column="c", kind="category", closed=True, categories=("a", "b"))


def of(training: Training) -> EstimatorPredictor:
    framed = isinstance(training.frame, pd.DataFrame)
    dtypes = [dtype_of(training.frame[name]) for name in training.frame] if framed else None
    task = "classification" if hasattr(training.estimator, "classes_") else "regression"
    outputs = 1 if training.target.ndim == 1 else training.target.shape[1]
    return EstimatorPredictor(features_of(training), task, outputs, training.estimator, dtypes)


def test_it_answers_as_the_estimator_does() -> None:
    training = models.mixed()
    predictor = of(training)
    columns = [
        [None if pd.isna(value) else value for value in training.frame[name].tolist()]
        for name in training.frame
    ]
    expected = training.estimator.predict(training.frame)
    assert predictor.predict(columns).tolist() == expected.tolist()
    assert predictor.classes == models.SPECIES
    assert np.array_equal(
        predictor.probabilities(columns), training.estimator.predict_proba(training.frame)
    )
    assert predictor.text([column[0] for column in columns]) == str(expected[:1])


def test_an_array_is_given_an_array() -> None:
    predictor = of(models.line())
    assert predictor.text([0.05]) == str(models.line().estimator.predict([[0.05]]))
    assert predictor.classes == ()


def test_what_overflows_is_told() -> None:
    with pytest.raises(OverflowedError):
        of(models.line()).text([1e308])


def test_trees_take_what_is_beyond_single_precision() -> None:
    predictor = of(models.forest())
    row = models.forest().frame.iloc[0].tolist()
    assert predictor.text([1e39, *row[1:]]) == predictor.text([3e38, *row[1:]])


POSITIVE = np.linspace(1.0, 9.0, 60).reshape(-1, 1)
LABELS = np.where(POSITIVE.ravel() > 5, "high", "low")
NAN = "Input X contains NaN"


def fitted(*steps: object, target: np.ndarray = LABELS, framed: bool = False) -> EstimatorPredictor:
    """Return the predictor of a pipeline that was fitted on positive numbers."""
    frame = pd.DataFrame(POSITIVE, columns=["n"]) if framed else POSITIVE
    estimator = make_pipeline(*steps).fit(frame, target)
    task = "classification" if hasattr(estimator, "classes_") else "regression"
    feature = Feature(name="n", column="n", kind="number")
    return EstimatorPredictor((feature,), task, 1, estimator, ["float64"] if framed else None)


def log() -> FunctionTransformer:
    return FunctionTransformer(np.log)


# Case: (predictor of positive numbers, the reason for -1)
REFUSING = {
    "labels": (lambda: fitted(log(), LogisticRegression()), NAN),
    "labels, of a frame": (lambda: fitted(log(), LogisticRegression(), framed=True), NAN),
    "labels by votes": (
        lambda: fitted(VotingClassifier([("a", make_pipeline(log(), LogisticRegression()))])),
        NAN,
    ),
    "numbers": (lambda: fitted(log(), LinearRegression(), target=POSITIVE.ravel()), NAN),
    "numbers of neighbours": (
        lambda: fitted(log(), KNeighborsRegressor(), target=POSITIVE.ravel()),
        NAN,
    ),
    "a transformer that raises": (
        lambda: fitted(PowerTransformer("box-cox"), LogisticRegression()),
        "The Box-Cox transformation can only be applied to strictly positive data",
    ),
}


@pytest.mark.parametrize(("made", "reason"), REFUSING.values(), ids=REFUSING)
def test_a_row_that_the_estimator_rejects_has_no_prediction(made, reason) -> None:
    predictor = made()
    with pytest.raises(RefusedError) as raised:
        predictor.text([-1.0])
    assert str(raised.value) == reason
    assert not isinstance(raised.value, OverflowedError)

    good, batch = [2.0, 8.0], [2.0, -1.0, 8.0, -3.0]
    expected = predictor.predict([good]).tolist()
    found = predictor.predict([batch]).tolist()
    assert [found[0], found[2]] == expected
    assert all(value is None or np.isnan(value) for value in (found[1], found[3]))
    if predictor.classes:
        assert np.isnan(predictor.probabilities([batch])).any(axis=1).tolist() == [
            False, True, False, True
        ]  # fmt: skip
    # None of a batch has one.
    assert pd.isna(predictor.predict([[-1.0, -2.0]])).all()


def test_trees_that_take_missing_numbers_take_those_that_arise() -> None:
    predictor = fitted(log(), HistGradientBoostingClassifier())
    assert predictor.predict([[2.0, -1.0]]).tolist()[1] in ("high", "low")


def test_a_batch_is_answered_as_its_rows_are() -> None:
    """Trees take NaN, but no infinite number."""
    predictor = fitted(log(), RandomForestClassifier(3, random_state=0))
    found = predictor.predict([[2.0, -1.0, 0.0, 8.0, -2.0, 0.0]]).tolist()
    assert [found[2], found[5]] == [None, None]
    for row, label in ((2.0, found[0]), (-1.0, found[1]), (8.0, found[3]), (-2.0, found[4])):
        assert predictor.text([row]) == f"['{label}']"
    with pytest.raises(RefusedError, match="infinity"):
        predictor.text([0.0])


def test_a_label_of_scores_that_overflow_is_none() -> None:
    """The sign of such a score depends on the order of the sum, so on the number of rows."""
    frame = np.column_stack([POSITIVE, POSITIVE[::-1]])
    estimator = LogisticRegression().fit(frame, LABELS)
    estimator.coef_ = np.array([[10.0, -10.0]])
    features = tuple(Feature(name=n, column=n, kind="number") for n in "ab")
    predictor = EstimatorPredictor(features, "classification", 1, estimator, None)
    with pytest.raises(OverflowedError):
        predictor.text([1e308, 1e308])
    assert predictor.predict([[1e308, 1.0], [1e308, 9.0]]).tolist() == [None, "high"]


def test_it_is_served_by_one_job() -> None:
    forest = RandomForestClassifier(3, n_jobs=2, random_state=0)
    votes = VotingClassifier([("a", forest)], n_jobs=-1).fit(POSITIVE, LABELS)
    feature = to_card(Feature(name="n", column="n", kind="number"))
    card = {"features": [feature], "task": "classification", "outputs": 1, "dtypes": None}
    predictor = estimator_form.load(card, votes)
    assert {part.n_jobs for part in parts_of(votes) if hasattr(part, "n_jobs")} == {1}
    assert votes.estimators_[0].n_jobs == 1
    assert predictor.text([2.0]) == "['low']"


def test_finding_rejected_rows_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimator_form, "MOST_PARTS", 10)
    predictor = fitted(log(), LogisticRegression())
    # Each row's NaN is found in one pass.
    assert predictor.predict([[2.0, -1.0] * 64]).tolist() == ["low", None] * 64
    # A transformer that raises hides its rows.
    predictor = fitted(PowerTransformer("box-cox"), LogisticRegression())
    found = predictor.predict([[2.0] * 64 + [-1.0] * 64]).tolist()
    assert found[:64] == ["low"] * 64
    assert found[64:] == [None] * 64
    assert predictor.predict([[2.0, -1.0] * 64]).tolist()[-1] is None


@pytest.mark.parametrize(
    ("feature", "dtype", "values", "expected"),
    [
        (NUMBER, "float32", [1.5, None], pd.Series([1.5, np.nan])),
        (WHOLE, "int8", [300, -1], pd.Series([300, -1])),
        (WHOLE, "int64", [10**30], pd.Series([1e30])),
        (TEXT, "object", ["a", None], pd.Series(["a", None], dtype=object)),
        (TEXT, "object, missing is nan", ["a", None], pd.Series(["a", np.nan], dtype=object)),
        (TEXT, "str", ["a", None], pd.Series(["a", None], dtype="str")),
        (CATEGORY, "category", ["b"], pd.Series(["b"], dtype=pd.CategoricalDtype(["a", "b"]))),
    ],
)
def test_columns(
    feature: Feature, dtype: str, values: list[object], expected: "pd.Series[object]"
) -> None:
    pd.testing.assert_series_equal(series(feature, dtype, values), expected)
