"""The hello-world app, by Go's own means."""

import os
import shutil
import subprocess

import pytest
from ansible_run import ROOT


@pytest.mark.parametrize("command", ["gofmt -l .", "go vet ./...", "go test ./..."])
def test_by_go(command):
    assert shutil.which("go"), "These tests need Go: apt-get install golang-go"
    done = subprocess.run(
        command.split(),
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
