"""The linear model, with one feature, and batches."""

import numpy as np
from estimator import ESTIMATOR
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Batch(BaseModel):
    """A batch of rows."""

    rows: list[list[float]]


@app.get("/prediction/")
async def prediction(f: float) -> dict[str, float]:
    """Predict a row."""
    return {"prediction": ESTIMATOR.predict(np.array([[f]]))[0]}


@app.post("/predictions")
async def predictions(batch: Batch) -> dict[str, list[float]]:
    """Predict rows."""
    return {"predictions": ESTIMATOR.predict(np.array(batch.rows)).tolist()}
