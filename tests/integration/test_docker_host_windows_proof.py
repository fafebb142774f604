"""The role's images for testing an engine on Windows, on the real engine."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import ROOT
from support.real_engine import Engine

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

FILES = ROOT / "roles" / "docker_host" / "files"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proof_images", ROOT / "scripts/proof_images.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_files_are_what_the_script_writes(maker: ModuleType, architecture: str) -> None:
    assert (FILES / f"proof-{architecture}.tar").read_bytes() == maker.archive(architecture)


def test_the_script_writes_them(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maker, "FOLDER", tmp_path)

    maker.main()

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "proof-arm64.tar",
        "proof-x86_64.tar",
    ]


def test_the_image_of_this_machines_architecture_runs(maker: ModuleType) -> None:
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    engine = Engine()
    image = engine.name("proof:1")
    try:
        for command in (
            ["import", "--change", 'CMD ["/hello"]', FILES / f"proof-{architecture}.tar", image],
            ["run", "--rm", "--network", "none", image],
        ):
            done = subprocess.run(["docker", *command], check=True, capture_output=True)
    finally:
        subprocess.run(["docker", "image", "rm", "--force", image], check=True, capture_output=True)
    assert done.stdout == maker.MESSAGE
