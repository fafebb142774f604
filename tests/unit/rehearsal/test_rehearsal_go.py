"""The project's own Go programs, checked by Go's own tools."""

import os
import subprocess

import pytest

from rehearsal.kubernetes import build
from support import go_toolchain

[MODULE] = build.modules()


def run(program, *arguments):
    return subprocess.run(
        [go_toolchain.folder() / program, *arguments],
        cwd=MODULE.folder,
        env={**os.environ, **build.SETTINGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("package", MODULE.programs.values())
def test_programs(package):
    # The build's flags, to use its cache: otherwise, all of Kubernetes is compiled again.
    for command in (["vet"], ["test", "-vet=off"]):
        done = run("go", *command, "-trimpath", "-mod=readonly", "-buildvcs=false", package)
        assert done.returncode == 0, done.stdout


def test_format():
    done = run("gofmt", "-l", ".")
    assert (done.returncode, done.stdout) == (0, "")
