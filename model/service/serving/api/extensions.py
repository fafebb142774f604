"""Typed access to the objects that the application provides to its views."""

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
    """Return the metrics."""
    return cast("Metrics", current_app.extensions["metrics"])


def card() -> Mapping[str, Any]:
    """Return the model card."""
    return cast("Mapping[str, Any]", current_app.extensions["card"])


def openapi() -> Mapping[str, Any]:
    """Return the OpenAPI document, created on first use."""
    return cast("Callable[[], Mapping[str, Any]]", current_app.extensions["openapi"])()


def model_folder() -> Path:
    """Return the folder of the model."""
    return Path(current_app.config["MODEL_FOLDER"])


def request_id() -> str:
    """Return the request's ID, or an empty string if it has none."""
    return str(request.environ.get("prediction.request_id", ""))
