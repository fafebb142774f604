"""A random forest with ten features."""

from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor

from model.service.training import Training


def train() -> Training:
    """Fit the forest to scikit-learn's complete diabetes data."""
    data = load_diabetes()
    estimator = RandomForestRegressor(n_estimators=100, oob_score=True, random_state=0)
    estimator.fit(data.data, data.target)
    return Training(
        name="forest",
        estimator=estimator,
        frame=data.data,
        target=data.target,
        parameters={name: name for name in data.feature_names},
        target_name="disease progression one year after baseline",
        dataset="sklearn.datasets.load_diabetes",
        metrics={"r2": float(estimator.oob_score_)},
        evaluation="on the rows that each tree was not fitted on",
        floors={"r2": 0.2},
    )
