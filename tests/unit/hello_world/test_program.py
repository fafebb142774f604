"""The hello-world app, checked by Go's own tools."""

import os
import subprocess

import pytest

from support import ROOT, go_toolchain


@pytest.mark.parametrize("command", ["gofmt -l .", "go vet ./...", "go test ./..."])
def test_by_go(command):
    program, *arguments = command.split()
    done = subprocess.run(
        [go_toolchain.folder() / program, *arguments],
        cwd=ROOT / "hello-world",
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    if command.startswith("gofmt"):
        assert done.stdout == ""
