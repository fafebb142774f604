"""The seed's implementation: a Flask application that unpickles its model for each request."""

import os
import pickle
from pathlib import Path

from flask import Flask, request

MODEL = Path(os.environ["MODEL"])

app = Flask(__name__)


@app.route("/isAlive")
def is_alive() -> str:
    """Report that the service is alive."""
    return "true"


@app.route("/prediction/", methods=["GET"])
def prediction() -> str:
    """Return the prediction for f."""
    feature = float(request.args["f"])
    with MODEL.open("rb") as file:
        model = pickle.load(file)  # noqa: S301 - made by the benchmark itself
    return str(model.predict([[feature]]))
