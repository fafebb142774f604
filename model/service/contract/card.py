"""Reading the model card, `card.json`, and the files beside it whose checksums it contains."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.service.contract.features import from_card

MODEL_FOLDER = Path(__file__).resolve().parents[2] / "artifact"
CARD_FILE = "card.json"
# The schema version of this service's cards; cards with any other version are rejected.
SCHEMA = 1


class ArtifactError(Exception):
    """The folder contains no model that can be served; the message is one sentence."""


def read_card(folder: Path) -> Mapping[str, Any]:
    """Return the card of the model in `folder`.

    Raises ArtifactError if the card is missing or was not written by this service.
    """
    path = folder / CARD_FILE
    try:
        card = json.loads(_read(path))
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON: {error}.") from error
    try:
        complete = (
            card["schema"] == SCHEMA
            and isinstance(card["form"], str)
            and isinstance(card["libraries"], dict)
            and isinstance(card["files"], dict)
            and len(card["features"]) > 0
            and all(map(from_card, card["features"]))
        )
    except (KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise ArtifactError(f"{path} is not a model card of this service: train the model again.")
    return card  # type: ignore[no-any-return]


def read_file(folder: Path, card: Mapping[str, Any], name: str) -> bytes:
    """Return the content of a file beside the card.

    Raises ArtifactError if the file is missing or its checksum differs from the card's.
    """
    content = _read(folder / name)
    if hashlib.sha256(content).hexdigest() != card["files"].get(name):
        raise ArtifactError(
            f"{folder / name} is not the file that {CARD_FILE} describes "
            "(its SHA-256 differs): train the model again."
        )
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"There is no {path}: train the model first with "
            f"`python -m model.service.training.build {path.parent}`."
        ) from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
