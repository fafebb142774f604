"""Models trained and built once for all tests of this folder."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model.service.contract.loading import load_predictor
from model.service.contract.predictor import Predictor
from model.service.training import Training
from model.service.training.saving import save
from support import ROOT, models


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], Training]], Path]:
    """Return a function that builds a model's folder, only once: `built(models.forest)`."""

    @functools.cache
    def build(train: Callable[[], Training]) -> Path:
        folder = tmp_path_factory.mktemp(train.__name__)
        save(train(), folder, inputs=models.PROVEN_BY)
        return folder

    return build


COMPILE = Path(__file__).resolve().parents[3] / "model" / "image" / "compile"
SUMS = ROOT / "model" / "image" / "weighted_sum.c"


@pytest.fixture(scope="session")
def compile_sums(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that compiles the weighted sums like an image build, with changes."""

    def build(old: str = "", new: str = "") -> Path:
        folder = tmp_path_factory.mktemp("sums")
        text = SUMS.read_text(encoding="ascii")
        assert old in text
        source, library = folder / "sums.c", folder / "libsums.so"
        source.write_text(text.replace(old, new), encoding="ascii")
        path = os.pathsep.join((str(Path(sys.executable).parent), os.defpath))
        subprocess.run([COMPILE, source, library], check=True, env={"PATH": path})
        return library

    return build


@pytest.fixture(scope="session")
def sums_library(compile_sums: Callable[..., Path]) -> Path:
    """The weighted sums in machine code."""
    return compile_sums()


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
