"""A Pipeline for numbers and a category: scaling, one-hot encoding, boosted trees."""

from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model.service.training import Training

NUMBERS = ["age", "bmi", "bp"]
CATEGORIES = ["sex"]


def train() -> Training:
    """Fit the Pipeline to four features of scikit-learn's diabetes data, in their own units."""
    data = load_diabetes(as_frame=True, scaled=False)
    frame = data.frame[NUMBERS + CATEGORIES]
    # The data set does not document the meaning of the values.
    frame = frame.assign(sex=frame["sex"].map({1.0: "a", 2.0: "b"}))
    estimator = make_pipeline(
        make_column_transformer(
            (StandardScaler(), NUMBERS),
            (OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
        ),
        GradientBoostingRegressor(random_state=0),
    )
    scores = cross_val_score(estimator, frame, data.target, cv=3)
    return Training(
        name="mixed",
        estimator=estimator.fit(frame, data.target.to_numpy()),
        frame=frame,
        target=data.target.to_numpy(),
        target_name="disease progression one year after baseline",
        dataset="sklearn.datasets.load_diabetes",
        metrics={"r2": float(scores.mean())},
        evaluation="mean over three folds",
        floors={"r2": 0.2},
    )
