"""The programs of our own, by Go's own means."""

import os
import subprocess
from pathlib import Path

import pytest

from rehearsal.kubernetes import build

[MODULE] = build.modules()


@pytest.fixture(scope="module")
def go():
    toolchain = build.find_toolchain(MODULE.go_version, build.TOOLCHAIN_REQUIREMENTS)
    cache = build.cache_folder(os.environ)
    cache.mkdir(parents=True, exist_ok=True)
    program = build.go_program(cache, toolchain, build.TOOLCHAIN_REQUIREMENTS, print)

    def run(*arguments, program=program):
        return subprocess.run(
            [program, *arguments],
            cwd=MODULE.folder,
            env={**os.environ, **build.SETTINGS},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    run.beside = Path(program).parent
    return run


@pytest.mark.parametrize("package", MODULE.programs.values())
def test_programs(go, package):
    # Flags as in the build, whose cache then serves: without, all of Kubernetes is compiled anew.
    for command in (["vet"], ["test", "-vet=off"]):
        done = go(*command, "-trimpath", "-mod=readonly", "-buildvcs=false", package)
        assert done.returncode == 0, done.stdout


def test_format(go):
    done = go("-l", ".", program=str(go.beside / "gofmt"))
    assert (done.returncode, done.stdout) == (0, "")
