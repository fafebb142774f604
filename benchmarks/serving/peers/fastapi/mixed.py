"""The mixed model, with numbers and a category."""

from typing import Annotated

import pandas as pd
from estimator import ESTIMATOR
from fastapi import FastAPI, Query
from pydantic import BaseModel

app = FastAPI()


class Row(BaseModel):
    """The features, in the order in which the model was fitted."""

    age: float
    bmi: float
    bp: float
    sex: str


@app.get("/prediction/")
async def prediction(row: Annotated[Row, Query()]) -> dict[str, float]:
    """Predict a row."""
    return {"prediction": ESTIMATOR.predict(pd.DataFrame([row.model_dump()]))[0]}
