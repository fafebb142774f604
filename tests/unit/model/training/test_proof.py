"""A form has a prediction for the rows for which scikit-learn has one, and for no others."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model.service.contract.features import Feature
from model.service.contract.forms.estimator import EstimatorPredictor
from model.service.training.proof import DifferenceError, compare

NUMBERS = np.linspace(1.0, 9.0, 60)
LABELS = np.where(NUMBERS > 5, "high", "low")


class Form:
    """scikit-learn, except for the rows that the function `changed` chooses."""

    def __init__(self, reference: EstimatorPredictor, changed: Any, label: str | None) -> None:
        self.reference = reference
        self.changed = changed
        self.label = label
        self.classes = reference.classes

    def predict(self, columns: Any) -> Any:
        labels = self.reference.predict(columns).astype(object)
        labels[self.changed(np.asarray(columns[0]))] = self.label
        return labels

    def probabilities(self, columns: Any) -> Any:
        return self.reference.probabilities(columns)

    def text(self, row: Any) -> str:
        return self.reference.text(row)


@pytest.mark.parametrize(
    ("changed", "label", "said"),
    [
        (lambda numbers: numbers == -1.0, "low", r"has a prediction for \[-1.0\], which scikit"),
        (lambda numbers: numbers == NUMBERS[3], None, r"has no prediction for the input \[1.4"),
        # Whether the scores of such a row overflow depends on the order of a sum.
        (lambda numbers: np.abs(numbers) > 1e30, None, ""),
        (lambda numbers: numbers == 123.0, None, ""),
    ],
)
def test_rows_without_a_prediction(changed: Any, label: str | None, said: str) -> None:
    logarithm = make_pipeline(FunctionTransformer(np.log), LogisticRegression())
    logarithm.fit(NUMBERS.reshape(-1, 1), LABELS)
    feature = Feature(name="n", column="n", kind="number", least=1.0, most=9.0)
    reference = EstimatorPredictor((feature,), "classification", 1, logarithm, None)
    form: Any = Form(reference, changed, label)
    if said:
        with pytest.raises(DifferenceError, match=said):
            compare(form, reference, [NUMBERS], 1e-9, inputs=1000)
    else:
        assert compare(form, reference, [NUMBERS], 1e-9, inputs=1000).inputs >= 1000
