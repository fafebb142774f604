"""The forest, with ten features."""

from typing import Annotated

import numpy as np
from estimator import ESTIMATOR
from fastapi import FastAPI, Query
from pydantic import BaseModel

app = FastAPI()


class Row(BaseModel):
    """The features, in the order in which the model was fitted."""

    age: float
    sex: float
    bmi: float
    bp: float
    s1: float
    s2: float
    s3: float
    s4: float
    s5: float
    s6: float


@app.get("/prediction/")
async def prediction(row: Annotated[Row, Query()]) -> dict[str, float]:
    """Predict a row."""
    return {"prediction": ESTIMATOR.predict(np.array([list(row.model_dump().values())]))[0]}
