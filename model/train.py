"""Train the model: the one file to replace with your own.

`train` takes no arguments and returns a `Training` (see `service/training/result.py`): any
scikit-learn estimator or Pipeline, fitted on all rows of a DataFrame (numbers, booleans and texts,
with missing values) or of an array of numbers, its metrics on unseen rows, and bounds for these
metrics. A minimal example:

    def train():
        frame = pandas.read_csv("data.csv")
        target = frame.pop("price")
        estimator = make_pipeline(StandardScaler(), Ridge())
        scores = cross_val_score(estimator, frame, target, scoring="r2")
        return Training(
            estimator=estimator.fit(frame, target),
            frame=frame,
            target=target,
            target_name="price in EUR",
            dataset="data.csv",
            metrics={"r2": scores.mean()},
            evaluation="mean of a 5-fold cross-validation",
            floors={"r2": 0.5},
        )

It runs once, while the image is built. Saving, compilation, the model card and the server are
implemented elsewhere.
"""

from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict, cross_validate

from model.service.training import HeldOut, Training

FEATURE = 2  # the body mass index
# scikit-learn negates errors, so that greater is better; the factor restores the sign.
SCORERS = {
    "r2": ("r2", 1),
    "root_mean_squared_error": ("neg_root_mean_squared_error", -1),
    "mean_absolute_error": ("neg_mean_absolute_error", -1),
}


def train() -> Training:
    """Fit a line through one feature of scikit-learn's diabetes data."""
    data = load_diabetes()
    features, target = data.data[:, [FEATURE]], data.target
    estimator = LinearRegression()
    folds = KFold(n_splits=5, shuffle=True, random_state=0)
    scorers = [scorer for scorer, _ in SCORERS.values()]
    scores = cross_validate(estimator, features, target, cv=folds, scoring=scorers)
    return Training(
        name="diabetes",
        estimator=estimator.fit(features, target),
        frame=features,
        target=target,
        parameters={"f": data.feature_names[FEATURE]},
        shown_rows=200,
        target_name="disease progression one year after baseline",
        dataset="sklearn.datasets.load_diabetes",
        metrics={
            name: sign * scores[f"test_{scorer}"].mean() for name, (scorer, sign) in SCORERS.items()
        },
        evaluation=(
            "mean over the held-out folds of a 5-fold cross-validation (shuffled, seed 0) "
            "of the same estimator"
        ),
        floors={"r2": 0.25},
        held_out=HeldOut(
            target=target, prediction=cross_val_predict(estimator, features, target, cv=folds)
        ),
    )
