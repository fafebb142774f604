"""What the application holds for its views, by its type."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flask import current_app, request

from model.service.contract.predictor import Predictor

if TYPE_CHECKING:
    from model.service.serving.metrics import Metrics


def predictor() -> Predictor:
    """Return the model that is served."""
    return cast("Predictor", current_app.extensions["predictor"])


def metrics() -> "Metrics":
    """Return what counts."""
    return cast("Metrics", current_app.extensions["metrics"])


def card() -> Mapping[str, Any]:
    """Return the model card."""
    return cast("Mapping[str, Any]", current_app.extensions["card"])


def openapi() -> Mapping[str, Any]:
    """Return the API's description, made when it is first asked for."""
    return cast("Callable[[], Mapping[str, Any]]", current_app.extensions["openapi"])()


def model_folder() -> Path:
    """Return where the model is."""
    return Path(current_app.config["MODEL_FOLDER"])


def request_id() -> str:
    """Return the request's id, or nothing if it has none."""
    return str(request.environ.get("prediction.request_id", ""))
