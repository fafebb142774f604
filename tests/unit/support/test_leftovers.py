"""What a suite leaves behind is detected."""

import subprocess
import sys
import tempfile

import pytest

from support import leftovers


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="docker-ml-api-left-") as name:
        yield name


def test_a_folder_and_a_process_are_seen_until_they_are_gone():
    before = leftovers.seen()
    with tempfile.TemporaryDirectory(prefix="docker-ml-api-left-") as name:
        words = (sys.executable, "-c", "input()", "model.main", name)
        with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
            left = [one for one in leftovers.after(before) if name in one]
            process.stdin.close()
            assert [one.split()[0] for one in left] == ["file", "process"]
    assert [one for one in leftovers.after(before) if name in one] == []


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("image docker-ml-api/python:base sha256:1", True),
        ("image it1234-diabetes:v1 sha256:1", False),
        ("image <none>:<none> sha256:1", False),
        ("link docker0", True),
        ("link veth1", False),
        ("process dockerd -H fd:// --containerd=/run/containerd/containerd.sock", True),
        ("process dockerd --host=unix:///x --data-root=/x", False),
        ("container test-api of diabetes:v1", False),
    ],
)
def test_what_is_kept(monkeypatch, kind, kept):
    monkeypatch.setattr(leftovers, "seen", lambda: {kind})
    assert leftovers.after(set()) == ([] if kept else [kind])


def test_what_a_stopped_engine_has_is_seen_when_it_is_started(monkeypatch):
    there = {"image diabetes:v1 1", "container api of diabetes:v1", "link veth1", "file /tmp/dma-1"}
    monkeypatch.setattr(leftovers, "seen", lambda: there)
    before = leftovers.of_started_engine()
    # An engine does not create this file.
    assert leftovers.after(before) == ["file /tmp/dma-1"]
