"""The programs of our own, by Go's own means."""

import os
import subprocess
from pathlib import Path

import pytest

from rehearsal.kubernetes import build

OWN = [module for module in build.modules() if list(module.folder.glob("*.go"))]


@pytest.fixture(scope="module")
def go():
    required = max(module.go_version for module in build.modules())
    toolchain = build.find_toolchain(required, build.TOOLCHAIN_REQUIREMENTS)
    cache = build.cache_folder(os.environ)
    cache.mkdir(parents=True, exist_ok=True)
    program = build.go_program(cache, toolchain, build.TOOLCHAIN_REQUIREMENTS, print)

    def run(folder, *arguments, program=program):
        return subprocess.run(
            [program, *arguments],
            cwd=folder,
            env={**os.environ, **build.SETTINGS},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    run.beside = Path(program).parent
    return run


@pytest.mark.parametrize("module", OWN, ids=lambda module: module.name)
def test_programs(go, module):
    # Flags as in the build, whose cache then serves: without, all of Kubernetes is compiled anew.
    for command in (["vet"], ["test", "-vet=off"]):
        done = go(module.folder, *command, "-trimpath", "-mod=readonly", "-buildvcs=false", ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", OWN, ids=lambda module: module.name)
def test_format(go, module):
    done = go(module.folder, "-l", ".", program=str(go.beside / "gofmt"))
    assert (done.returncode, done.stdout) == (0, "")
