"""Models trained and built once for all tests of this folder."""

import functools
from collections.abc import Callable
from pathlib import Path

import models
import pytest

from model.service.predictor import Predictor, load_predictor
from model.service.saving import save
from model.service.training import Training

# Inputs: enough for tests that are not of the proof.
PROVEN_BY = 2000


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], Training]], Path]:
    """What makes the folder of a model, once: `built(models.forest)`."""

    @functools.cache
    def build(train: Callable[[], Training]) -> Path:
        folder = tmp_path_factory.mktemp(train.__name__)
        save(train(), folder, inputs=PROVEN_BY)
        return folder

    return build


@pytest.fixture(scope="session")
def training() -> Training:
    return models.line()


@pytest.fixture(scope="session")
def model_folder(built: Callable[[Callable[[], Training]], Path]) -> Path:
    return built(models.line)


@pytest.fixture(scope="session")
def many_folder(built: Callable[[Callable[[], Training]], Path]) -> Path:
    return built(models.many)


@pytest.fixture(scope="session")
def forest_folder(built: Callable[[Callable[[], Training]], Path]) -> Path:
    return built(models.forest)


@pytest.fixture(scope="session")
def mixed_folder(built: Callable[[Callable[[], Training]], Path]) -> Path:
    return built(models.mixed)


@pytest.fixture(scope="session")
def predictor(model_folder: Path) -> Predictor:
    return load_predictor(model_folder)
