"""Train the model and save it with its card: `python -m model.service.training.build [FOLDER]`.

It can run in two steps, so that an image installs the compiler only for models that need it:
`--train-to FILE` trains and prints what the second step needs; `--trained FILE` saves.
"""

import argparse
import importlib
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.service.contract.card import MODEL_FOLDER, ArtifactError
from model.service.training import compilation
from model.service.training.result import Training
from model.service.training.saving import check, save

MODULE = "model.train"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the model, save it and print a summary; or run one of these steps."""
    options = _options(arguments)
    try:
        training = _trained(options.trained) if options.trained else _train()
        if options.train_to:
            check(training)
            options.train_to.write_bytes(pickle.dumps(training))
            needed = compilation.needs_compiler(training.estimator)
            sys.stdout.write("compile\n" if needed else "train\n")
        else:
            card = save(training, options.folder)
            sys.stdout.write(summary(card, options.folder))
    except ModuleNotFoundError as error:
        sys.exit(
            f"The model was not saved: its compilation needs {error.name}: "
            "install requirements-compile.txt."
        )
    except (ArtifactError, OSError, ValueError) as error:
        sys.exit(f"The model was not saved: {error}")


def summary(card: Mapping[str, Any], folder: Path) -> str:
    """Return a readable summary: what was saved, its metrics, and the form that is served."""
    lines = [f"{card['name']} {card['version']}: {card['estimator']}"]
    for name, value in card["metrics"].items():
        bounds = [
            f", {word} {bounds[name]:g}"
            for word, bounds in (("at least", card["floors"]), ("at most", card["ceilings"]))
            if name in bounds
        ]
        lines.append(f"  {name} {value:g}{''.join(bounds)}")
    lines.append(f"  served as {card['form']}: {card['proof']['method']}")
    lines += [
        f"  not as {rejected['form']}: {rejected['reason']}"
        for rejected in card["proof"]["rejected"]
    ]
    lines.append(f"  saved in {folder}")
    return "".join(f"{line}\n" for line in lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.service.training.build", description="Train the model and save it."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=MODEL_FOLDER, help="default: %(default)s"
    )
    step = parser.add_mutually_exclusive_group()
    step.add_argument(
        "--train-to",
        type=Path,
        metavar="FILE",
        help="only train, and keep the training in FILE; the last line of the output is what "
        "saving it needs: train or compile (requirements-….txt)",
    )
    step.add_argument(
        "--trained",
        type=Path,
        metavar="FILE",
        help="save what --train-to kept in FILE, one of your own: reading it runs its code",
    )
    return parser.parse_args(arguments)


def _train() -> Training:
    """Return what `model.train.train` returns.

    Raises ValueError if the result is not a Training.
    """
    module = importlib.import_module(MODULE)
    if not callable(train := getattr(module, "train", None)):
        raise ValueError(f"{module.__file__} must define train().")  # noqa: TRY004 - told as others
    return _checked(train(), f"train() in {module.__file__}")


def _trained(file: Path) -> Training:
    try:
        training = pickle.loads(file.read_bytes())  # noqa: S301 - written by the step before
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{file} holds no training: {error}.") from error
    return _checked(training, str(file))


def _checked(training: object, source: str) -> Training:
    if not isinstance(training, Training):
        raise ValueError(  # noqa: TRY004 - told as others
            f"{source} must return a Training, not a {type(training).__name__}."
        )
    return training


if __name__ == "__main__":
    main()
