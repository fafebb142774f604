"""Train the model and save it with its card: `python -m model.service.build [FOLDER]`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model.service.artifact import ArtifactError, save
from model.service.settings import MODEL_FOLDER
from model.train import train


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, save and print the card."""
    parser = argparse.ArgumentParser(
        prog="python -m model.service.build", description="Train the model and save it."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=MODEL_FOLDER, help="default: %(default)s"
    )
    folder: Path = parser.parse_args(arguments).folder
    try:
        card = save(train(), folder)
    except (ArtifactError, OSError) as error:
        sys.exit(f"The model was not saved: {error}")
    json.dump(card, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
