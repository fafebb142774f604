"""The model, trained once for all tests of this folder."""

from pathlib import Path

import pytest

from model.service import artifact
from model.service.predictor import Predictor, load_predictor
from model.service.training import Training
from model.train import train


@pytest.fixture(scope="session")
def training() -> Training:
    return train()


@pytest.fixture(scope="session")
def model_folder(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    artifact.save(training, folder)
    return folder


@pytest.fixture(scope="session")
def predictor(model_folder: Path) -> Predictor:
    return load_predictor(model_folder)
