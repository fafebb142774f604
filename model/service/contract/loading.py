"""Loading the predictor from a model's folder, in the form that its card names."""

from pathlib import Path

from model.service.contract.card import CARD_FILE, ArtifactError, read_card, read_file
from model.service.contract.predictor import Predictor

ONNX_FILE = "model.onnx"


def load_predictor(folder: Path) -> Predictor:
    """Load the model in `folder` in the form that its card names.

    Only the modules that this form needs are imported.

    Raises ArtifactError if the folder contains no model that can be served.
    """
    card = read_card(folder)
    predictor: Predictor
    try:
        if card["form"] == "coefficients":
            from model.service.contract.forms import coefficients  # noqa: PLC0415 - this form only

            predictor = coefficients.load(card)
        elif card["form"] == "onnx":
            from model.service.contract.forms import onnx  # noqa: PLC0415 - this form only

            predictor = onnx.load(card, read_file(folder, card, ONNX_FILE))
        elif card["form"] == "estimator":
            from model.service.contract.artifact import load_estimator  # noqa: PLC0415 - this form only
            from model.service.contract.forms import estimator  # noqa: PLC0415 - this form only

            predictor = estimator.load(card, load_estimator(folder, card))
        else:
            raise ValueError(f"no form {card['form']!r}")  # noqa: TRY301 - told as the others
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"The form {card['form']} needs {error.name}: install requirements-{card['form']}.txt."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder / CARD_FILE} holds no model that can be served: {error}. "
            "Train the model again."
        ) from error
    return predictor
